"""Restart the program when one of its files has changed."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from cptoolkit.process.channels import WARNING
from cptoolkit.process.monitors import Monitor
from cptoolkit.process.reexec import STARTUP_FOLDER

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

Stamp = tuple[int, int]  # modification time in nanoseconds, size in bytes


class Autoreloader(Monitor):
    """Watch the files of all imported modules, and :attr:`files`, and restart when one has changed.

    A file that disappears is waited for, as editors replace files that way. A Python file with a
    syntax error is reported and waited for, too: the restarted program could not even begin.
    """

    files: set[str]
    """More files to watch."""

    frequency: float = 1
    """Seconds between two looks."""

    match: str = ".*"
    """A regular expression that the beginning of a module's name has to match for it to be watched.
    """

    def __init__(self, bus: Bus, frequency: float = 1, match: str = ".*") -> None:
        """Watch modules whose names begin as ``match`` says, every ``frequency`` seconds.

        :raises re.error: if ``match`` is no regular expression.
        """
        re.compile(match)
        super().__init__(bus, self.run, frequency)
        self.files = set()
        self.match = match
        self._stamps: dict[str, Stamp] = {}
        self._modules: set[str] = set()
        self._basis: tuple[str, frozenset[str]] | None = None

    def start(self) -> None:
        """Start the thread; files count as changed when they differ from what they are now."""
        if self.thread is None or not self.thread.is_alive():
            self._stamps = {}
            self._changed()
        super().start()

    start.priority = 70  # type: ignore[attr-defined]

    def sysfiles(self) -> set[str]:
        """The absolute paths of the files, archives included, that matching modules come from."""
        matches = re.compile(self.match).match
        found = set()
        for name, module in tuple(sys.modules.items()):
            # The __dict__, because asking a lazy module for an attribute would import it.
            contents = getattr(module, "__dict__", {})
            if matches(name):
                loader = contents.get("__loader__")
                path = getattr(loader, "archive", None) or contents.get("__file__")
                if isinstance(path, str):
                    found.add(_source(os.path.join(STARTUP_FOLDER, path)))
        return found

    def run(self) -> None:
        """Look once; the thread's callback."""
        path = self._changed()
        if path is None:
            return
        if (error := _syntax_error(path)) is not None:
            self.bus.log(f"Not restarting, syntax error in {path}: {error}", WARNING)
            return
        self.bus.log(f"Restarting because {path} changed.")
        self.bus.restart()

    def _changed(self) -> str | None:
        for path in self._to_watch():
            try:
                status = os.stat(path)
            except OSError:
                continue
            stamp = (status.st_mtime_ns, status.st_size)
            if self._stamps.setdefault(path, stamp) != stamp:
                self._stamps[path] = stamp
                return path
        return None

    def _to_watch(self) -> set[str]:
        basis = (self.match, frozenset(sys.modules))
        if basis != self._basis:  # a look at a thousand modules costs a millisecond, every second
            self._modules, self._basis = self.sysfiles(), basis
        return self._modules | self.files


def _source(path: str) -> str:
    """The file that a person edits: the .py of a .pyc, where there is one."""
    source = path[:-1] if path.endswith(".pyc") else path
    return source if os.path.exists(source) else path


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
