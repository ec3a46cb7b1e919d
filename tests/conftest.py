"""What every test has at hand: a site as it is after import, and clients of applications."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from webtest import TestApp

import cptoolkit
from cptoolkit.configuration import environments, generation
from cptoolkit.context import current
from cptoolkit.http.request import Request


@pytest.fixture(autouse=True)
def fresh_site() -> Iterator[None]:
    """Put back what a test may change in the site of this process: config, tree, tools, log."""
    site, engine = cptoolkit.config, cptoolkit.engine
    dicts = [site, site.namespaces, Request.namespaces, vars(cptoolkit.tools)]
    before = [dict(entries) for entries in dicts]
    configured = [cptoolkit.checker, cptoolkit.server, engine.autoreload, engine.timeout_monitor]
    attributes = [dict(vars(thing)) for thing in configured]
    named_environments = copy.deepcopy(environments)
    contained_paths = site.contained_paths
    apps, cptoolkit.tree.apps = cptoolkit.tree.apps, {}
    listeners = {channel: set(found) for channel, found in engine.listeners.items()}
    exchange = current.get(None)
    loggers = [cptoolkit.log.error_log, cptoolkit.log.access_log]
    logging_state = [(logger.level, list(logger.handlers)) for logger in loggers]
    cptoolkit.log.screen = False
    try:
        yield
    finally:
        for entries, was in zip(dicts, before, strict=True):
            dict.clear(entries)
            dict.update(entries, was)
        for thing, had in zip(configured, attributes, strict=True):
            vars(thing).clear()
            vars(thing).update(had)
        environments.clear()
        environments.update(named_environments)
        site.contained_paths = contained_paths
        cptoolkit.tree.apps = apps
        engine.listeners.clear()
        engine.listeners.update(listeners)
        if exchange is None and current.get(None) is not None:
            cptoolkit.serving.clear()
        for logger, (level, handlers) in zip(loggers, logging_state, strict=True):
            logger.setLevel(level)
            for handler in logger.handlers:
                if handler not in handlers:
                    handler.close()
            logger.handlers[:] = handlers
        generation.bump()


def client_of(root: Any, config: Any = None, script_name: str = "") -> TestApp:
    """A client of an object tree, or of any WSGI application; both sides of it are linted.

    The application itself is its ``app``.
    """
    if isinstance(root, cptoolkit.Application):
        return TestApp(root)
    app = cptoolkit.Application(root, script_name, config)
    if not script_name:
        return TestApp(app)
    tree = cptoolkit.Tree()
    tree.mount(app)
    return TestApp(tree)


@pytest.fixture(scope="session")
def app_of() -> Callable[..., TestApp]:
    """:func:`client_of`: ``app_of(root, config=None, script_name="") -> webtest.TestApp``."""
    return client_of


def fail_instead_of_skipping(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where ``CI`` is set, everything that tests need has to be there."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    missing = re.match("(Skipped: )?(needs|could not import) ", reason)
    if report.skipped and missing and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"{reason.removeprefix('Skipped: ')} (skipped outside of CI)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    fail_instead_of_skipping(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    fail_instead_of_skipping(report)
    return report
