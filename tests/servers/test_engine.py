"""The engine: many clients, blocking handlers, slow and silent clients, time limits."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from beside import PATIENCE, at_once

from cptoolkit.servers import acceptor as acceptor_module
from cptoolkit.servers import crew as crew_module
from cptoolkit.servers import server as server_module
from cptoolkit.servers import watch as watch_module
from cptoolkit.servers.connection import Connection
from cptoolkit.servers.engine import Engine

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


pytestmark = pytest.mark.usefixtures("each_poller")


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Gate:
    """An application in which requests for /wait stay until they are let go."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.go = threading.Event()
        self.running = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            self.inside.release()
            assert self.go.wait(20)
            with self.lock:
                self.running -= 1
        return hello(environ, start_response)

    def entered(self, count):
        for _ in range(count):
            assert self.inside.acquire(timeout=10)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.go.set()


WAIT = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"


def test_blocked_handlers_stop_nobody_while_a_thread_is_free(serve_app, gate):
    served = serve_app(gate, thread_pool=4)
    blocked = [served.connect().send(WAIT) for _ in range(3)]
    gate.entered(3)
    assert [served.get().body for _ in range(20)] == [b"hello"] * 20
    gate.go.set()
    assert [client.answer().body for client in blocked] == [b"hello"] * 3


def test_looks_get_rare_while_no_handler_blocks_and_frequent_when_one_has(
    serve_app, gate, wait_until, monkeypatch
):
    monkeypatch.setattr(watch_module, "GROWTH", 2.0)
    served = serve_app(gate)
    watch = served.server._engine._watch
    wait_until(lambda: served.get().status == 200 and watch.tick == watch_module.LONGEST_TICK)
    served.connect().send(WAIT)
    gate.entered(1)
    wait_until(lambda: watch.tick == watch_module.TICK)


class Naps:
    """An application whose handlers sleep, and the sleep of the watch, in a time of their own."""

    def __init__(self, length, count):
        self.length = length
        self.left = count
        self.now = 0.0
        self.ends = []  # of the naps that are being taken
        self.most = 0
        self.watched, self.go = threading.Event(), threading.Event()
        self.change = threading.Condition()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/nap":
            with self.change:
                self.ends.append(end := self.now + self.length)
                self.most = max(self.most, len(self.ends))
                self.change.notify_all()
                assert self.change.wait_for(lambda: self.now >= end, PATIENCE)
                self.ends.remove(end)
                self.left -= 1
                self.change.notify_all()
        return hello(environ, start_response)

    def rest(self, seconds):
        """Let time pass for those who sleep, and return when one of them sleeps on."""
        self.watched.set()
        self.go.wait(PATIENCE)
        with self.change:
            self.now += seconds
            self.change.notify_all()
            self.change.wait_for(
                lambda: not self.left or (self.ends and min(self.ends) > self.now), PATIENCE
            )


def test_handlers_that_sleep_less_than_a_rare_look_takes_soon_run_at_once(
    serve_app, wait_until, monkeypatch
):
    naps = Naps(watch_module.LONGEST_TICK / 2, count=80)
    monkeypatch.setattr(watch_module, "GROWTH", 2.0)
    served = serve_app(naps, thread_pool=4)
    watch = served.server._engine._watch
    wait_until(lambda: served.get().status == 200 and watch.tick == watch_module.LONGEST_TICK)
    with monkeypatch.context() as patch:
        patch.setattr(watch, "rest", naps.rest)
        watch.ring()
        assert naps.watched.wait(PATIENCE)
        clients = [served.connect().send(GET.replace(b"/", b"/nap", 1) * 10) for _ in range(8)]
        naps.go.set()
        assert [client.answer().body for client in clients for _ in range(10)] == [b"hello"] * 80
    assert naps.most > 1


def test_timers_of_handlers_are_on_time(serve_app):
    def app(environ, start_response):
        slack = Path(f"/proc/{threading.get_native_id()}/timerslack_ns").read_bytes()
        return [*hello(environ, start_response), slack]

    if not Path("/proc/self/timerslack_ns").exists():
        pytest.skip("there is no telling how late timers are here")
    assert serve_app(app).get().body == b"hello%d\n" % crew_module.TIMER_SLACK


def test_all_threads_run_handlers_at_once_and_no_more(serve_app, gate):
    served = serve_app(gate, thread_pool=4)
    clients = [served.connect().send(WAIT) for _ in range(8)]
    gate.entered(4)
    gate.go.set()
    assert [client.answer().status for client in clients] == [200] * 8
    assert gate.most == 4


def test_connections_are_accepted_while_all_threads_are_blocked(serve_app, gate, wait_until):
    served = serve_app(gate, thread_pool=1)
    blocked = served.connect().send(WAIT)
    gate.entered(1)
    others = [served.connect().send(GET) for _ in range(5)]
    wait_until(lambda: len(served.server._engine.connections) == 6)
    gate.go.set()
    assert [c.answer().body for c in [blocked, *others]] == [b"hello"] * 6


