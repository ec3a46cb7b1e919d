"""Fields of a query string or an urlencoded form (WHATWG URL, application/x-www-form-urlencoded).

Only ``&`` separates fields: where some software splits at ``;`` too and some does not, a cache
can be made to store the answer to another question (CVE-2021-23336).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from cptoolkit.http.errors import HTTPError

Params = dict[str, Any]
"""Values by name: a str, a list if the name was repeated, a body part for an uploaded file."""

# A click on <input type="image"> or ismap sends where it was. Nine digits: int() is not free.
_IMAGE_MAP = re.compile("([0-9]{1,9}),([0-9]{1,9})")


def parse_query_string(
    query_string: str,
    keep_blank_values: bool = True,
    encoding: str = "utf-8",
    max_fields: int = 1000,
) -> Params:
    """The fields of a query string.

    Only percent-escapes are read in the encoding; other characters are taken for what they are.
    An escape that is none (``%zz``) is kept as it stands. ``12,34``, the position in an image
    map, gives ``{"x": 12, "y": 34}``.

    :param keep_blank_values: whether ``a=`` and ``a`` count as fields.
    :returns: dict of str, or of list of str for a name that is repeated.
    :raises UnicodeDecodeError: if escapes do not make text in the encoding.
    :raises HTTPError: 414 if there are more than ``max_fields`` fields.
    """
    if not query_string:
        return {}
    pieces = query_string.split("&")
    if len(pieces) > max_fields:
        raise HTTPError(414, f"The query string has more than {max_fields} fields.")
    if len(pieces) == 1 and (match := _IMAGE_MAP.fullmatch(query_string)):
        return {"x": int(match[1]), "y": int(match[2])}
    escaped = "%" in query_string or "+" in query_string
    params: Params = {}
    for piece in pieces:
        if not piece:
            continue
        name, _, value = piece.partition("=")
        if not (value or keep_blank_values):
            continue
        if escaped:
            name = unquote(name.replace("+", " "), encoding, "strict")
            value = unquote(value.replace("+", " "), encoding, "strict")
        if name in params:
            add_param(params, name, value)
        else:
            params[name] = value
    return params


def add_param(params: Params, name: str, value: Any) -> None:
    """Put a value, or each of a list of values, next to those that the name has already."""
    if name not in params:
        params[name] = value
        return
    before = params[name]
    values = before if isinstance(before, list) else [before]
    values.extend(value if isinstance(value, list) else [value])
    params[name] = values
