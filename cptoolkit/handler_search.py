"""Look through an object tree for page handlers, without calling anything of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from inspect import getattr_static
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

MOST_OBJECTS = 10_000
"""Objects looked at; a tree that is larger is taken to have a handler somewhere."""

GIVEN = frozenset({"favicon_ico"})
"""Handlers that the tree of applications gives to a root that has none of its own."""

MADE_ON_DEMAND = (property, cached_property)
"""Attributes of which only a request can tell what they are."""

_LEAVES = (str, bytes, int, float, complex, type(None))
_BOUND = (FunctionType, staticmethod, classmethod)


def may_answer(root: Any) -> bool:
    """Whether any path can lead to a page handler below an object.

    True also for a tree that makes its objects when asked, by ``_cp_dispatch`` or
    ``__getattr__``: nobody can tell then.
    """
    waiting = deque([root])
    seen = {id(root)}
    while waiting:
        node = waiting.popleft()
        if is_exposed(node) or len(seen) > MOST_OBJECTS:
            return True
        if static(node, "_cp_dispatch") is not None or static(node, "__getattr__") is not None:
            return True
        for name, found in attributes(node):
            if name in GIVEN:
                continue
            if isinstance(found, MADE_ON_DEMAND) or is_exposed(found):
                return True
            function = bare(found)
            if id(function) not in seen and may_have_attributes(function):
                seen.add(id(function))
                waiting.append(function)
    return False


def attributes(node: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object that segments of a path may name, and their values.

    Methods are bound as by getattr(); what :data:`MADE_ON_DEMAND` makes is not made.
    """
    names: Iterable[Any] = type.__dir__(node) if isinstance(node, type) else object.__dir__(node)
    # Not dir(), which runs the object's own __dir__. A __dict__ may have other keys than texts.
    for name in sorted({name for name in names if isinstance(name, str)}):
        if not name.startswith("__"):
            found = static(node, name)
            if isinstance(found, MemberDescriptorType):  # of __slots__
                found = _slot(found, node)
            elif isinstance(found, _BOUND) and isinstance(node, type):
                found = found.__get__(None, node)
            elif isinstance(found, _BOUND) and found is not (_own(node) or {}).get(name):
                found = found.__get__(node, type(node))
            yield name, found


def static(node: Any, name: str) -> Any:
    """The attribute of an object, or None, without running anything of the object's own."""
    return getattr_static(node, name, None)


def bare(thing: Any) -> Any:
    """The function of a method, which is what has the attributes; anything else as it is."""
    return thing.__func__ if isinstance(thing, MethodType) else thing


def is_exposed(thing: Any) -> bool:
    """Whether an object of the tree is a page handler, or one of its kind of resource."""
    return bool(static(bare(thing), "exposed"))


def may_have_attributes(thing: Any) -> bool:
    """Whether there may be more of the tree below an object.

    Classes and modules, of which any can be met, count where they have a page handler themselves.
    """
    if isinstance(thing, _LEAVES):
        return False
    if isinstance(thing, (type, ModuleType)):
        return any(is_exposed(found) for _, found in attributes(thing))
    return _own(thing) is not None or any("__slots__" in vars(kind) for kind in type(thing).__mro__)


def _own(node: Any) -> dict[str, Any] | None:
    """The dict of an object's own attributes; None if it has none."""
    try:
        own: dict[str, Any] = object.__getattribute__(node, "__dict__")
    except AttributeError:
        return None
    return own


def _slot(descriptor: MemberDescriptorType, node: Any) -> Any:
    try:
        return descriptor.__get__(node, type(node))
    except AttributeError:  # nothing has been put there yet
        return None
