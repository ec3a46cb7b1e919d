"""A connection on which a web server sends requests one at a time: what SCGI and FastCGI share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, cast

from cptoolkit.servers.body import EMPTY, Body
from cptoolkit.servers.cgi import CGIExchange, variables
from cptoolkit.servers.errors import (
    BadRequest,
    BodyTooLarge,
    ClientError,
    Disconnected,
    URITooLong,
)
from cptoolkit.servers.intake import Intake, NoRoom

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection
    from cptoolkit.servers.exchange import Site

FRESH_TIME = 0.25
"""Seconds that a new connection has for its first request when the server stops."""

IDLE = 0  # nothing of a request has come
HEAD = 1  # in the variables
BODY = 2  # in the body
DONE = 3  # nothing more is understood on this connection


class CGIConnection:
    """What the engine calls. A protocol is a subclass that has :meth:`parse`, which tells of what
    it finds with :meth:`begin`, :meth:`put` and :meth:`end`.
    """

    framing: type[CGIExchange] = CGIExchange
    """How the server answers by itself."""

    def __init__(self, conn: Connection, site: Site) -> None:
        self.requests: deque[CGIExchange] = deque()
        self.conn = conn
        self.site = site
        self.options = site.options
        self.state = IDLE
        self.exchange: CGIExchange | None = None
        """The request that is being received or answered, once its variables are known."""
        self._intake: Intake | None = None  # its body, if that has not come at once
        self._handed = False  # whether the application is called for it, now or soon
        self._fresh = True  # nothing has been said yet

    # -- for the protocol -------------------------------------------------------------------------

    def parse(self, data: bytes) -> None:
        """Take bytes that came.

        :raises ClientError: if they make no sense; its text is sent to the client.
        """
        raise NotImplementedError

    def begin(self, pairs: Iterable[tuple[bytes, bytes]], keep_alive: bool) -> CGIExchange:
        """The variables are complete.

        :raises ClientError: if they make no sense, or promise too long a body.
        """
        found = variables(pairs)
        length = int(found.get("CONTENT_LENGTH", -1))
        if 0 < self.options.max_request_body_size < length:
            raise BodyTooLarge("The request body is too long.")
        target = found.get("REQUEST_URI") or found.get("PATH_INFO") or "/"
        if len(target) > self.options.max_request_line_size:
            raise URITooLong("The request target is too long.")
        exchange = self._exchange_of(
            cast("type[CGIExchange]", self.site.exchange),
            found["REQUEST_METHOD"],
            target.encode("latin-1"),
            Body(self._pull) if length else EMPTY,
            keep_alive,
        )
        exchange.variables = found
        exchange.length = length
        self.exchange = exchange
        self._handed = False
        self.state = BODY
        return exchange

    def put(self, data: bytes) -> None:
        """Take a part of the body.

        :raises BodyTooLarge: if there is more than allowed.
        :raises BadRequest: if there is more than was promised.
        """
        exchange = self.exchange
        assert exchange is not None
        body = exchange.body
        if 0 <= exchange.length < body.received + len(data):
            raise BadRequest("The request body is longer than its CONTENT_LENGTH.")
        body.put(data)
        if 0 < self.options.max_request_body_size < body.received:
            raise BodyTooLarge("The request body is too long.")

    def end(self) -> None:
        """The request is complete.

        :raises BadRequest: if less of the body has come than was promised.
        """
        exchange = self.exchange
        assert exchange is not None
        if exchange.body is not EMPTY:
            if exchange.body.received < exchange.length:
                raise BadRequest("The request body is shorter than its CONTENT_LENGTH.")
            exchange.body.end()
        if not self._handed:
            self._handed = True
            self.requests.append(exchange)

    def forget(self) -> None:
        """There is no request any more that is being received or answered."""
        if self.exchange is not None and self.exchange.body is not EMPTY:
            self.exchange.body.detach()
        self.exchange = self._intake = None

    def _exchange_of(
        self, kind: type[CGIExchange], method: str, target: bytes, body: Body, keep_alive: bool
    ) -> CGIExchange:
        return kind(self.conn, self.site, method, target, "1.1", [], body, keep_alive)

    # -- what the engine calls --------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if not data:
            self._end_of_stream()
            return
        if self.state == DONE:
            return
        self._fresh = False
        before = self.state
        try:
            self.parse(data)
        except ClientError as exc:
            self.refuse(exc)
            return
        if self.state == HEAD and before != HEAD:
            self.conn.deadline = self.conn.engine.patience(self.options.header_timeout)
        elif self.state == BODY and not self._handed and self.exchange is not None:
            self._collect(self.exchange)

    def _collect(self, exchange: CGIExchange) -> None:
        if self._intake is None:
            self._intake = Intake(exchange.body, self.conn, self.site)
        if self._intake.collect():
            self._handed = self._intake.streamed
            self.requests.append(exchange)

    def renew_deadline(self) -> None:
        if self.state == IDLE:
            self.conn.deadline = monotonic() + self.options.keep_alive_timeout

    def answer(self) -> None:
        exchange = self.requests.popleft()
        try:
            if self._intake is not None and not self._intake.settle():
                return  # there is more to come
        except NoRoom as exc:
            exchange.refusal = (exc.status, str(exc))
        if exchange.refusal is not None:
            exchange.refuse(*exchange.refusal)
        else:
            exchange.answer()
        body = exchange.body
        self.forget()
        if exchange.keep_alive and self.state != DONE:
            self.state = IDLE
            if not self.conn.unsent:
                self.renew_deadline()
        else:
            self.state = DONE
            unread = not body.complete or exchange.refusal is not None
            self.conn.finish(linger=unread and not exchange.broken)

    def expired(self) -> None:
        if self.state == HEAD or (self.state == BODY and not self._handed):
            self._say("408 Request Timeout", "The request took too long to come.")

    def overloaded(self) -> None:
        self._let_go_of_requests()
        self._say("503 Service Unavailable", "Too many requests are waiting here.")

    def idle(self) -> bool:
        if self._fresh and monotonic() - self.conn.opened < FRESH_TIME:
            return False
        return not self.requests and self.state in (IDLE, DONE)

    def closed(self) -> None:
        self._let_go_of_requests()
        self.forget()

    def _let_go_of_requests(self) -> None:
        for exchange in self.requests:
            if exchange.body is not EMPTY:
                exchange.body.detach()
        self.requests.clear()

    # -- trouble ----------------------------------------------------------------------------------

    def _end_of_stream(self) -> None:
        exchange, state = self.exchange, self.state
        self.state = DONE
        if state == BODY and self._handed and exchange is not None and not exchange.body.complete:
            exchange.body.fail(Disconnected("the client hung up in the middle of a body"))
        elif not self.requests:
            self.conn.finish(linger=False)

    def _pull(self) -> None:
        """Wait for more of the body that an application is reading."""
        assert self._intake is not None  # or the body would have come at once
        self._intake.pull(self.feed)

    def is_answering(self) -> bool:
        """Whether an application is at work already, and reads the body."""
        return self._handed and self.exchange is not None and not self.requests

    def refuse(self, error: ClientError) -> None:
        """Take no more on this connection, and tell why."""
        self.state = DONE
        if self.is_answering():
            assert self.exchange is not None
            self.exchange.body.fail(error)  # the application hears of it when it reads on
        elif not self.requests:  # else that one is complete, and the connection ends after it
            self.forget()
            refused = self.refused()
            refused.refusal = (error.status, str(error))
            self.requests.append(refused)

    def _say(self, status: str, reason: str) -> None:
        self.state = DONE
        self.refused().refuse(status, reason)
        self.conn.finish(linger=True)

    def refused(self) -> CGIExchange:
        """Return what the server answers with by itself."""
        return self._exchange_of(self.framing, "GET", b"*", EMPTY, False)
