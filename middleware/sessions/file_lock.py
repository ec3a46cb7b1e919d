"""Locks on files, which end with the process that holds them."""

from __future__ import annotations

import os
from abc import abstractmethod
from contextlib import suppress

from cptoolkit.middleware.sessions.store import Lock, LockTimeout

POLL_INTERVAL = 0.005
"""Seconds between two attempts to get a lock that another one has."""


class FileLock(Lock):
    """A lock on a session's file, by a second file next to it.

    A lock file without a session would stay for ever. It goes while the lock is held: one who
    waits on it finds that it has no name any more, and tries with the next.

    :param session: the path of the session's file.
    :param suffix: what is added to that for the path of the lock file.
    :param timeout: seconds to wait at most; None for ever, 0 not at all.
    :raises LockTimeout: if another one has held it all the time.
    :raises OSError: if the lock file cannot be made.
    """

    def __init__(self, session: str, suffix: str, timeout: float | None) -> None:
        self._session = session
        self._file = session + suffix
        if not self._take(timeout):
            raise LockTimeout(f"the session has been locked for more than {timeout} s")

    def release(self) -> None:
        if not self.held():
            return
        if not os.path.exists(self._session):
            with suppress(OSError):
                os.unlink(self._file)
        self._let_go()

    @abstractmethod
    def _take(self, timeout: float | None) -> bool:
        """Wait for the lock; False if that takes too long."""

    @abstractmethod
    def _let_go(self) -> None:
        """Give the lock back."""


class PortableLock(FileLock):
    """A file lock for systems without flock(2)."""

    def _take(self, timeout: float | None) -> bool:
        import filelock  # not above: importing it may try out the file system

        # Another thread may release it than the one that took it, a streamed body's for instance.
        self._lock = filelock.FileLock(self._file, mode=0o600, thread_local=False)
        try:
            self._lock.acquire(-1 if timeout is None else timeout, POLL_INTERVAL)
        except filelock.Timeout:
            return False
        return True

    def held(self) -> bool:
        return self._lock.is_locked

    def _let_go(self) -> None:
        self._lock.release()
