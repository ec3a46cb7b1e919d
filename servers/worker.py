"""One of several processes: what it tells the parent that has forked it, and how it ends.

Both ends of its line are sockets. By it the process tells that it is ready, and notices by its end
that the parent is no more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

READY, END, RESTART = b"r", b"e", b"s"
"""What can be told: it serves; all are to end; all are to end, and the program to start anew."""

INTERRUPTED = 130
"""What shells report for a program ended by Ctrl-C."""


class Worker:
    """One of the processes, as it sees itself.

    :param number: which one, from 0.
    :param line: its connection with the parent.
    :param mask: signals that it is to have blocked.
    """

    def __init__(self, number: int, line: socket.socket, mask: set[int]) -> None:
        self.number = number
        self._line = line
        self._mask = mask
        self._pid = os.getpid()

    def heed_signals(self) -> None:
        """Let in the signals that the fork has held back: whatever they do, it can happen now."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def ready(self) -> None:
        """Tell that it serves. From now on it gets a SIGTERM if the parent dies."""
        self._tell(READY)
        threading.Thread(target=self._outlive, name="parent watch", daemon=True).start()

    def end_all(self) -> None:
        """Have the parent end all processes, this one included."""
        self._tell(END)

    def restart_all(self) -> None:
        """Have the parent end all processes and start the program anew."""
        self._tell(RESTART)

    def _tell(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody is left to be told
            self._line.send(message)

    def _outlive(self) -> None:
        with contextlib.suppress(OSError):
            self._line.recv(1)  # nothing is ever sent: it ends with the parent
        os.kill(self._pid, signal.SIGTERM)


def leave(work: Callable[[], object]) -> NoReturn:
    """Do ``work``, and end this process without what the program does at its end: that is for the
    process it was forked from."""
    status = 0
    try:
        work()
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else exc.code is not None
        if isinstance(exc.code, str):
            print(exc.code, file=sys.stderr)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BaseException:
        traceback.print_exc()
        status = 1
    leave_now(status)


def leave_now(status: int) -> NoReturn:
    """End this process at once, but for what is still in the buffers of the standard streams."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed or broken: nothing more can be done for it
            stream.flush()
    os._exit(status)
