"""``cptoolkit routes``: the URLs of a site."""

from __future__ import annotations

import argparse
import json
import sys

from cptoolkit.commands.loading import configure, load_target, mount
from cptoolkit.commands.parser import Parser, add_config_flags
from cptoolkit.introspection.site_map import site_map
from cptoolkit.introspection.tables import Terminal, write
from cptoolkit.introspection.text import map_lines
from cptoolkit.mounts import Tree, tree
from cptoolkit.target import Kind

_EXAMPLES = """\
examples:
  cptoolkit routes hello:Root            the URLs of hello.py's class Root
  cptoolkit routes shop.wsgi:app -c shop.conf
  cptoolkit routes hello --json | jq '.applications[].routes[].path'

exit status: 0; 2 if the command line or what it names is wrong
"""


def obey(arguments: argparse.Namespace) -> int:
    """Print the URLs of what the target is.

    :raises WrongConfig: if config files cannot be used.
    :raises TargetError: if there is nothing to serve.
    """
    maps = site_map(loaded(arguments))
    if arguments.json:
        lines = [json.dumps({"applications": maps}, indent=2)]
    else:
        lines = map_lines(maps, Terminal.of(sys.stdout))
    write(lines, sys.stdout)
    return 0


def loaded(arguments: argparse.Namespace) -> Tree:
    """Load, mount and configure a target, and return the tree that it is in.

    :raises WrongConfig: if config files cannot be used.
    :raises TargetError: if there is nothing to serve.
    """
    target = load_target(arguments.target, arguments.paths)
    configure(arguments, mount(target), {})
    site: Tree = target.thing if target.kind is Kind.TREE else tree
    return site


def parser() -> Parser:
    """Return what reads the command line."""
    parser = Parser(
        "cptoolkit routes",
        "cptoolkit routes TARGET [options]",
        "Print the URLs of a site: path, methods, page handler, parameters and tools.\n"
        "Nothing of the site is called; {...} is what only a request can tell.",
        _EXAMPLES,
    )
    add_target(parser)
    add_config_flags(parser)
    return parser


def add_target(parser: Parser) -> None:
    """Add what each command has that looks at a site."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="module:name or path/to/file.py:name, as for cptoolkit run",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
