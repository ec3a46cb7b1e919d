"""Log in with a form, stay logged in by the session."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from webob import Request, Response
from webob.exc import (
    HTTPBadRequest,
    HTTPForbidden,
    HTTPMethodNotAllowed,
    HTTPRequestEntityTooLarge,
)

from cptoolkit.middleware.auth.credentials import has_control_characters
from cptoolkit.middleware.auth.local_paths import local_path, path_of
from cptoolkit.middleware.auth.login_page import POLICY, login_page
from cptoolkit.middleware.auth.same_origin import is_same_origin
from cptoolkit.middleware.layer import Layer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("cptoolkit.auth")

SESSION = "cptoolkit.session"
"""Where in the environ the session is."""

LARGEST_FORM = 16_384
"""Bytes that a login form may have."""

HOOKS = (
    "check_username_and_password", "anonymous", "on_login", "on_logout", "on_check", "login_screen"
)  # fmt: skip
"""Options that a subclass may have as methods instead."""


@dataclass(kw_only=True, eq=False)
class SessionAuth(Layer):
    """Let only those through who have logged in; show all others a form to do so.

    The form is sent to ``do_login`` below any path, and the user logs out by a POST to
    ``do_logout`` below any path. Both take a field ``from_page``, the path or URL to go on to,
    which must be one of this host. The name of the user is kept in the session, and is in
    ``environ["REMOTE_USER"]``, in an Application also in ``request.login``.

    There has to be a session in ``environ["cptoolkit.session"]``, so this goes inside
    :class:`~cptoolkit.middleware.sessions.Sessions`. Its id changes at login and logout. What is
    in it is kept at login, but for what another user has left, and goes at logout: on one
    browser, nobody is to find what belongs to somebody else. Who never logs in gets no session.

    Forms that pages of other sites send get a 403 (see
    :mod:`~cptoolkit.middleware.auth.same_origin`): no token is needed in the form.

    The functions among the options may also be methods of a subclass.

    :raises TypeError: if ``check_username_and_password`` is missing.
    """

    check_username_and_password: Callable[[str, str], str | None] | None = None
    """Called with the two; gives an error message for the user, or None if they are right."""
    anonymous: Callable[[], str | None] | None = None
    """Gives a name for somebody who has not logged in, and is let through with it."""
    on_login: Callable[[str], object] | None = None
    """Called with the name of a user who has just logged in."""
    on_logout: Callable[[str], object] | None = None
    """Called with the name of a user who logs out, before the session is emptied."""
    on_check: Callable[[str], object] | None = None
    """Called with the name of the user, for each request that is let through."""
    login_screen: Callable[..., str | bytes] | None = None
    """Makes the HTML of the form in place of ours. Called with the path to go on to, the name
    that has been tried and the error message, all three as text still to be escaped. The form has
    to send ``username``, ``password`` and, as ``from_page``, that path."""
    session_key: str = "username"
    """Under which key the session has the name."""
    debug: bool = False
    """Whether to log logins and refusals, to the logger ``cptoolkit.auth`` at level INFO."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in HOOKS:
            value = getattr(self, name)
            if value is None:
                delattr(self, name)  # a method of that name shows again
            elif not callable(value):
                raise TypeError(f"{name} must be a function, got {value!r}")
        if self.check_username_and_password is None:
            raise TypeError("check_username_and_password must be a function, got None")
        self._check = self.check_username_and_password
        self._pages: dict[str, Callable[[Request], Response]] = {
            "do_login": self._log_in,
            "do_logout": self._log_out,
            "login_screen": self._ask,
        }

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        page = self._pages.get(environ.get("PATH_INFO", "").rpartition("/")[2])
        if page is not None:
            return page(request)
        username = _session(environ).get(self.session_key)
        if not username and self.anonymous is not None:
            username = self.anonymous()
        if not username:
            return self._screen(environ, _url_of(environ))
        environ["REMOTE_USER"] = username
        environ.pop("AUTH_TYPE", None)
        if self.on_check is not None:
            self.on_check(username)
        return None

    def _log_in(self, request: Request) -> Response:
        environ = request.environ
        self._see_that_it_was_meant(request)
        form = read_form(environ)
        username, password = form.get("username"), form.get("password")
        if username is None or password is None:
            raise HTTPBadRequest("The form lacks the field username or password.")
        if has_control_characters(username):
            raise HTTPBadRequest("The name has control characters.")
        next_page = _next_page(request, form.get("from_page"))
        error = self._check(username, password)
        self._tell("login of %r: %s", username, error or "right")
        if error:
            return self._screen(environ, next_page, username, str(error))
        session = _session(environ)
        if session.get(self.session_key) not in (None, username):
            session.clear()
        session.regenerate()
        session[self.session_key] = environ["REMOTE_USER"] = username
        if self.on_login is not None:
            self.on_login(username)
        return _redirect(next_page)

    def _log_out(self, request: Request) -> Response:
        environ = request.environ
        self._see_that_it_was_meant(request)
        next_page = _next_page(request, read_form(environ).get("from_page"))
        session = _session(environ)
        username = session.get(self.session_key)
        environ.pop("REMOTE_USER", None)
        if username:
            self._tell("logout of %r", username)
            if self.on_logout is not None:
                self.on_logout(username)
            session.clear()
            session.regenerate()
        return _redirect(next_page)

    def _ask(self, request: Request) -> Response:
        query = parse_qs(request.environ.get("QUERY_STRING", ""))
        wanted = query.get("from_page", [None])[0]
        return self._screen(request.environ, _next_page(request, wanted))

    def _screen(
        self, environ: WSGIEnvironment, next_page: str, username: str = "", error: str = ""
    ) -> Response:
        environ.pop("REMOTE_USER", None)
        environ.pop("AUTH_TYPE", None)
        own = self.login_screen
        if own is not None:
            page = own(next_page, username, error)
        else:
            page = login_page(_action(environ), next_page, username, error)
        response = Response(
            page.encode() if isinstance(page, str) else page,
            content_type="text/html",
            charset="utf-8",
            cache_control="no-store",
        )
        if own is None:
            response.headerlist.append(("Content-Security-Policy", POLICY))
        return response

    def _see_that_it_was_meant(self, request: Request) -> None:
        if request.method != "POST":
            raise HTTPMethodNotAllowed(headers=[("Allow", "POST")])
        if not is_same_origin(request):
            self._tell("a form of another site was refused")
            raise HTTPForbidden("The form was not sent by a page of this site.")

    def _tell(self, text: str, *details: Any) -> None:
        if self.debug:
            logger.info(text, *details)


