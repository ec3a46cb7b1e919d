"""Sweep expired sessions out of a store now and then."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from time import monotonic

logger = logging.getLogger("cptoolkit.sessions")

THREAD_NAME = "session sweep"


class Sweeper:
    """Has a store swept in a thread of its own by the request that finds it due.

    Nothing of it lives between two sweeps, so nothing is missing after a fork: a child finds
    its first sweep due.

    :param clean_up: what sweeps.
    :param every: seconds from one sweep to the next in this process.
    """

    def __init__(self, clean_up: Callable[[], object], every: float) -> None:
        self._clean_up = clean_up
        self._every = every
        self._next = (object(), 0.0)  # the process, and when

    def sweep_if_due(self) -> None:
        """Start a sweep, unless this process has begun one lately."""
        now = monotonic()
        process, due = self._next
        if now < due and process is _process:
            return
        # Two threads may both come here. Then there are two sweeps, which does no harm; a mutex
        # could be held by another thread at the moment of a fork.
        self._next = (_process, now + self._every)
        try:
            threading.Thread(target=self._sweep, name=THREAD_NAME, daemon=True).start()
        except RuntimeError as error:  # no more threads are to be had; the request is as good
            logger.warning("expired sessions could not be removed: %s", error)

    def _sweep(self) -> None:
        try:
            self._clean_up()
        except Exception as error:  # whatever a store raises, the next sweep may do better
            logger.warning("expired sessions could not be removed: %s", error)


_process = object()
"""Stands for this process: asking for its number would cost more than all else here."""


def _begin_anew() -> None:
    global _process
    _process = object()


os.register_at_fork(after_in_child=_begin_anew)
