"""Applications at their mount points: the tree of them all, which is the site."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cptoolkit.application import Application, mount_point
from cptoolkit.configuration import Source
from cptoolkit.context import serving
from cptoolkit.http.errors import NotFound
from cptoolkit.http.values import urljoin

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NO_APPLICATION = b"There is no application here."
"""What a tree answers with status 404."""


def favicon() -> Iterable[bytes]:
    """The icon that is served at ``/favicon.ico`` where the application has none of its own.

    :raises NotFound: where the package has come without its data, as in some frozen programs.
    """
    from io import BytesIO
    from pkgutil import get_data  # reads from a zip file, too

    from cptoolkit.middleware.etags import tag_of
    from cptoolkit.static_functions import serve_fileobj

    try:
        icon = get_data("cptoolkit", "favicon.ico")
    except OSError:
        icon = None
    if icon is None:
        raise NotFound
    headers = serving.response.headers
    headers["Cache-Control"] = "max-age=86400"
    headers["ETag"] = tag_of(icon)
    return serve_fileobj(BytesIO(icon), "image/x-icon")


favicon.exposed = True  # type: ignore[attr-defined]


class Tree:
    """Applications by mount point: the WSGI application of the whole site (reference, 4.2.2)."""

    apps: dict[str, Any]
    """Applications, and other WSGI applications grafted on, by mount point."""

    def __init__(self) -> None:
        self.apps = {}

    def mount(self, root: Any, script_name: str = "", config: Source | None = None) -> Application:
        """Serve an object tree at a mount point.

        :param root: the object at the root of the tree, or an Application.
        :param script_name: the mount point, "" for the root of the site.
        :param config: for the application: a dict of sections, a path, or an open file.
        :raises TypeError: if the mount point is None; that is for applications outside a tree.
        :raises ValueError: if an Application comes with another mount point than its own.
        """
        if script_name is None:
            raise TypeError(
                "script_name must be a str, the mount point. To take it from the request, make "
                "an Application with script_name=None and tree.graft() it"
            )
        script_name = mount_point(script_name)
        if isinstance(root, Application):
            app = root
            if script_name and app.script_name != script_name:
                raise ValueError(
                    f"the Application is made for {app.script_name!r}, and cannot be mounted at "
                    f"{script_name!r}"
                )
            script_name = app.script_name
            if config:
                app.merge(config)
        else:
            app = Application(root, script_name, config)
        if script_name == "" and app.root is not None and not hasattr(app.root, "favicon_ico"):
            with suppress(AttributeError, TypeError):  # an object without attributes goes without
                app.root.favicon_ico = favicon
        self.apps[script_name] = app
        return app

    def graft(self, wsgi_callable: WSGIApplication, script_name: str = "") -> None:
        """Serve any WSGI application at a mount point (reference, 5.9.2)."""
        if not callable(wsgi_callable):
            raise TypeError(f"a WSGI application must be callable, got {wsgi_callable!r}")
        self.apps[mount_point(script_name)] = wsgi_callable

    def script_name(self, path: str | None = None) -> str | None:
        """The mount point of the application that serves a path; None without one.

        :param path: a path from the root of the site; without one that of the current request.
        """
        if path is None:
            request = serving.request
            path = request.script_name + request.path_info
        while True:
            if path in self.apps:
                return path
            if not path:
                return None
            path = path[: path.rfind("/")] if "/" in path else ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand a request to the application with the longest mount point on its path."""
        apps = self.apps
        above = environ.get("SCRIPT_NAME", "")
        if len(apps) == 1 and "" in apps and not above:
            served: Iterable[bytes] = apps[""](environ, start_response)
            return served
        app, environ = self.resolve(environ)
        if app is None:
            length = str(len(NO_APPLICATION))
            fields = [("Content-Type", "text/plain;charset=utf-8"), ("Content-Length", length)]
            start_response("404 Not Found", fields)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [NO_APPLICATION]
        served = app(environ, start_response)
        return served

    def resolve(self, environ: WSGIEnvironment) -> tuple[Any, WSGIEnvironment]:
        """The application with the longest mount point on a request's path, and its environ.

        :returns: None and the environ unchanged if there is no such application.
        """
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if "//" in path:
            path = urljoin(path)
        decoded = path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")
        script_name = self.script_name(decoded.rstrip("/"))
        if script_name is None:
            return None, environ
        environ = environ.copy()
        mounted = script_name.encode().decode("latin-1")
        environ["SCRIPT_NAME"] = mounted
        environ["PATH_INFO"] = path[len(mounted) :]
        return self.apps[script_name], environ


tree = Tree()
