"""Answer with what has been answered before: an HTTP cache (RFC 9111)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webob import Request, Response
from webob.exc import HTTPGatewayTimeout

from cptoolkit.middleware import bodies, fields
from cptoolkit.middleware.caching.control import Directives, asked, seconds, vary
from cptoolkit.middleware.caching.flights import Flight, Flights
from cptoolkit.middleware.caching.keys import Key, same_origin, uri_of
from cptoolkit.middleware.caching.replies import (
    add_status,
    client_has,
    reply,
    to_keep,
)
from cptoolkit.middleware.caching.stores import CacheStore, RAMStore
from cptoolkit.middleware.caching.tee import Tee
from cptoolkit.middleware.caching.visit import Visit
from cptoolkit.middleware.conditional import not_modified
from cptoolkit.middleware.layer import Layer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

LONGEST_URI = 4096
"""Characters of host, path and query past which an answer is not kept."""


@dataclass(kw_only=True, eq=False)
class Cache(Layer):
    """Keep answers to GET, and give them to those who ask again (RFC 9111; a shared cache).

    How long an answer is fresh is said by its ``s-maxage``, ``max-age`` or ``Expires``, and by
    ``delay`` if it does not say. Never kept are answers that are private, no-store or no-cache,
    that set a cookie, that vary by "*", that are part of a whole, or that are for somebody: to a
    request with ``Authorization``, or whose ``REMOTE_USER`` is known, unless they are marked
    public. One that varies is kept for each combination of the request fields in ``Vary``.

    Of many who ask at once for what is not there, one goes on to the application, and the others
    wait for its answer. They stop waiting as soon as it turns out not to be kept.

    A body that does not say its length stays a stream, and is kept once it has ended well; nobody
    waits for that. Requests for a range, those with ``If-Match`` or ``If-Unmodified-Since``, and
    those with content, go to the application. A layer that finds out host and scheme of a request
    behind a proxy has to stand around this one, for they are part of what answers are kept under.

    :raises ValueError: if an option is out of its range.
    :raises TypeError: if one is of the wrong type.
    """

    delay: float = 600
    """Seconds for which an answer is fresh that does not say how long."""
    force: bool = False
    """Whether ``delay`` counts, also where the answer says how long it is fresh."""
    maxobjects: int = 1000
    """How many answers are kept in RAM; then those that were not asked for longest go."""
    maxobj_size: int = 100_000
    """The largest body that is kept, in bytes."""
    maxsize: int = 10_000_000
    """How many bytes all answers in RAM may take."""
    antistampede_timeout: float | None = 5
    """Seconds to wait for another request's answer at most; None or 0 not to wait at all."""
    expire_freq: float = 0.1
    """Seconds between two removals from RAM of what has expired, as requests come."""
    invalid_methods: Sequence[str] | None = None
    """Methods that make the cache forget the URI they succeed for; None for all that are not
    safe, as RFC 9111, section 4.4 has it."""
    hosts: Sequence[str] = ()
    """The hosts whose answers are kept, without a port for any port; empty for all hosts."""
    store: CacheStore | str | None = None
    """Where answers are kept: None for RAM, or a store to share with other processes. A URL
    ``redis://...`` stands for a :class:`~cptoolkit.middleware.caching.redis.RedisStore`."""
    debug: bool = False
    """Whether ``Cache-Status`` says what the cache has done (RFC 9211)."""
    clock: Callable[[], float] = field(default=time.time, repr=False)
    """Gives the time, in seconds since the epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("delay", "maxobjects", "maxobj_size", "maxsize", "expire_freq"):
            _check_number(name, getattr(self, name))
        if self.antistampede_timeout is not None:
            _check_number("antistampede_timeout", self.antistampede_timeout)
        self._hosts = frozenset(host.lower() for host in _texts("hosts", self.hosts))
        methods = self.invalid_methods
        self._changing = None if methods is None else frozenset(_texts("invalid_methods", methods))
        self.kept = self._make_store()
        """The store in use."""
        self._flights = Flights()
        # Not one name for all: a cache may stand around another one.
        self._slot = f"cptoolkit.cache.{id(self):x}"

    def _make_store(self) -> CacheStore:
        store = self.store
        if store is None:
            return RAMStore(self.maxobjects, self.maxsize, self.expire_freq, self.clock)
        if isinstance(store, CacheStore):
            return store
        if not isinstance(store, str):
            raise TypeError(f"store must be a CacheStore, a URL of Redis or None, got {store!r}")
        if not store.startswith(("redis://", "rediss://", "unix://")):
            scheme = store.partition(":")[0]  # and no more: what follows may have a password
            raise ValueError(f"store must be such as 'redis://localhost/0', got one of {scheme!r}")
        from cptoolkit.middleware.caching.redis import RedisStore  # not above: few have Redis

        return RedisStore(store)

    # -- on the way in -------------------------------------------------------------------------

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        environ.pop(self._slot, None)  # an internal redirect hands a copy of its environ on
        uri = self.uri(environ)
        if uri is None:
            return None
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            if method not in SAFE if self._changing is None else method in self._changing:
                environ[self._slot] = Visit(uri, changes=True)
            return None
        if (
            "HTTP_RANGE" in environ
            or "HTTP_IF_MATCH" in environ
            or "HTTP_IF_UNMODIFIED_SINCE" in environ
            or has_content(environ)
        ):
            return None
        credentials = "HTTP_AUTHORIZATION" in environ or bool(environ.get("REMOTE_USER"))
        visit = Visit(uri, credentials=credentials)
        wishes = asked(environ)
        answer = self._look(visit, environ, wishes)
        if answer is not None:
            return answer
        if "only-if-cached" in wishes:
            raise HTTPGatewayTimeout("There is no kept answer, and no other was asked for.")
        if method == "HEAD" or "no-store" in wishes:
            return None
        visit.environ = environ.copy()
        if self.antistampede_timeout and not credentials and "no-cache" not in wishes:
            answer = self._wait_or_lead(visit, environ, wishes)
            if answer is not None:
                return answer
        environ[self._slot] = visit
        return None

    def uri(self, environ: WSGIEnvironment) -> Key | None:
        """What the answer to a request is kept under; None for one that is none of the cache's."""
        uri = uri_of(environ)
        hosts = self._hosts
        if hosts and uri[1] not in hosts and uri[1].rpartition(":")[0] not in hosts:
            return None
        return uri if len(uri[1]) + len(uri[2]) + len(uri[3]) <= LONGEST_URI else None

    def _look(self, visit: Visit, environ: WSGIEnvironment, wishes: Directives) -> Response | None:
        now = self.clock()
        found = visit.look(self.kept, environ, wishes, now)
        return None if found is None else reply(found, environ, now, self.debug)

    def _wait_or_lead(
        self, visit: Visit, environ: WSGIEnvironment, wishes: Directives
    ) -> Response | None:
        """The answer that another request brings; None if this one is to ask the application."""
        deadline = time.monotonic() + (self.antistampede_timeout or 0)
        overdue: Flight | None = None
        while True:
            flight, leads = self._flights.board(visit.key, overdue)
            if flight is None:
                return None
            left = deadline - time.monotonic()
            if leads:
                visit.flight = flight
                return self._lead(visit, environ, wishes, left)
            if left <= 0 or not flight.wait(left):
                overdue = flight  # its request may be dead: the next ones shall wait for this one
            elif not flight.kept:
                return None
            else:
                answer = self._look(visit, environ, wishes)
                if answer is not None:
                    return answer

    def _lead(
        self, visit: Visit, environ: WSGIEnvironment, wishes: Directives, left: float
    ) -> Response | None:
        try:
            visit.claim = self.kept.claim(visit.key, self.antistampede_timeout or 0)
            if visit.claim is None:
                self.kept.wait(visit.key, left)
            # Another request may have landed between our first look and the flight.
            answer = self._look(visit, environ, wishes)
        except BaseException:
            self._land(visit, False)
            raise
        if answer is not None:
            self._land(visit, True)
            return answer
        # What this client has already must not keep the answer from those who wait for it.
        names = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE")
        visit.conditions = {name: environ.pop(name) for name in names if name in environ}
        return None

    # -- on the way out ------------------------------------------------------------------------

    def after(self, request: Request, response: Response) -> Response | None:
        environ = request.environ
        visit: Visit | None = environ.pop(self._slot, None)
        if visit is None:
            return None
        if visit.changes:
            self._invalidate(visit.uri, response)
            return None
        environ.update(visit.conditions or ())
        try:
            self._keep(visit, environ, response)
            sent = response.headerlist
            if self.debug:
                add_status(sent, f"fwd={visit.why}")
            if visit.conditions and client_has(environ, response.status, sent):
                return not_modified(response)
        except BaseException:
            self._land(visit, False)
            raise
        return None

    def respond(self, request: Request) -> Response:
        try:
            return super().respond(request)
        except BaseException:
            self.give_up(request)
            raise

    def give_up(self, request: Request) -> None:
        """Let go on who waits for the answer to a request, for there will be none.

        After :meth:`after` there is nothing to give up.
        """
        visit: Visit | None = request.environ.pop(self._slot, None)
        if visit is not None:
            request.environ.update(visit.conditions or ())
            self._land(visit, False)

    def awaits(self, request: Request) -> bool:
        """Whether :meth:`after` may keep the answer to a request."""
        visit: Visit | None = request.environ.get(self._slot)
        return visit is not None and not visit.changes

    def _keep(self, visit: Visit, environ: WSGIEnvironment, response: Response) -> None:
        """Keep a response, or see to it that it is kept when it has been sent."""
        sent, body = response.headerlist, response.app_iter
        credentials = visit.credentials or bool(environ.get("REMOTE_USER"))
        answer = to_keep(response, credentials, self.clock(), self.delay, self.force)
        length = seconds(fields.get(sent, "content-length"))
        if answer is None or (length is not None and length > self.maxobj_size):
            # What has failed may go better the next time, and 304 is not the answer for all.
            self._land(visit, False, response.status[0] != "5" and response.status[:3] != "304")
            return
        names = vary(sent)

        def put(whole: bytes) -> bool:
            # A body of another length than it says was cut short (RFC 9111, section 3.3).
            if len(whole) > self.maxobj_size or length not in (None, len(whole)):
                return False
            answer.body = whole
            answer.fields.append(("Content-Length", str(len(whole))))
            return visit.keep(self.kept, answer, names)

        if isinstance(body, (list, tuple)):
            whole = b"".join(body)
        elif visit.flight is not None and length is not None:
            # Others wait for it, and shall not have to wait for this client to read it.
            whole = bodies.collect(response)
        else:
            self._land(visit, False)  # a stream may be without end
            bodies.replace(response, Tee(body, self.maxobj_size, put))
            return
        self._land(visit, put(whole), remember=len(whole) > self.maxobj_size)

    def _invalidate(self, uri: Key, response: Response) -> None:
        """Forget what a request that has not failed may have changed (RFC 9111, section 4.4)."""
        if response.status[0] not in "23":
            return
        self.kept.invalidate(uri)
        for name in ("location", "content-location"):
            value = fields.get(response.headerlist, name)
            other = same_origin(uri, value) if value else None
            if other is not None:
                self.kept.invalidate(other)

    def _land(self, visit: Visit, kept: bool, remember: bool = False) -> None:
        flight, visit.flight = visit.flight, None
        if flight is None:
            return
        if visit.claim is not None:
            self.kept.release(flight.key, visit.claim)
        self._flights.land(flight, kept, remember)

    # -- on demand -----------------------------------------------------------------------------

    def forget(self, environ: WSGIEnvironment) -> None:
        """Forget the answers for the URI of a request."""
        uri = self.uri(environ)
        if uri is not None:
            self.kept.invalidate(uri)

    def clear(self) -> None:
        """Forget all answers."""
        self.kept.clear()


def has_content(environ: WSGIEnvironment) -> bool:
    """Whether a GET has content. An application may heed it, and a cache has no key for that."""
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or (
        "HTTP_TRANSFER_ENCODING" in environ
    )


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more, got {value!r}")


def _texts(name: str, value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(
        isinstance(text, str) for text in texts
    ):
        raise TypeError(f"{name} must be a list of texts, got {value!r}")
    return list(texts)
