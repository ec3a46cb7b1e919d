"""Header fields of a response as the list of pairs that they travel in.

webob's mapping of them is friendlier, but making one for each response costs as much as a whole
layer may. All of these change the list in place, so that such a mapping sees it.
"""

from __future__ import annotations

import re

Fields = list[tuple[str, str]]
"""(name, value) pairs, as PEP 3333 has them."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # section 5.5


def get(fields: Fields, name: str) -> str | None:
    """The value of the first field of a name; None if there is none.

    :param name: in lower case, as for all functions here that only look.
    """
    for other, value in fields:
        if other.lower() == name:
            return value
    return None


def joined(fields: Fields, name: str) -> str:
    """The values of all fields of a name as one list (RFC 9110, section 5.3); "" if none is."""
    return ", ".join([value for other, value in fields if other.lower() == name])


def put(fields: Fields, name: str, value: str) -> None:
    """Set a field, in the place of the first of that name and of all others."""
    lower = name.lower()
    for place, (other, _) in enumerate(fields):
        if other.lower() == lower:
            fields[place] = (name, value)
            fields[place + 1 :] = [item for item in fields[place + 1 :] if item[0].lower() != lower]
            return
    fields.append((name, value))


def put_default(fields: Fields, name: str, value: str) -> None:
    """Set a field, unless there is one already."""
    lower = name.lower()
    for other, _ in fields:
        if other.lower() == lower:
            return
    fields.append((name, value))


def put_defaults(fields: Fields, items: Fields, names: frozenset[str]) -> None:
    """Set those of several fields that there are none of yet.

    :param items: one name may come several times, for a field that does.
    :param names: all the names of the items, in lower case.
    """
    for other, _ in fields:
        if other.lower() in names:
            present = {name.lower() for name, _ in fields}
            fields += [item for item in items if item[0].lower() not in present]
            return
    fields += items


def remove(fields: Fields, *names: str) -> None:
    """Take away all fields of these names."""
    fields[:] = [item for item in fields if item[0].lower() not in names]


def add_elements(fields: Fields, name: str, *elements: str) -> None:
    """Add elements to a field that is a list, less those that are there already in any case."""
    present = joined(fields, name.lower())
    known = {element.strip() for element in present.lower().split(",")}
    missing = [element for element in elements if element.lower() not in known]
    if missing:
        put(fields, name, ", ".join([present, *missing] if present else missing))


def add_vary(fields: Fields, *names: str) -> None:
    """Say that the response depends on these fields of the request (RFC 9110, section 12.5.5).

    :param names: spelt as they should stand in ``Vary``.
    """
    for other, _ in fields:
        if other.lower() == "vary":
            break
    else:
        fields.append(("Vary", ", ".join(names)))
        return
    if joined(fields, "vary").strip() != "*":
        add_elements(fields, "Vary", *names)


def checked_name(name: object) -> str:
    """The name of a field, if it is one.

    :raises ValueError: if it is no token (RFC 9110, section 5.1).
    """
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValueError(f"the name of a header field must be a token of RFC 9110, got {name!r}")
    return name


def checked(name: object, value: object) -> tuple[str, str]:
    """A field that can be sent as it is.

    :raises ValueError: if the name is no token; if the value is no str of ISO-8859-1, or holds
        CR, LF or another control character (RFC 9110, section 5.5).
    """
    field_name = checked_name(name)
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ValueError(
            f"the header field {field_name} must be text of ISO-8859-1 without control "
            f"characters, got {value!r}"
        )
    return field_name, value
