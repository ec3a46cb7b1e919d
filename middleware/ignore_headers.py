"""Take header fields off requests, as if the client had not sent them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webob import Request

from cptoolkit.middleware.fields import checked_name
from cptoolkit.middleware.layer import Layer

WITHOUT_PREFIX = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})  # RFC 3875, section 4.1


@dataclass(kw_only=True, eq=False)
class IgnoreHeaders(Layer):
    """Hide header fields of the request from the application.

    For a front server that does the work for one itself: some answer ``Range``, and would cut a
    part out of what is a part already.

    :raises ValueError: if one of them could not be the name of a field.
    """

    headers: str | Sequence[str] = ("Range",)
    """Names of the fields, in any case."""

    def __post_init__(self) -> None:
        super().__post_init__()
        headers = self.headers
        if not isinstance(headers, (str, Sequence)):
            raise TypeError(f"headers must be a name or several in a list, got {headers!r}")
        names = [headers] if isinstance(headers, str) else headers
        keys = [checked_name(name).upper().replace("-", "_") for name in names]
        self._keys = [key if key in WITHOUT_PREFIX else f"HTTP_{key}" for key in keys]

    def before(self, request: Request) -> None:
        for key in self._keys:
            request.environ.pop(key, None)
