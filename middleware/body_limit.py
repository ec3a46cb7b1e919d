"""Refuse request bodies that are too large (RFC 9110, section 15.5.14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from webob import Request, Response
from webob.exc import HTTPBadRequest, HTTPRequestEntityTooLarge

from cptoolkit.middleware.layer import Layer

EXCEEDED = "cptoolkit.body_limit"
"""Where in the environ the limits stand that were exceeded, of all such layers: list of int."""

BLOCK_SIZE = 65536
"""Bytes that are read at a time when all of a body is asked for."""

MOST_DIGITS = 18
"""A Content-Length of more is too large in any case; Python is slow to read very long numbers."""


@dataclass(kw_only=True, eq=False)
class BodyLimit(Layer):
    """Answer 413 to a request whose body is larger than allowed.

    One that tells its length is refused before a byte is read. One that does not, as it is chunked,
    is refused when the application has read too much of it: reading then raises webob's exception,
    and the answer is 413 whatever the application makes of that.

    :raises ValueError: if the limit is negative.
    """

    max_size: int = 10_485_760  # 10 MiB
    """The most bytes that a body may have."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.max_size) is not int or self.max_size < 0:
            raise ValueError(f"max_size must be 0 or more bytes, got {self.max_size!r}")

    def before(self, request: Request) -> None:
        environ = request.environ
        length = environ.get("CONTENT_LENGTH")
        if length:
            if not (length.isascii() and length.isdigit()):
                raise HTTPBadRequest("Content-Length must be a number of bytes.")
            if len(length) > MOST_DIGITS or int(length) > self.max_size:
                raise too_large(self.max_size)
            if "HTTP_TRANSFER_ENCODING" not in environ:
                return  # The host lets nobody read more (PEP 3333).
        # RFC 9112, section 6.3: with a transfer coding the length says nothing.
        environ.pop("webob.is_body_seekable", None)  # where webob says that it may rewind
        exceeded = environ.setdefault(EXCEEDED, [])
        environ["wsgi.input"] = LimitedInput(environ["wsgi.input"], self.max_size, exceeded)

    def after(self, request: Request, response: Response) -> None:
        exceeded = request.environ.get(EXCEEDED)
        if exceeded and response.status[:3] != "413":
            raise too_large(exceeded[0])


def too_large(max_size: int) -> HTTPRequestEntityTooLarge:
    """The refusal of a body of more than ``max_size`` bytes."""
    return HTTPRequestEntityTooLarge(f"The request body is larger than {max_size} bytes.")


class LimitedInput:
    """A request body of unknown length that cannot be read beyond a limit.

    :param stream: the body, ``wsgi.input``.
    :param max_size: bytes that may be read; one more raises HTTPRequestEntityTooLarge.
    :param exceeded: the limit is put in here when that happens.
    """

    def __init__(self, stream: Any, max_size: int, exceeded: list[int]) -> None:
        self._stream = stream
        self._left = self._max_size = max_size
        self._exceeded = exceeded

    def read(self, size: int | None = None) -> bytes:
        """At most ``size`` bytes, or all that is left."""
        if size is not None and size >= 0:
            return self._counted(self._stream.read(min(size, self._left + 1)))
        blocks = []
        while block := self.read(BLOCK_SIZE):
            blocks.append(block)
        return b"".join(blocks)

    def readline(self, size: int | None = None) -> bytes:
        """A line with its end, cut after ``size`` bytes."""
        most = self._left + 1  # the one byte too many tells that there is more
        return self._counted(
            self._stream.readline(most if size is None or size < 0 else min(size, most))
        )

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Lines to the end, or until they have ``hint`` bytes together."""
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:  # it stays so: to read on reads nothing, and raises this again
            self._exceeded.append(self._max_size)
            raise too_large(self._max_size)
        return data
