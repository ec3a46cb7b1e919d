"""Say which option of a layer is of another type than it is declared with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from inspect import formatannotation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptoolkit.middleware.layer import Layer

TYPES: dict[str, Any] = {
    "None": type(None),
    "str": str,
    "bytes": bytes,
    "int": int,
    "float": (int, float),
    "os.PathLike": os.PathLike,
    "re.Pattern": re.Pattern,
    "Callable": Callable,
    "Collection": Collection,
    "Iterable": Iterable,
    "Mapping": Mapping,
    "Sequence": Sequence,
}
"""The types that are looked at, as options name them; any value fits the others. For a bool that is
so, too: what counts is whether the value is true."""

_PART = re.compile(r"([\w.]+)(?:\[((?:[^\[\]]|\[[^\]]*\])*)\])?")


def misfit(layer: Layer) -> tuple[str, str] | None:
    """The first option that is of another type than it is declared with, and what to say of it.

    Of a value that the layer's ``repr()`` keeps to itself, only the type is told.
    """
    for option in fields(layer):
        value, kind = getattr(layer, option.name), declared(option.type)
        if option.init and not fits(value, kind):
            wanted = kind.replace(" | ", " or ")
            got = repr(value) if option.repr else f"a value of type {type(value).__name__}"
            return option.name, f"{type(layer).__name__}: {option.name} must be {wanted}, got {got}"
    return None


def declared(annotation: object) -> str:
    """The type of an option as it was written; a string already in most modules (PEP 563)."""
    return annotation if isinstance(annotation, str) else formatannotation(annotation)


def fits(value: object, kind: str) -> bool:
    """Whether a value is of a type, given as it is written down: ``"Sequence[str] | None"``."""
    return any(_is(value, name, items) for name, items in _PART.findall(kind))


def _is(value: object, name: str, items: str) -> bool:
    if name not in TYPES:
        return True
    if not isinstance(value, TYPES[name]) or (isinstance(value, bool) and name in ("int", "float")):
        return False
    if not items or name not in ("Collection", "Iterable", "Sequence"):
        return True
    return isinstance(value, Collection) and all(fits(item, items) for item in value)
