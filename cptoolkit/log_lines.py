"""Make what the logs are written of: time stamps, and the access line."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cptoolkit.middleware.observing.log_escapes import escape_field
from cptoolkit.middleware.observing.log_escapes import escape_text as escape_text
from cptoolkit.middleware.observing.log_formats import MONTHS, fields_of, rfc3339

# Time stamps

_stamp: tuple[int, str] = (-1, "")


def timestamp() -> str:
    """The local time as ``[22/Nov/2026:08:11:50]``, made once a second."""
    global _stamp
    second = int(time.time())
    known, text = _stamp
    if second != known:
        t = time.localtime(second)
        text = (
            f"[{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year:04}"
            f":{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}]"
        )
        _stamp = (second, text)
    return text


def timestamp_rfc3339() -> str:
    """The time in UTC as ``2026-11-22T08:11:50.123456Z`` (RFC 3339)."""
    return rfc3339(time.time())


# The access line

Atom = Callable[[Any, Any], object]

ATOMS: dict[str, Atom] = {
    "h": lambda request, response: request.remote.name or request.remote.ip or "-",
    "l": lambda request, response: "-",
    "u": lambda request, response: getattr(request, "login", None) or "-",
    "t": lambda request, response: timestamp(),
    "r": lambda request, response: request.request_line,
    "s": lambda request, response: (response.status or "-").partition(" ")[0],
    "b": lambda request, response: response.headers.get("Content-Length") or "-",
    "f": lambda request, response: request.headers.get("Referer", ""),
    "a": lambda request, response: request.headers.get("User-Agent", ""),
    "o": lambda request, response: request.headers.get("Host", "-"),
    "i": lambda request, response: request.unique_id,
    "z": lambda request, response: timestamp_rfc3339(),
}
"""What may stand in an access log format, between braces: the client's address (h), a dash (l),
the user (u), time (t), request line (r), status (s), bytes of the body (b), Referer (f),
User-Agent (a), Host (o), the request's unique id (i) and the time in UTC by RFC 3339 (z)."""


@lru_cache(maxsize=64)
def atoms_of(template: str) -> tuple[tuple[str, Atom], ...]:
    """Return what ``template`` asks for, by name.

    :raises ValueError: if there is nothing in it, something that :data:`ATOMS` has not, or a
        format that text has not.
    """
    fields = fields_of(template, ATOMS, "access_log_format")
    return tuple((field, ATOMS[field]) for field in fields)


def access_line(template: str, request: Any, response: Any) -> str:
    """Return the line for a request and its response, every field of it escaped."""
    fields = {name: escape_field(str(atom(request, response))) for name, atom in atoms_of(template)}
    return template.format(**fields)
