"""Count requests while they come: totals, times in a histogram, and the last ten minutes."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from itertools import accumulate
from threading import Lock
from time import perf_counter, time
from typing import TypedDict

from cptoolkit.middleware.observing.exchange import Exchange
from cptoolkit.middleware.observing.histogram import BUCKETS, quantiles

SLOT = 5
"""Seconds that are counted together in the history."""
SLOTS = 120
"""Slots kept: ten minutes."""
SLOW = 0.001
"""Seconds below which no request is slow: the table need not be kept at that pace."""
MOST_SLOW = 20
"""Paths in the table of the slowest."""
REMEMBERED = 3600
"""Seconds for which a slow request is."""
LONGEST_PATH = 200
"""Characters of a path that are kept."""

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
)
"""RFC 9110, section 9.1, and RFC 5789. Clients can invent others, which count as one."""


class Moment(TypedDict):
    """What ended within :data:`SLOT` seconds."""

    age: int
    """Seconds since the slot began."""
    requests: int
    errors: int
    """How many of them have failed: status 500 and above."""
    p50: float | None
    p95: float | None
    p99: float | None
    """Quantiles of the seconds that they took; None if there were no requests."""


class SlowPath(TypedDict):
    """A path, and its slowest request of the last hour."""

    method: str
    path: str
    status: int
    seconds: float
    at: float
    """When it came, in seconds since the epoch."""


class Statistics(TypedDict):
    """The state of :class:`Counts` at one time; as JSON, what the page's ``?format=json`` is."""

    name: str
    pid: int
    started: float
    """Seconds since the epoch."""
    uptime: float
    """Seconds."""
    in_flight: int
    requests: int
    by_method: dict[str, int]
    by_status: dict[str, int]
    by_class: dict[str, int]
    """The same by the first digit: "2xx"."""
    by_method_and_status: list[tuple[str, str, int]]
    aborted: int
    """Responses that clients did not wait for the end of."""
    bytes_sent: int
    """Of bodies."""
    seconds: float
    """Sum of the time that all took."""
    slowest: float
    """The longest time that one took, in seconds."""
    buckets: list[tuple[float | None, int]]
    """Upper bound in seconds, None for the last, and requests up to that, as Prometheus has it."""
    p50: float | None
    p95: float | None
    p99: float | None
    history: list[Moment]
    """Oldest first, without the slot that is still being filled."""
    slow_paths: list[SlowPath]
    """Slowest first."""


