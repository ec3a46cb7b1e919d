"""Waiting for many sockets at once: epoll where there is one, ``selectors`` elsewhere.

Both hand out connections on which something happened. epoll works edge-triggered, so a connection
is registered once; with selectors it is taken out of the set while somebody has it, and put back by
:meth:`rearm`.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import sys
import threading
from collections import deque
from typing import Protocol

from cptoolkit.servers.connection import Connection

BATCH = 128
"""Events taken at once; more would make the last of them wait."""


class Poller(Protocol):
    """What the engine needs to wait on. All but ``close`` may be called from any thread."""

    rearms: bool
    """Whether a connection has to be put back with :meth:`rearm`."""

    def listen(self, sock: socket.socket) -> None: ...
    def ignore(self, sock: socket.socket) -> None: ...
    def add(self, conn: Connection) -> None: ...
    def rearm(self, conn: Connection) -> None: ...
    def remove(self, conn: Connection) -> None: ...
    def wait(self, timeout: float | None) -> tuple[list[Connection], list[socket.socket]]: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class _Waker:
    """A pipe that ends a wait from another thread."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)

    def wake(self) -> None:
        # A full pipe will wake as well; a closed one has nobody left to wake.
        with contextlib.suppress(OSError):
            os.write(self._write_end, b"\0")

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.read_end, 4096)

    def close(self) -> None:
        write_end, self._write_end = self._write_end, -1  # the number may soon be another file's
        os.close(write_end)
        os.close(self.read_end)


if sys.platform == "linux":
    # An edge is told once per arrival. A read that gives less than it asked for has emptied the
    # socket (epoll(7), questions and answers 9), so one read per request is enough; only the end
    # of the stream may hide behind the data, hence EPOLLRDHUP.
    _EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
    _GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR

    class EpollPoller:
        """Edge-triggered epoll: no system call per request but the wait itself."""

        rearms = False

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._connections: dict[int, Connection] = {}
            self._listeners: dict[int, socket.socket] = {}
            self._waker = _Waker()
            self._epoll.register(self._waker.read_end, select.EPOLLIN)

        def listen(self, sock: socket.socket) -> None:
            if sock.fileno() not in self._listeners:
                self._listeners[sock.fileno()] = sock
                self._epoll.register(sock, select.EPOLLIN)

        def ignore(self, sock: socket.socket) -> None:
            if self._listeners.pop(sock.fileno(), None) is not None:
                self._epoll.unregister(sock)

        def add(self, conn: Connection) -> None:
            self._connections[conn.fd] = conn
            self._epoll.register(conn.fd, _EVENTS)

        def rearm(self, conn: Connection) -> None:
            """Nothing to do: an edge-triggered registration stays."""

        def remove(self, conn: Connection) -> None:
            self._connections.pop(conn.fd, None)
            # Closing alone would leave it registered while a forked child holds a copy.
            with contextlib.suppress(OSError, ValueError):
                self._epoll.unregister(conn.fd)

        def wait(self, timeout: float | None) -> tuple[list[Connection], list[socket.socket]]:
            connections = self._connections
            busy: list[Connection] = []
            listeners: list[socket.socket] = []
            for fd, events in self._epoll.poll(timeout, BATCH):
                conn = connections.get(fd)
                if conn is not None:
                    if events & _GONE:
                        conn.hung_up = True
                    elif events == select.EPOLLOUT and not (conn.unsent or conn.lock.locked()):
                        continue  # who holds the lock may just be about to set ``unsent``
                    busy.append(conn)
                elif fd == self._waker.read_end:
                    self._waker.drain()
                elif listener := self._listeners.get(fd):
                    listeners.append(listener)
            return busy, listeners

        def wake(self) -> None:
            self._waker.wake()

        def close(self) -> None:
            self._epoll.close()
            self._waker.close()


class SelectorPoller:
    """The best of what ``selectors`` finds; every change is made by the thread that waits."""

    rearms = True

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waker = _Waker()
        self._turn = threading.Lock()  # a leader may be replaced while it waits
        self._changes: deque[tuple[int, int, Connection | socket.socket | None]] = deque()
        self._selector.register(self._waker.read_end, selectors.EVENT_READ)

    def listen(self, sock: socket.socket) -> None:
        self._change(sock.fileno(), selectors.EVENT_READ, sock)

    def ignore(self, sock: socket.socket) -> None:
        self._change(sock.fileno(), 0, None)

    def add(self, conn: Connection) -> None:
        self._change(conn.fd, selectors.EVENT_READ, conn)

    def rearm(self, conn: Connection) -> None:
        event = selectors.EVENT_WRITE if conn.unsent else selectors.EVENT_READ
        self._change(conn.fd, event, conn)

    def remove(self, conn: Connection) -> None:
        self._change(conn.fd, 0, None)

    def _change(self, fd: int, events: int, data: Connection | socket.socket | None) -> None:
        self._changes.append((fd, events, data))
        self._waker.wake()

    def wait(self, timeout: float | None) -> tuple[list[Connection], list[socket.socket]]:
        busy: list[Connection] = []
        listeners: list[socket.socket] = []
        if self._turn.acquire(timeout != 0):
            try:
                self._apply()
                for key, _ in self._selector.select(timeout):
                    if key.data is None:
                        self._waker.drain()
                    elif isinstance(key.data, Connection):
                        # Ready until somebody reads it: out of the set, or the next wait would
                        # not wait.
                        self._selector.unregister(key.fd)
                        busy.append(key.data)
                    else:
                        listeners.append(key.data)
            finally:
                self._turn.release()
        return busy, listeners

    def _apply(self) -> None:
        # In the order they were made: a number is removed before its next owner adds it.
        while self._changes:
            fd, events, data = self._changes.popleft()
            with contextlib.suppress(KeyError, OSError, ValueError):
                self._selector.unregister(fd)
            if events:
                with contextlib.suppress(OSError, ValueError):
                    self._selector.register(fd, events, data)

    def wake(self) -> None:
        self._waker.wake()

    def close(self) -> None:
        self._selector.close()
        self._waker.close()


def new_poller() -> Poller:
    """Return the best poller of this platform."""
    return EpollPoller() if sys.platform == "linux" else SelectorPoller()