def read_form(environ: WSGIEnvironment) -> dict[str, str]:
    """The fields of a small form; of several with one name the first.

    :raises webob.exc.HTTPRequestEntityTooLarge: if it has more than 16 kB.
    :raises webob.exc.HTTPBadRequest: if it cannot be parsed.
    """
    # Not above: only forms need them, and their import takes time.
    from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
    from werkzeug.formparser import FormDataParser
    from werkzeug.http import parse_options_header
    from werkzeug.wsgi import get_input_stream

    try:
        # One byte more, for of a body without a length the stream ends at the limit unsaid.
        raw = get_input_stream(environ, max_content_length=LARGEST_FORM + 1).read()
        if len(raw) > LARGEST_FORM:
            raise RequestEntityTooLarge
        kind, options = parse_options_header(environ.get("CONTENT_TYPE"))
        _, form, _ = FormDataParser(silent=False).parse(BytesIO(raw), kind, len(raw), options)
    except RequestEntityTooLarge:
        raise HTTPRequestEntityTooLarge(
            f"A login form may have {LARGEST_FORM} bytes at most."
        ) from None
    except (ValueError, HTTPException):
        raise HTTPBadRequest("The form could not be parsed.") from None
    return form.to_dict()


def _session(environ: WSGIEnvironment) -> Any:
    session: MutableMapping[str, Any] | None = environ.get(SESSION)
    if session is None:
        raise RuntimeError(
            "SessionAuth needs a session: put Sessions around it, or turn tools.sessions on"
        )
    return session


def _next_page(request: Request, wanted: str | None) -> str:
    """Where the browser goes on to; without a wish the folder of ``do_login``."""
    here = path_of(request.environ)
    site = f"{request.scheme}://{request.host}"
    if wanted and wanted.startswith(site + "/"):
        wanted = wanted.removeprefix(site)
    return local_path(wanted, here, here.rpartition("/")[0] + "/")


def _url_of(environ: WSGIEnvironment) -> str:
    query = environ.get("QUERY_STRING")
    here = path_of(environ)
    return local_path(f"{here}?{query}" if query else here, here, "/")


def _action(environ: WSGIEnvironment) -> str:
    """Where the form goes: below the page that was asked for, since the layer covers that."""
    here = path_of(environ)
    if here.rpartition("/")[2] in ("do_login", "login_screen"):
        here = here.rpartition("/")[0]
    return here.rstrip("/") + "/do_login"


def _redirect(path: str) -> Response:
    return Response(status=303, location=path, cache_control="no-store")
