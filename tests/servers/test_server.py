"""Server and serve(): options, addresses, starting and stopping."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
from beside import PATIENCE, at_once, free_port, in_threads, wait_until

from cptoolkit.servers import BindError, Options, Server, connection, http1, serve, watch
from cptoolkit.servers import server as server_module
from cptoolkit.servers.options import LONGEST

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TIMES = [name for name, kind in Options.__annotations__.items() if kind == "float"]


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def connects(address):
    try:
        socket.create_connection(address, PATIENCE).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        return True  # it was closed while we waited in its queue
    return True


# -- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": -1}, "port must be 0 or more, got -1"),
        ({"port": 65536}, "port must be 0 to 65535, got 65536"),
        ({"thread_pool": 0}, "thread_pool must be 1 or more, got 0"),
        ({"thread_pool": 5, "thread_pool_max": 4}, r"at least thread_pool \(5\), got 4"),
        ({"socket_timeout": -1}, "socket_timeout must be 0 or more, got -1"),
        ({"keep_alive_timeout": float("nan")}, "keep_alive_timeout must be 0 or more, got nan"),
        ({"protocol_version": "HTTP/2"}, "must be 'HTTP/1.1' or 'HTTP/1.0', got 'HTTP/2'"),
        ({"server_name": "a\r\nb"}, "server_name must be printable ASCII"),
        ({"socket": []}, "socket must be one at least, got none"),
        ({"peercreds_resolve": True}, "peercreds_resolve needs peercreds"),
        ({"peercreds": True, "protocol": "scgi"}, "peercreds needs protocol 'http', got 'scgi'"),
        ({"socket_queue_size": 2**31}, "^socket_queue_size must be 2147483647 at most, got 21474"),
        *(
            ({name: LONGEST + 0.5}, f"^{name} must be 1000000 at most, got 1000000.5$")
            for name in TIMES
        ),
    ],
)
def test_value_out_of_range_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        Server(hello, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threadpool": 1}, "no option 'threadpool'; did you mean 'thread_pool'"),
        ({"xyz": 1}, "no option 'xyz'$"),
        ({"port": "80"}, "port must be int, got '80'"),
        ({"port": True}, "port must be int, got True"),
        ({"host": None}, "host must be str, got None"),
        ({"nodelay": "yes"}, "nodelay must be bool"),
        ({"socket": 3}, "socket must be socket or list or tuple or None, got 3"),
        ({"socket": [3]}, "socket must hold sockets, got 3"),
        ({"ssl_private_key_password": ["secret"]}, "password must be .*, got a list$"),
    ],
)
def test_wrong_option_is_told(options, message):
    with pytest.raises(TypeError, match=message):
        Server(hello, **options)


@pytest.fixture
def patient(serve_app, monkeypatch):
    """Return a function that serves an application with times as long as can be."""
    monkeypatch.setattr(connection, "SLOW_CLIENT", 0.0)

    def start(app, **options):
        return serve_app(app, **{**dict.fromkeys(TIMES, LONGEST), "shutdown_timeout": 5, **options})

    return start


def test_longest_times_wait_for_a_body(patient, wait_until):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    served = patient(app, request_body_buffer=0)
    client = served.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12")
    wait_until(lambda: served.server._engine.crew.lent)
    assert client.send(b"34").answer().body == b"1234"
    assert client.send(GET).answer().body == b""  # the connection has been kept


def test_longest_times_wait_for_a_reader(patient, wait_until):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "40000000")])
        return (bytes(1_000_000) for _ in range(40))

    served = patient(app)
    client = served.connect().send(GET)
    wait_until(lambda: served.server._engine.crew.lent)
    assert len(client.answer().body) == 40_000_000


def test_longest_times_do_not_keep_the_server_from_stopping(patient):
    served = patient(hello, shutdown_timeout=LONGEST)
    assert served.connect().send(GET).answer().body == b"hello"
    served.close()
    assert not served.thread.is_alive()
    assert (served.raised, served.logged) == (None, [])


def test_application_must_be_callable():
    with pytest.raises(TypeError, match="must be callable, got 'app'"):
        Server("app")


def test_every_option_is_documented():
    import inspect

    source = inspect.getsource(Options)
    for name in Options.__dataclass_fields__:
        after = source.split(f"    {name}: ", 1)[1].splitlines()[1]
        assert after.strip().startswith('"""'), name


