"""Sessions that are kept in a store, one class for each kind of store."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, ClassVar

from cptoolkit.middleware.sessions.failures import answering_503
from cptoolkit.middleware.sessions.ram import RamStore
from cptoolkit.middleware.sessions.session import Session
from cptoolkit.middleware.sessions.store import Lock, Record, Store

if TYPE_CHECKING:
    from cptoolkit.middleware.sessions.files import FileStore


OVERRIDABLE = ("_load", "_save", "now", "acquire_lock")
"""What a subclass may have its own version of, and what otherwise need not be called."""


class StoredSession(Session):
    """A session in a :class:`~cptoolkit.middleware.sessions.store.Store`.

    :param storage: the store; without one the class opens its own from the options.
    """

    storage: Store
    """Where the session is kept."""

    _lock: Lock | None = None
    _direct: ClassVar[bool] = True  # whether no subclass has its own version of OVERRIDABLE

    def __init__(self, id: str | None = None, storage: Store | None = None, **options: Any) -> None:
        if storage is None:
            opener = self.opener()
            of_store = {name: options.pop(name) for name in parameters(opener) & set(options)}
            storage = opener(**of_store)
        self.storage = storage
        self.originalid = id
        if options:  # of most there are none, and super() would take as long as all else
            super().__init__(id, **options)

    @classmethod
    def opener(cls) -> Callable[..., Store]:
        """What makes a store; its parameters are options of the sessions."""
        raise TypeError(f"{cls.__name__} needs a storage")

    def _load(self) -> tuple[dict[Any, Any], datetime] | None:
        record = self.storage.load(self.id)
        return None if record is None else (record[0], datetime.fromtimestamp(record[1]))

    def _save(self, expiration_time: datetime) -> None:
        self.storage.save(self.id, self._data, expiration_time.timestamp())

    def _delete(self) -> None:
        self.storage.delete(self.id)

    def _exists(self) -> bool:
        return self.storage.exists(self.id)

    # Stores reckon in seconds, too. But a subclass that has its own version of these is asked.

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._direct = all(
            getattr(cls, name) is getattr(StoredSession, name) for name in OVERRIDABLE
        )

    def _find(self) -> tuple[dict[Any, Any], float] | None:
        return self.storage.load(self._id) if self._direct else super()._find()

    def _keep(self, expires: float) -> None:
        if self._direct:
            self.storage.save(self._id, self._data, expires)
        else:
            super()._keep(expires)

    def _prolong(self, expires: float) -> None:
        self.storage.touch(self.id, expires)

    def _expiration(self) -> float:
        return time() + 60 * self.timeout if self._direct else super()._expiration()

    def clean_up(self) -> None:
        self.storage.clean_up(time())

    @property
    def wants_sweeps(self) -> bool:
        overridden = type(self).clean_up is not StoredSession.clean_up
        return overridden or type(self.storage).clean_up is not Store.clean_up

    @answering_503
    def acquire_lock(self) -> None:
        """Wait until no other request has this session, and keep others waiting.

        What has been loaded before is loaded anew, for others may have changed it, and what has
        been changed here is done to that: what a page has read before it has to read again.

        :raises SessionUnavailable: if that takes longer than :attr:`lock_timeout`.
        """
        if self.locked:
            return
        if not self._id:
            self._find_or_begin(lock=True)
            return
        self._lock_anew()
        if self.stored and not self._refresh():
            self._begin_anew()

    @answering_503
    def release_lock(self) -> None:
        """Let other requests of this session go on. What has been changed is saved before."""
        try:
            if self.locked and self.loaded and not self._discarded:
                self._write_back()
        finally:
            self._unlock()

    def _lock_first(self) -> None:
        if self._direct:
            self._lock_anew()
        else:
            self.acquire_lock()

    def _lock_anew(self) -> None:
        self._lock = self.storage.lock(self._id, self.lock_timeout)
        self.locked = True
        if self.debug:
            self._tell("locked")

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        self.locked = False
        if lock is not None:
            lock.release()

    def _has_lock(self) -> bool:
        return self._exclusive and self._lock is not None and self._lock.held()


def parameters(function: Callable[..., Any]) -> set[str]:
    """The names of what a function takes by name."""
    taken = inspect.signature(function).parameters.values()
    return {p.name for p in taken if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


_shared = RamStore()


class RamSession(StoredSession):
    """A session in the memory of this process, in the store that all of them share."""

    storage: Store = _shared
    cache: ClassVar[dict[str, Record]] = _shared.records
    """All sessions by id, each as (data, end in seconds since the epoch)."""
    locks: ClassVar[dict[str, Any]] = _shared.locks
    """The locks of those that are being served."""

    @classmethod
    def opener(cls) -> Callable[..., Store]:
        return lambda: cls.storage


class FileSession(StoredSession):
    """A session in a file (reference, 4.6.1).

    Its options are those of :class:`~cptoolkit.middleware.sessions.files.FileStore`.
    """

    SESSION_PREFIX: ClassVar[str] = "session-"
    """What the names of files begin with, before the id."""
    LOCK_SUFFIX: ClassVar[str] = ".lock"
    """What the names of lock files end in."""

    storage: FileStore

    @classmethod
    def opener(cls) -> Callable[..., Store]:
        from cptoolkit.middleware.sessions.files import FileStore  # few keep them so

        return partial(FileStore, prefix=cls.SESSION_PREFIX, lock_suffix=cls.LOCK_SUFFIX)

    @property
    def storage_path(self) -> str:
        """The folder of the files, as an absolute path."""
        return self.storage.path


class MemcachedSession(StoredSession):
    """A session in memcached (reference, 4.6.2): ``pip install 'cptoolkit[memcached]'``.

    Its options are those of :class:`~cptoolkit.middleware.sessions.memcached.MemcachedStore`.
    """

    @classmethod
    def opener(cls) -> Callable[..., Store]:
        from cptoolkit.middleware.sessions.memcached import MemcachedStore

        return MemcachedStore


class RedisSession(StoredSession):
    """A session in Redis: ``pip install 'cptoolkit[redis]'``.

    Its options are those of :class:`~cptoolkit.middleware.sessions.redis.RedisStore`.
    """

    @classmethod
    def opener(cls) -> Callable[..., Store]:
        from cptoolkit.middleware.sessions.redis import RedisStore

        return RedisStore


class SQLSession(StoredSession):
    """A session in a database, in the SQLite file ``sessions.db`` unless ``url`` says otherwise:
    ``pip install 'cptoolkit[sql]'``.

    Its options are those of :class:`~cptoolkit.middleware.sessions.sql.SQLStore`.
    """

    @classmethod
    def opener(cls) -> Callable[..., Store]:
        from cptoolkit.middleware.sessions.sql import SQLStore

        return partial(SQLStore, url="sqlite:///sessions.db")
