"""Patterns of media types, as options have them: ``text/*``, ``application/*+xml``."""

from __future__ import annotations

import re
from collections.abc import Iterable

NAME = "[A-Za-z0-9!#$&^_.+-]+"  # RFC 6838, section 4.2
PATTERN = re.compile(rf"{NAME}/(?:\*|(?:\*\+)?{NAME})")


def media_patterns(mime_types: Iterable[object]) -> re.Pattern[str]:
    """What matches a Content-Type, parameters or not, of one of some media types.

    :param mime_types: each of the form type/subtype, type/* or type/*+suffix.
    :raises ValueError: if one is of another form.
    """
    alternatives = []
    for pattern in mime_types:
        if not isinstance(pattern, str) or not PATTERN.fullmatch(pattern):
            raise ValueError(
                "mime_types must be of the form type/subtype, type/* or type/*+suffix, "
                f"got {pattern!r}"
            )
        alternatives.append(re.escape(pattern).replace(r"\*", NAME))
    return re.compile(rf"\s*(?:{'|'.join(alternatives)})\s*(?:;|$)", re.IGNORECASE)
