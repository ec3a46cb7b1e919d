"""Names of a package that are imported from its modules when somebody asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from cptoolkit.middleware.nearest import did_you_mean


def exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package (PEP 562).

    :param package: its name.
    :param homes: the module below it that each name is in.
    """

    def find(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            near = did_you_mean(name, homes)
            raise AttributeError(f"module {package!r} has no attribute {name!r}{near}")
        found = getattr(import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return find
