"""A request body as an application reads it: ``wsgi.input`` (PEP 3333)."""

from __future__ import annotations

import contextlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO

from cptoolkit.servers.errors import ClientError

LARGE = 16 * 1024
"""Bytes from which on what came is kept as it came. Many small pieces would take more room than
what is in them, and to copy large ones takes more time than to receive them."""


class Body:
    """Bytes that the protocol puts in and the application takes out, waiting when there are none.

    The end of the input is the end of the body, whatever its framing.

    :param pull: waits for bytes of the client and hands them to the protocol, which calls
        :meth:`put`, :meth:`end` or :meth:`fail`. May raise :class:`ClientError`.
    """

    __slots__ = (
        "_by_line", "_error", "_file", "_pieces", "_pull", "_tail", "buffered", "complete",
        "received",
    )  # fmt: skip

    def __init__(self, pull: Callable[[], None]) -> None:
        self._pull: Callable[[], None] | None = pull
        self._pieces: deque[memoryview] = deque()
        self._tail = bytearray()  # what comes after those
        self._by_line = False  # whether everything goes there, for a line that has no end yet
        self._file: IO[bytes] | None = None
        self._error: ClientError | None = None
        self.complete = False
        self.received = 0
        self.buffered = 0
        """Bytes in memory: those that can be read without waiting."""

    # -- the protocol's side ----------------------------------------------------------------------

    def put(self, data: bytes | memoryview) -> None:
        """Add bytes of the body, unless nobody wants them any more."""
        size = len(data)
        self.received += size
        if self._pull is None:
            return
        self.buffered += size
        if size < LARGE or self._by_line:
            self._tail += data
        else:
            self._end_tail()
            self._pieces.append(memoryview(data))

    def end(self) -> None:
        """There will be no more."""
        self.complete = True

    def fail(self, error: ClientError) -> None:
        """There will be no more, and what there was is not whole."""
        self._error = error

    def spill(self) -> None:
        """Move what is in memory to a temporary file, from which a complete body is read.

        :raises OSError: if that cannot be.
        """
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # detach() closes it
        self._end_tail()
        self._file.writelines(self._pieces)
        self._pieces.clear()
        self.buffered = 0
        if self.complete:
            self._file.seek(0)

    def detach(self) -> None:
        """The request is answered: whoever reads on finds an empty body."""
        self._pull = None
        self._pieces.clear()
        self._tail.clear()
        self.buffered = 0
        if self._file is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take
                self._file.close()
            self._file = None

    @property
    def spilled(self) -> bool:
        """Whether there is a temporary file."""
        return self._file is not None

    @property
    def failed(self) -> bool:
        """Whether it is sure that the body will never be whole."""
        return self._error is not None

    # -- the application's side -------------------------------------------------------------------

    def _more(self) -> bool:
        """Wait for more bytes, and tell whether there can be any."""
        if self.complete or self._pull is None:
            return False
        if self._error is None:
            try:
                self._pull()
            except ClientError as exc:
                self._error = exc
        if self._error is not None:
            raise self._error
        return True

    def _end_tail(self) -> None:
        if self._tail:
            self._pieces.append(memoryview(self._tail))
            self._tail = bytearray()

    def _take(self, size: int) -> bytes:
        self._end_tail()
        pieces, taken = self._pieces, []
        size = min(size, self.buffered)
        self.buffered -= size
        while size:
            piece = pieces.popleft()
            if len(piece) > size:
                pieces.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
        return b"".join(taken)

    def _take_line(self, size: int) -> bytes:
        line = bytes(memoryview(self._tail)[:size])
        del self._tail[:size]
        self.buffered -= len(line)
        return line

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; all that is left if None or negative.

        :raises ClientError: if the client went away, was too slow or sent nonsense.
        """
        if self._file is not None:
            return self._file.read(-1 if size is None else size)
        if size is None or size < 0:
            while self._more():
                pass
            return self._take(self.buffered)
        while self.buffered < size and self._more():
            pass
        return self._take(size)

    def readline(self, size: int | None = -1) -> bytes:
        """Return the bytes up to and with the next newline, but ``size`` of them at most.

        :raises ClientError: as for :meth:`read`.
        """
        limit = -1 if size is None or size < 0 else size
        if self._file is not None:
            return self._file.readline(limit)
        if self._pieces:
            self._tail = bytearray().join([*self._pieces, self._tail])
            self._pieces.clear()
        self._by_line = True
        searched = 0
        while True:
            found = self._tail.find(b"\n", searched) + 1
            if 0 <= limit <= (found or len(self._tail)):
                return self._take_line(limit)
            if found:
                return self._take_line(found)
            searched = len(self._tail)
            if not self._more():
                return self._take_line(searched)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return lines: all, or until they are ``hint`` bytes together if that is positive.

        :raises ClientError: as for :meth:`read`.
        """
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line


def _nothing_to_pull() -> None:
    """A body without bytes is complete from the start."""


EMPTY = Body(_nothing_to_pull)
"""The body of every request that has none; it holds nothing, so all of them can share it."""
EMPTY.end()
