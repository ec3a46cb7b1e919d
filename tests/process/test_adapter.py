import errno
import threading
from http.client import HTTPConnection
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from beside import wait_until

from cptoolkit.process.servers import CannotServe, ServerAdapter
from cptoolkit.process.wspbus import StartFailure, State


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Foreign:
    """A server with nothing but start and stop, which binds its port and listens when it starts."""

    def __init__(self):
        self.server = WSGIServer(("127.0.0.1", 0), Quiet, bind_and_activate=False)
        self.server.server_bind()
        self.server.set_app(hello)
        self.address = self.server.server_address

    def start(self):
        self.server.server_activate()
        self.server.serve_forever(poll_interval=0.01)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Deaf:
    """A server that does not listen."""

    def __init__(self):
        self.stopped = threading.Event()

    def start(self):
        self.stopped.wait()

    def stop(self):
        self.stopped.set()


class Prepared:
    """A server that binds apart from serving, and says when it is ready."""

    ready = False
    bound_addr = None

    def __init__(self, error=None, late_error=None):
        self.calls = []
        self.error = error
        self.late_error = late_error
        self.stopped = threading.Event()

    def prepare(self):
        self.calls.append(("prepare", threading.current_thread().name))
        if self.error:
            raise self.error
        self.bound_addr = ("127.0.0.1", 4711)

    def serve(self):
        self.calls.append(("serve", threading.current_thread().name))
        if self.late_error:
            raise self.late_error
        self.ready = True
        self.stopped.wait(20)

    def start(self):
        raise AssertionError("prepare and serve are enough")

    def stop(self):
        self.stopped.set()


def test_foreign_server_serves_while_the_bus_runs(bus):
    foreign = Foreign()
    adapter = ServerAdapter(bus, foreign, foreign.address)
    adapter.subscribe()
    bus.start()
    client = HTTPConnection(*foreign.address, timeout=20)
    client.request("GET", "/")
    assert client.getresponse().read() == b"hello"
    client.close()
    bus.exit()
    port = foreign.address[1]
    assert f"Serving on http://127.0.0.1:{port}" in bus.lines
    assert f"HTTP Server {foreign} shut down" in bus.lines


def test_port_is_bound_by_the_thread_that_starts_the_bus(bus):
    server = Prepared()
    ServerAdapter(bus, server, ("127.0.0.1", 0)).subscribe()
    bus.start()
    assert server.calls[0] == ("prepare", threading.current_thread().name)
    assert server.calls[1][0] == "serve"
    assert server.calls[1][1].startswith("HTTPServer ")
    assert "Serving on http://127.0.0.1:4711" in bus.lines


def test_port_in_use_is_one_line_and_no_traceback(bus):
    error = OSError(98, "Address already in use")
    ServerAdapter(bus, Prepared(error), ("127.0.0.1", 8080)).subscribe()
    with pytest.raises(StartFailure):
        bus.start()
    assert bus.lines[1] == (
        "Cannot serve on http://127.0.0.1:8080: [Errno 98] Address already in use. "
        "Stop what uses this address, or choose another one."
    )
    assert not any("Traceback" in line for line in bus.lines)


def test_address_that_nobody_uses_need_not_be_freed(bus):
    error = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    ServerAdapter(bus, Prepared(error), ("203.0.113.9", 8080)).subscribe()
    with pytest.raises(StartFailure):
        bus.start()
    assert bus.lines[1].endswith("Cannot assign requested address. Choose another address.")


def test_port_in_use_is_an_os_error_for_direct_callers(bus):
    adapter = ServerAdapter(bus, Prepared(OSError(98, "in use")), ("127.0.0.1", 8080))
    with pytest.raises(OSError, match="in use") as caught:
        adapter.start()
    assert caught.value.errno == 98
    assert not adapter.running


def test_port_of_another_program_is_noticed_before_a_foreign_server_starts(bus, monkeypatch):
    other = Foreign()
    other.server.server_activate()
    monkeypatch.setattr("cptoolkit.process.ports.wait_for_free_port.__defaults__", (0.01,))
    adapter = ServerAdapter(bus, Foreign(), other.address)
    with pytest.raises(CannotServe, match=f"Port {other.address[1]} is not free"):
        adapter.start()
    other.server.server_close()
    adapter.httpserver.server.server_close()