def test_request_that_came_while_the_machine_stalled_is_answered(
    serve_app, clock, wait_until, monkeypatch
):
    served = serve_app(hello)
    client = served.connect()
    wait_until(lambda: served.server._engine.connections)
    poller, waits, seen = served.server._engine._poller, threading.Event(), threading.Event()
    wait, look = poller.wait, watch_module.Watch._look

    def late(timeout):
        waits.set()
        events = wait(timeout)
        clock.ahead = 100
        seen.wait(PATIENCE)
        return events

    def looking(self, now):
        look(self, now)
        if now > began + 100:
            seen.set()

    began = time.monotonic()
    monkeypatch.setattr(poller, "wait", late)
    monkeypatch.setattr(watch_module.Watch, "_look", looking)
    poller.wake()  # the leader, who waits there still
    assert waits.wait(PATIENCE)
    wait_until(lambda: served.server._engine._watch.parked)
    client.send(GET)
    assert client.answer().body == b"hello"


def test_request_that_waits_for_a_thread_is_not_timed_out(serve_app, gate, clock, wait_until):
    served = serve_app(gate, thread_pool=1)
    served.connect().send(WAIT)
    gate.entered(1)
    waiting, silent = served.connect().send(GET), served.connect()
    engine = served.server._engine
    wait_until(lambda: len(engine.connections) == 3 and engine.ready)
    clock.ahead += 100
    assert silent.rest() == b""  # its time is over, and so is that of the other one
    gate.go.set()
    assert waiting.answer().body == b"hello"


def test_pool_grows_while_all_are_blocked_and_shrinks_again(
    serve_app, gate, wait_until, monkeypatch
):
    monkeypatch.setattr(watch_module, "SURPLUS_TIME", 0.0)
    served = serve_app(gate, thread_pool=1, thread_pool_max=3, keep_alive_timeout=0.1)
    clients = [served.connect().send(WAIT) for _ in range(5)]
    gate.entered(3)
    gate.go.set()
    assert [client.answer().status for client in clients] == [200] * 5
    assert gate.most == 3
    wait_until(lambda: served.server._engine.crew.strength == 1)
    assert served.get().body == b"hello"


def test_pool_does_not_grow_by_default(serve_app, gate):
    served = serve_app(gate, thread_pool=1)
    clients = [served.connect().send(WAIT) for _ in range(3)]
    gate.entered(1)
    assert not gate.inside.acquire(timeout=0.1)
    gate.go.set()
    assert [client.answer().status for client in clients] == [200] * 3


def test_many_clients_at_once_get_their_own_answers(serve_app):
    def app(environ, start_response):
        if environ["PATH_INFO"].endswith("7"):
            time.sleep(0.002)
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    served = serve_app(app, thread_pool=5)
    wrong = []

    def talk(number):
        client = served.connect()
        for n in range(40):
            path = f"/{number}/{n}"
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            if client.answer().body != path.encode():
                wrong.append(path)

    at_once(*(partial(talk, n) for n in range(16)))
    assert wrong == []
    assert served.logged == []


# -- slow and silent clients --------------------------------------------------------------------


def test_unfinished_heads_and_bodies_hold_no_thread(serve_app):
    served = serve_app(hello, thread_pool=2, shutdown_timeout=0.1, header_timeout=10 * PATIENCE)
    for _ in range(20):
        served.connect()
        served.connect().send(b"GET / HT")
        served.connect().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
    assert served.get().body == b"hello"


def test_a_head_in_single_bytes_is_answered(serve_app):
    client = serve_app(hello).connect()
    for byte in GET:
        client.send(bytes([byte]))
    assert client.answer().body == b"hello"


