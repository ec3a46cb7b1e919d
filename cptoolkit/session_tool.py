"""The sessions tool: the session layer on the hook timeline (reference, 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cptoolkit.context import current, serving
from cptoolkit.hooks import Hook
from cptoolkit.layer_tool import LayerTool

if TYPE_CHECKING:
    from cptoolkit.plan import Plan

SAVE_PRIORITY = 90
"""Late at before_finalize, so that hooks there can still use the session."""


class SessionsTool(LayerTool):
    """Gives page handlers ``cptoolkit.session``.

    Options that the layer does not know are those of the storage class.
    """

    def __init__(self) -> None:
        super().__init__("before_request_body", "Sessions", after_priority=SAVE_PRIORITY)

    def options(self) -> None:  # type: ignore[override]
        """Any: which ones there are depends on the storage class, and the layer checks them."""

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        options = dict(options)
        priority = options.pop("priority", None)
        layer = self.made(plan.app, options)
        begin, save, close = layer.before, layer.after, layer.finish

        def before() -> None:
            begin(current.get()[0])

        def after() -> None:
            request, response = current.get()
            if type(response._app_iter) is not list:
                response.gather_body()  # a generator has its turn before the session is saved
            save(request, response)

        def end() -> None:
            request, response = current.get()
            if type(response._app_iter) is list:
                close(request, response)
            else:  # which may use the session while it is sent
                request.hooks.attach("on_end_request", finish, True, SAVE_PRIORITY)

        def finish() -> None:
            close(*current.get())

        assert self._point is not None
        plan.attach(
            self._point, Hook(before, priority=self._priority if priority is None else priority)
        )
        plan.attach("before_finalize", Hook(after, priority=SAVE_PRIORITY))
        plan.attach("on_end_resource", Hook(end, failsafe=True, priority=SAVE_PRIORITY))

    def regenerate(self) -> None:
        """Go on under a new id with the same data: at login."""
        serving.session.regenerate()
