"""``tools.explain``: a page for whoever writes a site, which tells what becomes of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cptoolkit.context import current
from cptoolkit.toolbox import Tool

if TYPE_CHECKING:
    from cptoolkit.plan import Plan

WISH = "explain"
"""The parameter of the query string that asks for the page."""


def explain() -> None:
    """Answer ``?explain`` with what becomes of the request, and not with what it asks for.

    ``?explain=POST`` tells of another method. Only clients on this machine that come without a
    proxy are answered so; for others it is a parameter like any other. The tool does nothing in
    the environment "production", nor wherever ``request.show_tracebacks`` is False.
    """
    request = current.get()[0]
    query = request.environ.get("QUERY_STRING", "")
    if WISH not in query or request.method not in ("GET", "HEAD"):
        return
    # Not above: this module is imported with every site, and few have the tool on.
    from cptoolkit.introspection.page import answer

    answer(request)


class ExplainTool(Tool):
    """The tool, which leaves no hook where errors are not shown either.

    It runs after those that refuse strangers, and before those that answer.
    """

    def __init__(self) -> None:
        super().__init__("before_handler", explain, priority=5)

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        self.check(options)
        production = plan.app.global_config.get("environment") == "production"
        if not production and plan.config.get("request.show_tracebacks", True):
            super().compile_hooks(plan, options)
