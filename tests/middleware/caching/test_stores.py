"""The store in RAM: its bounds, its times, and what it forgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.caching.records import OVERHEAD, Answer, Variants
from cptoolkit.middleware.caching.stores import MOST_INVALIDATIONS, RAMStore


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def uri(path):
    return ("http", "localhost", "", f"/{path}")


def answer(size=0, expires=2000.0):
    return Answer("200 OK", [], b"x" * size, 1000.0, expires)


def put(store, path, record=None):
    return store.put(uri(path), record or answer(), store.find(uri(path))[1])


def test_what_was_put_is_found(clock):
    store, record = RAMStore(clock=clock), answer(5)
    assert put(store, "a", record)
    assert store.find(uri("a"))[0] is record
    assert store.get(uri("b")) is None


def test_what_was_not_asked_for_longest_goes_first(clock):
    store = RAMStore(maxobjects=50, clock=clock)
    for number in range(50):
        put(store, number)
    store.get(uri(0))
    for number in range(50, 60):
        assert put(store, number)
    assert len(store) == 50
    kept = [number for number in range(60) if store.get(uri(number))]
    assert kept == [0, *range(11, 60)]


def test_bytes_are_limited(clock):
    each = OVERHEAD + 1000 + len("httplocalhost/0")
    store = RAMStore(maxsize=3 * each, clock=clock)
    for number in range(5):
        put(store, number, answer(1000))
    assert (len(store), store.size) == (3, 3 * each)
    assert put(store, 9, answer(2000))
    assert [n for n in (2, 3, 4, 9) if store.get(uri(n))] == [4, 9]
    assert not put(store, 4, answer(5000))
    assert store.get(uri(4)) is None  # what was there before is out of date


def test_what_has_expired_gives_its_bytes_back(clock):
    store = RAMStore(expire_freq=10, clock=clock)
    put(store, "a", answer(100, expires=1005))
    put(store, "b", answer(100, expires=1015))
    clock.now = 1005
    assert store.get(uri("a")) is None
    assert len(store) == 1
    clock.now = 1014
    store.get(uri("other"))
    clock.now = 1023
    store.get(uri("other"))
    assert len(store) == 1  # the last sweep was 9 seconds ago
    clock.now = 1024
    store.get(uri("other"))
    assert (len(store), store.size) == (0, 0)


def test_what_has_expired_is_not_kept(clock):
    store = RAMStore(clock=clock)
    assert not put(store, "a", answer(expires=1000))
    assert len(store) == 0


def test_list_of_expirations_does_not_grow_with_what_is_replaced(clock):
    store = RAMStore(clock=clock)
    for _ in range(10_000):
        put(store, "a")
    assert len(store._expirations) < 100


def test_uri_that_was_invalidated_meanwhile_is_not_kept(clock):
    store = RAMStore(clock=clock)
    version = store.find(uri("a"))[1]
    variant = (*uri("a"), "generation", "accept='x'")
    store.invalidate(uri("a"))
    assert not store.put(uri("a"), answer(), version)
    assert not store.put(variant, answer(), version)
    assert store.put(uri("b"), answer(), version)
    assert put(store, "a")


def test_invalidations_of_long_ago_count_for_every_uri(clock):
    store = RAMStore(clock=clock)
    before = store.find(uri("x"))[1]
    for number in range(MOST_INVALIDATIONS + 1):
        store.invalidate(uri(number))
    now = store.find(uri("x"))[1]
    assert not store.put(uri("x"), answer(), before)
    assert store.put(uri("x"), answer(), now)
    assert len(store._invalidated) == MOST_INVALIDATIONS


def test_cleared_store_keeps_nothing_that_was_being_made(clock):
    store = RAMStore(clock=clock)
    put(store, "a")
    version = store.find(uri("a"))[1]
    store.clear()
    assert (len(store), store.size, store.get(uri("a"))) == (0, 0, None)
    assert not store.put(uri("a"), answer(), version)
    assert put(store, "a")


KEYS = st.integers(0, 9)
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, st.integers(0, 3000), st.integers(1, 40)),
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("invalidate"), KEYS),
    st.tuples(st.just("pass"), st.integers(1, 20)),
)


@given(st.lists(STEPS, max_size=60))
def test_bounds_hold_and_nothing_stale_is_found_whatever_happens(steps):
    clock = Clock()
    store = RAMStore(maxobjects=5, maxsize=6000, expire_freq=3, clock=clock)
    newest = {}
    for what, *values in steps:
        if what == "put":
            key, size, seconds = values
            newest[key] = answer(size, clock.now + seconds)
            put(store, key, newest[key])
        elif what == "get":
            found = store.get(uri(values[0]))
            assert found is None or found is newest[values[0]]
            assert found is None or found.expires > clock.now
        elif what == "invalidate":
            store.invalidate(uri(values[0]))
            assert store.get(uri(values[0])) is None
        else:
            clock.now += values[0]
        assert len(store) <= 5
        assert store.size <= 6000
        sizes = [sum(map(len, key)) + kept.size() for key, kept in store._records.items()]
        assert store.size == sum(sizes)


def test_variants_have_a_key_by_names_and_values_in_order():
    variants = Variants(("accept", "accept-language"), "g", 0)
    one = variants.key(uri("a"), {"HTTP_ACCEPT": "x", "HTTP_ACCEPT_LANGUAGE": "y"})
    other = variants.key(uri("a"), {"HTTP_ACCEPT": "y", "HTTP_ACCEPT_LANGUAGE": "x"})
    assert one == (*uri("a"), "g", "accept='x'", "accept-language='y'")
    assert other != one
    assert variants.key(uri("a"), {}) != variants.key(uri("a"), {"HTTP_ACCEPT": "None"})
