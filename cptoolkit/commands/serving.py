"""Serve what has been mounted, as the options of a command say."""

from __future__ import annotations

import argparse

from cptoolkit.commands.checking import check_config
from cptoolkit.global_config import config
from cptoolkit.mounts import tree
from cptoolkit.process import plugins
from cptoolkit.process.channels import WARNING
from cptoolkit.process.wspbus import bus as engine
from cptoolkit.site import server


def serve(arguments: argparse.Namespace) -> None:
    """Start the bus, and return when it has exited."""
    if arguments.daemonize:
        config["log.screen"] = False  # there will be none
        plugins.Daemonizer(engine).subscribe()
    if arguments.pidfile is not None:
        plugins.PIDFile(engine, arguments.pidfile).subscribe()
    # After a fork, as layers may open what does not survive one; before anything that starts.
    engine.subscribe("start", lambda: check_config(server.app), priority=2)
    engine.signals.subscribe()
    engine.start()
    if not tree.apps and server.app is tree:
        engine.log("No application is mounted: every address gives 404.", WARNING)
    engine.block()
