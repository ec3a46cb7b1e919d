"""Talk with the client over a WebSocket (RFC 6455), in a handler like any other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from webob import Request, Response
from webob.exc import (
    HTTPBadRequest,
    HTTPClientError,
    HTTPException,
    HTTPForbidden,
    HTTPNotImplemented,
)

from cptoolkit.middleware.auth.same_origin import is_same_origin
from cptoolkit.middleware.bodies import close
from cptoolkit.middleware.layer import Answer, Layer, refused

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from cptoolkit.middleware.websocket_connection import WebSocketConnection

WEBSOCKET = "cptoolkit.websocket"
"""Where in the environ the open WebSocket is."""

SESSION = "cptoolkit.session"
"""Where in the environ the session is."""

SWITCHED = "101 Switching Protocols"

# Reasons for closing (RFC 6455, section 7.4.1)
NORMAL = 1000
INTERNAL_ERROR = 1011

_KEY = re.compile("[A-Za-z0-9+/]{22}==")  # 16 bytes (RFC 6455, section 4.2.1)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class HTTPUpgradeRequired(HTTPClientError):
    """The client should speak another protocol (RFC 9110, section 15.5.22)."""

    code = 426
    title = "Upgrade Required"
    explanation = "Only WebSocket is spoken here."


@dataclass(kw_only=True, eq=False)
class WebSocket(Layer):
    """Open a WebSocket, and call the application to talk over it.

    It is in ``environ["cptoolkit.websocket"]``, an object of
    :class:`~cptoolkit.middleware.websocket_connection.WebSocketConnection`, in an Application also
    ``cptoolkit.request.websocket``. It is closed when the application returns, whose answer nobody
    hears; the access log has it as a 101. If the application raises, the client is told code 1011.

    Whatever may refuse the request, a login say, has to stand outside: within, it is too late. A
    page of another site is refused with 403, for the browser would send the user's cookies along.
    A request for something else than a WebSocket gets a 426, one with a wrong handshake a 400, all
    requests a 501 where the host cannot hand its socket over.

    The session is saved and its lock released before. What is changed in it meanwhile is kept at
    the end, as in a streamed body, if the client knows the session already.

    :raises ImportError: if simple-websocket is missing (extra ``websocket``).
    :raises ValueError: if an option is out of range, or an origin or a subprotocol is none.
    """

    subprotocols: str | Sequence[str] = ()
    """Subprotocols that are spoken. Of those that the client names, its favourite is agreed on."""

    origins: str | Sequence[str] = ()
    """Other sites whose pages may come: origins such as ``"https://example.org"``, ``"null"`` for
    files and sandboxes, or ``"*"`` for all."""

    ping_interval: float = 25  # below the minute after which most proxies give up
    """Seconds between pings. Who has not answered one until the next is hung up on; 0: none."""

    max_message_size: int = 1024 * 1024
    """Longest message to receive, in bytes, or characters of a text; for a longer one the client
    is told code 1009. 0 is without limit. As much may wait to be received; then the client does."""

    idle_timeout: float = 0
    """Seconds without a message either way after which ``receive()`` closes; 0: any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("ping_interval", "max_message_size", "idle_timeout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} must be a number, got {value!r}")
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {value!r}")
        self._subprotocols = _listed(self.subprotocols)
        for subprotocol in self._subprotocols:
            _check_subprotocol(subprotocol)
        self._origins = frozenset(_listed(self.origins))
        for origin in self._origins - {"*", "null"}:
            _check_origin(origin)
        # Imported here, as only those pay who want it, and are told early that it is missing.
        from cptoolkit.middleware.websocket_connection import WebSocketConnection

        self._connect = WebSocketConnection

    def respond(self, request: Request) -> Response:
        try:
            with self.opened(request):
                self._call(request.environ)
        except HTTPException as refusal:
            return refused(refusal, request.environ)
        return Answer(SWITCHED, [], [])

    def _call(self, environ: WSGIEnvironment) -> None:
        if self.app is None:
            self._refuse_to_serve(Request(environ))
        body = self.app(environ, _unheard)  # type: ignore[misc]  # it is not None
        try:
            for _ in body:
                pass
        finally:
            close(body)

    @contextmanager
    def opened(self, request: Request) -> Iterator[WebSocketConnection]:
        """A WebSocket to the client who asks for one, open until the end of the block.

        That the client closes it ends the block; it is no error.

        :raises webob.exc.HTTPException: if there can be none.
        """
        from simple_websocket import ConnectionClosed

        environ = request.environ
        self._check(request)
        _release_session(environ)
        connection = environ[WEBSOCKET] = self._open(environ)
        reason = INTERNAL_ERROR
        try:
            yield connection
            reason = NORMAL
        except ConnectionClosed:
            if connection.connected:  # then it is another one
                raise
        finally:
            connection.finish(reason)

    def _check(self, request: Request) -> None:
        """See what can be seen of a handshake before the socket is asked for.

        :raises webob.exc.HTTPException: if it is wrong.
        """
        environ = request.environ
        if (
            environ["REQUEST_METHOD"] != "GET"
            or environ.get("HTTP_UPGRADE", "").lower() != "websocket"
            or "upgrade" not in re.split(r"[ \t,]+", environ.get("HTTP_CONNECTION", "").lower())
        ):
            raise HTTPUpgradeRequired()
        if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
            headers = {"Sec-WebSocket-Version": "13"}  # RFC 6455, section 4.4
            raise HTTPUpgradeRequired("Only version 13 of WebSocket is spoken.", headers=headers)
        if not _KEY.fullmatch(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")):
            raise HTTPBadRequest("The field Sec-WebSocket-Key is missing, or malformed.")
        if not (
            "*" in self._origins
            or environ.get("HTTP_ORIGIN") in self._origins
            or is_same_origin(request)
        ):
            raise HTTPForbidden("Pages of other sites may not open a WebSocket here.")

    def _open(self, environ: WSGIEnvironment) -> WebSocketConnection:
        from simple_websocket import ConnectionError as HandshakeError
        from wsproto.utilities import ProtocolError

        try:
            return self._connect(
                environ,
                self._subprotocols,
                self.ping_interval,
                self.max_message_size,
                self.idle_timeout,
            )
        except (HandshakeError, ProtocolError, ValueError, OSError) as error:
            raise HTTPBadRequest("The handshake for a WebSocket has failed.") from error
        except RuntimeError as error:  # which HandshakeError is, too
            raise HTTPNotImplemented(
                "This server does not hand out its socket, as WebSocket needs it."
            ) from error


def _release_session(environ: WSGIEnvironment) -> None:
    """Save the session; other requests of its user need not wait until all has been said.

    :raises webob.exc.HTTPServiceUnavailable: if it cannot be saved.
    """
    session: Any = environ.get(SESSION)
    if session is not None:
        session.save()
        session.answered = True


def _unheard(
    status: str, headers: list[tuple[str, str]], exc_info: Any = None
) -> Any:  # as StartResponse has it
    """The ``start_response`` of an application whose answer nobody hears."""
    return len


def _listed(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _check_subprotocol(name: object) -> None:
    """See that a client could name a subprotocol (RFC 6455, section 4.1).

    :raises ValueError: if not.
    """
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValueError(f"subprotocols must be tokens such as 'chat', got {name!r}")


def _check_origin(origin: object) -> None:
    """See that a browser could send an origin (RFC 6454, section 6.2).

    :raises ValueError: if not.
    """
    if isinstance(origin, str):
        parts = urlsplit(origin)
        whole = f"{parts.scheme}://{parts.netloc}".lower()
        if parts.scheme and parts.netloc and "@" not in whole:
            if whole == origin:
                return
            raise ValueError(f"origins: {origin!r} is none; did you mean {whole!r}?")
    raise ValueError(f"origins takes origins such as 'https://example.org', got {origin!r}")
