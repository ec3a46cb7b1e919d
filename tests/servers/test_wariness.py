"""How long the engine expects handlers to block, after some have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cptoolkit.servers import wariness as wariness_module
from cptoolkit.servers.options import Options
from cptoolkit.servers.wariness import CAUTION, MEMORY, SLOW, Wariness
from cptoolkit.servers.watch import LONGEST_TICK, TICK, Watch


@pytest.fixture
def wariness():
    return Wariness()


@pytest.fixture
def took(monkeypatch):
    """Return a function that makes a handler of the seconds it takes, and of those it computes."""
    clock = {"perf_counter": 0.0, "process_time": 0.0}
    for name in clock:
        monkeypatch.setattr(wariness_module, name, lambda name=name: clock[name])

    def took(passes, computes):
        def handler():
            clock["perf_counter"] += passes
            clock["process_time"] += computes

        return handler

    return took


@pytest.fixture
def quick_answers(wariness, took):
    """Return a function that answers until nobody is wary any more, and tells how often."""

    def quick_answers():
        count = 0
        while wariness.left:
            wariness.watch(took(0, 0))
            count += 1
        return count

    return quick_answers


def test_one_handler_that_blocked_is_soon_forgotten(wariness, quick_answers):
    wariness.renew()
    assert quick_answers() == CAUTION


def test_many_that_blocked_are_remembered_longer_but_not_for_ever(wariness, quick_answers):
    for _ in range(100):
        wariness.renew()
    assert quick_answers() == MEMORY


@pytest.mark.parametrize("computed", [0.0, 0.2, 1.6])
def test_slow_handler_that_leaves_the_interpreter_to_others_makes_wary(wariness, took, computed):
    wariness.left = 2
    wariness.watch(took(SLOW, computed * SLOW))
    assert wariness.left == 2 + CAUTION


@pytest.mark.parametrize("computed", [0.3, 1.0, 1.4])
def test_slow_handler_that_computes_does_not(wariness, took, computed):
    wariness.left = 2
    wariness.watch(took(SLOW, computed * SLOW))
    assert wariness.left == 1


def test_quick_handler_does_not(wariness, took):
    wariness.left = 2
    wariness.watch(took(SLOW / 2, 0.0))
    assert wariness.left == 1


def test_looks_get_rarer_only_when_nobody_is_wary():
    leader = SimpleNamespace(calls=0)
    crew = SimpleNamespace(leader=leader)
    watch = Watch(SimpleNamespace(options=Options(), crew=crew, wary=True))
    watch._sweep_at = float("inf")
    for wary, rarer in [(True, False), (False, True)]:
        watch._engine.wary = wary
        leader.calls += 2
        watch._look(0.0)
        assert (watch.tick > TICK) is rarer


def test_rare_look_into_a_call_is_followed_by_one_early_look():
    leader = SimpleNamespace(calls=0)
    crew = SimpleNamespace(leader=leader)
    watch = Watch(SimpleNamespace(options=Options(), crew=crew, wary=False))
    watch._sweep_at = float("inf")
    watch.tick = LONGEST_TICK
    for calls, early in [(1, True), (3, False), (5, True), (6, False), (8, False), (9, True)]:
        leader.calls = calls
        watch._look(0.0)
        assert watch._pause() == (TICK if early else LONGEST_TICK)
