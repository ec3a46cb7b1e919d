"""Run a Python program in this process, as if Python itself had been started with it.

:mod:`runpy` takes ``__main__`` back when the program's last line has run. That would be too early
for a site: the threads of its server go on, and may pickle objects of classes that are defined
there, in sessions for instance.
"""

from __future__ import annotations

import io
import marshal
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER, find_spec
from types import CodeType, ModuleType
from typing import Any

from cptoolkit.middleware.nearest import did_you_mean


class NoSuchProgram(Exception):
    """There is nothing to run under that name; the message says so in a line."""


def run_script(path: str, arguments: Sequence[str]) -> None:
    """Run a file with any name, compiled or not, or a folder or zip archive that has a
    ``__main__.py``.

    What the program raises, SystemExit included, travels on.

    :param path: of the program; ``sys.argv[0]`` for it.
    :param arguments: the rest of its ``sys.argv``.
    :raises NoSuchProgram: if there is no such file, or none for this Python.
    """
    importer = pkgutil.get_importer(path)
    if importer is not None:  # a folder, or an archive
        spec = importer.find_spec("__main__")
        if spec is None:
            raise NoSuchProgram(f"there is no __main__.py in {path!r}")
        _begin(path, path, arguments)
        _run_spec(spec)
        return
    folder, name = os.path.split(os.path.realpath(path))
    if not os.path.isfile(path):
        near = did_you_mean(name, os.listdir(folder) if os.path.isdir(folder) else [])
        raise NoSuchProgram(f"there is no file {path!r}{near}")
    _begin(path, folder, arguments)
    absolute = os.path.abspath(path)
    with io.open_code(absolute) as file:
        content = file.read()
    if content.startswith(MAGIC_NUMBER):  # a .pyc: four words, then the code (PEP 552)
        code = marshal.loads(content[16:])
    elif name.endswith(".pyc"):
        raise NoSuchProgram(f"{path!r} was compiled by another version of Python")
    else:
        code = compile(content, absolute, "exec", dont_inherit=True)
    _run(code, __file__=absolute, __spec__=None, __package__=None)


def run_module(name: str, arguments: Sequence[str]) -> None:
    """Run a module, or the ``__main__`` of a package, as ``python -m`` does.

    What the program raises, SystemExit included, travels on.

    :param arguments: its ``sys.argv`` but for the first item, which is the path of the module.
    :raises NoSuchProgram: if there is no such module, or it cannot be run.
    """
    _begin("-m", os.getcwd(), arguments)
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{name}.__main__")
            if spec is None:
                raise NoSuchProgram(f"{name} is a package without a __main__ module to run")
    except ModuleNotFoundError as error:
        raise NoSuchProgram(f"there is no module {name!r}: {error}") from error
    if spec is None:
        raise NoSuchProgram(f"there is no module {name!r} to run")
    sys.argv[0] = spec.origin or name
    _run_spec(spec)


def _begin(program: str, folder: str, arguments: Sequence[str]) -> None:
    sys.argv = [program, *arguments]
    if not getattr(sys.flags, "safe_path", False):  # Python 3.11: -P
        sys.path[0] = folder


def _run_spec(spec: ModuleSpec) -> None:
    get_code = getattr(spec.loader, "get_code", None)
    code = None if get_code is None else get_code(spec.name)
    if code is None:
        raise NoSuchProgram(f"{spec.name} is not written in Python")
    _run(
        code,
        __file__=spec.origin,
        __spec__=spec,
        __package__=spec.parent,
        __loader__=spec.loader,
        __cached__=spec.cached,
    )


def _run(code: CodeType, **names: Any) -> None:
    main = ModuleType("__main__")
    vars(main).update(names)
    sys.modules["__main__"] = main
    exec(code, vars(main))
