import os
import signal
import socket
from http.client import HTTPConnection

import pytest

from cptoolkit.process import httpserver
from cptoolkit.process.servers import CannotServe, Server
from cptoolkit.process.wspbus import StartFailure
from cptoolkit.process.wspbus import bus as process_bus


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


@pytest.fixture
def server(bus):
    made = Server(bus, hello)
    made.socket_port = 0
    made.subscribe()
    return made


def fetch(address):
    client = HTTPConnection(*address, timeout=20)
    try:
        client.request("GET", "/")
        return client.getresponse().read()
    finally:
        client.close()


class UnixConnection(HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


def test_defaults_are_those_of_the_reference(bus):
    server = Server(bus)
    assert server.bind_addr == ("127.0.0.1", 8080)
    assert (server.thread_pool, server.socket_timeout, server.shutdown_timeout) == (10, 10, 5)
    assert server.max_request_body_size == 100 * 1024 * 1024
    assert server.httpserver is None
    assert Server().bus is process_bus


def test_application_is_served_while_the_bus_runs(bus, server):
    bus.start()
    address = server.bound_addr
    assert fetch(address) == b"hello"
    assert f"Serving on http://127.0.0.1:{address[1]}" in bus.lines
    assert server.base() == f"http://127.0.0.1:{address[1]}"
    bus.exit()
    assert any(line.startswith("HTTP Server ") and "shut down" in line for line in bus.lines)
    with pytest.raises(ConnectionRefusedError):
        fetch(address)


def test_changed_settings_count_from_the_next_start(bus, server):
    bus.start()
    bus.stop()
    server.thread_pool = 3
    bus.start()
    assert server.httpserver.options.thread_pool == 3
    assert fetch(server.bound_addr) == b"hello"


def test_two_servers_share_a_bus(bus, server):
    second = Server(bus, hello)
    second.socket_port = 0
    second.subscribe()
    bus.start()
    assert server.bound_addr != second.bound_addr
    assert fetch(server.bound_addr) == fetch(second.bound_addr) == b"hello"


def test_every_option_of_the_bundled_server_has_an_attribute(bus):
    from dataclasses import fields

    from cptoolkit.servers.options import Options

    names = {field.name for field in fields(Options)} - {"host", "port", "socket"}
    assert [name for name in sorted(names) if not hasattr(Server, name)] == []


def test_settings_reach_the_bundled_server(bus, server):
    server.thread_pool = 2
    server.max_request_header_size = 1000
    server.socket_queue_size = 7
    made, address = server.httpserver_from_self()
    assert address == ("127.0.0.1", 0)
    assert (made.options.thread_pool, made.options.socket_queue_size) == (2, 7)
    assert made.options.max_request_header_size == 1000


def test_wrong_setting_is_told_under_its_own_name(bus, server):
    server.thread_pool = 0
    with pytest.raises(CannotServe, match=r"Wrong setting of the server: server\.thread_pool must"):
        server.start()


def test_port_in_use_is_one_line_and_status_70(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = run(f"""
            server = servers.Server(bus, lambda environ, start_response: [])
            server.socket_port = {port}
            server.subscribe()
            bus.start()
            bus.block()
        """)
        assert script.end() == 70
    assert script.output[1].startswith(f"Cannot serve on http://127.0.0.1:{port}: ")
    assert "in use" in script.output[1]
    assert not any("Traceback" in line for line in script.output)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("thread_pool", "3", "server.thread_pool must be int, got '3'"),
        ("socket_port", 65536, "server.socket_port must be 0 to 65535, got 65536"),
        ("processes", -3, "server.processes must be 1 or more, got -3"),
        ("socket_timeout", 1_000_001, "server.socket_timeout must be 1000000 at most, got 1000001"),
        ("proxy_protocol", "loopback", "server.proxy_protocol must name addresses, networks"),
        ("ssl_certificate", "none.pem", "server.ssl_certificate: cannot read 'none.pem': "),
    ],
)
def test_wrong_setting_ends_the_start_with_a_line(bus, server, name, value, message):
    setattr(server, name, value)
    with pytest.raises(StartFailure):
        bus.start()
    [told] = [line for line in bus.lines if "Wrong setting of the server: " in line]
    assert message in told
    assert "\n" not in told
    assert not server.running


