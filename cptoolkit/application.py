"""Applications, each an object tree served as a WSGI application, and the tree of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cptoolkit.configuration import AppConfig, NamespaceSet, ObservedDict, Source, generation
from cptoolkit.context import current, serving
from cptoolkit.cycle import respond
from cptoolkit.default_tools import tools
from cptoolkit.dispatch import Dispatcher
from cptoolkit.global_config import config as global_config
from cptoolkit.hooks import run as run_hooks
from cptoolkit.http.error_pages import bare_error, check_error_page
from cptoolkit.http.errors import InternalRedirect, NotFound
from cptoolkit.http.request import Request
from cptoolkit.http.response import Response
from cptoolkit.http.values import urljoin
from cptoolkit.logs import LogManager
from cptoolkit.middleware.bodies import FILE, close
from cptoolkit.plan import Plans
from cptoolkit.process.wspbus import bus as engine
from cptoolkit.wsgi_pipeline import WSGIPipeline

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from cptoolkit.layer_tool import LayerTool
    from cptoolkit.middleware.layer import Layer

Dispatch = Callable[[str], Any]

NO_APPLICATION = b"There is no application here."
"""What a tree answers with status 404."""


class Application:
    """An object tree as a WSGI application (reference, 5.9.1).

    :param root: the object at the root of the tree; None where config alone answers.
    :param script_name: the mount point: "" or a path that begins with a slash; None to take it
        from each request.
    :param config: for the application: a dict of sections, a path, or an open file.
    :raises ValueError: if the config is wrong.
    """

    request_class: type[Request] = Request
    response_class: type[Response] = Response
    default_dispatcher: Dispatch = Dispatcher()

    root: Any
    config: AppConfig
    """Settings by path: ``{"/static": {"tools.staticdir.on": True}}``."""
    namespaces: NamespaceSet
    """Handlers of config namespaces, run when config is merged (reference, 6.3.2)."""
    toolboxes: ObservedDict = ObservedDict({"tools": tools})
    """Toolboxes by namespace. What the class has, all applications get that are made later."""
    log: LogManager
    relative_urls: bool = False
    """Whether :func:`cptoolkit.url` makes relative URLs."""

    def __init__(
        self, root: Any, script_name: str | None = "", config: Source | None = None
    ) -> None:
        self.global_config = global_config
        self.root = root
        self.script_name = script_name
        self.log = LogManager(id(self), "cherrypy")
        self.wsgiapp = WSGIPipeline(self.serve)
        self.namespaces = NamespaceSet()
        self.namespaces["log"] = lambda name, value: setattr(self.log, name, value)
        self.namespaces["wsgi"] = self._configure_wsgi
        self.toolboxes = ObservedDict(self.toolboxes)
        self.layers: dict[LayerTool, list[tuple[dict[str, Any], Layer]]] = {}
        """The layers that serve this application's tools, and the options that each is made of."""
        self.config = AppConfig()
        self.plans = Plans(self)
        self._dispatchers: tuple[int, dict[str, Dispatch]] = (-1, {})
        if config:
            self.merge(config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._script_name or '/'} of {self.root!r}>"

    @property
    def script_name(self) -> str:
        """The mount point: "" or a path without a slash at its end."""
        if self._script_name is None:
            return serving.request.script_name
        return self._script_name

    @script_name.setter
    def script_name(self, script_name: str | None) -> None:
        self._script_name = None if script_name is None else _mount_point(script_name)

    def merge(self, config: Source) -> None:
        """Add config, and act on what it says of the whole application.

        :param config: a dict of sections, a path, or an open file.
        :raises ValueError: if it is wrong.
        """
        self.config.merge(config)
        for section, entries in self.config.items():
            for key, value in entries.items() if section.startswith("/") else ():
                if key.startswith("error_page."):
                    check_error_page(key[11:], value, f"section [{section}]")
        self.namespaces(self.config.get("/", {}))
        if self.wsgiapp.pipeline:
            self.wsgiapp.compose()  # so that a wrong option is told now

    def _configure_wsgi(self, name: str, value: Any) -> None:
        if name == "response_class":
            if not (isinstance(value, type) and issubclass(value, Response)):
                raise ValueError(
                    "config entry 'wsgi.response_class' must be a subclass of Response, "
                    f"got {value!r}"
                )
            self.response_class = value
        else:
            self.wsgiapp.configure(name, value)

    def find_config(self, path: str, key: str, default: Any = None) -> Any:
        """The value of a config key in the nearest section at or above a path."""
        path = path.rstrip("/") or "/"
        while True:
            section = self.config.get(path)
            if section is not None and key in section:
                return section[key]
            if path == "/":
                return default
            path = path.rpartition("/")[0] or "/"

    def dispatcher(self, path: str) -> Dispatch:
        """What finds the page handler for a path."""
        made_in, dispatchers = self._dispatchers
        if made_in != generation.value:
            now = generation.value
            dispatchers = {
                path: section["request.dispatch"]
                for path, section in self.config.items()
                if "request.dispatch" in section
            }
            self._dispatchers = (now, dispatchers)
        if dispatchers:
            found: Dispatch | None = self.find_config(path, "request.dispatch")
            if found is not None:
                return found
        return self.request_class.dispatch or self.default_dispatcher

    # -- serving ---------------------------------------------------------------------------

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333), through ``wsgi.pipeline`` if config gives one."""
        if self.wsgiapp.pipeline:
            return self.wsgiapp(environ, start_response)
        return self.serve(environ, start_response)

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, without the pipeline."""
        response, body = self.answer(environ)
        try:
            start_response(response.status, response.headerlist)
        except BaseException:
            close(body)
            raise
        return body

    def answer(self, environ: WSGIEnvironment) -> tuple[Response, Iterable[bytes]]:
        """Answer a request, for servers that need no WSGI.

        :returns: the response, and what to send as its body and then close, if that can be closed.
        """
        request = self.request_class(environ)
        request.app = self
        response = self.response_class()
        token = current.set((request, response))
        listeners = engine.listeners
        try:
            try:
                if listeners.get("acquire_thread"):
                    engine.publish("acquire_thread")
                if listeners.get("before_request"):
                    engine.publish("before_request")
                try:
                    respond(request, response)
                except InternalRedirect as redirect:
                    request, response = self._follow(redirect)
            except Exception:
                request, response = current.get()  # an internal redirect may have changed them
                if request.throw_errors:
                    raise
                self._trap(request, response)
            if self.log.wants_access():
                self.log.access()
            body = response.app_iter
            plan = request.plan
            if (
                type(body) is not list
                or request._hooks is not None
                or (plan is not None and plan.on_end_request)
                or "_body" in request.__dict__
            ):
                served = ServedBody(request, response)
                file, wrapper = request.environ.get(FILE, (None, None))
                if file is not None and wrapper is body:
                    file.when_closed(served.close)  # the host can send it by itself
                else:
                    body = served
            elif listeners.get("after_request"):
                release(request)  # all that is left is to send what there is
        except BaseException:
            ServedBody(*current.get()).close()
            raise
        finally:
            current.reset(token)
        return response, body

    def _follow(self, redirect: InternalRedirect) -> tuple[Request, Response]:
        """Answer with what the path of an internal redirect answers."""
        while True:
            old = redirect.request
            if _seen(redirect):
                raise RuntimeError(
                    f"InternalRedirect to {redirect.path!r}, where this request has been before"
                )
            environ = old.environ.copy()
            environ["PATH_INFO"] = redirect.path.encode().decode("latin-1")
            environ["QUERY_STRING"] = redirect.query_string
            environ["REQUEST_METHOD"] = "GET"
            environ["CONTENT_LENGTH"] = "0"
            for name in ("REQUEST_URI", "RAW_URI", "HTTP_TRANSFER_ENCODING"):
                environ.pop(name, None)
            release(old)
            request, response = self.request_class(environ), self.response_class()
            request.app = self
            request.prev = old
            current.set((request, response))
            if engine.listeners.get("before_request"):
                engine.publish("before_request")
            try:
                respond(request, response)
            except InternalRedirect as again:
                redirect = again
            else:
                return request, response

    def _trap(self, request: Request, response: Response) -> None:
        """Answer when even the error page has failed."""
        self.log(f"no error page could be made for {request.path_info!r}", "HTTP", traceback=True)
        body, headers = bare_error()
        response.drop_body()
        response.status = 500
        response.app_iter = [] if request.method == "HEAD" else [body]
        response.headerlist = headers


