"""``cptoolkit explain``: what becomes of one request."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING

import webob

from cptoolkit.commands.loading import WrongConfig
from cptoolkit.commands.parser import Parser, add_config_flags
from cptoolkit.commands.routes import add_target, loaded
from cptoolkit.introspection.explanation import explain
from cptoolkit.introspection.tables import Terminal, write
from cptoolkit.introspection.text import explanation_lines

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_EXAMPLES = """\
examples:
  cptoolkit explain hello:Root /
  cptoolkit explain shop:app "/articles/7?page=2" -X PUT
  cptoolkit explain shop:app / -H "Host: www.example.com" -c shop.conf
  cptoolkit explain hello /no/such/page --json | jq .nearest

exit status: 0, also where the answer is an error; 2 if the command line or what it names is wrong
"""


def obey(arguments: argparse.Namespace) -> int:
    """Print what becomes of a request.

    :raises WrongConfig: if config files cannot be used, or there can be no such request.
    :raises TargetError: if there is nothing to serve.
    """
    environ = environ_of(arguments.path, arguments.request, arguments.header)
    told = explain(loaded(arguments), environ)
    if arguments.json:
        lines = [json.dumps(told, indent=2)]
    else:
        lines = explanation_lines(told, Terminal.of(sys.stdout))
    write(lines, sys.stdout)
    return 0


def environ_of(path: str, method: str, headers: list[str]) -> WSGIEnvironment:
    """The environ of a request, from this machine (PEP 3333).

    :param path: with a query string, maybe; or a URL.
    :param headers: as they are sent: "Host: example.com".
    :raises WrongConfig: if there can be no such request.
    """
    if not path.startswith(("/", "http://", "https://")):
        raise WrongConfig(f"the path {path!r} must begin with a slash; did you mean '/{path}'?")
    if not _TOKEN.fullmatch(method):
        raise WrongConfig(f"{method!r} is no method: use one such as GET or POST")
    fields = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not value.isprintable():
            raise WrongConfig(f"{header!r} is no header field: write it as 'Host: example.com'")
        fields[name.title()] = value.strip()
    try:
        environ = webob.Request.blank(path, method=method, headers=fields).environ
    except (UnicodeError, ValueError) as error:
        raise WrongConfig(f"there can be no request for {path!r}: {error}") from error
    if path.startswith("/") and "Host" not in fields:
        environ["HTTP_HOST"] = "localhost"
    return {**environ, "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1"}


def parser() -> Parser:
    """Return what reads the command line."""
    parser = Parser(
        "cptoolkit explain",
        "cptoolkit explain TARGET PATH [options]",
        "Tell what becomes of a request: application, steps of the dispatcher, page handler,\n"
        "hooks and layers in their order, and config with where each entry is from.\n"
        "The dispatcher runs, with _cp_dispatch; hooks, tools and the page handler do not.",
        _EXAMPLES,
    )
    add_target(parser)
    parser.add_argument("path", metavar="PATH", help="a path, with a query string maybe, or a URL")
    parser.add_argument(
        "-X", "--request", metavar="METHOD", default="GET", help="the method; GET if not given"
    )
    parser.add_argument(
        "-H", "--header", metavar="FIELD", action="append", default=[],
        help="a header field, such as 'Host: example.com'; may be repeated",
    )  # fmt: skip
    add_config_flags(parser)
    return parser
