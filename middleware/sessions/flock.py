"""File locks by flock(2), for systems that have it."""

from __future__ import annotations

import os
import time
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from weakref import WeakSet

from cptoolkit.middleware.sessions.file_lock import POLL_INTERVAL, FileLock

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Flock(FileLock):
    """A lock that an open file has, whichever thread has opened it."""

    _descriptor = -1

    def _take(self, timeout: float | None) -> bool:
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            descriptor = os.open(self._file, _FLAGS, 0o600)
            try:
                while not _try(descriptor):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    time.sleep(min(left, POLL_INTERVAL))
                if os.fstat(descriptor).st_nlink:  # else who had it last has removed the file
                    self._descriptor = descriptor
                    _held.add(self)
                    return True
            finally:
                if self._descriptor < 0:
                    os.close(descriptor)

    def held(self) -> bool:
        return self._descriptor >= 0

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        _held.discard(self)
        flock(descriptor, LOCK_UN)  # closing is not enough while a child has the file open, too
        os.close(descriptor)

    def forget(self) -> None:
        """In a child: close the file, and leave the lock to the parent."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def __del__(self) -> None:
        self.release()


def _try(descriptor: int) -> bool:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True


_held: WeakSet[Flock] = WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()
    _held.clear()


os.register_at_fork(after_in_child=_forget_all)
