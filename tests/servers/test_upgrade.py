"""Connections that applications take over, as their clients see them."""

from __future__ import annotations

import contextlib
import os
import re
import select
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from functools import partial

import pytest
from beside import PATIENCE, in_threads, wait_until
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from cptoolkit.servers import Server, upgrade
from cptoolkit.servers.exchange import Exchange
from cptoolkit.servers.native import NativeGateway

simple_websocket = pytest.importorskip("simple_websocket")

HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
RAW = b"GET /raw HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"


def echo(environ, start_response):
    """The application that simple-websocket's documentation shows."""
    ws = simple_websocket.Server.accept(environ, subprotocols=["chat"])
    try:
        while True:
            ws.send(ws.receive())
    except simple_websocket.ConnectionClosed:
        pass
    start_response("200 OK", [])
    return [b"unheard"]


def talking(talk):
    """An application that hands the client's socket to a function."""

    def app(environ, start_response):
        talk(environ["cptoolkit.socket"])
        start_response("200 OK", [])
        return [b"unheard"]

    return app


class Peer:
    """A client of WebSocket that sees every event."""

    def __init__(self, sock, **request):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.seen = []
        self.send(Request(host="a", target="/", **request))
        self.accepted = self.next(AcceptConnection)

    def send(self, *events):
        self.sock.sendall(b"".join(map(self.ws.send, events)))

    def next(self, kind):
        """Return the next event, which must be of a kind."""
        while not self.seen:
            data = self.sock.recv(65536)
            self.ws.receive_data(data or None)
            self.seen.extend(self.ws.events())
        event = self.seen.pop(0)
        assert isinstance(event, kind), event
        return event

    def message(self, kind):
        """Return the text or bytes of the next message, in however many parts it comes."""
        part = self.next(kind)
        whole = part.data
        while not part.message_finished:
            part = self.next(kind)
            whole += part.data
        return whole


@pytest.fixture
def peer():
    """Return a function that opens a WebSocket to a server."""
    sockets = []

    def connect(served, **request):
        sockets.append(socket.create_connection(served.server.bound_addr, timeout=PATIENCE))
        return Peer(sockets[-1], **request)

    yield connect
    for sock in sockets:
        sock.close()


# -- WebSockets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param(TextMessage, "grüße", id="text"),
        pytest.param(BytesMessage, b"\0\xff", id="binary"),
        pytest.param(TextMessage, "", id="empty"),
        pytest.param(TextMessage, "0123456789" * 100_000, id="a million letters"),
        pytest.param(BytesMessage, bytes(range(256)) * 4096, id="1 MiB"),
    ],
)
def test_messages_come_back(serve_app, peer, kind, message):
    client = peer(serve_app(echo))
    client.send(Message(data=message))
    assert client.message(kind) == message


def test_fragments_come_back_as_one_message(serve_app, peer):
    client = peer(serve_app(echo))
    client.send(TextMessage(data="on", message_finished=False))
    client.send(Ping(payload=b"between"))
    client.send(TextMessage(data="e mess", message_finished=False), TextMessage(data="age"))
    assert client.next(Pong).payload == b"between"
    assert client.message(TextMessage) == "one message"


def test_client_closes_with_a_code(serve_app, peer):
    client = peer(serve_app(echo))
    client.send(CloseConnection(code=4001, reason="enough"))
    assert client.next(CloseConnection).code == 4001
    assert client.sock.recv(1) == b""


def test_application_closes_with_a_code(serve_app, peer):
    def app(environ, start_response):
        simple_websocket.Server.accept(environ).close(4002, "enough")
        return []

    client = peer(serve_app(app))
    closed = client.next(CloseConnection)
    assert (closed.code, closed.reason) == (4002, "enough")
    client.send(closed.response())
    assert client.sock.recv(1) == b""


def test_subprotocol_is_agreed_on(serve_app, peer):
    assert peer(serve_app(echo), subprotocols=["x", "chat"]).accepted.subprotocol == "chat"


