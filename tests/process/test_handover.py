"""A server that restarts refuses no connection."""

import contextlib
import json
import os
import signal
import socket
import threading
from http.client import HTTPConnection

import pytest
from beside import free_port, in_threads

from cptoolkit.process import handover
from cptoolkit.process.servers import Server

PORT = """
def app(environ, start_response):
    body = os.environ.get("LIFE", "first").encode()
    if environ["PATH_INFO"] == "/restart":
        bus.restart()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

server = servers.Server(bus, app)
server.socket_port = {port}
server.subscribe()
signals = plugins.SignalHandler(bus)
signals.subscribe()
signals.set_handler("SIGUSR2", bus.restart)
"""

SECOND = """
def second(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"two"]

other = servers.Server(bus, second)
other.socket_port = 0
other.subscribe()
"""

RESTART = """
bus.subscribe("stop", lambda: os.environ.update(LIFE="second"))
bus.start()
bus.block()
"""


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def fetch(address, path="/"):
    client = HTTPConnection(*address, timeout=20)
    try:
        client.request("GET", path)
        return client.getresponse().read()
    finally:
        client.close()


class Asking:
    """Somebody who connects all the time."""

    def __init__(self, address):
        self.address = address
        self.answers, self.failures = [], []
        self._over = threading.Event()

    def __enter__(self):
        self._threads = in_threads(*[self._ask] * 3, stop=self._over.set)
        self._threads.__enter__()
        return self

    def __exit__(self, *exc):
        self._threads.__exit__(*exc)

    def _ask(self):
        while not self._over.is_set():
            try:
                self.answers.append(fetch(self.address))
            except OSError as exc:
                self.failures.append(exc)


@pytest.fixture
def server(bus):
    made = Server(bus, hello)
    made.socket_port = 0
    made.subscribe()
    yield made
    handover.discard()


def test_restart_of_a_server_refuses_nobody(bus, server):
    bus.start()
    address = server.bound_addr
    with Asking(address) as asking:
        for _ in range(5):
            server.restart()
            assert server.bound_addr == address
    assert asking.failures == []
    assert set(asking.answers) == {b"hello"}
    bus.exit()
    with pytest.raises(ConnectionRefusedError):
        fetch(address)


def test_restart_on_another_port_leaves_the_old_one(bus, server):
    bus.start()
    old = server.bound_addr
    server.socket_port = free_port()
    server.restart()
    assert fetch(server.bound_addr) == b"hello"
    with pytest.raises(ConnectionRefusedError):
        fetch(old)


def test_restart_with_other_settings_takes_them(bus, server):
    bus.start()
    address = server.bound_addr
    server.thread_pool = 3
    server.restart()
    assert server.httpserver.options.thread_pool == 3
    assert server.bound_addr == address


def test_graceful_refuses_nobody(bus, server):
    bus.start()
    with Asking(server.bound_addr) as asking:
        for _ in range(20):
            bus.graceful()
    assert asking.failures == []


@pytest.mark.parametrize("how", ["signal", "handler"])
def test_restart_of_the_program_refuses_nobody(run, how):
    port = free_port()
    script = run(PORT.format(port=port) + RESTART)
    script.wait_for("blocking")
    address = ("127.0.0.1", port)
    with Asking(address) as asking:
        while b"first" not in asking.answers:
            assert not asking.failures
        if how == "handler":
            fetch(address, "/restart")
        else:
            script.send(signal.SIGUSR2)
        script.wait_for("Re-spawning")
        script.wait_for("blocking")
        while b"second" not in asking.answers:
            assert not asking.failures
    assert asking.failures == []
    script.send(signal.SIGTERM)
    assert script.end() == 0


def test_program_on_port_0_keeps_its_port_when_it_restarts(run):
    script = run(PORT.format(port=0) + RESTART)
    first = script.wait_for("Serving on")
    script.wait_for("blocking")
    fetch(("127.0.0.1", int(first.rpartition(":")[2])), "/restart")
    assert script.wait_for("Serving on") == first
    script.wait_for("blocking")
    script.send(signal.SIGTERM)
    assert script.end() == 0


