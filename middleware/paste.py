"""Options of a layer as text, the way Paste Deploy hands them over.

``[filter:expires]`` with ``use = egg:cptoolkit#expires`` and ``secs = 60`` in an INI file is
``Expires(app, secs=60)``. Each layer is an entry point of the group ``paste.filter_app_factory``
(Paste Deploy, "Defining Factories").
"""

from __future__ import annotations

import ast
from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptoolkit.middleware.layer import Layer

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
"""What INI files say for yes and no."""


def option_from_text(layer: type[Layer], name: str, text: str) -> Any:
    """The value that stands in the text for an option of a layer.

    A Python literal is that value, ``module:name`` is imported for an option that is called or
    is a class, yes and no are themselves for one that is a flag, and all else is a text.

    :raises ValueError: if what is to be imported is not there; names layer and option.
    """
    kinds = {option.name: str(option.type) for option in fields(layer)}
    kind = kinds.get(name, "")
    if "bool" in kind and text.lower() in WORDS:
        return WORDS[text.lower()]
    if ("Callable" in kind or "type[" in kind) and ":" in text:
        return _imported(layer, name, text)
    if kind == "str":
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _imported(layer: type[Layer], option: str, text: str) -> Any:
    module, _, name = text.partition(":")
    try:
        found: Any = import_module(module)
        for attribute in name.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{layer.__name__}: {option} = {text}: {error}") from error
    return found
