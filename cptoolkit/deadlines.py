"""Deadlines, under the names of CherryPy's ``lib.locking``."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class LockTimeout(Exception):
    """A lock could not be had in time."""


class NeverExpires:
    """A timer that never is over."""

    def expired(self) -> bool:
        """Whether the time is over."""
        return False


class Timer:
    """A timer that is over at a moment.

    :param expiration: the moment, in the local time zone or in one that it names.
    """

    def __init__(self, expiration: datetime) -> None:
        self.expiration = expiration

    @classmethod
    def after(cls, elapsed: float | timedelta) -> Timer:
        """A timer that is over when so much time has passed, given in seconds or as timedelta."""
        if not isinstance(elapsed, timedelta):
            elapsed = timedelta(seconds=elapsed)
        return cls(datetime.now(timezone.utc) + elapsed)

    def expired(self) -> bool:
        """Whether the time is over."""
        return datetime.now(timezone.utc) >= self.expiration.astimezone(timezone.utc)


class LockChecker:
    """Ends waiting for the lock of a session in time.

    :param session_id: for the message.
    :param timeout: seconds or a timedelta; None waits for ever.
    """

    def __init__(self, session_id: str, timeout: float | timedelta | None) -> None:
        self.session_id = session_id
        self.timer: Timer | NeverExpires = (
            NeverExpires() if timeout is None else Timer.after(timeout)
        )

    def expired(self) -> bool:
        """Return False while there is time.

        :raises LockTimeout: when there is none any more.
        """
        if self.timer.expired():
            raise LockTimeout(
                f"the lock of the session {self.session_id} was not to be had in time"
            )
        return False
