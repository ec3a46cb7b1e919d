"""``cptoolkit run``: serve one application."""

from __future__ import annotations

import argparse

from cptoolkit.commands.loading import (
    WrongConfig,
    configure,
    extend_path,
    load_target,
    mount,
)
from cptoolkit.commands.parser import Parser, add_config_flags, add_process_flags
from cptoolkit.commands.server_names import (
    NAMES,
    add_server_choice,
    choose_server,
    make_server,
)
from cptoolkit.commands.serving import serve
from cptoolkit.server_flags import add_server_flags, server_settings
from cptoolkit.site import server

_EXAMPLES = """\
examples:
  cptoolkit run hello:Root               the class Root of hello.py, on http://127.0.0.1:8080
  cptoolkit run hello                    the same, where hello.py has but one application
  cptoolkit run shop/wsgi.py:app --port 9000 --thread-pool 20
  cptoolkit run "shop:create_app" -c shop.conf -e production
  cptoolkit run hello --server waitress --no-reload
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
    extend_path(arguments.paths)
    factory = choose_server(arguments)
    if arguments.reload is not None:
        settings["engine.autoreload.on"] = arguments.reload
    app = mount(load_target(arguments.target, arguments.paths))
    configure(arguments, app, settings)
    if factory is not None:
        server.instance = make_server(arguments.server, factory, server)
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
    parser.add_argument(
        "--reload",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="restart when a file of the program changes (default: as config says, which means yes"
        " but in the environments production and staging)",
    )
    add_server_choice(parser)
    add_server_flags(parser)
    parser.suggestions = {"server": NAMES}
    return parser
