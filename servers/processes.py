"""Several processes for one server: a parent that forks them and replaces those that die.

It watches and does nothing else: no thread, no connection.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from time import monotonic
from types import FrameType

from cptoolkit.servers.protocol import Log
from cptoolkit.servers.worker import END, READY, RESTART, Worker

RESPAWN_TIME = 1.0
"""Seconds after which a process is replaced that has not lived longer than that."""

GRACE = 1.0
"""Seconds beyond its patience that the parent waits before it kills processes."""


@dataclass(frozen=True)
class Outcome:
    """How it ended, as the parent sees it."""

    status: int
    """What the program should exit with."""
    restart: bool = False
    """Whether a process has asked for a new start of the program."""


@dataclass(eq=False)
class _Child:
    """One of the processes, as the parent sees it."""

    pid: int
    number: int
    line: socket.socket
    born: float
    ready: bool = False
    outdated: bool = False
    """Whether it is to have a successor once it is ready, and to end when that one is."""
    told: bool = False
    """Whether it knows that it is to end."""
    end_by: float = math.inf
    """When it is killed, as monotonic() counts."""
    asked: bool = False
    """Whether it has asked for the end of all, and is ending."""
    deaf: bool = False


class Supervisor:
    """Keeps ``count`` processes running until SIGTERM, Ctrl-C, or one of them asks for the end.

    The first is alone until it is ready: what keeps it from that is told once, and ends them all.
    SIGHUP replaces all processes, each when its successor is ready; from a terminal that closes it
    means the end.

    :param patience: seconds that processes have to end.
    :param let_go: is called before they are told to; not for a new start of the program.
    :param log: is told of what dies.
    :param forwarded: signals that the processes get, whatever they mean here.
    :param heed: is called with each of those.
    """

    def __init__(
        self,
        count: int,
        patience: float,
        let_go: Callable[[], object],
        log: Log,
        forwarded: Iterable[int] = (),
        heed: Callable[[int], object] = lambda number: None,
    ) -> None:
        self._count = count
        self._patience = patience
        self._let_go = let_go
        self._log = log
        self._forwarded = frozenset(forwarded)
        self._heed = heed
        self._terminal = _has_terminal()
        self._children: dict[int, _Child] = {}
        self._due = [0.0] * count  # when a vacant number may be taken, as monotonic() counts
        self._came_up = False
        self._outcome: Outcome | None = None

    def run(self) -> Worker | Outcome:
        """Fork, and return in each of the processes; in the parent, when all of them have ended.

        A process has all signals blocked until :meth:`Worker.heed_signals`.

        :raises RuntimeError: outside of the main thread, which alone is told of signals.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("several processes can only be started by the main thread")
        with _alarm(self._watched()) as alarm:
            while self._outcome is None or self._children:
                for number in self._vacant():
                    worker = self._fork(number)
                    if worker is not None:
                        return worker
                if self._outcome is None or self._children:  # else none could be started
                    self._wait(alarm)
            return self._outcome

    def _watched(self) -> set[int]:
        watched = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, *self._forwarded}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # that would be nohup(1)
            watched.add(signal.SIGHUP)
        return watched

    # -- the beginning of a process ---------------------------------------------------------------

    def _vacant(self) -> list[int]:
        if self._outcome is not None:
            return []
        staffed = self._staffed()
        now = monotonic()
        vacant = [n for n in range(self._count) if n not in staffed and self._due[n] <= now]
        if self._came_up:
            return vacant
        return [] if self._children else vacant[:1]

    def _staffed(self) -> set[int]:
        """The numbers of processes that have no successor to get yet."""
        # One that has just begun is replaced later, or signals in a row would fork without end.
        children = self._children.values()
        return {child.number for child in children if not (child.outdated and child.ready)}

    def _fork(self, number: int) -> Worker | None:
        """Return a Worker in the new process, None in this one."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):  # nobody reads it; it is closed
                    stream.flush()  # or both would write what is buffered
        ours, theirs = socket.socketpair()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError as exc:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            ours.close()
            theirs.close()
            self._log(f"cannot start a process: {exc}", logging.ERROR, False)
            self._due[number] = monotonic() + RESPAWN_TIME
            if not self._came_up:
                self._end(Outcome(1))
            return None
        if pid == 0:
            for sibling in self._children.values():
                sibling.line.close()  # or they would not notice the parent's death
            ours.close()
            return Worker(number, theirs, mask)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        ours.setblocking(False)
        self._due[number] = 0.0
        self._children[pid] = _Child(pid, number, ours, monotonic())
        return None

    # -- what happens -----------------------------------------------------------------------------

    def _wait(self, alarm: int) -> None:
        """Sleep until something happens or is due, and see to it."""
        poll = select.poll()
        poll.register(alarm, select.POLLIN)
        for child in self._children.values():
            if not child.deaf:
                poll.register(child.line, select.POLLIN)
        poll.poll(self._pause())
        with contextlib.suppress(BlockingIOError):
            for number in os.read(alarm, 1000):
                self._obey(number)
        for child in self._children.values():
            self._hear(child)
        self._bury()
        for child in self._children.values():
            if monotonic() >= child.end_by:
                self._kill(child)

    def _pause(self) -> float | None:
        """Milliseconds until something is due."""
        due = [child.end_by for child in self._children.values()]
        if self._outcome is None:
            due += [time for time in self._due if time]
        soonest = min(due, default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - monotonic()) * 1000 + 1

    def _obey(self, number: int) -> None:
        if number in self._forwarded:
            self._heed(number)
            for child in self._children.values():
                _send(child, number)
        elif number == signal.SIGHUP and not self._terminal:
            for child in self._children.values():
                child.outdated = True
        elif number == signal.SIGINT and self._outcome is not None:
            self._outcome = Outcome(128 + signal.SIGINT)  # a second Ctrl-C
            for child in self._children.values():
                child.end_by = 0.0
        elif number != signal.SIGCHLD:
            self._end(Outcome(0))

    def _hear(self, child: _Child) -> None:
        try:
            said = child.line.recv(100)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        child.deaf = not said  # it is dying, most likely
        if READY in said:
            child.ready = self._came_up = True
            for other in self._children.values():
                if other.number == child.number and other is not child:
                    self._tell_to_end(other)
        if RESTART in said or END in said:
            child.asked = True
            self._end(Outcome(0, restart=RESTART in said))

    def _bury(self) -> None:
        # Whoever it is: process 1 inherits the orphans of all others.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.get(pid)
            if child is not None:
                self._hear(child)  # its last words
                child.line.close()
                del self._children[pid]
                self._mourn(child, os.waitstatus_to_exitcode(status))

    def _mourn(self, child: _Child, status: int) -> None:
        if child.asked and self._outcome is not None:
            self._outcome = replace(self._outcome, status=max(0, status))
        if child.told:
            return
        name = f"process {child.pid}"
        how = f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"
        if not self._came_up:
            self._log(f"{name} {how} before it was ready", logging.ERROR, False)
            self._end(Outcome(max(1, status)))
            return
        if child.number in self._staffed():
            self._log(f"{name} {how}; its successor is there", logging.ERROR, False)
            return
        self._log(f"{name} {how}: starting another one", logging.ERROR, False)
        now = monotonic()
        self._due[child.number] = now if now - child.born > RESPAWN_TIME else now + RESPAWN_TIME

    # -- the end ----------------------------------------------------------------------------------

    def _end(self, outcome: Outcome) -> None:
        if self._outcome is not None:
            return
        self._outcome = outcome
        if not outcome.restart:
            self._let_go()
        for child in self._children.values():
            self._tell_to_end(child)

    def _tell_to_end(self, child: _Child) -> None:
        if not child.told:
            child.told = True
            child.end_by = monotonic() + self._patience + GRACE
            if not child.asked:
                _send(child, signal.SIGTERM)

    def _kill(self, child: _Child) -> None:
        child.end_by = math.inf
        text = f"process {child.pid} did not end in time and was killed"
        self._log(text, logging.WARNING, False)
        _send(child, signal.SIGKILL)


def _send(child: _Child, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # cannot be: it would still be there to bury
        os.kill(child.pid, number)


def _has_terminal() -> bool:
    try:
        return sys.stdin is not None and os.isatty(sys.stdin.fileno())
    except (OSError, ValueError):  # replaced or closed
        return False


def _note(number: int, frame: FrameType | None) -> None:
    """Do nothing: the number of the signal has been written to the alarm."""


@contextlib.contextmanager
def _alarm(numbers: Iterable[int]) -> Iterator[int]:
    """A descriptor from which the numbers of arriving signals can be read, one byte each."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    # Signals of before the fork are not for a child, nor is what comes now for the old handlers.
    previous_alarm = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, _note) for number in numbers}
    try:
        yield reader
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(previous_alarm)
        os.close(reader)
        os.close(writer)
