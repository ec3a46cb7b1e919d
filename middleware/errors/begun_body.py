"""Draw the first byte of a body before its response begins, to see whether it can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cptoolkit.middleware import bodies


class BegunBody:
    """A body whose first bytes are there. A failure of the rest is told, and goes on."""

    __slots__ = ("_body", "_failed", "_first", "_items", "empty")

    def __init__(
        self,
        body: Iterable[bytes],
        first: bytes,
        items: Iterator[bytes],
        failed: Callable[[Exception], None],
    ) -> None:
        self._body: Iterable[bytes] | None = body
        self._first = first
        self._items = items
        self._failed = failed
        self.empty = not first
        """Whether there are no bytes in it."""

    def __iter__(self) -> Iterator[bytes]:
        if self._first:
            yield self._first
        try:
            # "yield from" would close the iterator too, and with it the body a second time.
            for block in self._items:  # noqa: UP028
                yield block
        except Exception as error:
            self._failed(error)
            raise

    def close(self) -> None:
        body, self._body = self._body, None
        bodies.close(body)


def begin(body: Iterable[bytes], failed: Callable[[Exception], None]) -> BegunBody:
    """A body of which the first byte has been drawn, or the end been seen.

    :param failed: is told of an exception after the first byte.
    :raises Exception: that of the body; it is closed then.
    """
    try:
        items = iter(body)
        first = next((block for block in items if block), b"")
    except BaseException:
        bodies.close(body)
        raise
    return BegunBody(body, first, items, failed)
