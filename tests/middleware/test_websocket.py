"""WebSockets around any WSGI application, on the hosts that can do it."""

from __future__ import annotations

import contextlib
import http.client
import re
import runpy
import socket
import subprocess
import sys
import threading
from functools import partial
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from beside import PATIENCE, at_once, in_threads, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request, Response
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, TextMessage
from wsproto.events import Request as WSRequest
from wsproto.extensions import PerMessageDeflate

from cptoolkit.middleware import Sessions, WebSocket
from cptoolkit.middleware.websocket import HTTPUpgradeRequired
from cptoolkit.servers import Server

simple_websocket = pytest.importorskip("simple_websocket")

from cptoolkit.middleware import websocket_connection  # noqa: E402  # it needs simple_websocket

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
HANDSHAKE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}

SITE = """
from cptoolkit.middleware import WebSocket


def echo(environ, start_response):
    websocket = environ["cptoolkit.websocket"]
    for message in websocket:
        websocket.send(message)
    return []


def hang_up(environ, start_response):
    environ["cptoolkit.websocket"].receive()
    environ["cptoolkit.websocket"].close(4002, "enough")
    return []


def leave(environ, start_response):
    environ["cptoolkit.websocket"].receive()
    environ["cptoolkit.websocket"].send("bye")
    start_response("200 OK", [])
    yield b"unheard"


def fail(environ, start_response):
    environ["cptoolkit.websocket"].receive()
    raise KeyError("a bug")


PAGES = {f"/{page.__name__}": WebSocket(page) for page in (echo, hang_up, leave, fail)}


def app(environ, start_response):
    return PAGES[environ["PATH_INFO"]](environ, start_response)
"""


@contextlib.contextmanager
def bundled(site):
    with serving(runpy.run_path(str(site))["app"]) as address:
        yield address


@contextlib.contextmanager
def serving(app, **options):
    server = Server(app, port=0, **options)
    server.prepare()
    with in_threads(server.serve, stop=server.stop):
        yield server.bound_addr


@contextlib.contextmanager
def werkzeug(site):
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, runpy.run_path(str(site))["app"], threaded=True)
    try:
        with in_threads(partial(server.serve_forever, 0.01), stop=server.shutdown):
            yield server.server_address
    finally:
        server.server_close()


@contextlib.contextmanager
def gunicorn(site):
    pytest.importorskip("gunicorn")
    options = ["-k", "gthread", "--threads", "4", "-b", "127.0.0.1:0", "--graceful-timeout", "1"]
    command = [sys.executable, "-m", "gunicorn", *options, "--pythonpath", str(site.parent)]
    process = subprocess.Popen([*command, f"{site.stem}:app"], stderr=subprocess.PIPE, text=True)
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            found = re.search(r"Listening at: http://127.0.0.1:(\d+)", line)
            if found:
                break
        assert found, said
        yield "127.0.0.1", int(found[1])
    finally:
        process.terminate()
        rest = process.communicate(timeout=PATIENCE)[1]
    # A traceback is there for the application that fails, and for nothing else.
    assert rest.count("Traceback") == rest.count("KeyError: 'a bug'"), rest


@pytest.fixture(scope="module", params=[bundled, werkzeug, gunicorn], ids=lambda f: f.__name__)
def host(request, tmp_path_factory):
    """The address of a host that serves the site."""
    site = tmp_path_factory.mktemp("site") / "websocket_site.py"
    site.write_text(SITE)
    with request.param(site) as address:
        yield address


@pytest.fixture
def connect():
    """Return a function that opens a WebSocket: (address, path, ...) to a client."""
    clients = []

    def connect(address, path="/", **options):
        url = f"ws://{address[0]}:{address[1]}{path}"
        clients.append(simple_websocket.Client.connect(url, **options))
        return clients[-1]

    yield connect
    for client in clients:
        with contextlib.suppress(simple_websocket.ConnectionClosed, OSError):
            client.close()
        client.sock.close()
        client.thread.join(PATIENCE)


def get(address, path="/", **fields):
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    connection.request("GET", path, headers=fields)
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def end(client):
    """Return how a conversation ends: code and reason.

    It is begun by the client, who overlooks what comes together with the answer to its handshake.
    """
    client.send("go")
    with pytest.raises(simple_websocket.ConnectionClosed) as caught:
        assert client.receive(PATIENCE) is not None
    return caught.value.reason, caught.value.message


