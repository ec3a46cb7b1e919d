"""The contract between the engine and what is spoken on a connection.

The engine accepts, polls, times and lends threads; a protocol turns bytes into requests and
answers them. HTTP/1.1 is one, others are a class with these few members.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection


class ConnectionProtocol(Protocol):
    """One connection's state. The engine never calls two of its methods at the same time."""

    requests: deque[Any]
    """Requests that wait for :meth:`answer`, in order; the engine only counts them."""

    def feed(self, data: bytes) -> None:
        """Take bytes that came; ``b""`` tells that the client sends no more. Must not block."""

    def answer(self) -> None:
        """Answer the first of ``requests``. May block: a thread is lent for it."""

    def expired(self) -> None:
        """Say goodbye, since ``connection.deadline`` has passed. Must not block."""

    def overloaded(self) -> None:
        """Refuse all ``requests``, since there are too many. Must not block."""

    def renew_deadline(self) -> None:
        """All is sent: give the client ``keep_alive_timeout`` for its next request.

        What is on its way already keeps a deadline of its own.
        """

    def closed(self) -> None:
        """Let go of everything: the connection is closed."""

    def idle(self) -> bool:
        """Whether hanging up now would cut nothing off."""
        ...


class Transport(Protocol):
    """What encrypts a connection. None of its methods blocks."""

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes; ``b""`` tells that the client sends no more.

        :raises BlockingIOError: if there is nothing yet.
        :raises OSError: if the connection is broken.
        """
        ...

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send from the beginning of ``data``, and return how many bytes were taken.

        After a BlockingIOError it is called again with data that begins alike, and perhaps is
        longer.

        :raises BlockingIOError: if nothing can be sent now.
        :raises OSError: if the connection is broken.
        """
        ...

    def end(self) -> None:
        """Tell the client that no more will come; what it sends is not decrypted any more.

        :raises BlockingIOError: if that cannot be said now, but later.
        :raises OSError: if the connection is broken.
        """

    def environ(self) -> dict[str, str]:
        """Return what an application may know of it, by the names of Apache's mod_ssl."""
        ...


Prelude = Callable[["Connection"], None]
"""What happens on a connection before its protocol. It must not block: while it needs bytes that
have not come, or cannot send, it raises BlockingIOError and is called again when that may have
changed. In the latter case it sets ``unsent`` first. It may refuse the client with ``send()`` and
``finish()``, or with :class:`~cptoolkit.servers.Disconnected`."""

ProtocolFactory = Callable[["Connection"], ConnectionProtocol]

Log = Callable[[str, int, bool], None]
"""``log(message, level, traceback)``: ``traceback`` asks for the one of the current exception."""
