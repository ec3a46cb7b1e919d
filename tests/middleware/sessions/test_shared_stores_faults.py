"""Stores whose server dies, comes back, hangs, or has no room: no hang, and no foreign errors."""

from __future__ import annotations

import gc
import os
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from beside import at_once, wait_until
from webob import Response

from cptoolkit.middleware.sessions.layer import Sessions
from cptoolkit.middleware.sessions.store import BrokenRecord, StoreUnavailable

QUESTIONS = {
    "load": lambda store: store.load("a"),
    "save": lambda store: store.save("a", {"count": 2}, soon()),
    "touch": lambda store: store.touch("a", soon()),
    "delete": lambda store: store.delete("a"),
    "exists": lambda store: store.exists("a"),
    "lock": lambda store: store.lock("a", None),
}


def soon():
    return time.time() + 100


@contextmanager
def stopped(service):
    service.stop()
    try:
        yield
    finally:
        service.start()


@contextmanager
def hanging(service):
    service.freeze()
    try:
        yield
    finally:
        service.thaw()


def ask_everything(store):
    """How long the longest took, in seconds, of all that were in vain."""
    times = []
    for question in QUESTIONS.values():
        begin = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            question(store)
        times.append(time.monotonic() - begin)
        assert caught.value.__cause__ is not None
        assert "\n" not in str(caught.value)
    return max(times)


def in_the_end(question, *arguments):
    """The answer of a store with little patience, whose server may be slow on a busy machine."""
    answers = []

    def has_answered():
        with suppress(StoreUnavailable):
            answers.append(question(*arguments))
        return answers

    wait_until(has_answered)
    return answers[0]


def test_store_without_its_server_is_unavailable_at_once_and_comes_back_with_it(served):
    store = served.store()
    store.save("a", {"count": 1}, soon())
    lock = store.lock("b", 0)
    with stopped(served.service):
        assert ask_everything(store) < 10
        with pytest.raises(StoreUnavailable):
            lock.held()
        lock.release()
    kept = served.kind != "MemcachedStore"
    assert store.exists("a") == kept
    store.save("a", {"count": 2}, soon())
    assert store.load("a")[0] == {"count": 2}
    store.lock("a", 0).release()


def test_store_made_before_its_server_works_when_that_is_there(served):
    with stopped(served.service):
        store = served.store()
        assert ask_everything(store) < 10
    store.save("a", {"count": 1}, soon())
    assert store.load("a")[0] == {"count": 1}


def test_restart_that_nobody_noticed_fails_no_question(served):
    """All connections that wait for their next use have been cut meanwhile."""
    store = served.store()
    store.save("a", {"count": 1}, soon())
    together = threading.Barrier(4)
    failures = []

    def ask():
        try:
            for _ in range(2):
                together.wait(20)
                store.exists("a")
        except Exception as failure:
            failures.append(failure)

    at_once(*[ask] * 4)
    with stopped(served.service):
        pass
    for question in list(QUESTIONS.values())[:-1] * 2:
        question(store)
    store.lock("a", 5).release()
    assert failures == []


@pytest.mark.parametrize("served", ["memcached", "redis"], indirect=True)
def test_server_that_hangs_is_not_waited_for_and_answers_are_not_mixed_up_later(served):
    store = served.store(server_timeout=0.1)
    store.retry = 0.1
    for id in ("a", "b"):
        in_the_end(store.save, id, {"of": id}, soon())
    with hanging(served.service):
        assert ask_everything(store) < 10
    assert [in_the_end(store.load, "b")[0]["of"] for _ in range(3)] == ["b", "b", "b"]
    in_the_end(
        store.lock, "a", 10
    ).release()  # what it has heard when nobody listened any more is undone


@pytest.mark.parametrize("served", ["postgresql"], indirect=True)
def test_postgresql_that_takes_no_connection_is_not_waited_for(served):
    store = served.store(server_timeout=2)
    with hanging(served.service):
        begin = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.load("a")
        assert time.monotonic() - begin < 20


