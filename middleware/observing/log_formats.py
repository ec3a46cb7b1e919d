"""Make the lines of an access log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import lru_cache
from string import Formatter
from typing import TYPE_CHECKING

from cptoolkit.middleware.observing.log_escapes import escape_line, escape_native

if TYPE_CHECKING:
    from cptoolkit.middleware.observing.exchange import Exchange

Format = Callable[["Exchange"], "str | None"]
"""Makes the line for an exchange; None for one that is not logged."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

COMMON = '{h} {l} {u} {t} "{r}" {s} {b}'
"""The Common Log Format, as in Apache's documentation of ``mod_log_config``."""
COMBINED = COMMON + ' "{f}" "{a}"'
"""The same with Referer and User-Agent."""


# Time stamps


@lru_cache(maxsize=16)
def common_time(second: int) -> str:
    """A time as ``[22/Nov/2026:08:11:50 +0100]``, local.

    :param second: since the epoch.
    """
    t = time.localtime(second)
    sign, minutes = "-" if t.tm_gmtoff < 0 else "+", abs(t.tm_gmtoff) // 60
    return (
        f"[{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year:04}"
        f":{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} {sign}{minutes // 60:02}{minutes % 60:02}]"
    )


def rfc3339(seconds: float) -> str:
    """A time in UTC as ``2026-11-22T08:11:50.123456Z`` (RFC 3339).

    :param seconds: since the epoch.
    """
    utc = datetime.fromtimestamp(seconds, timezone.utc)
    return utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


# Texts of the client's


def _word(value: str) -> str:
    """A text for where no quotes are around it: a blank would begin another field."""
    return escape_native(value).replace(" ", "\\x20") or "-"


def _decoded(value: str) -> str | None:
    """A text as PEP 3333 has them as a person would read it; None for an empty one."""
    try:
        return value.encode("latin-1").decode() or None
    except ValueError:  # not of bytes, or these are not UTF-8
        return value


# Formats

Atom = Callable[["Exchange"], str]

ATOMS: dict[str, Atom] = {
    "h": lambda exchange: _word(exchange.client),
    "l": lambda exchange: "-",
    "u": lambda exchange: _word(exchange.user),
    "t": lambda exchange: common_time(int(exchange.time)),
    "r": lambda exchange: escape_native(exchange.request_line),
    "s": lambda exchange: str(exchange.status),
    "b": lambda exchange: str(exchange.sent or "-"),
    "f": lambda exchange: escape_native(exchange.environ.get("HTTP_REFERER", "")),
    "a": lambda exchange: escape_native(exchange.environ.get("HTTP_USER_AGENT", "")),
    "o": lambda exchange: _word(exchange.header("Host")),
    "i": lambda exchange: _word(exchange.request_id),
    "z": lambda exchange: rfc3339(exchange.time),
    "d": lambda exchange: str(round(exchange.duration * 1_000_000)),
    "x": lambda exchange: "-" if exchange.complete else "X",
}
"""What may stand in a format string, between braces: the client's address (h), a dash (l), the
user (u), the time of the request (t), request line (r), status (s), bytes of the body that were
sent (b), Referer (f), User-Agent (a), Host (o), the request's id (i), the time in UTC by RFC 3339
(z), microseconds until the last byte (d), and an X if there was no last byte (x)."""


def compile_format(format: str | Format) -> Format:
    """What makes the lines of a format.

    :param format: "common", "combined", "json", a text with :data:`ATOMS`, or a function.
    :raises ValueError: if it is none of these.
    """
    if callable(format):
        return _guarded(format)
    if format == "json":
        return json_line
    template = {"common": COMMON, "combined": COMBINED}.get(str(format), str(format))
    if "{" not in template:
        raise ValueError(
            f"format must be 'common', 'combined', 'json', a text with {{h}}, {{r}} and the like, "
            f"or a function; got {format!r}"
        )
    fields_of(template, ATOMS, "format")
    # Taken apart here once: str.format() would do it for each line.
    text, atoms = "", []
    for literal, name, spec, conversion in Formatter().parse(template):
        text += literal.replace("%", "%%")
        if name is not None:
            text += "%s"
            atoms.append(_formatted(ATOMS[name], spec or "", conversion))
    return lambda exchange: text % tuple([atom(exchange) for atom in atoms])


def _formatted(atom: Atom, spec: str, conversion: str | None) -> Atom:
    if not spec and not conversion:
        return atom
    return lambda exchange: format(Formatter().convert_field(atom(exchange), conversion), spec)


def _guarded(function: Format) -> Format:
    def line(exchange: Exchange) -> str | None:
        text = function(exchange)
        return None if text is None else escape_line(text)

    return line


def fields_of(template: str, known: Iterable[str], option: str) -> list[str]:
    """The names between the braces of a template for :meth:`str.format`.

    :param option: what the template is the value of, for the message.
    :raises ValueError: if there are none, one that is not known, or a format that text has not.
    """
    try:
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ValueError(f"{option} cannot be read: {error} in {template!r}") from error
    if not names:
        raise ValueError(f"{option} has nothing like {{h}} or {{r}} in it: {template!r}")
    for name in sorted(names.difference(known)):
        raise ValueError(f"{option}: {{{name}}} is none of {', '.join(known)} in {template!r}")
    try:
        template.format(**dict.fromkeys(names, "-"))
    except (LookupError, ValueError) as error:
        raise ValueError(f"{option} cannot be filled in: {error!r} in {template!r}") from error
    return sorted(names)


_dump = json.JSONEncoder(separators=(",", ":")).encode


def json_line(exchange: Exchange) -> str:
    """An exchange as a JSON object, with the same names for all; null for what is not there."""
    line = {
        "time": rfc3339(exchange.time),
        "client": _decoded(exchange.client),
        "user": _decoded(exchange.user),
        "method": exchange.method,
        "target": _decoded(exchange.target),
        "protocol": exchange.environ.get("SERVER_PROTOCOL"),
        "host": _decoded(exchange.header("Host")),
        "status": exchange.status,
        "bytes": exchange.sent,
        "duration_us": round(exchange.duration * 1_000_000),
        "request_id": _decoded(exchange.request_id),
        "referer": _decoded(exchange.header("Referer")),
        "user_agent": _decoded(exchange.header("User-Agent")),
        "aborted": exchange.aborted,
        "error": None if exchange.error is None else type(exchange.error).__name__,
    }
    return _dump(line)
