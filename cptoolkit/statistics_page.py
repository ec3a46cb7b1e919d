"""What a process counts, as a page and as JSON: CherryPy's ``lib.cpstats``.

``logging.statistics`` is where any library of the process may put a dict of figures under a name of
its own; a function in it is called with the dict that it is in. The figures of the applications are
among them, as the tool ``cpstats`` counts them. Importing this module adds that tool.

The tool ``stats`` is younger, and shows more: plots, quantiles, and what Prometheus reads.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from cptoolkit import site
from cptoolkit.application import Application
from cptoolkit.context import serving
from cptoolkit.decorators import expose
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.observing.stats import Stats

APPLICATIONS = "CherryPy Applications"
"""The name of our figures in ``logging.statistics``."""


class StatsTool(LayerTool):
    """The layer :class:`~cptoolkit.middleware.Stats` as a tool that counts, and shows nothing."""

    def __init__(self) -> None:
        super().__init__("on_start_resource", Stats, priority=0, after_priority=100, on_errors=True)

    def made(self, app: Application, options: dict[str, Any]) -> Layer:
        """The layer with these options; without a ``path`` it has no page."""
        return super().made(app, {"path": None, **options})


site.tools.cpstats = StatsTool()


def appstats() -> dict[str, Any]:
    """The figures of each application of the site, by mount point."""
    figures: dict[str, Any] = {}
    for mount_point, app in site.tree.apps.items():
        for layers in app.layers.values() if isinstance(app, Application) else ():
            for _options, layer in layers:
                if isinstance(layer, Stats):
                    figures[mount_point or "/"] = layer.statistics()
    return figures


def extrapolate_statistics(scope: Mapping[Any, Any]) -> dict[str, Any]:
    """Figures with each function replaced by what it gives, as JSON can have them.

    :param scope: a dict as ``logging.statistics`` is.
    """
    return {str(name): _value(value, scope) for name, value in list(scope.items())}


def _value(value: Any, scope: Mapping[Any, Any]) -> Any:
    if callable(value):
        value = value(scope)
    if isinstance(value, Mapping):
        return extrapolate_statistics(value)
    if isinstance(value, (list, tuple)):
        return [_value(item, scope) for item in value]
    return value


class StatsPage:
    """A page to mount: ``index`` for people, ``data`` as JSON.

    Whoever can reach its URL sees the figures: put an authentication in front of it.
    """

    @expose
    def index(self) -> str:
        """The figures as HTML."""
        rows = "".join(_rows(extrapolate_statistics(_statistics())))
        return f"<!DOCTYPE html><title>Statistics</title><h1>Statistics</h1>{rows}"

    @expose
    def data(self) -> bytes:
        """The figures as JSON."""
        serving.response.headers["Content-Type"] = "application/json"
        return json.dumps(extrapolate_statistics(_statistics()), default=str).encode()


def _statistics() -> dict[str, Any]:
    figures: dict[str, Any] = logging.statistics  # type: ignore[attr-defined]
    return figures


def _rows(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "<dl>"
    for name, value in figures.items():
        yield f"<dt>{escape(name)}</dt><dd>"
        if isinstance(value, Mapping):
            yield from _rows(value)
        else:
            yield escape(str(value))
        yield "</dd>"
    yield "</dl>"


if not hasattr(logging, "statistics"):
    logging.statistics = {}  # type: ignore[attr-defined]
_statistics()[APPLICATIONS] = lambda scope: appstats()
