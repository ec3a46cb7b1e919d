"""Modules under further names: the import machinery behind the table of historic names.

A name that stands for one module gives that very module. A name that stands for several, since
what used to be one module has been parted, gives a :class:`Gathered` one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from cptoolkit.middleware.nearest import did_you_mean

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # importing the abstract class costs every program 10 ms

PACKAGE = "cptoolkit"


class Gathered(ModuleType):
    """A module that has the names of several others; setting one sets it where it is at home."""

    def __init__(self, name: str, parts: Sequence[str]) -> None:
        super().__init__(name, f"Stands for {', '.join(parts) or 'a package'}.")
        self.__parts = [importlib.import_module(f"{PACKAGE}.{part}") for part in parts]

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return [public for public in dir(self) if not public.startswith("_")]
        if not name.startswith("__"):
            for part in self.__parts:
                if name in vars(part):
                    return vars(part)[name]
            if is_alias(child := f"{self.__name__.partition('.')[2]}.{name}"):
                return importlib.import_module(f"{PACKAGE}.{child}")
            refuse_left_out(child, AttributeError)
        raise AttributeError(f"{self.__name__} has no {name!r}{did_you_mean(name, dir(self))}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            for part in self.__parts:
                if name in vars(part):
                    setattr(part, name, value)
                    return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        parts = self.__parts
        return sorted({*super().__dir__(), *(name for part in parts for name in vars(part))})


class AliasFinder:
    """Finds the historic names below ``cptoolkit``, after everybody else has been asked."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != PACKAGE:
            return None
        if is_alias(name):
            return ModuleSpec(fullname, _AliasLoader(name))
        refuse_left_out(name, ModuleNotFoundError)
        if near := did_you_mean(name, _table()):
            raise ModuleNotFoundError(f"there is no module {fullname}{near}", name=fullname)
        return None


def install() -> None:
    """Have the historic names found; doing so twice changes nothing."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.append(AliasFinder())


class PackageAliasFinder:
    """Finds the whole package under another name. It has to be the first to be asked: others
    would find the same files, and make second copies of their modules."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        package, dot, name = fullname.partition(".")
        if package != self.alias:
            return None
        from importlib.util import find_spec  # not above: it takes 4 ms of every program

        try:
            known = find_spec(f"{PACKAGE}{dot}{name}")
        except ModuleNotFoundError as error:
            message = str(error).replace(PACKAGE, self.alias, 1)
            raise ModuleNotFoundError(message, name=fullname) from None
        if known is None:
            return None
        spec = ModuleSpec(fullname, SameModule(f"{PACKAGE}{dot}{name}"), origin=known.origin)
        # python -m looks there whether it is a package.
        spec.submodule_search_locations = known.submodule_search_locations
        return spec


class SameModule(Loader):
    """Loads a name as a module that has another name as well."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import machinery has put in its spec for the alias. A module's spec tells where it is
        # from, to reload() and pickle for instance, and stays that of its real name.
        module.__spec__ = self._spec

    def get_code(self, fullname: str) -> CodeType | None:
        """What ``python -m`` runs, under either name."""
        from importlib.util import find_spec  # not above: see PackageAliasFinder

        spec = find_spec(self.name)
        get_code = getattr(spec and spec.loader, "get_code", None)
        code: CodeType | None = get_code and get_code(self.name)
        return code


class _AliasLoader(SameModule):
    """Loads what the table of historic names says."""

    def __init__(self, alias: str) -> None:
        self.parts = _table()[alias]
        self.is_package = any(other.startswith(f"{alias}.") for other in _table())
        single = len(self.parts) == 1 and not self.is_package
        super().__init__(f"{PACKAGE}.{self.parts[0]}" if single else "")

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if self.name:
            return super().create_module(spec)
        module = Gathered(spec.name, self.parts)
        if self.is_package:
            module.__path__ = []  # what the import statement takes a package by
        self._spec = spec
        return module


def is_alias(name: str) -> bool:
    """Whether a name, less the package's, is one of the historic names."""
    return name in _table()


def refuse_left_out(name: str, error: type[Exception]) -> None:
    """Raise the error if a name, less the package's, is one that is left out on purpose.

    The message says what to use instead.
    """
    from cptoolkit.compat import LEFT_OUT

    if name in LEFT_OUT:
        raise error(f"{PACKAGE}.{name} has been left out: {LEFT_OUT[name]}")


def lacking(module: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module that holds CherryPy's names, but not all (PEP 562).

    :param module: its name, less the package's.
    """

    def refuse(name: str) -> Any:
        if not name.startswith("__"):  # which the import machinery asks for
            refuse_left_out(f"{module}.{name}", AttributeError)
        full = f"{PACKAGE}.{module}"
        near = did_you_mean(name, vars(sys.modules[full]))
        raise AttributeError(f"module {full!r} has no attribute {name!r}{near}")

    return refuse


def attribute(name: str) -> Any:
    """What an attribute of the package stands for, mostly a module: its ``__getattr__`` (PEP 562).

    :raises AttributeError: if it stands for none; with the nearest name that the package has.
    """
    if is_alias(name) or name in ("compat", "middleware", "servers"):  # imported when asked for
        return importlib.import_module(f"{PACKAGE}.{name}")
    if name in _attributes():
        module, _, attribute = _attributes()[name].rpartition(".")
        return getattr(importlib.import_module(f"{PACKAGE}.{module}"), attribute)
    refuse_left_out(name, AttributeError)
    known = [*vars(sys.modules[PACKAGE]), *_table()]
    raise AttributeError(f"module {PACKAGE!r} has no attribute {name!r}{did_you_mean(name, known)}")


def _table() -> dict[str, tuple[str, ...]]:
    from cptoolkit.compat import ALIASES  # here, as most programs never need it

    return ALIASES


def _attributes() -> dict[str, str]:
    from cptoolkit.compat import ATTRIBUTES

    return ATTRIBUTES
