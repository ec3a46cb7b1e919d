"""A request body as an application reads it: ``wsgi.input`` (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cptoolkit.servers.errors import ClientError


class Body:
    """Bytes that the protocol puts in and the application takes out, waiting when there are none.

    The end of the input is the end of the body, whatever its framing.

    :param pull: waits for bytes of the client and hands them to the protocol, which calls
        :meth:`put`, :meth:`end` or :meth:`fail`. May raise :class:`ClientError`.
    """

    __slots__ = ("_buffer", "_error", "_pull", "complete", "received")

    def __init__(self, pull: Callable[[], None]) -> None:
        self._pull: Callable[[], None] | None = pull
        self._buffer = bytearray()
        self._error: ClientError | None = None
        self.complete = False
        self.received = 0

    # -- the protocol's side ----------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        """Add bytes of the body, unless nobody wants them any more."""
        self.received += len(data)
        if self._pull is not None:
            self._buffer += data

    def end(self) -> None:
        """There will be no more."""
        self.complete = True

    def fail(self, error: ClientError) -> None:
        """There will be no more, and what there was is not whole."""
        self._error = error

    def detach(self) -> None:
        """The request is answered: whoever reads on finds an empty body."""
        self._pull = None
        self._buffer.clear()

    @property
    def buffered(self) -> int:
        """Bytes that can be read without waiting."""
        return len(self._buffer)

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

    def _take(self, size: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return taken

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; all that is left if None or negative.

        :raises ClientError: if the client went away, was too slow or sent nonsense.
        """
        if size is None or size < 0:
            while self._more():
                pass
            return self._take(len(self._buffer))
        while len(self._buffer) < size and self._more():
            pass
        return self._take(size)

    def readline(self, size: int | None = -1) -> bytes:
        """Return the bytes up to and with the next newline, but ``size`` of them at most.

        :raises ClientError: as for :meth:`read`.
        """
        limit = -1 if size is None or size < 0 else size
        searched = 0
        while True:
            found = self._buffer.find(b"\n", searched) + 1
            if 0 <= limit <= (found or len(self._buffer)):
                return self._take(limit)
            if found:
                return self._take(found)
            searched = len(self._buffer)
            if not self._more():
                return self._take(searched)

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
