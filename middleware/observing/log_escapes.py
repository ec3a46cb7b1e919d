"""Escape what clients send, so that it cannot forge a line of a log or steer a terminal."""

from __future__ import annotations

import re

_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")
_C_NOTATION = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_BYTES = [_C_NOTATION.get(chr(n), chr(n) if 32 <= n < 127 else f"\\x{n:02x}") for n in range(256)]

# Control characters (C0, C1, DEL), what Unicode calls line and paragraph ends, and what turns
# the direction of writing; but for tab and newline.
_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE_IN_TEXT = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_LINE = re.compile(f"[{_UNSAFE}\t\n]")
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


def escape_native(value: str) -> str:
    """The same of a text as PEP 3333 has them, whose characters are bytes."""
    if not _NOT_PLAIN.search(value):
        return value
    try:
        return "".join([_BYTES[byte] for byte in value.encode("latin-1")])
    except UnicodeEncodeError:  # a layer or an application has put it there
        return escape_field(value)


def escape_line(line: str) -> str:
    """Return ``line`` with its control characters escaped: as one line."""
    return _UNSAFE_IN_LINE.sub(lambda match: ascii(match[0])[1:-1], line)


def escape_text(text: str) -> str:
    """Return ``text`` with its control characters escaped, but for tab and newline, which
    tracebacks are full of.

    Lines within it that begin like a line of the log are indented by one blank.
    """
    if _UNSAFE_IN_TEXT.search(text):
        text = _UNSAFE_IN_TEXT.sub(lambda match: ascii(match[0])[1:-1], text)
    return _STAMP_IN_TEXT.sub("\n ", text) if "\n[" in text else text
