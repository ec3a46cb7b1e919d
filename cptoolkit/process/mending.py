"""What becomes of a program that has been restarted with an error in it: it waits to be mended.

Without that, a mistake in an edited file would end the program at its next start, and the one who
mends it a minute later would have to start it by hand. It counts from a restart until the bus has
started and an Autoreloader watches again, and only where one did before the restart.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType

from cptoolkit.process import handover
from cptoolkit.process.reexec import (
    command_line,
    for_next_run,
    from_last_run,
    replace_process,
)
from cptoolkit.process.sources import Stamp, forget_compiled, obstacle, source, stamp

FILES, LATE = "watched", "late"
"""Names of what runs tell one another: files that are no modules, and how many restarts in a row
were for a file that had changed while the program began."""

INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C

_MOST_LATE = 3  # restarts in a row; a program that writes files of its own would go on for ever
_LOOK_SECONDS = 0.5
_TICK = 10_000_000  # nanoseconds; file times lag behind the clock by the kernel's tick

_armed = FILES in from_last_run


def is_armed() -> bool:
    """Whether this program, if it fails now, is to wait."""
    # Its own children, one of several processes above all, are others' to start again.
    return _armed and from_last_run.get("pid") == os.getpid()


def disarm() -> None:
    """Let errors end the program again: it has begun."""
    global _armed
    _armed = False
    from_last_run.pop("time", None)
    if sys.excepthook is _hook:
        sys.excepthook = _previous


def changed_meanwhile(stamps: dict[str, Stamp]) -> set[str]:
    """Files that have changed since the last run has ended: nobody knows which text has been read.

    None after :func:`disarm`, when looks tell what changes; and none if that has led to several
    restarts in a row, lest a program that writes such files at each start begins for ever.
    """
    began, restarts = from_last_run.get("time"), from_last_run.get(LATE, 0)
    if began is None or restarts >= _MOST_LATE:
        return set()
    late = {
        path for path, (changed, _) in stamps.items() if began - _TICK <= changed <= time.time_ns()
    }
    if late:
        for_next_run[LATE] = lambda: restarts + 1
    return late


def wait(error: BaseException) -> None:
    """Wait until a file has changed that may mend ``error``, and run the program anew.

    Does not return.

    :raises SystemExit: on Ctrl-C.
    """
    from cptoolkit.process.wspbus import bus

    try:
        if hasattr(bus, "signals"):
            bus.signals.unsubscribe()  # a bus that has exited would not end the program
        files = {*from_last_run[FILES], *for_next_run.get(FILES, list)()}
        watched = _suspects(files, error)
        before = {path: stamp(path) for path in watched}
        _tell("The program waits: it starts again when one of its files has changed.")
        known = {path: was for path, was in before.items() if was and not os.path.isdir(path)}
        changed = changed_meanwhile(known)
        while not changed or _is_hindered(changed):
            time.sleep(_LOOK_SECONDS)
            now = {path: stamp(path) for path in watched}
            changed = {path for path in watched if now[path] != before[path]}
            before = now
        forget_compiled(changed)
        for_next_run[FILES] = lambda: sorted(files)
        handover.claim("")  # so that what the last run has left goes to the next
        replace_process(command_line(), bus.max_cloexec_files)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _suspects(others: set[str], error: BaseException) -> set[str]:
    """Files, there or not, that an error may come from, and folders that lack one."""
    files = {*others, *_files_of(error)}
    for module in tuple(sys.modules.values()):
        path = getattr(module, "__dict__", {}).get("__file__")  # asking it could import it
        if isinstance(path, str):
            files.add(path)
    files = {source(path) for path in files}
    return files | {os.path.dirname(path) for path in files} | set(map(os.path.abspath, sys.path))


def _files_of(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            yield error.filename
        trace = error.__traceback__
        while trace is not None:
            yield trace.tb_frame.f_code.co_filename
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


def _is_hindered(changed: set[str]) -> bool:
    reason = obstacle(changed)
    if reason is not None:
        _tell(f"Not restarting, {reason}")
    return reason is not None


def _tell(message: str) -> None:
    if sys.stderr is not None:
        print(f"cptoolkit: {message}", file=sys.stderr, flush=True)


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _previous(kind, error, trace)
    if is_armed() and isinstance(error, Exception):
        wait(error)


_previous = sys.excepthook
if _armed:
    sys.excepthook = _hook
