"""Answer exceptions and bare error statuses of any application with pages."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webob import Request, Response
from webob.exc import HTTPException
from webob.util import status_generic_reasons, status_reasons

from cptoolkit.middleware import bodies, fields
from cptoolkit.middleware.errors.begun_body import BegunBody, begin
from cptoolkit.middleware.errors.failure_log import log_failure
from cptoolkit.middleware.errors.problem import Problem, fill
from cptoolkit.middleware.errors.wishes import JSON, likes_json
from cptoolkit.middleware.forwarding.local import is_local
from cptoolkit.middleware.layer import Layer, call, refused

if TYPE_CHECKING:
    from cptoolkit.middleware.errors.debugger import Debugger

MakePage = Callable[[Request, Problem], str | bytes]
Page = str | os.PathLike[str] | MakePage
"""The path of a template, or a function that makes the page."""

KINDS = ("exceptions", "statuses", "bodies")

GONE = frozenset(
    {
        "accept-ranges",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-type",
        "etag",
        "last-modified",
    }
)
"""Fields that describe the content that a page takes the place of. All others stay: Retry-After,
WWW-Authenticate, Allow and cookies too."""

STOCK_TYPES = frozenset({"text/html", "text/plain"})
"""Of the pages that frameworks make by themselves."""


_BREAKS = re.compile("[\r\n\0]")


@dataclass(kw_only=True, eq=False)
class ErrorPages(Layer):
    """Turn exceptions, and error statuses without a page, into pages.

    Browsers get HTML, clients whose ``Accept`` likes JSON better a problem document (RFC 9457).
    Only those exceptions are seen that the application lets out; frameworks tend to answer them
    themselves (Flask does not with ``PROPAGATE_EXCEPTIONS``, nor Django with
    ``DEBUG_PROPAGATE_EXCEPTIONS``; Falcon takes an error handler that raises them again).

    No page tells of code or traceback; the log does (``cptoolkit.errors``, or ``wsgi.errors`` if
    nothing listens there), once for each exception. An exception before the first byte of a body
    is a page still, for which a stream is drawn as far as that before the response begins. After
    it the exception goes on to the host, which has to cut the connection. A header field with a
    line end in it is an error, too: it could forge others.

    :raises ValueError: if ``handle`` names what there is not, ``pages`` has a key that is no
        error status, or a template cannot be filled in.
    :raises TypeError: if an option is of another kind than it takes.
    :raises OSError: if a template cannot be read.
    """

    debug: bool = False
    """Whether clients on this machine get werkzeug's debugger in place of the page for an
    exception: source, local variables and the request, as text or JSON for clients that ask for
    no HTML. It runs any code for whoever knows the PIN in the log: for development only.
    Only clients with a loopback address that ask for a name such as ``localhost``, and not
    through a proxy, get any of it. No environment turns it off: a layer knows of none. A proxy
    that hides itself makes all clients look local; there this has to stay False."""

    pages: Mapping[int | str, Page] = field(default_factory=dict)
    """Pages of one's own by status, or "default" for all others: a function of the request and
    the :class:`~cptoolkit.middleware.errors.problem.Problem` that returns HTML, or the path of a
    file in UTF-8, read once, with ``%(status)s``, ``%(message)s`` and ``%(request_id)s`` in it.
    Clients that want JSON get the problem document all the same."""

    handle: Collection[str] = ("exceptions", "statuses")
    """What gets a page: "exceptions"; "statuses" from 400 on that come without a body; and
    "bodies", which are those statuses that come with a body of HTML or plain text, such as the
    stock pages of frameworks. Statuses with other bodies, JSON say, are the application's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.handle, Collection):
            raise TypeError(f"handle must be a list of {', '.join(KINDS)}, got {self.handle!r}")
        if not isinstance(self.pages, Mapping):
            raise TypeError(f"pages must be a mapping from statuses to pages, got {self.pages!r}")
        kinds = [self.handle] if isinstance(self.handle, str) else list(self.handle)
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"handle takes {', '.join(KINDS)}, got {kind!r}")
        self._exceptions, self._statuses, self._bodies = (kind in kinds for kind in KINDS)
        self._pages = {_page_key(key): _page(key, page) for key, page in self.pages.items()}
        self._debugger: Debugger | None = None
        if self.debug:
            from cptoolkit.middleware.errors.debugger import Debugger  # not above: few need it

            self._debugger = Debugger()

    def respond(self, request: Request) -> Response:
        """Answer a request with what the application within answers, or with a page."""
        debugger = self._debugger
        if debugger is not None and debugger.is_asked(request):
            return debugger.answer(request)
        try:
            response = self.next(request)
            body = response.app_iter
            _check_fields(response)
            if type(body) is not list:
                body = self._begun(request, body)
                bodies.replace(response, body)
        except Exception as error:
            if not self._exceptions:
                raise
            return self._answer(request, error)
        if "4" <= response.status < "6" and self._wants_page(request, response, body):
            bodies.close(body)
            self._fill(request, response)
        return response

    def _begun(self, request: Request, body: Iterable[bytes]) -> Iterable[bytes]:
        """A body of which the first byte has been drawn, or the end been seen."""
        if type(body) is request.environ.get("wsgi.file_wrapper"):
            return body  # which the host would not know again

        def failed(error: Exception) -> None:
            if self._exceptions:
                log_failure(request.environ, error, "its body has failed, and is cut off")

        return begin(body, failed)

    def _wants_page(self, request: Request, response: Response, body: Iterable[bytes]) -> bool:
        empty = not any(body) if type(body) is list else type(body) is BegunBody and body.empty
        if empty and not (request.method == "HEAD" and response.content_length):
            return self._statuses
        return self._bodies and response.content_type in STOCK_TYPES

    def _answer(self, request: Request, error: Exception) -> Response:
        """What an exception is answered with."""
        response = _http_response(error, request)
        if response is None:
            log_failure(request.environ, error, "could not be answered")
            if self._debugger is not None and is_local(request.environ):
                return self._debugger.page(request, error)
            response, detail = Response(status=500, headerlist=[]), None
        elif response.status < "4" or getattr(error, "response", None) is not None:
            return response  # a redirect, or what werkzeug's abort(response) was given
        else:
            detail = getattr(error, "detail", None) or getattr(error, "description", None)
            bodies.close(response.app_iter)
        self._fill(request, response, error, detail)
        return response

    def _fill(
        self,
        request: Request,
        response: Response,
        error: Exception | None = None,
        detail: object = None,
    ) -> None:
        """Put a page into a response."""
        status, _, title = response.status.partition(" ")
        code = int(status)
        problem = Problem(
            status=code,
            title=title or status_reasons.get(code) or status_generic_reasons[code // 100],
            detail=str(detail) if detail else None,
            request_id=str(request.environ.get("cptoolkit.request_id", "")),
            error=error,
        )
        if likes_json(request.environ.get("HTTP_ACCEPT", "")):
            kind, body = JSON, problem.to_json()
        else:
            kind, body = "text/html; charset=utf-8", self._html(request, problem)
        kept = [item for item in response.headerlist if item[0].lower() not in GONE]
        response.headerlist = [*kept, ("Content-Type", kind), ("Content-Length", str(len(body)))]
        fields.add_vary(response.headerlist, "Accept")
        bodies.replace(response, [body])

    def _html(self, request: Request, problem: Problem) -> bytes:
        make = self._pages.get(problem.status) or self._pages.get("default")
        if make is None:
            return problem.to_html()
        try:
            page = make(request, problem)
            return page.encode() if isinstance(page, str) else bytes(page)
        except Exception as error:
            log_failure(request.environ, error, f"got no page for {problem.status}")
            return problem.to_html()


def _check_fields(response: Response) -> None:
    """See that no header field would become two, or be cut off (RFC 9110, section 5.5).

    :raises ValueError: if one has a line end or a NUL in it.
    """
    for name, value in response.headerlist:
        if not value.isprintable() and _BREAKS.search(value):
            bodies.close(response.app_iter)
            raise ValueError(f"the header field {name} has a line end in it: {value!r}")


def _http_response(error: Exception, request: Request) -> Response | None:
    """The response that an exception of webob's or werkzeug's stands for; None for all others."""
    if isinstance(error, HTTPException):
        return refused(error, request.environ)
    werkzeug = sys.modules.get("werkzeug.exceptions")  # whoever raises one has imported it
    if werkzeug is not None and isinstance(error, werkzeug.HTTPException):
        stray: Any = error
        return call(stray.get_response(request.environ), request.environ)
    return None


def _page_key(key: int | str) -> int | str:
    if key == "default":
        return key
    try:
        code = int(key)
    except (TypeError, ValueError):
        code = 0
    if not 400 <= code <= 599:
        raise ValueError(f'pages takes statuses from 400 to 599 and "default", got {key!r}')
    return code


def _page(key: int | str, page: Page) -> MakePage:
    """What makes the page that an option names.

    :raises TypeError: if it can be neither a template nor a function.
    :raises OSError: if it is a template that cannot be read.
    :raises ValueError: if it is one that cannot be filled in.
    """
    if callable(page):
        return page
    if not isinstance(page, (str, os.PathLike)):
        raise TypeError(
            f"pages[{key!r}] must be the path of a template or a function, got {page!r}"
        )
    path = os.fspath(page)
    try:
        template = Path(page).read_text(encoding="utf-8")
    except OSError as error:
        raise OSError(
            error.errno, f"pages[{key!r}] cannot be read: {error.strerror}", path
        ) from error
    try:
        fill(template, Problem(status=500, title=""))
    except LookupError as error:
        raise ValueError(
            f"pages[{key!r}] cannot be filled in: {path!r} has a place for {error}, and"
            " there are status, message, request_id, traceback and version"
        ) from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"pages[{key!r}] cannot be filled in: {error} in {path!r}") from error
    return lambda request, problem: fill(template, problem)