def release(request: Request) -> None:
    """End a request: hooks of on_end_request, files of its body, the bus.

    What fails then is logged: the answer has been made, and nobody is left to be told.
    """
    if request.closed:
        return
    request.closed = True
    try:
        try:
            own = request._hooks
            if own is not None:
                run_hooks(own.ordered("on_end_request"))
            elif request.plan is not None:
                run_hooks(request.plan.on_end_request)
        finally:
            if "_body" in request.__dict__:
                request.body.close()
            if engine.listeners.get("after_request"):
                engine.publish("after_request")
    except Exception:
        assert request.app is not None
        what = f"the end of a request has failed, that of {request.path_info!r}"
        request.app.log(what, "HTTP", traceback=True)


class ServedBody:
    """The body on its way out, and what is to be done when it is closed (PEP 3333)."""

    __slots__ = ("_exchange", "_iterator")

    def __init__(self, request: Request, response: Response) -> None:
        self._exchange = (request, response)
        self._iterator = iter(response.app_iter)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        # The host may draw the body from anywhere; the handler's generator must not notice.
        token = current.set(self._exchange)
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except Exception:
            app = self._exchange[0].app
            if app is not None:
                app.log("the body failed after the response had begun", "HTTP", traceback=True)
            raise
        finally:
            current.reset(token)

    def close(self) -> None:
        """Close the body and end the request; does so once."""
        request, response = self._exchange
        if request.closed:
            return
        token = current.set(self._exchange)
        try:
            try:
                response.drop_body()
            finally:
                release(request)
        except Exception:
            assert request.app is not None
            request.app.log("the body could not be closed", "HTTP", traceback=True)
        finally:
            current.reset(token)


def _seen(redirect: InternalRedirect) -> bool:
    """Whether a request, or one that led to it, was for the same path and query already."""
    request: Request | None = redirect.request
    while request is not None:
        if (request.path_info, request.query_string) == (redirect.path, redirect.query_string):
            return True
        request = request.prev
    return False


def _mount_point(script_name: str) -> str:
    if not isinstance(script_name, str):
        raise TypeError(f"a mount point must be a str, got {script_name!r}")
    script_name = script_name.rstrip("/")
    if script_name and not script_name.startswith("/"):
        raise ValueError(
            f"the mount point {script_name!r} must begin with a slash; "
            f"did you mean {'/' + script_name!r}?"
        )
    return script_name


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
        script_name = _mount_point(script_name)
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
        self.apps[_mount_point(script_name)] = wsgi_callable

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