@pytest.mark.parametrize("name", ["ssl_certificate", "ssl_private_key", "ssl_context"])
def test_what_is_not_set_reads_as_none(bus, name):
    assert getattr(Server(bus), name) is None


@pytest.mark.parametrize(
    ("name", "value"), [("ssl_certificate", "cert.pem"), ("ssl_context", object())]
)
def test_server_with_a_certificate_is_at_https(bus, name, value):
    server = Server(bus)
    setattr(server, name, value)
    assert server.base() == "https://127.0.0.1:8080"
    assert server.description == "https://127.0.0.1:8080"


def test_server_without_an_application_does_not_start(bus):
    server = Server(bus)
    server.app = None
    with pytest.raises(CannotServe, match="no application to serve"):
        server.start()


def test_other_version_of_wsgi_is_refused(server):
    server.wsgi_version = ("u", 0)
    with pytest.raises(CannotServe, match=r"wsgi_version must be \(1, 0\)"):
        server.start()


def test_unix_socket_is_served_and_removed(bus, server, tmp_path):
    path = str(tmp_path / "s")
    server.socket_file = path
    bus.start()
    assert f"Serving on socket file: {path}" in bus.lines
    client = UnixConnection(path)
    client.request("GET", "/")
    assert client.getresponse().read() == b"hello"
    client.close()
    bus.stop()
    assert not os.path.exists(path)


