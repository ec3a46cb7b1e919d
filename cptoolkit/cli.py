"""The command ``cptoolkit``: serve an application, or modules that mount some, from the shell."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from cptoolkit import config_files
from cptoolkit.application import Application, tree
from cptoolkit.global_config import config
from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.process import plugins
from cptoolkit.process.channels import WARNING, OperatorError
from cptoolkit.process.wspbus import StartFailure
from cptoolkit.process.wspbus import bus as engine
from cptoolkit.server_flags import add_server_flags, server_settings
from cptoolkit.site import server
from cptoolkit.target import Kind, Target, TargetError, find, import_module
from cptoolkit.version import __version__

CANNOT_START, WRONG_USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses."""

_COMMAND = "cptoolkit"

_EXAMPLES = """\
examples:
  cptoolkit run hello:Root               the class Root of hello.py, on http://127.0.0.1:8080
  cptoolkit run hello                    the same, where hello.py has but one application
  cptoolkit run shop/wsgi.py:app --port 9000 --thread-pool 20
  cptoolkit run "shop:create_app" -c shop.conf -e production
"""
_SITE_EXAMPLES = """\
commands:
  cptoolkit run TARGET                   serve one application; see cptoolkit run --help

examples:
  cptoolkit run hello:Root
  cptoolkit -c site.conf -e production -i blog -i forum -p site.pid
  cptoolkit -c site.conf -i blog --fastcgi
"""


def main(words: Sequence[str] | None = None) -> int:
    """Do what a command line asks for, and return when the server has stopped.

    :param words: the arguments; None takes those of this process.
    :returns: the exit status: 0, 1 if the server cannot start, 2 if the command line or what it
        names is wrong.
    :raises SystemExit: if the arguments cannot be understood (2), or a service failed to stop (70).
    """
    words = sys.argv[1:] if words is None else list(words)
    try:
        if words[:1] == ["run"]:
            _run(_run_parser().parse_args(words[1:]))
        else:
            parser = _site_parser()
            arguments = parser.parse_args(words)
            if not arguments.imports and not arguments.config:
                parser.error(
                    "nothing to serve: use 'cptoolkit run TARGET', or name modules with -i"
                )
            _serve_modules(arguments)
    except StartFailure as failure:
        causes = "; ".join(map(_one_line, failure.get_instances()))
        return _complain(causes, CANNOT_START)
    except (TargetError, _WrongConfig) as error:
        return _complain(str(error), WRONG_USAGE)
    except KeyboardInterrupt:  # outside of block(), which takes it for a wish to stop in order
        engine.exit()
        return INTERRUPTED
    return 0


def _run(arguments: argparse.Namespace) -> None:
    """``cptoolkit run``: mount what the target is, and serve it."""
    try:
        settings = server_settings(arguments)
    except ValueError as error:
        raise _WrongConfig(f"wrong option of the server: {error}") from error
    _extend_path(arguments.paths)
    with _nothing_started():
        target = find(arguments.target)
    app = _mount(target)
    _configure(arguments, app, settings)
    _serve(arguments)


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


def _serve_modules(arguments: argparse.Namespace) -> None:
    """The command without "run", as ``cherryd`` knows it (reference, 2.4.1)."""
    _extend_path(arguments.paths)
    for name in arguments.imports:
        import_module(name)
    settings: dict[str, Any] = {}
    if arguments.protocol is not None:
        # CherryPy's command does without the autoreloader then, too: a web server is in front.
        settings = {"server.protocol": arguments.protocol, "engine.autoreload.on": False}
    _configure(arguments, _only_application(tree.apps), settings)
    _serve(arguments)


def _mount(target: Target) -> Application | None:
    """Put a target where the server finds it.

    :returns: the application that sections of a config file are for, if there is one.
    """
    if target.kind is Kind.TREE:
        server.app = target.thing
        return _only_application(target.thing.apps)
    if target.kind is Kind.WSGI:
        tree.graft(target.thing)
        return None
    return tree.mount(target.thing)


def _only_application(apps: dict[str, Any]) -> Application | None:
    found = [app for app in apps.values() if isinstance(app, Application)]
    return found[0] if len(found) == len(apps) == 1 else None


