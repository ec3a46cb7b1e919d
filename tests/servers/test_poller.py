"""What epoll tells of connections."""

from __future__ import annotations

import socket
import sys

import pytest

from cptoolkit.servers import poller as poller_module
from cptoolkit.servers.connection import Connection

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")


@pytest.fixture
def poller():
    poller = poller_module.EpollPoller()
    yield poller
    poller.close()


@pytest.fixture
def conn(poller):
    """A connection of which there is to say that it takes bytes, and nothing else."""
    near, far = socket.socketpair()
    with near, far:
        conn = Connection(near, "", None)
        poller.add(conn)
        yield conn


def test_room_is_no_event_for_who_has_nothing_to_send(poller, conn):
    assert poller.wait(0) == ([], [])


def test_room_is_an_event_for_who_has_something_to_send(poller, conn):
    conn.unsent = True
    assert poller.wait(0) == ([conn], [])


def test_room_is_an_event_while_somebody_may_be_about_to_keep_something(poller, conn):
    with conn.lock:
        assert poller.wait(0) == ([conn], [])
