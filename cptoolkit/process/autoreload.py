"""Restart the program when one of its files has changed."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

from cptoolkit.process import mending
from cptoolkit.process.channels import WARNING
from cptoolkit.process.monitors import Monitor
from cptoolkit.process.reexec import for_next_run
from cptoolkit.process.sources import Stamp, forget_compiled, obstacle, some, source, stamp
from cptoolkit.process.wspbus import State

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

SETTLE_SECONDS = 0.05
"""For which no file may change before the program restarts: an editor that saves several files, or
one in several steps, is let finish."""

SETTLE_LOOKS = 20
"""After which it restarts all the same."""

_NEVER: Stamp = (0, -1)  # no file has it


class Autoreloader(Monitor):
    """Watch the files of all imported modules, and :attr:`files`, and restart when one has changed.

    A file that disappears is waited for, as editors replace files that way. A Python file with a
    syntax error is reported and waited for, too: the program goes on as it is until that is mended.
    Any other error that a change has brought is met by the restarted program. If it fails before
    the bus has started, it waits for a change (:mod:`cptoolkit.process.mending`).
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
        self._gone: dict[str, int] = {}  # at how many looks
        self._suspects: set[str] = set()
        self._modules: set[str] = set()
        self._basis: tuple[str, frozenset[str]] | None = None

    def subscribe(self) -> None:
        """Watch while the bus runs, and after a restart until it runs again."""
        super().subscribe()
        for_next_run[mending.FILES] = self._files_for_next_run

    def unsubscribe(self) -> None:
        """Watch no longer."""
        super().unsubscribe()
        if for_next_run.get(mending.FILES) == self._files_for_next_run:
            del for_next_run[mending.FILES]

    def start(self) -> None:
        """Start the thread; files count as changed when they differ from what they are now."""
        if self.frequency <= 0:  # nobody will look
            mending.disarm()
        if self.thread is None or not self.thread.is_alive():
            self._stamps, self._gone, self._suspects = {}, {}, set()
            self._changed()
            self._stamps |= dict.fromkeys(mending.changed_meanwhile(self._stamps), _NEVER)
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
                    found.add(source(path))
        return found

    def run(self) -> None:
        """Look once; the thread's callback."""
        if self.bus.state is State.STARTING:  # restart() would end the process then
            return
        if self.bus.state is State.STARTED:  # and not about to exit, as a service has failed
            mending.disarm()
        changed = self._changed()
        self._tell_of_missing()
        if not changed:
            return
        for _ in range(SETTLE_LOOKS):
            time.sleep(SETTLE_SECONDS)
            more = self._changed()
            changed |= more
            if not more:
                break
        self._suspects |= changed
        reason = obstacle(self._suspects)
        if reason is not None:
            self.bus.log(f"Not restarting, {reason}", WARNING)
            return
        self.bus.log(f"Restarting because {some(self._suspects)} changed.")
        forget_compiled(self._suspects)
        self.bus.restart()

    def _changed(self) -> set[str]:
        changed = set()
        for path in self._to_watch():
            now = stamp(path)
            if now is None:
                if path in self._stamps:
                    self._gone.setdefault(path, 0)
                continue
            self._gone.pop(path, None)
            if self._stamps.setdefault(path, now) != now:
                self._stamps[path] = now
                changed.add(path)
        return changed

    def _tell_of_missing(self) -> None:
        for path in self._gone:
            self._gone[path] += 1
            if self._gone[path] == 2:  # at the first look an editor may be replacing it
                self.bus.log(
                    f"{path} is gone. The program goes on without it, and restarts when the file is"
                    " back or another one changes.",
                    WARNING,
                )

    def _files_for_next_run(self) -> list[str]:
        return sorted(self.files)

    def _to_watch(self) -> set[str]:
        basis = (self.match, frozenset(sys.modules))
        if basis != self._basis:  # a look at a thousand modules costs a millisecond, every second
            self._modules, self._basis = self.sysfiles(), basis
        return self._modules | self.files
