"""The bundled server's options as flags of a command line, made from where it declares them."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Container
from dataclasses import Field, fields
from typing import Any

from cptoolkit.process.server_settings import ServerSettings, setting
from cptoolkit.servers.options import Options

_ELSEWHERE = {"thread_pool": 1, "ssl_context": "a file's"}
"""What config may say besides, without which some flags make no sense."""

_SECRETS = {"ssl_private_key_password"}
"""Options for config alone: everybody on a machine can read its command lines."""

_MARKUP = re.compile(r"(?::\w+:)?`+(.*?)`+")
"""Marked words of a docstring, as :class:`Name` or ``literal``."""

_TYPES = {"str": str, "int": int, "float": float, "bool": bool}


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each option of the server that a command line can give."""
    group = parser.add_argument_group("options of the server (sizes in bytes, times in seconds)")
    descriptions = _descriptions()
    for field in _flags():
        default = getattr(ServerSettings, setting(field.name), None)
        if default is None or isinstance(default, property):
            default = field.default  # the server on the bus leaves the choice to the server itself
        shown = descriptions.get(field.name, "")
        if default != "":
            shown += f" (default: {default})"
        boolean: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        typed: dict[str, Any] = {"type": _TYPES[str(field.type)], "metavar": field.type.upper()}
        group.add_argument(
            flag(field.name),
            dest=field.name,
            default=argparse.SUPPRESS,
            help=_MARKUP.sub(r"\1", shown).replace("%", "%%"),
            **boolean if field.type == "bool" else typed,
        )


def server_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Config entries for the flags that were given.

    :raises ValueError: if one has a value that the server does not take.
    """
    given = {f.name: getattr(arguments, f.name) for f in _flags() if hasattr(arguments, f.name)}
    elsewhere = _ELSEWHERE | ({"peercreds": True} if "peercreds_resolve" in given else {})
    Options.of(**elsewhere | given)  # complains in the words of the command line, at once
    if given.get("host") == "":
        given["host"] = None  # what "every interface" is called on the bus
    return {f"server.{setting(name)}": value for name, value in given.items()}


def given_flags(arguments: argparse.Namespace) -> dict[str, str]:
    """The flags that were given, by option."""
    return {f.name: flag(f.name) for f in _flags() if hasattr(arguments, f.name)}


def flags_of(options: Container[str]) -> list[str]:
    """The flags of some options, in the order of the help."""
    return [flag(f.name) for f in _flags() if f.name in options]


def flag(option: str) -> str:
    """The flag of an option."""
    return f"--{option.replace('_', '-')}"


def _flags() -> list[Field[Any]]:
    return [f for f in fields(Options) if f.type in _TYPES and f.name not in _SECRETS]


def _descriptions() -> dict[str, str]:
    """The text below each field, in one line; nothing where the source is not at hand."""
    try:
        source = textwrap.dedent(inspect.getsource(Options))
    except OSError:
        return {}
    [declaration] = ast.parse(source).body
    assert isinstance(declaration, ast.ClassDef)
    found = {}
    for field, text in zip(declaration.body, declaration.body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(description))),
            ):
                found[name] = " ".join(description.split())
    return found
