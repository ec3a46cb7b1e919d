"""The request that a page handler sees: a :class:`webob.Request` with the reference's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import webob

from cptoolkit.configuration import NamespaceSet
from cptoolkit.http.body import RequestBody
from cptoolkit.http.errors import HTTPError
from cptoolkit.http.headers import Host, RequestHeaders, protocol_from_http
from cptoolkit.http.query import parse_query_string
from cptoolkit.http.values import urljoin

if TYPE_CHECKING:
    from cptoolkit.application import Application
    from cptoolkit.hooks import HookMap
    from cptoolkit.middleware.websocket_connection import WebSocketConnection
    from cptoolkit.plan import Plan


DEFAULT_PORTS = {"http": "80", "https": "443"}
"""The ports that URLs leave out (RFC 9110, sections 4.2.1 and 4.2.2)."""


class MissingDocument(HTTPError, AttributeError):
    """``request.json`` was read, and the client has sent no document."""


class Request(webob.Request):
    """What the client sent, and how it is being answered (reference, chapters 4 to 7).

    Everything that :class:`webob.Request` offers is there, with three differences: ``params``
    is a plain dict, filled when the page handler is about to be called; ``body`` is the entity
    of chapter 7.4, not bytes; and attributes that a tool invents live on this object. Each
    attribute without a value in the environ can be set by config as ``request.<name>``.
    """

    # webob's Request keeps invented attributes in the environ, for requests that share one. To type
    # checkers it has an attribute of any name, and what is no method takes that back.
    if TYPE_CHECKING:
        __getattr__: None  # type: ignore[assignment, misc]
        __setattr__: None  # type: ignore[assignment, misc]
    else:
        __setattr__ = object.__setattr__
        __delattr__ = object.__delattr__

    namespaces: ClassVar[NamespaceSet] = NamespaceSet()
    """Handlers of one's own config namespaces, run for each request (reference, 6.3.2)."""

    app: Application | None = None
    """The application that serves the request."""
    prev: Request | None = None
    """The request before an :class:`InternalRedirect`, if there was one."""
    handler: Callable[..., Any] | None = None
    """What will make the body: a page handler, or None to keep the body that a hook has set."""
    is_index: bool | None = None
    """Whether the URL names a collection, and should end in a slash; None to leave it as it is."""
    plan: Plan | None = None
    """The compiled config of the resource, once it is known."""
    dispatch: Callable[[str], Any] | None = None
    """The dispatcher; None means the application's default."""
    error_page: Mapping[int | str, Any] = {}
    """Pages of one's own by status code, or "default"; set as ``error_page.<code>``."""
    error_response: Callable[[], Any] | None = None
    """What makes the answer after an unexpected exception; None means a page with status 500."""
    show_tracebacks: bool | Literal["local"] = "local"
    """Whether error pages show tracebacks; "local" means to clients on the same machine."""
    show_mismatched_params: bool = True
    """Whether the page says which parameters did not fit the page handler."""
    throw_errors: bool = False
    """Whether unexpected exceptions leave the application, for a debugger around it."""
    methods_with_bodies: tuple[str, ...] = ("POST", "PUT", "PATCH")
    """Methods whose body is read and parsed before the page handler is called."""
    process_request_body: bool = True
    """Whether the body is read and parsed at all; else the handler reads ``request.rfile``."""
    query_string_encoding: str = "utf8"
    """The encoding that the query string must have."""
    max_query_fields: int = 1000
    """The most parameters that a query string may have; more is a 414."""
    closed: bool = False
    """Whether the exchange is over."""

    # Only there once a tool has set them.
    cached: bool
    """Whether the answer is from the cache: set by the ``caching`` tool."""
    cacheable: bool
    """Whether the answer will be kept in the cache: set by the ``caching`` tool."""
    websocket: WebSocketConnection
    """The conversation with the client: set by the ``websocket`` tool."""

    _hooks: HookMap | None = None
    _config: dict[str, Any] | None = None

    def __init__(self, environ: dict[str, Any], **attributes: Any) -> None:
        # The one test of webob's own constructor that a WSGI host could fail.
        if type(environ) is not dict:
            raise TypeError(f"a WSGI environ must be a dict, got {type(environ).__name__}")
        own = self.__dict__
        own["environ"] = environ
        own["params"] = {}
        for name, value in attributes.items():
            setattr(self, name, value)

    params: dict[str, Any] = None  # type: ignore[assignment]
    """Parameters by name: str, or a list of str where a name was repeated; files are parts."""

    # -- what the config says ---------------------------------------------------------------

    @property
    def config(self) -> dict[str, Any]:
        """Global, application and object config merged for this resource; a copy to change."""
        if self._config is None:
            self._config = dict(self.plan.config) if self.plan is not None else {}
        return self._config

    @config.setter
    def config(self, config: dict[str, Any]) -> None:
        self._config = config

    @property
    def hooks(self) -> HookMap:
        """The hooks of this request by hook point, to attach others to."""
        if self._hooks is None:
            from cptoolkit.hooks import HookMap

            self._hooks = HookMap() if self.plan is None else self.plan.hooks.copy()
        return self._hooks

    @hooks.setter
    def hooks(self, hooks: HookMap) -> None:
        self._hooks = hooks

    @cached_property
    def toolmaps(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The settings of this resource's tools: toolbox, tool, option."""
        if self.plan is None:
            return {}
        return {
            box: {tool: dict(options) for tool, options in tools.items()}
            for box, tools in self.plan.toolmaps.items()
        }

    # -- the request line ------------------------------------------------------------------

    @property
    def path_info(self) -> str:
        """The path below the mount point, decoded; of several slashes in a row one is left."""
        path: str = self.environ.get("PATH_INFO", "")
        if "//" in path:  # a redirect to what begins with two would lead to another host
            path = urljoin(path)
        return path if path.isascii() else _decoded(path)

    @path_info.setter
    def path_info(self, path: str) -> None:
        self.environ["PATH_INFO"] = path.encode().decode("latin-1")

    @property
    def script_name(self) -> str:
        """The mount point, decoded: "" or a path without a slash at its end."""
        path: str = self.environ.get("SCRIPT_NAME", "")
        return path if path.isascii() else _decoded(path)

    @script_name.setter
    def script_name(self, path: str) -> None:
        self.environ["SCRIPT_NAME"] = path.encode().decode("latin-1")

    @property
    def query_string(self) -> str:
        """What follows the question mark, still percent-encoded."""
        query: str = self.environ.get("QUERY_STRING", "")
        return query if query.isascii() else _decoded(query)

    @query_string.setter
    def query_string(self, query: str) -> None:
        self.environ["QUERY_STRING"] = query.encode().decode("latin-1")

    @property
    def server_protocol(self) -> str:
        """The version of HTTP that the server speaks: "HTTP/1.1"."""
        protocol: str = self.environ.get("ACTUAL_SERVER_PROTOCOL", "HTTP/1.1")
        return protocol

    @cached_property
    def protocol(self) -> tuple[int, ...]:
        """The HTTP version of the client: (1, 1); (1, 0) if the host tells none."""
        text = self.environ.get("SERVER_PROTOCOL", "HTTP/1.0")
        # RFC 9113 knows no minor version, so hosts write "HTTP/2"; CGI may say "INCLUDED".
        text = f"{text}.0" if "." not in text else text
        try:
            return protocol_from_http(text)
        except ValueError:
            return (1, 0)

    @cached_property
    def request_line(self) -> str:
        """Method, target and protocol as one line."""
        environ = self.environ
        target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
        if not target:
            target = self.path_qs
        return f"{self.method} {target} {self.environ.get('SERVER_PROTOCOL', 'HTTP/1.0')}"

    @cached_property
    def base(self) -> str:
        """Scheme and host without a path: "http://example.com:8080"."""
        environ = self.environ
        scheme = environ["wsgi.url_scheme"]
        host = environ.get("HTTP_HOST")
        if not host:
            host, port = environ["SERVER_NAME"], environ["SERVER_PORT"]
            if port != DEFAULT_PORTS.get(scheme):
                host += f":{port}"
        return f"{scheme}://{host}"

    # -- header fields ---------------------------------------------------------------------

    @property
    def headers(self) -> RequestHeaders:
        """The header fields, whatever the case of their names; a view of the environ."""
        headers: RequestHeaders | None = self.__dict__.get("_request_headers")
        if headers is None:
            headers = self.__dict__["_request_headers"] = RequestHeaders(self.environ)
        return headers

    @headers.setter  # type: ignore[override]
    def headers(self, headers: Mapping[str, str]) -> None:
        own = self.headers
        own.clear()
        own.update(headers)

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """The header fields as (name, value) pairs."""
        return list(self.headers.items())

    @cached_property
    def cookie(self) -> SimpleCookie:
        """The cookies that the client sent.

        :raises HTTPError: 400 if the field is malformed beyond reading.
        """
        cookies = SimpleCookie()
        try:
            cookies.load(self.environ.get("HTTP_COOKIE", ""))
        except CookieError as error:
            raise HTTPError(400, f"Illegal cookie name {str(error).rpartition(' ')[2]}") from None
        return cookies

    # -- the two ends ----------------------------------------------------------------------

    @cached_property
    def remote(self) -> Host:
        """The client: ``.ip``, ``.port`` (-1 if unknown) and ``.name``."""
        environ = self.environ
        ip = environ.get("REMOTE_ADDR", "")
        return Host(ip, _port(environ.get("REMOTE_PORT")), environ.get("REMOTE_HOST") or ip)

    @cached_property
    def local(self) -> Host:
        """This server as the client sees it: ``.ip``, ``.port`` and ``.name``."""
        environ = self.environ
        name = environ.get("SERVER_NAME", "")
        return Host(environ.get("SERVER_ADDR", ""), _port(environ.get("SERVER_PORT")), name)

    @property
    def login(self) -> str | None:
        """The name of the user, once a tool, a layer or the host has found it out."""
        environ = self.environ
        login: str | None = environ.get("REMOTE_USER", environ.get("LOGON_USER"))
        return login or None

    @login.setter
    def login(self, login: str | None) -> None:
        self.environ["REMOTE_USER"] = "" if login is None else login

    @cached_property
    def unique_id(self) -> str:
        """An identifier of this request alone, made when first asked for: that of the request_id
        layer, or else a UUID (RFC 9562)."""
        known: str | None = self.environ.get("cptoolkit.request_id")
        if known:
            return known
        from uuid import uuid4  # not above: it looks at the platform, and few need it

        return str(uuid4())

    # -- the body --------------------------------------------------------------------------

    @property
    def rfile(self) -> Any:
        """The body as the host gives it, unread: ``environ["wsgi.input"]``."""
        return self.environ["wsgi.input"]

    @rfile.setter
    def rfile(self, stream: Any) -> None:
        self.environ["wsgi.input"] = stream

    @property  # type: ignore[override]
    def body(self) -> RequestBody:
        """The body as an entity, with processors by media type (reference, 7.4)."""
        body: RequestBody | None = self.__dict__.get("_body")
        if body is None:
            body = RequestBody(self.environ["wsgi.input"], self.headers, request_params=self.params)
            if self.plan is not None:
                for name, value in self.plan.body_attributes:
                    setattr(body, name, value)
            self.__dict__["_body"] = body
        return body

    @body.setter  # type: ignore[override]
    def body(self, body: RequestBody) -> None:
        self.__dict__["_body"] = body

    @property
    def wsgi_environ(self) -> dict[str, Any]:
        """The WSGI environ (PEP 3333)."""
        return self.environ

    @property
    def multithread(self) -> bool:
        """Whether the host may call the application from several threads at once."""
        return bool(self.environ.get("wsgi.multithread"))

    @property
    def multiprocess(self) -> bool:
        """Whether the host may run the application in several processes."""
        return bool(self.environ.get("wsgi.multiprocess"))

    def process_query_string(self) -> None:
        """Add what the query string says to :attr:`params`.

        :raises HTTPError: 404 if it is not in :attr:`query_string_encoding`, for it then names
            something that this server does not have (reference, 5.13); 414 if it has more than
            :attr:`max_query_fields` parameters.
        """
        try:
            fields = parse_query_string(
                self.query_string,
                encoding=self.query_string_encoding,
                max_fields=self.max_query_fields,
            )
        except UnicodeDecodeError:
            raise HTTPError(
                404,
                "The given query string could not be processed. Query strings for this "
                f"resource must be encoded with {self.query_string_encoding!r}.",
            ) from None
        self.params.update(fields)

    @cached_property
    def json(self) -> Any:
        """The decoded document, set by the ``json_in`` tool.

        :raises MissingDocument: if the client sent none: an AttributeError for ``hasattr``,
            and a 400 for the client.
        """
        raise MissingDocument(400, "This resource expects a JSON document in the body.")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name == "json":  # asked again by Python, after the AttributeError above
                raise MissingDocument(400, "This resource expects a JSON document in the body.")
            raise AttributeError(f"the request has no attribute {name!r}")


def _decoded(path: str) -> str:
    """A path of a WSGI environ as text: UTF-8 where it is, ISO-8859-1 where it is not."""
    raw = path.encode("latin-1", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return path


def _port(port: str | int | None) -> int:
    text = str(port)  # Werkzeug's server gives a number
    return int(text) if text.isascii() and text.isdigit() else -1
