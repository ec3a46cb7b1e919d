"""Locks across processes and machines: leases that are renewed for as long as the process lives."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from abc import abstractmethod
from contextlib import suppress

from cptoolkit.middleware.sessions.store import Lock, LockTimeout, Store, StoreUnavailable

FIRST_PAUSE = 0.001
LONGEST_PAUSE = 0.03
"""Seconds between two attempts to get a lock: short at first, then not so short as to hammer."""

RETRY = 1
"""Seconds until a store that was unavailable is asked again."""


class LeaseStore(Store):
    """A store whose locks are notes in it, each with the token of its holder, that run out.

    :param lock_lease: seconds after which the lock of a process that has died is free. That of
        a living one is renewed in time.
    :param server_timeout: seconds to wait for a connection, and for an answer.
    :raises ValueError: if one of them is not more than 0.
    """

    def __init__(self, lock_lease: float, server_timeout: float) -> None:
        for name, value in {"lock_lease": lock_lease, "server_timeout": server_timeout}.items():
            if not value > 0:
                raise ValueError(f"{name} must be more than 0 seconds, got {value}")
        self.lock_lease = lock_lease
        self.server_timeout = server_timeout
        self.retry = min(RETRY, lock_lease / 3)
        """Seconds until it is asked again about a lease, when it was unavailable."""

    @abstractmethod
    def take_lease(self, id: str, token: str) -> bool:
        """Leave a note for the length of a lease, unless there is one of another holder."""

    @abstractmethod
    def renew_lease(self, id: str, token: str) -> bool:
        """Let the note run for the length of a lease from now, if it is still this holder's."""

    @abstractmethod
    def end_lease(self, id: str, token: str) -> None:
        """Remove the note, if it is still this holder's."""

    def lock(self, id: str, timeout: float | None) -> Lease:
        token = secrets.token_hex(16)
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE
        while not self._take(id, token):
            left = LONGEST_PAUSE if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise LockTimeout(f"the session has been locked for more than {timeout} s")
            # Not all at once, if several wait.
            time.sleep(min(left, random.uniform(pause / 2, pause)))
            pause = min(2 * pause, LONGEST_PAUSE)
        return Lease(self, id, token)

    def _take(self, id: str, token: str) -> bool:
        try:
            return self.take_lease(id, token)
        except StoreUnavailable:
            # The answer may be all that was lost, and then the note is there.
            Lease(self, id, token).release_later()
            raise


class Lease(Lock):
    """A lock of a :class:`LeaseStore`, just taken; renewed until it is released."""

    def __init__(self, store: LeaseStore, id: str, token: str) -> None:
        self.store, self._id, self._token = store, id, token
        self._lost = self._released = False
        self._run_from_now()
        _renewals.add(self)

    def _run_from_now(self) -> None:
        now = time.monotonic()
        self._runs_out = now + self.store.lock_lease
        self.due = now + self.store.lock_lease / 3
        """When to see to it again, in seconds of the monotonic clock."""

    def held(self) -> bool:
        """Ask the store, and run from now.

        It may have been lost by a process that was stopped for longer than a lease, or by a store
        that was restarted, or has thrown it out for want of memory.

        :raises StoreUnavailable: if it cannot tell.
        """
        return not self._released and self._renew()

    def release(self) -> None:
        if not self._released and _renewals.knows(self):
            self._released = True
            self.see_to_it()

    def release_later(self) -> None:
        """Release it from the thread that renews, when the store has had time to recover."""
        self._released = True
        self.postpone()

    def _renew(self) -> bool:
        if not self._lost:
            if self.store.renew_lease(self._id, self._token):
                self._run_from_now()
            else:
                self._lost = True
        return not self._lost

    def see_to_it(self) -> bool:
        """Renew it, or end it if it was released; and do so again if the store is unavailable.

        :returns: whether the store was available.
        """
        try:
            if self._released:
                self.store.end_lease(self._id, self._token)
                again = False
            else:
                again = self._renew()
        except StoreUnavailable:
            self.postpone()
            return False
        if not again:
            _renewals.remove(self)
        return True

    def postpone(self) -> None:
        """See to it later. A note that stayed would keep others waiting when the store is back."""
        now = time.monotonic()
        self.due = now + self.store.retry
        if self._released and now >= self._runs_out:
            _renewals.remove(self)
        else:
            _renewals.add(self)


class _Renewals:
    """The leases that this process holds, and the thread that renews them.

    Most are released long before they are due, so that a thread for each would be in vain: there
    is one, which starts with a lease, sleeps until that is due, and ends if it finds none then.
    """

    def __init__(self) -> None:
        self._leases: set[Lease] = set()
        self._wakes_at: float | None = None  # None while there is no thread
        self._changed = threading.Condition()

    def add(self, lease: Lease) -> None:
        with self._changed:
            if self._wakes_at is None:
                with suppress(RuntimeError):  # no more threads are to be had; the next lease tries
                    threading.Thread(target=self._run, name="session leases", daemon=True).start()
                    self._wakes_at = lease.due
            elif lease.due < self._wakes_at:
                self._wakes_at = lease.due
                self._changed.notify()
            self._leases.add(lease)

    def remove(self, lease: Lease) -> None:
        with self._changed:
            self._leases.discard(lease)

    def knows(self, lease: Lease) -> bool:
        """Whether it is one of this process, and not yet lost."""
        return lease in self._leases

    def _run(self) -> None:
        rests: dict[LeaseStore, float] = {}  # stores that are not asked until then
        try:
            while due := self._wait():
                for lease in due:  # without the mutex: others may come and go meanwhile
                    if time.monotonic() < rests.get(lease.store, 0):
                        lease.postpone()
                    elif not lease.see_to_it():
                        rests[lease.store] = time.monotonic() + lease.store.retry / 2
        except BaseException:
            with self._changed:
                self._wakes_at = None  # so that the next lease starts another thread
            raise

    def _wait(self) -> list[Lease]:
        """Wait until leases are due; none if there is nothing to wait for any more."""
        with self._changed:
            while self._wakes_at is not None:
                pause = self._wakes_at - time.monotonic()
                if pause > 0:
                    self._changed.wait(pause)
                    continue
                due = [lease for lease in self._leases if lease.due <= self._wakes_at]
                self._wakes_at = min((lease.due for lease in self._leases), default=None)
                if due:
                    return due
            return []


_renewals = _Renewals()


def _start_over() -> None:
    """In a child there is no such thread, and what its parent holds is none of its business."""
    global _renewals
    _renewals = _Renewals()


os.register_at_fork(after_in_child=_start_over)
