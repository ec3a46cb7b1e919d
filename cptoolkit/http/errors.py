"""The exceptions by which a handler or a hook answers with another status.

::

    CherryPyException
    ├── HTTPError             an answer with a 4xx or 5xx status
    │   └── NotFound          404 for the current path
    ├── HTTPRedirect          an answer with a 3xx status
    ├── InternalRedirect      go on with another path, unseen by the client
    └── TimeoutError          the response has taken longer than ``response.timeout``
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

if TYPE_CHECKING:
    from cptoolkit.http.request import Request


class CherryPyException(Exception):
    """What all exceptions of the object tree's own have in common."""


class TimeoutError(CherryPyException):
    """A response has taken longer than ``response.timeout`` seconds (reference, 5.5)."""


class InternalRedirect(CherryPyException):
    """Serve another path of the same application instead, unseen by the client.

    :param path: where to go on: absolute within the application, or relative to the current
        path; a query string may follow. The new request is a GET without a body.
    :param query_string: the new query string, if ``path`` has none.
    """

    def __init__(self, path: str, query_string: str = "") -> None:
        from cptoolkit.context import serving

        self.request = serving.request
        if "?" in path:
            path, query_string = path.split("?", 1)
        self.query_string = query_string
        self.path = urljoin(self.request.path_info, path)
        super().__init__(self.path, self.query_string)


REDIRECTS: dict[int, str | None] = {
    300: "This resource can be found at",
    301: "This resource has permanently moved to",
    302: "This resource resides temporarily at",
    303: "This resource can be found at",
    307: "This resource has moved temporarily to",
    308: "This resource has permanently moved to",
    304: None,
    305: None,
}
"""The statuses of redirects, and what the body says, if the answer has one."""


URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
"""What a URL may have beside letters and digits (RFC 3986, section 2); all else is quoted."""


class HTTPRedirect(CherryPyException):
    """Answer with a redirect (RFC 9110, section 15.4).

    :param urls: where to go, one or several: whole URLs, paths from the root of the site, or
        paths relative to the current one. Use :func:`cptoolkit.url` for one below the mount point.
        304 Not Modified needs none.
    :param status: one of :data:`REDIRECTS`; without one 303 See Other, which every HTTP/1.1
        client knows, or 302 Found for HTTP/1.0.
    :param encoding: the encoding of urls given as bytes.
    :raises ValueError: if the status is no redirect, or there is no url.
    """

    def __init__(
        self,
        urls: str | bytes | Iterable[str | bytes],
        status: int | str | None = None,
        encoding: str | None = None,
    ) -> None:
        from cptoolkit.context import serving
        from cptoolkit.urls import url

        self.request = request = serving.request
        if isinstance(urls, (str, bytes)):
            urls = [urls]
        texts = [u.decode(encoding or "utf-8") if isinstance(u, bytes) else u for u in urls]
        self.status: int = _redirect_status(status, request)
        if not texts and self.status != 304:
            raise ValueError("a redirect needs a url to lead to")
        here = url(relative=False)
        self.urls = [quote(urljoin(here, text), safe=URL_CHARACTERS) for text in texts]
        self.encoding = encoding
        super().__init__(self.urls, self.status)

    @property
    def code(self) -> int:
        """The status code."""
        return self.status

    def __call__(self) -> Any:
        """Raise itself, so that a redirect can serve as ``request.handler``."""
        raise self

    def set_response(self) -> None:
        """Turn the current response into this redirect."""
        from cptoolkit.context import serving
        from cptoolkit.http.error_pages import redirect_page, remove_content_headers

        response = serving.response
        response.status = self.status
        if self.status == 304:
            # RFC 9110, section 15.4.5: only what a cache needs to update its copy.
            for name in ("Allow", "Content-Encoding", "Content-Language", "Content-Length",
                         "Content-Location", "Content-MD5", "Content-Range", "Content-Type",
                         "Expires", "Location"):  # fmt: skip
                response.headers.pop(name, None)
            response.body = b""
            return
        remove_content_headers(response)
        response.stream = False
        response.headers["Location"] = self.urls[0]
        sentence = REDIRECTS[self.status]
        if sentence is None:
            response.body = b""
        else:
            response.headers["Content-Type"] = "text/html;charset=utf-8"
            response.body = redirect_page(sentence, self.urls)


def _redirect_status(status: int | str | None, request: Request) -> int:
    if status is None:
        return 303 if request.protocol >= (1, 1) else 302
    if str(status).isdecimal() and int(status) in REDIRECTS:
        return int(status)
    known = ", ".join(map(str, sorted(REDIRECTS)))
    raise ValueError(f"the status of a redirect must be one of {known}, got {status!r}")


class HTTPError(CherryPyException):
    """Answer with a 4xx or 5xx status and a page that tells why.

    :param status: a code, or a code with a reason (``"404 Not there"``).
    :param message: for the page; without one the usual text for the status.
    :param headers: fields to put into the answer, which survive the removal of those that
        described the page that was to be.
    :raises ValueError: if the status is no error.
    """

    headers: Iterable[tuple[str, str]] = ()

    def __init__(
        self,
        status: int | str | None = 500,
        message: str | None = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        from cptoolkit.http.headers import valid_status

        try:
            self.code, self.reason, default_message = valid_status(status or 500)
        except ValueError as error:
            raise ValueError(f"not a status for HTTPError: {error}") from None
        if not 400 <= self.code <= 599:
            raise ValueError(f"the status of an HTTPError must be from 400 to 599, got {status!r}")
        self.status: int | str = status if status is not None else 500
        self._message = default_message if message is None else str(message)
        if headers:
            self.headers = headers
        super().__init__(self.status, message)

    @property
    def message(self) -> str:
        """What the page will say."""
        return self._message

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self._message}"

    def __call__(self) -> Any:
        """Raise itself, so that an error can serve as ``request.handler``."""
        raise self

    def set_response(self) -> None:
        """Turn the current response into the page for this error."""
        from cptoolkit.context import serving
        from cptoolkit.http.error_pages import show_error

        show_error(self, serving.request, serving.response)

    def get_error_page(self, **kwargs: Any) -> Any:
        """The page alone, after the ``error_page`` settings of the current request.

        :param kwargs: ``traceback`` and ``version`` as text for the page.
        """
        from cptoolkit.http.error_pages import get_error_page

        return get_error_page(f"{self.code} {self.reason}", message=self._message, **kwargs)

    @classmethod
    @contextlib.contextmanager
    def handle(
        cls, exception: type[BaseException], status: int | str = 500, message: str = ""
    ) -> Iterator[None]:
        """Turn an exception of the body of the ``with`` into an answer (reference, 5.3).

        :param exception: what is turned; any other goes on.
        :param message: for the page; without one the text of the exception.
        """
        try:
            yield
        except exception as error:
            raise cls(status, message or str(error)) from error


class NotFound(HTTPError):
    """404 for the path of the current request, or for the one given.

    :param path: the path that the page names, with the mount point.
    """

    def __init__(self, path: str | None = None) -> None:
        if path is None:
            from cptoolkit.context import serving

            path = serving.request.script_name + serving.request.path_info
        super().__init__(404, f"The path '{path}' was not found.")
