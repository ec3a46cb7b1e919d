"""What type checkers are told is what there is; and the project that they check works."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import cptoolkit
from cptoolkit import toolbox
from cptoolkit.compat import ALIASES
from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.sessions import FileStore, MemcachedStore, RedisStore, SQLStore
from cptoolkit.middleware.sessions.cookie import signer
from cptoolkit.middleware.sessions.storage_options import StorageOptions

STORES: list[Callable[..., Any]] = [FileStore, MemcachedStore, RedisStore, SQLStore, signer]


def types_of(annotation: str) -> set[str]:
    return set(annotation.split(" | "))


def storage_options() -> dict[str, str]:
    return {f.name: str(f.type) for f in fields(StorageOptions) if f.name != "app"}


def test_storage_options_are_those_of_the_stores() -> None:
    taken = {name for store in STORES for name in signature(store).parameters}
    assert set(storage_options()) == taken


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.__name__)
def test_storage_options_have_the_types_of_the_stores(store: Callable[..., Any]) -> None:
    declared = storage_options()
    for name, parameter in signature(store).parameters.items():
        secrets = types_of("str | bytes | Sequence[str | bytes]")
        had = types_of(declared[name]) | (secrets if declared[name] == "Secrets" else set())
        assert types_of(parameter.annotation) <= had, name


def test_sessions_have_no_storage_options_of_their_own() -> None:
    assert not set(storage_options()) & set(cptoolkit.tools.sessions.layer.option_names())


def test_names_of_cherrypy_s_modules_are_there() -> None:
    parts = ast.walk(ast.parse(Path(cptoolkit.__file__).read_text()))
    declared = {ast.unparse(part.target) for part in parts if isinstance(part, ast.AnnAssign)}
    assert {"_cptools", "lib"} <= declared <= set(ALIASES)


def test_decorators_take_the_options_that_every_tool_has() -> None:
    parts = ast.walk(ast.parse(Path(toolbox.__file__).read_text()))
    calls = [p for p in parts if isinstance(p, ast.FunctionDef) and p.name == "__call__"]
    [declared] = [p.args for p in calls if len(p.args.args) > 1]  # what type checkers see
    assert {argument.arg for argument in declared.args} == toolbox.GENERAL_OPTIONS


def test_every_tool_of_a_layer_knows_its_class() -> None:
    tools = cptoolkit.tools.tools()
    layers = {name: getattr(tool, "layer", None) for name, tool in tools.items()}
    assert all(layer is None or issubclass(layer, Layer) for layer in layers.values())
    assert layers["sessions"] is cptoolkit.middleware.Sessions


def test_project_of_a_user_passes_its_tests() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "shop_tests.py"]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
