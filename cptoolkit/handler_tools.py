"""The functions of the tools that need the page handler, or what it returned (reference, 7.2)."""

from __future__ import annotations

import inspect
import json
import logging
import types
import typing
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from cptoolkit.context import current
from cptoolkit.hooks import HOOKPOINTS
from cptoolkit.http.errors import HTTPError, HTTPRedirect, InternalRedirect
from cptoolkit.http.headers import RequestHeaders
from cptoolkit.http.response import EncodingIterator, Response
from cptoolkit.middleware import bodies
from cptoolkit.middleware.accept import choose
from cptoolkit.toolbox import P, Tool
from cptoolkit.urls import url as absolute_url

if TYPE_CHECKING:
    from cptoolkit.http.body import Entity
    from cptoolkit.plan import Plan


# -- text ----------------------------------------------------------------------------------


def encode(
    encoding: str | None = None,
    errors: str = "strict",
    text_only: bool = True,
    add_charset: bool = True,
) -> None:
    """Encode what the page handler returns, and name the encoding in the Content-Type.

    :param encoding: of the body; None for UTF-8.
    :param errors: what happens to characters that the encoding lacks, as in :meth:`str.encode`.
    :param text_only: whether only ``text/*`` gets a charset.
    :param add_charset: whether the Content-Type gets a charset at all.
    """
    response = current.get()[1]
    response.encoding = encoding or "utf-8"
    response.encoding_errors = errors
    response.text_only = text_only
    response.add_charset = add_charset


class EncodeTool(Tool[P]):
    """``tools.encode``: on by default, so its options become part of the plan, not a hook."""

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        self.check(options)
        named = {
            "encoding": options.get("encoding") or "utf-8",
            "encoding_errors": options.get("errors", "strict"),
            "text_only": options.get("text_only", True),
            "add_charset": options.get("add_charset", True),
        }
        "".encode(named["encoding"])  # an encoding that does not exist is told now
        plan.response_attributes.update(
            (name, value) for name, value in named.items() if value != getattr(Response, name)
        )

    def skip(self, plan: Plan) -> None:
        plan.response_attributes["add_charset"] = False


def decode(
    encoding: str | Sequence[str] | None = None,
    default_encoding: str | Sequence[str] | None = "utf-8",
) -> None:
    """Say which encodings a body is tried with.

    :param encoding: the one, or those in turn, whatever the client says; None to believe it.
    :param default_encoding: the one, or those in turn, that are tried last.
    """
    body = current.get()[0].body
    if encoding is not None:
        body.attempt_charsets = _row(encoding)
    elif default_encoding:
        tried = body.attempt_charsets
        body.attempt_charsets = [*tried, *(e for e in _row(default_encoding) if e not in tried)]


def _row(encodings: str | Sequence[str]) -> list[str]:
    return [encodings] if isinstance(encodings, str) else list(encodings)


def flatten() -> None:
    """Make one stream of a body whose items may be generators themselves."""
    response = current.get()[1]
    body = response.body
    response.body = Flat(body.body if isinstance(body, EncodingIterator) else body)


class Flat:
    """The items of a body and of the iterables among them, in one row."""

    def __init__(self, body: Iterable[Any]) -> None:
        self._body = body
        self._items = _flat(body)

    def __iter__(self) -> Iterator[Any]:
        return self._items

    def close(self) -> None:
        """Close the body, too, which generators within a generator would leave open."""
        self._items.close()
        bodies.close(self._body)


def _flat(items: Iterable[Any]) -> Generator[Any, None, None]:
    for item in items:
        if hasattr(item, "__iter__") and not isinstance(item, (str, bytes)):
            yield from _flat(item)
        else:
            yield item


# -- JSON ----------------------------------------------------------------------------------

JSON_TYPES = ("application/json", "text/javascript")


def json_processor(entity: Entity) -> None:
    """Decode a body as JSON (RFC 8259) into ``request.json``.

    :raises HTTPError: 400 if it is not JSON; NaN and Infinity are not, nor is what is nested
        deeper than Python can follow.
    """
    text = entity.read()
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise HTTPError(400, "Invalid JSON document") from None
    current.get()[0].json = document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def json_in(
    content_type: str | Sequence[str] = JSON_TYPES,
    force: bool = True,
    processor: Callable[[Entity], Any] = json_processor,
) -> None:
    """Decode JSON documents that clients send (reference, 4.8.1).

    :param content_type: the media types that are JSON.
    :param force: whether a body of any other type is refused with 415.
    :param processor: what decodes it, and sets ``request.json``.
    """
    names = [content_type] if isinstance(content_type, str) else list(content_type)
    body = current.get()[0].body
    if force:
        body.processors.clear()
        body.default_proc = HTTPError(  # type: ignore[method-assign]
            415, f"Expected an entity of content type {', '.join(names)}"
        )
    for name in names:
        body.processors[name] = processor


