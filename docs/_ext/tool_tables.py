"""Tables of layers and tools, as the package itself has them: ``layer-table``, ``tool-table``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import cptoolkit
from cptoolkit import middleware
from cptoolkit.hooks import common_hooks
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.layer import Layer
from cptoolkit.plan import Plan
from cptoolkit.toolbox import Tool

REQUIRED = (dataclasses.MISSING, inspect.Parameter.empty)
"""What stands for the default of an option that has none."""

NEEDED: dict[str, dict[str, Any]] = {
    "accept": {"media": "text/html"},
    "auth_basic": {"realm": "", "checkpassword": lambda realm, user, password: False},
    "auth_digest": {"realm": "", "get_ha1": lambda realm, user: None},
    "referer": {"pattern": "."},
    "session_auth": {"check_username_and_password": lambda username, password: "no"},
    "staticdir": {"dir": "/"},
    "staticfile": {"filename": __file__},
}
"""Options with which a tool is turned on, to see where it runs: those that it must have, even if
"" or None stands there for nothing, and those without which it does nothing."""


class LayerTable(SphinxDirective):
    """Each layer with its tool and the first sentence about it."""

    def run(self) -> list[nodes.Node]:
        names = {tool.layer: name for name, tool in layer_tools()}
        rows = [
            [link(layer), code(names[layer]) if layer in names else "", sentence(layer.__doc__)]
            for layer in layers()
        ]
        return self.parse_text_to_nodes(table(["Layer", "Tool", "What it does"], "25 25 50", rows))


class ToolTable(SphinxDirective):
    """Each tool, and each layer that is none, with options, defaults and place on the timeline."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for name, tool in sorted(cptoolkit.tools.tools().items()):
            what = link(tool.layer) if isinstance(tool, LayerTool) else sentence(tool.__doc__)
            rows.append([code(name), what, places(name, tool), options(name, tool)])
        tools = {tool.layer for _, tool in layer_tools()}
        for layer in layers():
            if layer not in tools:
                rows.append(["none", link(layer), "", lines(*defaults(fields_of(layer)))])
        heads = ["Tool", "Layer, or what it does", "Hook points, priority", "Options, defaults"]
        return self.parse_text_to_nodes(table(heads, "20 24 26 30", rows))


def layers() -> list[type[Layer]]:
    """All layers, by name."""
    found = [getattr(middleware, name) for name in sorted(middleware.HOMES, key=str.lower)]
    return [kind for kind in found if hasattr(kind, "option_names") and kind is not Layer]


def layer_tools() -> list[tuple[str, LayerTool]]:
    """The tools that are layers, by name."""
    found = sorted(cptoolkit.tools.tools().items())
    return [(name, tool) for name, tool in found if isinstance(tool, LayerTool)]


def places(name: str, tool: Tool) -> str:
    """The hook points at which a tool does something, and its priority there."""
    config = {f"tools.{name}.on": True}
    config |= {f"tools.{name}.{key}": value for key, value in NEEDED.get(name, {}).items()}
    plan = Plan(cptoolkit.Application(object()), config)
    found = {
        f"{point} {hook.priority:g}": None
        for point, hooks in plan.hooks.items()
        for hook in hooks
        if hook not in common_hooks[point]
    }
    for attribute in plan.request_attributes:
        found[f"request.{attribute}"] = None
    return lines(*map(code, found)) if found else "no hook"


def options(name: str, tool: Tool) -> str:
    """The options of a tool with their defaults."""
    found = tool.options()
    if found is not None:
        required = [option for option in NEEDED.get(name, ()) if not found[option]]
        return lines(*defaults({**found, **dict.fromkeys(required, REQUIRED[0])}))
    assert isinstance(tool, LayerTool)
    return lines(*defaults(fields_of(tool.layer)), "and those of the store")


def fields_of(layer: type[Layer]) -> dict[str, Any]:
    """The options of a layer with their defaults."""
    return {
        option.name: option.default
        if option.default_factory is dataclasses.MISSING
        else option.default_factory()
        for option in dataclasses.fields(layer)
        if option.name in layer.option_names()
    }


def defaults(options: Mapping[str, Any]) -> Iterator[str]:
    """Each option as it would be written down to get what is there without it."""
    for name, default in options.items():
        if any(default is required for required in REQUIRED):
            yield f"{code(name)} (required)"
        elif inspect.isroutine(default) or inspect.isclass(default):
            yield code(f"{name}={default.__name__}")
        elif isinstance(default, tuple) and any(map(inspect.isclass, default)):
            yield code(f"{name}=({', '.join(kind.__name__ for kind in default)})")
        else:
            yield code(f"{name}={default!r}")


def sentence(docstring: str | None) -> str:
    """The first sentence of a docstring, without its source."""
    first = " ".join((docstring or "").partition("\n\n")[0].split())
    return re.sub(r" \(reference, [^)]*\)", "", first)


def link(layer: type[Layer]) -> str:
    return f":class:`{layer.__name__} <{layer.__module__}.{layer.__qualname__}>`"


def code(text: str) -> str:
    return f"``{text}``"


def lines(*texts: str) -> str:
    """A cell of several lines."""
    return "\n       ".join(f"| {text}" for text in texts)


def table(heads: list[str], widths: str, rows: list[list[str]]) -> str:
    """A list-table of reStructuredText."""
    text = [".. list-table::", "   :header-rows: 1", "   :class: facts"]
    text += [f"   :widths: {widths}", ""]
    for row in [heads, *rows]:
        for number, cell in enumerate(row):
            text.append(f"   {'*' if number == 0 else ' '} - {cell}")
    return "\n".join(text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("layer-table", LayerTable)
    app.add_directive("tool-table", ToolTable)
    return {"parallel_read_safe": True}
