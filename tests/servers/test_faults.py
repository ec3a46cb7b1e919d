"""What breaks: clients that are killed, system calls that fail, threads that die."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial

import pytest
from beside import rests

from cptoolkit.servers import connection as connection_module
from cptoolkit.servers import server as server_module
from cptoolkit.servers import watch as watch_module
from cptoolkit.servers.connection import Connection
from cptoolkit.servers.engine import Engine

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BLOCK = b"x" * 1_000_000


class Application:
    """Counts its answers, from the call to the close."""

    def __init__(self):
        self.calls = 0
        self.running = 0
        self.go = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self._lock:
            self.calls += 1
            self.running += 1
        try:
            if environ["PATH_INFO"] == "/wait":
                self.go.wait(10)
            environ["wsgi.input"].read()
        except Exception:
            self.end()
            raise
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body(self, 1000 if environ["PATH_INFO"] == "/endless" else 0)

    def end(self):
        with self._lock:
            self.running -= 1


class Body:
    def __init__(self, app, blocks):
        self._app = app
        self._blocks = blocks

    def __iter__(self):
        yield b"hello"
        for _ in range(self._blocks):
            yield BLOCK

    def close(self):
        self._app.end()


@pytest.fixture
def app():
    app = Application()
    yield app
    app.go.set()


def assert_unharmed(served, app, wait_until, threads=2):
    """Nothing is left of what went wrong, and the server still serves with all its threads."""
    app.go.set()
    engine = served.server._engine
    wait_until(lambda: not (engine.connections or engine.ready or app.running))
    wait_until(lambda: engine.crew.strength == threads)
    all_here = threading.Barrier(threads)

    def together(environ, start_response):
        all_here.wait(10)
        return app(environ, start_response)

    served.switch.app = together
    clients = [served.connect().send(GET) for _ in range(threads)]
    assert [client.answer().body for client in clients] == [b"hello"] * threads
    for client in clients:
        client.close()
    wait_until(lambda: not engine.connections)
    wait_until(rests)


def hung_up_on(client):
    """Whether the connection ends without an answer, unread bytes or not."""
    try:
        return client.rest() == b""
    except ConnectionResetError:
        return True


class Switch:
    """An application that can be exchanged."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


@pytest.fixture
def serve_switch(serve_app):
    def start(app, **options):
        switch = Switch(app)
        served = serve_app(switch, **{"thread_pool": 2, **options})
        served.switch = switch
        return served

    return start


# -- clients that vanish ------------------------------------------------------------------------

STAGES = {
    "silent": b"",
    "in the head": b"GET / HTTP/1.1\r\nHo",
    "in the body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
    "in a chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
    "before 100 Continue": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
    b"Expect: 100-continue\r\n\r\n",
    "while the handler runs": b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n",
    "during the answer": b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n",
    "with requests in line": GET * 50,
    "idle": GET,
}

VICTIM = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.sendall(bytes.fromhex(sys.argv[2]))
if sys.argv[3:]:
    sock.recv(1)
