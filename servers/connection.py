"""One client's connection: bytes in and out without blocking, or blocking for a worker."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from cptoolkit.servers.errors import BodyTimeout, Disconnected
from cptoolkit.servers.files import FilePiece

if TYPE_CHECKING:
    from cptoolkit.servers.engine import Engine
    from cptoolkit.servers.protocol import ConnectionProtocol, Prelude, Transport

READ_SIZE = 64 * 1024
"""Bytes taken from a socket at once."""

FILE_TURN = 80 * 1024
"""Bytes of a file that are sent before other connections have their turn. Less than the 128 KiB
that a socket keeps at first (tcp(7), tcp_rmem): what a client reads is in the caches yet."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away what is unsent, and says so

SLOW_CLIENT = 0.1
"""Seconds of a request after which waiting for its client no longer counts as work: another thread
takes over the requests of others."""

LINGER_TIME = 2.0
"""Seconds for which a closing connection swallows what comes (RFC 9112, section 9.6)."""

NEVER = float("inf")

OPEN = 0
CLOSING = 1  # closed as soon as all is sent
ENDING = 2  # half-closed as soon as all is sent
LINGERING = 3  # half-closed, swallowing what the client still sends
CLOSED = 4
HANDED_OVER = 5  # the application has the socket


class Connection:
    """A client's socket, its protocol, and what is still to be sent to it.

    Whoever holds ``lock`` owns the connection. ``again`` is set before trying for the lock and read
    after letting go of it, so that no event is lost between two threads.
    """

    __slots__ = (
        "_file",
        "_reset",
        "_send",
        "again",
        "deadline",
        "engine",
        "fd",
        "hung_up",
        "local",
        "lock",
        "memo",
        "opened",
        "out",
        "peer",
        "preludes",
        "protocol",
        "recv",
        "sock",
        "state",
        "transport",
        "unsent",
        "waited",
    )

    protocol: ConnectionProtocol

    def __init__(self, sock: socket.socket, peer: object, engine: Engine) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv: Callable[[int], bytes] = sock.recv
        self._send: Callable[[bytes | bytearray | memoryview], int] = sock.send
        self.peer = peer
        self.local: object = None
        """Where the client has connected to, if a proxy has told or there are several ports; None
        is the listening socket."""
        self.transport: Transport | None = None
        """What encrypts the connection, if anything does."""
        self.preludes: list[Prelude] = []
        """What comes before the protocol, the next one last: a PROXY header, a TLS handshake."""
        self.engine = engine
        self.lock = Lock()
        self.again = False
        self.hung_up = False
        self.out = bytearray()
        self.unsent = False
        """Whether something is kept until the socket takes it."""
        self._file: FilePiece | None = None
        self._reset = False
        self.state = OPEN
        self.opened = monotonic()
        self.waited = 0.0
        """Seconds for which a worker has waited for the client, in the request that it answers."""
        self.deadline = NEVER
        self.memo: Any = None
        """What a gateway keeps from one request of the connection to the next."""

    # -- before the protocol ----------------------------------------------------------------------

    def prepare(self) -> bool:
        """Go on with the preludes, and tell whether they are over.

        :raises Disconnected: if they failed.
        """
        while self.preludes:
            try:
                self.preludes[-1](self)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as exc:
                raise Disconnected(str(exc)) from exc
            if self.state != OPEN:
                return False
            self.preludes.pop()
        return True

    def encrypt(self, transport: Transport) -> None:
        """From now on, send and receive through ``transport``."""
        self.transport = transport
        self.recv = transport.recv
        self._send = transport.send

    # -- sending ----------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send ``data``; what the socket does not take now is kept, and sent when it does.

        Called with more data while a lot is still kept, it waits: this is the backpressure that a
        slow reader puts on a producer.

        :raises Disconnected: if the client has gone or takes nothing for ``socket_timeout``.
        """
        if self.unsent:
            self._wait_for_reader(len(data))
        sent = 0
        if not self.unsent:
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as exc:
                raise Disconnected(str(exc)) from exc
            if sent == len(data):
                return
        self.out += memoryview(data)[sent:]
        self._keep()

    def send_file(self, descriptor: int, offset: int, size: int) -> None:
        """Send a part of an open file, after what is kept. It does not wait for slow readers.

        :param descriptor: of a regular file; it is closed at the end.
        :raises Disconnected: if the client has gone.
        """
        self._file = FilePiece(descriptor, offset, size)
        self._keep()
        self.flush()

    def _keep(self) -> None:
        self.unsent = True
        self.deadline = self.engine.patience(self.engine.options.socket_timeout)

    def _wait_for_reader(self, more: int) -> None:
        self.flush()
        room = self.engine.options.response_buffer
        while self._file is not None or (self.out and len(self.out) + more > room):
            if not self._ready(select.POLLOUT):
                raise Disconnected("the client does not take its answer")
            self.flush()

    def flush(self) -> bool:
        """Send what is kept, as far as the socket takes it.

        :returns: whether it stopped only for the sake of others, though the socket takes more.
        :raises Disconnected: if the client has gone.
        """
        kept = self._left()
        try:
            while self.out:
                del self.out[: self._send(self.out)]
            if self._file is not None and self._flush_file(self._file):
                self._keep()
                return True
        except (BlockingIOError, InterruptedError):
            if self._left() < kept:
                self._keep()
            return False
        except OSError as exc:
            raise Disconnected(str(exc)) from exc
        except EOFError as exc:
            self.engine.log(f"an answer was cut short: {exc}", logging.ERROR, False)
            raise Disconnected(str(exc)) from exc
        if self.unsent:
            self.unsent = False
            if not self.preludes:  # else the deadline is theirs
                self.protocol.renew_deadline()
        return False

    def _left(self) -> int:
        return len(self.out) + (self._file.left if self._file is not None else 0)

    def _flush_file(self, file: FilePiece) -> bool:
        """Send of a file what is a fair turn, and tell whether there is more of it."""
        stop = max(0, file.left - FILE_TURN)
        while file.left > stop:
            if self.transport is None:
                file.send_by_kernel(self.fd, self._send, file.left - stop)
            else:
                file.send_with(self._send, file.left - stop)
        if file.left:
            return True
        self._file = None
        file.close()
        return False

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
        poll = select.poll()
        poll.register(self.fd, event)
        patience = self.engine.options.socket_timeout or NEVER
        began = monotonic()
        here = min(patience, max(0.0, SLOW_CLIENT - self.waited))
        ready = bool(here and poll.poll(here * 1000))
        self.waited += monotonic() - began
        if ready or here == patience:
            return ready
        with self.engine.beside_the_pool():
            return bool(poll.poll(None if patience == NEVER else (patience - here) * 1000))

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
        if self.unsent:
            return
        if self.transport is not None and self.state in (CLOSING, ENDING) and not self._reset:
            try:
                self.transport.end()
            except BlockingIOError:
                self._keep()
                return
            except OSError:
                pass
        if self.state == CLOSING:
            self.close()
        elif self.state == ENDING:
            self.state = LINGERING
            self._shut(socket.SHUT_WR)
            self.deadline = monotonic() + LINGER_TIME

    def hand_over(self) -> socket.socket:
        """Give the socket, blocking from now on, to the application that is answering.

        What was sent has to be gone. Whoever answers calls :meth:`close` when the application is
        done with it.
        """
        self.state = HANDED_OVER
        self._send = _handed_over
        self.engine.hand_over(self)
        self.sock.setblocking(True)
        return self.sock

    def break_off(self) -> None:
        """Make the end of the connection a reset: what was sent is not all there should have been.

        Where the end of the connection is the end of the answer, nothing else tells the client.
        """
        self._reset = True

    def close(self) -> None:
        """Close at once. Only for the owner of ``lock``."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.engine.forget(self)
            if self._reset:
                with contextlib.suppress(OSError):
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                self._shut(socket.SHUT_RDWR)  # a process that a handler has forked has a copy
            self.sock.close()
            self.out.clear()
            if self._file is not None:
                self._file.close()
                self._file = None
            self.protocol.closed()

    def abort(self) -> None:
        """Make every wait for this client end at once. For any thread."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        with contextlib.suppress(OSError):
            # An SSLSocket's own method would forget the state of its encryption as well.
            socket.socket.shutdown(self.sock, how)


def _handed_over(data: object) -> int:
    raise ConnectionAbortedError("the connection is the application's")
