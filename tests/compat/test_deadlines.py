from datetime import datetime, timedelta, timezone

import pytest

from cptoolkit.deadlines import LockChecker, LockTimeout, NeverExpires, Timer


def test_some_timers_are_never_over():
    assert not NeverExpires().expired()
    assert not LockChecker("id", None).expired()


@pytest.mark.parametrize("seconds", [3600, 3600.5, timedelta(hours=1)], ids=repr)
def test_timer_is_not_over_before_its_time(seconds):
    assert not Timer.after(seconds).expired()
    assert not LockChecker("id", seconds).expired()


@pytest.mark.parametrize(
    "moment", [datetime(2000, 1, 1), datetime(2000, 1, 1, tzinfo=timezone.utc)], ids=repr
)
def test_timer_is_over_when_its_moment_has_come(moment):
    assert Timer(moment).expired()


def test_checker_raises_when_time_is_over():
    with pytest.raises(LockTimeout, match="the lock of the session abc was not"):
        LockChecker("abc", 0).expired()
