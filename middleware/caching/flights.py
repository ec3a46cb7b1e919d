"""One request fetches what many wait for: the guard of a cache against stampedes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Lock

from cptoolkit.middleware.caching.keys import Key

MOST_REMEMBERED = 1000
"""Keys that are remembered as not worth waiting for."""

REMEMBERED_SECONDS = 60
"""How long they are, from the last answer that was not kept."""


class Flight:
    """A request that is on its way to the application, and may come back with an answer to keep."""

    __slots__ = ("_landed", "kept", "key")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.kept = False
        """Whether its answer has been kept; known once it has landed."""
        self._landed = Event()

    def wait(self, seconds: float) -> bool:
        """Wait until it has landed, whatever came of it; False if the time is up before."""
        return self._landed.wait(seconds)


class Flights:
    """The flights of this process: one at a time for each key.

    An answer that is not to be kept is of no use to those who have waited for it, and serving
    them one after another would be slower than no cache at all. So its key is remembered for a
    while, and nobody waits for it then.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._under_way: dict[Key, Flight] = {}
        self._not_kept: OrderedDict[Key, float] = OrderedDict()

    def board(self, key: Key, overdue: Flight | None = None) -> tuple[Flight | None, bool]:
        """Begin the flight for a key, or find the one that is under way.

        :param overdue: one that has been waited for in vain; a new one takes its place.
        :returns: the flight and whether it has been begun here, and is to be landed; None
            if the key is not worth waiting for.
        """
        with self._lock:
            until = self._not_kept.get(key)
            if until is not None:
                if self._clock() < until:
                    return None, False
                del self._not_kept[key]
            flight = self._under_way.get(key)
            if flight is not None and flight is not overdue:
                return flight, False
            flight = self._under_way[key] = Flight(key)
            return flight, True

    def land(self, flight: Flight | None, kept: bool, remember: bool = False) -> None:
        """End a flight, and let those go on who wait for it. The first time counts.

        :param kept: whether its answer has been kept.
        :param remember: whether, if not, the same is to be expected of the next ones.
        """
        if flight is None:
            return
        with self._lock:
            if self._under_way.get(flight.key) is flight:
                del self._under_way[flight.key]
            if remember and not kept and not flight._landed.is_set():
                self._not_kept.pop(flight.key, None)
                self._not_kept[flight.key] = self._clock() + REMEMBERED_SECONDS
                if len(self._not_kept) > MOST_REMEMBERED:
                    self._not_kept.popitem(last=False)
            if not flight._landed.is_set():
                flight.kept = kept
                flight._landed.set()
