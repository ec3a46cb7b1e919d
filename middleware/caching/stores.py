"""Where a cache keeps its answers: what a store has to do, and the store in RAM."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from threading import Lock
from typing import Any

from cptoolkit.middleware.caching.keys import URI_PARTS, Key
from cptoolkit.middleware.caching.records import Record

Version = Any
"""What :meth:`CacheStore.find` gives, so that :meth:`CacheStore.put` sees what has changed."""

MOST_INVALIDATIONS = 1000
"""URIs whose last invalidation is remembered one by one."""


class CacheStore(ABC):
    """Keeps records by key. One object serves all threads, and perhaps several caches.

    What is found may be changed by nobody. A store that fails keeps nothing and finds nothing;
    it raises no error, for the application can always be asked.
    """

    @abstractmethod
    def find(self, uri: Key) -> tuple[Record | None, Version]:
        """What is kept under a URI, and the version that its variants belong to."""

    @abstractmethod
    def get(self, key: Key) -> Record | None:
        """What is kept under the key of a variant."""

    @abstractmethod
    def put(self, key: Key, record: Record, version: Version) -> bool:
        """Keep a record until it expires.

        :param version: of the URI, from before the application was asked.
        :returns: whether it is kept. It is not if the URI has been invalidated meanwhile: what
            the application has answered may be out of date.
        """

    @abstractmethod
    def invalidate(self, uri: Key) -> None:
        """Forget a URI and all its variants (RFC 9111, section 4.4)."""

    @abstractmethod
    def clear(self) -> None:
        """Forget everything."""

    def claim(self, key: Key, seconds: float) -> str | None:
        """Say to other processes that this one is about to make what is missing under a key.

        A store of one process has nobody to say it to.

        :param seconds: after which the claim ends by itself.
        :returns: what to :meth:`release` it with; None if another one was faster.
        """
        return ""

    def release(self, key: Key, claim: str) -> None:
        """End a claim. To do so more than once, or too late, does no harm."""
        return

    def wait(self, key: Key, seconds: float) -> None:
        """Wait until another process's claim has ended, or the time is up."""
        return


class RAMStore(CacheStore):
    """Keeps records in this process; those that have not been asked for longest go first.

    No thread waits for records to expire: whoever comes with the next request removes them.

    :param maxobjects: how many are kept at most.
    :param maxsize: how many bytes they may take at most.
    :param expire_freq: seconds between two removals of what has expired.
    """

    def __init__(
        self,
        maxobjects: int = 1000,
        maxsize: int = 10_000_000,
        expire_freq: float = 0.1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.maxobjects = maxobjects
        self.maxsize = maxsize
        self.expire_freq = expire_freq
        self.size = 0
        """How many bytes the records take, about."""
        self._clock = clock
        self._lock = Lock()
        self._records: OrderedDict[Key, Record] = OrderedDict()
        self._expirations: list[tuple[float, Key]] = []  # a heap; may name what is gone
        self._next_sweep = 0.0
        # A version is how many invalidations there have been. Of those of long ago only the
        # number of the latest is left, which then counts for every URI.
        self._version = 0
        self._invalidated: OrderedDict[Key, int] = OrderedDict()
        self._forgotten = 0

    def find(self, uri: Key) -> tuple[Record | None, Version]:
        return self.get(uri), self._version

    def get(self, key: Key) -> Record | None:
        now = self._clock()
        with self._lock:
            if now >= self._next_sweep:
                self._sweep(now)
            record = self._records.get(key)
            if record is None:
                return None
            if record.expires <= now:
                self._drop(key)
                return None
            self._records.move_to_end(key)
            return record

    def put(self, key: Key, record: Record, version: Version) -> bool:
        now = self._clock()
        size = record.size() + _size(key)
        with self._lock:
            if self._invalidated.get(key[:URI_PARTS], self._forgotten) > version:
                return False
            self._drop(key)
            if size > self.maxsize or record.expires <= now:
                return False
            self._sweep(now)
            self._records[key] = record
            self.size += size
            while len(self._records) > self.maxobjects or self.size > self.maxsize:
                self._drop(next(iter(self._records)))
            heappush(self._expirations, (record.expires, key))
            if len(self._expirations) > 2 * len(self._records) + 64:
                self._expirations = [(kept.expires, key) for key, kept in self._records.items()]
                heapify(self._expirations)
            return key in self._records

    def invalidate(self, uri: Key) -> None:
        with self._lock:
            self._version += 1
            self._drop(uri)
            self._invalidated.pop(uri, None)
            self._invalidated[uri] = self._version
            if len(self._invalidated) > MOST_INVALIDATIONS:
                self._forgotten = self._invalidated.popitem(last=False)[1]

    def clear(self) -> None:
        with self._lock:
            self._version += 1
            self._forgotten = self._version
            self._invalidated.clear()
            self._records.clear()
            self._expirations.clear()
            self.size = 0

    def __len__(self) -> int:
        return len(self._records)

    def _drop(self, key: Key) -> None:
        record = self._records.pop(key, None)
        if record is not None:
            self.size -= record.size() + _size(key)

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + self.expire_freq
        while self._expirations and self._expirations[0][0] <= now:
            _, key = heappop(self._expirations)
            record = self._records.get(key)
            if record is not None and record.expires <= now:
                self._drop(key)


def _size(key: Key) -> int:
    return sum(map(len, key))
