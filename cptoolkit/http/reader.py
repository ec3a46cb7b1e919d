"""A stream that ends where the request body ends, whatever the transport under it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from cptoolkit.http.errors import HTTPError


class Readable(Protocol):
    """What PEP 3333 promises of ``wsgi.input``, as far as it is used here."""

    def read(self, size: int = ..., /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...

    def readline(self, size: int = ..., /) -> bytes:
        """A line with its end, cut after ``size`` bytes; empty at the end."""
        ...

    def readlines(self, hint: int = ..., /) -> list[bytes]:
        """Lines to the end, or until they have ``hint`` bytes together."""
        ...


class Writable(Protocol):
    """What a body can be copied into."""

    def write(self, data: bytes, /) -> object:
        """Take all of the data."""


class SizedReader:
    """Read a body of a known length, or up to the end of the transport's stream.

    :param fp: the transport's stream.
    :param length: the length in bytes that was promised; None to read until the stream ends.
    :param maxbytes: more than this many bytes are a 413; None for no limit.
    :param bufsize: how many bytes to ask for at a time.

    Reading raises :class:`HTTPError`: 413 beyond the limit, before anything is read if the length
    was promised; 400 if the client is gone before the end, 408 if it has fallen silent.
    """

    def __init__(
        self,
        fp: Readable,
        length: int | None,
        maxbytes: int | None = None,
        bufsize: int = 65536,
    ) -> None:
        self.fp = fp
        self.length = length
        self.maxbytes = maxbytes
        self.bufsize = bufsize
        self.bytes_read = 0
        """How many bytes have come from the transport so far."""
        self.done = length == 0
        """Whether the end has been reached."""

    def read(self, size: int | None = None, fp_out: Writable | None = None) -> bytes:
        """Read ``size`` bytes, or all that is left; fewer only at the end.

        :param fp_out: where to write them to; the returned bytes are then empty.
        """
        left = None if size is None or size < 0 else size
        blocks = []
        while left != 0 and not self.done:
            block = self._fetch(self.bufsize if left is None else min(left, self.bufsize))
            if left is not None:
                left -= len(block)
            if fp_out is None:
                blocks.append(block)
            else:
                fp_out.write(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def readline(self, size: int | None = None) -> bytes:
        """Read a line with its end, cut after ``size`` bytes; empty at the end of the body."""
        if self.done or size == 0:
            return b""
        return self._fetch(-1 if size is None or size < 0 else size, line=True)

    def readlines(self, sizehint: int | None = None) -> list[bytes]:
        """Read lines to the end, or until they have ``sizehint`` bytes together."""
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if sizehint and total >= sizehint:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _fetch(self, size: int, line: bool = False) -> bytes:
        left = None if self.length is None else self.length - self.bytes_read
        if self.maxbytes is not None:
            if self.length is not None and self.length > self.maxbytes:
                raise self._too_large()
            if left is None:  # one byte more than allowed tells that there is too much
                left = self.maxbytes - self.bytes_read + 1
        if left is not None:
            size = left if size < 0 else min(size, left)
        try:
            data = self.fp.readline(size) if line else self.fp.read(size)
        except TimeoutError as error:
            raise HTTPError(408, "The rest of the request body did not come in time.") from error
        except ConnectionError as error:
            raise self._cut_short() from error
        self.bytes_read += len(data)
        if self.length is None:
            self.done = not data
            if self.maxbytes is not None and self.bytes_read > self.maxbytes:
                raise self._too_large()
        elif not data:
            raise self._cut_short()
        else:
            self.done = self.bytes_read >= self.length
        return data

    def _too_large(self) -> HTTPError:
        return HTTPError(413, f"The request body is larger than {self.maxbytes} bytes.")

    def _cut_short(self) -> HTTPError:
        promised = "" if self.length is None else f" of {self.length}"
        return HTTPError(400, f"The request body ended after {self.bytes_read}{promised} bytes.")
