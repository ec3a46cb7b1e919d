"""One WebSocket as an application sees it: simple-websocket's, and what a server needs beside."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from threading import Condition, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

try:
    import simple_websocket
except ImportError as error:
    raise ImportError(
        "WebSocket needs simple-websocket: pip install 'cptoolkit[websocket]'"
    ) from error
from simple_websocket import ConnectionClosed
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

RECORD = 16 * 1024
"""Bytes received at once: a whole record of TLS, for select(2) does not see the rest of one."""

LINGER_TIME = 2.0
"""Seconds that the client has to say goodbye, too (RFC 6455, section 7.1.1)."""

BACKLOG = 1024 * 1024
"""Size of the messages that may wait to be received where there is no ``max_message_size``."""

OVERHEAD = 100
"""What a waiting message takes beside its text, in bytes."""


class WebSocketConnection(simple_websocket.Server):
    """A WebSocket that is open, for the handler of its request: messages in and out.

    Iterating gives the messages until the client closes. Any thread may send::

        for message in websocket:
            websocket.send(message)

    ``subprotocol`` is the one agreed on, None without any.

    :raises simple_websocket.ConnectionError, wsproto.utilities.ProtocolError, ValueError: if the
        client's handshake is wrong.
    :raises OSError: if the client has gone.
    :raises RuntimeError: if the host cannot do it.
    """

    def __init__(
        self,
        environ: WSGIEnvironment,
        subprotocols: Sequence[str],
        ping_interval: float,
        max_message_size: int,
        idle_timeout: float,
    ) -> None:
        self._idle_timeout = idle_timeout
        self._backlog = max_message_size or BACKLOG
        self._active = monotonic()
        self._sending = Lock()
        self._room = Condition()
        super().__init__(
            environ,
            subprotocols=list(subprotocols),
            receive_bytes=RECORD,
            ping_interval=ping_interval or None,
            max_message_size=max_message_size or None,
        )

    def handshake(self) -> None:
        self._line = _Line(self.sock, self._wait_for_room, self._heard, self.event.set)
        self.sock = cast("socket.socket", self._line)
        super().handshake()

    # -- what an application calls ----------------------------------------------------------------

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Return the next message, as str or bytes as the client meant it.

        :param timeout: seconds to wait for one, None for ever.
        :returns: None if none came in time.
        :raises simple_websocket.ConnectionClosed: if there will be no more, or there was no message
            either way for ``idle_timeout``.
        """
        left = timeout
        if self._idle_timeout:
            quiet = max(0.0, self._active + self._idle_timeout - monotonic())
            left = quiet if timeout is None else min(quiet, timeout)
        message: str | bytes | None = super().receive(left)
        self._make_room()
        if message is not None:
            self._active = monotonic()
        elif self._idle_timeout and monotonic() >= self._active + self._idle_timeout:
            self.close(CloseReason.GOING_AWAY, "idle")
            raise ConnectionClosed(CloseReason.GOING_AWAY, "idle")
        return message

    def send(self, data: str | bytes) -> None:
        """Send a message: bytes as a binary one, everything else as text.

        :raises simple_websocket.ConnectionClosed: if the client has gone, or has closed.
        """
        with self._sending:  # compression goes from message to message: their order counts
            try:
                super().send(data)
            except (OSError, LocalProtocolError) as error:
                raise self._gone() from error
        self._active = monotonic()

    def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Close the WebSocket.

        :param reason: the code that tells why (RFC 6455, section 7.4.1), 1000 if None.
        :param message: the same in words, for the client's log: 123 bytes of UTF-8 at most.
        :raises simple_websocket.ConnectionClosed: if it is closed.
        """
        try:
            super().close(cast("CloseReason | None", reason), message)
        except (OSError, LocalProtocolError) as error:
            raise self._gone() from error
        finally:
            self._make_room()

    def __iter__(self) -> Iterator[str | bytes]:
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = self.receive()
                if message is not None:
                    yield message

    # -- what the layer calls ---------------------------------------------------------------------

    def finish(self, reason: int) -> None:
        """End what is still open, and wait for the client to do the same."""
        with contextlib.suppress(ConnectionClosed):
            self.close(reason)
        cast("Thread", self.thread).join(LINGER_TIME)  # which may be about to say goodbye
        self._line.close()

    # -- how that is done -------------------------------------------------------------------------

    def _gone(self) -> ConnectionClosed:
        self.connected = False
        self.close_reason = CloseReason.ABNORMAL_CLOSURE
        self.event.set()
        return ConnectionClosed(self.close_reason, "the client has gone")

    def _waiting(self) -> int:
        messages = self.input_buffer
        return sum(map(len, messages)) + OVERHEAD * len(messages)

    def _wait_for_room(self) -> None:
        """Let a client wait that sends more than the handler takes."""
        with self._room:
            self._room.wait_for(lambda: not self.connected or self._waiting() <= self._backlog)

    def _heard(self) -> None:
        """What waits before a pong tells as well that the client is there."""
        self.pong_received = True

    def _make_room(self) -> None:
        with self._room:
            self._room.notify()


class _Line:
    """The host's socket. It stays the host's to close, which would find it closed else.

    Once it is shut, hosts that know nothing of WebSocket and try to send an answer meet a client
    that has gone, which none of them minds.
    """

    def __init__(
        self,
        sock: Any,
        wait: Callable[[], None],
        when_heard: Callable[[], None],
        when_closed: Callable[[], None],
    ) -> None:
        self.fileno = sock.fileno
        self._sock = sock
        self._wait = wait
        self._when_heard = when_heard
        self._when_closed = when_closed  # wakes a handler who was woken too early before
        self._sending = Lock()  # the kernel may let one message into the middle of another

    def recv(self, size: int) -> bytes:
        self._wait()
        data: bytes = self._sock.recv(size)
        if data:
            self._when_heard()
        return data

    def send(self, data: bytes) -> None:
        with self._sending:
            self._sock.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if isinstance(self._sock, socket.socket):
                # An SSLSocket's own method would forget the state of its encryption as well.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            else:
                self._sock.shutdown(socket.SHUT_RDWR)
        self._when_closed()
