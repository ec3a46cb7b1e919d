"""Take a multipart body apart (RFC 2046, section 5.1; RFC 7578), with werkzeug's decoder.

Its pieces become parts, within the limits that the entity sets. Memory stays within these limits,
and time is linear, whatever is sent.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from werkzeug.datastructures import Headers
from werkzeug.sansio.multipart import (
    Data,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    State,
)

from cptoolkit.http.errors import HTTPError
from cptoolkit.http.forms import FormUsage, too_large
from cptoolkit.http.headers import HeaderMap

if TYPE_CHECKING:
    from cptoolkit.http.body import Entity, Part

# RFC 2046, section 5.1.1 allows 70 characters, of which some need quotes; clients send others.
_BOUNDARY = re.compile(r"[ -~]{0,199}[!-~]")


def read_parts(entity: Entity) -> list[Part]:
    """The parts of a multipart body, each processed.

    :raises HTTPError: see :func:`cptoolkit.http.forms.process_multipart`.
    """
    block = entity.fp.read(entity.bufsize)
    if not block:
        return []  # what some clients send for a form without fields
    boundary = entity.content_type.params.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise HTTPError(400, f"The multipart body has no usable boundary, but {boundary[:80]!r}.")
    usage = entity.usage or FormUsage(entity)
    assembler = _Assembler(entity, usage, boundary)
    usage.depth += 1
    while not assembler.feed(block):
        block = entity.fp.read(entity.bufsize)
    usage.depth -= 1
    while block:  # RFC 2046, section 5.1.1: what follows the last boundary is to be ignored
        block = entity.fp.read(entity.bufsize)
    return assembler.parts


class _Decoder(MultipartDecoder):
    """werkzeug's decoder, which wants a Content-Disposition that only forms need to have."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        headers = super()._parse_headers(data)
        headers.setdefault("content-disposition", "")
        return headers


class _Assembler:
    """Makes parts of what the decoder finds, each processed once it is whole."""

    def __init__(self, entity: Entity, usage: FormUsage, boundary: str) -> None:
        self.entity = entity
        self.usage = usage
        self.decoder = _Decoder(boundary.encode("ascii"))
        self.longest_delimiter = len(boundary) + 8  # CRLF, dashes before and after, CRLF
        self.held = b""
        self.parts: list[Part] = []
        self.memory = bytearray()

    def feed(self, block: bytes) -> bool:
        """Take the next bytes of the body, or none at its end.

        :returns: whether that was the last part.
        :raises HTTPError: see :func:`process_multipart`.
        """
        decoder = self.decoder
        data = self.held + block
        end = self._end_of_certain(data) if block else len(data)
        self.held = data[end:]
        decoder.receive_data(data[:end])
        if not block:
            decoder.receive_data(None)
        while decoder.state is not State.EPILOGUE:
            try:
                event = decoder.next_event()
            except ValueError as error:  # of whatever the client has done wrong
                raise _malformed() from error
            if isinstance(event, NeedData):
                self._check_waiting()
                return False
            if isinstance(event, (Field, File)):
                self._begin(event.headers)
            elif isinstance(event, Data):
                self._add(event.data)
                if not event.more_data:
                    self._end()
        return True

    def _end_of_certain(self, data: bytes) -> int:
        # A block that ends between the two last dashes of a delimiter makes the decoder (werkzeug
        # 3.1) give the CR before it as data, so it gets no line that may be half a delimiter.
        start = max(len(data) - self.longest_delimiter, 0)
        last = max(data.rfind(b"\n", start), data.rfind(b"\r", start))
        if last < 0:
            return len(data)
        return last - 1 if data[max(last - 1, 0) : last + 1] == b"\r\n" else last

    def _check_waiting(self) -> None:
        # In these states the decoder keeps all it has been given until it finds an end.
        if len(self.decoder.buffer) > self.usage.entity.max_part_header:
            if self.decoder.state is State.PREAMBLE:
                raise _malformed()
            if self.decoder.state is State.PART:
                raise self._header_too_large()

    def _begin(self, fields: Headers) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in fields)
        if size > self.usage.entity.max_part_header:
            raise self._header_too_large()
        headers = HeaderMap((name, value) for name, value in fields if value)
        part = self.entity.part_class(io.BytesIO(), headers)
        part.usage = self.usage
        self.usage.add_part(bool(part.filename))
        self.parts.append(part)
        self.entity.adopt(part)
        if part.filename:
            part.file = part.open_file()

    def _add(self, data: bytes) -> None:
        part = self.parts[-1]
        if part.file is not None:
            part.file.write(data)
        else:
            self.memory += data
            self.usage.add_memory(len(data), len(self.memory))

    def _end(self) -> None:
        part = self.parts[-1]
        if part.file is not None:
            part.file.seek(0)
            part.fp = part.file
        else:
            part.fp = io.BytesIO(self.memory)
            self.memory = bytearray()
        part.process()

    def _header_too_large(self) -> HTTPError:
        message = "The header of a part of the form is larger than {} bytes."
        return too_large(message, self.usage.entity, "max_part_header")


def _malformed() -> HTTPError:
    return HTTPError(400, "The multipart body is malformed, or ends too early.")
