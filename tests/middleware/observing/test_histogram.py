"""How long requests take, as a histogram tells."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.observing.histogram import BUCKETS, quantile, quantiles


@pytest.mark.parametrize(
    ("buckets", "share", "seconds"),
    [
        ({}, 0.5, None),
        ({0: 10}, 0.5, 0.00025),
        ({3: 10}, 1.0, 0.005),
        ({0: 50, 7: 50}, 0.5, 0.0005),
        ({0: 50, 7: 50}, 0.75, 0.075),
        ({14: 1}, 0.5, 10.0),
    ],
)
def test_quantile_is_read_from_the_histogram(buckets, share, seconds):
    counts = [buckets.get(n, 0) for n in range(len(BUCKETS) + 1)]
    assert quantile(counts, share) == (seconds if seconds is None else pytest.approx(seconds))


@given(st.lists(st.floats(0.0001, 9.9), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_quantile_lies_in_the_bucket_of_the_true_one(times, share):
    counts = [0] * (len(BUCKETS) + 1)
    for time in times:
        counts[bisect_left(BUCKETS, time)] += 1
    found = quantile(counts, share)
    true = sorted(times)[max(0, -int(-share * len(times) // 1) - 1)]
    place = bisect_left(BUCKETS, true)
    lower = BUCKETS[place - 1] if place else 0.0
    assert lower <= found <= BUCKETS[place] + 1e-9


def test_three_quantiles_are_told():
    counts = [100] + [0] * len(BUCKETS)
    assert quantiles(counts) == pytest.approx((0.00025, 0.000475, 0.000495))
