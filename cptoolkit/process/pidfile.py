"""A file that tells other programs this process's number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cptoolkit.process.channels import WARNING, OperatorError
from cptoolkit.process.simple import SimplePlugin

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus


class PIDFile(SimplePlugin):
    """Write the process's number to a file on start, and remove the file on exit (reference,
    chapter 8.3).

    A file left over from a process that is no more is replaced; if that process lives, the bus does
    not start.
    """

    in_parent = True

    def __init__(self, bus: Bus, pidfile: str | os.PathLike[str]) -> None:
        """Make a plugin that has yet to be subscribed.

        :param pidfile: path of the file; its folder must exist. Made absolute here and now.
        """
        super().__init__(bus)
        self.pidfile = os.fspath(pidfile)
        self.finalized = False
        self._path = Path(pidfile).absolute()  # the process may change its folder
        self._pid = 0

    def start(self) -> None:
        """Write the file, unless it has been written already.

        :raises OperatorError: if another process that is running has it, or it cannot be written.
        """
        if self.finalized:
            self.bus.log(f"PID {self._pid} already written to {self.pidfile!r}.")
            return
        pid = os.getpid()
        try:
            # A program that has started anew after root's rights had gone could not write it again.
            if self._named() != pid:
                while not self._take(pid):
                    pass  # another program has removed it just now
        except OSError as error:
            raise OperatorError(
                f"Cannot write PID file {self.pidfile!r}: {error.strerror}."
            ) from error
        self._pid = pid
        self.finalized = True
        self.bus.log(f"PID {pid} written to {self.pidfile!r}.")

    # After a daemon has got its final number (65).
    start.priority = 70  # type: ignore[attr-defined]

    def exit(self) -> None:
        """Remove the file, if this very process has written it."""
        if not self.finalized or self._pid != os.getpid():
            return
        self.finalized = False
        try:
            self._path.unlink(missing_ok=True)
        except (
            OSError
        ) as error:  # such as one in root's folder, after root's rights have been dropped
            self.bus.log(
                f"PID file {self.pidfile!r} could not be removed: {error.strerror}.", WARNING
            )
        else:
            self.bus.log(f"PID file removed: {self.pidfile!r}.")

    def _take(self, pid: int) -> bool:
        """Write the number to the file; False if that is no longer there.

        :raises OperatorError: if the file names another process that is running.
        """
        from fcntl import LOCK_EX, lockf  # not above: Windows has none

        # Not through a link, which somebody else may have put there.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._path, flags, 0o666)
        except PermissionError:
            if not self._path.exists():
                raise
            self._refuse_running(self._named())
            self._path.unlink()  # root has left it over, in a folder that is ours
            return False
        with open(descriptor, "r+", errors="replace") as file:
            lockf(file, LOCK_EX)  # of two that start at once, one finds what the other has written
            self._refuse_running(_number(file.read()))
            if not os.fstat(file.fileno()).st_nlink:
                return False
            file.seek(0)
            file.truncate()
            file.write(f"{pid}\n")
        return True

    def _refuse_running(self, pid: int) -> None:
        if pid and _is_running(pid):
            raise OperatorError(
                f"PID file {self.pidfile!r} names process {pid}, which is running. "
                "Stop it first, or remove the file if that is another program."
            )

    def _named(self) -> int:
        """The process that the file names; 0 if there is no file, or no number in it."""
        try:
            return _number(self._path.read_text(errors="replace"))
        except FileNotFoundError:
            return 0


def _number(content: str) -> int:
    content = content.strip()
    return int(content) if content.isdecimal() and len(content) < 20 else 0


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
