"""Expired sessions are removed by short-lived threads, also in forked processes."""

import subprocess
import sys
import threading

import pytest
from webob import Response

from cptoolkit.middleware.sessions import Session, Sessions
from cptoolkit.middleware.sessions.cleaning import THREAD_NAME, Sweeper
from cptoolkit.middleware.sessions.ram import RamStore
from cptoolkit.middleware.sessions.store import Store


def finished():
    """Wait for the sweeps that go on."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(20)


def touched(request):
    return Response(str(request.environ["cptoolkit.session"].get("n")))


def untouched(request):
    return Response()


@pytest.mark.parametrize(
    ("view", "options", "left"),
    [
        pytest.param(touched, {}, 0, id="a request with a session"),
        pytest.param(untouched, {}, 1, id="one without"),
        pytest.param(touched, {"clean_freq": 0}, 1, id="never"),
    ],
)
def test_request_that_finds_a_sweep_due_begins_it(alone, view, options, left):
    store = RamStore()
    store.save("a", {}, 1.0)
    alone(view, Sessions, storage=store, **options).fetch()
    finished()
    assert len(store) == left


def test_sweep_is_due_again_after_its_time():
    swept = []
    for every, times in ((0, 3), (60, 1)):
        swept.clear()
        sweeper = Sweeper(lambda: swept.append(1), every)
        for _ in range(3):
            sweeper.sweep_if_due()
        finished()
        assert len(swept) == times


def test_sweep_without_a_thread_fails_no_request(alone, monkeypatch, caplog):
    def no_more(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    assert alone(touched, Sessions, storage=RamStore()).fetch().status_int == 200
    assert "could not be removed: can't start new thread" in caplog.text


def test_sweep_that_fails_is_one_line_in_the_log(caplog):
    def fail():
        raise OSError("disk on fire")

    Sweeper(fail, 60).sweep_if_due()
    finished()
    assert [r.message for r in caplog.records] == [
        "expired sessions could not be removed: disk on fire"
    ]


def test_class_of_ones_own_sweeps_for_itself(alone):
    class Own(Session):
        swept = []

        def _load(self):
            return None

        def clean_up(self):
            self.swept.append(self.timeout)

    alone(touched, Sessions, storage_class=Own, timeout=7).fetch()
    finished()
    assert Own.swept == [7]


def test_store_that_sees_to_it_itself_gets_no_thread(alone, monkeypatch):
    class Expiring(RamStore):
        clean_up = Store.clean_up

    def refuse(self):
        raise AssertionError("a thread was started")

    site = alone(touched, Sessions, storage=Expiring())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    site.fetch()


FORKS = """
import os, threading
from cptoolkit.middleware.sessions.cleaning import Sweeper, THREAD_NAME
from cptoolkit.middleware.sessions.ram import RamStore

def finished():
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(20)

store = RamStore()
sweeper = Sweeper(lambda: os.write(1, b"swept %s\\n" % name), 3600)
name = b"parent"
sweeper.sweep_if_due()
finished()
held = store.lock("a", 0)      # by a thread that will not be there in the child
store._mutex.acquire()
for name in (b"first child", b"second child"):
    if os.fork() == 0:
        sweeper.sweep_if_due()
        sweeper.sweep_if_due()
        finished()
        store.lock("a", 0).release()
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_each_forked_process_sweeps_and_starts_without_locks():
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, timeout=50)
    assert done.stderr == b""
    assert done.stdout.splitlines() == [
        b"swept parent",
        b"swept first child",
        b"swept second child",
    ]
