"""Give each request an id that the answer, the application and the logs share."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from webob import Request, Response

from cptoolkit.middleware import fields
from cptoolkit.middleware.layer import Layer

REQUEST_ID = "cptoolkit.request_id"
"""Where in the environ the id is left."""

_current: ContextVar[str] = ContextVar(REQUEST_ID)

# What most makers of ids use: UUIDs, hexadecimal, base64, trace ids. Nothing that could forge a
# line of a log or a header field.
_SAFE = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")


_BLOCK = 64  # ids: to ask the system for each one alone would be half of what the layer costs
_ready: list[str] = []
os.register_at_fork(after_in_child=_ready.clear)


def new_id() -> str:
    """32 random hexadecimal digits."""
    try:
        return _ready.pop()
    except IndexError:
        digits = os.urandom(16 * _BLOCK).hex()
        ids = [digits[at : at + 32] for at in range(0, len(digits), 32)]
        _ready.extend(ids[1:])
        return ids[0]


@dataclass(kw_only=True, eq=False)
class RequestID(Layer):
    """Give each request an id, and tell it the client in a header field.

    It is left in ``environ["cptoolkit.request_id"]``; an id that is there already stays. Log
    records have it from a :class:`RequestIDFilter`.

    :raises ValueError: if ``header`` is no name of a header field.
    :raises TypeError: if ``generate`` cannot be called.
    """

    header: str = "X-Request-ID"
    """The field of the answer that tells the id, and of the request if it is trusted."""

    trust: bool = False
    """Whether an id that comes with the request is kept, if it is of 1 to 128 letters, digits and
    ``._~+/=:@-``. Right only behind a proxy that sets the field, or replaces it: clients could
    give two requests one id."""

    generate: Callable[[], str] = new_id
    """Makes an id; as text that can stand in a header field."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z0-9-]+", self.header):
            raise ValueError(f"header must be the name of a header field, got {self.header!r}")
        if not callable(self.generate):
            raise TypeError(f"generate must be a function, got {self.generate!r}")
        self._key = "HTTP_" + self.header.upper().replace("-", "_")

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        made = environ.get(REQUEST_ID)
        if made is None:
            if self.trust:
                made = environ.get(self._key)
                if made is not None and not _SAFE.fullmatch(made):
                    made = None
            environ[REQUEST_ID] = made = made or self.generate()
        _current.set(made)
        return None

    def after(self, request: Request, response: Response) -> None:
        environ = request.environ
        if REQUEST_ID not in environ:  # refused before the id was made
            self.before(request)
        fields.put(response.headerlist, self.header, environ[REQUEST_ID])


class RequestIDFilter(logging.Filter):
    """Give log records the id of the request in hand, for ``%(request_id)s`` in a format.

    Put it on handlers, so that it sees the records of all loggers::

        handler.addFilter(RequestIDFilter())
        handler.setFormatter(logging.Formatter("%(request_id)s %(message)s"))

    Outside of requests the id is "-". A thread of a server that waits for its next request still
    has the id of the last one.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current.get("-")
        return True
