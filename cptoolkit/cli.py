"""The command ``cptoolkit``: its first word tells which of its commands is meant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from cptoolkit.commands import site
from cptoolkit.commands.loading import WrongConfig, one_line
from cptoolkit.commands.parser import CANNOT_START, INTERRUPTED, WRONG_USAGE
from cptoolkit.process import mending
from cptoolkit.process.wspbus import StartFailure
from cptoolkit.process.wspbus import bus as engine
from cptoolkit.target import TargetError

COMMANDS = ("check", "explain", "routes", "run", "completion")
"""Names of commands, which are those of modules in :mod:`cptoolkit.commands`."""


def main(words: Sequence[str] | None = None) -> int:
    """Do what a command line asks for, and return when that is done.

    :param words: the arguments; None takes those of this process.
    :returns: the exit status: 0, 1 if the server cannot start, 2 if the command line or what it
        names is wrong.
    :raises SystemExit: if the arguments cannot be understood (2), or a service failed to stop (70).
    """
    words = sys.argv[1:] if words is None else list(words)
    try:
        if words and words[0] in COMMANDS:
            command = import_module(f"cptoolkit.commands.{words[0]}")
            status: int = command.obey(command.parser().parse_args(words[1:]))
            return status
        return site.obey(site.parser(COMMANDS).parse_args(words))
    except StartFailure as failure:
        causes = "; ".join(map(one_line, failure.get_instances()))
        return _complain(causes, failure, CANNOT_START)
    except (TargetError, WrongConfig) as error:
        return _complain(str(error), error, WRONG_USAGE)
    except KeyboardInterrupt:  # outside of block(), which takes it for a wish to stop in order
        engine.exit()
        return INTERRUPTED


def _complain(message: str, error: Exception, status: int) -> int:
    print(f"cptoolkit: {message}", file=sys.stderr)
    if mending.is_armed():
        mending.wait(error)
    return status