print("there", flush=True)
sys.stdin.read()
"""


def answered_at(stage):
    return stage in ("during the answer", "with requests in line", "idle", "before 100 Continue")


@pytest.mark.parametrize("stage", STAGES)
def test_client_that_is_killed_leaves_nothing_behind(serve_switch, app, wait_until, stage):
    served = serve_switch(app)
    port = str(served.server.bound_addr[1])
    arguments = [port, STAGES[stage].hex(), *(["answered"] if answered_at(stage) else [])]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", VICTIM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as victim:
        assert victim.stdout.readline() == b"there\n"
        wait_until(lambda: served.server._engine.connections)
        if stage == "while the handler runs":
            wait_until(lambda: app.running)
        victim.kill()
    assert_unharmed(served, app, wait_until)
    assert served.logged == []


@pytest.mark.parametrize("stage", STAGES)
def test_client_that_resets_leaves_nothing_behind(serve_switch, app, wait_until, stage):
    served = serve_switch(app)
    for _ in range(10):
        client = served.connect().send(STAGES[stage])
        if answered_at(stage):
            client.sock.recv(1)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert_unharmed(served, app, wait_until)
    assert served.logged == []


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        pytest.param(b"", [], id="at once"),
        pytest.param(STAGES["in the head"], [], id="in the head"),
        pytest.param(GET, [200], id="after a request"),
        pytest.param(GET * 5, [200] * 5, id="after several"),
        pytest.param(GET + STAGES["in the head"], [200], id="in the second head"),
        pytest.param(STAGES["while the handler runs"], [200], id="while the handler runs"),
    ],
)
def test_client_that_sends_no_more_gets_what_it_asked_for(
    serve_switch, app, wait_until, sent, statuses
):
    served = serve_switch(app)
    client = served.connect().send(sent)
    client.sock.shutdown(socket.SHUT_WR)
    app.go.set()
    assert [client.answer().status for _ in statuses] == statuses
    assert client.rest() == b""
    assert_unharmed(served, app, wait_until)
    assert served.logged == []


@pytest.mark.parametrize("stage", ["in the body", "in a chunk"])
def test_client_that_stops_in_the_middle_of_a_body_is_let_go(serve_switch, app, wait_until, stage):
    served = serve_switch(app)
    client = served.connect().send(STAGES[stage])
    client.sock.shutdown(socket.SHUT_WR)
    assert b" 200 " not in client.rest()
    assert_unharmed(served, app, wait_until)
    assert served.logged == []


# -- calls that fail ----------------------------------------------------------------------------


class Failing:
    """Raises an error at some of its calls, and does what it is there for at the others."""

    def __init__(self, code, times):
        self.code = code
        self.left = times

    def __call__(self, call):
        def attempt(*args):
            if self.left:
                self.left -= 1
                raise OSError(self.code, os.strerror(self.code))
            return call(*args)

        return attempt


CODES = [errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EIO, errno.ENOBUFS, errno.EBADF]


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["recv", "_send"])
def test_error_on_a_connection_costs_that_connection(
    serve_switch, app, wait_until, monkeypatch, call, code
):
    failing = Failing(code, 5)

    class Broken(Connection):
        def __init__(self, *args):
            super().__init__(*args)
            setattr(self, call, failing(getattr(self, call)))

    monkeypatch.setattr(server_module, "Engine", partial(Engine, connection=Broken))
    served = serve_switch(app)
    assert all(hung_up_on(served.connect().send(GET)) for _ in range(5))
    assert_unharmed(served, app, wait_until)
    assert served.logged == []


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EINTR], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["recv", "_send"])
def test_call_that_could_not_be_made_just_now_is_made_again(
    serve_switch, app, wait_until, monkeypatch, call, code
):
    failing = Failing(code, 1)

    class Hesitant(Connection):
        def __init__(self, *args):
            super().__init__(*args)
            setattr(self, call, failing(getattr(self, call)))

    monkeypatch.setattr(server_module, "Engine", partial(Engine, connection=Hesitant))
    served = serve_switch(app)
    client = served.connect().send(GET)
    if call == "recv":
        wait_until(lambda: not failing.left)
        client.send(GET)  # what makes the event that a refused read waits for
    assert client.answer().body == b"hello"


@pytest.mark.parametrize(
    "code",
    [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.EPROTO],
    ids=errno.errorcode.get,
)
def test_accept_that_fails_is_tried_again(serve_switch, app, wait_until, monkeypatch, code):
    monkeypatch.setattr("cptoolkit.servers.acceptor.DEAF_TIME", 0.02)
    monkeypatch.setattr(watch_module, "LONGEST_SLEEP", 0.02)

    class Listener(socket.socket):
        failing = Failing(code, 3)

        def accept(self):
            return self.failing(super().accept)()

    with Listener() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        served = serve_switch(app, socket=listener)
        assert served.get().body == b"hello"
        assert_unharmed(served, app, wait_until)
        served.close()
    wanted = 0 if code in (errno.ECONNABORTED, errno.EPROTO) else 1
    assert len(served.logged) == wanted


@pytest.mark.parametrize("call", ["poll", "register", "unregister"])
def test_poller_that_fails_costs_no_thread(serve_switch, app, wait_until, monkeypatch, call):
    if not hasattr(select, "epoll"):
        pytest.skip("needs epoll")
    failing = Failing(errno.ENOMEM, 0)

    class Epoll:
        def __init__(self):
            self._epoll = real()

        def __getattr__(self, name):
            found = getattr(self._epoll, name)
            return failing(found) if name == call else found

    real = select.epoll
    monkeypatch.setattr(select, "epoll", Epoll)
    served = serve_switch(app)
    failing.left = 3
    client = served.connect().send(GET)
    if call == "register":
        assert hung_up_on(client)
    else:
        assert client.answer().body == b"hello"
    client.close()
    wait_until(lambda: call == "unregister" or failing.left < 3)
    failing.left = 0
    assert_unharmed(served, app, wait_until)
    assert {level for level, _ in served.logged} <= {"ERROR"}
    assert len(served.logged) <= 3


def test_poller_that_fails_for_a_while_does_not_spin(serve_switch, app, wait_until, monkeypatch):
    served = serve_switch(app)
    poller = served.server._engine._poller
    failing = Failing(errno.ENOMEM, 10**9)
    monkeypatch.setattr(poller, "wait", failing(poller.wait))
    began = time.monotonic()
    client = served.connect().send(GET)
    wait_until(lambda: served.logged)
    wait_until(rests)
    assert len(served.logged) < 10 + 20 * (time.monotonic() - began)
    failing.left = 0
    assert client.answer().body == b"hello"
    client.close()
    assert_unharmed(served, app, wait_until)


def test_want_of_descriptors_neither_spins_nor_lasts(wait_until):
    program = """
    import os, resource, socket, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    from cptoolkit.servers import Server

    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"%f" % sum(os.times()[:2])]

    server = Server(app, port=0, max_connections=1000, keep_alive_timeout=60, header_timeout=60)
    server.error_log = lambda message, level, traceback: print(message, flush=True)
    server.prepare()
    print(server.bound_addr[1], flush=True)
    server.serve()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            address = ("127.0.0.1", int(child.stdout.readline()))
            with socket.create_connection(address, timeout=10) as first:
                cpu_time = lambda: ask(first)  # noqa: E731
                cpu_time()
                crowd = [socket.create_connection(address, timeout=10) for _ in range(60)]
                assert "Too many open files" in child.stdout.readline()
                before = cpu_time()
                threading.Event().wait(0.5)
                assert cpu_time() - before < 0.1
                for sock in crowd:
                    sock.close()
                with socket.create_connection(address, timeout=10) as later:
                    ask(later)
        finally:
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
    assert rest == ""  # the same is not told again and again


