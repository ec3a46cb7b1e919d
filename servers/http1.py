"""HTTP/1.1 (RFC 9112): the bytes of a connection become requests, answered in order.

llhttp takes the bytes apart. What it lets pass although it is ambiguous or malformed is refused
here: request lines that are not exactly three words, ``Host`` missing, doubled or malformed,
transfer codings other than ``chunked``, and sizes above the limits.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from cptoolkit.servers.body import EMPTY, Body
from cptoolkit.servers.connection import HANDED_OVER
from cptoolkit.servers.errors import BadRequest, BodyTooLarge, ClientError, Disconnected
from cptoolkit.servers.exchange import Exchange, Site

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection

DRAIN_SIZE = 64 * 1024
"""Bytes of an unread body that are swallowed to keep the connection; for more it is closed."""

FRESH_TIME = 0.25
"""Seconds that a new connection has for its first request when the server stops."""

IDLE = 0  # between requests
HEAD = 1  # in a head
BODY = 2  # in a body
UPGRADE = 3  # after a head that asks for another protocol, and until it is answered
DONE = 4  # nothing more is understood on this connection

_WATCHED = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"))

# RFC 3986, section 3.2: host [ ":" port ], without userinfo (RFC 9110, section 4.2.4).
_AUTHORITY = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
# The beginning of most requests up to the version. Everything else is llhttp's to judge.
_COMMON_LINE = re.compile(rb"(GET|HEAD) (/[!\"$-~]*)")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)

# RFC 9110, section 9.1: method = token
_METHOD = re.compile(rb"[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]+ ")

_known_hosts: set[bytes] = set()

TOO_LONG = "431 Request Header Fields Too Large"


class _Refusal(Exception):
    """A head that the server answers by itself."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class HTTP1:
    """A connection that speaks HTTP/1.1. The ``on_`` methods are named and called by httptools."""

    def __init__(self, conn: Connection, site: Site) -> None:
        self.requests: deque[Exchange] = deque()
        self._conn = conn
        self._site = site
        self._options = site.options
        self._parser: HttpRequestParser = HttpRequestParser(self)
        self._state = IDLE
        self._fresh = True  # nothing has been said yet
        self._data = b""  # the bytes that are being parsed
        self._prior = b""  # earlier bytes, if they were the beginning of the same head
        self._before = 0  # bytes of _prior that may belong to earlier requests
        self._completed = False  # whether a request ended within _data
        self._exchange: Exchange | None = None  # the one whose body is being received
        self._queued = False  # whether it is, or was, in requests
        self._drained = 0  # bytes received after its answer
        self._received = -1  # bytes of it at the last look, -1 before the first
        self._between = 0  # bytes of its framing that came since
        self._misread = False  # whether llhttp takes its body for another protocol
        self._early = b""  # bytes that came behind a head with Upgrade
        # Clients repeat themselves: what followed the target in the last request, and its fields.
        # HPACK rests on the same fact. Unlike there, nothing is kept but for the connection's own.
        self._block = b""
        self._block_headers: list[tuple[bytes, bytes]] = []
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._host: bytes | None = None
        self._length = -1
        self._chunked = self._expect = False
        self._upgrade = b""

    # -- what the engine calls --------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if not data:
            self._end_of_stream()
            return
        if self._state == IDLE and self._block and data.endswith(self._block):
            match = _COMMON_LINE.fullmatch(data, 0, len(data) - len(self._block))
            if match is not None and match.end() < self._options.max_request_line_size:
                self._repeat(*match.groups())
                return
        if self._state == DONE:
            return
        if self._state == UPGRADE:
            self._keep_for_later(data)
            return
        self._data = data
        self._completed = False
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as exc:
            if self._misread:
                self._resume(data[exc.args[0] :])
            else:
                self._state = UPGRADE
                self._keep_for_later(data[exc.args[0] :])
        except HttpParserError as exc:
            self._refuse(exc)
        else:
            if self._state == HEAD:
                self._head_is_incomplete(data)
            elif self._state == BODY:
                self._body_is_incomplete(len(data))

    def _repeat(self, method: bytes, target: bytes) -> None:
        """Take a request whose every byte but method and target was parsed before."""
        self.requests.append(
            self._site.exchange(
                self._conn,
                self._site,
                "GET" if method == b"GET" else "HEAD",
                target,
                "1.1",
                self._block_headers,
                EMPTY,
                True,
            )
        )

    def answer(self) -> None:
        exchange = self.requests.popleft()
        if exchange.refusal is not None:
            exchange.refuse(*exchange.refusal)
        else:
            exchange.early = self._early
            exchange.answer()
            if self._conn.state >= HANDED_OVER:
                self._conn.close()
                return
        body = exchange.body
        if body is not EMPTY:
            body.detach()
        if not exchange.keep_alive:
            # One that did not ask for the end may have sent more by now.
            asked = self._state == DONE and body.complete and exchange.refusal is None
            self._state = DONE
            self._conn.finish(linger=not asked)
        else:
            if not self._conn.unsent:
                self._conn.deadline = monotonic() + self._options.keep_alive_timeout
            if self._state == UPGRADE and not self.requests:
                self._stay()

    def expired(self) -> None:
        if self._state == HEAD or (self._state == BODY and not self._queued):
            self._state = DONE
            refusal = ("408 Request Timeout", "The request took too long to come.")
            self._refused(*refusal).refuse(*refusal)
            self._conn.finish(linger=True)

    def overloaded(self) -> None:
        self._state = DONE
        self.requests.clear()
        refusal = ("503 Service Unavailable", "Too many requests are waiting here.")
        self._refused(*refusal).refuse(*refusal)
        self._conn.finish(linger=True)

    def idle(self) -> bool:
        if self._fresh and monotonic() - self._conn.opened < FRESH_TIME:
            return False
        return not self.requests and (
            self._state in (IDLE, HEAD) or (self._state == BODY and self._queued)
        )

    def closed(self) -> None:
        self.requests.clear()
        if self._exchange is not None:
            self._exchange.body.detach()
        del self._parser  # it holds this object in turn

    # -- between feeds ----------------------------------------------------------------------------

    def _head_is_incomplete(self, data: bytes) -> None:
        if not self._prior:
            self._before = len(data) if self._completed else 0
            self._conn.deadline = self._conn.engine.patience(self._options.header_timeout)
        self._prior += data
        options = self._options
        # Method, version and white space of the request line are in neither limit.
        most = options.max_request_header_size + len(self._target) + 32
        if len(self._prior) - self._before > most:
            self._refuse_with(TOO_LONG, "The request head is too long.")

    def _body_is_incomplete(self, size: int) -> None:
        exchange = self._exchange
        assert exchange is not None
        if exchange.finished:
            self._drained += size
            if self._drained > DRAIN_SIZE:
                self._state = DONE
                self._conn.finish(linger=True)
            return
        if self._received != exchange.body.received:
            self._received = exchange.body.received
            self._between = 0
        else:
            # httptools keeps a field of the trailer until it ends, however long it gets.
            self._between += size
            if self._between > self._options.max_request_header_size:
                self._refuse_with("400 Bad Request", "Chunk extension or trailer is too long.")
                return
        if not self._queued:
            self._conn.deadline = self._conn.engine.patience(self._options.socket_timeout)
            if exchange.expects or exchange.body.buffered >= self._options.request_body_buffer:
                self._queued = True
                self.requests.append(exchange)

    def _keep_for_later(self, data: bytes) -> None:
        """Hold what may be the next request, or of another protocol, if the answer says so."""
        self._early += data
        if len(self._early) > self._options.max_request_header_size:
            self._state = DONE  # RFC 9110, section 7.8: the client has to wait for our answer

    def _stay(self) -> None:
        """Go on with HTTP/1.1: the application has answered without changing the protocol."""
        early, self._early = self._early, b""
        self._parser = HttpRequestParser(self)
        self._state = IDLE
        if early:
            self.feed(early)

    def _end_of_stream(self) -> None:
        exchange, state = self._exchange, self._state
        self._state = DONE
        if state == BODY and self._queued and exchange is not None and not exchange.finished:
            exchange.body.fail(Disconnected("the client hung up in the middle of a body"))
        elif not self.requests:
            self._conn.finish(linger=False)

    def _pull(self) -> None:
        """Wait for more of the body that an application is reading."""
        exchange = self._exchange
        assert exchange is not None
        if exchange.expects:
            exchange.expects = False
            if not exchange.head_sent:
                self._conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.feed(self._conn.receive())

    def _resume(self, rest: bytes) -> None:
        """Go on after the head of a request with ``Upgrade`` and a body.

        llhttp takes the body for another protocol. RFC 9110, section 7.8 lets a server answer as if
        the field were not there; then the body is framed as the head said, so a fresh parser is
        told that in a made-up head.
        """
        self._misread = False
        framing = b"Transfer-Encoding: chunked"
        if self._length >= 0:
            framing = b"Content-Length: %d" % self._length
        self._parser = HttpRequestParser(_BodyOnly(self))
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        if rest:
            self.feed(rest)
        elif self._state == BODY:
            self._body_is_incomplete(0)

    # -- refusals ---------------------------------------------------------------------------------

    def _refuse(self, error: HttpParserError) -> None:
        if self._state == DONE:
            return  # bytes after a request that said "Connection: close" (RFC 9112, section 9.6)
        cause = error.__context__
        if isinstance(cause, (_Refusal, ClientError)):
            self._refuse_with(cause.status, str(cause), cause)
        elif isinstance(error, HttpParserInvalidMethodError) and self._is_token():
            self._refuse_with("501 Not Implemented", "The request method is not known here.")
        else:
            self._refuse_with("400 Bad Request", f"{error}.")

    def _is_token(self) -> bool:
        return not self._completed and _METHOD.match(self._prior + self._data) is not None

    def _refuse_with(self, status: str, reason: str, cause: Exception | None = None) -> None:
        state, exchange = self._state, self._exchange
        self._state = DONE
        if state == BODY and self._queued and exchange is not None:
            # The application is at work already: it hears of this when it reads on.
            if exchange.finished:
                self._conn.finish(linger=True)
            else:
                error = cause if isinstance(cause, ClientError) else BadRequest(reason)
                exchange.body.fail(error)
            return
        self.requests.append(self._refused(status, reason))

    def _refused(self, status: str, reason: str) -> Exchange:
        exchange = Exchange(self._conn, self._site, "GET", b"*", "1.1", [], EMPTY, False)
        exchange.refusal = (status, reason)
        return exchange

    # -- what the parser calls --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._state = HEAD
        self._fresh = False
        self._begin()

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > self._options.max_request_line_size:
            raise _Refusal("414 URI Too Long", "The request target is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state != HEAD:
            return  # a trailer field: nothing here knows what it means (RFC 9110, section 6.5.1)
        name = name.lower()
        value = value.rstrip(b" \t")
        if name in _WATCHED:
            self._watch(name, value)
        self._headers.append((name, value))

    def _watch(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            if self._host is not None:
                raise _Refusal("400 Bad Request", "There is more than one Host field.")
            self._host = value
            if value not in _known_hosts:
                _check_authority(value)
        elif name == b"content-length":
            self._length = int(value)
        elif name == b"transfer-encoding":
            if self._chunked or value.lower() != b"chunked":
                raise _Refusal("501 Not Implemented", "Only the chunked transfer coding is known.")
            self._chunked = True
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise _Refusal("417 Expectation Failed", "Only 100-continue can be expected.")
            self._expect = True
        else:
            self._upgrade = value

    def on_headers_complete(self) -> None:
        parser, options, data = self._parser, self._options, self._data
        method = parser.get_method()
        version = parser.get_http_version()
        raw = self._prior + data if self._prior else data
        # llhttp lets several blanks pass between the words, other protocols' names, and none.
        line = f" HTTP/{version}\r\n".encode()
        if b"%b %b%b" % (method, self._target, line) not in raw:
            raise _Refusal("400 Bad Request", "The request line is malformed.")
        if version not in ("1.1", "1.0"):
            raise _Refusal("505 HTTP Version Not Supported", "This server speaks HTTP/1.1.")
        if len(raw) > options.max_request_header_size:
            size = sum([len(name) + len(value) + 4 for name, value in self._headers])
            if size > options.max_request_header_size:
                raise _Refusal(TOO_LONG, "The request head is too long.")
        if version == "1.1":
            if self._host is None:
                raise _Refusal("400 Bad Request", "There is no Host field.")
        elif self._chunked:
            raise _Refusal("400 Bad Request", "HTTP/1.0 has no transfer codings.")
        target = self._target
        if target[0] != 47 or b"#" in target or method == b"CONNECT":
            target = self._other_form(method, target)
        keep_alive = options.keep_alive_timeout > 0 and parser.should_keep_alive()
        if options.protocol_version == "HTTP/1.0" and version == "1.1":
            version, keep_alive = "1.0", False
        body = EMPTY
        if self._length > 0 or self._chunked:
            if 0 < options.max_request_body_size < self._length:
                raise _Refusal(BodyTooLarge.status, "The request body is too long.")
            body = Body(self._pull)
            self._drained = 0
            self._received = -1
            if self._upgrade and parser.should_upgrade():
                self._misread = True
                keep_alive = False
        exchange = self._site.exchange(
            self._conn,
            self._site,
            method.decode(),
            target,
            version,
            self._headers,
            body,
            keep_alive,
        )
        self._block = b""
        if target is not self._target:
            exchange.uri = self._target
        elif body is EMPTY and keep_alive and version == "1.1" and raw is data:
            end_of_line = len(method) + 1 + len(target)
            if data.find(b"\r\n\r\n") + 4 == len(data) and data.startswith(method):
                self._block = data[end_of_line:]
                self._block_headers = self._headers
        if body is not EMPTY:
            exchange.length = self._length
            exchange.expects = self._expect and version == "1.1"
        elif self._upgrade and parser.should_upgrade():
            exchange.upgrade = self._upgrade.decode("latin-1").lower()
        self._exchange = exchange
        self._queued = False
        self._prior = b""
        self._state = BODY

    def _other_form(self, method: bytes, target: bytes) -> bytes:
        """Return path and query of a target not in origin-form (RFC 9112, section 3.2)."""
        if method == b"CONNECT":
            raise _Refusal("501 Not Implemented", "This server is no tunnel.")
        if b"#" in target:
            raise _Refusal("400 Bad Request", "A request target has no fragment.")
        if target == b"*":
            if method != b"OPTIONS":
                raise _Refusal("400 Bad Request", "The target * is for OPTIONS.")
            return target
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise _Refusal("400 Bad Request", "The request target is malformed.")
        authority, rest = match.groups()
        _check_authority(authority)
        if authority.startswith(b":"):
            raise _Refusal("400 Bad Request", "The request target names no host.")
        # The authority of the target wins over the Host field (section 3.2.2).
        self._headers[:] = [pair for pair in self._headers if pair[0] != b"host"]
        self._headers.append((b"host", authority))
        if rest.startswith(b"/"):
            return bytes(rest)
        if method == b"OPTIONS" and not rest:
            return b"*"
        return b"/%b" % rest

    def on_body(self, data: bytes) -> None:
        assert self._exchange is not None
        body = self._exchange.body
        body.put(data)
        if 0 < self._options.max_request_body_size < body.received:
            raise BodyTooLarge("The request body is too long.")

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or self._misread:
            return
        if exchange.body is not EMPTY:
            exchange.body.end()
        if not self._queued:
            self.requests.append(exchange)
        self._exchange = None
        self._completed = True
        self._state = IDLE if exchange.keep_alive else DONE


class _BodyOnly:
    """Callbacks for a parser whose head was made up: only the body is of interest."""

    def __init__(self, protocol: HTTP1) -> None:
        self.on_body: Callable[[bytes], None] = protocol.on_body
        self.on_message_complete: Callable[[], None] = protocol.on_message_complete


def _check_authority(value: bytes) -> None:
    if _AUTHORITY.fullmatch(value) is None:
        raise _Refusal("400 Bad Request", "The host is malformed.")
    if len(_known_hosts) < 1000:
        _known_hosts.add(value)
