"""How many connections, requests and threads there may be, and what becomes of the rest."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import time
from collections import deque
from contextlib import ExitStack

import pytest
from beside import PATIENCE, in_threads

from cptoolkit.servers import Options
from cptoolkit.servers import crew as crew_module
from cptoolkit.servers import server as server_module
from cptoolkit.servers import watch as watch_module
from cptoolkit.servers.acceptor import Acceptor

pytestmark = pytest.mark.usefixtures("each_poller")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"


class Gate:
    """An application in which requests for /wait stay until they are let go."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            self.inside.release()
            assert self.go.wait(20)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    def entered(self, count):
        for _ in range(count):
            assert self.inside.acquire(timeout=10)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.go.set()


def undated(head):
    return [line for line in head.split(b"\r\n") if not line.startswith(b"Date: ")]


def threads_of(served):
    return served.server._engine.crew.strength


# -- connections --------------------------------------------------------------------------------


def test_connection_ends_though_a_process_that_was_forked_has_a_copy_of_it(serve_app):
    copies = []

    def app(environ, start_response):
        copies.extend(os.dup(number) for number in list(served.server._engine.connections))
        start_response("200 OK", [])
        return [b"hello"]

    served = serve_app(app)
    try:
        assert served.talk(b"GET / HTTP/1.0\r\n\r\n").endswith(b"hello")
    finally:
        for number in copies:
            os.close(number)
    assert copies


def test_flood_of_connections_does_not_keep_the_server_from_its_end():
    class Flood:
        family = socket.AF_UNIX

        def accept(self):
            return self, ""

        def setblocking(self, blocking):
            pass

        def listen(self, sock):
            pass

        ignore = listen

    welcomed = []
    flood = Flood()
    acceptor = Acceptor(
        [flood], flood, Options(), print, lambda: 0, lambda sock, peer: welcomed.append(sock)
    )
    acceptor.take_last()
    assert len(welcomed) >= Options().socket_queue_size


def test_stop_answers_those_who_had_to_wait_for_descriptors(serve_app, app):
    class Scarce(socket.socket):
        def accept(self):
            if len(served.server._engine.connections) >= 2:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    with Scarce(fileno=socket.create_server(("127.0.0.1", 0)).detach()) as listener:
        served = serve_app(app, socket=listener)
        clients = [served.connect().send(GET) for _ in range(6)]
        assert clients[0].answer().status == 200
        served.server.stop()
        assert [client.answer().status for client in clients[1:]] == [200] * 5


def test_connections_beyond_the_limit_wait_until_one_closes(serve_app, gate):
    served = serve_app(gate, max_connections=2)
    first, second = served.connect().send(GET), served.connect().send(GET)
    assert first.answer().body == second.answer().body == b"hello"
    third = served.connect().send(GET)
    third.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        third.sock.recv(1)
    third.sock.settimeout(10)
    first.close()
    assert third.sock.recv(12) == b"HTTP/1.1 200"
    assert second.send(GET).answer().body == b"hello"


def test_limit_of_connections_is_told_once_and_not_each_time(serve_app, gate):
    served = serve_app(gate, max_connections=1)
    assert [served.get().body for _ in range(20)] == [b"hello"] * 20
    assert served.logged == [("WARNING", "1 connections are open, more have to wait")]


def test_many_more_clients_than_connections_are_all_served(serve_app, gate):
    served = serve_app(gate, max_connections=3)
    clients = [served.connect() for _ in range(30)]
    for client in clients:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert [client.answer().body for client in clients] == [b"hello"] * 30


def test_a_quarter_of_the_descriptors_is_left_to_the_application(serve_app, gate, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (8, 4096))
    served = serve_app(gate)
    clients = [served.connect().send(GET) for _ in range(7)]
    assert [client.answer().body for client in clients[:6]] == [b"hello"] * 6
    assert served.logged == [("WARNING", "6 connections are open, more have to wait")]
    clients[0].close()
    assert clients[6].answer().body == b"hello"


# -- requests that wait -------------------------------------------------------------------------


def test_requests_beyond_the_queue_are_refused_after_a_time(serve_app, gate, wait_until):
    served = serve_app(gate, thread_pool=1, accepted_queue_size=2, accepted_queue_timeout=0.05)
    blocked = served.connect().send(WAIT)
    gate.entered(1)
    queued = []
    for count in (1, 2):
        queued.append(served.connect().send(GET))
        wait_until(lambda count=count: len(served.server._engine.ready) == count)
    refused = [served.connect().send(GET).answer() for _ in range(3)]
    assert [answer.status for answer in refused] == [503] * 3
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert {answer.headers["Connection"] for answer in refused} == {"close"}
    gate.go.set()
    assert [client.answer().body for client in [blocked, *queued]] == [b"hello"] * 3


