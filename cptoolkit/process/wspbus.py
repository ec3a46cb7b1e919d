"""The bus: a process's life as states, and a channel for each change (reference, chapter 7.1)."""

from __future__ import annotations

import atexit
import contextlib
import enum
import os
import sys
import threading
import time
import warnings
from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from cptoolkit.process.channels import ERROR, WARNING, ChannelFailures, Channels, OperatorError
from cptoolkit.process.reexec import command_line, respawn

__all__ = ["Bus", "ChannelFailures", "OperatorError", "StartFailure", "State", "bus", "states"]

EX_SOFTWARE = 70  # sysexits.h: the status of a process that could not start or stop in order
SIGINT_STATUS = 130  # what shells report for a program ended by Ctrl-C

LONGEST_SLEEP = 1.0
"""Seconds. Python runs its handler of a signal that comes just before a thread falls asleep only
once that thread wakes up again."""

try:
    max_files = os.sysconf("SC_OPEN_MAX")
except (AttributeError, ValueError):  # no POSIX
    max_files = 0


class State(enum.Enum):
    """What a bus is doing. ``STOPPED`` is where it begins; ``EXITING`` is where :meth:`Bus.block`
    ends."""

    STOPPED = enum.auto()
    STARTING = enum.auto()
    STARTED = enum.auto()
    STOPPING = enum.auto()
    EXITING = enum.auto()

    def __repr__(self) -> str:
        return f"states.{self.name}"

    __str__ = __repr__


states = State
"""The name under which programs know the states: ``engine.states.STARTED``."""


class StartFailure(ChannelFailures, SystemExit):
    """``Bus.start`` gave up. Left alone it ends the process with status 70 and no second traceback.

    It is an ``Exception`` like any other to hosts and tests that want to go on.
    """

    def __init__(self, failures: ChannelFailures) -> None:
        super().__init__()
        self.add(failures)
        self.code = EX_SOFTWARE


