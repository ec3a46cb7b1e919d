"""Several processes that run the same bus: one forks before anything starts, and only watches."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from cptoolkit.process import handover
from cptoolkit.process.channels import (
    DEFAULT_PRIORITY,
    ERROR,
    WARNING,
    ChannelFailures,
    OperatorError,
)
from cptoolkit.process.reexec import command_line, respawn
from cptoolkit.process.wspbus import EX_SOFTWARE, StartFailure, State

if TYPE_CHECKING:
    from cptoolkit.process.httpserver import Server
    from cptoolkit.process.wspbus import Bus
    from cptoolkit.servers.processes import Outcome
    from cptoolkit.servers.sockets import Listeners
    from cptoolkit.servers.worker import Worker


STOP_TIME = 2.0
"""Seconds that services other than the server get to stop."""


def divide(bus: Bus, servers: Sequence[Server]) -> None:
    """Bind the addresses of all ``servers``, fork, and return in each of the processes.

    There are as many as the server that wants most of them has asked for. The process that forks
    them never returns: no listener runs in it but those of plugins that are ``in_parent``.

    :raises StartFailure: before the fork, if there is nothing to serve on.
    """
    # Here, as importing the bus must stay cheap.
    from cptoolkit.servers.processes import Supervisor
    from cptoolkit.servers.worker import Worker

    opened: list[Listeners] = []

    def close() -> None:
        for listeners in opened:
            listeners.close()

    try:
        if threading.current_thread() is not threading.main_thread():
            raise OperatorError("server.processes can only be started by the main thread.")
        count = max(server.options().processes for server in servers)
        for server in servers:
            opened.append(server.open(count))
        for listener in _of_parent(bus, "start"):
            listener()
    except Exception as error:
        close()
        bus.log(str(error), ERROR, traceback=not isinstance(error, OperatorError))
        failures = ChannelFailures()
        failures.add(error)
        raise StartFailure(failures) from error
    handover.discard()
    _warn_of_threads(bus)
    bus.log(f"PID {os.getpid()} watches over {count} processes.")
    supervisor = Supervisor(
        count,
        _patience(bus, servers),
        close,
        bus.log,
        _signals_of_bus(),
        lambda number: _heed(bus, number),
    )
    outcome = supervisor.run()
    if isinstance(outcome, Worker):
        for server, listeners in zip(servers, opened, strict=True):
            listeners.keep_share(outcome.number, count)
            server.share(listeners)
        _Tie(bus, outcome).subscribe()
        outcome.heed_signals()
    else:
        _end(bus, outcome, servers, opened)


def _patience(bus: Bus, servers: Sequence[Server]) -> float:
    """How long a process may take to stop all services, and to wait for its threads."""
    if bus.join_timeout is None:
        return math.inf
    longest: float = max(server.shutdown_timeout for server in servers)
    return longest + bus.join_timeout + STOP_TIME


def _heed(bus: Bus, number: int) -> None:
    """Be graceful as the processes are: open log files anew, above all."""
    if bus.graceful not in bus.listeners.get(signal.Signals(number).name, ()):
        return
    from cptoolkit.process.privileges import DropPrivileges  # few need it

    owners = {getattr(one, "__self__", None) for one in bus.listeners["start"]}
    with contextlib.ExitStack() as rights:
        for owner in owners:
            if isinstance(owner, DropPrivileges):
                rights.enter_context(owner.for_files())
        for listener in _of_parent(bus, "graceful"):
            try:
                listener()
            except Exception:  # no reason to watch over the processes no longer
                bus.log(f"Error in 'graceful' listener {listener!r}", ERROR, traceback=True)


class _Tie:
    """What a process tells its parent about the bus."""

    def __init__(self, bus: Bus, worker: Worker) -> None:
        self._bus = bus
        self._worker = worker
        self._started = False
        self._told = False

    def subscribe(self) -> None:
        self._bus.subscribe("SIGTERM", self._note, priority=-math.inf)
        self._bus.subscribe("exit", self._exit, priority=math.inf)
        # Listeners of a publication under way stay as they are, so this cannot be one of "start".
        threading.Thread(target=self._begin, name="parent line", daemon=True).start()

    def _begin(self) -> None:
        self._bus.wait({State.STARTED, State.EXITING})
        if self._bus.state is State.STARTED:
            self._started = True
            self._worker.ready()

    def _note(self) -> None:
        self._told = True

    def _exit(self) -> None:
        if self._bus.execv:
            self._bus.execv = False  # that is for the parent to do
            self._worker.restart_all()
        elif self._started and not self._told:
            self._worker.end_all()


def _end(
    bus: Bus, outcome: Outcome, servers: Sequence[Server], opened: Sequence[Listeners]
) -> NoReturn:
    from cptoolkit.servers.worker import leave_now

    status = outcome.status
    try:
        for listener in _of_parent(bus, "exit"):
            listener()
        if outcome.restart:
            command = command_line()
            for server, listeners in zip(servers, opened, strict=True):
                server.leave(listeners)
            respawn(bus, command)
            status = EX_SOFTWARE
        bus.log("All processes have ended.")
    except Exception:
        bus.log("The processes have ended, but not in order", ERROR, traceback=True)
        status = EX_SOFTWARE
    finally:
        leave_now(status)


def _of_parent(bus: Bus, channel: str) -> Iterator[Any]:
    listeners = bus.listeners[channel]
    for listener in sorted(listeners, key=lambda one: getattr(one, "priority", DEFAULT_PRIORITY)):
        if getattr(getattr(listener, "__self__", listener), "in_parent", False):
            yield listener


def _signals_of_bus() -> set[int]:
    """Signals that mean something to the program, but for those that end it."""
    own = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    return {n for n in signal.valid_signals() - own if callable(signal.getsignal(n))}


def _warn_of_threads(bus: Bus) -> None:
    others = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
    if others:
        # They do not survive a fork, and the locks that they hold stay locked for ever.
        bus.log(f"Threads will be missing in the processes: {', '.join(others)}", WARNING)