# -- addresses ----------------------------------------------------------------------------------


def test_making_a_server_opens_nothing():
    before = set(os.listdir("/proc/self/fd")), threading.active_count()
    server = Server(hello, port=0)
    assert (set(os.listdir("/proc/self/fd")), threading.active_count()) == before
    assert (server.bound_addr, server.ready) == (None, False)


def test_port_0_gives_a_free_one_before_serving():
    server = Server(hello, port=0)
    server.prepare()
    assert server.bound_addr[1] > 0
    assert connects(server.bound_addr)
    server.stop()
    assert not connects(server.bound_addr)


def test_port_in_use_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            BindError, match=rf"^cannot listen on 127.0.0.1:{port}: .*in use$"
        ) as info:
            Server(hello, port=port).prepare()
    assert info.value.errno == errno.EADDRINUSE


def test_unknown_host_is_one_clear_line():
    with pytest.raises(BindError, match=r"^cannot listen on 192.0.2.1:0: cannot assign"):
        Server(hello, host="192.0.2.1", port=0).prepare()


def test_ipv6_is_served(serve_app):
    try:
        served = serve_app(hello, host="::1")
    except BindError:
        pytest.skip("no IPv6 here")
    assert served.server.bound_addr[0] == "::1"
    with socket.create_connection(served.server.bound_addr, PATIENCE) as sock:
        sock.sendall(GET)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")


def test_empty_host_is_every_interface(serve_app):
    served = serve_app(hello, host="")
    with socket.create_connection(("127.0.0.1", served.server.bound_addr[1]), PATIENCE) as sock:
        sock.sendall(GET)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")


def test_listening_socket_is_used_and_left_open(serve_app):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = serve_app(hello, socket=listening)
        assert served.server.bound_addr == listening.getsockname()
        assert served.get().body == b"hello"
        served.close()
        assert listening.fileno() >= 0


def test_unix_socket_is_served(serve_app, tmp_path):
    seen = []

    def app(environ, start_response):
        seen.append((environ["REMOTE_ADDR"], environ["REMOTE_PORT"]))
        return hello(environ, start_response)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        served = serve_app(app, socket=listening)
        assert served.get().body == b"hello"
        served.close()
    assert seen == [("", "")]


def test_two_servers_may_share_a_port_that_is_reusable(serve_app):
    first = serve_app(hello, reuse_port=True)
    second = serve_app(hello, reuse_port=True, port=first.server.bound_addr[1])
    assert second.get().body == b"hello"
    first.close()
    assert second.get().body == b"hello"


