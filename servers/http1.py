"""HTTP/1.1 (RFC 9112): the bytes of a connection become requests, answered in order."""

from __future__ import annotations

import re
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from cptoolkit.servers.body import EMPTY, Body
from cptoolkit.servers.errors import BodyTooLarge, ClientError, Disconnected
from cptoolkit.servers.exchange import Exchange, Site
from cptoolkit.servers.framing import Chunked, Sized
from cptoolkit.servers.head import Head
from cptoolkit.servers.intake import Intake, NoRoom

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection

DRAIN_SIZE = 64 * 1024
"""Bytes of an unread body that are swallowed to keep the connection; for more it is closed."""

FRESH_TIME = 0.25
"""Seconds that a new connection has for its first request when the server stops."""

IDLE = 0  # between requests or in a head
BODY = 1  # in a body
UPGRADE = 2  # after a head that asks for another protocol, and until it is answered
DONE = 3  # nothing more is understood on this connection

# The beginning of most requests up to the version. Everything else is llhttp's to judge.
_COMMON_LINE = re.compile(rb"(GET|HEAD) (/[!\"$-~]*)")


class HTTP1:
    """A connection that speaks HTTP/1.1."""

    def __init__(self, conn: Connection, site: Site) -> None:
        self.requests: deque[Exchange] = deque()
        self._conn = conn
        self._site = site
        self._options = site.options
        self._state = IDLE
        self._fresh = True  # nothing has been said yet
        self._head = Head(site.options)
        self._in_head = False  # whether one has begun
        self._prior = b""  # what has come of it
        self._exchange: Exchange | None = None  # the one whose body is being received
        self._framing: Sized | Chunked
        self._streamed = False  # whether its answer may have begun
        self._drained = 0  # bytes received after its answer
        self._early = b""  # bytes that came behind a head with Upgrade
        # Clients repeat themselves: what followed the target in the last request, and its fields.
        # HPACK rests on the same fact. Unlike there, nothing is kept but for the connection's own.
        self._block = b""
        self._block_headers: list[tuple[bytes, bytes]] = []

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
        size = len(data)
        if self._prior:
            data = self._prior + data
            self._prior = b""
        start = 0
        try:
            while start < len(data):
                if self._state == IDLE:
                    start = self._feed_head(data, start)
                elif self._state == BODY:
                    start = self._feed_body(data, start)
                else:
                    if self._state == UPGRADE:
                        self._keep_for_later(data[start:])
                    return
        except ClientError as exc:
            self._refuse(exc)
            return
        if self._state == BODY:
            self._body_is_incomplete(size)

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
        body = exchange.body
        if exchange.intake is not None and not self._settle(exchange, exchange.intake):
            return
        if exchange.refusal is not None:
            exchange.refuse(*exchange.refusal)
        else:
            exchange.early = self._early
            try:
                exchange.answer()
            finally:
                if body is not EMPTY:
                    exchange.keep_alive = exchange.keep_alive and not body.failed
                    body.detach()
            if exchange.taken_over is not None:
                exchange.taken_over.part()
                return
        if not exchange.keep_alive:
            # One that did not ask for the end may have sent more by now.
            asked = self._state == DONE and body.complete and not (exchange.refusal or self._early)
            self._state = DONE
            self._conn.finish(linger=not (asked or exchange.broken))
        else:
            if not (self._conn.unsent or self._in_head):
                self.renew_deadline()
            if self._state == UPGRADE and not self.requests:
                self._stay()

    def _settle(self, exchange: Exchange, intake: Intake) -> bool:
        """Tell whether a request can be answered, or was here for its body's sake alone."""
        try:
            return intake.settle()
        except NoRoom as exc:
            self.requests.appendleft(exchange)  # the first that is refused
            self._turn_away(exc.status, str(exc))
            return False

    def renew_deadline(self) -> None:
        if self._in_head:  # that of the answer has taken the place of its own
            self._conn.deadline = self._conn.engine.patience(self._options.header_timeout)
        elif self._exchange is None or self._exchange.finished:
            self._conn.deadline = monotonic() + self._options.keep_alive_timeout

    def expired(self) -> None:
        if self._in_head or (self._state == BODY and not self._streamed):
            self._turn_away("408 Request Timeout", "The request took too long to come.")

    def overloaded(self) -> None:
        self._turn_away("503 Service Unavailable", "Too many requests are waiting here.")

    def idle(self) -> bool:
        if self._fresh and monotonic() - self._conn.opened < FRESH_TIME:
            return False
        between = self._state == IDLE or (self._state == BODY and self._streamed)
        return between and not self.requests

    def closed(self) -> None:
        self._forget_bodies()
        self._head.close()

    def _forget_bodies(self) -> None:
        if self._exchange is not None:
            self._exchange.body.detach()
        while self.requests:
            self.requests.popleft().body.detach()

    # -- heads ------------------------------------------------------------------------------------

    def _feed_head(self, data: bytes, start: int) -> int:
        """Take a head, or its beginning, and return where it ends."""
        if not self._head.parsed:
            # RFC 9112, section 2.2: empty lines may come first.
            while data.startswith(b"\r\n", start):
                start += 2
            rest = data[start : start + 2]
            if rest in (b"", b"\r"):  # which is no head yet, and has no deadline of its own
                if rest:
                    self._prior, self._block = rest, b""
                return len(data)
            self._fresh = False
        end = self._head.feed(data, start)
        if not end:
            if not self._in_head:
                self._in_head = True
                self._conn.deadline = self._conn.engine.patience(self._options.header_timeout)
            self._prior = data[start:]
            self._block = b""
            return len(data)
        self._in_head = False
        self._head_is_complete(data if start == 0 and end == len(data) else b"")
        return end

    def _head_is_complete(self, alone: bytes) -> None:
        """Make a request of a head.

        :param alone: the bytes of the head, if nothing came before or behind it.
        """
        head, options = self._head, self._options
        version = head.version
        keep_alive = head.keep_alive and options.keep_alive_timeout > 0
        if version == "1.1" and options.protocol_version == "HTTP/1.0":
            version, keep_alive = "1.0", False
        has_body = head.length > 0 or head.chunked
        exchange = self._site.exchange(
            self._conn,
            self._site,
            head.method.decode(),
            head.target,
            version,
            head.headers,
            Body(self._pull) if has_body else EMPTY,
            keep_alive,
        )
        ordinary = head.target is head.uri
        if not ordinary:
            exchange.uri = head.uri
        self._block = b""
        if has_body:
            # RFC 9110, section 7.8 lets a server answer as if there were no Upgrade.
            exchange.length = head.length
            exchange.expects = head.expects and version == "1.1"
            self._exchange = exchange
            self._streamed = False
            self._drained = 0
            self._framing = (
                Chunked(options.max_request_header_size) if head.chunked else Sized(head.length)
            )
            self._state = BODY
            return
        self.requests.append(exchange)
        if head.upgrade:
            exchange.upgrade = head.upgrade.decode("latin-1").lower()
            self._state = UPGRADE
        elif not keep_alive:
            self._state = DONE
        elif ordinary and version == "1.1":
            self._block = alone[len(head.method) + 1 + len(head.target) :]
            self._block_headers = head.headers

    def _keep_for_later(self, data: bytes) -> None:
        """Hold what may be the next request, or of another protocol, if the answer says so."""
        self._early += data
        if len(self._early) > self._options.max_request_header_size:
            # RFC 9110, section 7.8: the client has to wait for our answer.
            self._state = DONE
            self.requests[-1].keep_alive = False

    def _stay(self) -> None:
        """Go on with HTTP/1.1: the application has answered without changing the protocol."""
        early, self._early = self._early, b""
        self._state = IDLE
        if early:
            self.feed(early)

    # -- bodies -----------------------------------------------------------------------------------

    def _feed_body(self, data: bytes, start: int) -> int:
        """Take of a body what has come, and return where that ends."""
        exchange, most = self._exchange, self._options.max_request_body_size
        assert exchange is not None
        body = exchange.body
        end = self._framing.feed(data, start, body)
        if 0 < most < body.received + self._framing.left:
            raise BodyTooLarge("The request body is too long.")
        if body.complete:
            self._exchange = None
            self._state = IDLE if exchange.keep_alive else DONE
            if not self._streamed:
                self.requests.append(exchange)
        return end

    def _body_is_incomplete(self, size: int) -> None:
        exchange = self._exchange
        assert exchange is not None
        if exchange.finished:
            self._drained += size
            if self._drained > DRAIN_SIZE:
                self._state = DONE
                # It may still be read, as late as in ``close()`` of the answer's body.
                exchange.body.fail(ClientError("The rest of the body came after the answer."))
                self._conn.finish(linger=True)
        elif not self._streamed:
            self._collect(exchange)

    def _collect(self, exchange: Exchange) -> None:
        intake = exchange.intake
        if intake is None:
            intake = exchange.intake = Intake(exchange.body, self._conn, self._site)
        due = intake.collect()
        if exchange.expects:
            due = intake.streamed = True  # the application has to tell whether it wants the body
        if due:
            self._streamed = intake.streamed
            self.requests.append(exchange)

    def _pull(self) -> None:
        """Wait for more of the body that an application is reading."""
        exchange = self._exchange
        assert exchange is not None
        assert exchange.intake is not None
        if exchange.expects:
            exchange.expects = False
            if not exchange.head_sent:
                self._conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.intake.pull(self.feed)

    # -- the end, and other bad news --------------------------------------------------------------

    def _end_of_stream(self) -> None:
        exchange, state = self._exchange, self._state
        self._state = DONE
        if state == BODY and self._streamed and exchange is not None and not exchange.finished:
            exchange.body.fail(Disconnected("the client hung up in the middle of a body"))
        elif not self.requests:
            self._conn.finish(linger=False)

    def _refuse(self, error: ClientError) -> None:
        """Take no more on this connection, and tell why."""
        state, exchange = self._state, self._exchange
        self._state = DONE
        if state == BODY and self._streamed and exchange is not None:
            # The application is at work already: it hears of this when it reads on.
            exchange.body.fail(error)
            if exchange.finished:
                self._conn.finish(linger=True)
            return
        if exchange is not None:
            exchange.body.detach()
        refused = self._refused()
        refused.refusal = (error.status, str(error))
        self.requests.append(refused)

    def _turn_away(self, status: str, reason: str) -> None:
        """Refuse everything that is not answered yet."""
        self._state = DONE
        asked = self.requests[0] if self.requests else self._exchange
        refused = self._refused()
        if asked is not None:
            refused.method = asked.method  # HEAD gets no content
        self._forget_bodies()
        refused.refuse(status, reason)
        self._conn.finish(linger=True)

    def _refused(self) -> Exchange:
        return Exchange(self._conn, self._site, "GET", b"*", "1.1", [], EMPTY, False)
