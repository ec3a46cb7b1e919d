"""Say how long a response stays fresh (RFC 9111, section 5.3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import formatdate

from webob import Request, Response

from cptoolkit.middleware import fields
from cptoolkit.middleware.caching.control import dump_cache_control, parse_cache_control
from cptoolkit.middleware.layer import Layer

INDICATORS = frozenset({"etag", "last-modified", "age", "expires"})
"""Fields that tell of a response that caches may keep."""

LONG_AGO = "Sun, 28 Jan 2007 00:00:00 GMT"
"""The date for what is never fresh."""

OF_FRESHNESS = ("max-age", "s-maxage", "no-cache", "must-revalidate")
"""Directives that ``force`` replaces. Those that say who may keep a response stay."""


@dataclass(kw_only=True, eq=False)
class Expires(Layer):
    """Add ``Expires`` and ``Cache-Control``, to responses that caches may keep.

    These are the responses with an ``ETag``, ``Last-Modified``, ``Age`` or ``Expires``; without
    one of them a response is left alone, unless ``force`` is set. What the application itself
    says of freshness counts, again unless ``force`` is set.

    :raises TypeError: if ``secs`` is neither a number nor a timedelta.
    :raises ValueError: if it is negative.
    """

    secs: float | timedelta = 0
    """Seconds for which the response is fresh. 0 means that it has to be asked for each time:
    ``Expires`` is in the past, and with ``Pragma: no-cache`` and ``Cache-Control: no-cache,
    must-revalidate`` no cache answers on its own."""
    force: bool = False
    """Whether to overrule what the application said, and to treat all responses alike."""
    clock: Callable[[], float] = field(default=time.time, repr=False)
    """Gives the time, in seconds since the epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        secs = self.secs.total_seconds() if isinstance(self.secs, timedelta) else self.secs
        if isinstance(secs, bool) or not isinstance(secs, (int, float)):
            raise TypeError(f"secs must be a number of seconds or a timedelta, got {self.secs!r}")
        if not 0 <= secs < 1e10:  # past it, a date has more than four digits for the year
            raise ValueError(f"secs must be 0 or more, and less than 1e10, got {self.secs!r}")
        self._secs = int(secs)
        self._policy = f"max-age={self._secs}" if self._secs else "no-cache, must-revalidate"
        self._date = (-1, "")  # a second and its text, replaced as one

    def after(self, request: Request, response: Response) -> None:
        sent = response.headerlist
        names = {name.lower() for name, _ in sent}
        if self.force:
            self._overrule(sent)
        elif names & INDICATORS:
            if not self._secs:
                fields.put_default(sent, "Pragma", "no-cache")
                fields.put_default(sent, "Cache-Control", self._policy)
            elif "expires" not in names and "cache-control" not in names:
                sent.append(("Cache-Control", self._policy))
            if "expires" not in names:
                sent.append(("Expires", self._expires()))

    def _overrule(self, sent: fields.Fields) -> None:
        said = parse_cache_control(fields.joined(sent, "cache-control"))
        for name in OF_FRESHNESS:
            said.pop(name, None)
        rest = f", {dump_cache_control(said)}" if said else ""
        fields.put(sent, "Cache-Control", self._policy + rest)
        fields.put(sent, "Expires", self._expires())
        if not self._secs:
            fields.put(sent, "Pragma", "no-cache")
        else:
            fields.remove(sent, "pragma")

    def _expires(self) -> str:
        if not self._secs:
            return LONG_AGO
        now = int(self.clock())
        second, text = self._date
        if second != now:
            text = formatdate(now + self._secs, usegmt=True)
            self._date = (now, text)
        return text
