"""A body that is copied while it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cptoolkit.middleware import bodies


class Tee:
    """Passes a body on block by block, and tells what it was once it has ended well.

    :param body: is closed with this one.
    :param most: bytes that are copied at most; past them only the sending goes on.
    :param done: called with the copy, if the body was not larger and has been sent to its end.
    """

    __slots__ = ("_blocks", "_body", "_copy", "_done", "_most", "_size")

    def __init__(self, body: Iterable[bytes], most: int, done: Callable[[bytes], object]) -> None:
        self._body = body
        self._blocks: Iterator[bytes] | None = None
        self._copy: list[bytes] | None = []
        self._size = 0
        self._most = most
        self._done = done

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._blocks is None:
                self._blocks = iter(self._body)
            block = next(self._blocks)
        except StopIteration:
            copy, self._copy = self._copy, None
            if copy is not None:
                self._done(b"".join(copy))
            raise
        except BaseException:
            self._copy = None
            raise
        if self._copy is not None:
            self._size += len(block)
            if self._size > self._most:
                self._copy = None
            else:
                self._copy.append(block)
        return block

    def close(self) -> None:
        """Close the body; what has not ended by now is not whole."""
        self._copy = None
        body, self._body = self._body, ()
        bodies.close(body)
