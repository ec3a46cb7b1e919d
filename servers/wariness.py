"""Whether handlers are likely to block, as far as their latest calls tell."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, process_time

SLOW = 0.001
"""Seconds in a handler from which on it counts as slow."""

LEAST, MOST = 0.25, 1.5
"""Processors in use from and up to which handlers are slow because they compute Python, and so wait
for one another: more threads at the same time would make that worse. With fewer they wait for
something else, with more they compute without Python's lock; both gain from more threads."""

CAUTION = 4
"""Answers for which to be wary after one that blocked. Where less than a quarter of them block, it
is cheaper to have the watch find out than to change threads for each."""

MEMORY = 64
"""Answers for which to be wary at most, when many have blocked."""


class Wariness:
    """How wary to be of handlers that block. All threads share it; a lost update does no harm."""

    def __init__(self) -> None:
        self.left = 0
        """Answers for which to be wary; 0 is not at all."""

    def renew(self) -> None:
        """A handler has blocked."""
        self.left = min(MEMORY, self.left + CAUTION)

    def watch(self, answer: Callable[[], None]) -> None:
        """Call ``answer``, and learn from it."""
        began, computed = perf_counter(), process_time()
        answer()
        took = perf_counter() - began
        if took >= SLOW and not LEAST <= (process_time() - computed) / took <= MOST:
            self.renew()
        else:
            self.left = max(0, self.left - 1)
