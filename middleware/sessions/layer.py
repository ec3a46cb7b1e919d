"""Remember users from one request to the next, by a cookie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Literal

from webob import Request, Response

from cptoolkit.middleware.fields import add_vary
from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.sessions.cleaning import Sweeper
from cptoolkit.middleware.sessions.cookie_fields import SessionCookie
from cptoolkit.middleware.sessions.failures import SessionUnavailable
from cptoolkit.middleware.sessions.options import check_options, class_of_type
from cptoolkit.middleware.sessions.session import LOCKINGS, Session
from cptoolkit.middleware.sessions.store import Store
from cptoolkit.middleware.sessions.stored import RamSession, StoredSession, parameters

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from cptoolkit.middleware.sessions.storage_options import StorageOptions as Base
else:
    Base = Layer

SESSION = "cptoolkit.session"
"""Where in the environ the session is."""

LONGEST = 100 * 366 * 24 * 60
"""A hundred years in minutes; no calendar goes on for ever."""

LAYER = "cptoolkit.sessions"
"""Where in the environ the layer is that it comes from."""


@dataclass(kw_only=True, eq=False)
class Sessions(Base):
    """Give each request the session of its user, in ``environ["cptoolkit.session"]``.

    A session costs nothing until it is touched. Then it is found by the cookie and loaded; it is
    stored, and the client given a cookie, once there is something in it. An id that the client
    made up is never taken over. One that was used lives on, and so does its cookie.

    Requests of one session at the same time keep each other's changes, by ``locking``:

    implicit
        A request has the session for itself from its first touch until its response is ready.
    early
        The same, but from the start, before the body of the request is read.
    explicit
        A request has it for itself after ``session.acquire_lock()``. Without that, as optimistic.
    optimistic
        No request waits for another. The values that one has changed are put into what is
        stored by then; of two that change the value of the same key, the later one wins.

    Nobody waits while a response is being sent. What a streamed body still changes is kept as
    under optimistic, in a session that the client knows already.

    If the store fails, the answer is 503, and one line in the log ``cptoolkit.sessions`` says why.

    Options beyond these are those of the storage class, ``storage_path`` of a FileSession say.

    :raises TypeError, ValueError: if an option does not exist or has a wrong value.
    """

    storage: Store | None = None
    """The store; without one the storage class opens its own."""
    storage_class: type[Session] | None = None
    """What a session is, RamSession if nothing else says so; may be a class of one's own."""
    storage_type: str | None = None
    """The storage class by name: ram, file, memcached, redis, sql or cookie."""
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # has secrets
    """Options of the storage class, for those who do not give them directly."""
    timeout: float = 60
    """Minutes that a session lives after it was last used."""
    clean_freq: float = 5
    """Minutes between two sweeps for expired sessions in a process; 0 for none."""
    locking: Literal["implicit", "early", "explicit", "optimistic"] = "implicit"
    """How requests of one session go together: see above."""
    lock_timeout: float | None = 30  # longer than pages take, shorter than clients wait
    """Seconds to wait for other requests of the session, then the answer is 503; None for ever."""
    name: str = "session_id"
    """The name of the cookie."""
    path: str | None = None
    """The path of the site that the cookie is for; None means the whole of it."""
    path_header: str | None = None
    """Where ``path`` is None: a header field of the request that has the path."""
    domain: str | None = None
    """The domain that the cookie is for with all below it; None means this host alone."""
    secure: bool | None = None  # a cookie once sent in the clear is known to all on the way
    """Whether the cookie is for HTTPS only; None means that one given by HTTPS is."""
    httponly: bool = True
    """Whether the cookie is kept from scripts in the page."""
    samesite: Literal["Lax", "Strict", "None"] | None = "Lax"
    """Whether requests from other sites bring the cookie along; None leaves it to the browser."""
    partitioned: bool = False
    """Whether each site that embeds this one gets a cookie of its own (CHIPS)."""
    persistent: bool = True
    """Whether the cookie outlives the browser's end, until the timeout."""
    debug: bool = False
    """Whether each step of a session is told to the log, at level INFO."""

    def __new__(cls, *args: Any, **options: Any) -> Sessions:
        return object.__new__(cls)  # what Layer does not know may be the storage class's

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_number("timeout", self.timeout)
        if not 0 < self.timeout <= LONGEST:
            raise ValueError(f"timeout must be 1 minute to 100 years, got {self.timeout} minutes")
        _require_number("clean_freq", self.clean_freq)
        if self.lock_timeout is not None:
            _require_number("lock_timeout", self.lock_timeout)
        if self.locking not in LOCKINGS:
            raise ValueError(f"locking must be one of {', '.join(LOCKINGS)}, got {self.locking!r}")
        self._cookie = SessionCookie(
            name=self.name,
            path=self.path,
            path_header=self.path_header,
            domain=self.domain,
            secure=self.secure,
            httponly=self.httponly,
            samesite=self.samesite,
            partitioned=self.partitioned,
            persistent=self.persistent,
        )
        self._max_age = round(60 * self.timeout)
        self._key = f"{LAYER} {id(self):x}"  # of another layer inside, SESSION is that one's
        kind = self._chosen_class()
        check_options(kind, self.storage is None, self.storage_options, self.option_names())
        self._new_session = self._session_maker(kind)
        common = ("timeout", "clean_freq", "locking", "lock_timeout", "debug")
        self._attributes = {
            name: value for name in common if (value := getattr(self, name)) != getattr(kind, name)
        }
        self._sweeper: Sweeper | None = None
        if self.clean_freq and self._new_session(None).wants_sweeps:
            self._sweeper = Sweeper(self._clean_up, 60 * self.clean_freq)

    def _chosen_class(self) -> type[Session]:
        kind: Any = self.storage_class
        if self.storage is not None and not isinstance(self.storage, Store):
            raise TypeError(f"storage must be a Store, got {self.storage!r}")
        if kind is None:
            if self.storage_type is not None:
                kind = class_of_type(self.storage_type)
            else:
                kind = RamSession if self.storage is None else StoredSession
        if not (isinstance(kind, type) and issubclass(kind, Session)):
            raise TypeError(f"storage_class must be a subclass of Session, got {kind!r}")
        if self.storage is not None and not issubclass(kind, StoredSession):
            raise TypeError(
                f"storage and storage_class {kind.__name__} exclude each other: leave one out"
            )
        return kind

    def _session_maker(self, kind: type[Session]) -> Callable[[str | None], Session]:
        """What makes the session of a request, from the id that the client sent."""
        options = dict(self.storage_options)
        times: dict[str, Any] = {"timeout": self.timeout, "clean_freq": self.clean_freq}
        kind.setup(**times, **options)
        storage: Any = self.storage
        if storage is None:
            opener: Callable[[], Callable[..., Any]] | None = getattr(kind, "opener", None)
            if opener is None:
                return partial(kind, **times, **options)
            open_store = opener()
            named = parameters(open_store)
            storage = open_store(**{name: options.pop(name) for name in named & set(options)})
        return partial(kind, storage=storage, **options)

    def _clean_up(self) -> None:
        self._new_session(None).clean_up()

    # -- one request -----------------------------------------------------------------------

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        session = self._new_session(self._cookie.read(environ))
        if self._attributes:
            vars(session).update(self._attributes)
        environ[SESSION] = environ[self._key] = session
        environ[LAYER] = self
        if self.locking == "early" and session.originalid is not None:
            session.load()
        return None

    def after(self, request: Request, response: Response) -> Response | None:
        session: Session | None = request.environ.get(self._key)
        if session is None:
            return None
        if not (session.loaded or session.failure):
            session.answered = True
            return None
        if session.failure is not None:
            # A framework makes what it likes of the exception. A page that has caught it may
            # well have done without the session.
            if response.status_int >= 500 and response.status_int != 503:
                raise SessionUnavailable() from session.failure
            add_vary(response.headerlist, "Cookie")
            return None
        if not session.answered:
            session.save()
            session.answered = True
            if self._sweeper is not None:
                self._sweeper.sweep_if_due()
        self._tell_client(session, request, response)
        return None

    def _tell_client(self, session: Session, request: Request, response: Response) -> None:
        fields = response.headerlist
        if session.stored:
            value = session.cookie_value
            if self.persistent or value != session.originalid:
                self._cookie.put(fields, request.environ, value, self._max_age)
                return
        elif session.ended and session.originalid is not None:
            self._cookie.put_deletion(fields, request.environ)
            return
        add_vary(fields, "Cookie")

    def finish(self, request: Request, response: Response | None) -> None:
        session: Session | None = request.environ.get(self._key)
        if session is not None and (session.loaded or session.locked):
            session.close()


def _require_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be 0 or more, got {value!r}")


def _with_storage_options(init: Callable[..., None]) -> Callable[..., None]:
    """Let a constructor take the options of a storage class directly."""

    @wraps(init)
    def wrapped(self: Sessions, app: WSGIApplication | None = None, **options: Any) -> None:
        known = self.option_names()
        own = {name: options.pop(name) for name in list(options) if name in known}
        if options:
            own["storage_options"] = {**own.get("storage_options", {}), **options}
        init(self, app, **own)

    return wrapped


# The dataclass has made the constructor, with a type for each option of the layer's own.
Sessions.__init__ = _with_storage_options(Sessions.__init__)  # type: ignore[method-assign]
