"""What goes wrong on the server while a test waits for a page."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Collection

from cptoolkit.application import Application
from cptoolkit.http.request import Request
from cptoolkit.logs import logfmt

RELEASE_SECONDS = 2.0
"""How long the server may hold a request after its response has been sent."""

_LOOK_SECONDS = 0.02


class ServerFailures(logging.Handler):
    """Keeps the errors that are logged, tracebacks included, for the message of a failing test."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logfmt)
        self._told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(self.format(record))
        # The text is made. The traceback itself would keep the request in memory, for as long as
        # pytest keeps the record.
        record.exc_info = None

    def forget(self) -> None:
        """Begin anew: a request is about to be made."""
        self._told.clear()

    def __str__(self) -> str:
        return "\n".join(self._told)


def requests_in_memory(apps: Collection[object]) -> list[str]:
    """The requests to any of these applications that something still refers to: their lines.

    Gives the server a moment to let go of the last ones.
    """
    deadline = time.monotonic() + RELEASE_SECONDS
    while (found := _find(apps)) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return found


def _find(apps: Collection[object]) -> list[str]:
    gc.collect()
    ours = {id(app) for app in apps if isinstance(app, Application)}
    return sorted(
        f"{request.method} {request.path_info}"
        for request in gc.get_objects()
        if issubclass(type(request), Request) and id(request.app) in ours
    )
