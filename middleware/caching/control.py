"""What ``Cache-Control`` and its neighbours say to a shared cache (RFC 9111, sections 3 to 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from webob.exc import HTTPBadRequest

from cptoolkit.middleware.conditional import parse_date
from cptoolkit.middleware.fields import Fields, get, joined

Directives = Mapping[str, str | None]
"""Directives by name in lower case; None for one without a value."""

NOTHING: Directives = {}
NO_CACHE: Directives = {"no-cache": None}

FOREVER = 2**31
"""Seconds that stand for any number too large to count with (RFC 9111, section 1.2.2)."""

HEURISTIC = frozenset({"200", "203", "204", "300", "301", "308", "404", "405", "410", "414", "501"})
"""Statuses that may be kept although the answer does not say how long (RFC 9110, section 15.1),
less 206: parts of an answer are not kept here."""

UNDERSTOOD = HEURISTIC | {"302", "303", "307", "400", "403", "500", "502", "503", "504"}
"""Statuses that ask nothing more of a cache (RFC 9111, section 5.2.2.3)."""

# An element of the list; a quoted string in it may have commas, and may lack its end.
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+')


def parse_cache_control(text: str) -> dict[str, str | None]:
    """The directives of a ``Cache-Control`` field (RFC 9111, section 5.2).

    Of a directive that is there twice the first counts (section 4.2.1).
    """
    directives: dict[str, str | None] = {}
    for element in _ELEMENT.findall(text):
        name, equals, value = element.partition("=")
        name = name.strip().lower()
        if name:
            directives.setdefault(name, _unquoted(value.strip()) if equals else None)
    return directives


def dump_cache_control(directives: Directives) -> str:
    """A ``Cache-Control`` field with these directives."""
    return ", ".join(
        name if value is None else f"{name}={_quoted(value)}" for name, value in directives.items()
    )


def seconds(value: str | None) -> int | None:
    """A number of seconds, :data:`FOREVER` at most; None if it is malformed (section 1.2.2)."""
    if value is None or not (value.isascii() and value.isdigit()):
        return None
    return FOREVER if len(value) > 9 else int(value)


def asked(environ: Mapping[str, Any]) -> Directives:
    """What a request asks of caches (RFC 9111, sections 5.2.1 and 5.4)."""
    field = environ.get("HTTP_CACHE_CONTROL")
    if field:
        return parse_cache_control(field)
    return NO_CACHE if "no-cache" in environ.get("HTTP_PRAGMA", "").lower() else NOTHING


def suits(wishes: Directives, age: float, left: float) -> bool:
    """Whether a kept answer is one that a request asks for (RFC 9111, section 5.2.1).

    :param age: of the answer, in seconds.
    :param left: seconds for which it stays fresh.
    :raises webob.exc.HTTPBadRequest: if the request gives no number of seconds where it should.
    """
    if "no-cache" in wishes:
        return False
    return age <= _wish(wishes, "max-age", FOREVER) and left >= _wish(wishes, "min-fresh", 0)


def _wish(wishes: Directives, name: str, default: int) -> int:
    if name not in wishes:
        return default
    value = seconds(wishes[name])
    if value is None:
        raise HTTPBadRequest(f"Invalid Cache-Control header: {name} takes a number of seconds.")
    return value


def may_store(status: str, fields: Fields, said: Directives, credentials: bool) -> bool:
    """Whether a shared cache may keep the answer to a GET (RFC 9111, section 3).

    Answers that set a cookie are not kept either: a cookie is for one client. A directive that
    is limited to some fields counts for the whole answer, as sections 5.2.2.4 and 5.2.2.7 allow.

    :param said: the answer's ``Cache-Control``.
    :param credentials: whether the request had an ``Authorization`` field, or its user is known.
    """
    code = status[:3]
    if code in ("206", "304") or code[0] == "1":
        return False
    if "no-store" in said or "private" in said or "no-cache" in said:
        return False
    if "must-understand" in said and code not in UNDERSTOOD:
        return False
    if credentials and not for_everybody(said):
        return False
    if get(fields, "set-cookie") is not None or "*" in vary(fields):
        return False
    return "no-cache" not in joined(fields, "pragma").lower()


def for_everybody(said: Directives) -> bool:
    """Whether the answer to one user may go to others as well (RFC 9111, section 3.5)."""
    return "public" in said or "s-maxage" in said or "must-revalidate" in said


def lifetime(status: str, fields: Fields, said: Directives, now: float, default: float) -> float:
    """Seconds for which an answer is fresh from its making on (RFC 9111, section 4.2.1).

    :param said: its ``Cache-Control``.
    :param default: what counts for an answer that does not say. Those that are chosen by cookie
        or credentials must say, for they belong to somebody.
    """
    for name in ("s-maxage", "max-age"):
        if name in said:
            return seconds(said[name]) or 0
    expires = get(fields, "expires")
    if expires is not None:
        until, made = parse_date(expires), parse_date(get(fields, "date") or "")
        return 0 if until is None else max(0, until - (now if made is None else made))
    if status[:3] not in HEURISTIC and "public" not in said:
        return 0
    return 0 if {"cookie", "authorization"} & set(vary(fields)) else default


def initial_age(fields: Fields, now: float) -> float:
    """How old an answer was when it came, in seconds (RFC 9111, section 4.2.3)."""
    made = parse_date(get(fields, "date") or "")
    apparent = 0 if made is None else max(0, now - made)
    return max(apparent, seconds(get(fields, "age")) or 0)


def vary(fields: Fields) -> list[str]:
    """The names of request fields in ``Vary``, in lower case and in order; or "*" among them."""
    names = [name.strip().lower() for name in joined(fields, "vary").split(",")]
    return [name for name in names if name]


def _unquoted(value: str) -> str:
    if value[:1] != '"':
        return value
    return re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"'))


def _quoted(value: str) -> str:
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
