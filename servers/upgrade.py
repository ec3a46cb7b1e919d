"""Connections that an application takes over: for WebSockets, or what else follows ``Upgrade``.

A request that asks for another protocol (RFC 9110, section 7.8) brings the client's socket along,
under two keys of the environ: ``cptoolkit.socket``, and ``werkzeug.socket``, where simple-websocket
looks for it. An application that uses neither answers in HTTP as ever. One that does speaks to
the client by itself, from the answer "101 Switching Protocols" on, until it returns or raises;
what it returns is not sent.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import select
import socket
from collections.abc import Callable
from functools import partial
from threading import Event, Lock, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from cptoolkit.servers.connection import LINGER_TIME
from cptoolkit.servers.errors import ClientError
from cptoolkit.servers.options import LONGEST

if TYPE_CHECKING:
    from cptoolkit.servers.wsgi import Environ, WSGIExchange

KEYS = ("cptoolkit.socket", "werkzeug.socket")
"""Where in the environ the socket is."""

RECORD = 16 * 1024
"""Most bytes in a record of TLS (RFC 8446, section 5.1): nothing of it is left where select(2)
does not see it."""

GRACE_TIME = 0.5
"""Seconds that a thread of the application has to answer what came, when the application ends."""

Data = bytes | bytearray | memoryview
R = TypeVar("R")


class TooManyUpgrades(ClientError):
    """``max_upgrades`` connections have been taken over already."""

    status = "503 Service Unavailable"

    def __init__(self) -> None:
        super().__init__("Too many WebSockets are open here.")


def offer(exchange: WSGIExchange, environ: Environ) -> None:
    """Put the client's socket into the environ of a request that asks for another protocol.

    Browsers can only use GET (RFC 6455, section 4.1); HTTP/1.0 knows no Upgrade.

    :raises TooManyUpgrades: if it asks for a WebSocket, and there are too many. What else asks,
        curl for HTTP/2 say, is as well served without.
    """
    if exchange.method != "GET" or exchange.version != "1.1":
        return
    if exchange.conn.engine.takes_over():
        environ.update(dict.fromkeys(KEYS, ClientSocket(exchange)))
    elif "websocket" in [name.strip() for name in exchange.upgrade.split(",")]:
        raise TooManyUpgrades


class ClientSocket:
    """The client's socket, for an application. Its first use takes the connection over.

    It has those methods of a socket that such applications need, blocks as long as no timeout was
    set, and may be used by several threads, over TLS too: what one of them sends comes in one
    piece. A client that takes nothing of that for ``socket_timeout`` is cut off.
    """

    def __init__(self, exchange: WSGIExchange) -> None:
        conn = exchange.conn
        self._exchange = exchange
        self._conn = conn
        self._sock = conn.sock
        self._transport = conn.transport
        through: Any = conn.transport or conn.sock
        self._read: Callable[[int], bytes] = through.recv
        self._write: Callable[[Data], int] = through.send
        self._held = exchange.early  # what has come, and was not asked for yet
        self._bell: select.epoll | None = None
        self._holding = Lock()
        self._timeout: float | None = None
        self._closed = False
        self._worker = current_thread()
        self._at_rest = Event()  # unless another thread is busy with what it has received
        self._at_rest.set()
        self._receiving, self._sending = Lock(), Lock()
        self._acting = Lock()  # what encrypts is not for two threads at the same time

    # -- what an application calls ----------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """Return what comes next, up to ``size`` bytes; ``b""`` is the end.

        :raises TimeoutError: if nothing came within the timeout.
        :raises BlockingIOError: if nothing has come and it must not wait.
        :raises OSError: if the connection is broken, or closed.
        """
        self._take_over()
        self._at_rest.set()
        with self._receiving:
            data = self._held
            if not data:
                most = size if self._transport is None else max(size, RECORD)
                data = self._patiently(select.POLLIN, partial(self._read, most), self._timeout)
            self._hold(data[size:])
            if data and current_thread() is not self._worker:
                self._at_rest.clear()
            return data[:size]

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0) -> int:
        """Receive into ``buffer``, at most ``size`` bytes, and return how many it were."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: Data) -> int:
        """Send all of ``data``, or with a timeout what is taken at once; return how many bytes.

        :raises TimeoutError: if the client took nothing in time.
        :raises BlockingIOError: if nothing can be sent now and it must not wait.
        :raises OSError: if the connection is broken, or closed.
        """
        return self._send(data, self._timeout is None)

    def sendall(self, data: Data) -> None:
        """Send all of ``data``; raises what :meth:`send` does."""
        self._send(data, True)

    def fileno(self) -> int:
        """Return what to wait with until there is something to receive, -1 once it is closed.

        That is not always the socket itself: select(2) would not see what was received already.
        """
        if self._closed:
            return -1
        self._take_over()
        with self._holding:
            if self._bell is None and (self._held or self._transport) and hasattr(select, "epoll"):
                self._bell = select.epoll()
                self._bell.register(self._sock, self._events())
            return self._sock.fileno() if self._bell is None else self._bell.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """Make each call wait so long at most; None is for ever, 0.0 not at all."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def setsockopt(self, *args: Any) -> None:
        self._sock.setsockopt(*args)

    def getsockopt(self, *args: Any) -> int | bytes:
        return self._sock.getsockopt(*args)

    def getpeername(self) -> Any:
        return self._sock.getpeername()

    def getsockname(self) -> Any:
        return self._sock.getsockname()

    def shutdown(self, how: int) -> None:
        """End the connection in one direction, or both."""
        self._take_over()
        self._shut(how)

    def close(self) -> None:
        """Tell the client that no more comes. The server does the rest when the request ends."""
        if not self._closed:
            self._take_over()
            self._closed = True
            with contextlib.suppress(OSError):
                self._shut(socket.SHUT_WR)

    def __enter__(self) -> ClientSocket:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- how that is done -------------------------------------------------------------------------

    def _take_over(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, "the socket is closed")
        if self._exchange.taken_over is None:
            with self._conn.engine.taking_over:
                self._take_over_once()

    def _take_over_once(self) -> None:
        exchange = self._exchange
        if exchange.taken_over is not None:  # another thread was quicker
            return
        if exchange.head_sent:
            raise OSError(errno.EINVAL, "the request has been answered in HTTP already")
        if not self._conn.engine.takes_over():  # others were quicker
            raise TooManyUpgrades
        exchange.start("200 OK", [])  # nobody will hear of it, nor of what else it answers
        self._conn.hand_over()
        self._sock.setblocking(False)  # so that one thread can send while another waits
        exchange.taken_over = self

    def _send(self, data: Data, whole: bool) -> int:
        self._take_over()
        timeout, sent = self._timeout, 0
        if timeout is None:
            timeout = self._conn.engine.options.socket_timeout or None
        with self._sending, memoryview(data) as view:
            while sent < len(view) and (whole or not sent):
                rest = partial(self._write, view[sent:])
                try:
                    sent += self._patiently(select.POLLOUT, rest, timeout)
                except TimeoutError:
                    if self._timeout is None:
                        self._conn.abort()  # who has half a message can make nothing of the next
                    raise
        return sent

    def _patiently(self, event: int, act: Callable[[], R], timeout: float | None) -> R:
        while True:
            try:
                with self._acting:
                    if self._closed:
                        raise OSError(errno.EBADF, "the socket is closed")
                    return act()
            except BlockingIOError:
                if timeout == 0.0:
                    raise
            poll = select.poll()
            poll.register(self._conn.fd, event)
            if not poll.poll(None if timeout is None else min(timeout, LONGEST) * 1000):
                raise TimeoutError("timed out")

    def _hold(self, data: bytes) -> None:
        """Keep bytes for later; as long as there are any, who waits by :meth:`fileno` is woken."""
        with self._holding:
            self._held = data
            if self._bell is not None:
                self._bell.modify(self._sock, self._events())

    def _events(self) -> int:
        """That a socket can be written to is nearly always an event: a bell to ring."""
        return select.EPOLLIN | select.EPOLLOUT if self._held else select.EPOLLIN

    def _shut(self, how: int) -> None:
        self._at_rest.set()
        if self._transport is not None and how != socket.SHUT_RD:
            with contextlib.suppress(OSError), self._acting:
                self._transport.end()
        # An SSLSocket's own method would forget the state of its encryption as well.
        socket.socket.shutdown(self._sock, how)

    # -- what the server calls --------------------------------------------------------------------

    def part(self) -> None:
        """The application is done: see that what it said arrives, and close the connection."""
        # simple-websocket wakes the application first, and answers the client's goodbye then.
        self._at_rest.wait(GRACE_TIME)
        self.close()
        self._linger()
        self._conn.abort()  # which ends the waits of its other threads
        with self._receiving, self._sending, self._acting:
            if self._bell is not None:
                self._bell.close()
            self._conn.close()

    def _linger(self) -> None:
        """Swallow what still comes: see :data:`~cptoolkit.servers.connection.LINGER_TIME`."""
        deadline = monotonic() + LINGER_TIME
        poll = select.poll()
        poll.register(self._conn.fd, select.POLLIN)
        with contextlib.suppress(OSError):
            while (left := deadline - monotonic()) > 0 and poll.poll(left * 1000):
                with contextlib.suppress(BlockingIOError):
                    if not socket.socket.recv(self._sock, RECORD):
                        break

    def fail(self, exc: BaseException) -> None:
        """Tell the log of an exception with which the application ends."""
        exchange = self._exchange
        what = f"{exchange.method} {exchange.target.decode('latin-1')!r}"
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            exchange.gateway.on_exit(exc)
        elif isinstance(exc, (ConnectionError, StopIteration)):
            pass  # how some say that there is nothing to answer, or that the client has gone
        elif self._closed:
            text = f"{what} has ended, after it was taken over, with {type(exc).__name__}: {exc}"
            exchange.gateway.log(text, logging.INFO, False)
        else:
            text = f"error in the application that has taken over {what}"
            exchange.gateway.log(text, logging.ERROR, True)
