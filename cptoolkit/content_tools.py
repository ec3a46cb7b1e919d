"""The functions of the tools for what bodies hold: text, JSON, XML-RPC (reference, 7.2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cptoolkit.context import current
from cptoolkit.http.errors import HTTPError
from cptoolkit.http.response import EncodingIterator, Response
from cptoolkit.middleware import bodies
from cptoolkit.toolbox import P, Tool

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
