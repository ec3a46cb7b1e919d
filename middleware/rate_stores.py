"""Where the rate limit keeps what each client has used: in this process, or in Redis.

Both keep one number per client, the time at which its bucket of tokens will be full again; how
many tokens are in it follows from that (the "generic cell rate algorithm" of ATM networks, ITU-T
I.371). Times are whole microseconds, so that nothing is lost in sums.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic, monotonic_ns
from typing import Any, NamedTuple

logger = logging.getLogger("cptoolkit.rate_limit")


class RatesUnavailable(Exception):
    """The store cannot be reached, or does not do what it is asked."""


class Taken(NamedTuple):
    """What has become of the wish for a token."""

    granted: bool
    left: int
    """Tokens that are still there."""
    wait: float
    """Seconds until there is one more."""


class RateStore(ABC):
    """Buckets of tokens, one per key; one object serves all threads."""

    @abstractmethod
    def take(self, key: str, interval: int, capacity: int) -> Taken:
        """Take a token out of a bucket, if there is one.

        :param interval: microseconds after which there is one more.
        :param capacity: tokens in a full bucket, as it is at first.
        :raises RatesUnavailable: if the store fails.
        """


class MemoryRates(RateStore):
    """Buckets in the memory of this process; other processes have their own.

    :param max_keys: buckets kept, some 200 bytes each; past that the ones that nobody has used
        for the longest time are full again.
    :param clock: gives the time in nanoseconds; it must not go back.
    """

    def __init__(self, max_keys: int = 100_000, clock: Callable[[], int] = monotonic_ns) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys must be 1 or more, got {max_keys}")
        self._max_keys = max_keys
        self._clock = clock
        self._full_at: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at)

    def take(self, key: str, interval: int, capacity: int) -> Taken:
        times = self._full_at
        with self._lock:
            now = self._clock() // 1000
            full_at = max(times.get(key, now), now)
            stock = capacity * interval - (full_at - now)
            if stock < interval:
                return Taken(False, 0, (interval - stock) / 1e6)
            times[key] = full_at + interval
            times.move_to_end(key)
            # Each call makes one at most, so two steps a call are enough to stay ahead.
            for _ in range(2):
                oldest = next(iter(times))
                if times[oldest] > now and len(times) <= self._max_keys:
                    break
                del times[oldest]
        left, rest = divmod(stock - interval, interval)
        return Taken(True, left, (interval - rest) / 1e6)


_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
-- The clock may have been put back, and a bucket cannot be emptier than empty.
full_at = math.min(math.max(full_at, now), now + capacity * interval)
local stock = capacity * interval - (full_at - now)
if stock < interval then return {0, 0, interval - stock} end
full_at = full_at + interval
stock = stock - interval
redis.call('SET', KEYS[1], string.format('%.0f', full_at),
           'PX', math.ceil((full_at - now) / 1000))
return {1, math.floor(stock / interval), interval - stock % interval}
"""

PAUSE = 1.0
"""Seconds for which a Redis that has failed is not asked again: each try may cost a timeout."""


class RedisRates(RateStore):
    """Buckets in Redis (5 or later), which all processes and machines share, also after a fork.

    Each is taken from in one step, by the clock of Redis, and expires when it is full.

    :param url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py takes them.
    :param prefix: comes before each key.
    :param timeout: seconds for which an answer is waited for.
    :raises ImportError: if redis-py is not installed.
    """

    def __init__(
        self, url: str, prefix: str = "cptoolkit:rate_limit:", timeout: float = 1.0
    ) -> None:
        try:
            import redis
        except ImportError:
            raise ImportError("RedisRates needs redis-py: pip install 'cptoolkit[redis]'") from None
        self._error = redis.RedisError
        self._prefix = prefix
        self._client = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        )
        self._take = self._client.register_script(_TAKE)
        self._down = False
        self._ask_again_at = 0.0

    def close(self) -> None:
        """Close the connections to Redis; the next request opens new ones."""
        self._client.close()

    def take(self, key: str, interval: int, capacity: int) -> Taken:
        if self._down:
            now = monotonic()
            if now < self._ask_again_at:
                raise RatesUnavailable("Redis has failed a moment ago")
            self._ask_again_at = now + PAUSE  # for the others need not wait for an answer too
        try:
            answer: Any = self._take(keys=[self._prefix + key], args=[interval, capacity])
        except self._error as error:
            self._ask_again_at = monotonic() + PAUSE
            if not self._down:
                self._down = True
                logger.error("Redis cannot be asked for rate limits: %s", error)
            raise RatesUnavailable("Redis fails") from error
        if self._down:
            self._down = False
            logger.info("Redis can be asked for rate limits again")
        granted, left, wait = answer
        return Taken(bool(granted), left, wait / 1e6)
