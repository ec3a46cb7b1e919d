"""A session as a page sees it: a mapping that is found, locked and kept as it is needed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from cptoolkit.middleware.sessions.changes import LazyMapping
from cptoolkit.middleware.sessions.failures import answering_503, logger
from cptoolkit.middleware.sessions.ids import ATTEMPTS, is_generated, is_well_formed, new_id
from cptoolkit.middleware.sessions.store import BrokenRecord, StoreUnavailable

LOCKINGS = ("implicit", "early", "explicit", "optimistic")


class Session(LazyMapping):
    """What a site remembers of a user: a mapping.

    It is found when it is first touched: only then is it looked for, locked if the locking says
    so, and loaded. What has been changed, also inside of a list or dict, is saved when the
    response is ready.

    A class of one's own (reference, 4.6.3) overrides :meth:`_load`, :meth:`_save` and
    :meth:`_delete`, and :meth:`acquire_lock` and :meth:`release_lock` for sessions that are not
    to lose updates; ``self.id`` is the session that is meant.

    :param id: what the client sent; None if nothing.
    :param options: attributes to set.
    """

    timeout: float = 60
    """Minutes that a session lives after it was last used."""
    clean_freq: float = 5
    """Minutes between two sweeps for expired sessions; 0 for none."""
    locking: str = "implicit"
    """When the lock is taken: see :class:`~cptoolkit.middleware.sessions.Sessions`."""
    lock_timeout: float | None = 30
    """Seconds to wait for the lock at most; None for ever."""
    debug: bool = False
    """Whether each step is told to the log ``cptoolkit.sessions``, at level INFO."""

    originalid: str | None = None
    """The id that the client sent; None if it sent none."""
    regenerated: bool = False
    """Whether :meth:`regenerate` has been called."""
    locked: bool = False
    """Whether this request has the lock."""
    ended: bool = False
    """Whether :meth:`delete` or :meth:`expire` has been called."""
    stored: bool = False
    """Whether there is a record of it in the store."""
    answered: bool = False
    """Whether the header fields of the response are made: the lock is not taken any more, and a
    session that the client does not know yet can no more be told to it."""
    failure: StoreUnavailable | None = None
    """Why the store could not be used, if it could not."""

    _id = ""  # until it is known
    _missing = False
    _exclusive = False  # nobody else can have changed it since it was loaded
    _discarded = False  # nothing is to be saved any more

    is_id: ClassVar[staticmethod[[str], object]] = staticmethod(is_generated)
    """Whether an id could have come from :meth:`generate_id`; only such ones reach a store."""

    def __init__(self, id: str | None = None, **options: Any) -> None:
        self.originalid = id
        for name, value in options.items():
            setattr(self, name, value)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.generate_id is not Session.generate_id and cls.is_id is is_generated:
            cls.is_id = staticmethod(is_well_formed)

    # -- what a store of one's own overrides -----------------------------------------------

    @classmethod
    def setup(cls, **options: Any) -> None:
        """See the options, once for each layer that uses the class, before its first request."""

    def _load(self) -> tuple[dict[Any, Any], datetime] | None:
        """The data of ``self.id`` and when they expire; None if there are none."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to _load()")

    def _save(self, expiration_time: datetime) -> None:
        """Store ``self._data`` for ``self.id``."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to _save()")

    def _delete(self) -> None:
        """Remove what is stored for ``self.id``, if anything is."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to _delete()")

    def _exists(self) -> bool:
        """Whether anything is stored for ``self.id``."""
        return self._load() is not None

    def acquire_lock(self) -> None:
        """Keep other requests of this session waiting. Without an override nothing does."""
        self.locked = True

    def release_lock(self) -> None:
        """Let other requests of this session go on."""
        self.locked = False

    def clean_up(self) -> None:
        """Remove expired sessions."""

    @property
    def wants_sweeps(self) -> bool:
        """Whether :meth:`clean_up` has anything to do now and then."""
        return type(self).clean_up is not Session.clean_up

    def generate_id(self) -> str:
        """A new id. It must not be guessable; letters, digits, ``-`` and ``_``, 128 at most."""
        return new_id()

    def now(self) -> datetime:
        """The time that expiry is reckoned from: local, without a time zone."""
        return datetime.now()

    @property
    def cookie_value(self) -> str:
        """What the client is to send with its next request, once the session is stored."""
        return self._id

    # -- the same in seconds since the epoch, in which the rest of the class reckons -----------

    def _find(self) -> tuple[dict[Any, Any], float] | None:
        found = self._load()
        if found is None:
            return None
        data, expires = found[0], found[1].timestamp()  # local time alone jumps back once a year
        return (data, expires) if expires > self.now().timestamp() else None

    def _keep(self, expires: float) -> None:
        self._save(datetime.fromtimestamp(expires, self.now().tzinfo))

    def _prolong(self, expires: float) -> None:
        """Let what is stored live until another time."""
        if self._has_lock():
            self._keep(expires)
        else:
            self._merge()

    def _expiration(self) -> float:
        return self.now().timestamp() + 60 * self.timeout

    # -- the id ----------------------------------------------------------------------------

    @property
    def missing(self) -> bool:
        """Whether the client sent an id of which there is no session (any more)."""
        if not self.loaded and self.originalid is not None:
            self._open()
        return self._missing

    @property
    def id(self) -> str:
        """The id: that of the client if there is such a session, else a new one."""
        if not self._id:
            self._open()
        return self._id

    @id.setter
    def id(self, id: str) -> None:
        if not is_well_formed(id):
            raise ValueError(f"id must be letters, digits, '-' and '_', 128 at most, got {id!r}")
        self._id = id
        self.stored = False

    def _take_new_id(self) -> None:
        if type(self).generate_id is Session.generate_id:  # of those, none is ever taken
            self.id = self.generate_id()
            return
        for _ in range(ATTEMPTS):
            self.id = self.generate_id()
            if not self._exists():
                return
        self._id = ""
        raise RuntimeError(
            f"generate_id() of {type(self).__name__} has given {ATTEMPTS} ids that are taken"
        )

    # -- from the store and back -----------------------------------------------------------

    @answering_503
    def _open(self) -> None:
        """Find the session that the client means, or begin a new one: its first touch."""
        self._find_or_begin()

    def _find_or_begin(self, lock: bool = False) -> None:
        """Do what :meth:`_open` does.

        :param lock: whether to lock it even if :attr:`locking` does not say so.
        """
        claimed = self._id or self.originalid
        if claimed is not None:
            if self.is_id(claimed):
                self._id = claimed
                locks = lock or (self.locking in ("implicit", "early") and not self.answered)
                if locks and not self.locked:
                    self._lock_first()
                if self._fetch():
                    return
            self._missing = True
            if self.debug:
                self._tell("the client's id is not known")
        self._begin_anew()
        if lock:
            self.acquire_lock()

    def _begin_anew(self) -> None:
        self._unlock()
        self._data = {}
        self._seen = {}
        self._take_new_id()
        self.loaded = self._exclusive = True

    def _fetch(self) -> bool:
        """Take over what is stored; False if there is nothing, or it has expired or is broken."""
        try:
            found = self._find()
        except BrokenRecord as error:
            logger.warning("a session could not be read and has been dropped: %s", error)
            self._delete()
            return False
        if found is None:
            return False
        self._data = found[0]
        self._seen = {}
        self._cleared = False
        self.loaded = self.stored = True
        self._exclusive = self.locked
        if self.debug:
            self._tell("loaded")
        return True

    @answering_503
    def load(self) -> None:
        """Load what is stored, in place of what has been changed and not saved."""
        if not self.loaded:
            self._open()
        elif not self._fetch():
            self._begin_anew()

    @answering_503
    def save(self) -> None:
        """Store what has been changed, let the session live on, and release the lock."""
        try:
            if self.loaded and not self._discarded and not self._write_back() and self.stored:
                self._prolong(self._expiration())
        finally:
            self._unlock()
            self._exclusive = False

    def _write_back(self) -> bool:
        """Store what has been changed; whether anything has."""
        if not (self._has_changed() if self.stored else self._data):
            return False
        if self.stored and not self._has_lock():
            self._merge()
        else:
            self._keep(self._expiration())
        self.stored = not self._discarded
        self._seen = {}
        self._cleared = False
        if self.debug:
            self._tell("saved")
        return True

    def _merge(self) -> None:
        """Put the values that have been changed into what others have stored meanwhile."""
        self._unlock()
        self._lock_anew()
        try:
            if self._refresh():
                self._keep(self._expiration())
            else:
                # Another request has ended it, which saving would undo.
                logger.info("a session has ended while a request changed it")
                self._discarded = True
        finally:
            self._unlock()

    def _refresh(self) -> bool:
        """Load what is stored, and do to it what has been done here; False if it is gone."""
        before, cleared = self._data, self._cleared
        changed = list(before) if cleared else self._changed_keys()
        found = self._fetch()
        if not found:
            self._data, self._seen, self.stored = {}, {}, False
        if cleared:
            self.clear()
        for key in changed:
            if key not in self._seen:
                self._remember(key)
            if key in before:
                self._data[key] = before[key]
            else:
                self._data.pop(key, None)
        return found

    # -- the lock --------------------------------------------------------------------------

    def _lock_first(self) -> None:
        """Lock what has not been loaded yet."""
        self.acquire_lock()

    def _lock_anew(self) -> None:
        self.acquire_lock()

    def _unlock(self) -> None:
        if self.locked:
            self.release_lock()

    def _has_lock(self) -> bool:
        """Whether the lock has been held ever since the data were loaded."""
        return self._exclusive and self.locked

    def close(self) -> None:
        """End the request: release the lock, and keep what a streamed body has changed.

        Of a request that has failed nothing is kept. Nothing is raised: there is nobody left to be
        told but the log.
        """
        untouched = not (self._seen or self._cleared)  # since it was saved
        if self.answered and untouched and not self.locked:
            return
        try:
            if self.answered and self.loaded and self.failure is None and not self._discarded:
                if self.stored:
                    self._write_back()
                elif self._data:
                    logger.warning("a session begun by a streamed body is lost: no cookie names it")
        except Exception as error:  # a serializer, or a class of one's own, may raise anything
            logger.error("what a streamed body has changed in the session is lost: %s", error)
        finally:
            self._unlock()
            self.answered = True

    # -- beginning and end -----------------------------------------------------------------

    @answering_503
    def regenerate(self) -> None:
        """Go on under a new id with the same data: at login, so that no id known before is good.

        What is stored under the old id goes at once.
        """
        if not self.loaded:
            self._open()
        locked = self.locked
        if self.stored:
            if not self._has_lock():
                self._unlock()
                self._lock_anew()
                self._refresh()
            self._delete()
        self._unlock()
        self._take_new_id()
        self._exclusive = self.regenerated = True
        if locked:
            self.acquire_lock()
        if self.debug:
            self._tell("goes on under a new id")

    @answering_503
    def delete(self) -> None:
        """End the session: what is stored, and the cookie. What is set later begins a new one."""
        if not self.loaded:
            self._open()
        if self.stored:
            if not self._has_lock():  # else one who is saving right now would bring it back
                self._unlock()
                self._lock_anew()
            self._delete()
        self._begin_anew()
        self.ended = True
        if self.debug:
            self._tell("ended")

    def expire(self) -> None:
        """End the session for good: what this request sets later is not kept either."""
        self.delete()
        self._discarded = True

    def _tell(self, what: str) -> None:
        logger.info("session %.8s: %s", self._id, what)  # the whole id would let a reader in

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{'' if self.loaded else ', not loaded'}>"
