"""Locks that run out: their thread, and what it does when the store fails."""

from __future__ import annotations

import threading
import time

import pytest

from cptoolkit.middleware.sessions import lease
from cptoolkit.middleware.sessions.lease import LeaseStore
from cptoolkit.middleware.sessions.store import LockTimeout, StoreUnavailable


class Notes(LeaseStore):
    """Leases in a dict, without the sessions they are of; fails when it is told to."""

    def __init__(self, lock_lease):
        super().__init__(lock_lease, 1)
        self.holders = {}
        self.failing = False
        self.renewed = threading.Semaphore(0)
        self.asked_to_end = threading.Semaphore(0)

    def take_lease(self, id, token):
        if self.failing:
            self.holders.setdefault(id, token)
            raise StoreUnavailable("told to fail, and to lose the answer")
        return self.holders.setdefault(id, token) == token

    def renew_lease(self, id, token):
        self.renewed.release()
        if self.failing:
            raise StoreUnavailable("told to fail")
        return self.holders.get(id) == token

    def end_lease(self, id, token):
        self.asked_to_end.release()
        if self.failing:
            raise StoreUnavailable("told to fail")
        if self.holders.get(id) == token:
            del self.holders[id]

    load = save = touch = delete = __len__ = None


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """Gives the threads that renew leases of this test; ends them after it."""
    monkeypatch.setattr(lease, "RETRY", 0.1)
    renewals = lease._Renewals()
    monkeypatch.setattr(lease, "_renewals", renewals)
    before = set(threading.enumerate())

    def begun():
        now = set(threading.enumerate()) - before
        return {thread for thread in now if thread.name == "session leases"}

    yield begun
    with renewals._changed:  # not to wait until it wakes by itself
        renewals._wakes_at = 0
        renewals._changed.notify()
    for thread in begun():
        thread.join(10)
        assert not thread.is_alive()


def wait_for(semaphore, times):
    for _ in range(times):
        assert semaphore.acquire(timeout=10)


def test_lease_is_renewed_again_and_again():
    store = Notes(0.06)
    lock = store.lock("a", 0)
    wait_for(store.renewed, 4)
    lock.release()
    assert store.holders == {}


def test_lock_can_be_had_without_a_thread_to_renew_it(monkeypatch, threads):
    def no_more(thread):
        raise RuntimeError("can't start new thread")

    store = Notes(60)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more)
        lock = store.lock("a", 0)
    other = store.lock("b", 0)
    assert len(threads()) == 1
    assert lock.held()
    lock.release()
    other.release()
    assert store.holders == {}


def test_lease_is_renewed_again_after_the_store_has_failed():
    store = Notes(0.06)
    lock = store.lock("a", 0)
    store.failing = True
    wait_for(store.renewed, 2)
    store.failing = False
    wait_for(store.renewed, 3)
    assert lock.held()
    lock.release()


def test_lease_that_was_lost_is_not_renewed_and_stays_lost(threads):
    store = Notes(0.06)
    lock = store.lock("a", 0)
    before = threads()
    token = store.holders.pop("a")
    wait_for(store.renewed, 1)
    for thread in before:
        thread.join(10)  # there is nothing left to renew
    store.holders["a"] = token
    assert not lock.held()
    lock.release()
    assert store.holders == {"a": token}


def test_shorter_lease_is_renewed_in_time_beside_a_longer_one():
    long, short = Notes(100), Notes(0.06)
    locks = [long.lock("a", 0), short.lock("b", 0)]
    wait_for(short.renewed, 2)
    assert not long.renewed.acquire(blocking=False)
    for lock in locks:
        lock.release()


def test_a_thousand_locks_take_one_thread_and_leave_nothing(threads):
    store = Notes(100)
    begun = set()
    for number in range(1000):
        lock = store.lock(f"id{number}", 0)
        begun |= threads()
        lock.release()
    assert len(begun) == 1
    assert store.holders == {}


def test_thread_starts_again_when_it_has_ended(threads):
    store = Notes(0.06)
    store.lock("a", 0).release()
    for thread in threads():
        thread.join(10)
    lock = store.lock("a", 0)
    wait_for(store.renewed, 2)
    lock.release()


def test_lock_released_while_the_store_failed_is_free_soon_after_it_is_back():
    store = Notes(100)
    lock = store.lock("a", 0)
    store.failing = True
    lock.release()
    assert not lock.held()
    wait_for(store.asked_to_end, 2)
    store.failing = False
    store.lock("a", 10).release()
    assert store.holders == {}


def test_lock_that_may_have_been_taken_when_the_answer_was_lost_is_released():
    store = Notes(100)
    store.failing = True
    with pytest.raises(StoreUnavailable):
        store.lock("a", 0)
    assert store.holders
    store.failing = False
    store.lock("a", 10).release()
    assert store.holders == {}


def test_store_that_fails_is_asked_for_one_of_its_locks_at_a_time():
    store = Notes(100)
    locks = [store.lock(f"id{number}", 0) for number in range(10)]
    store.failing = True
    begin = time.monotonic()
    for lock in locks:
        lock.release()
    wait_for(store.asked_to_end, len(locks) + 3)  # each once, and then one of them every 0.1 s
    assert time.monotonic() - begin >= 0.2
    store.failing = False
    store.lock("id9", 10).release()


def test_thread_that_fails_is_followed_by_another(monkeypatch, threads):
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: seen.append(failure.exc_value))
    store = Notes(0.06)
    store.renew_lease = lambda id, token: 1 / 0
    lock = store.lock("a", 0)
    for thread in threads():
        thread.join(10)
    assert isinstance(seen[0], ZeroDivisionError)
    del store.renew_lease
    others = store.lock("b", 0)
    wait_for(store.renewed, 2)
    lock.release()
    others.release()


def test_lock_released_while_the_store_failed_is_forgotten_when_it_has_run_out(threads):
    store = Notes(0.1)
    lock = store.lock("a", 0)
    store.failing = True
    lock.release()
    for thread in threads():
        thread.join(10)  # ends, though the store has never come back
        assert not thread.is_alive()


def test_lock_of_the_parent_is_not_released_by_a_child(monkeypatch):
    store = Notes(100)
    lock = store.lock("a", 0)
    parent = lease._renewals
    lease._start_over()  # as after a fork
    lock.release()
    assert store.holders
    monkeypatch.setattr(lease, "_renewals", parent)
    lock.release()
    assert store.holders == {}


def test_failing_store_is_no_lost_lock():
    store = Notes(10)
    lock = store.lock("a", 0)
    store.failing = True
    with pytest.raises(StoreUnavailable):
        lock.held()
    store.failing = False
    assert lock.held()
    lock.release()


def test_who_waits_does_not_ask_all_the_time():
    asked = []

    class Counting(Notes):
        def take_lease(self, id, token):
            asked.append(token)
            return super().take_lease(id, token)

    store = Counting(10)
    lock = store.lock("a", 0)
    begin = time.monotonic()
    with pytest.raises(LockTimeout):
        store.lock("a", 0.3)
    assert len(asked) < 10 + (time.monotonic() - begin) / (lease.LONGEST_PAUSE / 2)
    lock.release()
