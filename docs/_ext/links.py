"""Links to what is defined elsewhere than it is imported from, and a word if one leads nowhere.

``cptoolkit.middleware.Sessions`` is documented as ``cptoolkit.middleware.sessions.layer.Sessions``.
Only pages are warned of: what docstrings name is often another library's, or not for users.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Any
) -> nodes.Element | None:
    """Return a link to a name of ours by the name under which the reference has it."""
    target = node.get("reftarget", "")
    if not target.startswith("cptoolkit."):
        return None
    home = home_of(target)
    if home is not None:
        domain = env.domains.python_domain
        kind, page = node["reftype"], node["refdoc"]
        found = domain.resolve_xref(env, page, app.builder, kind, home, node, content)
        if found is not None:
            return found
    if str(node.source or "").endswith((".rst", "<rst string>")):
        logger.warning("the reference has no %s", target, location=node)
    return None


def home_of(target: str) -> str | None:
    """Return the full name of a class or function, by any name that it can be imported by."""
    module, _, name = target.rpartition(".")
    try:
        thing = getattr(import_module(module), name)
        return f"{thing.__module__}.{thing.__qualname__}"
    except (ImportError, AttributeError):
        return None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True}
