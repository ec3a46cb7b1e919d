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
        self._next = (0, 0.0)  # the process, and when

    def sweep_if_due(self) -> None:
        """Start a sweep, unless this process has begun one lately."""
        now, process = monotonic(), os.getpid()
        known, due = self._next
        if known == process and now < due:
            return
        # Two threads may both come here. Then there are two sweeps, which does no harm; a mutex
        # could be held by another thread at the moment of a fork.
        self._next = (process, now + self._every)
        threading.Thread(target=self._sweep, name=THREAD_NAME, daemon=True).start()

    def _sweep(self) -> None:
        try:
            self._clean_up()
        except Exception as error:  # whatever a store raises, the next sweep may do better
            logger.warning("expired sessions could not be removed: %s", error)
