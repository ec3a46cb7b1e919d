"""The site of this process, lent to a test: empty, on a port of its own, and put back afterwards.

What defines things rather than sets them is not taken away: tools, hook points and config
namespaces of a module stay known, since a module is imported only once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cptoolkit import site
from cptoolkit.application import Application
from cptoolkit.configuration import Source, generation
from cptoolkit.hooks import common_hooks
from cptoolkit.mounts import Tree
from cptoolkit.process.adapter import url
from cptoolkit.process.ports import client_host
from cptoolkit.process.wspbus import State
from cptoolkit.testing.servable import application_of, sections

HOST = "127.0.0.1"
"""Where a test's server listens: nobody else has business there."""


@contextmanager
def fresh_site() -> Iterator[None]:
    """Give a test the site with an empty tree, in the environment ``test_suite``.

    The server is set to a free port of this machine; config may say otherwise. Afterwards config,
    tree, logs, server, hooks of all requests, and the engine's listeners and plugins are as they
    were before.
    """
    config, engine, tree = site.config, site.engine, site.tree
    plugins = [engine.autoreload, engine.thread_manager, engine.timeout_monitor, engine.signals]
    owners = [site.server, site.checker, site.log, *plugins]
    attributes = [dict(vars(owner)) for owner in owners]
    attached = _attached()
    settings, contained_paths = dict(config), config.contained_paths
    servers = dict(site.servers)
    listeners = {channel: set(found) for channel, found in engine.listeners.items()}
    loggers = [site.log.error_log, site.log.access_log]
    logging_state = [(logger.level, list(logger.handlers)) for logger in loggers]
    hooks = {point: list(found) for point, found in common_hooks.items()}
    apps, tree.apps = tree.apps, {}
    try:
        config.update(
            {
                "environment": "test_suite",
                "server.socket_host": HOST,
                "server.socket_port": 0,
            }
        )
        yield
    finally:
        tree.apps = apps
        _restore_listeners(listeners)
        for owner, had in zip(owners, attributes, strict=True):
            vars(owner).clear()
            vars(owner).update(had)
        for name in _attached().keys() - attached.keys():
            delattr(engine, name)
        vars(engine).update(attached)
        for logger, (level, handlers) in zip(loggers, logging_state, strict=True):
            for handler in logger.handlers:
                if handler not in handlers:
                    handler.close()
            logger.handlers[:] = handlers
            logger.setLevel(level)
        site.servers.clear()
        site.servers.update(servers)
        dict.clear(config)
        dict.update(config, settings)  # not by way of the namespaces: the rest is back already
        config.contained_paths = contained_paths
        for point, found in hooks.items():
            common_hooks[point][:] = found
        generation.bump()


@contextmanager
def served_site() -> Iterator[str]:
    """Start the engine, with its plugins and the server, and let both go afterwards.

    :returns: the URL of the site, without a slash at its end; ``server.socket_port`` is then the
        port in use.
    :raises RuntimeError: if the engine runs already.
    :raises StartFailure: if a service cannot start, the server for instance.
    """
    server, engine = site.server, site.engine
    if engine.state not in (State.STOPPED, State.EXITING):
        raise RuntimeError(f"the engine, in {engine.state!r}, serves something else already")
    if server.socket_port == 0 and (server.instance or server.httpserver):
        server.socket_port = _free_port()  # others than ours do not tell what 0 has turned into
    try:
        engine.start()
        if isinstance(server.bound_addr, tuple):
            site.config["server.socket_port"] = server.bound_addr[1]
        yield site_url()
    finally:
        engine.exit()


def site_url() -> str:
    """Where a client on this machine finds the server: a URL, or the path of a Unix socket."""
    server = site.server
    if not isinstance(server.bound_addr, tuple):
        return server.base()
    host, port = server.bound_addr
    return url(server.base().partition(":")[0], client_host(host or ""), port)


def place(thing: Any, config: Source | None = None) -> Tree:
    """Put on the site what a test is to serve.

    :param thing: see :func:`~cptoolkit.testing.servable.application_of`.
    :param config: as for :func:`cptoolkit.quickstart`: for the application, and under "global" for
        the site.
    :returns: the tree that serves it.
    """
    settings = sections(config)
    if settings:
        site.config.update(settings)
    app = application_of(thing, settings)
    if isinstance(app, Tree):
        site.server.app = app
        return app
    if isinstance(app, Application):
        site.tree.mount(app)
    else:
        site.tree.graft(app)
    return site.tree


def _attached() -> dict[str, Any]:
    """The plugins and whatever else programs have attached to the engine."""
    own = ("listeners",)
    return {
        name: value
        for name, value in vars(site.engine).items()
        if not name.startswith("_") and name not in own
    }


def _restore_listeners(before: dict[str, set[Callable[..., Any]]]) -> None:
    engine = site.engine
    for channel, now in list(engine.listeners.items()):
        for listener in now - before.get(channel, set()):
            engine.unsubscribe(channel, listener)
        for listener in before.get(channel, set()) - now:
            engine.subscribe(channel, listener)
        if channel not in before:
            del engine.listeners[channel]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
