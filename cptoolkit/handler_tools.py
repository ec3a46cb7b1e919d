"""The functions of the tools for redirects, methods, caches and the log (reference, 7.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from cptoolkit.context import current
from cptoolkit.hooks import HOOKPOINTS
from cptoolkit.http.errors import HTTPError, HTTPRedirect, InternalRedirect
from cptoolkit.http.headers import RequestHeaders
from cptoolkit.middleware.accept import choose
from cptoolkit.urls import url as absolute_url

# -- where to ------------------------------------------------------------------------------


def trailing_slash(missing: bool = True, extra: bool = False, status: int | None = None) -> None:
    """Redirect to the URL with or without a slash at its end, whichever is right.

    :param missing: whether an index page is redirected to where its relative links work.
    :param extra: whether other pages are redirected away from a slash.
    :param status: of the redirect; None for 301.
    """
    request = current.get()[0]
    path = request.environ.get("PATH_INFO", "")
    if request.is_index is True:
        if missing and not path.endswith("/"):
            raise HTTPRedirect(_same(request.path_info + "/"), status or 301)
    elif request.is_index is False and extra and path.endswith("/") and path != "/":
        raise HTTPRedirect(_same(request.path_info[:-1]), status or 301)


def _same(path: str) -> str:
    return absolute_url(path, current.get()[0].query_string)


def redirect(url: str = "", internal: bool = True) -> None:
    """Serve another URL instead.

    :param internal: whether the client is not to notice.
    """
    if internal:
        raise InternalRedirect(url)
    raise HTTPRedirect(url)


def allow(methods: str | Sequence[str] | None = None) -> None:
    """Refuse other methods with 405 (RFC 9110, section 15.5.6).

    :param methods: the ones that are allowed, by default GET and HEAD; HEAD comes with GET.
    """
    request, response = current.get()
    allowed = [methods] if isinstance(methods, str) else list(methods or ["GET"])
    allowed = [method.upper() for method in allowed]
    if "GET" in allowed and "HEAD" not in allowed:
        allowed.append("HEAD")
    field = ", ".join(allowed)
    response.headers["Allow"] = field
    if request.method.upper() not in allowed:
        raise HTTPError(405, headers=[("Allow", field)])


def accept(media: str | Sequence[str] | None = None) -> str | None:
    """The media type on offer that the client likes best: for page handlers to call.

    :param media: the media types on offer, the server's favourite first; without any the answer
        is None.
    :raises webob.exc.HTTPNotAcceptable: if the client takes none of them.
    """
    if not media:
        return None
    offers = [media] if isinstance(media, str) else media
    return choose(current.get()[0].headers.get("Accept"), offers)


# -- caches --------------------------------------------------------------------------------

NEVER_VARIES = frozenset(
    {"Content-Disposition", "Content-Length", "Content-Type", "Transfer-Encoding"}
)


class RecordingHeaders(RequestHeaders):
    """Request headers that remember which of them were asked for."""

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__(environ)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.asked.add(key.title())
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key.title())
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key).title())
        return super().__contains__(key)


def autovary(ignore: Iterable[str] | None = None) -> None:
    """Name the request's header fields that were asked for in Vary (RFC 9110, section 12.5.5).

    :param ignore: fields that do not count; None for those that describe a body.
    """
    request = current.get()[0]
    ignored = NEVER_VARIES if ignore is None else {name.title() for name in ignore}
    headers = RecordingHeaders(request.environ)
    request.__dict__["_request_headers"] = headers

    def name_them() -> None:
        response = current.get()[1]
        known = {element.value for element in response.headers.elements("Vary")}
        names = known | (headers.asked - ignored)
        if names and "*" not in known:
            response.headers["Vary"] = ", ".join(sorted(names))

    request.hooks.attach("before_finalize", name_them, priority=95)


# -- the log -------------------------------------------------------------------------------

SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Fields whose values would let a reader of the log pose as the user."""


def log_traceback(severity: int = logging.ERROR) -> None:
    """Log the traceback of the exception in hand.

    :param severity: a level of :mod:`logging`.
    """
    app = current.get()[0].app
    assert app is not None
    app.log("", "HTTP", severity=severity, traceback=True)


def log_request_headers() -> None:
    """Log the header fields of the request; not the values of :data:`SECRETS`."""
    request = current.get()[0]
    assert request.app is not None
    lines = [
        f"  {name}: {'(not logged)' if name.lower() in SECRETS else value}"
        for name, value in request.header_list
    ]
    request.app.log("\nRequest Headers:\n" + "\n".join(lines), "HTTP")


def log_hooks() -> None:
    """Log the hooks of the request, in the order in which they run."""
    request = current.get()[0]
    assert request.app is not None
    lines = []
    for point in HOOKPOINTS:
        lines.append(f"  {point}:")
        lines.extend(f"    {hook!r}" for hook in request.hooks.ordered(point))
    request.app.log("\nRequest Hooks:\n" + "\n".join(lines), "HTTP")
