"""Named channels with prioritised listeners: the publish/subscribe half of the bus."""

from __future__ import annotations

import itertools
import math
import sys
import traceback as tracebacks
from collections.abc import Callable
from typing import Any, TypeVar, overload

Listener = Callable[..., Any]
_F = TypeVar("_F", bound=Listener)

INFO, WARNING, ERROR = 20, 30, 40
"""Levels of messages on the ``log`` channel, the numbers of :mod:`logging`."""

DEFAULT_PRIORITY = 50
"""Priority of a listener that names none (reference, chapter 7.1.1)."""


class ChannelFailures(Exception):
    """What the listeners of one publication raised, after all of them have run."""

    delimiter = "\n"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self._exceptions: list[BaseException] = []

    def add(self, error: BaseException) -> None:
        """Take in an error, or each of the errors if it is itself a ``ChannelFailures``."""
        if isinstance(error, ChannelFailures):
            self._exceptions.extend(error._exceptions)
        else:
            self._exceptions.append(error)

    def handle_exception(self) -> None:
        """Take in the exception being handled, if there is one."""
        error = sys.exc_info()[1]
        if error is not None:
            self.add(error)

    def get_instances(self) -> list[BaseException]:
        """A list of the errors, oldest first; it is a copy."""
        return self._exceptions[:]

    def __str__(self) -> str:
        return self.delimiter.join(map(repr, self._exceptions))

    __repr__ = __str__

    def __bool__(self) -> bool:
        return bool(self._exceptions)


class OperatorError(Exception):
    """A listener cannot go on for a reason that the operator has to mend, not the programmer.

    Its text says what is wrong and what to do. The bus logs it as that one line, without a
    traceback.
    """


class Channels:
    """Listeners by channel name.

    ``listeners`` maps a channel to the set of its listeners. It may be read, and changed, by hand;
    listeners added that way have the priority of their ``priority`` attribute, or 50.
    """

    def __init__(self, *names: str) -> None:
        """Begin with the channels ``names``, each without listeners."""
        self.listeners: dict[str, set[Listener]] = {name: set() for name in names}
        # Rank of what went through subscribe(): its priority, then its age. The age makes the order
        # among equals the order of subscription, which a set alone would leave to chance.
        self._ranks: dict[str, dict[Listener, tuple[float, float]]] = {}
        self._ages = itertools.count()
        # The order worked out last, and the set it was worked out for. Comparing two sets whose
        # members are the same objects costs some 30 ns, and sees changes made by hand.
        self._orders: dict[str, tuple[frozenset[Listener], tuple[Listener, ...]]] = {}

    @overload
    def subscribe(
        self, channel: str, callback: None = None, priority: float | None = None
    ) -> Callable[[_F], _F]: ...

    @overload
    def subscribe(self, channel: str, callback: _F, priority: float | None = None) -> _F: ...

    def subscribe(
        self, channel: str, callback: _F | None = None, priority: float | None = None
    ) -> _F | Callable[[_F], _F]:
        """Have ``callback`` called at each publication on ``channel``; a known one only gets the
        new priority.

        Without a callback the result is a decorator: ``@bus.subscribe("start")``.

        :param channel: any name; a new one makes a new channel.
        :param priority: lower ones are called first. None: ``callback.priority`` if there is one,
            or 50.
        :returns: the callback.
        :raises TypeError: if the callback cannot be called.
        """
        if callback is None:
            return lambda decorated: self.subscribe(channel, decorated, priority)
        if not callable(callback):
            raise TypeError(f"a listener of {channel!r} must be callable, got {callback!r}")
        if priority is None:
            priority = getattr(callback, "priority", DEFAULT_PRIORITY)
        rank: Any = (priority, next(self._ages))
        self._ranks.setdefault(channel, {})[callback] = rank
        self.listeners.setdefault(channel, set()).add(callback)
        self._orders.pop(channel, None)
        return callback

    def unsubscribe(self, channel: str, callback: Listener) -> None:
        """Have ``callback`` called no longer; one that is not subscribed is passed over."""
        self.listeners.get(channel, set()).discard(callback)
        self._ranks.get(channel, {}).pop(callback, None)

    def publish(self, channel: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call the listeners of ``channel``, lowest priority first.

        One that fails is logged and does not keep the others from being called.
        KeyboardInterrupt and SystemExit end the publication at once; a SystemExit that means
        success comes out as status 1 if a listener failed before.

        :returns: what the listeners returned, in the order of the calls; empty without listeners.
        :raises ChannelFailures: with the errors, after the last listener has been called.
        """
        listeners = self.listeners.get(channel)
        if not listeners:
            return []
        known = self._orders.get(channel)
        if known is None or known[0] != listeners:
            known = self._arrange(channel, listeners)
        results: list[Any] = []
        failures: ChannelFailures | None = None
        for listener in known[1]:
            try:
                results.append(listener(*args, **kwargs))
            except KeyboardInterrupt:
                raise
            except SystemExit as leaving:
                if failures and not leaving.code:
                    leaving.code = 1
                raise
            except Exception as error:
                failures = failures or ChannelFailures()
                failures.add(error)
                self._report(channel, listener, error, failures)
        if failures:
            raise failures from failures.get_instances()[0]
        return results

    def log(self, msg: str = "", level: int = INFO, traceback: bool = False) -> None:
        """Publish a message on the ``log`` channel.

        Errors for which nobody listens go to the standard error stream: better there than nowhere.

        :param level: one of the numbers of :mod:`logging`.
        :param traceback: whether to append the traceback of the exception being handled.
        """
        if traceback:
            msg += "\n" + "".join(tracebacks.format_exception(*sys.exc_info()))
        if level >= ERROR and not self.listeners.get("log"):
            print(msg, file=sys.stderr)
        self.publish("log", msg, level)

    def _report(
        self, channel: str, listener: Listener, error: Exception, failures: ChannelFailures
    ) -> None:
        if channel == "log":
            return  # a report would most likely fail the same way
        try:
            if isinstance(error, OperatorError):
                self.log(str(error), ERROR)
            else:
                self.log(f"Error in {channel!r} listener {listener!r}", ERROR, traceback=True)
        except ChannelFailures as broken:
            failures.add(broken)

    def _arrange(
        self, channel: str, listeners: set[Listener]
    ) -> tuple[frozenset[Listener], tuple[Listener, ...]]:
        members = frozenset(listeners)
        ranks = self._ranks.get(channel, {})

        def rank(listener: Listener) -> tuple[float, float]:
            by_hand = (getattr(listener, "priority", DEFAULT_PRIORITY), math.inf)
            return ranks.get(listener, by_hand)

        order = (members, tuple(sorted(members, key=rank)))
        self._orders[channel] = order
        return order