def test_slow_reader_of_a_long_list_holds_no_thread(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"x" * 5_000_000] if environ["PATH_INFO"] == "/long" else [b"short"]

    served = serve_app(app, thread_pool=1)
    slow = served.connect().send(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
    assert served.get().body == b"short"
    assert len(slow.answer().body) == 5_000_000
    assert slow.send(GET).answer().body == b"short"


def test_producer_waits_for_a_slow_reader(serve_app):
    produced = []

    def app(environ, start_response):
        start_response("200 OK", [])
        for n in range(500):
            produced.append(n)
            yield b"x" * 100_000

    served = serve_app(app)
    client = served.connect().send(GET)
    client.sock.recv(1)
    assert served.get("/").headers["Transfer-Encoding"] == "chunked"
    assert len(produced) < 1000
    client.close()


def test_client_that_takes_no_answers_gets_no_more_of_them(serve_app):
    calls = []

    def app(environ, start_response):
        calls.append(1)
        start_response("200 OK", [])
        return [b"x" * 1_000_000]

    served = serve_app(app, thread_pool=1, socket_timeout=0, shutdown_timeout=0.1)
    client = served.connect().send(GET * 100)
    client.sock.recv(1)
    assert served.get().status == 200
    assert len(calls) < 50
    client.close()


def test_reader_that_takes_nothing_is_hung_up_on(serve_app, wait_until):
    closed = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            closed.set()

    served = serve_app(app, socket_timeout=0.1)
    served.connect().send(GET)
    assert closed.wait(10)
    wait_until(lambda: not served.server._engine.connections)
    assert served.logged == []


# -- time limits --------------------------------------------------------------------------------


def test_idle_connection_is_closed_after_its_time(serve_app):
    client = serve_app(hello, keep_alive_timeout=0.1).connect().send(GET)
    assert client.answer().body == b"hello"
    assert client.rest() == b""


def test_connection_is_idle_when_a_slow_reader_has_its_answer(serve_app):
    served = serve_app(
        lambda e, s: s("200 OK", []) and [b"a" * 20_000_000],
        socket_timeout=0,
        keep_alive_timeout=0.1,
    )
    client = served.connect().send(GET)
    assert len(client.answer().body) == 20_000_000
    assert client.rest() == b""


def test_keep_alive_of_zero_closes_with_the_answer(serve_app):
    answer = serve_app(hello, keep_alive_timeout=0).talk(GET)
    assert b"Connection: close" in answer


def test_head_that_does_not_end_is_a_408(serve_app):
    [client] = serve_app(hello, early=b"GET / HTTP/1.1\r\n", header_timeout=0.1).clients
    assert client.rest().startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_dripping_does_not_prolong_a_head(serve_app):
    [client] = serve_app(hello, early=b"GET / HTTP/1.1\r\n", header_timeout=0.2).clients
    client.sock.settimeout(0.02)
    seen = b""
    began = time.monotonic()
    while b"408" not in seen and time.monotonic() - began < PATIENCE:
        with suppress(ConnectionError):  # it has been answered
            client.send(b"X")
        with suppress(TimeoutError):
            seen += client.sock.recv(100)
    assert time.monotonic() - began < PATIENCE / 2


def test_connection_that_never_says_anything_is_closed(serve_app):
    assert serve_app(hello, header_timeout=0.1).talk(b"") == b""


def test_body_that_does_not_go_on_is_a_408(serve_app):
    served = serve_app(hello, socket_timeout=0.1)
    answer = served.talk(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_time_limits_of_zero_are_none(serve_app):
    client = serve_app(hello, header_timeout=0, socket_timeout=0, keep_alive_timeout=0.05).connect()
    assert served_after(client, 0.3)


def served_after(client, seconds):
    client.send(GET[:10])
    threading.Event().wait(seconds)
    return client.send(GET[10:]).answer().body == b"hello"


# -- errors around the sockets ------------------------------------------------------------------


def test_clients_that_reset_at_any_stage_leave_nothing_behind(serve_app, wait_until):
    served = serve_app(hello, thread_pool=2)
    for part in (
        b"",
        GET[:5],
        GET,
        GET * 3,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
    ):
        for _ in range(5):
            client = served.connect().send(part)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    wait_until(lambda: not served.server._engine.connections)
    assert served.get().body == b"hello"
    assert served.logged == []


def test_want_of_descriptors_pauses_accepting_and_recovers(serve_app, monkeypatch):
    monkeypatch.setattr(acceptor_module, "DEAF_TIME", 0.05)
    monkeypatch.setattr(watch_module, "LONGEST_SLEEP", 0.05)
    failures = []

    class Poor(socket.socket):
        def accept(self):
            if len(failures) < 3:
                failures.append(1)
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    with Poor() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        served = serve_app(hello, socket=listening)
        assert served.get().body == b"hello"
        served.close()
    assert served.logged == [
        ("ERROR", "cannot accept connections: [Errno 24] Too many open files")  # told once
    ]


def test_error_in_the_protocol_costs_a_connection_and_no_thread(serve_app, monkeypatch):
    served = serve_app(hello, thread_pool=2)
    feed = server_module.HTTP1.feed
    monkeypatch.setattr(server_module.HTTP1, "feed", lambda self, data: 1 / 0)
    assert [served.talk(GET) for _ in range(5)] == [b""] * 5
    monkeypatch.setattr(server_module.HTTP1, "feed", feed)
    assert served.get().body == b"hello"
    assert {level for level, _ in served.logged} == {"ERROR"}
    assert threading.active_count() >= 3


def test_client_that_sends_without_a_pause_keeps_nobody_waiting(serve_app, monkeypatch):
    class Pressing(Connection):
        def __init__(self, sock, peer, engine):
            super().__init__(sock, peer, engine)
            if not engine.connections:  # the first one
                self.recv = lambda size: b"\r\n" * (size // 2)

    monkeypatch.setattr(server_module, "Engine", partial(Engine, connection=Pressing))
    served = serve_app(hello, thread_pool=1)
    served.connect().send(b"\r\n")
    assert served.get().body == b"hello"


def test_client_that_sends_many_requests_at_once_leaves_others_their_turn(serve_app, wait_until):
    paths, others = [], []

    def app(environ, start_response):
        paths.append(environ["PATH_INFO"])
        if len(paths) == 1:
            others.append(served.connect().send(GET.replace(b"/", b"/other", 1)))
            wait_until(lambda: served.server._engine.ready)
        return hello(environ, start_response)

    served = serve_app(app, thread_pool=1)
    many = served.connect().send(GET * 500)
    assert {many.answer().status for _ in range(500)} == {200}
    assert others[0].answer().body == b"hello"
    assert paths.index("/other") < 100
