"""Set header fields on every response."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from webob import Request, Response

from cptoolkit.middleware.fields import checked, put_defaults
from cptoolkit.middleware.layer import Layer

WITHOUT_CONTENT = frozenset({"204", "304"})
"""Statuses of responses that have no content, and so no type of it (PEP 3333 checkers insist)."""


@dataclass(kw_only=True, eq=False)
class ResponseHeaders(Layer):
    """Give every response these header fields, unless the application has set one of that name.

    ``Content-Type`` is not given to a response without content.

    :raises ValueError: if a name is no token, or a value could not be sent; see
        :func:`cptoolkit.middleware.fields.checked`.
    """

    headers: Iterable[tuple[str, str]] | None = ()
    """(name, value) pairs. A name that comes several times is sent as often."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fields = _pairs(self.headers or ())
        """The same as a list, checked."""
        self._names = frozenset(name.lower() for name, _ in self.fields)
        self._has_type = "content-type" in self._names
        self._typeless = [item for item in self.fields if item[0].lower() != "content-type"]

    def after(self, request: Request, response: Response) -> None:
        fields = self.fields
        if self._has_type and response.status[:3] in WITHOUT_CONTENT:
            fields = self._typeless
        put_defaults(response.headerlist, fields, self._names)


def _pairs(headers: object) -> list[tuple[str, str]]:
    if not isinstance(headers, Iterable):
        raise TypeError(f"headers must be (name, value) pairs, got {headers!r}")
    pairs = []
    for pair in headers:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"headers must be (name, value) pairs, got {pair!r}")
        pairs.append(checked(*pair))
    return pairs