def test_unix_socket_of_a_dead_server_is_replaced(bus, server, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    server.socket_file = path
    bus.start()
    assert server.running


def test_unix_socket_of_a_live_server_is_respected(server, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen()
        server.socket_file = path
        with pytest.raises(CannotServe, match=f"Cannot serve on socket file: {path}: .* in use"):
            server.start()


def test_socket_of_systemd_is_used(bus, server, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as passed:
        monkeypatch.setattr(httpserver, "passed_descriptors", lambda: [passed.fileno()])
        monkeypatch.setattr(httpserver, "_descriptors_taken", set())
        server.socket_port = 1  # not the one that counts
        for _ in range(2):
            bus.start()
            assert server.bound_addr == passed.getsockname()
            assert fetch(passed.getsockname()) == b"hello"
            bus.stop()


def test_socket_of_systemd_serves_one_server(bus, server, monkeypatch):
    second = Server(bus, hello)
    second.socket_port = 0
    with socket.create_server(("127.0.0.1", 0)) as passed:
        monkeypatch.setattr(httpserver, "passed_descriptors", lambda: [passed.fileno()])
        monkeypatch.setattr(httpserver, "_descriptors_taken", set())
        second.subscribe()
        server.start()
        second.start()
        assert server.bound_addr == passed.getsockname()
        assert second.bound_addr != passed.getsockname()
        second.stop()
        server.stop()


def test_server_alone_on_the_bus_takes_all_sockets_of_systemd(bus, server, monkeypatch):
    one, two = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with one, two:
        numbers = [one.fileno(), two.fileno()]
        monkeypatch.setattr(httpserver, "passed_descriptors", lambda: numbers)
        monkeypatch.setattr(httpserver, "_descriptors_taken", set())
        bus.start()
        for passed in (one, two):
            assert fetch(passed.getsockname()) == b"hello"
        bus.stop()


def test_servers_on_one_bus_take_a_socket_of_systemd_each(bus, server, monkeypatch):
    second = Server(bus, hello)
    second.subscribe()
    one, two = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with one, two:
        numbers = [one.fileno(), two.fileno()]
        monkeypatch.setattr(httpserver, "passed_descriptors", lambda: numbers)
        monkeypatch.setattr(httpserver, "_descriptors_taken", set())
        bus.start()
        served = {server.bound_addr, second.bound_addr}
        assert served == {one.getsockname(), two.getsockname()}
        bus.stop()


@pytest.mark.parametrize(
    ("environ", "descriptors"),
    [
        ({}, []),
        ({"LISTEN_PID": "own"}, [3]),
        ({"LISTEN_PID": "own", "LISTEN_FDS": "2"}, [3, 4]),
        ({"LISTEN_PID": "own", "LISTEN_FDS": "x"}, [3]),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "2"}, []),
    ],
)
def test_sockets_of_systemd_are_meant_for_one_process(monkeypatch, environ, descriptors):
    from cptoolkit.process.activation import passed_descriptors

    for name in ("LISTEN_PID", "LISTEN_FDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value.replace("own", str(os.getpid())))
    assert list(passed_descriptors()) == descriptors


@pytest.mark.parametrize("chosen", ["own", f"{__name__}.make_foreign"])
def test_instance_takes_the_place_of_the_bundled_server(server, chosen, monkeypatch):
    foreign = object()
    monkeypatch.setitem(globals(), "make_foreign", lambda made_for: (foreign, made_for))
    server.instance = foreign if chosen == "own" else chosen
    made, _ = server.httpserver_from_self()
    assert made in (foreign, (foreign, server))


def test_httpserver_set_by_hand_is_kept(bus, server):
    from cptoolkit.servers import Server as Bundled

    server.httpserver = mine = Bundled(hello, port=0)
    bus.start()
    assert server.httpserver is mine
    assert fetch(mine.bound_addr) == b"hello"


def test_quickstart_serves_at_once_and_until_the_bus_stops(bus):
    server = Server(bus, hello)
    server.socket_port = 0
    server.quickstart()
    assert fetch(server.bound_addr) == b"hello"
    bus.start()
    bus.exit()
    assert not server.running


@pytest.mark.parametrize(
    ("address", "host", "port", "file"),
    [
        (("::1", 80), "::1", 80, None),
        ("/tmp/s", "127.0.0.1", 8080, "/tmp/s"),
        (None, None, None, None),
    ],
)
def test_address_can_be_set_at_once(bus, address, host, port, file):
    server = Server(bus)
    server.bind_addr = address
    assert (server.socket_host, server.socket_port, server.socket_file) == (host, port, file)
    assert server.bind_addr == address


@pytest.mark.parametrize("address", [5, ("a",), ["a", 1]])
def test_wrong_address_is_refused(bus, address):
    with pytest.raises(ValueError, match="bind_addr must be"):
        Server(bus).bind_addr = address


def test_empty_host_is_refused(bus):
    with pytest.raises(ValueError, match=r"use '0\.0\.0\.0' to listen on every interface"):
        Server(bus).socket_host = ""


def test_base_names_a_machine_when_every_interface_is_served(bus):
    server = Server(bus)
    server.socket_host = "0.0.0.0"
    assert server.base() == f"http://{socket.gethostname()}:8080"
    server.socket_host, server.socket_port = "::1", 80
    assert server.base() == "http://[::1]"


def test_sigterm_ends_a_serving_process_in_order(run):
    script = run("""
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]

        server = servers.Server(bus, app)
        server.socket_port = 0
        server.subscribe()
        plugins.SignalHandler(bus).subscribe()
        bus.start()
        bus.block()
    """)
    port = int(script.wait_for("Serving on").rpartition(":")[2])
    script.wait_for("blocking")
    assert fetch(("127.0.0.1", port)) == b"ok"
    script.send(signal.SIGTERM)
    assert script.end() == 0
    assert script.output[-1] == "Waiting for child threads to terminate..."


def test_handler_may_make_the_bus_exit(run):
    script = run("""
        def app(environ, start_response):
            bus.exit()
            start_response("200 OK", [("Content-Length", "3")])
            return [b"bye"]

        server = servers.Server(bus, app)
        server.socket_port = 0
        server.subscribe()
        bus.start()
        bus.block()
    """)
    port = int(script.wait_for("Serving on").rpartition(":")[2])
    script.wait_for("blocking")
    assert fetch(("127.0.0.1", port)) == b"bye"
    assert script.end() == 0
    assert "Bus EXITED" in script.output
