"""Accepting connections, and not spinning when that fails."""

from __future__ import annotations

import errno
import resource
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from logging import ERROR, WARNING
from time import monotonic

from cptoolkit.servers.options import Options
from cptoolkit.servers.poller import Poller
from cptoolkit.servers.protocol import Log

ACCEPTS = 64
"""Connections accepted at once, so that a flood of them does not keep others waiting."""

DEAF_TIME = 0.5
"""Seconds without accepting after accepting failed, for want of file descriptors most likely."""

REMINDER_TIME = 60.0
"""Seconds after which it is told again that something keeps it from accepting."""

_CLIENT_GONE = {
    getattr(errno, name, 0)
    for name in (
        "ECONNABORTED",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ENONET",
        "ENOPROTOOPT",
        "EOPNOTSUPP",
        "EPERM",
        "EPROTO",
        "ETIMEDOUT",
    )
}
"""Errors of accept() that concern the new connection alone (accept(2))."""


class Acceptor:
    """The listening sockets of an engine, registered with its poller.

    :param occupied: tells how many connections there are.
    :param welcome: is given each new one: a non-blocking socket, and its peer.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        poller: Poller,
        options: Options,
        log: Log,
        occupied: Callable[[], int],
        welcome: Callable[[socket.socket, object], None],
    ) -> None:
        self._listeners = list(listeners)
        self._last: list[socket.socket] = []  # where somebody waits, though the end has come
        self._poller = poller
        self._nodelay = options.nodelay
        # One more than the backlog can wait; that of sockets made by others is not known.
        self._longest_queue = max(options.socket_queue_size, socket.SOMAXCONN) + 1
        self._log = log
        self._occupied = occupied
        self._welcome = welcome
        self._most = options.max_connections or _three_quarters_of_descriptors()
        self._lock = threading.RLock()  # a new connection may be closed while it is welcomed
        self._remind_at: dict[str, float] = {}
        self.full = False
        """Whether there is no room for more connections: who closes one is to :meth:`listen`."""
        self.deaf_until = 0.0
        """When to listen again after a failure, as :func:`time.monotonic` counts; 0.0 is now."""

    def listen(self) -> None:
        """Make the poller tell of new connections."""
        with self._lock:
            self.deaf_until = 0.0
            self.full = False
            for sock in self._listeners:
                self._poller.listen(sock)
        self._poller.wake()

    def take(self, listener: socket.socket) -> None:
        """Welcome what waits, though not too many at once."""
        with self._lock:
            if listener in self._listeners:
                self._take(listener)

    def take_last(self) -> bool:
        """Welcome everything that waits, and listen no more.

        What comes meanwhile is welcome as well, but a flood of it does not go on for ever.

        :returns: whether that was all; otherwise there is no room, and it can be called again.
        """
        with self._lock:
            self._most = sys.maxsize
            self._last += self._listeners
            self._listeners = []
            for listener in self._last:
                self._poller.ignore(listener)
            self._last = [listener for listener in self._last if not self._exhaust(listener)]
            return not self._last

    def _exhaust(self, listener: socket.socket) -> bool:
        left = self._longest_queue
        self.deaf_until = 0.0
        while left > 0 and (count := self._take(listener)):
            left -= count
        return not self.deaf_until

    def _take(self, listener: socket.socket) -> int:
        """Return how many were welcomed."""
        count = 0
        for _ in range(ACCEPTS):
            if self._occupied() >= self._most:
                self._pause(listener)
                break
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as exc:
                if exc.errno in _CLIENT_GONE:
                    continue
                # The listener would be ready again at once, and for as long as this lasts.
                self._tell(f"cannot accept connections: {exc}", ERROR)
                self._poller.ignore(listener)
                self.deaf_until = monotonic() + DEAF_TIME
                break
            try:
                sock.setblocking(False)
                if self._nodelay and sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                sock.close()
                continue
            count += 1
            self._welcome(sock, peer)
        return count

    def _pause(self, listener: socket.socket) -> None:
        self._tell(f"{self._most} connections are open, more have to wait", WARNING)
        self._poller.ignore(listener)
        self.full = True
        if self._occupied() < self._most:  # one was closed before it could see that
            self.listen()

    def _tell(self, message: str, level: int) -> None:
        now = monotonic()
        if now >= self._remind_at.get(message, 0.0):
            self._remind_at[message] = now + REMINDER_TIME
            self._log(message, level, False)


def _three_quarters_of_descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, soft * 3 // 4)