# -- on each host ---------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["grüße", b"\0\xff", "x" * 1_000_000], ids=type)
def test_messages_come_back(host, connect, message):
    client = connect(host, "/echo")
    client.send(message)
    assert client.receive(PATIENCE) == message


def test_client_may_close(host, connect):
    client = connect(host, "/echo")
    client.close(4001)
    client.thread.join(PATIENCE)
    assert get(host, "/echo").status == 426


def test_application_may_close_with_a_code(host, connect):
    assert end(connect(host, "/hang_up")) == (4002, "enough")


def test_end_of_the_application_closes(host, connect):
    client = connect(host, "/leave")
    client.send("go")
    assert client.receive(PATIENCE) == "bye"
    with pytest.raises(simple_websocket.ConnectionClosed, match="1000"):
        client.receive(PATIENCE)


def test_bug_of_the_application_is_told_as_1011(host, connect, capfd):
    assert end(connect(host, "/fail"))[0] == 1011


def test_nothing_is_sent_after_the_goodbye(host):
    with socket.create_connection(host, timeout=PATIENCE) as sock:
        fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        sock.sendall(f"GET /hang_up HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        with sock.makefile("rb") as file:
            assert file.readline().startswith(b"HTTP/1.1 101 ")
            while file.readline() != b"\r\n":
                pass
            sock.sendall(b"\x81\x80\0\0\0\0")  # an empty message
            assert file.read(10) == b"\x88\x08\x0f\xa2enough"
            sock.sendall(b"\x88\x80\0\0\0\0")  # the goodbye in return
            assert file.read() == b""


def test_request_for_a_page_is_answered_426(host):
    answer = get(host, "/echo")
    assert answer.status == 426
    assert "Only WebSocket is spoken here" in answer.text


# -- handshakes -----------------------------------------------------------------------------------


def echo(environ, start_response):
    websocket = environ["cptoolkit.websocket"]
    for message in websocket:
        websocket.send(message)
    return []


@pytest.fixture(scope="module")
def echoing():
    with serving(WebSocket(echo, subprotocols="chat", origins="https://b.example")) as address:
        yield address


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"Upgrade": "h2c"}, 426, id="another protocol"),
        pytest.param({"Connection": "close"}, 426, id="no Upgrade in Connection"),
        pytest.param({"Sec-WebSocket-Version": "8"}, 426, id="old version"),
        pytest.param({"Sec-WebSocket-Key": "short"}, 400, id="short key"),
        pytest.param(
            {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=x"},
            400,
            id="extension that cannot be read",
        ),
        pytest.param({"Origin": "https://evil.example"}, 403, id="page of another site"),
        pytest.param({"Origin": "null"}, 403, id="page of no site"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="browser says another site"),
    ],
)
def test_wrong_handshake_is_refused(echoing, change, status):
    assert get(echoing, **{**HANDSHAKE, **change}).status == status


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="no browser"),
        pytest.param({"Origin": "https://b.example"}, id="site that is allowed"),
        pytest.param({"Origin": "http://127.0.0.1"}, id="own site"),
    ],
)
def test_right_handshake_is_accepted(echoing, connect, fields):
    client = connect(echoing, headers=fields, subprotocols=["x", "chat"])
    assert client.subprotocol == "chat"