def ask(sock):
    sock.sendall(GET)
    return float(sock.recv(10_000).rpartition(b"\r\n\r\n")[2])


def test_connection_that_cannot_be_welcomed_is_closed(serve_switch, app, wait_until, monkeypatch):
    failing = Failing(errno.ENOMEM, 3)
    monkeypatch.setattr(server_module, "HTTP1", failing(server_module.HTTP1))
    served = serve_switch(app)
    assert all(hung_up_on(served.connect().send(GET)) for _ in range(3))
    assert_unharmed(served, app, wait_until)
    assert served.logged == [("ERROR", "a connection was dropped because of an error")] * 3


# -- threads that die ---------------------------------------------------------------------------


def test_thread_that_dies_is_replaced(serve_switch, app, wait_until, monkeypatch):
    served = serve_switch(app)
    engine = served.server._engine
    wait_until(lambda: engine.crew.strength == 2)
    deaths = [SystemExit] * 5
    poll = engine._poll

    def deadly(timeout):
        poll(timeout)
        if deaths and engine.is_worker():  # not the watch, which stands in while all are dead
            raise deaths.pop()

    monkeypatch.setattr(engine, "_poll", deadly)
    while deaths:
        assert served.get().body == b"hello"
    assert_unharmed(served, app, wait_until)
    assert served.logged == [("ERROR", "a thread died, another takes its place")] * 5


def has_begun(served):
    """Whether the head of the only request has begun to come."""
    return [
        conn for conn in list(served.server._engine.connections.values()) if conn.protocol._in_head
    ]


def test_watch_that_fails_goes_on(serve_switch, app, wait_until, monkeypatch, clock):
    monkeypatch.setattr(watch_module, "FAILURE_TIME", 0.01)
    monkeypatch.setattr(connection_module, "LINGER_TIME", 0.01)
    served = serve_switch(app)
    sweep = watch_module.Watch._sweep
    failures = [ZeroDivisionError] * 3

    def failing(self, now):
        if failures:
            raise failures.pop()
        sweep(self, now)

    monkeypatch.setattr(watch_module.Watch, "_sweep", failing)
    client = served.connect().send(b"GET")
    wait_until(lambda: has_begun(served))
    clock.ahead += 100
    assert client.rest() != b""  # 408: somebody keeps the time
    assert failures == []
    assert served.logged == [("ERROR", "the server failed to keep watch")] * 3
    assert_unharmed(served, app, wait_until)


def test_goodbye_that_fails_costs_a_connection(serve_switch, app, wait_until, monkeypatch, clock):
    served = serve_switch(app)
    monkeypatch.setattr(server_module.HTTP1, "expired", lambda self: 1 / 0)
    client = served.connect().send(b"GET")
    wait_until(lambda: has_begun(served))
    clock.ahead += 100
    assert hung_up_on(client)
    assert_unharmed(served, app, wait_until)
    assert served.logged == [("ERROR", "a connection was dropped because of an error")]


def test_main_thread_never_sleeps_for_ever(serve_switch, app, wait_until, monkeypatch):
    # A signal that comes in the instant before it falls asleep would be lost.
    slept = []
    rest = watch_module.Watch.rest

    def noting(self, seconds):
        slept.append(seconds)
        rest(self, seconds)

    monkeypatch.setattr(watch_module.Watch, "rest", noting)
    served = serve_switch(app, keep_alive_timeout=0, socket_timeout=0, header_timeout=0)
    assert served.get().body == b"hello"
    wait_until(lambda: served.server._engine._watch.parked)
    assert min(slept) > 0
    assert max(slept) <= 1
