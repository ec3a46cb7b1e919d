"""Accepting connections, and not spinning when that fails."""

from __future__ import annotations

import errno
import resource
import socket
import sys
from collections.abc import Iterator, Sequence, Sized
from logging import ERROR, WARNING
from time import monotonic

from cptoolkit.servers.options import Options
from cptoolkit.servers.poller import Poller
from cptoolkit.servers.protocol import Log

ACCEPTS = 64
"""Connections accepted at once, so that a flood of them does not keep others waiting."""

DEAF_TIME = 0.5
"""Seconds without accepting after accepting failed, for want of file descriptors most likely."""

_CLIENT_GONE = {
    errno.ECONNABORTED,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EPERM,
    errno.EPROTO,
}
"""Errors of accept() that concern the new connection alone (accept(2))."""


class Acceptor:
    """The listening sockets of an engine, registered with its poller."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        poller: Poller,
        options: Options,
        log: Log,
        connections: Sized,
    ) -> None:
        self._listeners = list(listeners)
        self._poller = poller
        self._nodelay = options.nodelay
        self._log = log
        self._connections = connections
        self._most = options.max_connections or _three_quarters_of_descriptors()
        self.full = False
        """Whether there is no room for more connections: who closes one is to :meth:`listen`."""
        self.deaf_until = 0.0
        """When to listen again after a failure, as :func:`time.monotonic` counts; 0.0 is now."""

    def listen(self) -> None:
        """Make the poller tell of new connections."""
        self.deaf_until = 0.0
        self.full = False
        for sock in self._listeners:
            self._poller.listen(sock)
        self._poller.wake()

    def take(self, listener: socket.socket) -> Iterator[tuple[socket.socket, object]]:
        """Accept what waits, though not too many: non-blocking sockets and their peers."""
        for _ in range(ACCEPTS):
            if len(self._connections) >= self._most:
                self._pause(listener)
                return
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in _CLIENT_GONE:
                    continue
                # The listener would be ready again at once, and for as long as this lasts.
                self._log(f"cannot accept connections: {exc}", ERROR, False)
                self._poller.ignore(listener)
                self.deaf_until = monotonic() + DEAF_TIME
                return
            try:
                sock.setblocking(False)
                if self._nodelay and sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                sock.close()
                continue
            yield sock, peer

    def _pause(self, listener: socket.socket) -> None:
        self._log(f"{self._most} connections are open: more have to wait", WARNING, False)
        self._poller.ignore(listener)
        self.full = True
        if len(self._connections) < self._most:  # one was closed before it could see that
            self.listen()

    def take_last(self) -> Iterator[tuple[socket.socket, object]]:
        """Accept everything that waits, and listen no more."""
        self._most = sys.maxsize
        for listener in self._listeners:
            self._poller.ignore(listener)
            while pairs := list(self.take(listener)):
                yield from pairs


def _three_quarters_of_descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, soft * 3 // 4)