def test_servers_on_port_0_keep_their_ports_when_the_program_restarts(run):
    program = PORT.format(port=0) + SECOND
    script = run(program + RESTART)
    ports = [int(script.wait_for("Serving on").rpartition(":")[2]) for _ in range(2)]
    script.wait_for("blocking")
    fetch(("127.0.0.1", ports[0]), "/restart")
    assert [int(script.wait_for("Serving on").rpartition(":")[2]) for _ in range(2)] == ports
    script.wait_for("blocking")
    assert [fetch(("127.0.0.1", port)) for port in ports] == [b"second", b"two"]
    script.send(signal.SIGTERM)
    assert script.end() == 0


def test_program_that_restarts_on_another_port_leaves_the_old_one(run):
    old = free_port()
    change = 'server.socket_port = 0 if "LIFE" in os.environ else server.socket_port\n'
    script = run(PORT.format(port=old) + change + RESTART)
    script.wait_for("blocking")
    fetch(("127.0.0.1", old), "/restart")
    script.wait_for("Re-spawning")
    script.wait_for("blocking")
    with pytest.raises(ConnectionRefusedError):
        fetch(("127.0.0.1", old))
    script.send(signal.SIGTERM)
    assert script.end() == 0


def test_unix_socket_survives_the_restart_and_is_removed_at_the_end(run, tmp_path):
    path = tmp_path / "s"
    script = run(PORT.format(port=0) + f"server.socket_file = {str(path)!r}\n" + RESTART)
    script.wait_for("blocking")
    asked = [ask(path, "/restart"), b""]
    inode = path.stat().st_ino
    script.wait_for("blocking")
    asked[1] = ask(path)
    assert asked == [b"first", b"second"]
    assert path.stat().st_ino == inode
    script.send(signal.SIGTERM)
    assert script.end() == 0
    assert not path.exists()


def ask(path, target="/"):
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answer:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        return answer.read().rpartition(b"\r\n")[2]


# -- what is inherited ----------------------------------------------------------------------------


@pytest.fixture
def inherit(monkeypatch):
    """Return a function that sets what a former life has left in the environment."""

    def leave(*entries):
        monkeypatch.setenv(handover.VARIABLE, json.dumps(entries))

    yield leave
    handover.discard()


def test_socket_is_claimed_once_and_not_inherited_further(inherit):
    with socket.create_server(("127.0.0.1", 0)) as left:
        number = os.dup(left.fileno())
        os.set_inheritable(number, True)
        inherit(("a:1", [(number, repr(left.getsockname()))]))
        assert handover.claim("b:2") == []
        [claimed] = handover.claim("a:1")
        assert claimed.getsockname() == left.getsockname()
        assert not claimed.get_inheritable()
        assert handover.claim("a:1") == []
        assert handover.VARIABLE not in os.environ
        claimed.close()


@pytest.mark.parametrize("kind", ["closed", "file", "other socket", "does not listen"])
def test_descriptor_that_is_something_else_is_left_alone(inherit, tmp_path, kind):
    with contextlib.ExitStack() as stack:
        thing = {
            "file": lambda: (tmp_path / "f").open("w"),
            "other socket": lambda: socket.create_server(("127.0.0.1", 0)),
            "does not listen": socket.socket,
            "closed": lambda: (tmp_path / "f").open("w"),
        }[kind]()
        stack.callback(thing.close)
        number = thing.fileno()
        name = repr(thing.getsockname()) if kind == "does not listen" else "('127.0.0.1', 1)"
        if kind == "closed":
            thing.close()
        inherit(("a:1", [(number, name)]))
        assert handover.claim("a:1") == []
        handover.discard()
        assert kind == "closed" or os.fstat(number)
