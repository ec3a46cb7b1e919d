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

    def closed(self) -> None:
        """Let go of everything: the connection is closed."""

    def idle(self) -> bool:
        """Whether hanging up now would cut nothing off."""


ProtocolFactory = Callable[["Connection"], ConnectionProtocol]

Log = Callable[[str, int, bool], None]
"""``log(message, level, traceback)``: ``traceback`` asks for the one of the current exception."""
