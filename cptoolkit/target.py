"""Find the application that a command line names: ``module:name`` or ``path/to/file.py:name``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from inspect import getattr_static
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

from cptoolkit.application import Application
from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.mounts import Tree, tree

USUAL_NAMES = ("application", "app", "wsgiapp", "root")
"""Where an application is looked for in a module, if the command line names none."""

_MOST_OBJECTS = 10_000  # looked at in search of a page handler; a tree has them near its root
_NOT_THEIRS = (f"{Path(__file__).parent}{os.sep}", importlib.__file__, "<frozen importlib")


class TargetError(Exception):
    """There is nothing to serve under that name: one line that says what there is instead."""


class Kind(Enum):
    """How a thing is served."""

    ROOT = "object tree"
    APPLICATION = "Application"
    TREE = "Tree"
    WSGI = "WSGI application"


@dataclass(frozen=True)
class Target:
    """What a command line names, ready to be served."""

    name: str
    """As the command line has it, or with the name that was found in the module."""

    thing: Any
    """The root of an object tree, an Application, a Tree or another WSGI application."""

    kind: Kind


def find(text: str) -> Target:
    """Import what ``text`` names, and make of it something that can be served.

    A class is instantiated and a function without parameters is called: what comes of it counts.

    :param text: ``module:name``, ``path/to/file.py:name``, or either without the name where one
        thing in it is the obvious one: what it mounts on the site's tree, or else the only thing of
        its own that can be served. A name may have dots.
    :raises TargetError: if there is no such module, it cannot be imported, it has no such name, or
        what is found cannot be served.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not all(part.isidentifier() for part in name.split(".")):
        place, name = text, ""
        if text.endswith(":"):
            raise TargetError(f"{text!r} names nothing after the colon")
    mounted = dict(tree.apps)
    module = import_file(place) if _is_path(place) else import_module(place)
    if not name:
        if tree.apps != mounted:
            return Target(text, tree, Kind.TREE)
        name = _obvious(module, place)
    return servable(f"{place}:{name}", _look_up(module, place, name), module)


def import_module(name: str) -> ModuleType:
    """Import a module for a command line.

    :raises TargetError: if that fails; the text has the error's own last line and its place.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"{name!r} is no module name and no path of a .py file")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise TargetError(_failure(f"cannot import {name}", error)) from error
        near = did_you_mean(error.name, _modules_near(error.name.rpartition(".")[0]))
        raise TargetError(f"there is no module {error.name!r}{near}") from error
    except (Exception, SystemExit) as error:
        raise TargetError(_failure(f"cannot import {name}", error)) from error


def import_file(path: str) -> ModuleType:
    """Import a Python file for a command line; its folder goes to the front of ``sys.path``.

    :raises TargetError: as :func:`import_module`.
    """
    file = Path(path).absolute()
    if not file.is_file():
        near = did_you_mean(file.name, [found.name for found in file.parent.glob("*.py")])
        raise TargetError(f"there is no file {path!r}{near}")
    # Under another name if it would stand in the place of a module that others have imported.
    name = file.stem if file.stem not in sys.modules else f"{file.stem}_"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path!r} is no Python file: its name must end in .py")
    sys.path.insert(0, str(file.parent))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise TargetError(_failure(f"cannot import {path}", error)) from error
    return module


def has_handlers(root: object) -> bool:
    """Whether any exposed handler can be reached from the root of an object tree.

    Looks at attributes without running properties. Objects that find their own way, by a
    dispatcher, ``_cp_dispatch`` or attributes made on demand, are taken at their word.
    """
    seen: set[int] = set()
    nodes = [root]
    for node in nodes:  # which grows meanwhile
        if id(node) in seen or isinstance(node, ModuleType | str | bytes | int | float):
            continue
        seen.add(id(node))
        if getattr_static(node, "exposed", False) or _finds_its_own_way(node):
            return True
        if len(nodes) > _MOST_OBJECTS:
            return True
        if not inspect.isroutine(node):
            nodes += _attributes(node)
    return False


def _finds_its_own_way(node: object) -> bool:
    kind = node if isinstance(node, type) else type(node)
    config = getattr_static(node, "_cp_config", None)
    return (
        hasattr(kind, "_cp_dispatch")
        or hasattr(kind, "__getattr__")
        or (isinstance(config, Mapping) and "request.dispatch" in config)
    )


def _attributes(node: object) -> Iterator[Any]:
    for name in dir(node):
        if not name.startswith("__"):
            value = getattr_static(node, name, None)
            wraps = isinstance(value, staticmethod | classmethod | MethodType)
            yield value.__func__ if wraps else value


def servable(name: str, thing: Any, module: ModuleType, made: bool = False) -> Target:
    """Make of a thing something that can be served, as :func:`find` does.

    :param name: what it is called in messages.
    :param module: where it is from.
    :param made: whether a factory has made it already.
    :raises TargetError: if it cannot be served.
    """
    if isinstance(thing, Application):
        return Target(name, thing, Kind.APPLICATION)
    if isinstance(thing, Tree):
        return Target(name, thing, Kind.TREE)
    if isinstance(thing, type):
        if _accepts(thing, 2) and not has_handlers(thing):
            return Target(name, thing, Kind.WSGI)  # PEP 3333: a class may be the application
        return servable(name, _call(name, thing), module, made=True)
    if callable(thing) and _accepts(thing, 2) and not _is_exposed(thing):
        return Target(name, thing, Kind.WSGI)
    if not isinstance(thing, ModuleType) and has_handlers(thing):
        return Target(name, thing, Kind.ROOT)
    if callable(thing) and _accepts(thing, 0) and not made:
        return servable(f"{name}()", _call(name, thing), module, made=True)
    raise TargetError(_refusal(name, thing, module))


def _is_exposed(thing: object) -> bool:
    """Whether a thing is exposed itself, or has an exposed attribute: enough to call it a tree
    where it may be another framework's application, whose insides are not ours to search."""
    return any(getattr_static(it, "exposed", False) for it in [thing, *_attributes(thing)])


