"""The servers that ``cptoolkit run --server`` knows by name, and those that it cannot run."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any, TypeAlias

from cptoolkit import other_servers
from cptoolkit.commands.loading import WrongConfig, one_line
from cptoolkit.middleware.nearest import did_you_mean, nearest
from cptoolkit.other_server_base import LISTENING, OtherServer, missing
from cptoolkit.process.httpserver import Server
from cptoolkit.server_flags import flags_of, given_flags
from cptoolkit.target import import_module

Factory: TypeAlias = Callable[[Server], Any]
"""Makes a server for the settings and the application of ``cptoolkit.server``."""

NAMES = ("bundled", "native", "waitress", "cheroot", "werkzeug", "wsgiref")
"""What can be served with in this process, under the bus."""

OTHERS: dict[str, type[OtherServer]] = {
    "waitress": other_servers.Waitress,
    "cheroot": other_servers.Cheroot,
    "werkzeug": other_servers.Werkzeug,
    "wsgiref": other_servers.Wsgiref,
}

_OWN_COMMANDS = {
    "gunicorn": "gunicorn -c python:cptoolkit.servers.gunicorn mymod:app",
    "uwsgi": "uwsgi --http-socket :8080 --module mymod:app --enable-threads",
    "granian": "granian --interface wsgi mymod:app",
    "twisted": "twistd -n web --listen tcp:8080 --wsgi mymod.app",
    "tornado": "tornado.httpserver.HTTPServer(tornado.wsgi.WSGIContainer(app)).listen(8080)",
    "mod_wsgi": "WSGIScriptAlias / /path/of/mymod.wsgi",
}
"""Servers that own the process, which is the reason why they cannot run in ours."""


def add_server_choice(parser: argparse.ArgumentParser) -> None:
    """Add ``--server``."""
    parser.add_argument(
        "--server", metavar="NAME", default="bundled",
        help=f"serve with {', '.join(NAMES[:-1])} or {NAMES[-1]}, or with what module:factory makes"
        " of cptoolkit.server (default: bundled)",
    )  # fmt: skip


def choose_server(arguments: argparse.Namespace) -> Factory | None:
    """Return what makes the server that a command line asks for; None is the bundled one.

    :raises WrongConfig: if there is no such server, it is not installed, or does not take a flag
        that was given.
    :raises TargetError: if the module of a factory cannot be imported.
    """
    name = arguments.server
    if name == "bundled":
        return None
    if name == "native":
        from cptoolkit.native_server import CPHTTPServer

        return CPHTTPServer
    if ":" in name:
        return _factory(name)
    if name not in OTHERS:
        raise WrongConfig(_unknown(name))
    kind = OTHERS[name]
    if importlib.util.find_spec(kind.package) is None:
        raise WrongConfig(f"--server {name}: {missing(kind.package)}")
    taken = {*LISTENING, *kind.takes}
    refused = [flag for option, flag in given_flags(arguments).items() if option not in taken]
    if refused:
        raise WrongConfig(
            f"--server {name} does not take {', '.join(refused)}, only {', '.join(flags_of(taken))}"
        )
    return kind


def make_server(name: str, factory: Factory, adapter: Server) -> Any:
    """Make a server, once its settings are known.

    :raises WrongConfig: if that fails, or the bus could not run it.
    """
    try:
        made = factory(adapter)
    except Exception as error:
        raise WrongConfig(f"--server {name} failed: {one_line(error)}") from error
    if not any(
        _has(made, *methods) for methods in (("prepare", "serve", "stop"), ("start", "stop"))
    ):
        raise WrongConfig(
            f"--server {name} makes {made!r}, which is no server: it needs start() and stop()"
        )
    return made


def _has(made: object, *methods: str) -> bool:
    return all(callable(getattr(made, method, None)) for method in methods)


def _unknown(name: str) -> str:
    near = nearest(name, [*NAMES, *_OWN_COMMANDS])
    if (own := _OWN_COMMANDS.get(near or "")) is not None:
        return f"--server {name}: {near} has the process for itself; use it with: {own}"
    hint = did_you_mean(name, NAMES) or f"; there are {', '.join(NAMES)} and module:factory"
    return f"--server {name}: there is no such server{hint}"


def _factory(name: str) -> Factory:
    place, _, attribute = name.partition(":")
    module = import_module(place)
    found = getattr(module, attribute, None)
    if found is None:
        public = [one for one in vars(module) if not one.startswith("_")]
        near = did_you_mean(attribute, public)
        raise WrongConfig(f"--server {name}: {place} has no {attribute!r}{near}")
    if not callable(found):
        raise WrongConfig(f"--server {name}: that is {found!r}, which makes no server")
    made: Factory = found
    return made
