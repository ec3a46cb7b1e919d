"""Applications, each an object tree served as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cptoolkit.configuration import AppConfig, NamespaceSet, ObservedDict, Source, generation
from cptoolkit.context import current, serving
from cptoolkit.cycle import respond
from cptoolkit.default_tools import tools
from cptoolkit.dispatch import Dispatcher
from cptoolkit.global_config import config as global_config
from cptoolkit.http.error_pages import bare_error, check_error_page
from cptoolkit.http.errors import InternalRedirect
from cptoolkit.http.request import Request
from cptoolkit.http.response import Response
from cptoolkit.logs import LogManager
from cptoolkit.middleware.bodies import FILE, close
from cptoolkit.plan import Plans
from cptoolkit.process.wspbus import bus as engine
from cptoolkit.request_end import ServedBody, release
from cptoolkit.wsgi_pipeline import WSGIPipeline

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from cptoolkit.layer_tool import LayerTool
    from cptoolkit.middleware.layer import Layer

Dispatch = Callable[[str], Any]


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
        self._script_name = None if script_name is None else mount_point(script_name)

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


def _seen(redirect: InternalRedirect) -> bool:
    """Whether a request, or one that led to it, was for the same path and query already."""
    request: Request | None = redirect.request
    while request is not None:
        if (request.path_info, request.query_string) == (redirect.path, redirect.query_string):
            return True
        request = request.prev
    return False


def mount_point(script_name: str) -> str:
    """A mount point as it is kept: without a slash at its end.

    :raises TypeError: if it is no text.
    :raises ValueError: if it does not begin with a slash.
    """
    if not isinstance(script_name, str):
        raise TypeError(f"a mount point must be a str, got {script_name!r}")
    script_name = script_name.rstrip("/")
    if script_name and not script_name.startswith("/"):
        raise ValueError(
            f"the mount point {script_name!r} must begin with a slash; "
            f"did you mean {'/' + script_name!r}?"
        )
    return script_name
