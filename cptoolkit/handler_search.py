"""Look through an object tree for page handlers, without calling anything of it."""

from __future__ import annotations

from collections import deque
from inspect import getattr_static
from types import ModuleType
from typing import Any

MOST_OBJECTS = 10_000
"""Objects looked at; a tree that is larger is taken to have a handler somewhere."""

GIVEN = frozenset({"favicon_ico"})
"""Handlers that the tree of applications gives to a root that has none of its own."""

_LEAVES = (str, bytes, int, float, complex, type, ModuleType, type(None))


def may_answer(root: Any) -> bool:
    """Whether any path can lead to a page handler below an object.

    True also for a tree that makes its objects when asked, by ``_cp_dispatch`` or
    ``__getattr__``: nobody can tell then.
    """
    waiting = deque([root])
    seen = {id(root)}
    while waiting:
        node = waiting.popleft()
        if _exposed(node) or len(seen) > MOST_OBJECTS:
            return True
        if _static(node, "_cp_dispatch") is not None or _static(node, "__getattr__") is not None:
            return True
        for name in dir(node):
            if name.startswith("__") or name in GIVEN:
                continue
            found = _static(node, name)
            if isinstance(found, property):
                return True  # Only a request can tell what it gives.
            found = getattr(found, "__func__", found)
            if _exposed(found):
                return True
            if id(found) in seen or isinstance(found, _LEAVES) or not hasattr(found, "__dict__"):
                continue
            seen.add(id(found))
            waiting.append(found)
    return False


def _static(node: Any, name: str) -> Any:
    return getattr_static(node, name, None)


def _exposed(thing: Any) -> bool:
    return bool(_static(thing, "exposed"))
