"""Conditional requests: what If-Match and its kin make of a request (RFC 9110, section 13)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from typing import Any, Literal

from webob import Response

from cptoolkit.middleware import bodies
from cptoolkit.middleware.fields import Fields
from cptoolkit.middleware.layer import Answer

_TAGS = re.compile(r'(?:W/)?"[^"]*"|[^\s,"]+')
"""An entity tag (section 8.8.3). One without quotes, which no client makes up but some programs
set, is taken as it stands, so that it matches itself."""

CONTENT_FIELDS = frozenset(
    {
        "accept-ranges",
        "content-digest",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-range",
        "content-type",
        "repr-digest",
        "trailer",
        "transfer-encoding",
    }
)
"""Fields about content, of which a 304 has none. The client keeps those that it has got."""


def is_conditional(environ: Mapping[str, Any]) -> bool:
    """Whether a request has any precondition at all; most have none."""
    return (
        "HTTP_IF_NONE_MATCH" in environ
        or "HTTP_IF_MODIFIED_SINCE" in environ
        or "HTTP_IF_MATCH" in environ
        or "HTTP_IF_UNMODIFIED_SINCE" in environ
    )


def precondition(
    environ: Mapping[str, Any], etag: str | None, last_modified: str | None
) -> Literal[304, 412] | None:
    """Which status the preconditions of a request ask for, in the order of section 13.2.2.

    A date that cannot be read counts as none, and so does one where the representation has none.

    :param environ: of the request; ``REQUEST_METHOD`` and the condition fields are looked at.
    :param etag: the entity tag of the representation as its field has it, ``"x"`` or ``W/"x"``;
        None if it has none.
    :param last_modified: the value of its ``Last-Modified``; None if it has none.
    :returns: 304 where the client has the representation already, 412 where a precondition
        fails, None to go on.
    """
    safe = environ["REQUEST_METHOD"] in ("GET", "HEAD")
    if_match = environ.get("HTTP_IF_MATCH")
    if if_match is not None:
        if not matches(if_match, etag, strong=True):
            return 412
    elif (until := environ.get("HTTP_IF_UNMODIFIED_SINCE")) is not None and (
        modified_after(last_modified, until) is True
    ):
        return 412
    if_none_match = environ.get("HTTP_IF_NONE_MATCH")
    if if_none_match is not None:
        if matches(if_none_match, etag, strong=False):
            return 304 if safe else 412
    elif (
        safe
        and (since := environ.get("HTTP_IF_MODIFIED_SINCE")) is not None
        and (modified_after(last_modified, since) is False)
    ):
        return 304
    return None


def range_is_current(
    environ: Mapping[str, Any], etag: str | None, last_modified: str | None
) -> bool:
    """Whether the ``If-Range`` of a request lets its ``Range`` count (section 13.1.5).

    A tag must be the same and strong; a date must be the very one of ``Last-Modified``, for the
    client means the copy that came with it. Without the field the range counts.
    """
    told: str | None = environ.get("HTTP_IF_RANGE")
    if told is None:
        return True
    field = told.strip()
    return bool(field) and field in (etag, last_modified) and not field.startswith("W/")


def matches(field: str, etag: str | None, *, strong: bool) -> bool:
    """Whether an ``If-Match`` or ``If-None-Match`` names a representation (section 8.8.3.2).

    :param field: tags, or ``*`` for any representation.
    :param etag: the representation's tag; None, and only ``*`` matches.
    :param strong: whether weak tags match nothing.
    """
    if field.strip() == "*":
        return True
    if not etag or (strong and etag.startswith("W/")):
        return False
    if field == etag:  # what clients send, as a rule
        return True
    if strong:
        return etag in _TAGS.findall(field)
    opaque = etag.removeprefix("W/")
    return any(tag.removeprefix("W/") == opaque for tag in _TAGS.findall(field))


def modified_after(last_modified: str | None, date: str) -> bool | None:
    """Whether a representation has changed since a date; None if that cannot be told.

    :param last_modified: the value of its ``Last-Modified``; None if it has none.
    :param date: the value of a condition field.
    """
    if not last_modified:
        return None
    if last_modified == date:  # what clients send, as a rule
        return False
    modified, then = parse_date(last_modified), parse_date(date)
    return None if modified is None or then is None else modified > then


def not_modified_fields(fields: Fields) -> Fields:
    """What a 304 has of the header fields of a 200 (section 15.4.5): all but those about content.

    :returns: a new list.
    """
    return [item for item in fields if item[0].lower() not in CONTENT_FIELDS]


def not_modified(response: Response) -> Response:
    """The 304 that takes the place of a response, the body of which is closed."""
    sent = not_modified_fields(response.headerlist)
    body = response.app_iter
    if type(body) is not list:
        bodies.replace(response, [])  # first, so that nobody closes it once more if that fails
        bodies.close(body)
    return Answer("304 Not Modified", sent, [])


def parse_date(text: str) -> int | None:
    """The second since the epoch that an HTTP date means (section 5.6.7).

    :param text: in any of the three formats.
    :returns: None for anything else.
    """
    return _parse_date(text) if len(text) < 50 else None


@lru_cache(maxsize=512)
def _parse_date(text: str) -> int | None:
    try:
        parsed = parsedate_tz(text)
        if parsed is None:
            return None
        # asctime() writes no zone; it is UTC all the same.
        return int(mktime_tz(parsed if parsed[9] is not None else (*parsed[:9], 0)))
    except (ValueError, OverflowError, IndexError, TypeError):  # of the parser's own making
        return None
