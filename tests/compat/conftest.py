"""What tests of servers under CherryPy's names share."""

from __future__ import annotations

import contextlib
import http.client

import pytest
from beside import in_threads, wait_until


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
    with contextlib.ExitStack() as running:

        def start(server):
            [thread] = running.enter_context(in_threads(server.start, stop=server.stop))

            def ready():
                assert thread.is_alive(), "the server has ended before it was ready"
                return server.ready

            wait_until(ready)
            return server.bound_addr

        yield start
