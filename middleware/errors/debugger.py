"""Show werkzeug's debugger for an exception, to clients on this machine only."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from traceback import format_exception
from typing import TYPE_CHECKING

from webob import Request, Response
from webob.exc import HTTPNotFound
from werkzeug.debug import DebuggedApplication

from cptoolkit.middleware import bodies, fields
from cptoolkit.middleware.errors.details import details
from cptoolkit.middleware.errors.problem import Problem
from cptoolkit.middleware.errors.wishes import JSON, likes_json, names_no_html
from cptoolkit.middleware.forwarding.local import is_local
from cptoolkit.middleware.layer import call

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ERROR = "cptoolkit.debugger.error"

MOST_FRAMES = 1000
"""Frames that stay open for the console; they keep alive all that their code had at hand."""

_PLACE = b'<div class="explanation">'
"""Where in werkzeug's page ours goes in."""


class Debugger:
    """Werkzeug's debugger without an application: it is handed the exceptions.

    Its console asks for the PIN that werkzeug writes to the log; if the environment variable
    ``WERKZEUG_DEBUG_PIN`` turns that off, there is no console.
    """

    def __init__(self) -> None:
        # No path begins other than with a slash: there is no console without an exception.
        self._debugged = DebuggedApplication(_raise, evalex=True, console_path="")
        self._debugged.trusted_hosts = [".localhost", "127.0.0.1", "[::1]"]
        if self._debugged.pin is None:
            self._debugged.evalex = False

    def is_asked(self, request: Request) -> bool:
        """Whether a request comes from a page of the debugger's: for its style, or to run code."""
        environ = request.environ
        return "__debugger__=yes" in environ.get("QUERY_STRING", "") and is_local(environ)

    def answer(self, request: Request) -> Response:
        """Answer a request that comes from a page of the debugger's."""
        return call(self._debugged, request.environ)

    def page(self, request: Request, error: Exception) -> Response:
        """What tells of an exception, in the form that the client asks for.

        That is the debugger for browsers, a problem document (RFC 9457) for clients that like JSON
        better than HTML, and the traceback as text for all others.
        """
        accept = request.environ.get("HTTP_ACCEPT", "")
        trace = "".join(format_exception(error))
        if likes_json(accept):
            said = "".join(format_exception(error)[-1:]).strip()
            title = "Internal Server Error"
            problem = Problem(status=500, title=title, detail=said, traceback=trace)
            response = _response(JSON, problem.to_json())
        elif names_no_html(accept):
            response = _response("text/plain; charset=utf-8", trace.encode(errors="replace"))
        else:
            response = self._debugger(request, error)
        fields.add_vary(response.headerlist, "Accept")
        return response

    def _debugger(self, request: Request, error: Exception) -> Response:
        # It would write the traceback to wsgi.errors, where it is already.
        environ = {**request.environ, ERROR: error, "wsgi.errors": StringIO()}
        response = call(self._debugged, environ)
        before, place, after = bodies.collect(response).partition(_PLACE)
        if place:
            page = before + details(request.environ, error).encode(errors="replace") + place + after
            fields.put(response.headerlist, "Content-Length", str(len(page)))
            bodies.replace(response, [page])
        frames = self._debugged.frames
        for old in list(frames)[:-MOST_FRAMES]:
            frames.pop(old, None)
            self._debugged.frame_contexts.pop(old, None)
        return response


def _response(kind: str, body: bytes) -> Response:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    return Response(status=500, headerlist=headers, app_iter=[body])


def _raise(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Raise the exception that is being looked at; 404 if there is none."""
    __traceback_hide__ = True  # for werkzeug: this is no frame of the application's
    if ERROR in environ:
        raise environ[ERROR]
    return HTTPNotFound()(environ, start_response)
