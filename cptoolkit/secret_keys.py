"""Keys of config whose values are not shown."""

from __future__ import annotations

import re

HIDDEN = "(not shown)"
"""What stands in the place of a secret."""

_SECRET = re.compile(
    r"(^|[_-])(keys?|pass|pwd|tokens?|users|credentials)$|api_?key|secret|passw(or)?d|passphrase",
    re.IGNORECASE,
)


def is_secret(key: str) -> bool:
    """Whether the last part of a key, which may have dots, tells of a secret."""
    return _SECRET.search(key.rpartition(".")[2]) is not None
