"""Settings of Sphinx: the reference takes its text from the docstrings."""

from importlib import metadata

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
