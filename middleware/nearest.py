"""Name the nearest right spelling of a wrong name, for messages that help."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str], likeness: float = 0.7) -> str | None:
    """Return the candidate that looks most like ``name``, or None if none looks like it.

    Case does not count: ``Production`` is nearest to ``production``.

    :param likeness: how alike the two must be, from 0 to 1; high where the name may be right.
    """
    from difflib import get_close_matches  # not above: most programs make no such mistake

    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    for folded in get_close_matches(name.casefold(), by_folded, n=1, cutoff=likeness):
        return by_folded[folded]
    return None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` to end a message with, or ``""`` if nothing is near."""
    match = nearest(name, candidates)
    return f"; did you mean {match!r}?" if match is not None else ""
