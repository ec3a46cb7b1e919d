"""Load what a command line names, and give it its config."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from cptoolkit import config_files
from cptoolkit.application import Application
from cptoolkit.global_config import config
from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.mounts import tree
from cptoolkit.process.channels import OperatorError
from cptoolkit.process.wspbus import bus as engine
from cptoolkit.site import server
from cptoolkit.target import Kind, Target, find


class WrongConfig(Exception):
    """The config cannot be used: one line that says why."""


def load_target(name: str, paths: Sequence[str]) -> Target:
    """Import what a command line calls ``name``, without letting it serve by itself.

    :param paths: folders in which modules are looked for first.
    :raises TargetError: if there is nothing to serve under that name.
    """
    extend_path(paths)
    with _nothing_started():
        return find(name)


@contextmanager
def _nothing_started() -> Iterator[None]:
    """Keep a module that is imported from serving by itself: it would ignore the command line."""

    def refuse() -> NoReturn:
        raise SystemExit(
            "the server is started there; keep that from an import with: if __name__ == '__main__':"
        )

    engine.subscribe("start", refuse, priority=0)
    try:
        yield
    finally:
        engine.unsubscribe("start", refuse)


def mount(target: Target) -> Application | None:
    """Put a target where the server finds it.

    :returns: the application that sections of a config file are for, if there is one.
    """
    if target.kind is Kind.TREE:
        server.app = target.thing
        return only_application(target.thing.apps)
    if target.kind is Kind.WSGI:
        tree.graft(target.thing)
        return None
    return tree.mount(target.thing)


def only_application(apps: dict[str, Any]) -> Application | None:
    """Return the application that sections of a config file are for, if there is just one."""
    found = [app for app in apps.values() if isinstance(app, Application)]
    return found[0] if len(found) == len(apps) == 1 else None


def configure(
    arguments: argparse.Namespace, app: Application | None, settings: dict[str, Any]
) -> None:
    """Take over config files, then the environment, then what the command line says itself."""
    for path in arguments.config:
        entries = _load(path)
        with _told(f"{path}: "):
            config.update(entries)
            if app is not None:
                app.merge(entries)
    said = dict(settings)
    if arguments.environment is not None:
        said["environment"] = arguments.environment
    with _told():
        config.update(config_files.Loaded({"global": said}, "command line"))


def _load(path: str) -> dict[str, Any]:
    with _told():
        try:
            return config_files.load(path)
        except FileNotFoundError as error:
            name = str(error.filename)
            near = did_you_mean(os.path.basename(name), _files_beside(name))
            raise WrongConfig(f"there is no config file {name!r}{near}") from error
        except OSError as error:
            why = str(error.strerror).lower()
            raise WrongConfig(f"cannot read the config file {path!r}: {why}") from error


def _files_beside(path: str) -> list[str]:
    try:
        return os.listdir(os.path.dirname(path))
    except OSError:  # there is no such folder
        return []


@contextmanager
def _told(where: str = "") -> Iterator[None]:
    """Make a line for the operator of what is wrong with a setting."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise WrongConfig(where + one_line(error)) from error


def extend_path(paths: Sequence[str]) -> None:
    """Have modules found in the folders given, and as with ``python -m``, in the current one."""
    for path in [os.getcwd(), *paths]:
        if path not in sys.path:
            sys.path.insert(0, path)


def one_line(error: BaseException) -> str:
    """Return what an error says in one line, with its type if it was not meant for operators."""
    text = " ".join(str(error).split())
    return (
        text
        if isinstance(error, OperatorError | ValueError | OSError | ImportError)
        else repr(error)
    )
