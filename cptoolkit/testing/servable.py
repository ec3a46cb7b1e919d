"""What a test is given to serve, as a WSGI application."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cptoolkit.application import Application
from cptoolkit.config_files import load
from cptoolkit.configuration import Source
from cptoolkit.target import Kind, find, servable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def application_of(thing: Any, config: Source | None = None) -> WSGIApplication:
    """Make of a thing the Application, Tree or other WSGI application that serves it.

    :param thing: what ``cptoolkit run`` takes: a class or object with exposed handlers, an
        Application, a Tree, any WSGI application, a function that makes one of these, or the name
        of one, such as ``"shop:Root"`` or ``"shop/wsgi.py:app"``.
    :param config: for the application: a dict of sections, a path, or an open file.
    :raises TargetError: if it cannot be served.
    :raises TypeError: if there are sections for something that is no application of ours.
    """
    if isinstance(thing, str):
        target = find(thing)
    else:
        kind = thing if hasattr(thing, "__qualname__") else type(thing)
        target = servable(kind.__qualname__, thing, sys.modules[kind.__module__])
    settings = sections(config)
    if target.kind is Kind.ROOT:
        return Application(target.thing, "", settings)
    if target.kind is Kind.APPLICATION:
        if settings:
            target.thing.merge(settings)
    elif paths := [name for name in settings if name.startswith("/")]:
        raise TypeError(
            f"config for {', '.join(paths)} is for an Application, and {target.name} is a"
            f" {target.kind.value}: give it to the applications in it"
        )
    served: WSGIApplication = target.thing
    return served


def sections(config: Source | None) -> Mapping[str, Any]:
    """The sections of a config, empty for None; a file is read, and can be read only once."""
    if config is None or isinstance(config, Mapping):
        return config or {}
    return load(config)