FIELDS = ["Host", "Origin", "Upgrade", *(name for name in HANDSHAKE if name.startswith("Sec"))]
FIELDS += ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Sec-Fetch-Site", "X-Other"]
LETTERS = st.characters(max_codepoint=255, exclude_categories=["Cc"])
VALUES = st.one_of(
    st.text(LETTERS, max_size=40),
    st.text(LETTERS, max_size=20).map("permessage-deflate; server_max_window_bits={}".format),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_no_handshake_is_an_error_of_the_server(fields):
    near, far = socket.socketpair()
    request = Request.blank("/", headers={**HANDSHAKE, **fields})
    request.environ["werkzeug.socket"] = near
    with near, far:
        far.shutdown(socket.SHUT_WR)
        status = WebSocket(lambda environ, start_response: []).respond(request).status_int
    assert status == 101 or 400 <= status < 500


def test_old_version_is_told_the_right_one(echoing):
    """RFC 6455, section 4.4."""
    answer = get(echoing, **{**HANDSHAKE, "Sec-WebSocket-Version": "8"})
    assert answer.headers["Sec-WebSocket-Version"] == "13"


def test_all_origins_may_be_allowed(connect):
    with serving(WebSocket(echo, origins=["*"])) as address:
        assert connect(address, headers={"Origin": "https://any.example"}).connected


def test_host_that_cannot_do_it_answers_501():
    class Quiet(WSGIRequestHandler):
        def log_message(self, *args):
            """Say nothing."""

    with make_server("127.0.0.1", 0, WebSocket(echo), handler_class=Quiet) as server:
        server.timeout = PATIENCE
        with in_threads(server.handle_request):
            answer = get(server.server_address, **HANDSHAKE)
    assert answer.status == 501
    assert "does not hand out its socket" in answer.text


def test_refusal_reaches_layers_outside():
    app = WebSocket(echo)
    assert app.respond(Request.blank("/")).status_int == HTTPUpgradeRequired.code


def test_layers_within_are_called_too(connect):
    with serving(WebSocket(Sessions(echo))) as address:
        client = connect(address)
        client.send("hello")
        assert client.receive(PATIENCE) == "hello"


# -- limits ---------------------------------------------------------------------------------------


def test_message_of_any_length_may_be_allowed(connect):
    with serving(WebSocket(echo, max_message_size=0)) as address:
        client = connect(address)
        client.send("x" * 1_500_000)
        assert len(client.receive(PATIENCE)) == 1_500_000


def sent_to_silent_client(layer, size):
    """The first bytes of frames that a client gets who says nothing after its handshake."""
    with (
        serving(layer) as address,
        socket.create_connection(address, timeout=PATIENCE) as sock,
    ):
        fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        sock.sendall(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        with sock.makefile("rb") as received:
            while received.readline() != b"\r\n":
                pass
            return received.read(size)


def test_silence_ends_a_conversation():
    frames = sent_to_silent_client(WebSocket(echo, idle_timeout=0.05), 8)
    assert frames == b"\x88\x06\x03\xe9idle"  # 1001


def test_client_that_answers_no_ping_is_hung_up_on():
    frames = sent_to_silent_client(WebSocket(echo, ping_interval=0.02), 3)
    assert frames == b"\x89\x00\x88"  # a ping, and the goodbye


def test_client_that_answers_pings_may_be_silent(connect):
    def app(environ, start_response):
        websocket = environ["cptoolkit.websocket"]
        send, pings = websocket.ws.send, []

        def noting(event):
            pings.append(event)
            return send(event)

        websocket.ws.send = noting
        wait_until(lambda: len(pings) == 2)  # the second one, after the first was answered
        websocket.ws.send = send
        websocket.send("still there")
        return []

    for interval in (1, 8):  # a machine that stalls for longer than the first may be late
        with (
            serving(WebSocket(app, ping_interval=interval)) as address,
            contextlib.suppress(simple_websocket.ConnectionClosed),
        ):
            assert connect(address).receive(PATIENCE) == "still there"
            return
    pytest.fail("it was hung up on")


def test_client_whose_pongs_wait_behind_its_messages_is_not_hung_up_on(connect):
    """A handler that is slow to take them keeps the pongs from being read."""
    found = []

    def app(environ, start_response):
        websocket = environ["cptoolkit.websocket"]
        websocket.pong_received = False  # as after a ping
        websocket.send("go on")
        assert websocket.receive(PATIENCE) == "hello"
        found.append(websocket.pong_received)
        return []

    with serving(WebSocket(app)) as address:
        client = connect(address)
        assert client.receive(PATIENCE) == "go on"
        client.send("hello")
        wait_until(lambda: found)
    assert found == [True]


def test_client_that_sends_more_than_is_taken_has_to_wait(connect):
    goes_on = threading.Event()
    found = []

    def app(environ, start_response):
        websocket = environ["cptoolkit.websocket"]
        found.append(websocket)
        goes_on.wait(PATIENCE)
        found.append(sum(1 for message in websocket))
        return []

    with serving(WebSocket(app, max_message_size=10_000)) as address:
        client = connect(address)

        def send():
            for _ in range(4000):
                client.send("x" * 5000)

        with in_threads(send, stop=goes_on.set) as [sender]:
            wait_until(lambda: found)
            sender.join(0.2)
            assert sender.is_alive()
            assert len(found[0].input_buffer) < 100
        client.close()
        wait_until(lambda: len(found) == 2)
        assert found[1] == 4000


# -- what an application sees ---------------------------------------------------------------------


@pytest.fixture
def talk(connect):
    """Return a function that calls a function with a WebSocket: its result, and the client's."""

    def talk(server_side, client_side, **options):
        done = threading.Event()
        results = []

        def app(environ, start_response):
            try:
                results.append(server_side(environ["cptoolkit.websocket"]))
            except BaseException as exc:
                results.append(exc)
                raise
            finally:
                done.set()
            return []

        with serving(WebSocket(app, **options)) as address:
            answer = client_side(connect(address))
            assert done.wait(PATIENCE)
        return results[0], answer

    return talk


def test_too_long_a_message_is_told_as_1009_and_ends_the_conversation(talk):
    def send(client):
        client.send("x" * 100)
        client.send("x" * 101)
        with pytest.raises(simple_websocket.ConnectionClosed, match="1009"):
            client.receive(PATIENCE)

    assert talk(list, send, max_message_size=100)[0] == ["x" * 100]


def test_receive_gives_none_when_nothing_came_in_time(talk):
    assert talk(lambda ws: ws.receive(0.01), lambda client: None)[0] is None


def test_send_to_a_client_that_has_gone_says_so(talk):
    def send_on(websocket):
        while True:
            websocket.send("x" * 100_000)

    found, _ = talk(send_on, lambda client: client.sock.close())
    assert isinstance(found, simple_websocket.ConnectionClosed)


def test_many_threads_may_send_though_messages_are_compressed():
    texts = {f"{number} " * 20_000 for number in range(80)}

    def shout(environ, start_response):
        def send(some):
            for text in some:
                websocket.send(text)

        websocket = environ["cptoolkit.websocket"]
        at_once(*(partial(send, sorted(texts)[start::4]) for start in range(4)))
        return []

    heard, part, over = set(), "", False
    client = WSConnection(ConnectionType.CLIENT)
    opening = WSRequest(host="a", target="/", extensions=[PerMessageDeflate()])
    with serving(WebSocket(shout)) as address, socket.create_connection(address) as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(client.send(opening))
        while not over:
            client.receive_data(sock.recv(65536))
            for event in client.events():
                if isinstance(event, AcceptConnection):
                    assert event.extensions
                elif isinstance(event, TextMessage):
                    part += event.data
                    if event.message_finished:
                        heard.add(part)
                        part = ""
                else:
                    assert event.code == 1000
                    sock.sendall(client.send(event.response()))
                    over = True
    assert heard == texts


def test_end_of_another_conversation_is_an_error(talk, caplog):
    def fail(websocket):
        websocket.receive()
        raise simple_websocket.ConnectionClosed(1000, "of another one")

    assert talk(fail, end)[1][0] == 1011
    assert "Connection closed: 1000 of another one" in caplog.text


def test_last_messages_arrive_before_the_goodbye(talk):
    def say(websocket):
        websocket.receive()
        for number in range(100):
            websocket.send(str(number))

    def listen(client):
        client.send("go")
        return [client.receive(PATIENCE) for _ in range(100)]

    assert talk(say, listen)[1] == [str(number) for number in range(100)]


# -- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"ping_interval": -1}, "ping_interval must be 0 or more, got -1", id="negative"
        ),
        pytest.param(
            {"max_message_size": float("inf")},
            "max_message_size must be 0 or more, got inf",
            id="infinite",
        ),
        pytest.param(
            {"subprotocols": "a b"}, "subprotocols must be tokens such as 'chat'", id="no token"
        ),
        pytest.param(
            {"origins": "example.org"},
            "origins takes origins such as 'https://example.org', got 'example.org'",
            id="host alone",
        ),
        pytest.param(
            {"origins": ["https://Example.org/"]},
            "'https://Example.org/' is none; did you mean 'https://example.org'",
            id="URL",
        ),
        pytest.param({"subprotocols": [7]}, "subprotocols must be tokens", id="no text"),
        pytest.param({"origins": [7]}, "origins takes origins such as", id="number"),
    ],
)
def test_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        WebSocket(Response(), **options)


def test_option_of_another_type_is_refused():
    with pytest.raises(TypeError, match="idle_timeout must be a number, got '10'"):
        WebSocket(Response(), idle_timeout="10")


def test_missing_library_is_told_when_the_layer_is_made(monkeypatch):
    monkeypatch.setitem(sys.modules, "simple_websocket", None)
    monkeypatch.delitem(sys.modules, websocket_connection.__name__)
    with pytest.raises(ImportError, match=re.escape("pip install 'cptoolkit[websocket]'")):
        WebSocket(Response())


def test_layer_without_an_application_cannot_serve(connect):
    layer = WebSocket()
    with pytest.raises(TypeError, match="WebSocket has no application"):
        layer._call({})
