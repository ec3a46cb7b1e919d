"""The command without a name: serve what modules mount, as ``cherryd`` does (reference, 2.4.1)."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable
from typing import Any

from cptoolkit.application import tree
from cptoolkit.commands.loading import configure, extend_path, only_application
from cptoolkit.commands.parser import Parser, add_config_flags, add_process_flags
from cptoolkit.commands.serving import serve
from cptoolkit.target import import_module
from cptoolkit.version import __version__

_EXAMPLES = """\
commands:
  cptoolkit run TARGET                   serve one application; see cptoolkit run --help

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

    commands: Iterable[str] = ()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        arguments = super().parse_args(args, namespace)
        if not arguments.imports and not arguments.config:
            self.error("nothing to serve: use 'cptoolkit run TARGET', or name modules with -i")
        return arguments

    def hint(self, unknown: list[str]) -> str:
        late = next((word for word in unknown if word in self.commands), None)
        if late is not None:
            return f": {late!r} comes first, cptoolkit {late} TARGET [options]"
        if unknown[0].startswith("-"):
            return super().hint(unknown)
        return f"; to serve it: cptoolkit run {unknown[0]}"


def parser(commands: Iterable[str] = ()) -> Parser:
    """Return what reads the command line.

    :param commands: names of the other commands.
    """
    parser = _SiteParser(
        prog="cptoolkit",
        usage="cptoolkit run TARGET [options]\n       cptoolkit [options] -i MODULE",
        description="Serve WSGI applications and object trees.",
        epilog=_EXAMPLES,
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
