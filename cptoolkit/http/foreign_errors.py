"""HTTP exceptions of webob's and werkzeug's that a handler or a hook lets out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import webob

from cptoolkit.context import current
from cptoolkit.http.error_pages import remove_content_headers, replace_fields
from cptoolkit.http.errors import HTTPError
from cptoolkit.middleware.layer import call

if TYPE_CHECKING:
    from cptoolkit.http.request import Request

PAGE_FIELDS = frozenset({"content-type", "content-length"})
"""Fields that described the page of the exception's own, which gives way to ours."""


class ForeignAnswer:
    """An answer that an exception brings along, to be sent as it is.

    :param answer: the response.
    """

    def __init__(self, answer: webob.Response) -> None:
        self._answer = answer

    def set_response(self) -> None:
        """Make the current response say what the answer says."""
        response = current.get()[1]
        remove_content_headers(response)
        response.status = self._answer.status
        replace_fields(response, self._answer.headerlist)
        response.stream = False
        response.body = self._answer.app_iter


def adopted(error: Exception, request: Request) -> HTTPError | ForeignAnswer | None:
    """What an exception answers with, if it is one of webob's or werkzeug's; else None.

    Errors get our page, or that of the ``error_page`` settings, with the status, the message and
    the header fields of the exception. What is no error, and what a response was given with
    (``werkzeug.exceptions.abort(response)``), is sent as it is.
    """
    # Whoever raises such an exception has imported the module.
    webob_exc = sys.modules.get("webob.exc")
    if webob_exc is not None and isinstance(error, webob_exc.HTTPException):
        refusal: Any = error
        if refusal.status_int < 400:
            return ForeignAnswer(call(refusal, request.environ))
        return _error(refusal.status_int, refusal.detail, refusal.headerlist)
    werkzeug_exceptions = sys.modules.get("werkzeug.exceptions")
    if werkzeug_exceptions is not None and isinstance(error, werkzeug_exceptions.HTTPException):
        stray: Any = error
        code = stray.code or 500
        if stray.response is not None or code < 400:
            return ForeignAnswer(call(stray.get_response(request.environ), request.environ))
        return _error(code, stray.description, stray.get_headers())
    return None


def _error(status: int, message: str | None, fields: list[tuple[str, str]]) -> HTTPError:
    headers = [item for item in fields if item[0].lower() not in PAGE_FIELDS]
    return HTTPError(status, message, headers=headers)
