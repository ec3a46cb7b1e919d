"""Show werkzeug's debugger for an exception, to clients on this machine only."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import TYPE_CHECKING

from webob import Request, Response
from webob.exc import HTTPNotFound
from werkzeug.debug import DebuggedApplication

from cptoolkit.middleware.forwarding.local import is_local
from cptoolkit.middleware.layer import call

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ERROR = "cptoolkit.debugger.error"


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
        """The page for an exception."""
        # It would write the traceback to wsgi.errors, where it is already.
        environ = {**request.environ, ERROR: error, "wsgi.errors": StringIO()}
        return call(self._debugged, environ)


def _raise(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Raise the exception that is being looked at; 404 if there is none."""
    __traceback_hide__ = True  # for werkzeug: this is no frame of the application's
    if ERROR in environ:
        raise environ[ERROR]
    return HTTPNotFound()(environ, start_response)
