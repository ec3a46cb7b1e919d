"""The bodies of responses: replaced, collected, and closed exactly once (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from io import FileIO
from typing import Any

from webob import Response


def close(body: Any) -> None:
    """Close a body, if it is one that wants to be closed."""
    closing = getattr(body, "close", None)
    if closing is not None:
        closing()


def replace(response: Response, body: Iterable[bytes]) -> None:
    """Put something else in the place of a body of the same length; the old one is not closed.

    webob's own way would take the Content-Length away, and look for it first.
    """
    response._app_iter = body  # type: ignore[attr-defined]


def collect(response: Response) -> bytes:
    """Draw the body of a response to its end, and put that in its place as a list.

    :returns: the whole body.
    """
    body = response.app_iter
    replace(response, [])  # so that nobody closes it once more if it fails
    try:
        whole = b"".join(body)
    finally:
        close(body)
    replace(response, [whole])
    return whole


FILE = "cptoolkit.file"
"""Where in the environ a file is that the host sends by itself, and the body that stands for it."""


class SentFile(FileIO):
    """A file that the host sends in its own way (PEP 3333, ``wsgi.file_wrapper``) and then closes.

    :param descriptor: of the open file.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb")
        self._then: list[Callable[[], None]] = []

    def when_closed(self, then: Callable[[], None]) -> None:
        """Have something done once the file is closed, after what others have asked for."""
        self._then.append(then)

    def close(self) -> None:
        """Close the file, and do what is to be done then."""
        with ExitStack() as callbacks:
            while self._then:
                callbacks.callback(self._then.pop())
            super().close()


def when_closed(response: Response, environ: Mapping[str, Any], then: Callable[[], None]) -> None:
    """Have something done once a body is closed. One that the host sends by itself stays that."""
    body = response.app_iter
    file, wrapper = environ.get(FILE, (None, None))
    if file is not None and wrapper is body:
        file.when_closed(then)
    else:
        replace(response, Closing(body, then))


class Closing:
    """A body, and what is to be done once it is closed."""

    __slots__ = ("_body", "_then")

    def __init__(self, body: Iterable[bytes], then: Callable[[], None]) -> None:
        self._body = body
        self._then: Callable[[], None] | None = then

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        # Let go, for it often leads back to this body, and the environ would wait for the
        # garbage collection.
        then, self._then = self._then, None
        if then is None:
            return
        try:
            close(self._body)
        finally:
            then()
