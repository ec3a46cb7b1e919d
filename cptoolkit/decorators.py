"""Decorators for page handlers and the classes that hold them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, overload

from cptoolkit.context import current
from cptoolkit.dispatch import PUNCTUATION, Dispatcher, step

F = TypeVar("F", bound="Callable[..., Any] | classmethod[Any, Any, Any] | staticmethod[Any, Any]")
C = TypeVar("C", bound=type)


@overload
def expose(target: str | list[str] | tuple[str, ...], alias: None = None) -> Callable[[F], F]: ...
@overload
def expose(target: F, alias: str | Iterable[str] | None = None) -> F: ...
@overload
def expose(target: None = None, alias: str | Iterable[str] | None = None) -> Callable[[F], F]: ...
def expose(target: Any = None, alias: str | Iterable[str] | None = None) -> Any:
    """Let clients call a function, a method or the methods of a class (reference, 5.1 and 12).

    :param target: what is exposed; as ``@expose("name")`` or ``@expose(["a", "b"])`` aliases.
    :param alias: other names by which it is found in the same object, as they stand in URLs.
    :raises TypeError: if it cannot be called, or cannot be given the attribute ``exposed``.
    :raises ValueError: if an alias is no segment of a path.
    """
    if target is None or isinstance(target, (str, list, tuple)):
        names = alias if target is None else target

        def decorate(function: F) -> F:
            exposed: F = _expose(function, names, sys._getframe(1).f_locals)
            return exposed

        return decorate
    return _expose(target, alias, sys._getframe(1).f_locals)


def _expose(target: Any, alias: str | Iterable[str] | None, namespace: dict[str, Any]) -> Any:
    # What these make of the function in them is what the dispatcher will look at.
    function: Any = target.__func__ if isinstance(target, (classmethod, staticmethod)) else target
    if not callable(function):
        raise TypeError(f"only what can be called can be exposed, got {target!r}")
    try:
        function.exposed = True
    except AttributeError:
        raise TypeError(
            f"{target!r} cannot be exposed, as it takes no attributes: expose a function that "
            "calls it"
        ) from None
    for name in _aliases(alias):
        # The names that the path comes to, with the default translation and without any.
        namespace[name.replace(".", "_")] = target
        namespace[name.translate(PUNCTUATION)] = target
    return target


def _aliases(alias: str | Iterable[str] | None) -> list[str]:
    if alias is None:
        return []
    if isinstance(alias, str):
        alias = [alias]
    elif not isinstance(alias, Iterable):
        raise TypeError(f"an alias must be a str or several in a list, got {alias!r}")
    aliases = list(alias)
    for name in aliases:
        if not isinstance(name, str):
            raise TypeError(f"an alias must be a str, got {name!r}")
        if not name or "/" in name:
            raise ValueError(f"an alias must be one segment of a path, got {name!r}")
    return aliases


class PathTaker(Protocol):
    """What decorates a class, and takes segments off a path as its ``_cp_dispatch``."""

    @overload
    def __call__(self, target: C, /) -> C: ...
    @overload
    def __call__(self, target: Any, vpath: list[str], /) -> Any: ...


def popargs(*names: str, handler: Any = None) -> PathTaker:
    """Take segments off the path and give them to page handlers by name (reference, 5.2.2).

    What it returns decorates a class, or is its ``_cp_dispatch``.

    :param names: the parameters, in the order of the segments.
    :param handler: what goes on with the rest of the path: an object, a class or function that
        makes one when called with the parameters, or None for the object itself.
    :raises TypeError: if a name is no str, as when the parentheses are forgotten.
    """
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"@popargs(...) takes names of parameters, got {name!r}")

    # The target is None for a class that is a part of the tree itself: nothing binds it there.
    def dispatch(target: Any = None, vpath: list[str] | None = None) -> Any:
        if isinstance(target, type):
            setattr(target, Dispatcher.dispatch_method_name, dispatch)
            return target
        if vpath is None:  # a function: it gets the rest of the path as it is
            return target
        taken = {name: vpath.pop(0) for name in names[: len(vpath)]}
        if callable(handler):
            return handler(**taken)
        current.get()[0].params.update(taken)
        if handler is not None:
            return handler
        if not vpath:
            return target
        # Not left to the dispatcher: that would come back here for a name that is not there.
        return step(target, vpath.pop(0))

    return dispatch
