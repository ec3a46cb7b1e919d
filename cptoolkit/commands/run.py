"""``cptoolkit run``: serve one application."""

from __future__ import annotations

import argparse

from cptoolkit.commands.loading import WrongConfig, configure, load_target, mount
from cptoolkit.commands.parser import Parser, add_config_flags, add_process_flags
from cptoolkit.commands.serving import serve
from cptoolkit.server_flags import add_server_flags, server_settings

_EXAMPLES = """\
examples:
  cptoolkit run hello:Root               the class Root of hello.py, on http://127.0.0.1:8080
  cptoolkit run hello                    the same, where hello.py has but one application
  cptoolkit run shop/wsgi.py:app --port 9000 --thread-pool 20
  cptoolkit run "shop:create_app" -c shop.conf -e production
"""


def obey(arguments: argparse.Namespace) -> int:
    """Mount what the target is, and serve it until the bus exits.

    :raises WrongConfig: if options or config files cannot be used.
    :raises TargetError: if there is nothing to serve.
    """
    try:
        settings = server_settings(arguments)
    except ValueError as error:
        raise WrongConfig(f"wrong option of the server: {error}") from error
    app = mount(load_target(arguments.target, arguments.paths))
    configure(arguments, app, settings)
    serve(arguments)
    return 0


def parser() -> Parser:
    """Return what reads the command line."""
    parser = Parser(
        "cptoolkit run",
        "cptoolkit run TARGET [options]",
        "Serve one application until Ctrl-C or SIGTERM.",
        _EXAMPLES,
    )
    add_config_flags(parser)
    add_process_flags(parser)
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="module:name or path/to/file.py:name of a class or object with exposed handlers, an"
        " Application, a Tree, any WSGI application, or a function that makes one of these",
    )
    add_server_flags(parser)
    return parser
