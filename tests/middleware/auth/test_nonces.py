"""Nonces: signed, good for a time, and no count comes twice."""

import pytest
from beside import at_once
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.middleware.auth.nonces import WINDOW, Nonces, nonces


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_nonce_is_good_until_its_lifetime_is_over(clock):
    made = Nonces(b"key", 600, clock)
    nonce = made.make()
    clock.now += 600
    assert made.is_good(nonce)
    clock.now += 0.01
    assert not made.is_good(nonce)


def test_nonces_differ_at_the_same_time(clock):
    made = Nonces(b"key", 600, clock)
    assert made.make() != made.make()


def test_nonce_of_the_same_key_is_good_elsewhere(clock):
    assert Nonces(b"key", 600, clock).is_good(Nonces(b"key", 600, clock).make())
    assert not Nonces(b"key", 600, clock).is_good(Nonces(b"other", 600, clock).make())


@pytest.mark.parametrize(
    "nonce", ["", "x", "0" * 60, "g" * 60, "é" * 60, "0" * 59, "0" * 61, "0" * 59 + "\n"]
)
def test_what_is_no_nonce_is_not_good(clock, nonce):
    assert not Nonces(b"key", 600, clock).is_good(nonce)


@settings(deadline=None)
@given(st.integers(0, 59), st.sampled_from("0123456789abcdef"))
def test_changed_nonce_is_not_good(place, digit):
    made = Nonces(b"key", 600)
    nonce = made.make()
    changed = nonce[:place] + digit + nonce[place + 1 :]
    assert made.is_good(changed) == (changed == nonce)


@settings(deadline=None)
@given(st.lists(st.integers(1, WINDOW), max_size=60))
def test_each_count_comes_once_whatever_the_order(counts):
    made = Nonces(b"key", 600)
    nonce = made.make()
    assert [made.use(nonce, count) for count in counts] == [
        count not in counts[:place] for place, count in enumerate(counts)
    ]


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=60))
def test_no_count_ever_comes_twice(counts):
    made = Nonces(b"key", 600)
    nonce = made.make()
    taken = [count for count in counts if made.use(nonce, count)]
    assert len(taken) == len(set(taken))


def test_count_far_behind_is_refused():
    made = Nonces(b"key", 600)
    nonce = made.make()
    assert made.use(nonce, 2**32 - 1)
    assert made.use(nonce, 2**32 - WINDOW)
    assert not made.use(nonce, 2**32 - 1 - WINDOW)


def test_counts_of_one_nonce_are_none_of_another():
    made = Nonces(b"key", 600)
    assert made.use(made.make(), 1)
    assert made.use(made.make(), 1)


def test_table_of_nonces_is_bounded_and_what_is_forgotten_is_stale(clock):
    made = Nonces(b"key", 600, clock, most=3)
    used = []
    for _ in range(5):
        clock.now += 1
        used.append(made.make())
        assert made.use(used[-1], 1)
    assert len(made._used) == 3
    assert not any(made.use(nonce, count) for nonce in used[:2] for count in (1, 2))
    assert all(made.use(nonce, 2) for nonce in used[2:])


def test_old_nonces_make_room(clock):
    made = Nonces(b"key", 600, clock, most=3)
    for _ in range(3):
        made.use(made.make(), 1)
    early = made.make()
    clock.now += 601
    assert made.use(made.make(), 1)
    assert len(made._used) == 1
    assert made._forgotten == 0
    assert not made.is_good(early)


def test_many_threads_get_each_count_once():
    made = Nonces(b"key", 600)
    nonce = made.make()
    taken = []

    def use_all():
        taken.extend(count for count in range(1, 200) if made.use(nonce, count))

    at_once(*[use_all] * 4)
    assert sorted(taken) == list(range(1, 200))


def test_whoever_has_the_key_shares_the_counts():
    assert nonces(b"key", 600) is nonces(b"key", 600)
    assert nonces(b"key", 600) is not nonces(b"other", 600)
