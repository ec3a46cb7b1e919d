"""What every store does, and what those do besides that machines can share."""

from __future__ import annotations

import importlib
import sys
import time

import pytest
from beside import at_once, in_threads

from cptoolkit.middleware.sessions.store import BrokenRecord, LockTimeout

MONTHS = 60 * 60 * 24 * 90


def soon():
    return time.time() + 100


def test_what_was_saved_is_loaded(store):
    expires = soon()
    store.save("a", {"count": 1, "names": ["ä", {"x": None}]}, expires)
    assert store.load("a")[0] == {"count": 1, "names": ["ä", {"x": None}]}
    assert store.load("a")[1] == pytest.approx(expires, abs=10)


def test_nothing_is_loaded_that_was_not_saved(store):
    assert store.load("a") is None
    assert not store.exists("a")


def test_last_save_counts(store):
    store.save("a", {"count": 1, "gone": True}, soon())
    store.save("a", {"count": 2}, soon())
    assert store.load("a")[0] == {"count": 2}


def test_sessions_are_kept_apart(store):
    store.save("a", {"of": "a"}, soon())
    store.save("A", {"of": "A"}, soon())
    assert [store.load(id)[0]["of"] for id in ("a", "A")] == ["a", "A"]


def test_id_may_be_of_128_characters(store):
    id = "a-_Z" * 32
    store.save(id, {"count": 1}, soon())
    store.lock(id, 0).release()
    assert store.exists(id)


def test_empty_session_is_a_session(store):
    store.save("a", {}, soon())
    assert store.load("a")[0] == {}


def test_large_session_is_kept_whole(store):
    store.save("a", {"text": "x" * 900_000}, soon())
    assert len(store.load("a")[0]["text"]) == 900_000


def test_other_store_object_of_the_same_place_sees_it(place):
    place.store().save("a", {"count": 1}, soon())
    assert place.store().load("a")[0] == {"count": 1}


def test_expired_session_is_not_there(store):
    store.save("a", {"count": 1}, time.time() - 1)
    assert store.load("a") is None
    assert not store.exists("a")


def test_session_saved_as_expired_replaces_the_one_there_was(store):
    store.save("a", {"count": 1}, soon())
    store.save("a", {"count": 2}, time.time() - 1)
    assert store.load("a") is None


def test_session_may_live_for_months(store):
    expires = time.time() + MONTHS
    store.save("a", {"count": 1}, expires)
    store.touch("a", expires + 50)
    assert store.load("a")[1] == pytest.approx(expires + 50, abs=10)


def test_touch_lets_it_live_longer(store):
    store.save("a", {"count": 1}, soon())
    store.touch("a", soon() + 500)
    record = store.load("a")
    assert record[0] == {"count": 1}
    assert record[1] == pytest.approx(soon() + 500, abs=10)


def test_touch_makes_none(store):
    store.touch("a", soon())
    assert not store.exists("a")


def test_touch_wakes_no_expired_one(place):
    store = place.store()
    store.save("a", {"count": 1}, time.time() - 1)
    store.touch("a", soon())
    assert not store.exists("a")


def test_touch_with_a_time_that_is_over_ends_it(store):
    store.save("a", {"count": 1}, soon())
    store.touch("a", time.time() - 1)
    assert not store.exists("a")


def test_deleted_session_is_not_there(store):
    store.save("a", {"count": 1}, soon())
    store.delete("a")
    assert not store.exists("a")
    store.delete("a")  # once more is no error


def test_sessions_are_counted_and_locks_are_not(store):
    if type(store).__name__ == "MemcachedStore":
        with pytest.raises(NotImplementedError, match="memcached cannot tell"):
            len(store)
        return
    for id in ("a", "b"):
        store.save(id, {}, soon())
    lock = store.lock("c", 0)
    assert len(store) == 2
    lock.release()


def test_store_without_sessions_is_true(place):
    store = place.store()
    assert store


def test_sweep_leaves_what_lives(place):
    store = place.store()
    store.save("old", {}, time.time() + 10)
    store.save("young", {}, time.time() + 100)
    store.clean_up(time.time() + 50)
    assert store.exists("young")
    if place.kind == "SQLStore":
        assert not store.exists("old")
        assert len(store) == 1


def test_sweep_leaves_locks_that_are_held(store):
    lock = store.lock("a", 0)
    store.clean_up(time.time() + MONTHS)
    with pytest.raises(LockTimeout):
        store.lock("a", 0)
    assert lock.held()
    lock.release()


def test_data_that_cannot_be_stored_are_named_and_leave_what_there_was(place):
    store = place.store()
    store.save("a", {"count": 1}, soon())
    with pytest.raises(TypeError, match="'thing' cannot be stored"):
        store.save("a", {"count": 2, "thing": object()}, soon())
    assert store.load("a")[0] == {"count": 1}


