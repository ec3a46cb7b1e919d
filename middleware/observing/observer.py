"""Watch exchanges from the request's arrival to the last byte of the response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from webob import Request, Response
from webob.exc import HTTPException

from cptoolkit.middleware import bodies, fields
from cptoolkit.middleware.layer import Layer, refused
from cptoolkit.middleware.observing.exchange import Exchange


@dataclass(kw_only=True, eq=False)
class Observer(Layer):
    """A layer that changes nothing, and is told of every exchange at its begin and its end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Observers of one kind may be nested, with different options.
        self._key = f"cptoolkit.{type(self).__name__.lower()}.{id(self):x}"

    def begun(self, exchange: Exchange) -> None:
        """A request has come."""

    def ended(self, exchange: Exchange) -> None:
        """The last byte of a response has been taken, or the client has gone, or all has failed."""

    # -- around an application ---------------------------------------------------------------

    def respond(self, request: Request) -> Response:
        """Let the application within answer a request."""
        exchange = Exchange(request.environ)
        self.begun(exchange)
        try:
            try:
                response = self.next(request)
            except HTTPException as refusal:
                response = refused(refusal, request.environ)
        except BaseException as error:
            exchange.error = error
            exchange.answered = True
            exchange.end()
            self.ended(exchange)
            raise
        exchange.answered = True
        body = CountedBody(response.app_iter, exchange, response, self._settle)
        bodies.replace(response, body)
        return response

    # -- as a tool ---------------------------------------------------------------------------

    def before(self, request: Request) -> Response | None:
        self._begin(request)
        return None

    def after(self, request: Request, response: Response) -> Response | None:
        exchange = self._exchange(request)
        if exchange is None:
            return None
        exchange.answered, exchange.complete, exchange.sent = True, False, 0
        body: Any = response.app_iter
        if not getattr(response, "stream", False) and (
            type(body) is list or fields.get(response.headerlist, "content-length") is None
        ):
            exchange.complete = True  # as one block, of which the Application tells the length
        else:
            bodies.replace(response, CountedBody(body, exchange))
        return None

    def finish(self, request: Request, response: Response | None) -> None:
        exchange = self._exchange(request)
        if exchange is None or response is None:
            return
        self.ignore(request)
        if not exchange.answered:
            # Another answer may have come in the place of that which a later hook refused.
            exchange.answered = exchange.complete = response.status_int >= 300
        if exchange.complete and not exchange.sent:
            exchange.sent = response.content_length or 0
        self._settle(exchange, response)

    def ignore(self, request: Request) -> None:
        """Leave this request alone."""
        request.environ[self._key] = None

    def _begin(self, request: Request) -> Exchange:
        exchange = Exchange(request.environ)
        request.environ[self._key] = exchange
        self.begun(exchange)
        return exchange

    def _exchange(self, request: Request) -> Exchange | None:
        try:
            known: Exchange | None = request.environ[self._key]
        except KeyError:
            return self._begin(request)  # an earlier hook has refused it
        return known

    # -- the end -----------------------------------------------------------------------------

    def _settle(self, exchange: Exchange, response: Response) -> None:
        exchange.status = status = int(response.status[:3])
        if exchange.method == "HEAD" or status in (204, 304):
            exchange.sent, exchange.complete = 0, True
        elif not exchange.complete and exchange.error is None:
            # A host need not draw on when it has the length that was promised.
            exchange.complete = exchange.sent == response.content_length
        exchange.end()
        self.ended(exchange)


class CountedBody:
    """A body that notes how much of it is drawn.

    :param response: that which has this body. It is let go of in the end, or the two would keep
        each other, and the environ with them, until the garbage collector comes.
    :param ended: is told of both when the body is closed.
    """

    __slots__ = ("_body", "_ended", "_exchange", "_response")

    def __init__(
        self,
        body: Iterable[bytes],
        exchange: Exchange,
        response: Response | None = None,
        ended: Callable[[Exchange, Response], None] | None = None,
    ) -> None:
        self._body: Iterable[bytes] | None = body
        self._exchange = exchange
        self._response = response
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        body = self._body
        if type(body) is list and len(body) == 1:
            # Who takes of it takes it whole: that needs no generator, which would take its time.
            exchange = self._exchange
            exchange.sent, exchange.complete = len(body[0]), True
            return iter(body)
        return self._counted(() if body is None else body)

    def _counted(self, body: Iterable[bytes]) -> Iterator[bytes]:
        exchange = self._exchange
        try:
            for block in body:
                exchange.sent += len(block)
                yield block
        except Exception as error:
            exchange.error = error
            raise
        exchange.complete = True

    def close(self) -> None:
        body = self._body
        if body is None:
            return
        self._body = None
        try:
            if type(body) is not list:
                bodies.close(body)
        finally:
            response, self._response = self._response, None
            if self._ended is not None and response is not None:
                self._ended(self._exchange, response)
