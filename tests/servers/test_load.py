"""Many clients: slow ones, silent ones, idle ones, and a stop in the middle of it all."""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from collections import Counter
from functools import partial

import pytest
from beside import PATIENCE, in_threads, rests, wait_until

pytestmark = pytest.mark.usefixtures("many_descriptors")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CROWD = 300


def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@pytest.fixture
def crowd(serve_app, wait_until):
    """Return a function that serves ``app`` to many clients who have sent something."""

    def gather(count, text=b"", **options):
        served = serve_app(
            app, header_timeout=60, socket_timeout=60, keep_alive_timeout=60, **options
        )
        clients = [served.connect().send(text) for _ in range(count)]
        wait_until(lambda: len(served.server._engine.connections) == count)
        return served, clients

    return gather


def threads_of(served):
    crew = served.server._engine.crew
    return crew.strength + crew.lent


def delay_of(served, count=50):
    """The usual seconds from a request to its answer, on one connection."""
    client = served.connect()
    delays = []
    for _ in range(count):
        began = time.perf_counter()
        assert client.send(GET).answer().body == b"hello"
        delays.append(time.perf_counter() - began)
    client.close()
    return statistics.median(delays)


@pytest.mark.parametrize(
    ("text", "drip"),
    [
        pytest.param(b"", b"", id="say nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nX: ", b"x", id="drip their heads"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n",
            b"x",
            id="drip their bodies",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
            id="drip chunks",
        ),
    ],
)
def test_hundreds_of_clients_change_nothing_for_others_when_they(serve_app, crowd, text, drip):
    usual = 20 * delay_of(serve_app(app))
    served, clients = crowd(CROWD, text, thread_pool=2, shutdown_timeout=0.1, body_rate=0)
    over = threading.Event()

    def trickle():
        while drip and not over.wait(0.05):
            for client in clients:
                client.send(drip)

    with in_threads(trickle, stop=over.set):
        assert delay_of(served) < usual + 0.1
    assert threads_of(served) < 10


def test_idle_connections_change_nothing_for_others(serve_app, crowd):
    usual = 20 * delay_of(serve_app(app))
    served, clients = crowd(500, GET, thread_pool=2)
    assert {client.answer().body for client in clients} == {b"hello"}
    assert delay_of(served) < usual + 0.05
    assert threads_of(served) < 10
    wait_until(rests)


def test_thousands_of_requests_leave_nothing_behind(serve_app, wait_until):
    served = serve_app(app, thread_pool=3)

    def talk(count):
        """Half of the requests on connections of their own."""
        client = served.connect()
        for _ in range(count // 2):
            assert client.send(GET).answer().body == b"hello"
            assert served.get().body == b"hello"
            served.clients.pop().close()
        client.close()
        wait_until(lambda: not served.server._engine.connections)

    def footprint():
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return pages * os.sysconf("SC_PAGESIZE"), len(os.listdir("/proc/self/fd"))

    talk(1000)
    for _ in range(5):  # what else goes on in this process may take something, though not each time
        memory, descriptors = footprint()
        talk(1000)
        memory_later, descriptors_later = footprint()
        if descriptors_later <= descriptors and memory_later - memory < 200_000:
            return
    pytest.fail(f"{memory_later - memory} bytes, {descriptors_later - descriptors} descriptors")


@pytest.mark.parametrize("seconds", [0.0, 0.002], ids=["quick handlers", "slow handlers"])
def test_stop_in_the_middle_of_it_all_drops_no_request(serve_app, wait_until, seconds):
    begun = Counter()

    def app(environ, start_response):
        begun[environ["PATH_INFO"]] += 1
        if seconds:
            time.sleep(seconds)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    served = serve_app(app, thread_pool=4)
    address = served.server.bound_addr
    answered = Counter()
    wrong = []
    enough = threading.Event()

    def talk(name):
        number = 0
        try:
            while True:
                with socket.create_connection(address, timeout=10) as sock:
                    for _ in range(5):
                        number += 1
                        path = f"/{name}/{number}"
                        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                        if not (answer := read(sock)):
                            break
                        if not answer.endswith(b"\r\n\r\nhello"):
                            wrong.append(answer)
                        answered[path] += 1
                        if sum(answered.values()) > 200:
                            enough.set()
                        if b"Connection: close" in answer:
                            break
        except ConnectionError:
            """Nobody listens any more, or the request came a moment too late to be read."""

    with in_threads(*(partial(talk, n) for n in range(20)), stop=served.server.stop):
        assert enough.wait(PATIENCE)
    assert wrong == []
    assert begun == answered
    assert served.logged == []


def read(sock):
    answer = b""
    while not answer.endswith(b"hello"):
        data = sock.recv(1000)
        if not data:
            break
        answer += data
    return answer
