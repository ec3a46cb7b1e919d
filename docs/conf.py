"""Settings of Sphinx: the reference takes its text from the docstrings."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "_ext"))

project = "cptoolkit"
author = "The cptoolkit contributors"
copyright = f"2026, {author}"
release = metadata.version("cptoolkit")

extensions = ["sphinx.ext.autodoc", "changes", "drawings", "links", "tool_tables", "tutorials"]
exclude_patterns = ["_build", "deployment"]  # the latter has the files of the page deployment.rst

html_theme = "furo"
html_title = "cptoolkit"
pygments_dark_style = "a11y-high-contrast-dark"
html_static_path = ["_static"]
html_css_files = ["cptoolkit.css"]
html_copy_source = False
html_domain_indices = False
smartquotes_action = "D"  # dashes alone: "" is an empty text

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
