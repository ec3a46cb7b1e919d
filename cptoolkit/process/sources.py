"""The source files of a running program, and what speaks against running it anew from them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterable

from cptoolkit.process.reexec import STARTUP_FOLDER

Stamp = tuple[int, int]  # modification time in nanoseconds, size in bytes


def _main_file() -> str | None:
    main = sys.modules.get("__main__")
    path: str | None = getattr(getattr(main, "__loader__", None), "archive", None)
    path = path or getattr(main, "__file__", None)
    if path is None or not os.path.exists(path):  # frozen programs name one that there is not
        return None
    return os.path.abspath(path)


_main = _main_file()  # now, as the program may go to another folder


def stamp(path: str) -> Stamp | None:
    """What changes with a file, or a folder's list of files; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def source(path: str) -> str:
    """The file that a person edits: the .py of a .pyc, where there is one."""
    path = os.path.join(STARTUP_FOLDER, path)
    edited = path[:-1] if path.endswith(".pyc") else path
    return edited if os.path.exists(edited) else path


def obstacle(paths: Iterable[str]) -> str | None:
    """Say why the program cannot begin anew: a syntax error, or no file to begin with.

    :param paths: files that may have one.
    """
    for path in sorted(paths):
        if (error := _syntax_error(path)) is not None:
            return f"syntax error in {path}: {error}"
    if _main is not None and not os.path.exists(_main):
        return f"{_main} is gone"
    return None


def forget_compiled(paths: Iterable[str]) -> None:
    """Remove what Python has compiled of sources, as it tells two saves within a second apart by
    their size alone (PEP 552)."""
    for path in paths:
        if path.endswith(".py"):
            with contextlib.suppress(OSError, NotImplementedError):
                os.unlink(importlib.util.cache_from_source(path))


def some(paths: Iterable[str]) -> str:
    """Name files in a line, however many there are."""
    first, *others = sorted(paths)
    return first if not others else f"{first} and {len(others)} more"


def _syntax_error(path: str) -> Exception | None:
    if path.endswith(".py"):
        try:
            with open(path, "rb") as file:
                compile(file.read(), path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            return error
        except OSError:  # gone again
            return None
    return None
