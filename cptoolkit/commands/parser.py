"""What the commands' parsers share: errors in one line, options that all have, exit statuses."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NoReturn

from cptoolkit.middleware.nearest import did_you_mean

CANNOT_START, WRONG_USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses."""

STATUSES = """\
exit status:
  0    ended as asked: Ctrl-C, SIGTERM, the application itself; or there was nothing to complain of
  1    cannot start: address, certificate, PID file, config that is refused; or a finding
  2    the command line or what it names is wrong
  70   a service failed to stop, or threads had to be left behind
  130  Ctrl-C before the start, or a second one
"""


def parser_of(command: str) -> Parser:
    """The parser of one of the commands."""
    made: Parser = import_module(f"cptoolkit.commands.{command}").parser()
    return made


def first_words(text: str) -> str:
    """What a text begins with, for a list in which each has a line."""
    return re.split(r"[.:;,(]\s", f"{text} ".replace("\n", " "), maxsplit=1)[0].strip()


class Parser(argparse.ArgumentParser):
    """Tells in one line what is wrong, and what is nearest to an option that there is not.

    Texts of its help keep their lines.
    """

    suggestions: Mapping[str, Iterable[str]] = {}
    """Likely values by the destination of an option, for shells that complete words."""

    def __init__(self, prog: str, usage: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def actions(self) -> list[argparse.Action]:
        """The options and arguments that it takes."""
        return list(self._actions)

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown argument {unknown[0]!r}{self.hint(unknown)}")
        return arguments

    def hint(self, unknown: list[str]) -> str:
        """Return what may have been meant by arguments that there are not."""
        return did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add where modules and config are found: what each command has that loads an application."""
    add = parser.add_argument
    add(
        "-c", "--config", metavar="FILE", action="append", default=[],
        help="read this config file; may be repeated",
    )  # fmt: skip
    add(
        "-e", "--environment", metavar="NAME",
        help="set config for an environment: production, staging, embedded, test_suite or your own",
    )  # fmt: skip
    add(
        "-P", "--Path", metavar="FOLDER", action="append", default=[], dest="paths",
        help="look for modules in this folder first; may be repeated",
    )  # fmt: skip


def add_process_flags(parser: argparse.ArgumentParser) -> None:
    """Add what becomes of the process: what each command has that serves."""
    add = parser.add_argument
    add("-d", "--daemonize", action="store_true", help="go on in the background")
    add("-p", "--pidfile", metavar="FILE", help="keep the process's number in this file")
