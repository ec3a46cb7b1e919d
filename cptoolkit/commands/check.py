"""``cptoolkit check``: whether a site can be served as its config says."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cptoolkit.commands.loading import WrongConfig
from cptoolkit.commands.parser import Parser, add_config_flags
from cptoolkit.commands.routes import add_target, loaded
from cptoolkit.introspection.findings import Finding, findings
from cptoolkit.introspection.tables import Terminal, write
from cptoolkit.introspection.text import finding_lines
from cptoolkit.site import checker

FOUND = 1
"""The exit status if anything is wrong."""

_EXAMPLES = """\
examples:
  cptoolkit check hello:Root
  cptoolkit check shop.wsgi:app -c shop.conf -e production
  cptoolkit check shop --json | jq -r '.findings[].message'

exit status: 0 if nothing is wrong, 1 if anything is; 2 if the command line or its target is wrong
"""


def obey(arguments: argparse.Namespace) -> int:
    """Print what is wrong with a target.

    :raises WrongConfig: if a config file is not there.
    :raises TargetError: if there is nothing to serve.
    """
    found = _found(arguments)
    if arguments.json:
        lines = [json.dumps({"findings": found}, indent=2)]
    else:
        lines = finding_lines(found, Terminal.of(sys.stdout)) or ["nothing is wrong"]
    write(lines, sys.stdout)
    return FOUND if found else 0


def _found(arguments: argparse.Namespace) -> list[Finding]:
    try:
        return findings(loaded(arguments), checker)
    except WrongConfig as error:
        if not all(Path(path).is_file() for path in arguments.config):
            raise
        # What a config file says is what is being checked.
        return [Finding(message=str(error), entries=[], paths=[])]


def parser() -> Parser:
    """Return what reads the command line."""
    parser = Parser(
        "cptoolkit check",
        "cptoolkit check TARGET [options]",
        "Look for mistakes: in config, by the checks that run when the engine starts, and in what\n"
        "each resource is to be served with: tools, their options, hooks.",
        _EXAMPLES,
    )
    add_target(parser)
    add_config_flags(parser)
    return parser
