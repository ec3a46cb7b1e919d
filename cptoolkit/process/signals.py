"""Operating system signals as channels of the bus (reference, chapter 5.6)."""

from __future__ import annotations

import contextlib
import os
import signal as signals
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

from cptoolkit.process.channels import WARNING, ChannelFailures

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus


class SignalHandler:
    """Publish each signal it is set on, on a channel of the signal's name.

    The frame that a signal interrupts may hold any lock, so nothing is published there: the bus
    calls the listeners from its main loop, or from another thread when no thread is in
    ``bus.block()``.
    """

    signals: ClassVar[dict[int, str]] = {number.value: number.name for number in signals.Signals}
    """Names of the signals that there are, by number."""

    handlers: dict[str, Callable[[], Any]]
    """The signals that :meth:`subscribe` sets, with their listeners."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        handlers = {
            "SIGTERM": bus.exit,
            "SIGHUP": self.handle_SIGHUP,
            "SIGUSR1": bus.graceful,
        }
        known = self.signals.values()  # Windows has neither SIGHUP nor SIGUSR1
        self.handlers = {name: listener for name, listener in handlers.items() if name in known}
        self._previous: dict[int, Any] = {}
        self._listening: dict[str, Callable[[], Any]] = {}
        self._original_pid = os.getpid()

    def subscribe(self) -> None:
        """Take over the signals in :attr:`handlers`; once is enough.

        Only the main thread can do that: called in another one it logs a warning for each of them.
        """
        for name, listener in self.handlers.items():
            if self._listening.get(name) != listener:
                self._set_if_possible(name, listener)

    def unsubscribe(self) -> None:
        """Give all signals back to who had them before."""
        for number, previous in tuple(self._previous.items()):
            name = self.signals[number]
            if previous is None:  # it was not set from Python, and cannot be restored from there
                previous = signals.SIG_DFL
            shown = "SIG_DFL" if previous == signals.SIG_DFL else repr(previous)
            self.bus.log(f"Restoring {name} handler to {shown}.")
            signals.signal(number, previous)
            del self._previous[number]
        for name, listener in self._listening.items():
            self.bus.unsubscribe(name, listener)
        self._listening.clear()

    def set_handler(self, signal: str | int, listener: Callable[[], Any] | None = None) -> None:
        """Publish one more signal.

        :param signal: name or number.
        :param listener: subscribed to the signal's channel if given.
        :raises ValueError: if there is no such signal, or outside of the main thread.
        """
        number, name = self._identify(signal)
        # Bound methods are equal, never identical: this asks whether we are set already.
        if signals.getsignal(number) != self._handle_signal:
            self._previous[number] = signals.signal(number, self._handle_signal)
        if listener is not None:
            self.bus.log(f"Listening for {name}.")
            self.bus.subscribe(name, listener)
            self._listening[name] = listener

    def handle_SIGHUP(self) -> None:
        """Restart a daemon, as is the custom; exit where a terminal has been closed."""
        if self._is_daemonized():
            self.bus.log("SIGHUP caught while daemonized. Restarting.")
            self.bus.restart()
        else:
            self.bus.log("SIGHUP caught but not daemonized. Exiting.")
            self.bus.exit()

    def _set_if_possible(self, name: str, listener: Callable[[], Any]) -> None:
        try:
            self.set_handler(name, listener)
        except ValueError as error:
            self.bus.log(f"Not listening for {name}: {error}.", WARNING)

    def _identify(self, signal: str | int) -> tuple[int, str]:
        for number, name in self.signals.items():
            if signal in (number, name):
                return number, name
        raise ValueError(
            f"there is no signal {signal!r} on this system; a name is such as 'SIGTERM'"
        )

    def _is_daemonized(self) -> bool:
        try:
            has_terminal = sys.stdin is not None and os.isatty(sys.stdin.fileno())
        except (OSError, ValueError):  # replaced or closed
            has_terminal = False
        # One of several processes is what its parent is.
        return self._original_pid not in (os.getpid(), os.getppid()) and not has_terminal

    def _handle_signal(self, signum: int, frame: FrameType | None) -> None:
        self.bus.call_soon(partial(self._publish, self.signals[signum]))

    def _publish(self, name: str) -> None:
        self.bus.log(f"Caught signal {name}.")
        with contextlib.suppress(ChannelFailures):  # logged; no reason for the main loop to end
            self.bus.publish(name)