@pytest.mark.parametrize("served", ["postgresql"], indirect=True)
def test_statement_that_waits_for_others_is_given_up(served):
    import sqlalchemy as sa

    store = served.store(server_timeout=0.2)
    in_the_end(store.save, "a", {"count": 1}, soon())
    other = sa.create_engine(served.service.url)
    with other.begin() as connection:
        connection.execute(sa.text(f"LOCK TABLE {served.options['table']}"))
        with pytest.raises(StoreUnavailable, match=r"^postgresql: .*timeout"):
            store.load("a")
    other.dispose()
    assert in_the_end(store.load, "a")[0] == {"count": 1}


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_file_that_is_locked_by_others_is_given_up(place):
    import sqlite3

    store = place.store(server_timeout=0.1)
    store.save("a", {"count": 1}, soon())
    other = sqlite3.connect(store.engine.url.database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="sqlite: database is locked"):
        store.save("a", {"count": 2}, soon())
    assert store.load("a")[0] == {"count": 1}  # who only reads does not wait
    other.close()
    store.save("a", {"count": 2}, soon())


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_folder_that_went_away_makes_store_unavailable(place, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    place.arguments = (f"sqlite:///{folder}/sessions.db",)
    store = place.store()
    folder.rmdir()
    with pytest.raises(StoreUnavailable, match="No such file"):
        store.load("a")
    folder.mkdir()
    assert store.load("a") is None


@pytest.mark.parametrize("served", ["memcached"], indirect=True)
def test_session_that_is_too_large_for_memcached_is_told_with_its_size(served):
    store = served.store()
    with pytest.raises(ValueError, match=r"a session of 20000\d\d bytes is more than memcached"):
        store.save("a", {"text": "x" * 2_000_000}, soon())
    assert store.load("a") is None


@pytest.mark.parametrize("served", ["memcached"], indirect=True)
def test_sessions_of_a_memcached_that_is_gone_move_to_no_other(served):
    """There one could be locked a second time, and be empty."""
    gone = "127.0.0.1:1"  # the port of tcpmux, where nobody listens
    served.arguments = ([served.service.url, gone],)
    store = served.store()
    answers = set()
    for number in range(40):
        try:
            answers.add(store.exists(f"id{number}"))
        except StoreUnavailable as failure:
            answers.add(str(failure).partition(": ")[0])
    assert answers == {False, f"memcached at {gone}"}


@pytest.mark.parametrize("served", ["memcached", "redis"], indirect=True)
@pytest.mark.parametrize("found", [b"", b"nonsense", b"0000000000000.000"], ids=repr)
def test_nonsense_in_the_place_of_a_session_is_a_broken_record(served, found):
    store = served.store()
    key = served.options["prefix"] + "a"
    if served.kind == "MemcachedStore":
        found = found.replace(b"0000000000000.0", b"9999999999999.0")
        store._ask("a", "set", key, found)
    else:
        store._redis.set(key, found, ex=100)
    with pytest.raises(BrokenRecord):
        store.load("a")
    store.touch("a", soon())
    assert not store.exists("a")
    store.save("a", {"count": 1}, soon())
    assert store.load("a")[0] == {"count": 1}


@pytest.mark.parametrize("served", ["memcached"], indirect=True)
def test_memcached_keeps_a_session_for_longer_than_it_lives(served):
    """Its clock ticks once a second, so that what is over may still be there for a moment."""
    store = served.store()
    store._ask("a", "set", served.options["prefix"] + "a", b"%017.3f{}" % (time.time() - 0.1))
    assert store.load("a") is None
    store.touch("a", soon())
    assert store.load("a") is None


@pytest.mark.parametrize("served", ["redis"], indirect=True)
def test_redis_that_refuses_is_unavailable(served):
    store = served.store()
    store._redis.lpush(served.options["prefix"] + "a", "not a string")
    with pytest.raises(StoreUnavailable, match=r"^Redis: .*WRONGTYPE"):
        store.load("a")


@pytest.mark.parametrize("served", ["redis"], indirect=True)
def test_close_leaves_the_connections_alone_that_others_use(served):
    store = served.store()
    with store._redis.client() as other:  # one connection of the pool, as a thread has it
        other.ping()
        connection = other.connection
        connection.send_command("ECHO", "still here")
        store.close()
        assert connection.read_response() == b"still here"


@pytest.mark.parametrize("served", ["redis"], indirect=True)
def test_redis_itself_removes_what_has_expired(served):
    store = served.store()
    store.save("a", {}, soon())
    assert 90_000 < store._redis.pttl(served.options["prefix"] + "a") <= 100_000


def test_connections_are_not_more_than_have_been_in_use_at_once(served):
    """A thousand locks and sessions leave nothing behind but one connection."""
    store = served.store()
    threads = threading.active_count()
    for number in range(200):
        lock = store.lock(f"id{number}", 0)
        store.save("a", {"count": number}, soon())
        lock.release()
    assert threading.active_count() <= threads + 1
    if served.kind == "MemcachedStore":
        assert [len(idle) for idle in store._idle.values()] == [1]


@pytest.mark.parametrize("served", ["memcached", "redis"], indirect=True)
def test_store_that_goes_closes_its_connections(served):
    served.store().exists("a")
    served.forget()
    gc.collect()  # an unclosed socket is told by a warning, which is an error here


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_database_file_is_readable_by_its_owner_only(place):
    store = place.store()
    store.save("a", {}, soon())
    assert os.stat(store.engine.url.database).st_mode & 0o077 == 0


# Through the layer


def check_that_a_restart_is_survived(make_site, served, kept, tracebacks=False):
    """The server is killed while a page is made, and started again later.

    :param tracebacks: whether the host shows them on error pages by default.
    """

    def page(request):
        if request.path_info == "/plain":
            return Response("plain")
        session = request.environ["cptoolkit.session"]
        session["count"] = session.get("count", 0) + 1
        if request.path_info == "/kill":
            served.service.stop()
        return Response(str(session["count"]))

    store = served.store()
    store.retry = 0.05  # so that the locks of failed requests do not keep the last ones waiting
    client = make_site(page, Sessions, storage=store).client
    try:
        assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]
        begin = time.monotonic()
        for path in ("/kill", "/", "/"):
            refusal = client.get(path, expect_errors=True)  # frameworks tell their own log
            assert refusal.status_int == 503
            assert int(refusal.headers["Retry-After"]) > 0
            assert tracebacks or "Traceback" not in refusal.text
        assert time.monotonic() - begin < 20
        assert client.get("/plain").text == "plain"
    finally:
        served.service.start()
    first = 4 if kept else 1
    assert [client.get("/").text for _ in range(2)] == [str(first), str(first + 1)]


def test_restart_in_the_middle_of_a_page_is_a_503_and_then_all_is_well(alone, served):
    check_that_a_restart_is_survived(alone, served, kept=served.kind != "MemcachedStore")


@pytest.mark.parametrize("served", ["redis"], indirect=True)
def test_restart_is_survived_in_any_framework(host, served):
    check_that_a_restart_is_survived(host, served, kept=True, tracebacks=host.name == "tool")
