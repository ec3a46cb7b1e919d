"""Sockets that pass from one server to the next, and requests that race with the stop."""

from __future__ import annotations

import socket
import threading

import pytest

from cptoolkit.servers import Options, Server
from cptoolkit.servers.sockets import listen

GET = b"GET / HTTP/1.0\r\n\r\n"
PATIENCE = 10


def named(name):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [name]

    return app


@pytest.fixture
def run():
    """Return a function that serves in a thread; what runs is stopped at the end."""
    running = []

    def start(server):
        server.prepare()
        thread = threading.Thread(target=server.serve)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


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
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
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
    thread = threading.Thread(target=server.serve)
    thread.start()
    while not server.ready:
        pass
    assert fetch(server.bound_addr) == b"one"
    server.stop()
    thread.join(PATIENCE)


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
        clients = [threading.Thread(target=talk, args=[sock]) for sock in socks]
        for client in clients:
            client.start()
        enough = len(begun) + 200
        while len(begun) < enough:
            threading.Event().wait(0.001)
        server.stop()
        for client in clients:
            client.join(PATIENCE)
    assert torn == []
    assert len(answered) == len(begun)
