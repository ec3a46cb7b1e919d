"""Name handlers, objects and values of config for people."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, TypedDict

from cptoolkit.handler_search import bare
from cptoolkit.secret_keys import HIDDEN, is_secret

LONGEST_VALUE = 300
"""Characters of a value that are shown."""

_PASSWORD_IN_URL = re.compile(r"(://[^/@\s:]*:)[^/\s]+@")
_SECRET_IN_TEXT = re.compile(  # of a DSN, a query string, or the repr() of an object
    r"""((?:api_?key|secret|passw(?:or)?d|passphrase|pwd|token)['"]?(?:=|:\ ))
    ('[^']*'|"[^"]*"|(?<==)(?!None\b|True\b|False\b|[<(])[^\s&;,'")}]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Place(TypedDict):
    """What something is called, and where its code is."""

    name: str
    file: str | None
    line: int | None


def place_of(thing: Any) -> Place:
    """The name and the place of a function, of a class, or of the class of another object."""
    if isinstance(thing, partial):
        thing = thing.func
    thing = bare(thing)
    if not (inspect.isroutine(thing) or isinstance(thing, type)):
        thing = type(thing)
    original = inspect.unwrap(thing) if inspect.isfunction(thing) else thing
    module = str(getattr(original, "__module__", None) or "")
    name = str(getattr(original, "__qualname__", None) or repr(original))
    name = name.replace("<locals>.", "")
    if module not in ("", "builtins"):
        name = f"{module}.{name}"
    code = getattr(original, "__code__", None)
    if code is not None:
        return Place(name=name, file=short_path(code.co_filename), line=code.co_firstlineno)
    try:
        file = inspect.getsourcefile(original)
        line = inspect.findsource(original)[1] + 1
    except (OSError, TypeError):  # made in C, or typed in
        return Place(name=name, file=None, line=None)
    return Place(name=name, file=None if file is None else short_path(file), line=line)


def short_path(file: str) -> str:
    """A path relative to the current folder where it is below that."""
    try:
        below = os.path.relpath(file)
    except ValueError:  # another drive
        return file
    return file if below.startswith(os.pardir) else below


def parameters(function: object) -> list[str]:
    """The parameters of a function as they stand in its definition, without annotations."""
    if isinstance(function, type) or not callable(function):
        return []
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # which else runs annotations, whose names may not be there
        from annotationlib import Format

        options["annotation_format"] = Format.FORWARDREF
    try:
        found = inspect.signature(function, **options).parameters.values()
    except (TypeError, ValueError):
        return []
    return [_parameter(parameter) for parameter in found]


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
    if parameter.default is parameter.empty:
        return stars + parameter.name
    return f"{parameter.name}={shown(parameter.default)}"


def shown_entry(key: str, value: Any) -> str:
    """The value of a config entry as text, if its key does not say that it is a secret."""
    if is_secret(key) and not callable(value) and value:
        return HIDDEN
    return shown(value)


def shown(value: Any) -> str:
    """A value as text: as it stands in code, as far as that is known; functions by name."""
    text = _PASSWORD_IN_URL.sub(rf"\1{HIDDEN}@", _code(value))
    text = _SECRET_IN_TEXT.sub(rf"\1{HIDDEN}", text)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _code(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = [f"{_code(key)}: {shown_entry(str(key), item)}" for key, item in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if type(value) in (list, tuple):
        items = map(_code, value)
        return f"[{', '.join(items)}]" if type(value) is list else f"({', '.join(items)})"
    if inspect.isroutine(value) or isinstance(value, type):
        return place_of(value)["name"]
    try:
        return _ADDRESS.sub("", repr(value))
    except Exception as error:  # it is somebody's own
        return f"<{type(value).__name__}, whose repr() raises {type(error).__name__}>"


def object_name(thing: Any) -> str:
    """What an object of the tree is called."""
    name = place_of(thing)["name"]
    return name if inspect.isroutine(thing) or isinstance(thing, type) else f"{name} object"


def printable(text: str) -> str:
    """Text in which control characters, which a terminal would obey, are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
