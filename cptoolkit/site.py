"""The site that a process serves: its tree, engine, server and log, ready to use.

Nothing is started here; that is for ``engine.start()``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cptoolkit.application import Application
from cptoolkit.checks import Checker
from cptoolkit.config_files import load, loaded_files
from cptoolkit.configuration import Source
from cptoolkit.context import serving
from cptoolkit.default_tools import tools
from cptoolkit.global_config import config
from cptoolkit.global_config import config as site_config
from cptoolkit.hooks import HOOKPOINTS
from cptoolkit.http.error_pages import check_error_page
from cptoolkit.http.request import Request
from cptoolkit.http.response import Response
from cptoolkit.logs import Gatherer, GlobalLogManager
from cptoolkit.mounts import tree
from cptoolkit.process import plugins
from cptoolkit.process.namespace import engine_namespace, server_namespace
from cptoolkit.process.servers import Server
from cptoolkit.process.wspbus import bus as engine

log = GlobalLogManager()
log.screen = True
log.error_file = ""
log.access_file = ""
logging.getLogger("cptoolkit").addHandler(Gatherer(log))

__all__ = [
    "checker",
    "config",
    "engine",
    "known_settings",
    "log",
    "quickstart",
    "server",
    "servers",
    "start",
    "tools",
    "tree",
]


def _log_engine(message: str, level: int = logging.INFO) -> None:
    log.error(message, "ENGINE", severity=level)


Server.app = tree  # what every server serves that is not given another application
server = Server(engine)
servers: dict[str, Server] = {}
"""Further servers, by the name that config knows them by (``server.<name>.socket_port``)."""


def _mount(name: str, value: Any) -> None:
    """The config namespace ``tree``: an application, or several by mount point."""
    for script_name, app in value.items() if isinstance(value, dict) else [(None, value)]:
        tree.graft(app, app.script_name if script_name is None else script_name)


def _reopen_files_of_applications() -> None:
    for app in tree.apps.values():
        if isinstance(app, Application):
            app.log.reopen_files()


# The parent of several processes has them open, too.
_reopen_files_of_applications.in_parent = True  # type: ignore[attr-defined]


def known_settings() -> Mapping[str, list[str]]:
    """The keys that the built-in config namespaces have, for messages about those they lack."""
    return {
        "server": _attributes(server),
        "request": _attributes(Request.blank("/")),
        "response": _attributes(Response()),
        "log": _attributes(log),
        "hooks": list(HOOKPOINTS),
    }


def _attributes(thing: object) -> list[str]:
    return [name for name in dir(thing) if not name.startswith("_")]


checker = Checker(
    tree,
    config,
    known=known_settings,
    samples=lambda: {"server": server, "response": serving.response},
)

engine.autoreload = plugins.Autoreloader(engine)
engine.autoreload.files = loaded_files
engine.thread_manager = plugins.ThreadManager(engine)
engine.timeout_monitor = plugins.TimeoutMonitor(engine, lambda: serving.response)
engine.signal_handler = plugins.SignalHandler(engine)
engine.signals = engine.signal_handler
for _plugin in (engine.autoreload, engine.thread_manager, engine.timeout_monitor, server):
    _plugin.subscribe()
for _channel in ("before_request", "after_request"):
    engine.listeners.setdefault(_channel, set())  # so that plugins with such methods listen
engine.subscribe("log", _log_engine)
engine.subscribe("start", checker)
engine.subscribe("graceful", log.reopen_files)
engine.subscribe("graceful", _reopen_files_of_applications)

config.namespaces.update(
    {
        "engine": engine_namespace(engine),
        "server": server_namespace(server, servers, lambda: Server(engine)),
        "log": lambda name, value: setattr(log, name, value),
        "checker": lambda name, value: setattr(checker, name, value),
        "tree": _mount,
        "error_page": lambda name, value: check_error_page(name, value, "global config"),
    }
)


def quickstart(root: Any = None, script_name: str = "", config: Source | None = None) -> None:
    """Serve one application until the process is told to stop (reference, 4.2.1).

    :param root: the object at the root of the tree.
    :param script_name: the mount point.
    :param config: for the application, and under "global" for the site: a dict of sections, a
        path, or an open file.
    """
    start(root, script_name, config)
    engine.block()


def start(root: Any = None, script_name: str = "", config: Source | None = None) -> Application:
    """Mount an application, listen to signals and start the engine."""
    if config and not isinstance(config, Mapping):
        config = load(config)  # once for both: a file that is open can be read only once
    if config:
        site_config.update(config)
    app = tree.mount(root, script_name, config)
    engine.signals.subscribe()
    engine.start()
    return app