# Records that cannot be read


@pytest.fixture
def broken(place):
    """A store with a session in it that other code has written."""
    place.store(serializer="pickle", secret="of the others").save("a", {"count": 1}, soon())
    return place.store()


def test_broken_record_is_told(broken):
    with pytest.raises(BrokenRecord):
        broken.load("a")


def test_broken_record_is_no_session(broken):
    assert not broken.exists("a")


def test_broken_record_can_be_replaced(broken):
    broken.save("a", {"count": 2}, soon())
    assert broken.load("a")[0] == {"count": 2}


def test_broken_record_can_be_deleted(broken):
    broken.delete("a")
    assert broken.load("a") is None


def test_record_with_another_secret_is_broken(place):
    place.store(secret="theirs").save("a", {"count": 1}, soon())
    with pytest.raises(BrokenRecord, match="not signed"):
        place.store(secret="ours").load("a")


def test_unsigned_record_is_broken_where_there_is_a_secret(place):
    place.store().save("a", {"count": 1}, soon())
    with pytest.raises(BrokenRecord, match="not signed"):
        place.store(secret="ours").load("a")


def test_secret_can_be_replaced_without_losing_sessions(place):
    old, both, new = (place.store(secret=secret) for secret in ("old", ["new", "old"], "new"))
    old.save("a", {"count": 1}, soon())
    both.save("a", both.load("a")[0], soon())
    assert new.load("a")[0] == {"count": 1}


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_serializer_can_be_chosen(place, serializer):
    store = place.store(serializer=serializer, secret="s")
    store.save("a", {"count": [1, None]}, soon())
    assert store.load("a")[0] == {"count": [1, None]}


# Locks


def test_lock_keeps_others_out(place):
    store = place.store()
    lock = store.lock("a", None)
    for other in (store, place.store()):
        with pytest.raises(LockTimeout, match="locked for more than 0 s"):
            other.lock("a", 0)
    assert lock.held()
    lock.release()


def test_lock_is_of_one_session(store):
    locks = [store.lock("a", 0), store.lock("b", 0)]
    assert all(lock.held() for lock in locks)
    for lock in locks:
        lock.release()


def test_released_lock_can_be_taken(store):
    for _ in range(3):
        lock = store.lock("a", 0)
        lock.release()
        assert not lock.held()


def test_releasing_twice_frees_no_other_holder(store):
    first = store.lock("a", 0)
    first.release()
    second = store.lock("a", 0)
    first.release()
    with pytest.raises(LockTimeout):
        store.lock("a", 0)
    assert second.held()
    second.release()


def test_lock_is_waited_for_as_long_as_was_said(store):
    lock = store.lock("a", 0)
    begin = time.monotonic()
    with pytest.raises(LockTimeout, match=r"more than 0.2 s"):
        store.lock("a", 0.2)
    assert 0.2 <= time.monotonic() - begin < 20
    lock.release()


def test_waiting_ends_when_the_lock_is_released(store):
    lock = store.lock("a", 0)
    got = []
    with in_threads(lambda: got.append(store.lock("a", None))):
        lock.release()
    assert got[0].held()
    got[0].release()


def test_lock_outlives_its_session(store):
    store.save("a", {"count": 1}, soon())
    lock = store.lock("a", 0)
    store.delete("a")
    assert lock.held()
    lock.release()
    store.lock("a", 0).release()


def test_increments_of_five_threads_are_five(store):
    def increment():
        lock = store.lock("a", None)
        data = store.load("a")[0]
        store.save("a", {"count": data["count"] + 1}, soon())
        lock.release()

    store.save("a", {"count": 0}, soon())
    at_once(*[increment] * 5)
    assert store.load("a")[0] == {"count": 5}


def test_lease_is_of_its_token(place):
    check_leases(place.store())


def check_leases(store):
    assert store.take_lease("a", "ours")
    assert not store.take_lease("a", "theirs")
    assert not store.renew_lease("a", "theirs")
    store.end_lease("a", "theirs")
    assert store.renew_lease("a", "ours")
    store.end_lease("a", "ours")
    assert not store.renew_lease("a", "ours")
    assert store.take_lease("a", "theirs")
    store.end_lease("a", "theirs")


def test_lease_taken_twice_by_a_broken_connection_is_taken(place):
    store = place.store()
    assert store.take_lease("a", "ours")
    assert store.take_lease("a", "ours")
    store.end_lease("a", "ours")


