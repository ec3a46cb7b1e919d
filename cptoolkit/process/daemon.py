"""Leave the terminal: go on in a background process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from cptoolkit.process.channels import WARNING, OperatorError
from cptoolkit.process.simple import SimplePlugin

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus


class Daemonizer(SimplePlugin):
    """Go on in the background when the bus starts (reference, chapter 8.1); Unix only.

    The command that was called ends with status 0 as soon as the background process exists. What
    goes wrong before that gives another status; what goes wrong later is found in the log alone.
    """

    in_parent = True

    def __init__(
        self,
        bus: Bus,
        stdin: str = os.devnull,
        stdout: str = os.devnull,
        stderr: str = os.devnull,
    ) -> None:
        """Redirect the standard streams, by default to nowhere.

        :param stdin: file that standard input comes from.
        :param stdout: file that standard output is appended to.
        :param stderr: file that standard error is appended to.
        """
        super().__init__(bus)
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.finalized = False

    def start(self) -> None:
        """Go to the background; a second start stays where it is.

        :raises OperatorError: if one of the files cannot be opened, or no process be made.
        """
        if self.finalized:
            self.bus.log("Already daemonized.")
            return
        others = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
        if others:
            # Threads do not survive a fork, and the locks that they hold stay locked for ever.
            self.bus.log(
                f"There are {len(others) + 1} active threads. Daemonizing now may cause strange "
                f"failures: {', '.join(others)} will be missing.",
                WARNING,
            )
        self.daemonize(self.stdin, self.stdout, self.stderr, self.bus.log)
        self.finalized = True

    # Before anything that starts threads, such as the monitors (70) and the server (75).
    start.priority = 65  # type: ignore[attr-defined]

    @staticmethod
    def daemonize(
        stdin: str = os.devnull,
        stdout: str = os.devnull,
        stderr: str = os.devnull,
        logger: Callable[[str], object] = lambda message: None,
    ) -> None:
        """Return in a background process that has no terminal and can get none; the caller's
        process ends.

        :param logger: gets a line about each step.
        :raises OperatorError: if one of the files cannot be opened, or no process be made.
        """
        files = []
        try:
            # Opened before the fork, while there is still somebody to be told about errors.
            files.append(os.open(stdin, os.O_RDONLY))
            for path in (stdout, stderr):
                files.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666))
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()  # or both processes would write what is buffered
            _fork(logger, "Forking once.")
            os.setsid()
            _fork(logger, "Forking twice.")  # who leads no session cannot be given a terminal
        except OSError as error:
            raise OperatorError(f"Cannot daemonize: {error}.") from error
        for number, descriptor in enumerate(files):
            os.dup2(descriptor, number)
            if descriptor > 2:
                os.close(descriptor)
        logger(f"Daemonized to PID: {os.getpid()}")


def _fork(logger: Callable[[str], object], message: str) -> None:
    if os.fork() > 0:
        logger(message)
        os._exit(0)
