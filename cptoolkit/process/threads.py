"""Tell the application about the threads in which its requests run."""

from __future__ import annotations

import itertools
import threading
from threading import get_ident
from typing import TYPE_CHECKING

from cptoolkit.process.simple import SimplePlugin

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus


class ThreadManager(SimplePlugin):
    """Publish ``start_thread`` before the first request in a thread, ``stop_thread`` after its
    last.

    Both with the thread's number, the lowest one that is free, from 1. A server, or whoever
    dispatches requests, publishes ``acquire_thread`` at the beginning of each request, and
    ``release_thread`` when a thread ends (reference, chapter 7.1.1).
    """

    threads: dict[int, int]
    """Numbers of the threads that run requests, by ``threading.get_ident()``."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.threads = {}
        self._numbering = threading.Lock()
        for channel in ("acquire_thread", "start_thread", "release_thread", "stop_thread"):
            bus.listeners.setdefault(channel, set())

    def acquire_thread(self) -> None:
        """Make the current thread known; called at each request."""
        ident = get_ident()
        if ident not in self.threads:
            with self._numbering:
                taken = set(self.threads.values())
                number = next(n for n in itertools.count(1) if n not in taken)
                self.threads[ident] = number
            self.bus.publish("start_thread", number)

    def release_thread(self) -> None:
        """Forget the current thread; one that is not known is passed over."""
        with self._numbering:
            number = self.threads.pop(get_ident(), None)
        if number is not None:
            self.bus.publish("stop_thread", number)

    def stop(self) -> None:
        """Forget all threads; those that go on are made known again at their next request."""
        with self._numbering:
            numbers = sorted(self.threads.values())
            self.threads.clear()
        for number in numbers:
            self.bus.publish("stop_thread", number)

    def graceful(self) -> None:
        """As :meth:`stop`: resources of threads are made anew."""
        self.stop()