def test_broken_frames_end_the_conversation(serve_app, peer):
    served = serve_app(echo)
    client = peer(served)
    client.sock.sendall(b"\xff\xff\xff\xff")
    assert client.next(CloseConnection).code == 1002
    served.close()
    assert served.logged == []


def test_client_of_simple_websocket_is_served(serve_app):
    host, port = serve_app(echo).server.bound_addr
    client = simple_websocket.Client.connect(f"ws://{host}:{port}/")
    client.send("hello")
    assert client.receive(PATIENCE) == "hello"
    client.close()
    client.thread.join(PATIENCE)


def test_application_with_wsproto_is_served(serve_app, peer):
    def app(environ, start_response):
        sock = environ["cptoolkit.socket"]
        ws = WSConnection(ConnectionType.SERVER)
        fields = [
            (name[5:].replace("_", "-").encode(), value.encode())
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        ws.initiate_upgrade_connection(fields, environ["PATH_INFO"])
        while True:
            for event in ws.events():
                if isinstance(event, Request):
                    sock.sendall(ws.send(AcceptConnection()))
                elif isinstance(event, TextMessage):
                    sock.sendall(ws.send(Message(data=event.data.upper())))
                elif isinstance(event, CloseConnection):
                    if event.code != 1006:  # which stands for a client that has gone
                        sock.sendall(ws.send(event.response()))
                    return []
            ws.receive_data(sock.recv(4096) or None)

    client = peer(serve_app(app))
    client.send(Message(data="hello"))
    assert client.message(TextMessage) == "HELLO"
    client.send(CloseConnection(code=1000))
    assert client.next(CloseConnection).code == 1000
    assert client.sock.recv(1) == b""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """The path of a certificate, and the context of a client who trusts it."""
    trustme = pytest.importorskip("trustme")
    path = str(tmp_path_factory.mktemp("certificate") / "pem")
    ca = trustme.CA()
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    context = ssl.create_default_context()
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # so that a missing goodbye is seen
    ca.configure_trust(context)
    return path, context


@pytest.mark.parametrize("module", ["builtin", "pyopenssl"])
@pytest.mark.parametrize("size", [10, 10_000, 1_000_000])
def test_message_over_tls_comes_back_at_once(serve_app, module, size, certificate):
    if module == "pyopenssl":
        pytest.importorskip("OpenSSL")
    path, context = certificate

    def app(environ, start_response):
        # With pings it waits by select(2), which does not see what has been decrypted.
        ws = simple_websocket.Server.accept(environ, ping_interval=60)
        ws.send(ws.receive())
        ws.close()
        start_response("200 OK", [])
        return []

    served = serve_app(app, ssl_certificate=path, ssl_module=module)
    with (
        socket.create_connection(served.server.bound_addr) as plain,
        context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as sock,
    ):
        client = Peer(sock)
        client.send(BytesMessage(data=bytes(size)))
        assert client.message(BytesMessage) == bytes(size)
        closed = client.next(CloseConnection)
        assert closed.code == 1000
        client.send(closed.response())
        assert sock.recv(1) == b""
    assert served.logged == []


def test_open_sockets_take_no_threads_from_requests(serve_app, peer, many_descriptors):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/":
            return echo(environ, start_response)
        start_response("200 OK", [])
        return [b"plain"]

    served = serve_app(app, thread_pool=2)
    clients = [peer(served) for _ in range(200)]
    assert served.get("/plain").body == b"plain"
    for client in clients:
        client.send(Message(data="hello"))
    assert {client.message(TextMessage) for client in clients} == {"hello"}


# -- clients that go, and servers that stop -------------------------------------------------------


def reset(client):
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.sock.close()


def half_close(client):
    client.sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("go", [reset, half_close], ids=lambda go: go.__name__)
def test_client_that_goes_makes_room_for_another(serve_app, peer, wait_until, go):
    served = serve_app(echo, max_upgrades=1)
    go(peer(served))

    def another_is_served():
        client = served.connect().send(HANDSHAKE)
        return client.file.readline().startswith(b"HTTP/1.1 101 ")

    wait_until(another_is_served)
    served.close()
    assert served.logged == []


def test_stopping_server_ends_conversations(serve_app, peer):
    served = serve_app(echo, shutdown_timeout=30)
    clients = [peer(served) for _ in range(3)]
    began = time.monotonic()
    served.close()
    assert time.monotonic() - began < 20
    assert [client.sock.recv(1) for client in clients] == [b""] * 3
    assert served.logged == []


def test_client_that_takes_nothing_is_cut_off(serve_app, wait_until):
    ended = []

    def talk(sock):
        for _ in range(2):
            try:
                while True:
                    sock.sendall(bytes(100_000))
            except OSError as exc:
                ended.append(type(exc))

    served = serve_app(talking(talk), socket_timeout=0.1)
    served.connect().send(RAW)
    wait_until(lambda: len(ended) == 2)
    assert ended == [TimeoutError, BrokenPipeError]


def test_everything_said_last_arrives_though_the_client_goes_on_sending(serve_app, monkeypatch):
    monkeypatch.setattr(upgrade, "LINGER_TIME", PATIENCE)
    served = serve_app(talking(lambda sock: sock.sendall(b"last words")))
    client = served.connect().send(RAW)
    for _ in range(20):
        client.send(bytes(100_000))
    assert client.rest() == b"last words"


def test_thread_that_was_told_something_can_still_answer(serve_app):
    taken, told = [], threading.Event()

    def answer():
        wait_until(lambda: taken)
        [sock] = taken
        assert sock.recv(1) == b"x"
        told.set()
        threading.Event().wait(0.02)  # the request has ended meanwhile
        with sock:
            sock.sendall(b"bye")

    def talk(sock):
        taken.append(sock)
        told.wait(PATIENCE)

    with in_threads(answer):
        client = serve_app(talking(talk)).connect().send(RAW + b"x")
        assert client.rest() == b"bye"


# -- answers in HTTP ------------------------------------------------------------------------------


def test_application_that_does_not_use_the_socket_answers_in_http(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [str("cptoolkit.socket" in environ).encode()]

    client = serve_app(app).connect().send(HANDSHAKE + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.answer().body == b"True"
    assert client.answer().body == b"False"


def test_connection_ends_with_the_answer_when_too_much_came_behind_the_request(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"in HTTP"]

    served = serve_app(app, max_request_header_size=1000, keep_alive_timeout=60)
    answer = served.talk(RAW + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nin HTTP")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(RAW.replace(b"HTTP/1.1", b"HTTP/1.0"), id="HTTP 1.0"),
        pytest.param(RAW.replace(b"GET", b"POST"), id="POST"),
        pytest.param(RAW.replace(b"Connection: upgrade\r\n", b""), id="no Connection"),
        pytest.param(RAW.replace(b"Upgrade: raw\r\n", b""), id="no Upgrade"),
    ],
)
def test_request_that_asks_for_no_other_protocol_brings_no_socket(serve_app, request_):
    def app(environ, start_response):
        start_response("200 OK", [("Connection", "close")])
        return [str([key for key in environ if "socket" in key]).encode()]

    assert serve_app(app).connect().send(request_).answer().body == b"[]"


def test_too_many_are_refused_before_the_application(serve_app, peer, wait_until):
    called = []

    def app(environ, start_response):
        called.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/":
            return echo(environ, start_response)
        start_response("200 OK", [])
        return [str("cptoolkit.socket" in environ).encode()]

    served = serve_app(app, max_upgrades=1)
    peer(served)
    refused = served.connect().send(HANDSHAKE).answer()
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert called == ["/"]
    assert served.connect().send(RAW).answer().body == b"False"


def test_limit_holds_for_requests_that_were_offered_the_socket_before_it_was_reached(serve_app):
    all_here, one_has_it, done = threading.Barrier(3), threading.Event(), threading.Event()

    def app(environ, start_response):
        sock = environ["cptoolkit.socket"]
        all_here.wait(PATIENCE)
        if environ["PATH_INFO"] != "/raw":
            one_has_it.wait(PATIENCE)
        sock.sendall(b"taken over")
        one_has_it.set()
        done.wait(PATIENCE)
        return []

    served = serve_app(app, max_upgrades=1)
    first = served.connect().send(RAW)
    others = [served.connect().send(HANDSHAKE) for _ in range(2)]
    assert [client.answer().status for client in others] == [503, 503]
    done.set()
    assert first.rest() == b"taken over"
    served.close()
    assert served.logged == []


def test_status_101_is_refused_with_the_way_to_do_it(serve_app):
    def app(environ, start_response):
        with pytest.raises(ValueError, match=re.escape("send it by environ['cptoolkit.socket']")):
            start_response("101 Switching Protocols", [])
        start_response("200 OK", [])
        return [b"plain"]

    assert serve_app(app).connect().send(HANDSHAKE).answer().body == b"plain"


def test_answer_426_names_the_protocol(serve_app):
    """RFC 9110, section 15.5.22."""

    def app(environ, start_response):
        start_response("426 Upgrade Required", [])
        return [b"no"]

    answer = serve_app(app).get()
    assert answer.headers["Upgrade"] == "websocket"
    assert "Upgrade" in answer.headers.get_all("Connection")
    assert answer.body == b"no"


# -- what the application does after it has taken over --------------------------------------------


def returns_without_answer(sock, start_response):
    return []


def returns_a_generator(sock, start_response):
    start_response("200 OK", [])
    return (b"unheard" for _ in range(3))


def returns_a_generator_without_answer(sock, start_response):
    return (b"unheard" for _ in range(3))


def writes(sock, start_response):
    start_response("200 OK", [])(b"unheard")
    return []


def answers_101(sock, start_response):
    start_response("101 Switching Protocols", [("Upgrade", "raw")])
    return []


def answers_an_error(sock, start_response):
    try:
        raise KeyError
    except KeyError as exc:
        start_response("500 Oops", [], (KeyError, exc, exc.__traceback__))
    return [b"unheard"]


def raises_connection_error(sock, start_response):  # Flask-Sock on werkzeug
    raise ConnectionError


def raises_stop_iteration(sock, start_response):  # Flask-Sock on gunicorn
    raise StopIteration


def closes(sock, start_response):
    sock.close()
    sock.close()
    start_response("200 OK", [])
    return [b"unheard"]


def shuts_down(sock, start_response):
    sock.shutdown(socket.SHUT_WR)
    start_response("200 OK", [])
    return [b"unheard"]


@pytest.mark.parametrize(
    "end",
    [
        returns_without_answer,
        returns_a_generator,
        returns_a_generator_without_answer,
        writes,
        answers_101,
        answers_an_error,
        raises_connection_error,
        raises_stop_iteration,
        closes,
        shuts_down,
    ],
    ids=lambda end: end.__name__.replace("_", " "),
)
def test_nothing_is_sent_after_what_the_application_has_sent(serve_app, end):
    def app(environ, start_response):
        sock = environ["werkzeug.socket"]
        sock.sendall(b"all")
        return end(sock, start_response)

    served = serve_app(app)
    assert served.talk(RAW) == b"all"
    served.close()
    assert served.logged == []


def test_body_is_closed_after_the_connection_was_taken_over(serve_app, wait_until):
    closed = []

    class Body:
        def __iter__(self):
            return iter([b"unheard"])

        def close(self):
            closed.append(True)

    def app(environ, start_response):
        environ["cptoolkit.socket"].sendall(b"all")
        start_response("200 OK", [])
        return Body()

    assert serve_app(app).talk(RAW) == b"all"
    wait_until(lambda: closed)


def test_native_application_can_take_over(serve_app, monkeypatch):
    monkeypatch.setattr(Server, "gateway_class", NativeGateway)

    def app(environ):
        environ["cptoolkit.socket"].sendall(b"all")
        return "101 Switching Protocols", [], iter([b"unheard"])

    served = serve_app(app)
    assert served.talk(RAW) == b"all"
    served.close()
    assert served.logged == []


def test_error_is_logged_and_ends_the_connection(serve_app):
    def talk(sock):
        sock.sendall(b"all")
        raise KeyError("what")

    served = serve_app(talking(talk))
    assert served.talk(RAW) == b"all"
    served.close()
    assert served.logged == [("ERROR", "error in the application that has taken over GET '/raw'")]


def test_error_after_the_end_is_told_in_one_line(serve_app):
    def talk(sock):
        sock.close()
        raise KeyError("what")

    served = serve_app(talking(talk))
    assert served.talk(RAW) == b""
    served.close()
    text = "GET '/raw' has ended, after it was taken over, with KeyError: 'what'"
    assert served.logged == [("INFO", text)]


def test_exit_of_the_application_stops_the_server(serve_app):
    def talk(sock):
        sock.sendall(b"all")
        raise SystemExit(3)

    served = serve_app(talking(talk))
    assert served.talk(RAW) == b"all"
    served.thread.join(PATIENCE)
    assert isinstance(served.raised, SystemExit)


def test_answer_that_has_begun_cannot_be_taken_over(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])(b"begun")
        with pytest.raises(OSError, match="answered in HTTP already"):
            environ["cptoolkit.socket"].sendall(b"unheard")
        return []

    assert serve_app(app).connect().send(HANDSHAKE).answer().body == b"begun"


def test_socket_of_a_request_that_is_over_cannot_be_used(serve_app):
    kept = []

    def app(environ, start_response):
        kept.append(environ["cptoolkit.socket"])
        start_response("200 OK", [])
        return []

    served = serve_app(app)
    client = served.connect().send(HANDSHAKE)
    assert client.answer().status == 200
    with pytest.raises(OSError, match="answered in HTTP already"):
        kept[0].recv(1)


# -- the socket -----------------------------------------------------------------------------------


@pytest.fixture
def pair(serve_app, wait_until):
    """Return a function that gives both ends of a connection that was taken over."""
    done = threading.Event()
    found = []

    def make(early=b"", **options):
        def talk(sock):
            sock.sendall(b"!")
            found.append(sock)
            done.wait(PATIENCE)

        client = serve_app(talking(talk), **options).connect().send(RAW + early)
        assert client.file.read(1) == b"!"
        wait_until(lambda: found)
        return found[0], client

    yield make
    found[0].close()
    done.set()


def test_bytes_go_both_ways(pair):
    sock, client = pair()
    assert sock.send(b"hello") == 5
    assert client.file.read(5) == b"hello"
    client.send(b"world")
    assert sock.recv(2) == b"wo"
    buffer = bytearray(10)
    assert sock.recv_into(buffer) == 3
    assert buffer[:3] == b"rld"


def test_bytes_that_came_with_the_request_come_first(pair):
    sock, client = pair(early=b"early")
    assert sock.recv(3) == b"ear"
    client.send(b"late")
    assert sock.recv(100) == b"ly"
    assert sock.recv(100) == b"late"


@pytest.mark.parametrize("early", [b"", b"early"], ids=["nothing early", "early bytes"])
def test_it_can_be_waited_for_with_select(pair, early):
    sock, client = pair(early)
    for byte in early:
        assert select.select([sock], [], [], 0)[0] == [sock]
        assert sock.recv(1) == bytes([byte])
    assert select.select([sock], [], [], 0)[0] == []
    client.send(b"x")
    assert select.select([sock], [], [], PATIENCE)[0] == [sock]


def test_timeout_ends_a_wait(pair):
    sock, client = pair()
    sock.settimeout(0.01)
    assert sock.gettimeout() == 0.01
    with pytest.raises(TimeoutError):
        sock.recv(1)
    client.send(b"x")
    sock.settimeout(None)
    assert sock.recv(1) == b"x"


def test_without_blocking_nothing_is_waited_for(pair):
    sock, _ = pair()
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(1)
    with pytest.raises(BlockingIOError):
        deque(sock.send(bytes(1_000_000)) for _ in range(1000))


def test_what_two_threads_send_comes_in_whole_pieces(pair):
    sock, client = pair()
    pieces = [b"a" * 16_000_000, b"b" * 16_000_000]  # more than the kernel takes at once
    with in_threads(*(partial(sock.send, piece) for piece in pieces)):
        both = client.file.read(32_000_000)
    assert both == b"".join(pieces) or both == b"".join(reversed(pieces))


def test_first_use_by_two_threads_at_once_takes_the_connection_over_once(serve_app, monkeypatch):
    start, both = Exchange.start, threading.Barrier(2)

    def start_slowly(self, *args):
        start(self, *args)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # the second thread does not come as far

    lent = []

    def talk(sock):
        begin, heard = threading.Barrier(2), []

        def hear():
            begin.wait(PATIENCE)
            heard.append(sock.recv(1))

        with in_threads(hear):
            begin.wait(PATIENCE)
            sock.sendall(b"!")
        lent.append(served.server._engine.crew.lent)
        sock.sendall(heard[0])

    monkeypatch.setattr(Exchange, "start", start_slowly)
    served = serve_app(talking(talk))
    assert served.talk(RAW + b"x") == b"!x"
    assert lent == [1]
    served.close()
    assert served.logged == []


@pytest.mark.parametrize("line", range(16))
def test_no_byte_comes_twice_while_another_thread_waits_with_select(pair, line):
    """Wherever that thread is just then: at its first line in the socket, at its second, ..."""
    sock, _ = pair(early=b"message")
    there, go = threading.Event(), threading.Event()
    lines = []

    def hold(frame, event, arg):
        if frame.f_code.co_filename == upgrade.__file__:
            if event == "line":
                lines.append(frame.f_lineno)
                if len(lines) == line + 1:
                    there.set()
                    go.wait(0.05)  # the other thread may have to wait for this one
            return hold
        return None

    def look():
        sys.settrace(hold)
        try:
            sock.fileno()
        finally:
            sys.settrace(None)
            there.set()

    with in_threads(look, stop=go.set):
        there.wait(PATIENCE)
        assert sock.recv(100) == b"message"
    sock.settimeout(0.0)
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    assert select.select([sock], [], [], 0)[0] == []


def test_year_can_be_waited_for(pair, monkeypatch):
    sock, client = pair()
    poll, polls, heard = select.poll, [], []

    def noted_poll():
        polls.append(poll())
        return polls[-1]

    monkeypatch.setattr(select, "poll", noted_poll)
    sock.settimeout(365 * 24 * 3600)
    with in_threads(lambda: heard.append(sock.recv(1))):
        wait_until(lambda: polls)
        client.send(b"x")
    assert heard == [b"x"]


def test_close_tells_the_client(pair):
    sock, client = pair()
    with sock:
        sock.sendall(b"bye")
    assert client.rest() == b"bye"
    assert sock.fileno() == -1
    with pytest.raises(OSError, match="closed"):
        sock.recv(1)


def test_it_knows_its_ends_and_options(pair):
    sock, client = pair()
    assert sock.getpeername() == client.sock.getsockname()
    assert sock.getsockname() == client.sock.getpeername()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0


def test_thread_that_still_receives_is_woken_at_the_end(serve_app, wait_until, monkeypatch):
    monkeypatch.setattr(upgrade, "LINGER_TIME", 0.01)
    taken = []

    def receive():
        wait_until(lambda: taken)
        with pytest.raises(OSError, match="closed"):
            taken[0].recv(1)

    def talk(sock):
        sock.sendall(b"all")
        taken.append(sock)

    with in_threads(receive):
        client = serve_app(talking(talk)).connect().send(RAW)
        assert client.rest() == b"all"


def test_statistics_and_other_polling_take_no_harm(serve_app, peer, each_poller):
    served = serve_app(echo, statistics=True)
    client = peer(served)
    client.send(Message(data="hello"))
    assert client.message(TextMessage) == "hello"
    client.sock.close()
    served.close()
    assert served.logged == []


def test_nothing_is_left_of_connections_that_were_taken_over(serve_app, wait_until):
    def talk(sock):
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
        assert sock.recv(5) == b"early"
        sock.sendall(b"all")

    served = serve_app(talking(talk), thread_pool=1)
    assert served.get("/").status == 500
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert served.talk(RAW + b"early") == b"all"
        served.clients.pop().close()
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)
