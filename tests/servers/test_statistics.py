"""What a server counts."""

from __future__ import annotations

import logging
import threading

import pytest
from beside import PATIENCE

from cptoolkit.servers import Server, statistics
from cptoolkit.servers.connection import Connection

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@pytest.fixture
def counted(serve_app):
    return lambda app=hello, **options: serve_app(app, statistics=True, **options)


def test_requests_and_bytes_are_counted(counted):
    served = counted()
    client = served.connect()
    size = 0
    for _ in range(3):
        answer = client.send(REQUEST).answer()
        size += len("HTTP/1.1 200 OK\r\n\r\n") + len(answer.body)
        size += sum(len(name + value) + 4 for name, value in answer.getheaders())
    served.connect()
    found = served.server.statistics
    assert found["Enabled"] is True
    assert found["Bind Address"] == served.server.bound_addr
    assert found["Requests"] == 3
    assert found["Bytes Read"] == 3 * len(REQUEST)
    assert found["Bytes Written"] == size
    assert found["Run time"] > found["Work Time"] > 0


def test_connections_are_counted(counted, wait_until):
    served = counted()
    first, second = served.connect(), served.connect()
    wait_until(lambda: served.server.statistics["Connections"] == 2)
    first.close()
    wait_until(lambda: served.server.statistics["Connections"] == 1)
    assert served.server.statistics["Accepts"] == 2
    second.send(REQUEST).answer()


def test_threads_at_work_are_told_from_idle_ones(counted, wait_until):
    entered, gate = threading.Semaphore(0), threading.Event()

    def app(environ, start_response):
        entered.release()
        assert gate.wait(10)
        return hello(environ, start_response)

    served = counted(app, thread_pool=3)
    wait_until(lambda: served.server.statistics["Threads Idle"] == 3)
    clients = [served.connect().send(REQUEST) for _ in range(2)]
    assert entered.acquire(timeout=10)
    assert entered.acquire(timeout=10)
    found = served.server.statistics
    assert (found["Threads"], found["Threads Idle"]) == (3, 1)
    gate.set()
    for client in clients:
        client.answer()
    wait_until(lambda: served.server.statistics["Threads Idle"] == 3)
    per_thread = served.server.statistics["Worker Threads"]
    assert sum(one["Requests"] for one in per_thread.values()) == 2
    assert all(name.startswith("cptoolkit-worker-") for name in per_thread)


def test_time_in_handlers_is_counted(counted, wait_until):
    def app(environ, start_response):
        threading.Event().wait(0.05)
        return hello(environ, start_response)

    served = counted(app)
    served.connect().send(REQUEST).answer()
    served.connect().send(REQUEST).answer()
    wait_until(lambda: served.server.statistics["Work Time"] >= 0.1)
    assert served.server.statistics["Work Time"] < PATIENCE


def test_errors_of_sockets_are_counted(counted, wait_until):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        while True:
            write(b"x" * 100_000)

    served = counted(app)
    served.connect().send(REQUEST).close()
    wait_until(lambda: served.server.statistics["Socket Errors"] > 0)


def test_files_are_counted(counted, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(200_000))

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "200000")])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    served = counted(app)
    served.connect().send(REQUEST).answer()
    assert 200_000 < served.server.statistics["Bytes Written"] < 201_000


@pytest.mark.parametrize("protocol", ["scgi", "fastcgi"])
def test_other_protocols_count_too(counted, protocol):
    served = counted(protocol=protocol)
    served.talk(b"x" * 10)
    found = served.server.statistics
    assert (found["Accepts"], found["Requests"], found["Bytes Read"]) == (1, 0, 10)


def test_figures_stay_when_the_server_has_stopped(counted):
    served = counted()
    served.connect().send(REQUEST).answer()
    served.close()
    found = served.server.statistics
    assert (found["Requests"], found["Connections"], found["Threads"]) == (1, 0, 0)
    assert served.server.statistics["Run time"] == found["Run time"]


def test_clock_that_has_not_moved_yet_is_no_trouble(monkeypatch):
    monkeypatch.setattr(statistics, "monotonic", lambda: 5.0)
    assert statistics.Statistics(("localhost", 1)).snapshot()["Accepts/sec"] == 0


def test_they_begin_anew_with_each_start(counted):
    served = counted()
    served.connect().send(REQUEST).answer()
    served.close()
    served.server.prepare()
    assert served.server.statistics["Requests"] == 0
    served.server.stop()


def test_convention_of_cherrypy_finds_them(counted):
    served = counted()
    served.connect().send(REQUEST).answer()
    name = f"cptoolkit server {served.server.bound_addr}"
    namespace = vars(logging)["statistics"][name]
    assert namespace["Enabled"](namespace) is True
    assert namespace["Requests"](namespace) == 1
    served.close()
    assert name not in vars(logging)["statistics"]


def test_nothing_is_counted_unless_asked_for(serve_app):
    served = serve_app(hello)
    served.connect().send(REQUEST).answer()
    assert served.server.statistics == {"Enabled": False}
    [conn] = served.server._engine.connections.values()
    assert type(conn) is Connection


def test_server_that_was_never_prepared_has_none():
    assert Server(hello, statistics=True).statistics == {"Enabled": False}
