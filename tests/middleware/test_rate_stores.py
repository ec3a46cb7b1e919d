"""Buckets of tokens, in memory and in Redis: the same behaviour."""

import logging
import multiprocessing

import pytest
from beside import at_once
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.middleware.rate_stores import MemoryRates, RatesUnavailable, RedisRates, Taken

SECOND = 1_000_000
HOUR = 3600 * SECOND


class Clock:
    """Nanoseconds that pass when they are told to."""

    def __init__(self):
        self.now = 5 * 10**12

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += round(seconds * 1e9)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "redis"])
def store(request):
    if request.param == "memory":
        yield MemoryRates()
        return
    pytest.importorskip("redis", reason="needs redis")
    server = request.getfixturevalue("redis_server")
    store = RedisRates(server.url, prefix=f"{request.node.name}:", timeout=30)
    yield store
    store.close()


def test_full_bucket_gives_all_its_tokens_and_no_more(store):
    taken = [store.take("a", HOUR, 3) for _ in range(4)]
    assert [t.granted for t in taken] == [True, True, True, False]
    assert [t.left for t in taken] == [2, 1, 0, 0]
    assert all(3590 < t.wait <= 3600 for t in taken)


def test_each_key_has_a_bucket_of_its_own(store):
    assert store.take("a", HOUR, 1).granted
    assert store.take("b", HOUR, 1).granted
    assert not store.take("a", HOUR, 1).granted


def test_tokens_come_back_one_by_one(clock):
    store = MemoryRates(clock=clock)
    assert [store.take("a", SECOND, 2).granted for _ in range(3)] == [True, True, False]
    clock.sleep(0.75)
    assert store.take("a", SECOND, 2) == Taken(False, 0, 0.25)
    clock.sleep(0.25)
    assert store.take("a", SECOND, 2) == Taken(True, 0, 1.0)
    clock.sleep(100)
    assert store.take("a", SECOND, 2) == Taken(True, 1, 1.0)


def test_tokens_come_back_in_redis_too(store):
    interval = 1000  # a millisecond: by the next line of a test there are some
    while store.take("a", interval, 3).left:
        pass
    while not (taken := store.take("a", interval, 3)).granted:
        assert 0 < taken.wait <= interval / SECOND


def test_refused_request_takes_nothing(clock):
    store = MemoryRates(clock=clock)
    store.take("a", SECOND, 1)
    for _ in range(10):
        store.take("a", SECOND, 1)
    clock.sleep(1)
    assert store.take("a", SECOND, 1).granted


def test_threads_together_get_no_more_than_there_is(store):
    granted = []

    def take():
        for _ in range(50):
            if store.take("a", HOUR, 60).granted:
                granted.append(1)

    at_once(*[take] * 4)
    assert len(granted) == 60


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 5), st.integers(1, 4))
def test_no_window_has_more_than_bucket_and_rate_allow(pauses, capacity, interval):
    clock = Clock()
    store = MemoryRates(clock=clock)
    granted = []
    for pause in pauses:
        clock.sleep(pause)
        taken = store.take("a", interval * SECOND, capacity)
        assert 0 <= taken.left < capacity
        assert 0 < taken.wait <= interval
        if taken.granted:
            granted.append(clock.now / 1e9)
    for first, start in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= capacity + (granted[last] - start) / interval


def test_memory_is_bounded_and_the_busiest_are_kept(clock):
    store = MemoryRates(max_keys=10, clock=clock)
    for number in range(1000):
        store.take("busy", HOUR, 2000)
        store.take(f"key {number}", HOUR, 1)
        assert len(store) <= 10
    assert store.take("busy", HOUR, 2000).left == 999


def test_memory_is_given_back_when_buckets_are_full_again(clock):
    store = MemoryRates(clock=clock)
    for number in range(100):
        store.take(f"key {number}", SECOND, 1)
    clock.sleep(10)
    for _ in range(100):
        store.take("another", SECOND, 1000)
    assert len(store) == 1


def test_memory_needs_room():
    with pytest.raises(ValueError, match="max_keys must be 1 or more, got 0"):
        MemoryRates(max_keys=0)


def _take_many(url, results):
    store = RedisRates(url, prefix="shared:", timeout=30)
    results.put(sum(store.take("a", HOUR, 100).granted for _ in range(100)))
    store.close()


def test_processes_share_what_is_in_redis(redis_server):
    pytest.importorskip("redis", reason="needs redis")
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    workers = [fork.Process(target=_take_many, args=(redis_server.url, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    granted = [results.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    results.close()
    results.join_thread()
    assert sum(granted) == 100


def test_redis_forgets_buckets_that_are_full(redis_server):
    redis = pytest.importorskip("redis", reason="needs redis")
    store = RedisRates(redis_server.url, prefix="expiry:", timeout=30)
    store.take("a", 10 * SECOND, 5)
    client = redis.Redis.from_url(redis_server.url)
    assert 9_000 < client.pttl("expiry:a") <= 10_000
    client.close()
    store.close()


def test_clock_of_redis_that_was_put_back_locks_nobody_out(redis_server):
    redis = pytest.importorskip("redis", reason="needs redis")
    client = redis.Redis.from_url(redis_server.url)
    client.set("back:a", 9 * 10**15)  # the year 2255
    client.close()
    store = RedisRates(redis_server.url, prefix="back:", timeout=30)
    assert store.take("a", SECOND, 1).wait <= 1
    store.close()


def test_redis_that_is_gone_is_told_once_and_used_when_it_is_back(
    redis_server, caplog, monkeypatch
):
    pytest.importorskip("redis", reason="needs redis")
    monkeypatch.setattr("cptoolkit.middleware.rate_stores.PAUSE", 0.0)
    caplog.set_level(logging.INFO, "cptoolkit.rate_limit")
    store = RedisRates(redis_server.url, prefix="gone:", timeout=30)
    assert store.take("a", HOUR, 5).granted
    redis_server.stop()
    try:
        for _ in range(3):
            with pytest.raises(RatesUnavailable):
                store.take("a", HOUR, 5)
    finally:
        redis_server.start()
    assert store.take("a", HOUR, 5).granted
    levels = [(r.levelname, r.getMessage().partition(":")[0]) for r in caplog.records]
    assert levels == [
        ("ERROR", "Redis cannot be asked for rate limits"),
        ("INFO", "Redis can be asked for rate limits again"),
    ]
    store.close()


def test_redis_that_has_failed_is_left_alone_for_a_moment(redis_server, caplog):
    pytest.importorskip("redis", reason="needs redis")
    store = RedisRates(redis_server.url)
    redis_server.stop()
    try:
        with pytest.raises(RatesUnavailable, match="Redis fails"):
            store.take("a", HOUR, 5)
    finally:
        redis_server.start()
    with pytest.raises(RatesUnavailable, match="a moment ago"):
        store.take("a", HOUR, 5)
    store.close()


def test_redis_that_has_failed_is_asked_again_by_one_thread_alone(monkeypatch):
    pytest.importorskip("redis", reason="needs redis")
    store = RedisRates("redis://127.0.0.1:1")
    with pytest.raises(RatesUnavailable, match="Redis fails"):
        store.take("a", HOUR, 5)
    monkeypatch.setattr(store, "_ask_again_at", 0.0)

    def ask(**_):
        with pytest.raises(RatesUnavailable, match="a moment ago"):
            store.take("b", HOUR, 5)  # as another thread does that comes meanwhile
        return 1, 4, 0

    monkeypatch.setattr(store, "_take", ask)
    assert store.take("a", HOUR, 5).granted
    store.close()
