"""Small values of HTTP: statuses, versions, dates, byte ranges, peers and joined paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

response_codes: dict[int, tuple[str, str]] = {
    **{status.value: (status.phrase, status.description) for status in HTTPStatus},
    500: ("Internal Server Error", "The server met an unexpected condition, and gave up on this."),
    503: ("Service Unavailable", "The server is overloaded or being serviced. Try again later."),
}
"""Of each known status code the reason phrase and a sentence for an error page."""


def valid_status(status: int | str | None) -> tuple[int, str, str]:
    """Take a status apart.

    :param status: a code, as a number or as text, which a reason may follow (``"404 Gone
        fishing"``); None or empty for 200.
    :returns: code, reason phrase, sentence for an error page; the last two may be empty.
    :raises ValueError: if there is no code from 100 to 599, or a control character in the reason.
    """
    if not status:
        status = 200
    if type(status) is int and status in response_codes:
        return status, *response_codes[status]
    code_text, _, reason = str(int(status) if isinstance(status, int) else status).partition(" ")
    if not re.fullmatch("[1-5][0-9][0-9]", code_text):
        raise ValueError(
            f"a status is a code from 100 to 599, which a reason may follow, got {status!r}"
        )
    if reason and not reason.isprintable():
        raise ValueError(f"the reason of a status must be printable, got {status!r}")
    code = int(code_text)
    known_reason, message = response_codes.get(code, ("", ""))
    return code, reason.strip() or known_reason, message


def protocol_from_http(protocol_str: str) -> tuple[int, int]:
    """The version as numbers: ``(1, 1)`` for ``"HTTP/1.1"``.

    :raises ValueError: if the text does not have this shape.
    """
    match = re.fullmatch(r"HTTP/([0-9])\.([0-9])", protocol_str)
    if not match:
        raise ValueError(f"an HTTP version looks like 'HTTP/1.1', got {protocol_str!r}")
    return int(match[1]), int(match[2])


def HTTPDate(timestamp: float | None = None) -> str:
    """A time as headers have it: ``Sun, 06 Nov 1994 08:49:37 GMT`` (RFC 9110, section 5.6.7).

    :param timestamp: seconds since 1970; None for now.
    """
    return _date_of_second(int(time() if timestamp is None else timestamp))


@lru_cache(maxsize=256)  # most dates of a busy server are those of the last few seconds
def _date_of_second(second: int) -> str:
    return formatdate(second, usegmt=True)


@dataclass
class Host:
    """One end of a connection (``request.local``, ``request.remote``).

    :param name: the host's name; without one the address.
    """

    ip: str
    port: int
    name: str

    def __init__(self, ip: str, port: int, name: str | None = None) -> None:
        self.ip = ip
        self.port = port
        self.name = ip if name is None else name


MAX_RANGES = 32
"""More ranges in one request than any client needs; a field with more is passed over."""

# 18 digits: no file is longer, and int() of a long text is not free.
_RANGE = re.compile(r"[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


def get_ranges(headervalue: str | None, content_length: int) -> list[tuple[int, int]] | None:
    """The parts of a representation that a Range field asks for (RFC 9110, section 14.2).

    :param content_length: the length in bytes of the whole.
    :returns: list of (start, stop), the stop not included, both within the length, in the order
        of the field. Empty if nothing can be had, which is a 416. None if the whole is to be
        sent: no field, a unit other than bytes, a field that is wrong, or more than
        :data:`MAX_RANGES` ranges.
    """
    unit, equals, specs = (headervalue or "").partition("=")
    if not equals or unit.strip().lower() != "bytes" or specs.count(",") >= MAX_RANGES:
        return None
    ranges = []
    for spec in filter(str.strip, specs.split(",")):
        match = _RANGE.fullmatch(spec)
        if not match or match[1] == match[2] == "":
            return None
        if not match[1]:  # "-5": the last five bytes
            start, last = max(content_length - int(match[2]), 0), content_length - 1
        else:
            start, last = int(match[1]), int(match[2] or content_length)
            if match[2] and last < start:
                return None
        if start < content_length:
            ranges.append((start, min(last + 1, content_length)))
    return ranges if specs.strip(" \t,") else None


def urljoin(*atoms: str) -> str:
    """The atoms joined to one path, a single slash between any two.

    Empty atoms are passed over; nothing at all gives ``/``.
    """
    return re.sub("//+", "/", "/".join(filter(None, atoms))) or "/"


def urljoin_bytes(*atoms: bytes) -> bytes:
    """As :func:`urljoin`, of bytes."""
    return re.sub(b"//+", b"/", b"/".join(filter(None, atoms))) or b"/"
