"""The function of ``tools.params``: parameters as the types that annotations name."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import Any

from cptoolkit.context import current
from cptoolkit.http.errors import HTTPError

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})

Refusals = type[Exception] | tuple[type[Exception], ...]

# TypeError is what int() makes of a parameter that came twice, ArithmeticError what Decimal() does
# of no number.
REFUSALS: Refusals = (ValueError, TypeError, ArithmeticError)


def convert_params(exception: Refusals = REFUSALS, error: int = 400) -> None:
    """Convert parameters to the types that the page handler's annotations name.

    :param exception: what a type may raise for a value that it refuses.
    :param error: the status that the client then gets.
    """
    request = current.get()[0]
    handler = getattr(request.handler, "callable", None)
    if handler is None:
        return
    function = getattr(handler, "__func__", handler)
    if not isinstance(function, Hashable):  # an instance of a dataclass, say
        function = type(function).__call__
    for name, convert in _converters(function).items():
        if name in request.params:
            try:
                request.params[name] = convert(request.params[name])
            except exception as refusal:
                raise HTTPError(error, str(refusal)) from refusal


@lru_cache(maxsize=1000)
def _converters(handler: Callable[..., Any]) -> dict[str, Callable[[Any], Any]]:
    """What converts the parameters of a function, by name; those that need nothing are left out."""
    function = inspect.unwrap(handler)
    converters = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.annotation is parameter.empty:
            continue

        # One by one: a name that only the type checker imports must not undo the others.
        def probe() -> None: ...

        probe.__annotations__ = {name: parameter.annotation}
        try:
            kind = typing.get_type_hints(probe, getattr(function, "__globals__", {}))[name]
        except (NameError, TypeError):
            continue
        convert = _converter(kind)
        if convert is not None:
            converters[name] = convert
    return converters


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    if kind is bool:
        return _boolean
    if kind is str or kind is Any or kind is object:
        return None
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
        return _converter(choices[0]) if len(choices) == 1 else None
    if origin is list:
        item = _converter(*typing.get_args(kind))
        return partial(_list, item)
    return kind if callable(kind) and origin is None else None


def _boolean(text: Any) -> bool:
    word = str(text).lower()
    if word not in TRUE and word not in FALSE:
        raise ValueError(
            f"a truth value is one of true, yes, on, 1, false, no, off, 0, got {text!r}"
        )
    return word in TRUE


def _list(convert: Callable[[Any], Any] | None, values: Any) -> list[Any]:
    items = values if isinstance(values, list) else [values]
    return items if convert is None else [convert(item) for item in items]
