"""Text and bytes under the names that CherryPy had for Python 2 and 3: its ``_cpcompat``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlencode, urljoin

__all__ = [
    "HTTPConnection",
    "HTTPSConnection",
    "basestring",
    "bytestr",
    "json_decode",
    "json_encode",
    "nativestr",
    "ntob",
    "ntou",
    "py3k",
    "quote",
    "quote_plus",
    "text_or_bytes",
    "tonative",
    "unicodestr",
    "unquote",
    "unquote_plus",
    "urlencode",
    "urljoin",
]

py3k = True
bytestr = bytes
nativestr = unicodestr = str
basestring = text_or_bytes = (str, bytes)

json_decode = json.loads


def json_encode(value: Any) -> Iterator[bytes]:
    """JSON in UTF-8, piece by piece.

    :raises TypeError: if JSON cannot express the value.
    """
    for piece in json.JSONEncoder().iterencode(value):
        yield piece.encode()


def ntob(text: str, encoding: str = "ISO-8859-1") -> bytes:
    """Encode text.

    :raises TypeError: if it is not a str.
    """
    return ntou(text).encode(encoding)


def ntou(text: str, encoding: str = "ISO-8859-1") -> str:
    """Return text as it is, now that every str is Unicode.

    :raises TypeError: if it is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {text!r}")
    return text


def tonative(text: str | bytes, encoding: str = "ISO-8859-1") -> str:
    """Decode bytes; return text as it is."""
    return text.decode(encoding) if isinstance(text, bytes) else text
