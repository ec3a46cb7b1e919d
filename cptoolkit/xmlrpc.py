"""XML-RPC: objects whose methods clients call by name."""

from __future__ import annotations

import sys
from typing import Any, ClassVar
from xml.parsers.expat import ExpatError
from xmlrpc.client import Fault, dumps, loads

from cptoolkit.context import current, serving
from cptoolkit.http.errors import HTTPError

MOST_BYTES = 10 * 2**20
"""Bytes that a call may have."""


def process_body() -> tuple[tuple[Any, ...], str]:
    """Parameters and method of the call in the body of the current request.

    :raises HTTPError: 400 if it is no call, 413 if it has more than 10 MiB.
    """
    body = current.get()[0].body
    text = body.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise HTTPError(413, f"A call may have {MOST_BYTES} bytes at the most.")
    try:
        params, method = loads(text, use_builtin_types=True)
    except (ExpatError, ValueError, LookupError, TypeError, Fault) as error:
        raise HTTPError(400, "The body is not an XML-RPC call.") from error
    if method is None:
        raise HTTPError(400, "The XML-RPC call does not name a method.")
    return params, method


def respond(body: Any, encoding: str = "utf-8", allow_none: bool = False) -> None:
    """Answer the current request with what a method returned."""
    if not isinstance(body, Fault):
        body = (body,)
    _set_response(dumps(body, None, True, encoding, allow_none), encoding)


def on_error(*args: Any, **kwargs: Any) -> None:
    """Answer the current request with a fault that tells of the exception in hand, or is it."""
    error = sys.exc_info()[1]
    _set_response(dumps(error if isinstance(error, Fault) else Fault(1, str(error))))


def _set_response(document: str, encoding: str = "utf-8") -> None:
    response = serving.response
    # A fault is an answer: whatever happened, the call itself was a success (XML-RPC, Fault).
    response.status = 200
    response.headers["Content-Type"] = f"text/xml;charset={encoding}"
    response.headers.pop("Content-Length", None)
    response.body = document.encode(encoding, "xmlcharrefreplace")


class XMLRPCController:
    """The root of a tree whose exposed methods are called by XML-RPC.

    Calls may be sent to its own URL or, as is the custom, to ``RPC2`` below it. It turns the
    ``xmlrpc`` tool on, so that unexpected exceptions become faults.
    """

    _cp_config: ClassVar[dict[str, Any]] = {
        "tools.trailing_slash.on": False,
        "tools.xmlrpc.on": True,
    }

    def default(self, *vpath: Any, **params: Any) -> Any:
        """Call the method that the body names."""
        if vpath[:1] == ("RPC2",):
            vpath = vpath[1:]
        arguments, name = process_body()
        method: Any = self
        for part in name.split("."):
            method = None if part.startswith("__") else getattr(method, part, None)
        if method is None or not getattr(method, "exposed", False):
            result: Any = Fault(1, f'method "{name}" is not supported')
        else:
            result = method(*vpath, *arguments, **params)
        options = serving.request.toolmaps.get("tools", {}).get("xmlrpc", {})
        respond(result, options.get("encoding", "utf-8"), bool(options.get("allow_none", False)))
        return serving.response.body

    default.exposed = True  # type: ignore[attr-defined]