@pytest.mark.parametrize("nodelay", [True, False])
def test_nodelay_is_set_on_connections(serve_app, wait_until, nodelay):
    served = serve_app(hello, nodelay=nodelay)
    served.connect()
    wait_until(lambda: served.server._engine.connections)
    (conn,) = served.server._engine.connections.values()
    assert bool(conn.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is nodelay


def test_protocol_version_1_0_sends_no_chunks(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        return iter([b"a", b"b"])

    answer = serve_app(app, protocol_version="HTTP/1.0").talk(GET)
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nab")
    assert b"chunked" not in answer


# -- several, again, and the end ----------------------------------------------------------------


def test_several_servers_run_side_by_side(serve_app):
    names = [b"a", b"b", b"c"]

    def named(name):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [name]

        return app

    running = [serve_app(named(name)) for name in names]
    assert [served.get().body for served in running] == names
    running[0].close()
    assert [served.get().body for served in running[1:]] == names[1:]


def test_stopped_server_leaves_no_thread_socket_or_listener(serve_app):
    fds, threads = len(os.listdir("/proc/self/fd")), set(threading.enumerate())
    served = serve_app(hello)
    assert served.get().body == b"hello"
    idle = served.connect().send(GET)
    idle.answer()
    served.close()
    assert not connects(served.server.bound_addr)
    assert len(os.listdir("/proc/self/fd")) <= fds  # those of other tests may be closed meanwhile
    assert set(threading.enumerate()) <= threads
    assert served.server.ready is False


def test_stopped_server_can_be_started_again(serve_app):
    served = serve_app(hello)
    port = served.server.bound_addr[1]
    served.close()
    for _ in range(2):
        served.server.prepare()
        with in_threads(served.server.serve, stop=served.server.stop):
            assert served.get().body == b"hello"
    assert port > 0


def test_stop_is_idempotent_and_harmless_before_the_start():
    server = Server(hello, port=0)
    server.stop()
    server.prepare()
    server.stop()
    server.stop()


def test_stop_while_serving_begins_is_clean():
    with ExitStack() as stopping:

        class Stopped(Server):
            def prepare(self):
                super().prepare()
                [thread] = stopping.enter_context(in_threads(self.stop))
                thread.join(0.1)

        server = Stopped(hello, port=0)
        server.serve()
    assert not server.ready


def test_stop_while_the_address_is_still_looked_up_counts():
    with ExitStack() as stopping:

        class Stopped(Server):
            def prepare(self):
                [thread] = stopping.enter_context(in_threads(self.stop))
                thread.join(0.1)
                super().prepare()

        server = Stopped(hello, port=0)
        at_once(server.serve)
    assert not server.ready


def test_signal_while_serving_begins_counts():
    class Signalled(threading.Event):
        """Has a signal come at that moment, whose handler stops the server."""

        def clear(self):
            super().clear()
            server.stop()

    server = Server(hello, port=0)
    server._stopped = Signalled()
    server.prepare()
    in_case = threading.Timer(10, server.stop)
    in_case.start()
    try:
        server.serve()
        assert in_case.is_alive()
    finally:
        in_case.cancel()
        in_case.join()


def test_stop_that_began_before_the_server_did_stops_it():
    begun = threading.Event()

    class Held(Server):
        def _begin_stop(self):
            super()._begin_stop()
            if not begun.is_set():
                begun.set()
                wait_until(lambda: self.ready)

    def serve():
        begun.wait(PATIENCE)
        server.serve()

    server = Held(hello, port=0, shutdown_timeout=0.0)
    with in_threads(serve, stop=server.stop) as [serving]:
        server.stop()
        assert not server.ready
        serving.join(PATIENCE)
        assert not serving.is_alive()


def test_serving_twice_is_refused(serve_app):
    served = serve_app(hello)
    with pytest.raises(RuntimeError, match="serving already"):
        served.server.serve()


def test_request_in_flight_is_finished(serve_app):
    inside, go = threading.Event(), threading.Event()

    def app(environ, start_response):
        inside.set()
        assert go.wait(10)
        return hello(environ, start_response)

    served = serve_app(app)
    client = served.connect().send(GET)
    assert inside.wait(10)
    with in_threads(served.server.stop, stop=go.set):
        wait_until(lambda: not connects(served.server.bound_addr))
        go.set()
        answer = client.answer()
        assert (answer.body, answer.headers["Connection"]) == (b"hello", "close")
    served.thread.join(PATIENCE)
    assert not served.thread.is_alive()


def test_request_that_was_sent_before_the_stop_is_answered(serve_app):
    served = serve_app(hello)
    clients = [served.connect() for _ in range(20)]
    for client in clients:
        client.send(GET)
    served.server.stop()
    assert [client.answer().body for client in clients] == [b"hello"] * 20


def test_request_in_the_queue_of_the_kernel_is_answered(serve_app):
    server = Server(hello, port=0)
    server.prepare()
    with socket.create_connection(server.bound_addr, PATIENCE) as sock:
        sock.sendall(GET)
        server.interrupt = SystemExit()
        with pytest.raises(SystemExit):
            server.serve()
        assert b"hello" in sock.makefile("rb").read()


def test_request_on_a_connection_accepted_just_before_the_stop_is_answered(serve_app, monkeypatch):
    monkeypatch.setattr(http1, "FRESH_TIME", PATIENCE)
    served = serve_app(hello)
    client = served.connect()
    with in_threads(served.server.stop):
        wait_until(lambda: not connects(served.server.bound_addr))
        assert client.send(GET).answer().body == b"hello"


def test_stop_returns_in_time_and_names_stuck_handlers(serve_app):
    inside, go = threading.Event(), threading.Event()

    def app(environ, start_response):
        inside.set()
        go.wait(PATIENCE)
        return hello(environ, start_response)

    served = serve_app(app, shutdown_timeout=0.2)
    client = served.connect().send(GET)
    assert inside.wait(10)
    began = time.monotonic()
    try:
        served.server.stop()
        assert time.monotonic() - began < PATIENCE / 2
        assert client.rest() == b""
        served.thread.join(PATIENCE)
        assert "cptoolkit-worker-" in served.logged[0][1]
    finally:
        go.set()


def test_stop_does_not_wait_for_unfinished_heads(serve_app):
    served = serve_app(hello, shutdown_timeout=PATIENCE)
    clients = [served.connect().send(part) for part in (b"", b"GET / HT")]
    began = time.monotonic()
    served.server.stop()
    assert time.monotonic() - began < PATIENCE / 2
    assert [client.rest() for client in clients] == [b"", b""]


def test_handler_can_stop_the_server(serve_app):
    def app(environ, start_response):
        served.server.stop()
        return hello(environ, start_response)

    served = serve_app(app)
    assert served.get().body == b"hello"
    served.thread.join(10)
    assert not served.thread.is_alive()


@pytest.mark.parametrize("exc", [SystemExit(3), KeyboardInterrupt()])
def test_exit_of_the_application_ends_serve(serve_app, exc):
    def app(environ, start_response):
        raise exc

    served = serve_app(app)
    assert served.get().status == 503
    served.thread.join(10)
    assert served.raised is exc


def test_interrupt_is_raised_by_serve(serve_app):
    served = serve_app(hello)
    served.server.interrupt = interrupt = SystemExit("enough")
    served.thread.join(10)
    assert served.raised is interrupt


def test_errors_go_to_the_logger_by_default(caplog):
    server = Server(lambda environ, start_response: 1 / 0, port=0)
    server.prepare()
    with (
        in_threads(server.serve, stop=server.stop),
        socket.create_connection(server.bound_addr, PATIENCE) as sock,
    ):
        sock.sendall(GET)
        assert b" 500 " in sock.recv(1000)
    (record,) = [r for r in caplog.records if r.name == "cptoolkit.server"]
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is ZeroDivisionError


def test_error_in_the_error_log_stops_nobody(serve_app, caplog):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["no such key"] if environ["PATH_INFO"] == "/bad" else b"fine"]

    served = serve_app(app, thread_pool=1)
    served.server.error_log = lambda *line: 1 / 0
    assert served.get("/bad").status == 500
    assert served.get().body == b"fine"
    assert "error_log failed to log: error in the application" in caplog.text


@pytest.fixture
def log_is_broken():
    """Logging has a handler that raises."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("the log server is away")

    handler = Broken()
    server_module.logger.addHandler(handler)
    yield
    server_module.logger.removeHandler(handler)


def test_error_that_cannot_be_logged_stops_no_thread(serve_app, log_is_broken):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["no such key"] if environ["PATH_INFO"] == "/bad" else b"fine"]

    served = serve_app(app, thread_pool=1)
    served.server.error_log = server_module._log
    assert served.get("/bad").status == 500
    assert served.get().body == b"fine"


def test_watch_whose_failure_cannot_be_logged_goes_on(serve_app, log_is_broken, monkeypatch):
    monkeypatch.setattr(watch, "LONGEST_SLEEP", 0.02)
    monkeypatch.setattr(watch, "FAILURE_TIME", 0.01)
    failures = [ZeroDivisionError] * 2
    sweep = watch.Watch._sweep

    def fail(self, now):
        if failures:
            raise failures.pop()
        sweep(self, now)

    served = serve_app(hello)
    served.server.error_log = server_module._log
    monkeypatch.setattr(watch.Watch, "_sweep", fail)
    wait_until(lambda: not failures)
    assert served.get().body == b"hello"
    served.close()
    assert served.raised is None


def test_serve_needs_no_main_thread():
    done = []

    def app(environ, start_response):
        raise SystemExit

    def run():
        with contextlib.suppress(SystemExit):
            serve(app, port=port)
        done.append(1)

    port = free_port()

    def asked():
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        ):
            sock.sendall(GET)
            sock.recv(100)
        return done

    with in_threads(run):
        wait_until(asked)


# -- in a process -------------------------------------------------------------------------------

SCRIPT = """
import sys, time
from cptoolkit.servers import Server, serve
import cptoolkit.servers.server as module
prepare = Server.prepare
def told(self):
    prepare(self)
    print(self.bound_addr[1], flush=True)
    Server.prepare = prepare
Server.prepare = told
def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        print("inside", flush=True)
        time.sleep(float(sys.argv[1]))
    start_response("200 OK", [])
    return [b"hello"]
serve(app, port=0, shutdown_timeout=1000)
print("ended", flush=True)
"""


@pytest.fixture
def process():
    """Return a function that runs serve() in a process; slow handlers sleep the given seconds."""
    started = []

    def start(sleep):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(sleep)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        process.address = ("127.0.0.1", int(process.stdout.readline()))
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_finishes_requests_and_ends_serve(process, number):
    running = process(0.3)
    with socket.create_connection(running.address, 10) as sock:
        sock.sendall(GET.replace(b"/ ", b"/slow ", 1))
        assert running.stdout.readline() == "inside\n"
        running.send_signal(number)
        assert b"hello" in sock.makefile("rb").read()
    out, err = running.communicate(timeout=10)
    assert (out, err, running.returncode) == ("ended\n", "", 0)


def test_second_ctrl_c_ends_at_once(process):
    running = process(1000)
    with socket.create_connection(running.address, 10) as sock:
        sock.sendall(GET.replace(b"/ ", b"/slow ", 1))
        assert running.stdout.readline() == "inside\n"
        running.send_signal(signal.SIGINT)
        while connects(running.address):
            pass
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE)
    assert running.returncode != 0


def test_handler_of_a_signal_that_is_not_pythons_gives_way_to_the_default(monkeypatch):
    """signal.signal() tells of one that a program in C has set before Python as None."""
    set_handler, before = signal.signal, signal.getsignal(signal.SIGTERM)

    def unknown(number, handler):
        previous = set_handler(number, handler)
        return None if number == signal.SIGTERM else previous

    monkeypatch.setattr(Server, "serve", lambda self: self.stop())
    try:
        with monkeypatch.context() as patch:
            patch.setattr(signal, "signal", unknown)
            serve(hello, port=0)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_importing_starts_nothing():
    code = "import threading, signal, cptoolkit.servers, sys;"
    code += "assert threading.active_count() == 1;"
    code += "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL;"
    code += "bad = {'webob', 'werkzeug', 'cptoolkit.application'} & set(sys.modules);"
    code += "print(bad or 'fine')"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert result.stderr == ""
