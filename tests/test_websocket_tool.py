"""The websocket tool: page handlers that talk over a WebSocket."""

from __future__ import annotations

import contextlib
import http.client
from contextlib import ExitStack
from contextvars import ContextVar

import pytest
from beside import PATIENCE, in_threads, wait_until

import cptoolkit
from cptoolkit.servers import Server

simple_websocket = pytest.importorskip("simple_websocket")

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}

colour = ContextVar("colour", default="none")


class Root:
    @cptoolkit.expose
    @cptoolkit.tools.websocket(subprotocols="chat")
    def echo(self, prefix=""):
        websocket = cptoolkit.request.websocket
        for message in websocket:
            websocket.send(prefix + message)
        return "unheard"

    @cptoolkit.expose
    @cptoolkit.tools.websocket()
    def generate(self):
        yield cptoolkit.request.websocket.send(cptoolkit.request.websocket.receive())

    @cptoolkit.expose
    @cptoolkit.tools.websocket()
    def fail(self):
        cptoolkit.request.websocket.receive()
        raise KeyError("a bug")

    @cptoolkit.expose
    @cptoolkit.tools.websocket()
    def count(self):
        websocket = cptoolkit.request.websocket
        for _ in websocket:
            cptoolkit.session["talk"] = cptoolkit.session.get("talk", 0) + 1
            websocket.send(str(cptoolkit.session["visits"]))

    @cptoolkit.expose
    def visit(self):
        cptoolkit.session["visits"] = cptoolkit.session.get("visits", 0) + 1
        return f"{cptoolkit.session['visits']} {cptoolkit.session.get('talk', 0)}"

    @cptoolkit.expose
    @cptoolkit.tools.websocket()
    def colours(self):
        websocket = cptoolkit.request.websocket
        colour.set(websocket.receive())
        websocket.receive()
        websocket.send(colour.get())


@pytest.fixture
def serve():
    """Return a function that serves the site with a config, and returns the address."""
    with ExitStack() as running:

        def start(config=None, root=Root):
            server = Server(cptoolkit.Application(root(), "", config), port=0)
            server.prepare()
            running.enter_context(in_threads(server.serve, stop=server.stop))
            return server.bound_addr

        yield start


@pytest.fixture
def connect():
    """Return a function that opens a WebSocket: (address, path, ...) to a client."""
    clients = []

    def connect(address, path, **options):
        url = f"ws://{address[0]}:{address[1]}{path}"
        clients.append(simple_websocket.Client.connect(url, **options))
        return clients[-1]

    yield connect
    for client in clients:
        with contextlib.suppress(simple_websocket.ConnectionClosed, OSError):
            client.close()
        client.sock.close()
        client.thread.join(PATIENCE)


def get(address, path, **fields):
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    connection.request("GET", path, headers=fields)
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def ask(client, text="go"):
    client.send(text)
    return client.receive(PATIENCE)


def test_handler_talks_over_the_websocket(serve, connect):
    client = connect(serve(), "/echo?prefix=so+", subprotocols=["chat"])
    assert client.subprotocol == "chat"
    assert ask(client, "it goes") == "so it goes"


def test_generator_is_run_to_its_end(serve, connect):
    assert ask(connect(serve(), "/generate"), "hello") == "hello"


def test_config_turns_it_on(serve, connect):
    class Silent:
        @cptoolkit.expose
        def index(self):
            return cptoolkit.request.websocket.send(cptoolkit.request.websocket.receive())

    config = {"/": {"tools.websocket.on": True, "tools.websocket.max_message_size": 5}}
    address = serve(config, Silent)
    assert ask(connect(address, "/"), "hello") == "hello"
    client = connect(address, "/")
    client.send("too long")
    with pytest.raises(simple_websocket.ConnectionClosed, match="1009"):
        client.receive(PATIENCE)


def test_conversation_is_in_the_access_log_as_101(serve, connect, caplog):
    address = serve({"/": {"log.access_file": ""}})
    with caplog.at_level("INFO"):
        client = connect(address, "/echo")
        assert ask(client) == "go"
        client.close()
        wait_until(lambda: any('"GET /echo HTTP/1.1" 101 -' in text for text in caplog.messages))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_request_for_a_page_gets_the_error_page_of_the_site(serve):
    address = serve({"/": {"error_page.426": lambda **kwargs: "Talk to me."}})
    answer = get(address, "/echo")
    assert (answer.status, answer.text) == (426, "Talk to me.")
    assert answer.headers["Upgrade"] == "websocket"


def test_bug_of_a_handler_is_logged_and_told_as_1011(serve, connect, caplog):
    client = connect(serve(), "/fail")
    client.send("go")
    with pytest.raises(simple_websocket.ConnectionClosed, match="1011"):
        client.receive(PATIENCE)
    wait_until(lambda: "KeyError: 'a bug'" in caplog.text)
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize("path", ["/echo", "/fail"])
def test_login_comes_before_the_handshake(serve, path):
    config = {
        "/": {
            "tools.auth_basic.on": True,
            "tools.auth_basic.realm": "here",
            "tools.auth_basic.checkpassword": lambda realm, user, password: password == "secret",
        }
    }
    assert get(serve(config), path, **HANDSHAKE).status == 401


def test_hook_late_before_the_handler_can_still_refuse(serve):
    def refuse():
        raise cptoolkit.HTTPError(402)

    cptoolkit.tools.refuse = cptoolkit.Tool("before_handler", refuse, priority=99)
    address = serve({"/": {"tools.refuse.on": True}})
    assert get(address, "/echo", **HANDSHAKE).status == 402


@pytest.mark.parametrize("locking", ["implicit", "early", "explicit", "optimistic"])
def test_open_websocket_holds_no_lock_of_the_session(serve, connect, locking):
    config = {
        "tools.sessions.on": True,
        "tools.sessions.locking": locking,
        "tools.sessions.lock_timeout": 1,
    }
    address = serve({"/": config})
    first = get(address, "/visit")
    cookie = {"Cookie": first.headers["Set-Cookie"].partition(";")[0]}
    client = connect(address, "/count", headers=cookie)
    assert ask(client) == "1"
    assert get(address, "/visit", **cookie).text == "2 0"
    assert ask(client) == "1"  # as it was at its first touch
    client.close()
    wait_until(lambda: get(address, "/visit", **cookie).text.endswith(" 2"))


def test_context_variables_are_those_of_each_conversation(serve, connect):
    address = serve()
    clients = {name: connect(address, "/colours") for name in ("red", "green")}
    for name, client in clients.items():
        client.send(name)
    assert {name: ask(client) for name, client in clients.items()} == {
        "red": "red",
        "green": "green",
    }


def test_long_conversation_does_not_time_out(serve, connect):
    client = connect(serve({"/": {"response.timeout": 0.001}}), "/echo")
    response = []

    def look():
        response.append(cptoolkit.response.timeout)

    cptoolkit.tools.look = cptoolkit.Tool("before_finalize", look)
    assert ask(client) == "go"
    client = connect(serve({"/": {"response.timeout": 9, "tools.look.on": True}}), "/generate")
    assert ask(client) == "go"
    wait_until(lambda: response)
    assert response == [0]


def test_function_call_is_refused():
    with pytest.raises(TypeError, match="goes around a page handler"):
        cptoolkit.tools.websocket.callable()


def test_wrong_option_is_told_with_the_right_one():
    config = {"/": {"tools.websocket.on": True, "tools.websocket.origin": "*"}}
    app = cptoolkit.Application(Root(), "", config)
    with pytest.raises(ValueError, match="'origins'"):
        app.plans.of_config(app.config["/"])
