"""Read config files: INI with Python-syntax values, and TOML (reference, chapter 6.2.1).

An INI file has ``[section]`` headers and ``key: value`` or ``key = value`` entries. Keys keep
their case, indented lines continue a value, lines that start with ``#`` or ``;`` are comments,
and values are Python (:mod:`cptoolkit.python_values`). ``%(key)s`` stands for another key of the
same section or of ``[DEFAULT]``, and ``%%`` for ``%``, as files written for CherryPy expect;
any other ``%`` is left alone, so that a date format needs no care.

A TOML file has the same sections and keys; ``["/static"]`` needs its quotes. Tables inside
``[global]`` and ``["/path"]`` sections are read as dotted keys, so that ``tools.gzip.on = true``
means what it says. A value that TOML cannot write is put as ``{python = "<Python syntax>"}``.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from configparser import (
    DuplicateOptionError,
    DuplicateSectionError,
    MissingSectionHeaderError,
    ParsingError,
    RawConfigParser,
)
from typing import IO, Any, TypeAlias

from cptoolkit.python_values import attributes, modules, unrepr
from cptoolkit.secret_keys import HIDDEN, is_secret

__all__ = ["Source", "attributes", "load", "loaded_files", "modules", "unrepr"]

Source: TypeAlias = "str | bytes | os.PathLike[str] | IO[str] | IO[bytes]"
"""A path, or a file opened for reading."""

loaded_files: set[str] = set()
"""Absolute paths of the files that were read, for whoever restarts the process on a change."""


class Loaded(dict[str, dict[str, Any]]):
    """The sections of a config file.

    :param name: of the file, so that whoever takes entries over can say where they are from.
    """

    def __init__(self, sections: dict[str, dict[str, Any]], name: str) -> None:
        super().__init__(sections)
        self.name = name


def load(source: Source) -> Loaded:
    """Return the sections of a config file, each a dict of its entries.

    A path or file name that ends in ``.toml`` is TOML, anything else INI. Text is UTF-8.

    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the contents are wrong, naming file, line, section and key.
    :raises TypeError: if ``source`` is neither a path nor an open file.
    """
    if isinstance(source, str | bytes | os.PathLike):
        name = os.fsdecode(source)
        contents: str | bytes = _contents(name)
        loaded_files.add(os.path.abspath(name))
    elif hasattr(source, "read"):
        name = str(getattr(source, "name", "<config>"))
        contents = source.read()
    else:
        raise TypeError(
            f"a config file is given as a path or an open file, not as {type(source).__name__}"
        )
    try:
        text = contents.decode("utf-8-sig") if isinstance(contents, bytes) else contents
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text: {error}") from error
    read = _read_toml if name.endswith(".toml") else _read_ini
    return Loaded(read(text, name), name)


def _contents(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT,
            f"there is no such config file (the current folder is {os.getcwd()})",
            os.path.abspath(path),
        ) from None


# INI


class _Parser(RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _read_ini(text: str, name: str) -> dict[str, dict[str, Any]]:
    parser = _Parser()
    try:
        parser.read_string(text, name)
    except (DuplicateOptionError, DuplicateSectionError, ParsingError) as error:
        raise ValueError(_explain(error, text, name)) from error
    sections: dict[str, dict[str, Any]] = {}
    for section in parser.sections():
        raw = dict(parser.items(section))
        entries = sections[section] = {}
        for key, value in raw.items():
            try:
                entries[key] = unrepr(_interpolate(value, raw))
            except Exception as error:  # a value may call anything, so anything can come
                line = _line_of(text, section, key)
                raise ValueError(
                    f"{name}, line {line}, section [{section}], key {key!r}: {_reason(error, key)}"
                ) from (None if is_secret(key) else error)
    return sections


def _reason(error: Exception, key: str) -> str:
    if is_secret(key):
        return f"its value {HIDDEN} cannot be read; a text needs quotes"
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"


def _explain(
    error: DuplicateOptionError | DuplicateSectionError | ParsingError, text: str, name: str
) -> str:
    if isinstance(error, DuplicateOptionError):
        return (
            f"{name}, line {error.lineno}, section [{error.section}]:"
            f" the key {error.option!r} is given twice"
        )
    if isinstance(error, DuplicateSectionError):
        return f"{name}, line {error.lineno}: the section [{error.section}] is given twice"
    if isinstance(error, MissingSectionHeaderError):
        return (
            f"{name}, line {error.lineno}: {error.line.strip()!r} stands outside of any section;"
            " begin with [global] for the whole site or with [/] for an application"
        )
    number = error.errors[0][0]
    section, line = next((heading, line) for at, heading, line in _lines(text) if at == number)
    return (
        f"{name}, line {number}, section [{section}]:"
        f" {line.strip()!r} is neither 'key: value' nor 'key = value'"
    )


def _interpolate(value: str, entries: dict[str, str], depth: int = 0) -> str:
    if depth > 10:
        raise ValueError("its %(key)s references go round in circles")

    def replace(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if match[1] in entries:
            return _interpolate(entries[match[1]], entries, depth + 1)
        return match[0]

    return re.sub(r"%%|%\(([^()]+)\)s", replace, value)


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Each line with its number, from 1, and the section that it stands in."""
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        if heading := re.match(r"\[(.+)\]", line):
            section = heading[1]
        yield number, section, line


def _line_of(text: str, section: str, key: str) -> int:
    start = re.compile(rf"\s*{re.escape(key)}\s*[:=]")
    candidates = [(number, heading) for number, heading, line in _lines(text) if start.match(line)]
    inside = [number for number, heading in candidates if heading in (section, "DEFAULT")]
    # An indented header is one to the parser, if not to us.
    return (inside or [number for number, _ in candidates] or [0])[0]


# TOML


def _read_toml(text: str, name: str) -> dict[str, dict[str, Any]]:
    # Not above: most sites have no such file, and importing it takes as long as a tenth of all.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(
            f"{name} is not TOML: {error}"
        ) from error  # the error tells line and column
    sections: dict[str, dict[str, Any]] = {}
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise ValueError(
                f"{name}: the key {section!r} stands outside of any section;"
                ' begin with [global] for the whole site or with ["/"] for an application'
            )
        flat = section == "global" or section.startswith("/")
        entries = sections[section] = {}
        place = f"{name}, section [{section}]"
        for key, value in _entries(table, "", flat, place):
            if key in entries:
                raise ValueError(f"{place}, key {key!r}: it is there twice, once as a table")
            entries[key] = value
    return sections


def _entries(
    table: dict[str, Any], prefix: str, flat: bool, place: str
) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and value.keys() == {"python"}:
            try:
                yield name, unrepr(value["python"])
            except Exception as error:  # as above: anything can come
                raise ValueError(f"{place}, key {name!r}: {_reason(error, name)}") from (
                    None if is_secret(name) else error
                )
        elif isinstance(value, dict) and flat:
            yield from _entries(value, f"{name}.", flat, place)
        else:
            yield name, value