def test_head_is_refused_with_the_fields_of_get_and_no_content(serve_app, gate):
    served = serve_app(gate, thread_pool=1, accepted_queue_size=0, accepted_queue_timeout=0)
    served.connect().send(WAIT)
    gate.entered(1)
    (get, content), (head, nothing) = (
        served.talk(GET.replace(b"GET", method)).split(b"\r\n\r\n") for method in (b"GET", b"HEAD")
    )
    assert get.startswith(b"HTTP/1.1 503 ")
    assert undated(head) == undated(get)
    assert (bool(content), nothing) == (True, b"")


def test_queue_of_zero_refuses_what_no_thread_is_free_for(serve_app, gate):
    served = serve_app(gate, thread_pool=1, accepted_queue_size=0, accepted_queue_timeout=0)
    blocked = served.connect().send(WAIT)
    gate.entered(1)
    assert served.connect().send(GET).answer().status == 503
    gate.go.set()
    assert blocked.answer().body == b"hello"
    assert served.get().body == b"hello"


def test_nothing_is_refused_while_a_thread_is_free(serve_app, gate):
    served = serve_app(gate, thread_pool=2, accepted_queue_size=0, accepted_queue_timeout=PATIENCE)
    served.connect().send(WAIT)
    gate.entered(1)
    clients = [served.connect().send(GET * 5) for _ in range(20)]
    assert {c.answer().status for c in clients for _ in range(5)} == {200}


def test_request_that_comes_to_the_front_in_time_is_answered(serve_app, gate, wait_until):
    served = serve_app(gate, thread_pool=1, accepted_queue_size=0, accepted_queue_timeout=10)
    blocked = served.connect().send(WAIT)
    gate.entered(1)
    waiting = served.connect().send(GET)
    wait_until(lambda: served.server._engine._watch._waiting)
    gate.go.set()
    assert blocked.answer().body == waiting.answer().body == b"hello"


def test_request_that_is_still_coming_when_there_is_no_room_is_refused_when_it_is_whole(
    serve_app, gate, wait_until
):
    served = serve_app(gate, thread_pool=1, accepted_queue_size=0, accepted_queue_timeout=0)
    served.connect().send(WAIT)
    gate.entered(1)
    client = served.connect().send(GET[:10])
    wait_until(lambda: len(served.server._engine.connections) == 2)
    assert client.send(GET[10:]).answer().status == 503


def test_queue_has_no_limit_by_default(serve_app, gate):
    served = serve_app(gate, thread_pool=1, accepted_queue_timeout=0)
    served.connect().send(WAIT)
    gate.entered(1)
    clients = [served.connect().send(GET) for _ in range(50)]
    gate.go.set()
    assert [client.answer().status for client in clients] == [200] * 50


def test_drips_of_clients_that_wait_are_kept_in_mind_once(serve_app, gate, wait_until):
    served = serve_app(gate, thread_pool=1)
    served.connect().send(WAIT)
    gate.entered(1)
    engine = served.server._engine
    client = served.connect().send(GET[:-2])
    wait_until(lambda: len(engine.connections) == 2 and engine.ready)
    waiting = engine.ready[0]
    engine.ready.extend([waiting] * 1000)
    wait_until(lambda: len(engine.ready) < 10)
    gate.go.set()
    assert client.send(GET[-2:]).answer().body == b"hello"


# -- answers that wait for their readers --------------------------------------------------------


@pytest.mark.parametrize("room", [100_000, 1_000_000])
def test_producer_is_ahead_of_its_reader_by_so_much_and_no_more(
    serve_app, tmp_path, wait_until, room
):
    produced = 0

    def app(environ, start_response):
        nonlocal produced
        start_response("200 OK", [])
        for _ in range(400):
            produced += 10_000
            yield b"x" * 10_000

    path = str(tmp_path / "socket")  # what the kernel keeps of it is little, and always the same
    served = serve_app(app, socket_file=path, response_buffer=room)
    client = served.connect().send(GET)
    client.sock.recv(1)
    (conn,) = served.server._engine.connections.values()
    wait_until(lambda: room - 20_000 < len(conn.out))
    assert len(conn.out) <= room
    assert room < produced < room + 1_000_000
    total = 1
    while total < 4_000_000:
        total += len(client.sock.recv(100_000))
    wait_until(lambda: not conn.unsent)
    assert len(conn.out) == 0


