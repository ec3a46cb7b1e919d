"""Stores that processes share: no update is lost, and who dies holds up nobody."""

from __future__ import annotations

import signal
import time

from beside import PATIENCE

INCREMENT = """
import time

print("ready", flush=True)
input()
for _ in range(200):
    lock = store.lock("a", None)
    data = store.load("a")[0]
    data["count"] += 1
    assert lock.held()
    store.save("a", data, time.time() + 100)
    lock.release()
store.close()
print("done", flush=True)
"""

HOLD = """
lock = store.lock("a", 0)
print("locked", flush=True)
input()
print("held" if lock.held() else "lost", flush=True)
lock.release()
store.close()
print("released", flush=True)
"""

FORK = """
import os, time

def work():
    for _ in range(50):
        lock = store.lock("a", None)
        data = store.load("a")[0]
        data["count"] += 1
        store.save("a", data, time.time() + 100)
        lock.release()

store.save("a", {"count": 0}, time.time() + 100)
held = store.lock("b", 0)
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        held.release()
        work()
        os._exit(0)
    children.append(child)
work()
for child in children:
    assert os.waitpid(child, 0)[1] == 0
print(store.load("a")[0]["count"], "held" if held.held() else "lost", flush=True)
held.release()
store.close()
"""

SHORTEST = 0.3
"""A lease in seconds, of which memcached makes two whole ones."""


def test_counter_incremented_from_two_processes_loses_nothing(place, run):
    store = place.store()
    store.save("a", {"count": 0}, time.time() + 100)
    programs = [run(place, INCREMENT) for _ in range(2)]
    for program in programs:
        program.wait_for("ready")
    for program in programs:
        program.tell("go")
    for program in programs:
        program.wait_for("done")
    assert store.load("a")[0] == {"count": 400}


def test_lock_of_a_killed_process_is_free_within_its_lease(place, run):
    holder = run(place, HOLD, lock_lease=SHORTEST)
    holder.wait_for("locked")
    holder.send(signal.SIGKILL)
    lock = place.store().lock("a", PATIENCE)
    assert lock.held()
    lock.release()


def test_process_that_slept_too_long_has_lost_its_lock_and_frees_no_other(place, run):
    sleeper = run(place, HOLD, lock_lease=SHORTEST)
    sleeper.wait_for("locked")
    sleeper.send(signal.SIGSTOP)
    lock = place.store().lock("a", PATIENCE)
    sleeper.send(signal.SIGCONT)
    sleeper.tell("well?")
    sleeper.wait_for("lost")
    sleeper.wait_for("released")
    assert lock.held()
    lock.release()


def test_store_and_its_locks_survive_a_fork(place, run):
    run(place, FORK).wait_for("150 held")


def test_first_use_by_many_processes_at_once(place, run):
    """Those of a database all find that there are no tables, and make them."""
    save = """
        import time

        print("ready", flush=True)
        input()
        store.save("a", {"count": 1}, time.time() + 100)
        store.close()
        print("done", flush=True)
    """
    programs = [run(place, save) for _ in range(4)]
    for program in programs:
        program.wait_for("ready")
    for program in programs:
        program.tell("go")
    for program in programs:
        program.wait_for("done")
