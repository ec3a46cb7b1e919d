"""Turn the Python syntax of a config value into the object it means, without ``eval``.

Understood are literals and containers, arithmetic, ``%`` formatting, subscripts, calls, and
dotted names, which are imported (reference, chapter 6.2.1, "Values in config files use Python
syntax"). Statements, lambdas, comprehensions, comparisons and conditions are not.

A config file is as trusted as the program that reads it, since it may name and call anything
that can be imported. What is bounded is what a slip of the pen could do: ``9**9**9`` is an
error and does not hang the start.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import operator
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from cptoolkit.middleware.nearest import did_you_mean

MAX_BITS = 16_384
"""Size of the largest integer that ``**`` and ``<<`` may make."""

MAX_LENGTH = 1_000_000
"""Items of the longest sequence that repetition and ``%`` formatting may make."""

ROOT_ALIASES = {"cherrypy": "cptoolkit"}
"""Files written for CherryPy say ``cherrypy.dispatch.MethodDispatcher()``."""

# They run text, or wait for a person at the terminal: neither is a value.
REFUSED_BUILTINS = frozenset({"breakpoint", "compile", "eval", "exec", "exit", "input", "quit"})

_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def unrepr(text: str) -> Any:
    """Return the object that ``text`` means; the inverse of :func:`repr` for literals.

    Blank text is returned as it is. What a name's import or a call raises travels up.

    :raises ValueError: if ``text`` is not Python, uses syntax that is not understood, names
        something that does not exist, or means something absurdly large.
    """
    if not text.strip():
        return text
    try:
        node = _parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or "nested too deep"
        raise ValueError(f"{_shorten(text)} is not a Python value: {reason}") from error
    try:
        return _build(node)
    except RecursionError as error:
        raise ValueError(f"{_shorten(text)} is nested too deep") from error


def modules(path: str) -> ModuleType:
    """Import the module ``path``, such as ``"os.path"``, and return it.

    :raises ImportError: if there is none.
    """
    root, dot, rest = path.partition(".")
    return importlib.import_module(ROOT_ALIASES.get(root, root) + dot + rest)


def attributes(path: str) -> Any:
    """Import ``"package.module.name"`` and return what it names.

    :raises ImportError: if there is no such module.
    :raises AttributeError: if the module has no such name.
    """
    module, _, name = path.rpartition(".")
    return getattr(modules(module), name)


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        if "\n" not in text:
            raise
    # Between brackets, Python lets a value go on over several lines.
    match ast.parse(f"[{text}\n]", mode="eval").body:
        case ast.List(elts=[item]):
            return item
        case ast.List(elts=[_, _, *_] as items):
            return ast.Tuple(items, ast.Load())
    raise SyntaxError("the lines are no value")


def _build(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items):
            return tuple(_items(items))
        case ast.List(elts=items):
            return _items(items)
        case ast.Set(elts=items):
            return set(_items(items))
        case ast.Dict(keys=keys, values=values):
            return _dict(keys, values)
        case ast.Name(id=name):
            return _name(name)
        case ast.Attribute(value=parent, attr=name):
            return _attribute(_build(parent), name, ast.unparse(node))
        case ast.Subscript(value=parent, slice=index):
            return _build(parent)[_index(index)]
        case ast.Call(func=function, args=args, keywords=keywords):
            # Python refuses a name that comes twice. CherryPy, and so config files, may have one
            # among the ** that gives way to the one that is spelt out.
            ordered = sorted(keywords, key=lambda keyword: keyword.arg is not None)
            named = _dict([_keyword(k) for k in ordered], [k.value for k in ordered])
            return _build(function)(*_items(args), **named)
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_build(operand))
        case ast.BinOp(left=left, op=binary, right=right) if type(binary) in _BINARY:
            return _BINARY[type(binary)](_build(left), _build(right))
    raise ValueError(
        f"{_shorten(ast.unparse(node))} ({type(node).__name__}) is more than a config value may"
        " say; write a function for it and call that by its dotted name"
    )


def _items(nodes: list[ast.expr]) -> list[Any]:
    items: list[Any] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            items.extend(_build(node.value))
        else:
            items.append(_build(node))
    return items


def _dict(keys: list[ast.expr | None], values: list[ast.expr]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key is None:  # **value
            made.update(_build(value))
        else:
            made[_build(key)] = _build(value)
    return made


def _keyword(keyword: ast.keyword) -> ast.expr | None:
    return None if keyword.arg is None else ast.Constant(keyword.arg)


def _index(node: ast.expr) -> Any:
    if isinstance(node, ast.Slice):
        return slice(*(n and _build(n) for n in (node.lower, node.upper, node.step)))
    return _build(node)


def _name(name: str) -> Any:
    """A module wins over a builtin of the same name, as it does in CherryPy."""
    try:
        return modules(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # the module is there; what it imports is not
            raise
    if name in REFUSED_BUILTINS:
        raise ValueError(f"{name}() may not be used in a config value")
    try:
        return getattr(builtins, name)
    except AttributeError:
        hint = did_you_mean(name, {*ROOT_ALIASES, *dir(builtins)}) or did_you_mean(
            name, {*sys.modules, *sys.stdlib_module_names}
        )
        raise ValueError(
            f"{name!r} is neither a module that can be imported nor a builtin{hint}"
        ) from None


def _attribute(parent: Any, name: str, written: str) -> Any:
    try:
        return getattr(parent, name)
    except AttributeError:
        if isinstance(parent, ModuleType) and hasattr(parent, "__path__"):
            path = f"{parent.__name__}.{name}"
            try:
                return importlib.import_module(path)
            except ModuleNotFoundError as error:
                if error.name != path:
                    raise
        raise ValueError(
            f"{written}: there is no {name!r} in it{did_you_mean(name, dir(parent))}"
        ) from None


def _multiply(left: Any, right: Any) -> Any:
    for sequence, times in ((left, right), (right, left)):
        if (
            isinstance(times, int)
            and hasattr(sequence, "__len__")
            and len(sequence) * times > MAX_LENGTH
        ):
            raise ValueError(f"{times} repetitions make more than {MAX_LENGTH} items")
    return left * right


def _power(base: Any, exponent: Any) -> Any:
    if (
        isinstance(base, int)
        and isinstance(exponent, int)
        and base.bit_length() * exponent > MAX_BITS
    ):
        raise ValueError(f"an integer to the power of {exponent} is larger than {MAX_BITS} bits")
    return base**exponent


def _shift_left(number: Any, places: Any) -> Any:
    if isinstance(places, int) and places > MAX_BITS:
        raise ValueError(f"a shift by {places} is larger than {MAX_BITS} bits")
    return number << places


def _modulo(left: Any, right: Any) -> Any:
    """The remainder of a number, or a text with values put into it."""
    if isinstance(left, str | bytes):
        template = left if isinstance(left, str) else left.decode("latin-1")
        for field in re.findall(r"%(?:\([^)]*\))?([-+ #0-9.*]*)", template):
            widths = [int(digits) for digits in re.findall(r"\d+", field)]
            if "*" in field or any(width > MAX_LENGTH for width in widths):
                raise ValueError(f"the width in %{field} is larger than {MAX_LENGTH} characters")
    return left % right


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.LShift: _shift_left,
    ast.Mod: _modulo,
    ast.Mult: _multiply,
    ast.Pow: _power,
    ast.RShift: operator.rshift,
    ast.Sub: operator.sub,
}


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."