_encode_json = json.JSONEncoder(allow_nan=False).encode


def json_handler(*args: Any, **kwargs: Any) -> bytes:
    """Call the page handler and encode what it returns as JSON."""
    request: Any = current.get()[0]
    value = request._json_inner_handler(*args, **kwargs)
    return _encode_json(value).encode()


def json_out(
    content_type: str = "application/json", handler: Callable[..., Any] = json_handler
) -> None:
    """Encode what the page handler returns as JSON (reference, 4.8.2).

    :param content_type: what the answer is declared as.
    :param handler: what is called in place of the page handler, which it finds as
        ``request._json_inner_handler``.
    """
    request, response = current.get()
    if request.handler is None:
        return
    request._json_inner_handler = request.handler  # type: ignore[attr-defined]
    request.handler = handler
    if content_type:
        response.headers["Content-Type"] = content_type


# -- parameters ----------------------------------------------------------------------------

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


Refusals = type[Exception] | tuple[type[Exception], ...]

# TypeError is what int() makes of a parameter that came twice, ArithmeticError what Decimal() does
# of no number.
REFUSALS: Refusals = (ValueError, TypeError, ArithmeticError)


def convert_params(exception: Refusals = REFUSALS, error: int = 400) -> None:
    """Convert parameters to the types that the page handler's annotations name.

    :param exception: what a type may raise for a value that it refuses.
    :param error: the status that the client then gets.
    """
    request = current.get()[0]
    handler = getattr(request.handler, "callable", None)
    if handler is None:
        return
    function = getattr(handler, "__func__", handler)
    if not isinstance(function, Hashable):  # an instance of a dataclass, say
        function = type(function).__call__
    for name, convert in _converters(function).items():
        if name in request.params:
            try:
                request.params[name] = convert(request.params[name])
            except exception as refusal:
                raise HTTPError(error, str(refusal)) from refusal


@lru_cache(maxsize=1000)
def _converters(handler: Callable[..., Any]) -> dict[str, Callable[[Any], Any]]:
    """What converts the parameters of a function, by name; those that need nothing are left out."""
    function = inspect.unwrap(handler)
    converters = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.annotation is parameter.empty:
            continue

        # One by one: a name that only the type checker imports must not undo the others.
        def probe() -> None: ...

        probe.__annotations__ = {name: parameter.annotation}
        try:
            kind = typing.get_type_hints(probe, getattr(function, "__globals__", {}))[name]
        except (NameError, TypeError):
            continue
        convert = _converter(kind)
        if convert is not None:
            converters[name] = convert
    return converters


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    if kind is bool:
        return _boolean
    if kind is str or kind is Any or kind is object:
        return None
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
        return _converter(choices[0]) if len(choices) == 1 else None
    if origin is list:
        item = _converter(*typing.get_args(kind))
        return partial(_list, item)
    return kind if callable(kind) and origin is None else None


def _boolean(text: Any) -> bool:
    word = str(text).lower()
    if word not in TRUE and word not in FALSE:
        raise ValueError(
            f"a truth value is one of true, yes, on, 1, false, no, off, 0, got {text!r}"
        )
    return word in TRUE


def _list(convert: Callable[[Any], Any] | None, values: Any) -> list[Any]:
    items = values if isinstance(values, list) else [values]
    return items if convert is None else [convert(item) for item in items]


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


# -- XML-RPC -------------------------------------------------------------------------------


def answer_with_fault() -> None:
    """Answer with an XML-RPC fault that tells of the exception in hand."""
    from cptoolkit.xmlrpc import on_error  # not above: few applications need its parser

    on_error()


class XMLRPCTool(Tool):
    """``tools.xmlrpc``: answers unexpected exceptions with faults.

    Its options are for the answers of an :class:`~cptoolkit.xmlrpc.XMLRPCController`:
    ``encoding``, and ``allow_none``, whether they may hold None, an extension of XML-RPC.
    """

    def __init__(self) -> None:
        super().__init__(None, answer_with_fault)

    def options(self) -> dict[str, Any]:
        return {"encoding": "utf-8", "allow_none": False}

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        self.check(options)
        plan.request_attributes["error_response"] = answer_with_fault


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
