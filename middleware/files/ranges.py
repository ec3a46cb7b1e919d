"""Parts of a representation, by byte ranges (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os import urandom
from typing import BinaryIO

from cptoolkit.middleware import bodies, fields
from cptoolkit.middleware.fields import Fields

MOST_RANGES = 10
"""Parts that one answer may have, once those that overlap are merged. Real clients ask for a few;
many small ones cost more than the whole (CVE-2025-62727 and its like)."""

BLOCK_SIZE = 65536
"""Bytes read from a file at a time."""

Range = tuple[int, int]
"""The first byte, and the one after the last."""

_SPEC = re.compile(r"(\d*)-(\d*)", re.ASCII)


def parse_ranges(field: str, size: int) -> list[Range] | None:
    """The parts that a ``Range`` field asks for (section 14.2), merged where they touch.

    :param size: of the whole representation, in bytes.
    :returns: list of (first byte, byte after the last), all within the size, each in the place
        of the first of those that it was merged from. Empty if none can be had, which is a 416.
        None if the field does not count: a unit other than bytes, a field that is malformed, or
        more than :data:`MOST_RANGES` parts.
    """
    unit, equals, specs = field.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    asked = [spec for text in specs.split(",") if (spec := text.strip(" \t"))]
    found: list[Range] = []
    for spec in asked:
        match = _SPEC.fullmatch(spec)
        if match is None or spec == "-":
            return None
        first, last = _number(match[1]), _number(match[2])
        if first is None:
            start, stop = max(size - (last or 0), 0), size
        else:
            if last is not None and last < first:
                return None
            start, stop = first, size if last is None else min(last + 1, size)
        if start < stop:
            found.append((start, stop))
    if not asked:
        return None
    merged = _merged(found)
    return merged if len(merged) <= MOST_RANGES else None


def _number(digits: str) -> int | None:
    """None for no digits at all. Past 18 of them it is beyond the end of any file."""
    if not digits:
        return None
    return int(digits) if len(digits) <= 18 else 10**18


def _merged(ranges: Sequence[Range]) -> list[Range]:
    """Ranges less their overlaps, as section 15.3.7.2 allows, in the order in which they came."""
    if len(ranges) < 2:
        return list(ranges)
    kept: list[list[int]] = []
    for place, (start, stop) in sorted(enumerate(ranges), key=lambda item: item[1]):
        if kept and start <= kept[-1][2]:
            kept[-1][0] = min(kept[-1][0], place)
            kept[-1][2] = max(kept[-1][2], stop)
        else:
            kept.append([place, start, stop])
    return [(start, stop) for _, start, stop in sorted(kept)]


def content_range(part: Range, size: int) -> str:
    """The ``Content-Range`` of a part (section 14.4)."""
    return f"bytes {part[0]}-{part[1] - 1}/{size}"


def partial(
    file: BinaryIO, ranges: Sequence[Range], size: int, answer: Fields, offset: int = 0
) -> FileParts:
    """The body of a 206, and its header fields (section 15.3.7).

    Several parts make a body of the type multipart/byteranges, each with the ``Content-Type``
    that the whole has.

    :param file: open to be read, and to be closed by the body.
    :param ranges: one or more, as :func:`parse_ranges` gives them.
    :param size: of the whole in bytes.
    :param answer: the header fields of the whole; changed in place.
    :param offset: where in the file the whole begins.
    """
    if len(ranges) == 1:
        start, stop = ranges[0]
        fields.put(answer, "Content-Range", content_range(ranges[0], size))
        fields.put(answer, "Content-Length", str(stop - start))
        return FileParts(file, [(b"", offset + start, offset + stop)])
    boundary = urandom(16).hex()
    content_type = fields.get(answer, "content-type")
    parts = []
    for start, stop in ranges:
        head = f"\r\n--{boundary}\r\nContent-Range: {content_range((start, stop), size)}\r\n"
        if content_type:
            head += f"Content-Type: {content_type}\r\n"
        parts.append((f"{head}\r\n".encode("latin-1"), offset + start, offset + stop))
    end = f"\r\n--{boundary}--\r\n".encode()
    length = sum(len(head) + stop - start for head, start, stop in parts) + len(end)
    fields.put(answer, "Content-Type", f"multipart/byteranges; boundary={boundary}")
    fields.put(answer, "Content-Length", str(length))
    return FileParts(file, parts, end)


class FileParts:
    """A body of parts of a file, which it closes when it is closed.

    :param parts: each what comes before it, its first byte, and the one after its last.
    :param end: what comes after the last.
    """

    __slots__ = ("_end", "_file", "_parts")

    def __init__(
        self, file: BinaryIO, parts: Sequence[tuple[bytes, int, int]], end: bytes = b""
    ) -> None:
        self._file = file
        self._parts = parts
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        file = self._file
        for head, start, stop in self._parts:
            if head:
                yield head
            file.seek(start)
            # A file that has become shorter ends early; the host sees that the length is wrong.
            while start < stop and (block := file.read(min(BLOCK_SIZE, stop - start))):
                start += len(block)
                yield block
        if self._end:
            yield self._end

    def close(self) -> None:
        """Close the file. A generator alone would not, if it had never been begun."""
        bodies.close(self._file)
