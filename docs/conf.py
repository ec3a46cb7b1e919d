"""Settings of Sphinx: the reference takes its text from the docstrings."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "_ext"))

project = "cptoolkit"
author = "The cptoolkit contributors"
copyright = f"2026, {author}"
release = metadata.version("cptoolkit")

extensions = ["sphinx.ext.autodoc", "changes", "drawings", "links", "tool_tables"]
exclude_patterns = ["_build", "deployment"]  # the latter has the files of the page deployment.rst

html_theme = "furo"
html_title = "cptoolkit"
html_static_path = ["_static"]
html_css_files = ["cptoolkit.css"]
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
