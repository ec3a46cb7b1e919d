"""What becomes of the failure of a store: one line in the log, and a 503."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from webob.exc import HTTPServiceUnavailable

from cptoolkit.middleware.sessions.store import LockTimeout, StoreUnavailable

logger = logging.getLogger("cptoolkit.sessions")

F = TypeVar("F", bound=Callable[[Any], Any])

RETRY_AFTER = 10
"""Seconds after which a client may try again when the store has failed it."""


class SessionUnavailable(HTTPServiceUnavailable, StoreUnavailable):
    """The session cannot be had: a 503, which a page may also catch and do without."""

    def __init__(self) -> None:
        super().__init__(
            "Your session cannot be reached at the moment. Please try again.",
            headers=[("Retry-After", str(RETRY_AFTER))],
        )


def answering_503(method: F) -> F:
    """Turn the failure of a store into one line in the log and an HTTP error."""

    @wraps(method)
    def guarded(self: Any) -> Any:
        if self.failure is not None:
            raise SessionUnavailable() from self.failure  # not asked again, it may take its time
        try:
            return method(self)
        except SessionUnavailable:
            raise
        except StoreUnavailable as error:
            self.failure = error
            log = logger.warning if isinstance(error, LockTimeout) else logger.error
            log("the session cannot be had: %s", error)
            raise SessionUnavailable() from error

    return guarded  # type: ignore[return-value]
