"""What tests of servers under CherryPy's names share."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time

import pytest


@pytest.fixture
def fetch():
    """Status and body of a page: ``fetch((host, port), path)``."""

    def fetch(address, path="/", connect=http.client.HTTPConnection, headers=None, **options):
        client = connect("127.0.0.1", address[1], timeout=30, **options)
        with contextlib.closing(client):
            client.request("GET", path, headers=headers or {})
            answer = client.getresponse()
            return answer.status, answer.read().decode()

    return fetch


@pytest.fixture
def started():
    """Starts a server in a thread of its own, and stops it when the test is over."""
    running = []

    def start(server):
        thread = threading.Thread(target=server.start)
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + 20
        while not server.ready:
            assert thread.is_alive(), "the server has ended before it was ready"
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.005)
        return server.bound_addr

    yield start
    for server, thread in running:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()
