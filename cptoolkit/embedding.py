"""The site in a process that belongs to another server (reference, chapter 8.7.1).

That server listens, owns the signals and decides when the process ends; nobody calls
``engine.block()``. :func:`embed` is for programs that have no better moment to tell; the adapters
in :mod:`cptoolkit.servers` call :func:`start` and :func:`stop` when their host says so.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable

from cptoolkit.process.channels import WARNING, ChannelFailures
from cptoolkit.process.plugins import Monitor
from cptoolkit.process.wspbus import StartFailure, State
from cptoolkit.site import config, engine, log, server

__all__ = [
    "MAIN_INTERVAL",
    "HostLog",
    "StartFailure",
    "embed",
    "engine",
    "publish_main",
    "start",
    "stop",
]

MAIN_INTERVAL = 0.1
"""Seconds between publications on ``main``, those of ``engine.block()``."""

_STAMP = re.compile(r"\[\d\d/\w{3}/\d{4}:[\d:]{8}\] ")

_ours: list[bool] = []  # not empty once stop() has been called


class HostLog(logging.Handler):
    """Passes the error log on to the host's log, without the time, which the host adds itself.

    :param write: takes each record. None: the standard error stream, with the time.
    """

    def __init__(self, write: Callable[[logging.LogRecord], object] | None) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._write is None:
                self._write_to_stderr(record)
            else:
                record = copy.copy(record)
                record.msg, record.args = _STAMP.sub("", record.getMessage(), count=1), ()
                self._write(record)
        except Exception:  # logging must not fail what is logged
            self.handleError(record)

    def _write_to_stderr(self, record: logging.LogRecord) -> None:
        # Handlers of the root logger get the record anyway; waitress, for one, has set them up.
        if sys.stderr is not None and not logging.getLogger().handlers:
            print(self.format(record), file=sys.stderr, flush=True)


def start(
    write: Callable[[logging.LogRecord], object] | None = None, main_in_thread: bool = True
) -> None:
    """Start the bus in a process that serves requests, after it has been forked.

    The environment ``embedded`` is applied unless config names another one; the bundled server, the
    autoreloader and the bus's signal handlers give way to the host's. A bus that runs in this
    process already gets ``main`` and the log, and is not started again.

    :param write: takes the records of the error log, unless config sets ``log.screen``. None: the
        handlers of the root logger if there are any, or else the standard error stream.
    :param main_in_thread: whether a thread publishes ``main``, as the host's loop does not.
    :raises StartFailure: if a listener of ``start`` fails.
    """
    running = engine.state is State.STARTED
    if running and engine.started_in != os.getpid():
        # By a parent whose threads and connections have not survived the fork.
        engine.log(
            f"The bus was started in process {engine.started_in}, before the fork: it starts again "
            "here. Leave engine.start() to the adapter.",
            WARNING,
        )
        running = False
    if not running:
        _give_way()
    if not config.get("log.screen"):
        log.screen = False
        if not any(isinstance(handler, HostLog) for handler in log.error_log.handlers):
            log.error_log.addHandler(HostLog(write))
    if main_in_thread and not hasattr(engine, "main_loop"):
        engine.main_loop = Monitor(engine, publish_main, MAIN_INTERVAL, "main loop")
        engine.main_loop.subscribe()
    _ours.clear()
    if not running:
        engine.start()
    elif main_in_thread:
        engine.main_loop.start()
    engine.subscribe("exit", _end_process, priority=100)  # last, and not if the start has failed


def stop() -> None:
    """Exit the bus, as the process is about to end. Its listeners' errors are in the log."""
    if engine.started_in != os.getpid():  # a parent's bus is the parent's
        return
    _ours.append(True)
    with contextlib.suppress(ChannelFailures):
        engine.exit()


def publish_main() -> None:
    """Publish ``main``, for hosts whose loop calls something every :data:`MAIN_INTERVAL`."""
    engine.publish("main")


def embed(main_in_thread: bool = True) -> None:
    """Start the bus now, in a process that another server uses, and exit it when the process ends.

    For any host without an adapter, and called where the application is made: once in each
    process that serves, since what is started before a fork does not survive it. Where
    nobody handles SIGTERM, which then ends the process at once, the bus exits before that.

    :param main_in_thread: whether a thread publishes ``main``.
    :raises StartFailure: if a listener of ``start`` fails.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # not the main thread: the host has its own plans
            signal.signal(signal.SIGTERM, _leave)
    start(main_in_thread=main_in_thread)
    # Python waits for this thread before it ends, and the thread for Python to begin with that:
    # plugins stop in time for their own threads to be waited for. atexit would be too late.
    threading.Thread(target=_stop_with_python, name="end of the bus").start()


def _give_way() -> None:
    if not config.get("environment"):
        names = config.environments["embedded"].keys() & config
        chosen = {name: config[name] for name in names if _is_chosen(name)}
        config.update({"environment": "embedded", **chosen})
    for plugin in (server, engine.autoreload, engine.signals):
        plugin.unsubscribe()


def _is_chosen(name: str) -> bool:
    """Whether the program has set a config entry; nobody can tell if it did so to the default."""
    return bool(config[name] != config.defaults.get(name))


def _end_process() -> None:
    """Have the host end this process, and start another in its place if that is its way, when the
    application has called ``engine.exit()``: there is nothing behind the pages any more."""
    if not _ours:
        os.kill(os.getpid(), signal.SIGTERM)


def _stop_with_python() -> None:
    threading.main_thread().join()
    stop()


def _leave(signum: int, frame: object) -> None:
    """Let the signal do what it would have done, once the bus has exited."""
    signal.signal(signum, signal.SIG_DFL)
    engine.call_soon(_leave_in_order)  # this frame may have interrupted the holder of any lock


def _leave_in_order() -> None:
    stop()
    os.kill(os.getpid(), signal.SIGTERM)