# -- threads ------------------------------------------------------------------------------------


def test_pool_grows_for_clients_that_are_connected_already(serve_app, gate):
    served = serve_app(gate, thread_pool=2, thread_pool_max=6)
    clients = [served.connect().send(GET) for _ in range(6)]
    assert {client.answer().status for client in clients} == {200}
    for client in clients:
        client.send(WAIT)
        gate.entered(1)
    assert threads_of(served) == 6
    gate.go.set()


def test_pool_grows_again_when_handlers_that_were_slow_come_back(serve_app, wait_until):
    rounds = [threading.Barrier(4) for _ in range(2)]

    def app(environ, start_response):
        rounds[int(environ["QUERY_STRING"])].wait(10)
        start_response("200 OK", [])
        return [b"together"]

    served = serve_app(app, thread_pool=1, thread_pool_max=4)
    clients = [served.connect() for _ in range(4)]
    for number in range(2):
        for client in clients:
            client.send(b"GET /?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        assert [client.answer().body for client in clients] == [b"together"] * 4
        wait_until(lambda: served.server._engine._watch.parked)


def test_want_of_threads_is_told_once_and_made_good(serve_app, gate, monkeypatch, wait_until):
    served = serve_app(gate, thread_pool=1, thread_pool_max=3)
    wait_until(lambda: threads_of(served) == 1)

    class Refused(crew_module.Worker):
        def start(self):
            raise RuntimeError("can't start new thread")

    worker = crew_module.Worker
    monkeypatch.setattr(crew_module, "Worker", Refused)
    clients = [served.connect().send(WAIT) for _ in range(3)]
    gate.entered(1)
    wait_until(lambda: served.logged)
    served.server._engine.crew.refill()  # as the watch does every second
    assert not gate.inside.acquire(timeout=0.1)
    monkeypatch.setattr(crew_module, "Worker", worker)
    gate.entered(2)
    gate.go.set()
    assert [client.answer().body for client in clients] == [b"hello"] * 3
    text = "only 1 of 2 threads are there for requests: can't start new thread"
    assert served.logged == [("ERROR", text)]


def test_all_threads_that_are_not_needed_any_more_end_together(wait_until):
    def work(worker):
        while crew.rest(worker) and not crew.quitting:
            ended.wait(10)  # it leads
        crew.leave(worker)

    ended = threading.Event()
    crew = crew_module.Crew(work, 2, print)
    crew.fill(20)
    wait_until(lambda: crew.resting == 19)
    for _ in range(2):
        crew.dismiss_surplus(float("inf"))
    wait_until(lambda: crew.strength == 2)
    assert crew.resting == 1
    crew.quit()
    ended.set()
    assert crew.join(time.monotonic() + 10) == []


def test_threads_that_are_just_ending_are_waited_for():
    def work(worker):
        while crew.rest(worker):
            quitting.wait(PATIENCE)  # it leads
        crew.leave(worker)
        left.set()
        end.wait(PATIENCE)

    quitting, left, end, stuck = *(threading.Event() for _ in range(3)), []
    crew = crew_module.Crew(work, 1, print)
    crew.refill()
    crew.quit()
    quitting.set()
    assert left.wait(PATIENCE)
    with in_threads(lambda: stuck.extend(["joined", *crew.join(0.0)]), stop=end.set) as [joining]:
        joining.join(0.1)
        assert not stuck
    assert stuck == ["joined"]


def test_threads_that_are_just_being_hired_can_be_waited_for(monkeypatch):
    ending, ended = [], []

    def end():
        crew.quit()
        ended.append(crew.join(time.monotonic() + PATIENCE))

    def start(worker):
        if not ending:  # the worker may end, and be replaced, before all quit
            ending.extend(stack.enter_context(in_threads(end)))
            ending[0].join(0.1)
        threading.Thread.start(worker)

    crew = crew_module.Crew(lambda worker: crew.leave(worker), 1, print)
    monkeypatch.setattr(crew_module.Worker, "start", start)
    with ExitStack() as stack:
        crew.refill()
    assert ended == [[]]


# -- connections that change hands --------------------------------------------------------------


class Taken:
    """A protocol whose one request is whatever comes, and which gives its connection away."""

    def __init__(self, conn, talk):
        self.requests = deque()
        self.conn = conn
        self.talk = talk

    def feed(self, data):
        if data:
            self.requests.append(data)
        else:
            self.conn.close()

    def answer(self):
        said = self.requests.popleft()
        if said == b"plain":
            self.conn.send(b"plain")
        else:
            self.talk(self.conn.hand_over())
            self.conn.close()

    def idle(self):
        return not self.requests

    def expired(self):
        pass

    overloaded = closed = renew_deadline = expired


def echo(sock):
    sock.sendall(b"ready")
    while data := sock.recv(1000):
        sock.sendall(data)


@pytest.fixture
def engine_of():
    """Return a function that runs an engine with a protocol: address and engine."""
    ends = []

    def start(talk, **options):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        logged = []
        engine = server_module.Engine(
            Options(**options),
            [listener],
            lambda conn: Taken(conn, talk),
            lambda *args: logged.append(args[0]),
        )
        thread = threading.Thread(target=engine.run, daemon=True)
        thread.start()

        def end():
            engine.stop()
            thread.join(PATIENCE)
            engine.deafen()
            listener.close()
            stuck = engine.drain()
            ends.remove(end)
            return stuck, logged

        engine.end = end
        ends.append(end)
        return listener.getsockname(), engine

    yield start
    for end in list(ends):
        end()


@pytest.fixture
def connect():
    """Return a function that connects to an address and sends a text."""
    sockets = []

    def connect(address, text):
        sockets.append(socket.create_connection(address, timeout=10))
        sockets[-1].sendall(text)
        return sockets[-1]

    yield connect
    for sock in sockets:
        sock.close()


def test_connections_handed_over_cost_requests_no_thread(
    engine_of, connect, wait_until, monkeypatch
):
    monkeypatch.setattr(watch_module, "SURPLUS_TIME", 0.0)
    address, engine = engine_of(echo, thread_pool=2, keep_alive_timeout=0.1)
    taken = [connect(address, b"take") for _ in range(5)]
    for sock in taken:
        assert sock.recv(5) == b"ready"
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    with connect(address, b"plain") as plain:
        assert plain.recv(5) == b"plain"
    assert engine.crew.strength == 2
    for sock in taken:
        sock.close()
    wait_until(lambda: not engine._handed_over and len(engine.crew._members) == 2)
    assert engine.end() == ([], [])


def test_thread_of_a_connection_handed_over_is_replaced_at_once(engine_of, connect):
    address, _ = engine_of(echo, thread_pool=1)
    began = time.monotonic()
    for _ in range(50):
        assert connect(address, b"take").recv(5) == b"ready"
    assert time.monotonic() - began < 50 * watch_module.LONGEST_SLEEP / 2  # the watch has no part


def test_no_more_are_handed_over_than_allowed(engine_of, connect, wait_until):
    address, engine = engine_of(echo, thread_pool=1, max_upgrades=2)
    assert engine.takes_over()
    with connect(address, b"take"), connect(address, b"take"):
        wait_until(lambda: not engine.takes_over())
    wait_until(engine.takes_over)


def test_connections_handed_over_count_as_open(engine_of, connect):
    address, _ = engine_of(echo, thread_pool=1, max_connections=2)
    first = connect(address, b"take")
    assert first.recv(5) == b"ready"
    second = connect(address, b"plain")
    assert second.recv(5) == b"plain"
    third = connect(address, b"plain")
    third.settimeout(0.1)
    with pytest.raises(TimeoutError):
        third.recv(1)
    third.settimeout(10)
    first.close()
    assert third.recv(5) == b"plain"


def test_stop_ends_conversations_that_would_last(engine_of, connect):
    address, engine = engine_of(echo, thread_pool=1, shutdown_timeout=30)
    with connect(address, b"take") as sock:
        assert sock.recv(5) == b"ready"
        began = time.monotonic()
        assert engine.end() == ([], [])
        assert time.monotonic() - began < 20
        assert sock.recv(1) == b""


def test_conversation_that_fails_is_told_and_closed(engine_of, connect):
    address, engine = engine_of(lambda sock: 1 / 0, thread_pool=1)
    with connect(address, b"take") as sock:
        assert sock.recv(1) == b""
    with connect(address, b"plain") as sock:
        assert sock.recv(5) == b"plain"
    assert engine.end() == ([], ["a connection was dropped because of an error"])
    assert engine.crew.lent == 0
