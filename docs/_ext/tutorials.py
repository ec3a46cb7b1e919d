"""Docstrings of tutorials without their first line, which the page has as a heading."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def drop_title(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    if name.startswith("cptoolkit.tutorial."):
        del lines[:2]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", drop_title)
    return {"parallel_read_safe": True}
