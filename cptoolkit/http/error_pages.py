"""The pages that tell of an error or a redirect (reference, 5.3)."""

from __future__ import annotations

import os
import re
import sys
import traceback as traceback_module
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptoolkit.context import serving
from cptoolkit.http.headers import valid_status
from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.version import __version__

if TYPE_CHECKING:
    from cptoolkit.http.errors import HTTPError
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%(status)s</title>
<style>
body {font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 10vh auto; padding: 0 1rem}
h2 {border-bottom: 1px solid; font-weight: 600}
#traceback {overflow: auto; padding: 1rem; background: #f6f1f1; color: #7c1d1d}
</style>
</head>
<body>
<h2>%(status)s</h2>
<p>%(message)s</p>
<pre id="traceback">%(traceback)s</pre>
</body>
</html>
"""
"""The page where no ``error_page`` setting says another; :mod:`string` % formatting."""

CONTENT_FIELDS = frozenset(
    {
        "accept-ranges",
        "age",
        "content-encoding",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "etag",
        "expires",
        "last-modified",
        "location",
        "retry-after",
        "vary",
    }
)
"""Fields that described the page that was to be, and not the one that takes its place."""

ErrorPage = str | os.PathLike[str] | Callable[..., Any]
"""An ``error_page.*`` setting: the path of a template, or a function that gives the page."""


def remove_content_headers(response: Response, *, keep: Iterable[str] = ()) -> None:
    """Take the fields off a response that described the content it was to have."""
    gone = CONTENT_FIELDS.difference(keep)
    response.headerlist = [item for item in response.headerlist if item[0].lower() not in gone]


def replace_fields(response: Response, fields: Iterable[tuple[str, str]]) -> None:
    """Put fields into a response in place of those of the same name; cookies add up."""
    fields = list(fields)
    names = {name.lower() for name, _ in fields} - {"set-cookie"}
    response.headerlist = [item for item in response.headerlist if item[0].lower() not in names]
    for name, value in fields:
        response.headers.add(name, value)


def format_exc(exc_info: Any = None) -> str:
    """The traceback of an exception, by default of the one in hand, as text; "" without any."""
    kind, error, trace = exc_info or sys.exc_info()
    if error is None:
        return ""
    return "".join(traceback_module.format_exception(kind, error, trace))


def show_error(error: HTTPError, request: Request, response: Response) -> None:
    """Turn a response into the page for an error."""
    remove_content_headers(response, keep=["content-range"] if error.code == 416 else ())
    status = f"{error.code} {error.reason}"
    response.status = status
    response.stream = False
    traceback = format_exc() if tracebacks_shown(request) else None
    headers: Mapping[str, str]
    if _json_wanted(error.code, request):
        page, headers = _problem(error, traceback), {"Content-Type": "application/problem+json"}
    else:
        page, headers = _page(status, message=error.message, traceback=traceback)
    response.headers["Content-Type"] = "text/html;charset=utf-8"
    if not callable(_setting(error.code, request)):
        response.headers["Vary"] = "Accept"
    for name, value in headers.items():
        response.headers[name] = value
    replace_fields(response, error.headers)
    response.body = page


def tracebacks_shown(request: Request) -> bool:
    """Whether the client may see tracebacks.

    By default (``request.show_tracebacks`` is ``"local"``) only on the machine itself, under one
    of its own names, and not through a proxy: a traceback tells an attacker more than a user. The
    name keeps it from pages of other sites that have their name point here (DNS rebinding).
    """
    shown = request.show_tracebacks
    if shown != "local":
        return shown in (True,)  # a value that means nothing must not tell more than "local"
    from cptoolkit.middleware.forwarding.local import is_local  # not above: few pages need it

    # Servers always tell an address (RFC 3875, section 4.1.8). Without any this is a call within
    # the process, as in tests.
    return is_local({"HTTP_HOST": request.host, "REMOTE_ADDR": "127.0.0.1", **request.environ})


def get_error_page(status: int | str, **details: str | None) -> Any:
    """The page for a status, after the ``error_page.<code>`` and ``error_page.default`` settings.

    :param status: a code, or a code and its reason.
    :param details: ``message``, ``traceback`` and ``version``; escaped before use.
    :returns: bytes, or what a setting's function gave.
    """
    return _page(status, **details)[0]


def _page(status: int | str, **details: str | None) -> tuple[Any, Mapping[str, str]]:
    """The page, and the header fields that a setting's function set for it."""
    code, reason, default_message = valid_status(status)
    details.setdefault("status", f"{code} {reason}")
    if details.get("message") is None:
        details["message"] = default_message
    details.setdefault("traceback", None)
    details.setdefault("version", __version__)
    texts = {name: escape(value or "", quote=False) for name, value in details.items()}

    setting = _setting(code, serving.request)
    if setting is not None:
        try:
            return _custom_page(setting, texts)
        except Exception as error:
            request = serving.request
            if request.app is not None:
                request.app.log(f"the page for {code} has failed", "HTTP", traceback=True)
            texts["message"] += "<br>In addition, the custom error page failed."
            if tracebacks_shown(request):
                texts["message"] += f"<br>{escape(f'{type(error).__name__}: {error}')}"
    page = PAGE % texts
    if not texts["traceback"]:
        page = page.replace('<pre id="traceback"></pre>\n', "")
    return page.encode(), {}


