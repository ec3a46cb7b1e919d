"""Sessions in the memory of this process."""

from __future__ import annotations

import os
import threading
from time import time
from typing import Any
from weakref import WeakSet

from cptoolkit.middleware.sessions.changes import ATOMS
from cptoolkit.middleware.sessions.store import Lock, LockTimeout, Record, Store


class RamStore(Store):
    """Sessions in a dict, gone with the process.

    Values of any kind can be kept. Containers (list, dict, set, tuple, bytearray) are copied when
    they are stored and loaded; other objects are not, and are the same in all requests.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.locks: dict[str, _RamLock] = {}
        """Of the sessions that are being served right now."""
        self._mutex = threading.Lock()
        _stores.add(self)

    def load(self, id: str) -> Record | None:
        record = self.records.get(id)
        if record is None:
            return None
        data, expires = record
        return (_copied_dict(data), expires) if expires > time() else None

    def save(self, id: str, data: dict[str, Any], expires: float) -> None:
        record = (_copied_dict(data), expires)
        with self._mutex:
            self.records[id] = record

    def touch(self, id: str, expires: float) -> None:
        with self._mutex:
            record = self.records.get(id)
            if record is not None and record[1] > time():
                self.records[id] = (record[0], expires)

    def delete(self, id: str) -> None:
        with self._mutex:
            self.records.pop(id, None)

    def exists(self, id: str) -> bool:
        record = self.records.get(id)
        return record is not None and record[1] > time()

    def lock(self, id: str, timeout: float | None) -> Lock:
        mine = _RamLock(self, id)
        if self.locks.setdefault(id, mine) is mine:  # at once, whatever other threads do
            return mine
        with self._mutex:
            holder = self.locks.setdefault(id, mine)
            if holder is mine:
                return mine
            turn = threading.Lock()
            turn.acquire()  # until the holder before me lets it go
            mine.turn = turn
            holder.waiting.append(mine)
        try:
            if turn.acquire(timeout=-1 if timeout is None else timeout):
                return mine
        except BaseException:
            if not self._step_out(mine, id):
                mine.release()
            raise
        if not self._step_out(mine, id):
            return mine
        raise LockTimeout(f"the session has been locked for more than {timeout} s")

    def _step_out(self, mine: _RamLock, id: str) -> bool:
        """Wait no longer for a lock; False if its turn has come in the last moment."""
        with self._mutex:
            if self.locks.get(id) is mine:
                return False
            self.locks[id].waiting.remove(mine)
            return True

    def clean_up(self, now: float) -> None:
        for id, record in list(self.records.items()):
            if record[1] <= now:
                with self._mutex:
                    if self.records.get(id) is record:
                        del self.records[id]

    def __len__(self) -> int:
        return len(self.records)

    def _forget_threads(self) -> None:
        """Take back what threads held that a fork has left in the parent."""
        self._mutex = threading.Lock()
        self.locks.clear()


class _RamLock(Lock):
    """The lock of one request, which has it as long as it is in the store's table."""

    __slots__ = ("_id", "_store", "turn", "waiting")

    def __init__(self, store: RamStore, id: str) -> None:
        self._store, self._id = store, id
        self.turn: threading.Lock  # of one that waits
        self.waiting: list[_RamLock] = []
        """Those that come next, the first one first."""

    def held(self) -> bool:
        return self._store.locks.get(self._id) is self

    def release(self) -> None:
        store = self._store
        with store._mutex:
            if store.locks.get(self._id) is not self:
                return
            if not self.waiting:
                del store.locks[self._id]
                return
            first, *others = self.waiting
            first.waiting += others
            store.locks[self._id] = first
            first.turn.release()


_stores: WeakSet[RamStore] = WeakSet()


def _forget_threads() -> None:
    for store in list(_stores):
        store._forget_threads()


os.register_at_fork(after_in_child=_forget_threads)


def _copied_dict(data: dict[str, Any]) -> dict[str, Any]:
    for value in data.values():
        if type(value) not in ATOMS:
            copied: dict[str, Any] = _copied(data, {})
            return copied
    return data.copy()


def _copied(value: Any, known: dict[int, Any]) -> Any:
    """A value with new containers in place of its own.

    :param known: copies by the ids of the originals, for containers that are met again.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    copy: Any = known.get(id(value))
    if copy is not None:
        return copy
    if kind is dict:
        copy = known[id(value)] = {}
        for key, inner in value.items():
            copy[key] = _copied(inner, known)
    elif kind is list:
        copy = known[id(value)] = []
        copy.extend([_copied(inner, known) for inner in value])
    elif kind is tuple:
        copy = tuple([_copied(inner, known) for inner in value])
        copy = known.setdefault(id(value), copy)
    elif kind is set or kind is bytearray:
        copy = known[id(value)] = kind(value)
    else:
        return value
    return copy
