"""Applications that wait for a slow client do so beside the pool."""

import select
from types import SimpleNamespace

import pytest

from cptoolkit.servers import connection as connection_module

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("clients", [2, 40])
def test_reading_of_slow_bodies_leaves_threads_for_others(serve_app, app, clients):
    served = serve_app(app, thread_pool=2, request_body_buffer=0)
    slow = [served.connect().send(POST) for _ in range(clients)]
    for _ in range(3):
        for client in slow:
            client.send(b"a")
        assert served.get("/quick").status == 200
    for client in slow:
        client.send(b"a" * 97)
        assert client.answer().status == 200


def test_slow_readers_of_a_stream_leave_threads_for_others(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/quick":
            return [b"ok"]
        return (b"x" * 500_000 for _ in range(100))

    served = serve_app(app, thread_pool=1)
    for _ in range(5):
        served.connect().send(GET).sock.recv(10)
    assert served.get("/quick").body == b"ok"


def test_threads_beside_the_pool_are_bounded(serve_app, app, wait_until):
    served = serve_app(app, thread_pool=1, max_upgrades=1, request_body_buffer=0)
    first, second = (served.connect().send(POST) for _ in range(2))
    engine = served.server._engine
    wait_until(lambda: engine.crew.lent == 1 and engine.crew.strength == 1)
    quick = served.connect().send(GET)
    first.send(b"a" * 100)
    second.send(b"a" * 100)
    assert [client.answer().status for client in (first, second, quick)] == [200] * 3


def test_all_the_waiting_for_a_body_in_drips_counts_and_not_each_wait(
    serve_app, app, clock, monkeypatch
):
    served = serve_app(
        app, thread_pool=1, request_body_buffer=0, socket_timeout=0, header_timeout=0
    )
    client = served.connect()
    drips = 5

    class SlowPoll:
        """A wait in which time passes, and the next drip comes at last."""

        def __init__(self):
            self.poll = lambda timeout: self.drip() or real.poll(timeout)
            real = select.poll()
            self.register = real.register

        def drip(self):
            nonlocal drips
            clock.ahead += 4000
            if drips:
                drips -= 1
                client.send(b"a")

    monkeypatch.setattr(connection_module, "SLOW_CLIENT", 10_000)
    slow = SimpleNamespace(poll=SlowPoll, POLLIN=select.POLLIN, POLLOUT=select.POLLOUT)
    monkeypatch.setattr(connection_module, "select", slow)
    client.send(POST)
    assert served.get("/quick").body == b"1"
    assert client.send(b"a" * 95).answer().body == b"2"
