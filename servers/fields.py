"""Status and fields of an answer, as an application gives them: checked before they are sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# What a response field means to the framing; PLAIN is whatever is just sent.
PLAIN, LENGTH, DATE, SERVER, CONNECTION, HOP_BY_HOP = range(6)

_SPECIAL = {
    "Content-Length": LENGTH,  # as most applications spell it
    "content-length": LENGTH,
    "date": DATE,
    "server": SERVER,
    # PEP 3333, "Other HTTP Features": these belong to the server.
    "connection": CONNECTION,
    "keep-alive": HOP_BY_HOP,
    "proxy-authenticate": HOP_BY_HOP,
    "proxy-authentication-info": HOP_BY_HOP,
    "proxy-authorization": HOP_BY_HOP,
    "proxy-connection": HOP_BY_HOP,
    "te": HOP_BY_HOP,
    "trailer": HOP_BY_HOP,
    "transfer-encoding": HOP_BY_HOP,
    "upgrade": HOP_BY_HOP,
}

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(r"[2-9][0-9]{2} [\t\x20-\x7e\x80-\xff]*")

# RFC 9110, section 15.5.22 asks for these fields with a 426, PEP 3333 keeps them from applications.
# WebSocket is the one protocol that is commonly spoken after an Upgrade (servers/upgrade.py).
_UPGRADE = "\r\nConnection: Upgrade\r\nUpgrade: websocket"

_prefixes: dict[str, str] = {}
_statuses: dict[str, tuple[str, bool]] = {}
CACHED = 1000
"""Names and status lines that are remembered as checked."""


@dataclass(slots=True)
class Fields:
    """What can be sent, and what matters to the framing."""

    status: str = ""
    """Code and reason."""
    lines: str = ""
    """The fields, each after a line end, without ``Content-Length``."""
    length: int = -1
    """The promised length, -1 if there is none."""
    contentless: bool = False
    """Whether the status forbids a body."""
    dated: bool = False
    """Whether there is a ``Date``."""
    named: bool = False
    """Whether there is a ``Server``."""
    close: bool = False
    """Whether the connection is to end with the answer."""


NO_FIELDS = Fields()


def check(status: str, headers: list[tuple[str, str]]) -> Fields:
    """Return the fields as they can be sent.

    :raises ValueError: if they may not be sent, with the field's name in the message.
    :raises TypeError: if they are not strings.
    """
    status, contentless = _statuses.get(status) or _check_status(status)
    fields = Fields(status, contentless=contentless)
    lines: list[str] = []
    for name, value in headers:
        prefix = _prefixes.get(name)
        if prefix is None:
            prefix = _special(name, value, fields)
        if prefix:
            try:
                lines.append(prefix + value)
            except TypeError:
                raise TypeError(f"{name} of the response must be str, got {value!r}") from None
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        culprit = _culprit(headers, str.isprintable)
        raise ValueError(f"{culprit} of the response must not hold CR, LF or NUL")
    if not text.isascii():
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            culprit = _culprit(headers, str.isascii)
            raise ValueError(f"{culprit} of the response must be in ISO-8859-1") from None
    fields.lines = text
    return fields


def _special(name: str, value: object, fields: Fields) -> str:
    """Return the beginning of a line for a field, "" if it is written elsewhere."""
    kind = _SPECIAL.get(name) or _classify(name)
    if kind == LENGTH:
        if not (isinstance(value, str) and value.isdigit() and value.isascii()):
            raise ValueError(f"Content-Length must be digits, got {value!r}")
        length = int(value)
        if fields.length not in (-1, length):
            raise ValueError(f"Content-Length is both {fields.length} and {value}")
        fields.length = length
        return ""
    if kind == DATE:
        fields.dated = True
    elif kind == SERVER:
        fields.named = True
    elif kind == CONNECTION:
        fields.close |= _asks_to_close(name, value)
        return ""
    elif kind == HOP_BY_HOP:
        raise ValueError(f"the field {name!r} is the server's own (PEP 3333)")
    return f"\r\n{name}: "


def _asks_to_close(name: str, value: object) -> bool:
    """Return what a ``Connection`` field says of the connection itself.

    PEP 3333 forbids the field, but many an application says ``close`` or ``keep-alive``, and
    either can be had: the server closes, or says by itself what it does.
    """
    if not isinstance(value, str):
        raise TypeError(f"the value of {name!r} must be a str, got {value!r}")
    options = {option.strip(" \t").lower() for option in value.split(",")} - {""}
    if not options <= {"close", "keep-alive"}:
        raise ValueError(f"the field {name!r} is the server's own (PEP 3333), got {value!r}")
    return "close" in options


def _check_status(status: object) -> tuple[str, bool]:
    """Return a status that may be sent, and whether there is no content with it."""
    if not isinstance(status, str):
        raise TypeError(f"the status must be a str, got {status!r}")
    if _STATUS.fullmatch(status) is None:
        hint = ": send it by environ['cptoolkit.socket']" if status.startswith("101") else ""
        raise ValueError(f"the status must be like '200 OK', got {status!r}{hint}")
    checked = (
        status + _UPGRADE if status.startswith("426") else status,
        status.startswith(("204", "205", "304")),
    )
    if len(_statuses) < CACHED:
        _statuses[status] = checked
    return checked


def _classify(name: str) -> int:
    if not isinstance(name, str):
        raise TypeError(f"the name of a response field must be a str, got {name!r}")
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"{name!r} cannot be the name of a response field")
    kind = _SPECIAL.get(name.lower(), PLAIN)
    if kind == PLAIN and len(_prefixes) < CACHED:
        _prefixes[name] = f"\r\n{name}: "
    return kind


def _culprit(headers: list[tuple[str, str]], fine: Callable[[str], bool]) -> str:
    return next((f"the field {name!r}" for name, value in headers if not fine(value)), "the status")
