"""Options of a layer as text, the way Paste Deploy hands them over.

``[filter:expires]`` with ``use = egg:cptoolkit#expires`` and ``secs = 60`` in an INI file is
``Expires(app, secs=60)``. Each layer is an entry point of the group ``paste.filter_app_factory``
(Paste Deploy, "Defining Factories").
"""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cptoolkit.middleware.option_types import declared

if TYPE_CHECKING:
    from cptoolkit.middleware.layer import Layer

WORDS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
"""What INI files say for yes and no."""

PLAIN = frozenset({
    "str", "bytes", "int", "float", "bool", "None", "Any", "Literal", "Optional", "Union",
    "Sequence", "Mapping", "Iterable", "Collection", "list", "tuple", "dict",
    "os", "PathLike", "re", "Pattern", "timedelta", "collections", "abc", "typing",
})  # fmt: skip
"""Types of what can be written down. All others are of what has to be imported."""

_IMPORTABLE = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


def option_from_text(layer: type[Layer], name: str, text: str) -> Any:
    """The value that stands in the text for an option of a layer.

    A text stays one for an option that takes only that; yes and no are themselves for a flag. For
    others a Python literal is that value: ``['text/html', 'text/css']``, ``None``, ``60``, unless
    it is a number for an option that takes none. For one that takes functions, classes or other
    objects, ``module:name`` is imported. All else is a text.

    :raises ValueError: if a flag is neither yes nor no, or what is to be imported is not there;
        names layer and option.
    """
    kind = next((declared(option.type) for option in fields(layer) if option.name == name), "")
    if kind == "str":
        return text
    types = {*re.findall(r"\w+", _QUOTED.sub("", kind))}  # not what stands in a Literal
    if "bool" in types and text.lower() in WORDS:
        return WORDS[text.lower()]
    if kind == "bool":
        raise ValueError(f"{layer.__name__}: {name} must be yes or no, got {text!r}")
    if not types <= PLAIN and _IMPORTABLE.fullmatch(text):
        return _imported(layer, name, text)
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError):
        return text
    if isinstance(value, (int, float)) and types.isdisjoint(("int", "float", "Any")):
        return text
    return value


def _imported(layer: type[Layer], option: str, text: str) -> Any:
    module, _, name = text.partition(":")
    try:
        found: Any = import_module(module)
        for attribute in name.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{layer.__name__}: {option} = {text}: {error}") from error
    return found
