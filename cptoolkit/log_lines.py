"""Make what the logs are written of: time stamps, escaped text, and the access line."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable
from functools import lru_cache
from string import Formatter
from typing import Any

from cptoolkit.nearest import did_you_mean

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


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
            f"[{t.tm_mday:02}/{_MONTHS[t.tm_mon - 1]}/{t.tm_year:04}"
            f":{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}]"
        )
        _stamp = (second, text)
    return text


def timestamp_rfc3339() -> str:
    """The time in UTC as ``2026-11-22T08:11:50.123456Z`` (RFC 3339)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


# Escaping

_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")
_C_NOTATION = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_BYTES = [_C_NOTATION.get(chr(n), chr(n) if 32 <= n < 127 else f"\\x{n:02x}") for n in range(256)]

# Control characters (C0, C1, DEL), what Unicode calls line and paragraph ends, and what turns
# the direction of writing. Left are tab and newline: tracebacks have many lines.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# A line of its own that begins like one of ours could have been written by a client.
_STAMP_IN_TEXT = re.compile(r"\n(?=\[\d\d/[A-Z])")


def escape_field(value: str) -> str:
    """Return ``value`` as printable ASCII that can stand between double quotes.

    Quotes and backslashes get a backslash, tab and line ends their C notation, and the UTF-8
    bytes of everything else ``\\xhh``, as in Apache's access log.
    """
    if not _NOT_PLAIN.search(value):
        return value
    return "".join([_BYTES[byte] for byte in value.encode("utf-8", "surrogatepass")])


def escape_text(text: str) -> str:
    """Return ``text`` with its control characters escaped, but for tab and newline.

    Lines within it that begin like a line of the log are indented by one blank.
    """
    if _UNSAFE.search(text):
        text = _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)
    return _STAMP_IN_TEXT.sub("\n ", text) if "\n[" in text else text


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
    fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    if not fields:
        raise ValueError(f"access_log_format has nothing like {{h}} or {{r}} in it: {template!r}")
    for field in fields:
        if field not in ATOMS:
            raise ValueError(
                f"access_log_format: {{{field}}} is none of {', '.join(ATOMS)}"
                f" in {template!r}{did_you_mean(field, ATOMS)}"
            )
    try:
        template.format(**dict.fromkeys(fields, "-"))
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"access_log_format cannot be filled in: {error!r} in {template!r}"
        ) from error
    return tuple((field, ATOMS[field]) for field in sorted(fields))


def access_line(template: str, request: Any, response: Any) -> str:
    """Return the line for a request and its response, every field of it escaped."""
    fields = {name: escape_field(str(atom(request, response))) for name, atom in atoms_of(template)}
    return template.format(**fields)
