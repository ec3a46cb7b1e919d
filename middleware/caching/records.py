"""What a cache keeps: answers, and which request fields choose among those of one URI."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cptoolkit.middleware.caching.keys import Key
from cptoolkit.middleware.fields import Fields

OVERHEAD = 500
"""Bytes that a record takes in memory beside its texts, about."""


@dataclass(slots=True)
class Answer:
    """An answer as it is kept."""

    status: str
    fields: Fields
    """With ``Date`` and ``Content-Length``, without ``Age``."""
    body: bytes
    born: float
    """When it was made, in seconds since the epoch."""
    expires: float
    """When it stops being fresh, in seconds since the epoch."""
    for_everybody: bool = False
    """Whether requests with credentials may get it, too (RFC 9111, section 3.5)."""

    def size(self) -> int:
        """How many bytes it takes, about."""
        texts = sum(len(name) + len(value) for name, value in self.fields)
        return OVERHEAD + len(self.body) + texts


@dataclass(slots=True)
class Variants:
    """Says that the answers of a URI are kept by the values of request fields."""

    names: tuple[str, ...]
    """The names of these fields, in lower case."""
    generation: str
    """Part of the keys of the answers, so that all are forgotten as soon as this is."""
    expires: float
    """When the last of the answers stops being fresh, in seconds since the epoch."""

    def size(self) -> int:
        """How many bytes it takes, about."""
        return OVERHEAD + sum(map(len, self.names))

    def key(self, uri: Key, environ: Mapping[str, Any]) -> Key:
        """What the answer to a request is kept under.

        A field that is absent is another choice than one that is empty (RFC 9111, section 4.1).
        """
        values = [f"{name}={environ.get(environ_key(name))!r}" for name in self.names]
        return (*uri, self.generation, *values)


Record = Answer | Variants


def environ_key(name: str) -> str:
    """Where the environ has a request field (PEP 3333).

    :param name: in lower case.
    """
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def dump_record(record: Record) -> bytes:
    """A record as bytes: the length of a JSON text in 8 hexadecimal digits, the text, a body."""
    if isinstance(record, Variants):
        data: list[Any] = ["variants", record.names, record.generation, record.expires]
        body = b""
    else:
        times = [record.born, record.expires]
        data = ["answer", record.status, record.fields, *times, record.for_everybody]
        data.append(len(record.body))
        body = record.body
    head = json.dumps(data, separators=(",", ":")).encode()
    return b"%08x%b%b" % (len(head), head, body)


def parse_record(raw: bytes) -> Record | None:
    """The record that bytes stand for; None if they are cut short, or made by other code."""
    try:
        end = 8 + int(raw[:8], 16)
        kind, *data = json.loads(raw[8:end])
        return _PARSERS[kind](data, raw[end:])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _parse_answer(data: list[Any], body: bytes) -> Answer:
    status, fields, born, expires, for_everybody, length = data
    if length != len(body):
        raise ValueError(f"there are {len(body)} of {length} bytes")
    return Answer(
        _checked(status, str),
        [(_checked(name, str), _checked(value, str)) for name, value in fields],
        body,
        _checked(born, int, float),
        _checked(expires, int, float),
        _checked(for_everybody, bool),
    )


def _parse_variants(data: list[Any], body: bytes) -> Variants:
    names, generation, expires = data
    return Variants(
        tuple(_checked(name, str) for name in names),
        _checked(generation, str),
        _checked(expires, int, float),
    )


def _checked(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError(f"{value!r} is of the wrong type")
    return value


_PARSERS: dict[str, Callable[[list[Any], bytes], Record]] = {
    "answer": _parse_answer,
    "variants": _parse_variants,
}
