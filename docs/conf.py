"""Settings of Sphinx: the reference takes its text from the docstrings."""

from importlib import metadata

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import cptoolkit
from cptoolkit import middleware
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.layer import Layer

project = "cptoolkit"
author = "The cptoolkit contributors"
copyright = f"2026, {author}"
release = metadata.version("cptoolkit")

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Object-tree web applications and WSGI components"}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}


class LayerTable(SphinxDirective):
    """The layers with their tools and hook points, as the package itself has them."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(layer_table())


def layer_table() -> str:
    """A list-table of reStructuredText: layer, tool, where the tool runs, and what it is for."""
    found = cptoolkit.tools.tools().items()
    tools = {tool.layer: (name, tool) for name, tool in found if isinstance(tool, LayerTool)}
    rows = [".. list-table::", "   :header-rows: 1", "", "   * - Layer", "     - Tool"]
    rows += ["     - Hook point, priority", "     - What it does"]
    for name in sorted(middleware.HOMES):
        layer = getattr(middleware, name)
        if not hasattr(layer, "option_names") or layer is Layer:
            continue
        tool, point = "", ""
        if layer in tools:
            tool, made = f"``{tools[layer][0]}``", tools[layer][1]
            point = f"{made._point}, {made._priority}"
        does = (layer.__doc__ or "").partition("\n\n")[0].replace("\n    ", " ")
        home = f"cptoolkit.middleware.{middleware.HOMES[name]}.{name}"
        rows += [f"   * - :class:`{name} <{home}>`", f"     - {tool}", f"     - {point}"]
        rows += [f"     - {does}"]
    return "\n".join(rows)


def setup(app: Sphinx) -> None:
    app.add_directive("layer-table", LayerTable)
