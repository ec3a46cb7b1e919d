"""``tools.debugger``: werkzeug's debugger in place of the page for an unexpected exception."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cptoolkit.context import current
from cptoolkit.hooks import Hook
from cptoolkit.http.error_pages import tracebacks_shown
from cptoolkit.layer_tool import answer_with, take
from cptoolkit.middleware.forwarding.local import is_local
from cptoolkit.toolbox import Tool

if TYPE_CHECKING:
    from cptoolkit.middleware.errors.debugger import Debugger
    from cptoolkit.plan import Plan


class DebuggerTool(Tool):
    """Show source, local variables and the request to clients on this machine; for development.

    What the page looks like, and what guards its console, is told by the option ``debug`` of
    :class:`~cptoolkit.middleware.ErrorPages`. Where ``request.show_tracebacks`` is off, as in the
    environment "production", the tool does nothing.
    """

    def __init__(self) -> None:
        super().__init__("after_error_response", self.show)
        self._debugger: Debugger | None = None

    def options(self) -> Mapping[str, Any]:
        return {}

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        self.check(options)
        if plan.config.get("request.show_tracebacks", "local"):
            if self._debugger is None:
                from cptoolkit.middleware.errors.debugger import Debugger  # not above: few need it

                object.__setattr__(self, "_debugger", Debugger())
            plan.attach("on_start_resource", Hook(self.answer, priority=0))
            plan.attach("after_error_response", Hook(self.show, priority=options.get("priority")))

    def answer(self) -> None:
        """Answer a request that comes from a page of the debugger's."""
        request = current.get()[0]
        debugger = self._debugger
        if debugger is not None and debugger.is_asked(request):
            answer_with(debugger.answer(request))
            request.handler = None
            request.process_request_body = False

    def show(self) -> None:
        """Put the debugger in place of the page for the exception in hand."""
        request = current.get()[0]
        error = sys.exc_info()[1]
        if self._debugger is None or not isinstance(error, Exception):
            return
        if tracebacks_shown(request) and is_local(request.environ):
            take(self._debugger.page(request, error))
