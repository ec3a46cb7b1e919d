"""``changes``: a section of CHANGELOG.md in a page, so that what it tells stands in one place."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"


class Changes(SphinxDirective):
    """What stands in CHANGELOG.md under the heading that is the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(CHANGELOG))
        return self.parse_text_to_nodes(section(self.arguments[0]))


def section(heading: str) -> str:
    """The list under a heading of the newest version, as reStructuredText.

    :raises ValueError: if there is none.
    """
    text = CHANGELOG.read_text(encoding="utf-8")
    found = re.search(rf"^### {re.escape(heading)}\n\n((?:[- ] .*\n)+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"CHANGELOG.md has no list under the heading {heading!r}")
    return found[1].replace("`", "``")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("changes", Changes)
    return {"parallel_read_safe": True}
