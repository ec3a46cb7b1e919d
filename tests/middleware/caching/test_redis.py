"""Answers kept in a real Redis, which several processes share and which may go away."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from webob import Request

from cptoolkit.middleware.caching.cache import Cache
from cptoolkit.middleware.caching.records import Answer, Variants
from cptoolkit.middleware.caching.redis import RedisStore

PATIENCE = 30

URI = ("http", "localhost", "", "/a")


@pytest.fixture
def redis(redis_server):
    redis_server.start()
    with Redis.from_url(redis_server.url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def store_of(redis_server, redis):
    """Makes stores on the server, each as another process would have one."""
    stores = []

    def make(**options):
        stores.append(RedisStore(redis_server.url, **{"timeout": 5, **options}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


class App:
    """A WSGI application that counts how often it is run."""

    def __init__(self, *fields, make=None):
        self.fields, self.make = list(fields), make
        self.runs = 0
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            self.runs += 1
            number = self.runs
        body = self.make(environ, number) if self.make else b"page %d" % number
        start_response("200 OK", [("Content-Length", str(len(body))), *self.fields])
        return [body]


def fetch(app, path="/a", method="GET", **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request.blank(path, method=method, headers=sent).get_response(app)


def answer(seconds=60, body=b"x"):
    now = time.time()
    return Answer("200 OK", [("X", "1")], body, now, now + seconds)


def test_what_one_process_keeps_is_found_by_the_other(store_of):
    app = App()
    one, two = Cache(app, store=store_of()), Cache(app, store=store_of())
    assert fetch(one).body == fetch(two).body == b"page 1"
    assert "Age" in fetch(two).headers
    fetch(two, method="POST")
    assert fetch(one).body == fetch(two).body == b"page 3"


def test_store_is_named_by_its_url(redis_server, redis):
    layer = Cache(App(), store=redis_server.url)
    try:
        assert fetch(layer).body == fetch(layer).body == b"page 1"
        assert redis.dbsize() == 1
    finally:
        layer.kept.close()


def test_variants_are_kept_apart(store_of):
    app = App(("Vary", "X-A"))
    one, two = Cache(app, store=store_of()), Cache(app, store=store_of())
    bodies = [fetch(one, X_A=value).body for value in "12"]
    assert bodies == [b"page 1", b"page 2"]
    assert [fetch(two, X_A=value).body for value in "12"] == bodies
    fetch(two, method="DELETE")
    assert [fetch(one, X_A=value).body for value in "12"] == [b"page 4", b"page 5"]


def test_redis_lets_records_expire(store_of, redis):
    store = store_of()
    variants = Variants(("accept",), "g", time.time() + 100)
    assert store.put(URI, variants, store.find(URI)[1])
    key = variants.key(URI, {})
    assert store.put(key, answer(50), store.find(URI)[1])
    assert store.find(URI)[0] == variants
    assert store.get(key).body == b"x"
    left = sorted(redis.pttl(name) for name in redis.scan_iter())
    assert 40_000 < left[0] <= 50_000
    assert 90_000 < left[1] <= 100_000
    assert not store.put(URI, answer(-1), store.find(URI)[1])


def test_record_that_cannot_be_read_is_none(store_of, redis):
    store = store_of()
    store.put(URI, answer(), store.find(URI)[1])
    redis.set(redis.keys()[0], b"rubbish")
    assert store.find(URI)[0] is None


def test_uri_that_another_process_has_invalidated_meanwhile_is_not_kept(store_of):
    one, two = store_of(), store_of()
    version = one.find(URI)[1]
    two.invalidate(URI)
    assert not one.put(URI, answer(), version)
    assert one.put(URI, answer(), one.find(URI)[1])


def test_clear_leaves_what_is_not_the_caches(store_of, redis):
    redis.set("other", "1")
    store = store_of()
    store.put(URI, answer(), store.find(URI)[1])
    store.clear()
    assert redis.keys() == [b"other"]


def test_eight_cold_requests_to_two_processes_run_the_page_once(store_of):
    entered = threading.Semaphore(0)

    def make(environ, number):
        for _ in range(8):
            assert entered.acquire(timeout=PATIENCE)
        return b"page %d" % number

    app = App(make=make)
    layers = [Cache(app, store=store_of(), antistampede_timeout=PATIENCE) for _ in range(2)]

    def ask(number):
        entered.release()
        return fetch(layers[number % 2]).body

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [b"page 1"] * 8
    assert app.runs == 1


def test_claim_is_the_first_ones_until_it_ends(store_of, redis):
    one, two = store_of(), store_of()
    claim = one.claim(URI, PATIENCE)
    assert claim
    assert two.claim(URI, PATIENCE) is None
    two.release(URI, "somebody else's")
    assert two.claim(URI, PATIENCE) is None
    began = time.monotonic()
    two.wait(URI, 0.05)
    assert time.monotonic() - began >= 0.05
    one.release(URI, claim)
    two.wait(URI, PATIENCE)
    assert two.claim(URI, 0.001) is not None
    one.wait(URI, PATIENCE)  # the claim of a process that has died ends by itself
    assert one.claim(URI, PATIENCE)


def test_without_redis_the_application_answers(store_of, redis_server, redis, caplog):
    caplog.set_level(logging.INFO)
    app = App()
    layer = Cache(app, store=store_of(retry=0), antistampede_timeout=PATIENCE)
    assert fetch(layer).body == b"page 1"
    redis_server.stop()
    try:
        assert [fetch(layer).body for _ in range(2)] == [b"page 2", b"page 3"]
        assert fetch(layer, method="POST").body == b"page 4"
    finally:
        redis_server.start()
    assert [record.message.partition(",")[0] for record in caplog.records] == ["Redis has failed"]
    # What was kept before has been invalidated while Redis was away.
    assert fetch(layer).body == b"page 5"
    assert fetch(layer).body == b"page 5"
    assert [record.message.partition(",")[0] for record in caplog.records][1:] == ["Redis is back"]


def test_redis_that_has_failed_is_left_alone_for_a_while(store_of, redis_server):
    now = [100.0]
    store = store_of(retry=5, clock=lambda: now[0])
    store.put(URI, answer(), store.find(URI)[1])
    redis_server.stop()
    try:
        assert store.find(URI)[0] is None
    finally:
        redis_server.start()
    now[0] = 104.9
    found, version = store.find(URI)
    assert found is None
    assert not store.put(URI, answer(), version)
    assert store.claim(URI, 1) is not None
    now[0] = 105
    assert store.find(URI)[0] is not None
    assert not store.put(URI, answer(), version)  # it may have been invalidated while it was away


def test_many_invalidations_without_redis_forget_everything(store_of, redis_server, monkeypatch):
    monkeypatch.setattr("cptoolkit.middleware.caching.redis.MOST_OWED", 2)
    store = store_of(retry=0)
    store.put(URI, answer(), store.find(URI)[1])
    redis_server.stop()
    try:
        for path in "123456":
            store.invalidate((*URI[:3], path))
    finally:
        redis_server.start()
    assert store.find(URI)[0] is None
    assert store.put(URI, answer(), store.find(URI)[1])
    assert store.find(URI)[0] is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefix": "a{b}"}, "prefix must be of letters"),
        ({"prefix": ""}, "prefix must be of letters"),
        ({"timeout": 0}, "timeout must be more than 0 seconds, got 0"),
        ({"retry": -1}, "retry must be 0 or more seconds, got -1"),
    ],
    ids=["braces", "empty", "timeout", "retry"],
)
def test_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RedisStore(**options)
