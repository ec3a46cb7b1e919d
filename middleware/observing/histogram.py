"""Count times in buckets, and read from these how long requests take."""

from __future__ import annotations

from collections.abc import Sequence

BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the histogram's buckets in seconds: Prometheus' usual ones, and three below for
what an application in this process can do. Longer requests are in one more bucket."""


def quantiles(counts: Sequence[int]) -> tuple[float | None, float | None, float | None]:
    """The times within which a half, 95 and 99 of a hundred requests were over."""
    return quantile(counts, 0.5), quantile(counts, 0.95), quantile(counts, 0.99)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The time within which a share of the requests was over, as far as a histogram tells.

    It is told as though the times in each bucket were spread evenly. Beyond the last bound
    nothing is known, and it stands for all that took longer; so does None for no requests.

    :param counts: requests per bucket of :data:`BUCKETS`, and those beyond.
    :param share: from 0 to 1.
    :returns: seconds.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    below = 0
    lower = 0.0
    for bound, count in zip(BUCKETS, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below += count
        lower = bound
    return BUCKETS[-1]