def test_server_that_dies_before_it_is_ready_fails_the_start(bus):
    adapter = ServerAdapter(bus, Prepared(late_error=ValueError("no certificate")))
    adapter.subscribe()
    with pytest.raises(StartFailure, match="no certificate"):
        bus.start()
    assert "Error in HTTP server: shutting down" in bus.lines[1]


def test_server_that_never_listens_is_stopped_again(bus, monkeypatch):
    monkeypatch.setattr("cptoolkit.process.ports.wait_for_occupied_port.__defaults__", (0.01,))
    adapter = ServerAdapter(bus, Deaf(), ("127.0.0.1", 1))
    with pytest.raises(CannotServe, match="Port 1 is not bound"):
        adapter.start()
    adapter._thread.join(10)
    assert adapter.httpserver.stopped.is_set()
    assert not adapter._thread.is_alive()


def test_server_that_ends_before_it_is_ready_fails_the_start(bus):
    server = Prepared()
    server.serve = lambda: None
    with pytest.raises(CannotServe, match="has ended before it was ready"):
        ServerAdapter(bus, server).start()


def test_server_whose_start_is_interrupted_does_not_go_on(bus, monkeypatch):
    begin = threading.Thread.start

    def interrupted(thread):
        begin(thread)
        raise KeyboardInterrupt

    server = Prepared()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ServerAdapter(bus, server).start()
    assert server.stopped.is_set()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyboardInterrupt(), "<Ctrl-C> hit: shutting down HTTP server"),
        (SystemExit(1), "SystemExit raised: shutting down HTTP server"),
        (ValueError("broken"), "Error in HTTP server: shutting down"),
    ],
)
def test_server_that_dies_later_makes_the_bus_exit(bus, error, line):
    server = Prepared()
    adapter = ServerAdapter(bus, server)
    adapter.subscribe()

    def die():
        server.ready = True
        server.stopped.wait(20)
        raise error

    server.serve = die
    bus.start()
    server.stopped.set()
    bus.wait(State.EXITING)
    assert adapter.interrupt is error
    assert any(logged.startswith(line) for logged in bus.lines)


def test_running_server_is_not_started_again(bus):
    adapter = ServerAdapter(bus, Prepared(), ("127.0.0.1", 0))
    adapter.start()
    adapter.start()
    assert bus.lines[-1] == "Already serving on http://127.0.0.1:4711"
    adapter.stop()
    adapter.stop()
    assert bus.lines[-1].endswith("already shut down")


def test_server_restarts(bus):
    server = Prepared()
    adapter = ServerAdapter(bus, server)
    adapter.start()
    adapter.restart()
    wait_until(lambda: len(server.calls) == 4)
    assert [name for name, _ in server.calls] == ["prepare", "serve", "prepare", "serve"]
    adapter.stop()


def test_without_a_server_there_is_an_error(bus):
    with pytest.raises(ValueError, match="No HTTP server has been created"):
        ServerAdapter(bus).start()


def test_unsubscribed_server_is_left_alone(bus):
    server = Prepared()
    adapter = ServerAdapter(bus, server)
    adapter.subscribe()
    adapter.unsubscribe()
    bus.start()
    assert server.calls == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (None, "unknown interface (dynamic?)"),
        ("/run/my.sock", "socket file: /run/my.sock"),
        (("127.0.0.1", 80), "http://127.0.0.1"),
        (("127.0.0.1", 443), "http://127.0.0.1:443"),
        (("::1", 8080), "http://[::1]:8080"),
        (("0.0.0.0", 8080), "http://0.0.0.0:8080"),
    ],
)
def test_address_is_described_for_people(bus, address, shown):
    assert ServerAdapter(bus, object(), address).description == shown


def test_encrypting_server_is_described_by_https(bus):
    server = Prepared()
    server.ssl_adapter = object()
    assert ServerAdapter(bus, server, ("a", 443)).description == "https://a"
