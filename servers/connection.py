"""One client's connection: bytes in and out without blocking, or blocking for a worker."""

from __future__ import annotations

import contextlib
import select
import socket
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from cptoolkit.servers.errors import BodyTimeout, Disconnected

if TYPE_CHECKING:
    from cptoolkit.servers.engine import Engine
    from cptoolkit.servers.protocol import ConnectionProtocol

READ_SIZE = 64 * 1024
"""Bytes taken from a socket at once."""

WRITE_BUFFER = 256 * 1024
"""Bytes of an answer that are kept for a slow reader before the writer has to wait for it."""

LINGER_TIME = 2.0
"""Seconds for which a closing connection swallows what comes (RFC 9112, section 9.6)."""

NEVER = float("inf")

OPEN = 0
CLOSING = 1  # closed as soon as all is sent
ENDING = 2  # half-closed as soon as all is sent
LINGERING = 3  # half-closed, swallowing what the client still sends
CLOSED = 4


class Connection:
    """A client's socket, its protocol, and what is still to be sent to it.

    Whoever holds ``lock`` owns the connection. ``again`` is set before trying for the lock and read
    after letting go of it, so that no event is lost between two threads.
    """

    __slots__ = (
        "again",
        "deadline",
        "engine",
        "fd",
        "hung_up",
        "lock",
        "memo",
        "opened",
        "out",
        "peer",
        "protocol",
        "recv",
        "sock",
        "state",
    )

    protocol: ConnectionProtocol

    def __init__(self, sock: socket.socket, peer: object, engine: Engine) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.peer = peer
        self.engine = engine
        self.lock = Lock()
        self.again = False
        self.hung_up = False
        self.out = bytearray()
        self.state = OPEN
        self.opened = monotonic()
        self.deadline = NEVER
        self.memo: Any = None
        """What a gateway keeps from one request of the connection to the next."""

    # -- sending ----------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send ``data``; what the socket does not take now is kept, and sent when it does.

        Called with more data while a lot is still kept, it waits: this is the backpressure that a
        slow reader puts on a producer.

        :raises Disconnected: if the client has gone or takes nothing for ``socket_timeout``.
        """
        if self.out:
            self._wait_for_reader(len(data))
        sent = 0
        if not self.out:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as exc:
                raise Disconnected(str(exc)) from exc
            if sent == len(data):
                return
        self.out += memoryview(data)[sent:]
        self.deadline = self.engine.patience(self.engine.options.socket_timeout)

    def _wait_for_reader(self, more: int) -> None:
        self.flush()
        while self.out and len(self.out) + more > WRITE_BUFFER:
            if not self._ready(select.POLLOUT):
                raise Disconnected("the client does not take its answer")
            self.flush()

    def flush(self) -> None:
        """Send what is kept, as far as the socket takes it.

        :raises Disconnected: if the client has gone.
        """
        while self.out:
            try:
                sent = self.sock.send(self.out)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                raise Disconnected(str(exc)) from exc
            del self.out[:sent]
            options = self.engine.options
            if self.out:
                self.deadline = self.engine.patience(options.socket_timeout)
            else:
                self.deadline = monotonic() + options.keep_alive_timeout

    # -- receiving --------------------------------------------------------------------------------

    def receive(self) -> bytes:
        """Wait for bytes of the client, in a worker's thread; ``b""`` is the end.

        :raises BodyTimeout: if none came within ``socket_timeout``.
        :raises Disconnected: if the client has gone.
        """
        while True:
            try:
                return self.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as exc:
                raise Disconnected(str(exc)) from exc
            if not self._ready(select.POLLIN):
                raise BodyTimeout("the client stopped sending its request")

    def _ready(self, event: int) -> bool:
        if self.state == CLOSED:
            raise Disconnected("the connection is closed")
        timeout = self.engine.options.socket_timeout
        poll = select.poll()
        poll.register(self.fd, event)
        return bool(poll.poll(timeout * 1000 if timeout else None))

    # -- ending -----------------------------------------------------------------------------------

    def finish(self, linger: bool) -> None:
        """Close as soon as everything is sent.

        :param linger: whether the client may still be sending: closing on it at once would make
            its kernel throw our answer away before it is read (RFC 9112, section 9.6).
        """
        if self.state == OPEN:
            self.state = ENDING if linger else CLOSING
            self.proceed()

    def proceed(self) -> None:
        """Go one step on the way to the end, if everything is sent."""
        if self.out:
            return
        if self.state == CLOSING:
            self.close()
        elif self.state == ENDING:
            self.state = LINGERING
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
            self.deadline = monotonic() + LINGER_TIME

    def close(self) -> None:
        """Close at once. Only for the owner of ``lock``."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.engine.forget(self)
            self.sock.close()
            self.out.clear()
            self.protocol.closed()

    def abort(self) -> None:
        """Make every wait for this client end at once. For any thread."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
