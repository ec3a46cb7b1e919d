"""``drawing``: an SVG of ``docs/drawings`` in the page itself, where it has the page's colours."""

from __future__ import annotations

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).parents[1] / "drawings"


class Drawing(SphinxDirective):
    """The drawing whose name is the argument. The text below says what it shows."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        path = FOLDER / f"{self.arguments[0]}.svg"
        self.env.note_dependency(str(path))
        words = " ".join(self.content)
        html = f"<figure class='drawing'>\n{path.read_text(encoding='utf-8')}"
        html += f"<figcaption>{escape(words)}</figcaption>\n</figure>"
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True}
