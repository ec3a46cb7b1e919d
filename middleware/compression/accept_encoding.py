"""Which content coding a client is to get (RFC 9110, section 12.5.3)."""

from __future__ import annotations

from functools import lru_cache

from webob.acceptparse import create_accept_encoding_header

LONGEST_FIELD = 1000
"""An Accept-Encoding of more characters counts as none; those of browsers have about 30."""

ALIASES = {"x-gzip": "gzip"}  # RFC 9110, section 8.4.1.3
"""Names that clients may use for a coding, beside its own."""


def choose(field: str, codings: tuple[str, ...]) -> tuple[str | None, bool]:
    """What to send to a client (RFC 9110, section 12.5.3).

    Unlike what webob makes of it, the body as it is comes last where the field does not name it:
    who says ``gzip;q=0.5`` and nothing else wants gzip.

    :param field: the value of Accept-Encoding; "" if there is none. One that is malformed, or
        longer than :data:`LONGEST_FIELD`, counts as none.
    :param codings: what there is, the server's favourite first.
    :returns: the coding, None for the body as it is; and whether that is acceptable at all.
    """
    return _choose(field if len(field) <= LONGEST_FIELD else "", codings)


@lru_cache(maxsize=256)
def _choose(field: str, codings: tuple[str, ...]) -> tuple[str | None, bool]:
    weights: dict[str, float] = {}
    for name, weight in create_accept_encoding_header(field).parsed or ():
        name = ALIASES.get(name.lower(), name.lower())
        weights[name] = max(weight, weights.get(name, 0))
    others = weights.get("*", 0)
    identity = weights.get("identity", weights.get("*"))
    best = max(codings, key=lambda coding: weights.get(coding, others))
    weight = weights.get(best, others)
    if weight and weight >= (identity or 0):
        return best, identity != 0
    return None, identity != 0
