"""A cache that several processes and machines share: answers kept in Redis."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Any, TypeVar

from cptoolkit.middleware.caching.keys import URI_PARTS, Key
from cptoolkit.middleware.caching.records import Record, dump_record, parse_record
from cptoolkit.middleware.caching.stores import CacheStore, Version

try:
    from redis import Redis, RedisError
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.retry import Retry
except ImportError as error:
    raise ImportError("RedisStore needs redis: pip install 'cptoolkit[redis]'") from error

logger = logging.getLogger("cptoolkit.cache")

PUT = """
if (redis.call("get", KEYS[1]) or "") ~= ARGV[1] then return 0 end
redis.call("set", KEYS[2], ARGV[2], "PX", ARGV[3])
return 1
"""
"""Keep a record, if the URI still has the version that it had."""

RELEASE = """
return redis.call("get", KEYS[1]) == ARGV[1] and redis.call("del", KEYS[1])
"""

VERSION_SECONDS = 3600
"""How long an invalidation is remembered: longer than any answer takes to be made."""

PAUSE = 0.02
"""Seconds between two looks whether another process has ended its claim."""

MOST_OWED = 1000
"""Invalidations that are made up for, one by one, after Redis was away; past them all goes."""

UNKNOWN: Version = object()
"""The version of a URI while Redis is away. Nothing is kept with it."""

T = TypeVar("T")


class RedisStore(CacheStore):
    """Keeps records in a Redis, or in what speaks its protocol, which lets them expire.

    How much memory they take is for Redis to limit: ``maxmemory`` with a policy such as
    ``allkeys-lru``. If it cannot be reached nothing is kept and found, so that the application
    answers; the log has one line when it goes and one when it is back. What has been
    invalidated meanwhile by this process is then forgotten.

    :param url: as redis-py takes it: ``redis://[user:password@]host:port/database``,
        ``rediss://`` for TLS, ``unix://`` for a socket, and its options in the query.
    :param prefix: what all keys begin with.
    :param timeout: seconds to wait for a connection, and for an answer.
    :param retry: seconds to leave Redis alone after it has failed.
    :raises ValueError: if an option cannot be used.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        *,
        prefix: str = "cptoolkit:cache:",
        timeout: float = 0.5,
        retry: float = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not re.fullmatch(r"[\w:.-]+", prefix, re.ASCII):
            raise ValueError(
                f"prefix must be of letters, digits and the characters _:.-, got {prefix!r}"
            )
        if timeout <= 0:
            raise ValueError(f"timeout must be more than 0 seconds, got {timeout}")
        if retry < 0:
            raise ValueError(f"retry must be 0 or more seconds, got {retry}")
        self._prefix = prefix
        self._retry = retry
        self._clock = clock
        # It looks after forks itself, and throws connections away that a restart has cut.
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
        )
        self._put = self._redis.register_script(PUT)
        self._release = self._redis.register_script(RELEASE)
        self._lock = Lock()
        self._away_until = 0.0  # 0 while Redis is there
        self._owed: set[Key] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._prefix!r})"

    def find(self, uri: Key) -> tuple[Record | None, Version]:
        name = self._name(uri)
        found = self._ask(lambda: self._redis.mget(name, name + ":version"), None)
        if found is None:
            return None, UNKNOWN
        return _parsed(found[0]), found[1] or b""

    def get(self, key: Key) -> Record | None:
        return _parsed(self._ask(lambda: self._redis.get(self._name(key)), None))

    def put(self, key: Key, record: Record, version: Version) -> bool:
        left = round((record.expires - time.time()) * 1000)
        if version is UNKNOWN or left <= 0:
            return False
        keys = [self._name(key[:URI_PARTS]) + ":version", self._name(key)]
        words = [version, dump_record(record), left]
        return bool(self._ask(lambda: self._put(keys=keys, args=words), False))

    def invalidate(self, uri: Key) -> None:
        if not self._ask(lambda: self._forget(uri), False):
            with self._lock:
                if len(self._owed) <= MOST_OWED:
                    self._owed.add(uri)

    def clear(self) -> None:
        """Forget everything, but not what is being made at this moment."""
        self._ask(self._forget_all, None)

    def claim(self, key: Key, seconds: float) -> str | None:
        name, token = self._name(key) + ":claim", os.urandom(8).hex()
        lifetime = max(1, round(seconds * 1000))
        taken = self._ask(lambda: bool(self._redis.set(name, token, nx=True, px=lifetime)), True)
        return token if taken else None

    def release(self, key: Key, claim: str) -> None:
        keys = [self._name(key) + ":claim"]
        self._ask(lambda: self._release(keys=keys, args=[claim]), None)

    def wait(self, key: Key, seconds: float) -> None:
        name = self._name(key) + ":claim"
        deadline = time.monotonic() + seconds
        while self._ask(lambda: self._redis.exists(name), 0):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, PAUSE))

    def close(self) -> None:
        """Close the connections; another request opens them again."""
        self._redis.close()

    def _name(self, key: Key) -> str:
        # Braces keep all of a URI on one machine of a cluster.
        name = f"{self._prefix}{{{_digest(key[:URI_PARTS])}}}"
        return name if len(key) == URI_PARTS else f"{name}:{_digest(key[URI_PARTS:])}"

    def _forget(self, uri: Key) -> bool:
        name = self._name(uri)
        with self._redis.pipeline() as both:
            both.set(name + ":version", os.urandom(8).hex(), ex=VERSION_SECONDS)
            both.delete(name)
            both.execute()
        return True

    def _forget_all(self) -> None:
        names: list[Any] = []
        for name in self._redis.scan_iter(self._prefix + "*", count=1000):
            names.append(name)
            if len(names) == 1000:
                self._redis.delete(*names)
                names.clear()
        if names:
            self._redis.delete(*names)

    def _ask(self, question: Callable[[], T], otherwise: T) -> T:
        """What Redis answers, or something else while it is away."""
        if self._away_until:
            if self._clock() < self._away_until:
                return otherwise
            with self._lock:
                if self._clock() < self._away_until:
                    return otherwise
                # One request tries; the others go on without until it knows.
                self._away_until = self._clock() + self._retry
            return self._ask_again(question, otherwise)
        try:
            return question()
        except (RedisError, OSError) as error:
            with self._lock:
                if not self._away_until:
                    logger.warning(
                        "Redis has failed, nothing is cached until it is back: %s", error
                    )
                self._away_until = self._clock() + self._retry
            return otherwise

    def _ask_again(self, question: Callable[[], T], otherwise: T) -> T:
        try:
            if len(self._owed) > MOST_OWED:
                self._forget_all()
            for uri in list(self._owed):
                self._forget(uri)
                self._owed.discard(uri)
            answer = question()
        except (RedisError, OSError):
            return otherwise
        with self._lock:
            self._away_until = 0.0
        logger.warning("Redis is back, answers are cached again")
        return answer


def _digest(key: Key) -> str:
    return sha256(repr(key).encode()).hexdigest()[:40]


def _parsed(raw: Any) -> Record | None:
    return None if raw is None else parse_record(raw)