def _accepts(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments, as far as can be known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one written in C
        return count == 2
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _call(name: str, factory: Callable[[], Any]) -> Any:
    if not _accepts(factory, 0):
        raise TargetError(
            f"{name} takes arguments, {inspect.signature(factory)}, which it is not given here:"
            " make a function without parameters that returns the application"
        )
    try:
        return factory()
    except Exception as error:
        raise TargetError(_failure(f"{name}() failed", error)) from error


def _refusal(name: str, thing: object, module: ModuleType) -> str:
    if inspect.isroutine(thing):
        what = "a function that is neither exposed nor takes (environ, start_response)"
    elif isinstance(thing, ModuleType):
        what = "a module"
    elif thing is None or isinstance(thing, str | bytes | int | float | Mapping | list | tuple):
        what = f"{type(thing).__name__}, {thing!r:.60}"
    else:
        what = f"a {type(thing).__name__} object without any exposed handler (@cptoolkit.expose)"
    others = [found for found in _candidates(module) if getattr(module, found) is not thing]
    hint = f"; did you mean {', '.join(others)}?" if others else ""
    return f"{name} cannot be served: it is {what}{hint}"


def _look_up(module: ModuleType, place: str, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [known for known in dir(found) if not known.startswith("_")]
            near = did_you_mean(part, public)
            if not near and found is module and (candidates := _candidates(module)):
                near = f"; it has {', '.join(candidates)}"
            where = place if found is module else f"{place}:{name}"
            raise TargetError(f"{where} has no {part!r}{near}") from None
    return found


def _obvious(module: ModuleType, place: str) -> str:
    """The name of the one thing in a module that is there to be served."""
    usual = [name for name in USUAL_NAMES if hasattr(module, name)]
    distinct = {id(getattr(module, name)): name for name in reversed(usual)}
    candidates = list(distinct.values()) or _candidates(module)
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        choice = " or ".join(f"{place}:{name}" for name in sorted(candidates))
        raise TargetError(f"{place} has several applications: say {choice}")
    raise TargetError(
        f"{place} has nothing to serve: no {', '.join(USUAL_NAMES)}, and no class with an exposed"
        " handler (@cptoolkit.expose)"
    )


def _candidates(module: ModuleType) -> list[str]:
    """Names of what a module itself has to be served, sorted; instances stand for their class."""
    found = {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_") and _looks_servable(thing, module)
    }
    classes = {id(type(thing)) for thing in found.values()}
    return sorted(name for name, thing in found.items() if id(thing) not in classes)


def _looks_servable(thing: object, module: ModuleType) -> bool:
    if isinstance(thing, Application):
        return True
    if isinstance(thing, type) or inspect.isfunction(thing):
        return thing.__module__ == module.__name__ and has_handlers(thing)
    return type(thing).__module__ == module.__name__ and has_handlers(thing)


def _is_path(place: str) -> bool:
    return place.endswith(".py") or "/" in place or os.sep in place


def _modules_near(package: str) -> list[str]:
    """Modules that may have been meant: those in a package, or in the current folder."""
    folders = getattr(sys.modules[package], "__path__", []) if package else [os.getcwd()]
    prefix = f"{package}." if package else ""
    return [
        prefix + found.stem
        for folder in filter(os.path.isdir, folders)
        for found in Path(folder).iterdir()
        if found.suffix == ".py" or (found / "__init__.py").is_file()
    ]


def _failure(what: str, error: BaseException) -> str:
    """One line about an error in somebody's code: what it says, and where it happened."""
    if isinstance(error, SyntaxError):
        return f"{what}: {type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    line = "".join(traceback.format_exception_only(type(error), error)).splitlines()[0]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_THEIRS)
    ]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{what}: {line}{place}"
