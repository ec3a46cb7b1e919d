"""The threads of an engine: hired, resting, promoted, sent home, replaced when they die."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from logging import ERROR
from time import monotonic

from cptoolkit.servers.protocol import Log

END_TIME = 5.0
"""Seconds that a thread with nothing left to do gets to end; only a system that is overloaded needs
them."""

TIMER_SLACK = 1000
"""Nanoseconds by which a timer of a worker may be late (``PR_SET_TIMERSLACK`` in prctl(2)). Linux
allows itself 50,000 and has timers run out together, so that threads that slept wake at once, and
wait for one another."""


class Worker(threading.Thread):
    """A thread that runs handlers, and sometimes leads."""

    def __init__(self, number: int, work: Callable[[Worker], None]) -> None:
        super().__init__(name=f"cptoolkit-worker-{number}", daemon=True)
        self._work = work
        self.gate = threading.Lock()
        self.gate.acquire()
        self.calls = 0
        """Odd while a handler runs or the disk may let it wait; two more after each."""
        self.idle_since = 0.0
        self.dismissed = False

    def run(self) -> None:
        _be_punctual()
        self._work(self)


class Crew:
    """The workers, of whom one at most leads.

    While nobody leads, nobody rests either: whoever comes to rest leads.

    :param work: what a worker does until it is told to end.
    :param wanted: how many threads there should be for requests.
    """

    def __init__(self, work: Callable[[Worker], None], wanted: int, log: Log) -> None:
        self.leader: Worker | None = None
        """The one that waits for events."""
        self.quitting = False
        """Whether all are to end as soon as they can."""
        self._work = work
        self._wanted = wanted
        self._log = log
        self._mutex = threading.Lock()
        self._members: set[Worker] = set()
        self._resting: list[Worker] = []
        self._numbers = 0
        self._lent = 0
        self._short = False
        self._stand_in_place = Worker(0, work)  # never started

    def __contains__(self, thread: threading.Thread) -> bool:
        return thread in self._members

    @property
    def strength(self) -> int:
        """Threads that there are for requests; one lent to a connection is not."""
        return len(self._members) - self._lent

    @property
    def lent(self) -> int:
        """Threads that belong to one connection for now."""
        return self._lent

    @property
    def resting(self) -> int:
        """Threads that have nothing to do, the leader aside."""
        return len(self._resting)

    # -- coming and going -------------------------------------------------------------------------

    def fill(self, wanted: int) -> None:
        """Hire until there are ``wanted`` threads for requests, or the system has no more."""
        while True:
            with self._mutex:
                if self.quitting:
                    return
                if self.strength >= wanted:
                    return
                self._numbers += 1
                worker = Worker(self._numbers, self._work)
                self._members.add(worker)
                try:
                    worker.start()  # under the mutex, as nobody can join() it before
                    self._short = False
                    continue
                except RuntimeError as exc:
                    self._members.discard(worker)
                    failure = exc
                told, self._short = self._short, True
            if not told:
                have = f"only {self.strength} of {wanted} threads are there for requests"
                self._log(f"{have}: {failure}", ERROR, False)
            return

    def refill(self) -> None:
        """Replace threads that have died, or could not be hired."""
        self.fill(self._wanted)

    def lend(self) -> None:
        """The current worker belongs to one connection from now on; hire another for requests."""
        with self._mutex:
            self._lent += 1
        self.refill()

    def take_back(self) -> None:
        """A worker that was lent is free again."""
        with self._mutex:
            self._lent -= 1

    def dismiss_surplus(self, idle_since: float) -> None:
        """Send home those above what is wanted that have been idle for so long."""
        with self._mutex:
            going = sum(worker.dismissed for worker in self._members)
            for _ in range(self.strength - going - self._wanted):
                if not self._resting or self._resting[0].idle_since >= idle_since:
                    return
                worker = self._resting.pop(0)
                worker.dismissed = True
                worker.gate.release()

    def leave(self, worker: Worker) -> None:
        """Take note that ``worker`` ends, and replace it if it was not told to."""
        with self._mutex:
            if self.quitting:
                return  # a member still, for whom join() waits
            self._members.discard(worker)
        if not worker.dismissed:
            if self.leader is worker:
                self.promote()
            self.refill()

    def quit(self) -> None:
        """Wake all, and let none rest any more."""
        with self._mutex:
            self.quitting = True
            for worker in self._resting:
                worker.gate.release()
            self._resting.clear()

    def join(self, deadline: float) -> list[str]:
        """Wait for all to end, until ``deadline`` for those in a call, and return their names.

        The others end by themselves, however busy the machine is.
        """
        here = threading.current_thread()
        others = [worker for worker in self._members if worker is not here]
        for worker in others:
            worker.join(max(0.0, deadline - monotonic()))
        for worker in others:
            if not worker.calls & 1:
                worker.join(END_TIME)
        return [worker.name for worker in others if worker.is_alive()]

    # -- leading and resting ----------------------------------------------------------------------

    def rest(self, worker: Worker) -> bool:
        """Wait to be promoted or needed; tell whether the worker is to go on."""
        with self._mutex:
            if self.quitting:
                return False
            if self.leader is None:
                self.leader = worker
                return True
            worker.idle_since = monotonic()
            self._resting.append(worker)
        worker.gate.acquire()
        return not worker.dismissed

    def promote(self) -> bool:
        """Let a resting worker lead, or nobody if there is none; tell which."""
        with self._mutex:
            self.leader = None
            if not self._resting:
                return False
            self.leader = worker = self._resting.pop()
            worker.gate.release()
        return True

    def wake(self) -> bool:
        """End the rest of one worker, and tell whether there was one."""
        with self._mutex:
            if not self._resting:
                return False
            self._resting.pop().gate.release()
        return True

    def stand_in(self) -> bool:
        """Take the place of the leader, if it is empty, until the next promotion."""
        with self._mutex:
            if self.leader is not None:
                return False
            self.leader = self._stand_in_place
        return True


def _be_punctual() -> None:
    """Let the timers of the current thread run out when they are due."""
    path = f"/proc/{threading.get_native_id()}/timerslack_ns"
    with contextlib.suppress(OSError), open(path, "wb") as file:  # not Linux, or not for us to say
        file.write(b"%d" % TIMER_SLACK)  # no codec: a user without rights may not import one
