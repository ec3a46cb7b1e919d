"""Session ids: what they look like, and new ones."""

from __future__ import annotations

import os
import re

ID_BYTES = 20
"""160 bits: nobody guesses one, and no two are ever the same."""

ATTEMPTS = 10
"""How often a generator may give an id that is taken before it counts as broken."""

is_generated = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}").fullmatch
"""Whether text looks like what :func:`new_id` makes."""

is_well_formed = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch
"""Whether text may be an id at all, of a generator of one's own. None of these characters means
anything in a path, a key of a store, or a cookie."""


def new_id() -> str:
    """An id that was never used, 40 hexadecimal digits."""
    return os.urandom(ID_BYTES).hex()
