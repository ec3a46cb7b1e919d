"""The session of a client, for a test that has the application at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, cast

import webob
import webtest

from cptoolkit.application import Application
from cptoolkit.context import current
from cptoolkit.default_tools import tools
from cptoolkit.middleware import Sessions
from cptoolkit.middleware.at import At, check_prefix
from cptoolkit.middleware.sessions.layer import SESSION
from cptoolkit.mounts import Tree

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from cptoolkit.middleware.sessions import Session


class ClientSession(Mapping[Any, Any]):
    """The session that the next request of a client will find.

    Reading, ``app.session["user"]``, leaves it alone. It is changed in a ``with`` block::

        with app.session() as session:
            session["user"] = "ann"

    :param app: what the client calls.
    :param cookies: those of the client.
    :param extra_environ: what the client adds to each environ.
    """

    def __init__(
        self, app: WSGIApplication, cookies: CookieJar, extra_environ: WSGIEnvironment | None
    ) -> None:
        self._app = app
        self._options = {"cookiejar": cookies, "extra_environ": extra_environ}

    def __call__(self, path: str = "/") -> AbstractContextManager[Session]:
        """The session for a block of code; what that changes is saved, and the client told.

        :param path: of a page whose session is meant, where not all pages have the same one.
        :raises ValueError: if there are no sessions at that path.
        """
        return self._opened(path, save=True)

    def __getitem__(self, key: Any) -> Any:
        with self._opened("/", save=False) as session:
            return session[key]

    def __iter__(self) -> Iterator[Any]:
        with self._opened("/", save=False) as session:
            return iter(list(session))

    def __len__(self) -> int:
        with self._opened("/", save=False) as session:
            return len(session)

    def __repr__(self) -> str:
        return f"<ClientSession {dict(self)!r}>"

    @contextmanager
    def _opened(self, path: str, save: bool) -> Iterator[Session]:
        """Do what the layer does for a request, with the body of a ``with`` as the page."""
        request = webob.Request(self._environ_of(path))
        layer = sessions_of(self._app, request.environ)
        if layer is None:
            raise ValueError(
                f"there are no sessions at {path!r}: turn on tools.sessions there, or put Sessions"
                " around the application"
            )
        response = webob.Response()
        layer.before(request)
        try:
            yield request.environ[SESSION]
            if save:
                layer.after(request, response)
                webtest.TestApp(response, **self._options).get(path)  # which keeps its cookies
        finally:
            layer.finish(request, response)

    def _environ_of(self, path: str) -> WSGIEnvironment:
        """What the application would get of the client for a page."""
        seen: WSGIEnvironment = {}

        def see(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
            seen.update(environ)
            return webob.Response()(environ, start_response)  # type: ignore[return-value]

        webtest.TestApp(see, **self._options).get(path)
        return seen


def sessions_of(app: Any, environ: WSGIEnvironment) -> Sessions | None:
    """The layer that gives a request its session: of several the innermost.

    Looks through the applications and middleware of this package, and other middleware that calls
    what it wraps ``app``.
    """
    found = None
    while app is not None:
        if isinstance(app, Sessions):
            found = app
        if isinstance(app, Tree):
            app, environ = _mounted(app, environ)
        elif isinstance(app, At):
            prefix = check_prefix(app.prefix)
            is_below = f"{environ.get('PATH_INFO', '')}/".startswith(f"{prefix}/")
            app = app.below if is_below else app.app
        elif isinstance(app, Application):
            if app.wsgiapp.pipeline:
                found = sessions_of(app.wsgiapp.compose(), environ) or found
            return _of_tool(app, environ) or found
        else:
            app = getattr(app, "app", None)
    return found


def _mounted(tree: Tree, environ: WSGIEnvironment) -> tuple[Any, WSGIEnvironment]:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    script_name = tree.script_name(path.rstrip("/"))
    if script_name is None:
        return None, environ
    inner = {**environ, "SCRIPT_NAME": script_name, "PATH_INFO": path[len(script_name) :]}
    return tree.apps[script_name], inner


def _of_tool(app: Application, environ: WSGIEnvironment) -> Sessions | None:
    """The layer of the sessions tool, if that is on where the request leads."""
    request = app.request_class(dict(environ))
    request.app = app
    token = current.set((request, app.response_class()))
    try:
        app.dispatcher(request.path_info)(request.path_info)
        plan = request.plan or app.plans.of_config(request.config)
    finally:
        current.reset(token)
    options = dict(plan.toolmaps.get("tools", {}).get("sessions", {}))
    if not options.pop("on", False):
        return None
    options.pop("priority", None)
    return cast("Sessions", tools.sessions.made(app, options))
