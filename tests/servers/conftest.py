"""A server in a thread, and a client that sees bytes."""

from __future__ import annotations

import http.client
import logging
import resource
import socket
import threading
import time
from contextlib import ExitStack, closing

import pytest
from beside import PATIENCE, wait_until

from cptoolkit.servers import Options, Server
from cptoolkit.servers import connection as connection_module
from cptoolkit.servers import engine as engine_module
from cptoolkit.servers import http1 as http1_module
from cptoolkit.servers import intake as intake_module
from cptoolkit.servers import server as server_module
from cptoolkit.servers import watch as watch_module
from cptoolkit.servers.engine import Engine
from cptoolkit.servers.errors import ClientError
from cptoolkit.servers.exchange import Exchange, Site
from cptoolkit.servers.http1 import HTTP1
from cptoolkit.servers.poller import SelectorPoller, new_poller


class Client:
    """A connection that sends raw bytes and reads raw bytes or parsed answers."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(PATIENCE)
        try:
            self.sock.connect(address)
        except BaseException:
            self.sock.close()  # or a later test would be told of it
            raise
        self.file = Kept(self.sock.makefile("rb"))

    def send(self, data):
        self.sock.sendall(data)
        return self

    def answer(self, method="GET"):
        """Read one answer; its body is in ``.body``."""
        response = http.client.HTTPResponse(self.sock, method=method)
        response.fp = self.file
        response.begin()
        response.body = response.read()
        return response

    def rest(self):
        """Read until the server closes."""
        return self.file.read()

    def close(self):
        self.file.really_close()
        self.sock.close()


class Kept:
    """A file that HTTPResponse cannot close, since the next answer comes from it too."""

    def __init__(self, file):
        self.readline, self.read, self.readinto = file.readline, file.read, file.readinto
        self.flush, self.really_close = file.flush, file.close
        self.closed = False

    def close(self):
        """Stay open."""


class Running:
    """A server that runs in a thread.

    :param early: what a first client has sent before the server accepts it, so that however long
        this thread may wait for its turn is none of that client's time.
    """

    def __init__(self, app, early=None, **options):
        self.server = Server(app, port=options.pop("port", 0), **options)
        self.logged = []
        self.server.error_log = self._log
        self.server.prepare()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.raised = None
        self.clients = []
        if early is not None:
            self.connect().send(early)
        self.thread.start()
        try:
            wait_until(lambda: self.server.ready)
        except BaseException:
            self.close()
            raise

    def _log(self, message, level, traceback):
        self.logged.append((logging.getLevelName(level), message))

    def _serve(self):
        try:
            self.server.serve()
        except BaseException as exc:
            self.raised = exc

    def connect(self):
        client = Client(self.server.bound_addr)
        self.clients.append(client)
        return client

    def talk(self, data):
        """Send ``data``, and return every byte until the server closes."""
        return self.connect().send(data).rest()

    def get(self, path="/"):
        """Return the answer to one GET on a connection of its own."""
        client = self.connect()
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return client.answer()

    def close(self):
        self.server.stop()
        self.thread.join(PATIENCE)
        for client in self.clients:
            client.close()


@pytest.fixture
def serve_app():
    """Return a function that serves an application, with options, on a free port."""
    with ExitStack() as running:

        def start(app, **options):
            return running.enter_context(closing(Running(app, **options)))

        yield start


@pytest.fixture(name="wait_until")
def wait_until_fixture():
    return wait_until


class Clock:
    """The time as the server sees it, which a test can put forward."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (connection_module, engine_module, http1_module, intake_module, watch_module):
        monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(watch_module, "LONGEST_SLEEP", 0.02)  # it notices soon
    return clock


@pytest.fixture(params=[new_poller, SelectorPoller], ids=["best poller", "selectors"])
def each_poller(request, monkeypatch):
    """Run a test on both ways of polling."""

    def engine(*args, **options):
        return Engine(*args, poller=request.param, **options)

    monkeypatch.setattr(server_module, "Engine", engine)


@pytest.fixture
def many_descriptors():
    """Let this process have some thousands of sockets, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def calls():
    """The requests that reached ``app``, as (method, path, body)."""
    return []


@pytest.fixture
def app(calls):
    """An application that notes each request, body and all, and answers with its number."""

    def app(environ, start_response):
        body = environ["wsgi.input"].read()
        calls.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], body))
        text = b"%d" % len(calls)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text]

    return app


@pytest.fixture
def answers():
    """What was sent on the connections of ``feed``."""
    return []


@pytest.fixture
def feed(answers):
    """Return a function that gives pieces to HTTP/1.1, and returns the requests in them."""

    def feed(pieces, **options):
        seen = []

        class Noting(Exchange):
            def answer(self):
                path = self.target.partition(b"?")[0].decode()
                try:
                    seen.append((self.method, path, self.body.read()))
                except ClientError as exc:
                    self.refuse(exc.status, str(exc))
                    return
                self.start("200 OK", [])
                self.respond(b"")

        site = Site(options=Options(**options), log=print)
        site.exchange = Noting
        conn = Wire(pieces, answers)
        protocol = HTTP1(conn, site)
        while conn.pieces and conn.open:
            protocol.feed(conn.pieces.pop(0))
            while protocol.requests and conn.open:
                protocol.answer()
        return seen

    return feed


class Wire:
    """What HTTP/1.1 sees of a connection, with a list of pieces in place of a socket."""

    draining = False
    peer = ("127.0.0.1", 1)
    unsent = False
    state = 0
    memo = None
    deadline = 0.0

    def __init__(self, pieces, sent):
        self.pieces = [piece for piece in pieces if piece]
        self.sent = sent
        self.open = True
        self.engine = self

    def patience(self, seconds):
        return seconds

    def send(self, data):
        assert data.startswith(b"HTTP/1.1 ")
        self.sent.append(data)

    def receive(self):
        return self.pieces.pop(0) if self.pieces else b""

    def finish(self, linger):
        self.open = False