class _Slot:
    """What is counted of one part of the history."""

    __slots__ = ("counts", "errors", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.errors = 0
        self.counts = [0] * (len(BUCKETS) + 1)


class Counts:
    """Counters for many threads. What they cost does not grow with the requests counted.

    :param name: of what is counted.
    :param clock: gives seconds, from any start.
    """

    def __init__(self, name: str = "", clock: Callable[[], float] = perf_counter) -> None:
        self._name = name
        self._clock = clock
        self._lock = Lock()
        self._started = time()
        self._began = clock()
        self._in_flight = 0
        self._answers: Counter[tuple[str, int]] = Counter()
        self._aborted = 0
        self._sent = 0
        self._seconds = 0.0
        self._slowest = 0.0
        self._counts = [0] * (len(BUCKETS) + 1)
        self._slots: deque[_Slot] = deque([_Slot(0)], SLOTS + 1)
        self._slot_ends = self._began + SLOT
        self._slow: dict[tuple[str, str], SlowPath] = {}
        self._slow_from = SLOW
        """Seconds above which a request is one of the slowest."""

    def begin(self) -> None:
        """Count a request that has come."""
        with self._lock:
            self._in_flight += 1

    def end(self, exchange: Exchange) -> None:
        """Count a request that is over."""
        method = exchange.method if exchange.method in METHODS else "OTHER"
        seconds = exchange.duration
        status = exchange.status
        bucket = bisect_left(BUCKETS, seconds)
        now = self._clock()
        with self._lock:
            self._in_flight -= 1
            if not exchange.answered:
                return
            self._answers[method, status] += 1
            self._sent += exchange.sent
            self._seconds += seconds
            if seconds > self._slowest:
                self._slowest = seconds
            self._counts[bucket] += 1
            if now >= self._slot_ends:
                self._begin_slot(now)
            slot = self._slots[-1]
            slot.counts[bucket] += 1
            if status >= 500:
                slot.errors += 1
            if not exchange.complete and exchange.aborted:
                self._aborted += 1
            if seconds > self._slow_from:
                self._note_slow(method, exchange)

    def _begin_slot(self, now: float) -> None:
        # At the very end of a slot the division may come out below the next whole number.
        number = max(int((now - self._began) / SLOT), self._slots[-1].number + 1)
        self._slots.append(_Slot(number))
        self._slot_ends = self._began + (number + 1) * SLOT
        self._forget_old()

    def _note_slow(self, method: str, exchange: Exchange) -> None:
        seconds = exchange.duration
        key = (method, exchange.path[:LONGEST_PATH])
        known = self._slow.get(key)
        if known is not None and known["seconds"] > seconds:
            return
        self._slow[key] = {
            "method": method,
            "path": key[1],
            "status": exchange.status,
            "seconds": seconds,
            "at": exchange.time,
        }
        if len(self._slow) > MOST_SLOW:
            del self._slow[min(self._slow, key=lambda key: self._slow[key]["seconds"])]
        self._set_threshold()

    def _forget_old(self) -> None:
        """Forget what was slow long ago."""
        now = time()
        old = [key for key, entry in self._slow.items() if entry["at"] < now - REMEMBERED]
        for key in old:
            del self._slow[key]
        self._set_threshold()

    def _set_threshold(self) -> None:
        full = len(self._slow) == MOST_SLOW
        self._slow_from = min(e["seconds"] for e in self._slow.values()) if full else SLOW

    def statistics(self) -> Statistics:
        """What has been counted until now."""
        with self._lock:
            now = self._clock() - self._began
            answers = sorted(self._answers.items())
            counts = list(self._counts)
            slots = {slot.number: (slot.errors, list(slot.counts)) for slot in self._slots}
            slow = sorted(self._slow.values(), key=lambda entry: -entry["seconds"])
            in_flight, aborted, sent = self._in_flight, self._aborted, self._sent
            seconds, slowest = self._seconds, self._slowest
        by_method: Counter[str] = Counter()
        by_status: Counter[str] = Counter()
        by_class: Counter[str] = Counter()
        for (method, status), count in answers:
            by_method[method] += count
            by_status[str(status)] += count
            by_class[f"{status // 100}xx"] += count
        bounds: list[float | None] = [*BUCKETS, None]
        p50, p95, p99 = quantiles(counts)
        return {
            "name": self._name,
            "pid": os.getpid(),
            "started": self._started,
            "uptime": now,
            "in_flight": in_flight,
            "requests": sum(counts),
            "by_method": dict(by_method),
            "by_status": dict(by_status),
            "by_class": dict(by_class),
            "by_method_and_status": [
                (method, str(status), count) for (method, status), count in answers
            ],
            "aborted": aborted,
            "bytes_sent": sent,
            "seconds": seconds,
            "slowest": slowest,
            "buckets": list(zip(bounds, accumulate(counts), strict=True)),
            "p50": p50,
            "p95": p95,
            "p99": p99,
            "history": _history(slots, now),
            "slow_paths": slow,
        }


def _history(slots: dict[int, tuple[int, list[int]]], now: float) -> list[Moment]:
    current = int(now / SLOT)
    moments: list[Moment] = []
    for number in range(max(0, current - SLOTS), current):
        errors, counts = slots.get(number, (0, []))
        p50, p95, p99 = quantiles(counts)
        moments.append(
            {
                "age": int(now - number * SLOT),
                "requests": sum(counts),
                "errors": errors,
                "p50": p50,
                "p95": p95,
                "p99": p99,
            }
        )
    return moments
