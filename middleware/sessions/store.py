"""What a place to keep sessions in has to do, and how data becomes bytes and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class StoreUnavailable(Exception):
    """The store cannot be reached, or does not do what it is asked: a 503 for the client."""


class LockTimeout(StoreUnavailable):
    """Another request has held the lock of the session for too long."""


class BrokenRecord(ValueError):
    """What is stored cannot be read: it was cut short, forged, or made by other code."""


Record = tuple[dict[str, Any], float]
"""A session as it is stored: its data, and when it ends in seconds since the epoch."""


class Lock(ABC):
    """The right to change one session, held by one request.

    It ends by itself when its holder dies: the process, or the connection to the store.
    """

    @abstractmethod
    def held(self) -> bool:
        """Whether the right is still there; one that runs for a limited time may have run out."""

    @abstractmethod
    def release(self) -> None:
        """Let others have it. Once is enough, more does no harm, and nothing is raised."""


class Store(ABC):
    """Where sessions are kept; one object serves all threads, also after a fork.

    Ids have been checked before a store sees them: they are letters, digits, ``-`` and ``_``,
    128 at most. All methods raise :class:`StoreUnavailable` if the store fails.
    """

    @abstractmethod
    def load(self, id: str) -> Record | None:
        """What was saved last; None if there is nothing, or it has expired.

        The data are the caller's own: to change them changes nothing in the store.

        :raises BrokenRecord: if it cannot be read.
        """

    @abstractmethod
    def save(self, id: str, data: dict[str, Any], expires: float) -> None:
        """Keep data until a time, whole or not at all: a reader never sees half of it.

        :param expires: seconds since the epoch.
        :raises TypeError: if the serializer cannot take the data; says which key.
        """

    @abstractmethod
    def touch(self, id: str, expires: float) -> None:
        """Let a session live until another time; one that has expired stays so."""

    @abstractmethod
    def delete(self, id: str) -> None:
        """Forget a session; one that is not there is no error."""

    @abstractmethod
    def lock(self, id: str, timeout: float | None) -> Lock:
        """Wait for the right to change a session, and take it. It need not exist yet.

        :param timeout: seconds to wait at most; None for ever, 0 not at all.
        :raises LockTimeout: if another one has held it all the time.
        """

    def clean_up(self, now: float) -> None:  # noqa: B027, for most need not do anything
        """Remove what has expired, for stores that do not see to that themselves."""

    def exists(self, id: str) -> bool:
        """Whether there is a session that has not expired."""
        try:
            return self.load(id) is not None
        except BrokenRecord:
            return False

    def __bool__(self) -> bool:
        return True  # also while it is empty

    @abstractmethod
    def __len__(self) -> int:
        """How many sessions there are, expired ones perhaps included."""
