"""Sockets that pass from one server to the next, and requests that race with the stop."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from functools import partial

import pytest
from beside import PATIENCE, at_once, in_threads, wait_until

from cptoolkit.servers import Options, Server
from cptoolkit.servers.sockets import listen

GET = b"GET / HTTP/1.0\r\n\r\n"


def named(name):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [name]

    return app


@pytest.fixture
def run():
    """Return a function that serves in a thread; what runs is stopped at the end."""
    with ExitStack() as running:

        def start(server):
            server.prepare()
            running.enter_context(in_threads(server.serve, stop=server.stop))
            return server

        yield start


def fetch(address):
    with socket.create_connection(address, PATIENCE) as client, client.makefile("rb") as answer:
        client.sendall(GET)
        return answer.read().rpartition(b"\r\n")[2]


def test_connections_wait_for_the_server_that_adopts_the_sockets(run):
    first, second = Server(named(b"one"), port=0), Server(named(b"two"))
    run(first)
    listeners = first.detach()
    first.stop()
    with socket.create_connection(listeners.address, PATIENCE) as waiting:
        waiting.sendall(GET)
        second.adopt(listeners)
        run(second)
        assert waiting.makefile("rb").read().endswith(b"two")
    assert second.bound_addr == first.bound_addr
    second.stop()
    with pytest.raises(ConnectionRefusedError):
        fetch(second.bound_addr)


def test_server_that_has_let_go_serves_until_it_is_stopped(run):
    server = Server(named(b"one"), port=0)
    run(server)
    with pytest.raises(OSError, match="in use"):
        listen(Options(port=server.bound_addr[1]))
    listeners = server.detach()
    assert fetch(listeners.address) == b"one"
    server.stop()
    listeners.close()


def test_file_of_a_unix_socket_stays_for_its_adopter(run, tmp_path):
    path = str(tmp_path / "s")
    first, second = Server(named(b"one"), socket_file=path), Server(named(b"two"))
    run(first)
    listeners = first.detach()
    first.stop()
    second.adopt(listeners)
    run(second)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(GET)
        assert client.makefile("rb").read().endswith(b"two")
    second.stop()
    assert not (tmp_path / "s").exists()


def test_stop_before_serve_leaves_nothing_to_serve():
    server = Server(named(b"one"), port=0)
    server.prepare()
    address = server.bound_addr
    server.stop()
    at_once(server.serve)
    with pytest.raises(ConnectionRefusedError):
        fetch(address)


def test_server_that_was_stopped_before_it_served_can_serve_later(run):
    server = Server(named(b"one"), port=0)
    server.prepare()
    server.stop()
    run(server)
    assert fetch(server.bound_addr) == b"one"


def test_stop_of_a_server_that_was_not_prepared_does_not_count(run):
    server = Server(named(b"one"), port=0)
    server.stop()
    with in_threads(server.serve, stop=server.stop):
        wait_until(lambda: server.ready)
        assert fetch(server.bound_addr) == b"one"


def test_server_starts_and_stops_many_times_on_one_port(run):
    server = Server(named(b"one"), port=0)
    server.prepare()
    port = server.bound_addr[1]
    server.stop()
    server = Server(named(b"one"), port=port)
    for _ in range(20):
        run(server)
        assert fetch(("127.0.0.1", port)) == b"one"
        server.stop()


def test_request_that_races_with_the_stop_is_answered_or_was_never_begun(run):
    begun, answered, torn = [], [], []

    def app(environ, start_response):
        begun.append(1)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    def talk(client):
        with client:
            while True:
                try:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    answer = client.recv(1000)
                except ConnectionError:
                    return
                if not answer:
                    return
                (answered if answer.endswith(b"hello") else torn).append(1)
                if b"Connection: close" in answer:
                    return

    server = Server(app, port=0)
    for _ in range(5):
        run(server)
        socks = [socket.create_connection(server.bound_addr, PATIENCE) for _ in range(8)]
        enough = len(begun) + 200
        with in_threads(*(partial(talk, sock) for sock in socks), stop=server.stop):
            wait_until(lambda enough=enough: len(begun) >= enough)
    assert torn == []
    assert len(answered) == len(begun)
