"""Sessions in a folder, a file for each, safe between processes and when one of them dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import time
from typing import Any

from cptoolkit.middleware.sessions.file_lock import FileLock, PortableLock
from cptoolkit.middleware.sessions.serializers import Format, Secrets, serializer_of
from cptoolkit.middleware.sessions.store import Lock, LockTimeout, Record, Store, StoreUnavailable

try:
    from cptoolkit.middleware.sessions.flock import Flock
except ImportError:  # as on Windows
    HeldLock: type[FileLock] = PortableLock
else:
    HeldLock = Flock

TEMPORARY_SUFFIX = ".new"
"""What the names of files end in that are being written."""

LONGEST_WRITE = 60
"""Seconds after which a file that is still being written has been left by a process that died."""

_BY_DESCRIPTOR = os.utime in os.supports_fd

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOINHERIT"):
    _FLAGS |= getattr(os, _name, 0)


class FileStore(Store):
    """Sessions as files ``session-<id>``, which only this user can read.

    A file's time of modification is when the session expires. A file is written aside and put in
    place whole; it is not forced to the disk, for after a power failure a lost session does less
    harm than a slow disk on each request. Locks are the operating system's (flock), which ends
    them with the process that holds them.

    :param storage_path: the folder; made if it is not there.
    :param serializer: ``"pickle"``, ``"json"``, or an object with ``dumps`` and ``loads``.
    :param secret: what the files are signed with; of several, the first signs, all are accepted.
    :raises ValueError: if the folder cannot be made, or not be written to.
    """

    def __init__(
        self,
        storage_path: str | os.PathLike[str],
        *,
        serializer: str | Format = "pickle",
        secret: Secrets = None,
        prefix: str = "session-",
        lock_suffix: str = ".lock",
    ) -> None:
        self.path = os.path.abspath(storage_path)
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"storage_path {self.path!r} cannot be made: {error.strerror}"
            ) from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ValueError(f"storage_path {self.path!r} must be a folder that can be written to")
        self._serializer = serializer_of(serializer, secret)
        self._start = os.path.join(self.path, prefix)
        self._prefix = prefix
        self._lock_suffix = lock_suffix

    def load(self, id: str) -> Record | None:
        with _telling_failures():
            try:
                with open(self._start + id, "rb", buffering=0) as file:
                    expires = os.fstat(file.fileno()).st_mtime
                    raw = file.readall()
            except FileNotFoundError:
                return None
        if expires <= time():
            return None
        return self._serializer.loads(raw), expires

    def save(self, id: str, data: dict[str, Any], expires: float) -> None:
        raw = self._serializer.dumps(data)
        with _telling_failures():
            aside = f"{self._start}{id}.{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
            try:
                _write(aside, raw, expires)
                os.replace(aside, self._start + id)
            except BaseException:
                _remove(aside)
                raise

    def touch(self, id: str, expires: float) -> None:
        with _telling_failures(), suppress(FileNotFoundError):
            if not _has_expired(self._start + id, time()):
                os.utime(self._start + id, (expires, expires))

    def delete(self, id: str) -> None:
        with _telling_failures():
            _remove(self._start + id)

    def exists(self, id: str) -> bool:
        with _telling_failures():
            return not _has_expired(self._start + id, time())

    def lock(self, id: str, timeout: float | None) -> Lock:
        with _telling_failures():
            return HeldLock(self._start + id, self._lock_suffix, timeout)

    def clean_up(self, now: float) -> None:
        with _telling_failures():
            for name in os.listdir(self.path):
                if name.startswith(self._prefix):
                    self._sweep(os.path.join(self.path, name), now)

    def _sweep(self, file: str, now: float) -> None:
        if file.endswith(TEMPORARY_SUFFIX):
            if _has_expired(file, now - LONGEST_WRITE):
                _remove(file)
            return
        session = file.removesuffix(self._lock_suffix)
        if not _has_expired(session, now):
            return
        try:
            lock = HeldLock(session, self._lock_suffix, 0)
        except LockTimeout:
            return  # it is being served
        try:
            if _has_expired(session, now):
                _remove(session)
        finally:
            lock.release()  # which removes the lock file as well

    def __len__(self) -> int:
        with _telling_failures():
            names = [name.removeprefix(self._prefix) for name in os.listdir(self.path)]
        return sum(1 for name in names if "." not in name)


@contextmanager
def _telling_failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Not the whole message: it has the path, and that the id.
        raise StoreUnavailable(error.strerror or type(error).__name__) from error


def _write(path: str, raw: bytes, mtime: float) -> None:
    """Make a file that only this user can read."""
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        left = memoryview(raw)
        while left:
            left = left[os.write(descriptor, left) :]
        os.utime(descriptor if _BY_DESCRIPTOR else path, (mtime, mtime))
    finally:
        os.close(descriptor)


def _has_expired(file: str, now: float) -> bool:
    """Whether a session's time has run out, or it is not there."""
    try:
        return os.stat(file).st_mtime <= now
    except FileNotFoundError:
        return True


def _remove(file: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(file)