class Bus(Channels):
    """A state machine that tells its listeners about each change, and a messenger between them.

    All listeners of a channel are called even if others fail. A bus can start again after it has
    exited.
    """

    states = State
    """The states, for programs that have a bus at hand but not this module."""

    execv: bool
    """Whether :meth:`block` starts the program anew when it is done; :meth:`restart` sets it."""

    max_cloexec_files: int = max_files
    """Open files below this number are kept from a restarted program; 0 leaves them all open."""

    join_timeout: float | None = 5.0
    """Seconds for which :meth:`block` waits for other threads to end. None: as long as it takes."""

    def __init__(self) -> None:
        super().__init__("start", "stop", "exit", "graceful", "log", "main")
        self.execv = False
        # Queues of threads that wait for something. SimpleQueue.put may be called by a signal
        # handler that has interrupted a get() of the same queue; Event and Condition would deadlock
        # there.
        self._waiting: list[SimpleQueue[Callable[[], object] | None]] = []
        self._blocked: SimpleQueue[Callable[[], object] | None] | None = None
        self._alone: list[LockType] = []  # of threads that the interpreter would not wait for
        self._exit_guard = threading.Lock()
        self._exit_failed = False
        self._pid = 0
        self._state = State.STOPPED

    if TYPE_CHECKING:
        # Plugins are attached as attributes: ``bus.autoreload = Autoreloader(bus)``.
        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    @property
    def state(self) -> State:
        """What the bus is doing. A change is seen at once by those who :meth:`wait` for it."""
        return self._state

    @state.setter
    def state(self, value: State) -> None:
        self._state = value
        self._wake()

    @property
    def started_in(self) -> int:
        """The number of the process in which the bus was last started; 0 before that."""
        return self._pid

    def start(self) -> None:
        """Start all services: publish ``start``.

        If a listener fails, the bus stops and exits.

        :raises StartFailure: after that, with the listeners' errors.
        """
        if not self._pid:
            atexit.register(self._clean_exit)
        self._pid = os.getpid()
        self._exit_failed = False
        self.state = State.STARTING
        self.log("Bus STARTING")
        try:
            self.publish("start")
            self._pid = os.getpid()  # a listener may have forked to the background
            self.state = State.STARTED
            self.log("Bus STARTED")
        except ChannelFailures as failures:
            self.log("Shutting down due to error in start listener.", ERROR)
            self._give_up_start()
            raise StartFailure(failures) from failures.get_instances()[0]
        except (KeyboardInterrupt, SystemExit):
            self._give_up_start()
            raise

    def stop(self) -> None:
        """Stop all services: publish ``stop``.

        :raises ChannelFailures: if a listener failed; the others have run and the bus is stopped.
        """
        self.state = State.STOPPING
        self.log("Bus STOPPING")
        try:
            self.publish("stop")
        finally:
            self.state = State.STOPPED
            self.log("Bus STOPPED")

    def exit(self) -> None:
        """Stop all services and publish ``exit``: the process is meant to end.

        Nothing happens if the bus has exited already, or is about to in this or another thread,
        but that a restart which is under way ends the process instead. Called while the bus is
        starting, it ends the process at once with status 70: a start listener may be stuck.

        :raises ChannelFailures: if a stop or exit listener failed; all have run, and :meth:`block`
            will end with status 70.
        """
        self.execv = False
        self._exit()

    def restart(self) -> None:
        """Exit, and have :meth:`block` start the program anew from the main thread.

        Nothing happens if the bus has exited already, or is about to.
        """
        if self.state is not State.EXITING and not self._exit_guard.locked():
            self.execv = True
            self._exit()

    def _exit(self) -> None:
        # Not a `with`: who comes second must not wait, the first may be about to join that very
        # thread.
        if not self._exit_guard.acquire(blocking=False):
            return
        try:
            if self.state is State.EXITING:
                return
            starting = self.state is State.STARTING
            try:
                self._shut_down()
            finally:
                if starting:
                    _leave_now(EX_SOFTWARE)
        finally:
            self._exit_guard.release()
            self._wake()

    def graceful(self) -> None:
        """Have all services reload: publish ``graceful``."""
        self.log("Bus graceful")
        self.publish("graceful")

    def block(self, interval: float = 0.1) -> None:
        """Wait until the bus exits, then for the other threads to end; meant for the main thread.

        Ctrl-C and SystemExit make the bus exit; a second Ctrl-C ends the process at once, status
        130. Threads that have not ended after :attr:`join_timeout` seconds are named in the log and
        left behind: they do not keep the process from ending. If :attr:`execv` is set, the program
        starts anew.

        :param interval: seconds between publications on the ``main`` channel.
        :raises SystemExit: with status 70 if a stop or exit listener failed, or the SystemExit that
            came from a listener.
        :raises ChannelFailures: from ``main``'s listeners, after the bus has exited.
        """
        ended_by: BaseException | None = None
        try:
            try:
                self._serve_main(interval)
            except KeyboardInterrupt:
                self.log("Keyboard Interrupt: shutting down bus")
                self._exit_quietly()
            except SystemExit as leaving:
                self.log("SystemExit raised: shutting down bus")
                self._exit_quietly()
                ended_by = leaving
            except ChannelFailures as failures:
                self.log("Error in main listener: shutting down bus", ERROR)
                self._exit_quietly()
                ended_by = failures
            self._await(lambda: not self._exit_guard.locked(), interval=1)
            self._join_threads()
        except KeyboardInterrupt:
            self._interrupted_again()
        if ended_by is not None:
            raise ended_by
        if self.execv:
            self._do_execv()
        if self._exit_failed:
            raise SystemExit(EX_SOFTWARE)

    def wait(
        self, state: State | Iterable[State], interval: float = 0.1, channel: str | None = None
    ) -> None:
        """Wait for a state, or for any of several.

        :param interval: seconds between publications on ``channel``.
        :param channel: None publishes nothing.
        """
        wanted = {state} if isinstance(state, State) else set(state)
        self._await(lambda: self.state in wanted, interval, channel)

    def call_soon(self, task: Callable[[], object]) -> None:
        """Have ``task`` called outside of the caller's frame, without waiting for it.

        Safe inside a signal handler. The thread in :meth:`block` calls it, so that listeners run
        where the program began; if none is there, a thread of its own does.
        """
        if self._blocked is not None:
            self._blocked.put(task)
        else:
            with contextlib.suppress(RuntimeError):  # the interpreter is shutting down already
                # threading.Thread takes locks that the interrupted frame may hold.
                under_way = allocate_lock()
                under_way.acquire()
                start_new_thread(self._call_alone, (task, under_way))

    def _call_alone(self, task: Callable[[], object], under_way: LockType) -> None:
        self._alone.append(under_way)
        try:
            task()
        finally:
            self._alone.remove(under_way)
            under_way.release()

    def start_with_callback(
        self,
        func: Callable[..., object],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> threading.Thread:
        """Start, and call ``func`` in a new thread once that is done; not at all if it fails.

        :returns: the thread.
        """

        def call() -> None:
            self.wait({State.STARTED, State.EXITING})
            if self.state is State.STARTED:
                func(*(args or ()), **(kwargs or {}))

        thread = threading.Thread(target=call)
        thread.name = f"Bus Callback {thread.name}"
        thread.start()
        self.start()
        return thread

    def _shut_down(self) -> None:
        failures = ChannelFailures()
        try:
            self.stop()
        except ChannelFailures as failed:
            failures.add(failed)
        self.state = State.EXITING
        self.log("Bus EXITING")
        try:
            self.publish("exit")
        except ChannelFailures as failed:
            failures.add(failed)
        self.log("Bus EXITED")
        if failures:
            self._exit_failed = True
            raise failures from failures.get_instances()[0]

    def _give_up_start(self) -> None:
        try:
            with contextlib.suppress(ChannelFailures):  # logged where they happened
                self._shut_down()
        except KeyboardInterrupt:
            self._interrupted_again()

    def _interrupted_again(self) -> None:
        self.log("Keyboard Interrupt again: leaving at once", WARNING)
        _leave_now(SIGINT_STATUS)

    def _exit_quietly(self) -> None:
        with contextlib.suppress(ChannelFailures):  # logged; the exit status tells of them
            self.exit()

    def _clean_exit(self) -> None:
        """Exit with the interpreter if nobody has; a forked child leaves its parent's bus alone."""
        if self._pid != os.getpid():
            return
        for under_way in list(self._alone):
            # The interpreter aborts if it ends while such a thread is writing to a log.
            under_way.acquire(timeout=-1 if self.join_timeout is None else self.join_timeout)
        if self.state is State.EXITING:
            return
        if self.state is not State.STOPPED:
            warnings.warn(
                f"the main thread ends while the bus is in {self.state!r}: it exits now. "
                "Call bus.block() after start(), or bus.exit() before the end.",
                RuntimeWarning,
                stacklevel=2,
            )
        self._exit_quietly()

    def _serve_main(self, interval: float) -> None:
        calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._blocked = calls
        try:
            self._await(lambda: self.state is State.EXITING, interval, "main", calls)
        finally:
            self._blocked = None

    def _await(
        self,
        reached: Callable[[], bool],
        interval: float,
        channel: str | None = None,
        calls: SimpleQueue[Callable[[], object] | None] | None = None,
    ) -> None:
        if calls is None:
            calls = SimpleQueue()
        self._waiting.append(calls)
        due = time.monotonic() + interval
        try:
            while not reached():
                try:
                    task = calls.get(timeout=min(max(due - time.monotonic(), 0), LONGEST_SLEEP))
                except Empty:
                    if time.monotonic() >= due:
                        if channel is not None:
                            self.publish(channel)
                        due = time.monotonic() + interval
                else:
                    if task is not None:
                        task()
        finally:
            self._waiting.remove(calls)

    def _wake(self) -> None:
        for calls in tuple(self._waiting):
            calls.put(None)

    def _join_threads(self) -> None:
        self.log("Waiting for child threads to terminate...")
        deadline = None if self.join_timeout is None else time.monotonic() + self.join_timeout
        hanging = []
        for thread in threading.enumerate():
            if thread in (threading.current_thread(), threading.main_thread()) or thread.daemon:
                continue
            self.log(f"Waiting for thread {thread.name}.")
            thread.join(None if deadline is None else max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                hanging.append(thread)
        if hanging:
            names = ", ".join(thread.name for thread in hanging)
            self.log(f"Left behind after {self.join_timeout} s, still running: {names}", ERROR)
            threading.Thread(
                target=_leave_behind, args=(hanging,), name="Bus last resort", daemon=True
            ).start()

    def _do_execv(self) -> None:
        """Replace this program by a new run of it; in the main thread only.

        :raises RuntimeError: if the command that started it cannot be repeated.
        :raises SystemExit: with status 70 if the system refuses to run it; the log tells why.
        """
        respawn(self, command_line())
        raise SystemExit(EX_SOFTWARE)


def _leave_behind(threads: list[threading.Thread]) -> None:
    """End the process after the main thread has ended, if threads still run that would hold it for
    ever."""
    threading.main_thread().join()
    if any(thread.is_alive() for thread in threads):
        _leave_now(EX_SOFTWARE)


def _leave_now(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed or broken: nothing more can be done for it
            stream.flush()
    os._exit(status)


bus = Bus()
"""The bus of this process."""