def test_lock_of_a_living_process_does_not_run_out(place):
    whole = 1.2 if place.kind == "MemcachedStore" else 0  # which counts seconds only
    for lease in (1.5, 12):  # a machine that stalls for longer than the first may lose it
        lock = place.store(lock_lease=lease).lock("a", 0)
        try:
            place.store().lock("a", lease + 0.5 + whole).release()
        except LockTimeout:
            assert lock.held()
            return
        finally:
            lock.release()
    pytest.fail("it was not renewed")


def test_lock_that_was_lost_is_not_held_and_frees_no_other(place, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda length: "ours")
    store = place.store()
    lock = store.lock("a", 0)
    store.end_lease("a", "ours")
    assert store.take_lease("a", "theirs")
    assert not lock.held()
    lock.release()
    assert store.renew_lease("a", "theirs")
    store.end_lease("a", "theirs")


# Options


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(
            {"lock_lease": 0}, "lock_lease must be more than 0 seconds, got 0", id="lease"
        ),
        pytest.param({"server_timeout": -1}, "server_timeout must be more than 0", id="timeout"),
        pytest.param({"secret": ""}, "secret must not be empty", id="secret"),
        pytest.param({"serializer": "xml"}, "serializer must be .*, got 'xml'", id="serializer"),
    ],
)
def test_wrong_option_is_refused(place, options, told):
    with pytest.raises(ValueError, match=told):
        place.store(**options)


def test_name_in_the_place_is_checked(place):
    option = "table" if place.kind == "SQLStore" else "prefix"
    with pytest.raises(ValueError, match=rf"{option} must be .*, got 'a\\nb\*'"):
        place.store(**{option: "a\nb*"})


@pytest.mark.parametrize(
    ("module", "driver", "extra"),
    [
        ("memcached", "pymemcache.client.base", "memcached"),
        ("redis", "redis", "redis"),
        ("sql", "sqlalchemy", "sql"),
    ],
)
def test_missing_driver_is_told_with_what_to_install(module, driver, extra, monkeypatch):
    name = f"cptoolkit.middleware.sessions.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ImportError, match=rf"Store needs \w+: pip install 'cptoolkit\[{extra}\]'$"):
        importlib.import_module(name)


@pytest.mark.parametrize("place", ["redis", "postgresql"], indirect=True)
def test_repr_shows_no_password(place):
    [url] = place.arguments
    place.arguments = (url.replace("://postgres@", "://postgres:hush@"),)
    if place.kind == "RedisStore":
        place.arguments = (url.replace("://", "://:hush@"),)
    assert "hush" not in repr(place.store())


@pytest.mark.parametrize("place", ["memcached"], indirect=True)
def test_memcached_needs_a_server(place):
    place.arguments = ([],)
    with pytest.raises(ValueError, match="servers must name a memcached"):
        place.store()


# SQL


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("sqlite://", "in memory", id="no file"),
        pytest.param("sqlite:///:memory:", "in memory", id="memory"),
        pytest.param("sqlite:///file:x?mode=memory&uri=true", "in memory", id="URI"),
        pytest.param("sqlite:////nowhere/s.db", "in a folder that is there", id="no folder"),
        pytest.param("postgresql", "url must be one of a database", id="no URL"),
    ],
)
def test_database_that_cannot_be_shared_is_refused(url, told):
    sql = pytest.importorskip("cptoolkit.middleware.sessions.sql", reason="needs sqlalchemy")
    with pytest.raises(ValueError, match=told):
        sql.SQLStore(url)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_database_file_stays_where_it_was_when_the_process_goes_elsewhere(
    place, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    place.arguments = ("sqlite:///sessions.db",)
    store = place.store()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.save("a", {}, soon())
    assert (tmp_path / "sessions.db").exists()


@pytest.fixture
def plain_sql(monkeypatch, place):
    """A store that knows no more of its database than that it takes SQL."""
    from cptoolkit.middleware.sessions import sql_tables

    monkeypatch.setattr(sql_tables, "UPSERTS", {})
    monkeypatch.setattr(sql_tables, "CLOCKS", {})
    return place.store()


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_any_database_keeps_sessions(plain_sql):
    for count in (1, 2):
        plain_sql.save("a", {"count": count}, soon())
        assert plain_sql.load("a")[0] == {"count": count}


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_any_database_keeps_locks(plain_sql):
    check_leases(plain_sql)
    test_increments_of_five_threads_are_five(plain_sql)


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_engine_may_be_given_and_stays_open(place):
    import sqlalchemy as sa

    engine = sa.create_engine(place.store().engine.url)
    place.arguments = (engine,)
    store = place.store()
    test_increments_of_five_threads_are_five(store)
    check_leases(store)
    pool = engine.pool
    store.close()
    assert engine.pool is pool
    engine.dispose()
