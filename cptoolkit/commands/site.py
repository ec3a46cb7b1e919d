"""The command without a name: serve what modules mount, as ``cherryd`` does (reference, 2.4.1)."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from typing import Any

from cptoolkit.commands.loading import configure, extend_path, only_application
from cptoolkit.commands.parser import (
    STATUSES,
    Parser,
    add_config_flags,
    add_process_flags,
    first_words,
    parser_of,
)
from cptoolkit.commands.serving import serve
from cptoolkit.middleware.nearest import nearest
from cptoolkit.mounts import tree
from cptoolkit.target import import_module
from cptoolkit.version import __version__

_EXAMPLES = """\
examples:
  cptoolkit run hello:Root
  cptoolkit -c site.conf -e production -i blog -i forum -p site.pid
  cptoolkit -c site.conf -i blog --fastcgi
"""


def obey(arguments: argparse.Namespace) -> int:
    """Import the modules, and serve until the bus exits.

    :raises WrongConfig: if config files cannot be used.
    :raises TargetError: if a module cannot be imported.
    """
    extend_path(arguments.paths)
    for name in arguments.imports:
        import_module(name)
    settings: dict[str, Any] = {}
    if arguments.protocol is not None:
        # CherryPy's command does without the autoreloader then, too: a web server is in front.
        settings = {"server.protocol": arguments.protocol, "engine.autoreload.on": False}
    configure(arguments, only_application(tree.apps), settings)
    serve(arguments)
    return 0


class _SiteParser(Parser):
    """Knows what else the command could do with words that it does not take here.

    :param commands: names of the commands that come first.
    """

    commands: Sequence[str] = ("run",)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        arguments = super().parse_args(args, namespace)
        if not arguments.imports and not arguments.config:
            self.error("nothing to serve: use 'cptoolkit run TARGET', or name modules with -i")
        return arguments

    def format_help(self) -> str:
        width = max(map(len, self.commands))
        overview = "".join(
            f"  {name:{width}}  {first_words(str(parser_of(name).description))}\n"
            for name in self.commands
        )
        self.epilog = (
            f"commands (cptoolkit COMMAND --help tells more):\n{overview}\n{_EXAMPLES}\n{STATUSES}"
        )
        return super().format_help()

    def hint(self, unknown: list[str]) -> str:
        late = next((word for word in unknown if word in self.commands), None)
        if late is not None:
            return f": {late!r} comes first, cptoolkit {late} TARGET [options]"
        if unknown[0].startswith("-"):
            return super().hint(unknown)
        near = nearest(unknown[0], self.commands, likeness=0.6)  # such short words differ easily
        if near is not None:
            return f"; did you mean {near!r}?"
        return f"; to serve it: cptoolkit run {unknown[0]}"


def parser(commands: Sequence[str] = ("run",)) -> Parser:
    """Return what reads the command line.

    :param commands: names of the other commands.
    """
    parser = _SiteParser(
        prog="cptoolkit",
        usage="cptoolkit COMMAND ...\n       cptoolkit [options] -i MODULE",
        description="Serve WSGI applications and object trees, and look into them.",
        epilog="",
    )
    parser.commands = commands
    add_config_flags(parser)
    add_process_flags(parser)
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