def _setting(code: int, request: Request) -> ErrorPage | None:
    """What config says of the page for a status."""
    settings = request.error_page
    setting: ErrorPage | None = settings.get(code) or settings.get("default")
    return setting


def _json_wanted(code: int, request: Request) -> bool:
    """Whether a client likes JSON better than a page. Functions decide that by themselves."""
    accept = request.environ.get("HTTP_ACCEPT", "")
    if "json" not in accept.lower() or callable(_setting(code, request)):
        return False
    from cptoolkit.middleware.errors.wishes import likes_json  # not above: few ask for it

    return likes_json(accept)


def _problem(error: HTTPError, traceback: str | None) -> bytes:
    """A problem document (RFC 9457) with what the page would have said."""
    from cptoolkit.middleware.errors.problem import Problem

    problem = Problem(
        status=error.code,
        title=error.reason,
        detail=error.message,
        request_id=str(serving.request.environ.get("cptoolkit.request_id", "")),
        traceback=traceback or "",
    )
    return problem.to_json()


def check_error_page(name: str, setting: object, where: str) -> None:
    """See that an ``error_page.<name>`` setting can be used.

    :param where: names the config that it stands in, for the message.
    :raises TypeError: if it is neither a path nor a function.
    :raises ValueError: if ``name`` is no status of an error, or the file is not there.
    """
    entry = f"{where}, error_page.{name}"
    if name != "default" and not re.fullmatch("[45][0-9][0-9]", name):
        raise ValueError(f"{entry}: must name a status from 400 to 599, or be error_page.default")
    if callable(setting):
        return
    if not isinstance(setting, str | os.PathLike):
        raise TypeError(f"{entry}: must be the path of a file or a function, got {setting!r}")
    if not os.path.isfile(setting):
        raise ValueError(f"{entry}: there is no file {os.fspath(setting)!r}{_near(setting)}")


def _near(path: str | os.PathLike[str]) -> str:
    folder, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(folder):
        return f", nor a folder {folder!r}"
    return did_you_mean(name, os.listdir(folder)) or f" in {folder!r}"


def _custom_page(setting: ErrorPage, texts: dict[str, str]) -> tuple[Any, Mapping[str, str]]:
    if not callable(setting):
        return (Path(setting).read_text(encoding="utf-8") % texts).encode(), {}
    response = serving.response
    before = response.headers.get("Content-Type")
    page = setting(**texts)
    after = response.headers.get("Content-Type")
    if isinstance(page, str):
        page = page.encode()
    elif not hasattr(page, "__iter__"):  # better found out now than when the body is set
        raise TypeError(f"the error page's function must return the page, got {page!r}")
    return page, {} if after in (None, before) else {"Content-Type": after}


def redirect_page(sentence: str, urls: Iterable[str]) -> bytes:
    """The page that names where a redirect leads, for clients that do not follow it."""
    links = (f'{sentence} <a href="{escape(u)}">{escape(u)}</a>.' for u in urls)
    return "<br>\n".join(links).encode()


def bare_error() -> tuple[bytes, list[tuple[str, str]]]:
    """Body and header list of the answer when not even an error page could be made."""
    body = b"Unrecoverable error in the server.\n"
    return body, [("Content-Type", "text/plain;charset=utf-8"), ("Content-Length", str(len(body)))]
