"""``cptoolkit completion``: a script that has a shell complete the words of a command line."""

from __future__ import annotations

import argparse
import sys

from cptoolkit.commands.parser import Parser
from cptoolkit.commands.shells import SHELLS

_EXAMPLES = """\
examples:
  eval "$(cptoolkit completion bash)"                               in ~/.bashrc
  eval "$(cptoolkit completion zsh)"                                in ~/.zshrc, after compinit
  cptoolkit completion fish > ~/.config/fish/completions/cptoolkit.fish
"""


def obey(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from cptoolkit.cli import COMMANDS  # not above, as that imports the commands
    from cptoolkit.commands import site
    from cptoolkit.commands.parser import parser_of

    parsers = {name: parser_of(name) for name in COMMANDS} | {"": site.parser(COMMANDS)}
    sys.stdout.write(SHELLS[arguments.shell](parsers))
    return 0


def parser() -> Parser:
    """Return what reads the command line."""
    parser = Parser(
        "cptoolkit completion",
        f"cptoolkit completion {'|'.join(SHELLS)}",
        "Print a script that has a shell complete the words of this command.",
        _EXAMPLES,
    )
    parser.add_argument("shell", choices=list(SHELLS), metavar="SHELL", help=", ".join(SHELLS))
    return parser
