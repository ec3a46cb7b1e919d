"""Serve each client so many requests a minute, and no more (RFC 6585, section 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address
from math import ceil
from typing import Literal

from webob import Request, Response
from webob.exc import HTTPServiceUnavailable, HTTPTooManyRequests

from cptoolkit.middleware.forwarding.addresses import REMEMBERED, parse_address
from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.rate_stores import (
    PAUSE,
    MemoryRates,
    RateStore,
    RatesUnavailable,
    RedisRates,
)

TAKEN = "cptoolkit.rate_limit."
"""Where in the environ a layer leaves the state of its limit, followed by its name and id; and
followed by its name alone, that a limit of that name has counted the request."""

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LIMIT = re.compile(r"(\d{1,9}) ?/ ?(?:(\d{1,9}) ?)?(second|minute|hour|day)s?", re.ASCII)

_LONG_KEY = 128


@lru_cache(REMEMBERED)
def client_network(address: str) -> str:
    """What a client cannot change about its address: IPv4 whole, of IPv6 the first 64 bits.

    Each customer of an IPv6 provider gets a /64 at least (RFC 6177), with more addresses in it
    than could be counted one by one. What is no address counts as it is.
    """
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return address if parsed is None else str(parsed)


def by_address(request: Request) -> str | None:
    """The client's address, for :attr:`RateLimit.key`; IPv6 by networks of 64 bits."""
    return client_network(request.environ.get("REMOTE_ADDR", ""))


@dataclass(kw_only=True, eq=False)
class RateLimit(Layer):
    """Refuse a client's requests with 429 when it sends more than a limit allows.

    Each client has a bucket that holds ``burst`` tokens and is filled up again at the rate of the
    limit; a request takes one out. So a client that was quiet may send ``burst`` requests at
    once, and refused requests cost it nothing. Answers tell how many are left
    (``RateLimit``, ``RateLimit-Policy``: draft-ietf-httpapi-ratelimit-headers-11), and a refusal
    when to come again (``Retry-After``).

    Behind a reverse proxy every client has the proxy's address: put a ``Proxy`` layer before.

    :raises TypeError: if ``key`` cannot be called, or ``store`` is no store.
    :raises ValueError: if another option is not what it should be.
    """

    limit: str | tuple[int, float] = "100/minute"
    """How many requests in what time: ``"10/second"``, ``"1000/day"``, ``"5/10 minutes"``, or a
    pair of number and seconds."""

    burst: int | None = None
    """How many requests may come at once; None for as many as the limit has."""

    key: Callable[[Request], str | None] = by_address
    """Tells whose request it is; requests of one text share a bucket. None: not limited."""

    methods: str | Sequence[str] = ()
    """The methods that are counted, such as ``"POST"`` for a login form; all if there are none."""

    name: str = "default"
    """The name of the policy in the answer. Limits with one name and one store share buckets."""

    store: RateStore | str | None = None
    """Where the buckets are: None for the memory of this process, the URL of a Redis
    (``"redis://localhost/0"``) for what all processes share, or a store of your own."""

    fail: Literal["open", "closed"] = "open"
    """What happens when the store fails: ``"open"`` serves everybody, ``"closed"`` answers 503."""

    headers: bool = True
    """Whether answers tell how many requests are left."""

    def __post_init__(self) -> None:
        super().__post_init__()
        count, seconds = _parse_limit(self.limit)
        capacity = count if self.burst is None else self.burst
        if type(capacity) is not int or capacity < 1:
            raise ValueError(f"burst must be 1 or more requests, got {self.burst!r}")
        if not callable(self.key):
            raise TypeError(f"key must be a function of the request, got {self.key!r}")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", self.name):
            raise ValueError(
                f"name must be of letters, digits, '_', '.' and '-', got {self.name!r}"
            )
        if self.fail not in ("open", "closed"):
            raise ValueError(f"fail must be 'open' or 'closed', got {self.fail!r}")
        methods = [self.methods] if isinstance(self.methods, str) else self.methods
        self._methods = frozenset(method.upper() for method in methods)
        self._capacity = capacity
        self._interval = max(1, int(seconds * 1e6 / count))
        self._store = _store(self.store)
        self._prefix = f"{self.name}:"
        self._taken = f"{TAKEN}{self.name}.{id(self)}"
        window = ceil(capacity * self._interval / 1e6)
        self._policy = ("RateLimit-Policy", f'"{self.name}";q={capacity};w={window}')

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        if self._taken in environ:  # handed on within the server: it is the same request
            return None
        if self._methods and environ["REQUEST_METHOD"] not in self._methods:
            return None
        key = self.key(request)
        if key is None:
            return None
        if len(key) > _LONG_KEY:  # who sends long ones shall not fill the store
            key = sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            taken = self._store.take(self._prefix + key, self._interval, self._capacity)
        except RatesUnavailable:
            if self.fail == "open":
                return None
            raise HTTPServiceUnavailable(
                "The service cannot tell how many requests you have sent.",
                headers=[("Retry-After", str(ceil(PAUSE)))],
            ) from None
        seconds = ceil(taken.wait)
        environ[TAKEN + self.name] = True
        environ[self._taken] = f'"{self.name}";r={taken.left};t={seconds}'
        if not taken.granted:
            raise HTTPTooManyRequests(
                f"You have sent too many requests. Try again in {seconds} s.",
                headers=[("Retry-After", str(seconds))],
            )
        return None

    def after(self, request: Request, response: Response) -> None:
        told = request.environ.get(self._taken)
        if not self.headers or (told is None and TAKEN + self.name in request.environ):
            return
        # A cache within may have kept what another client was told.
        response.headerlist[:] = [
            item
            for item in response.headerlist
            if not (item[0] in _FIELDS and item[1].startswith(f'"{self.name}";'))
        ]
        if told is not None:
            response.headerlist += [self._policy, ("RateLimit", told)]


_FIELDS = ("RateLimit", "RateLimit-Policy")


def _parse_limit(limit: object) -> tuple[int, float]:
    """Number and seconds of a limit.

    :raises ValueError: if it is none.
    """
    count, seconds = 0, 0.0
    if isinstance(limit, str):
        parts = _LIMIT.fullmatch(limit)
        if parts:
            count, seconds = int(parts[1]), int(parts[2] or 1) * float(_UNITS[parts[3]])
    elif isinstance(limit, (tuple, list)) and len(limit) == 2 and type(limit[0]) is int:
        count = limit[0]
        seconds = limit[1] if isinstance(limit[1], (int, float)) else 0
    if count < 1 or not 0 < seconds < float("inf"):
        raise ValueError(f"limit must be such as '100/minute' or (100, 60), got {limit!r}")
    return count, seconds


def _store(store: RateStore | str | None) -> RateStore:
    if store is None:
        return MemoryRates()
    if isinstance(store, RateStore):
        return store
    if isinstance(store, str):
        if not store.startswith(("redis://", "rediss://", "unix://")):
            scheme = store.partition(":")[0]  # and no more: what follows may have a password
            raise ValueError(f"store must be such as 'redis://localhost/0', got one of {scheme!r}")
        return RedisRates(store)
    raise TypeError(f"store must be a RateStore, the URL of a Redis or None, got {store!r}")