def _configure(
    arguments: argparse.Namespace, app: Application | None, settings: dict[str, Any]
) -> None:
    """Take over config files, then the environment, then what the command line says itself."""
    for path in arguments.config:
        entries = _load(path)
        with _told(f"{path}: "):
            config.update(entries)
            if app is not None:
                app.merge(entries)
    with _told():
        if arguments.environment is not None:
            config.update({"environment": arguments.environment})
        config.update(settings)


def _load(path: str) -> dict[str, Any]:
    with _told():
        try:
            return config_files.load(path)
        except FileNotFoundError as error:
            raise _WrongConfig(f"there is no config file {error.filename!r}") from error


@contextmanager
def _told(where: str = "") -> Iterator[None]:
    """Make a line for the operator of what is wrong with a setting."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise _WrongConfig(where + _one_line(error)) from error


def _serve(arguments: argparse.Namespace) -> None:
    if arguments.daemonize:
        config["log.screen"] = False  # there will be none
        plugins.Daemonizer(engine).subscribe()
    if arguments.pidfile is not None:
        plugins.PIDFile(engine, arguments.pidfile).subscribe()
    engine.signals.subscribe()
    engine.start()
    if not tree.apps and server.app is tree:
        engine.log("No application is mounted: every address gives 404.", WARNING)
    engine.block()


def _extend_path(paths: Sequence[str]) -> None:
    """Have modules found in the folders given, and as with ``python -m``, in the current one."""
    for path in [os.getcwd(), *paths]:
        if path not in sys.path:
            sys.path.insert(0, path)


class _WrongConfig(Exception):
    """The config cannot be used: one line that says why."""


def _complain(message: str, status: int) -> int:
    print(f"cptoolkit: {message}", file=sys.stderr)
    return status


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, OperatorError | ValueError | OSError) else repr(error)


class _Parser(argparse.ArgumentParser):
    """Tells in one line what is wrong, and what is nearest to an option that there is not."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            if "run" in unknown:
                self.error("'run' comes first: cptoolkit run TARGET [options]")
            hint = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            if self.prog == _COMMAND and not unknown[0].startswith("-"):
                hint = f"; to serve it: {_COMMAND} run {unknown[0]}"
            self.error(f"unknown argument {unknown[0]!r}{hint}")
        return arguments


def _parser(prog: str, usage: str, description: str, epilog: str) -> _Parser:
    parser = _Parser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "-c", "--config", metavar="FILE", action="append", default=[],
        help="read this config file; may be repeated",
    )  # fmt: skip
    add(
        "-e", "--environment", metavar="NAME",
        help="set config for an environment: production, staging, embedded, test_suite or your own",
    )  # fmt: skip
    add("-d", "--daemonize", action="store_true", help="go on in the background")
    add("-p", "--pidfile", metavar="FILE", help="keep the process's number in this file")
    add(
        "-P", "--Path", metavar="FOLDER", action="append", default=[], dest="paths",
        help="look for modules in this folder first; may be repeated",
    )  # fmt: skip
    return parser


def _run_parser() -> _Parser:
    parser = _parser(
        "cptoolkit run",
        "cptoolkit run TARGET [options]",
        "Serve one application until Ctrl-C or SIGTERM.",
        _EXAMPLES,
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="module:name or path/to/file.py:name of a class or object with exposed handlers, an"
        " Application, a Tree, any WSGI application, or a function that makes one of these",
    )
    add_server_flags(parser)
    return parser


def _site_parser() -> _Parser:
    parser = _parser(
        _COMMAND,
        "cptoolkit run TARGET [options]\n       cptoolkit [options] -i MODULE",
        "Serve WSGI applications and object trees.",
        _SITE_EXAMPLES,
    )
    parser.add_argument(
        "-i", "--import", metavar="MODULE", action="append", default=[], dest="imports",
        help="import this module, which mounts its applications; may be repeated",
    )  # fmt: skip
    protocols = parser.add_mutually_exclusive_group()
    for flag, name, shown in (("-f", "fastcgi", "FastCGI"), ("-s", "scgi", "SCGI")):
        protocols.add_argument(
            flag, f"--{name}", dest="protocol", action="store_const", const=name,
            help=f"speak {shown}, for a web server in front, instead of HTTP",
        )  # fmt: skip
    version = f"cptoolkit {__version__} on Python {platform.python_version()}"
    parser.add_argument("--version", action="version", version=version)
    return parser
