"""The base of plugins: objects whose methods listen on the channels that they are named after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptoolkit.process.channels import Listener
    from cptoolkit.process.wspbus import Bus


class SimplePlugin:
    """Its methods ``start``, ``stop``, ``exit``, ``graceful``, ``main`` and so on listen on these
    channels.

    That goes for every channel that the bus has when :meth:`subscribe` is called (reference,
    chapter 7.1.2).
    """

    bus: Bus
    """The bus that it is plugged into."""

    in_parent: bool = False
    """Whether, with several processes, it is for the one that watches the others: its ``start``
    then runs before they are forked, its ``exit`` when they have ended."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def subscribe(self) -> None:
        """Listen."""
        for channel, method in self._listeners():
            self.bus.subscribe(channel, method)

    def unsubscribe(self) -> None:
        """Listen no longer."""
        for channel, method in self._listeners():
            self.bus.unsubscribe(channel, method)

    def _listeners(self) -> Iterator[tuple[str, Listener]]:
        for channel in tuple(self.bus.listeners):
            method: Any = getattr(self, channel, None)
            if method is not None:
                yield channel, method
