"""Start this program anew in the same process: what ``Bus.restart()`` ends with."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cptoolkit.process.activation import passed_descriptors
from cptoolkit.process.channels import ERROR
from cptoolkit.process.handover import bequeath

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

try:
    # Relative names on the command line and in PYTHONPATH mean this folder, wherever the program
    # goes later.
    STARTUP_FOLDER = os.getcwd()
except OSError:  # the folder has been removed
    STARTUP_FOLDER = os.sep

VARIABLE = "CPTOOLKIT_RESTARTED"
"""JSON: what :data:`from_last_run` becomes."""

for_next_run: dict[str, Callable[[], Any]] = {}
"""What to tell the next run of this program, by name, asked for when it begins."""


def _read_heritage() -> dict[str, Any]:
    # Children inherit the environment, too, but are other processes.
    heritage: dict[str, Any] = json.loads(os.environ.pop(VARIABLE, "{}"))
    return heritage if heritage.get("pid") == os.getpid() else {}


from_last_run: dict[str, Any] = _read_heritage()
"""What the last run has told this one, with ``time``, when it ended (nanoseconds of the clock of
file times). Empty if this process runs its first program."""


def command_line() -> list[str]:
    """The command that started this program, with the interpreter's own options.

    ``sys.orig_argv`` (Python 3.10) holds what ``sys.argv`` has lost: ``-m name``, the text after
    ``-c``, ``-X``, ``-W``. Its first item may be a bare ``python`` that another PATH finds
    elsewhere, so the interpreter's own path takes its place.

    :raises RuntimeError: if the program came from a terminal or a pipe and cannot be read again,
        or if the interpreter is part of another program.
    """
    if not sys.executable or not sys.orig_argv:
        raise RuntimeError("cannot restart: Python is embedded in a program that has to do it")
    if sys.argv[:1] in ([""], ["-"]):
        raise RuntimeError(
            "cannot restart a program that was read from the terminal or from a pipe"
        )
    return [sys.executable, *sys.orig_argv[1:]]


def close_on_exec(limit: int) -> None:
    """Keep open files, but for the standard streams and systemd's sockets, from the new program.

    Python's own files are closed anyway (PEP 446); libraries written in C may have left others
    open.

    :param limit: descriptors from this one on are left alone.
    """
    kept = {0, 1, 2, *passed_descriptors()}
    for descriptor in _open_descriptors(limit):
        if descriptor not in kept and descriptor < limit:
            with contextlib.suppress(OSError):  # closed meanwhile
                os.set_inheritable(descriptor, False)


def respawn(bus: Bus, command: list[str]) -> None:
    """Run ``command`` in place of this program, as a bus says; returns if the system refuses.

    The log tells either.
    """
    bus.log("Re-spawning " + " ".join(command))
    try:
        replace_process(command, bus.max_cloexec_files)
    except OSError as error:  # which names the folder if it is that
        where = error.filename or command[0]
        bus.log(f"Cannot start anew: {where}: {error.strerror}.", ERROR)


def replace_process(command: list[str], limit: int) -> None:
    """Run ``command`` in place of this program; does not return.

    Sockets that were left to its servers (:mod:`cptoolkit.process.handover`) stay open.

    :param limit: see :func:`close_on_exec`; 0 leaves open files alone.
    """
    os.chdir(STARTUP_FOLDER)
    if limit:
        close_on_exec(limit)
    bequeath()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    heritage = {name: tell() for name, tell in for_next_run.items()}
    os.environ[VARIABLE] = json.dumps({**heritage, "pid": os.getpid(), "time": time.time_ns()})
    os.execv(command[0], command)


def _open_descriptors(limit: int) -> Iterable[int]:
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        return range(limit)
