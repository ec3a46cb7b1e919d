"""Header fields of a response as the list of pairs that they travel in.

webob's mapping of them is friendlier, but making one for each response costs as much as a whole
layer may. All of these change the list in place, so that such a mapping sees it.
"""

from __future__ import annotations

Fields = list[tuple[str, str]]
"""(name, value) pairs, as PEP 3333 has them."""


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
    if joined(fields, "vary").strip() != "*":
        add_elements(fields, "Vary", *names)
