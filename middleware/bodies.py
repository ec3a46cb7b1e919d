"""The bodies of responses: replaced, collected, and closed exactly once (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
