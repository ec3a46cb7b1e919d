"""Nonces of digest authentication: what the server hands out, and how often it has come back.

A nonce carries the time at which it was made and a signature, so that nothing needs to be kept
of one that was handed out. What is kept is which counts (``nc``) have come with those that were
used, for a request that comes a second time is a replay (RFC 7616, section 5.5).
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest, digest
from threading import Lock
from time import time

WINDOW = 256
"""How far a count may be behind the highest one seen: requests that a client sends at once
arrive in any order."""

MOST_NONCES = 10_000
"""Nonces in use that are kept; past that the oldest go, and count as stale."""

PROCESS_KEY = os.urandom(32)
"""Signs nonces where no key is given. Processes forked from this one have the same."""

_FORM = re.compile("[0-9a-f]{60}")


class Nonces:
    """Makes nonces, and knows its own.

    :param key: signs them; whoever knows it can make some.
    :param lifetime: seconds for which one is good.
    :param clock: gives the time in seconds.
    :param most: how many of those in use are kept.
    """

    def __init__(
        self,
        key: bytes,
        lifetime: float,
        clock: Callable[[], float] = time,
        most: int = MOST_NONCES,
    ) -> None:
        self._key = key
        self._lifetime = lifetime
        self._clock = clock
        self._most = most
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """The highest count of each nonce, and a bit for each of the WINDOW counts below it."""
        self._forgotten = 0
        """When the newest nonce was made that had to go before its time, in milliseconds."""
        self._lock = Lock()

    def make(self) -> str:
        """A new nonce: milliseconds since the epoch, 8 random bytes, and a signature, in hex."""
        text = f"{int(self._clock() * 1000):012x}{os.urandom(8).hex()}"
        return text + self._signature(text)

    def is_good(self, nonce: str) -> bool:
        """Whether a nonce is one of these, and not too old."""
        return (
            _FORM.fullmatch(nonce) is not None
            and compare_digest(nonce[28:], self._signature(nonce[:28]))
            and not self._is_old(nonce)
        )

    def use(self, nonce: str, count: int) -> bool:
        """Take note that a count has come with a nonce.

        Call it for requests alone that know the password: then nobody else can fill the table.

        :param nonce: a good one.
        :returns: False if it has come before, or may have.
        """
        with self._lock:
            known = self._used.get(nonce)
            if known is None:
                if _made_at(nonce) <= self._forgotten:
                    return False
                self._make_room()
                self._used[nonce] = (count, 1)
                return True
            highest, seen = known
            ahead = count - highest
            if ahead > 0:
                # Not shifted by more than there is: the number is the client's.
                seen = (seen << ahead) & ((1 << WINDOW) - 1) | 1 if ahead < WINDOW else 1
                self._used[nonce] = (count, seen)
                return True
            if ahead <= -WINDOW or seen >> -ahead & 1:
                return False
            self._used[nonce] = (highest, seen | 1 << -ahead)
            return True

    def _make_room(self) -> None:
        while self._used:
            oldest = next(iter(self._used))
            if self._is_old(oldest):
                del self._used[oldest]
            elif len(self._used) >= self._most:
                del self._used[oldest]
                self._forgotten = max(self._forgotten, _made_at(oldest))
            else:
                return

    def _is_old(self, nonce: str) -> bool:
        return _made_at(nonce) / 1000 + self._lifetime < self._clock()

    def _signature(self, text: str) -> str:
        return digest(self._key, text.encode(), "sha256").hex()[:32]


@lru_cache(maxsize=64)
def nonces(key: bytes, lifetime: float) -> Nonces:
    """The nonces of a key in this process: whoever has the key takes them, and must know of the
    counts that came to the others."""
    return Nonces(key, lifetime)


def _made_at(nonce: str) -> int:
    return int(nonce[:12], 16)
