"""The ``response_headers`` tool: a page handler sees the header fields, and may change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from cptoolkit.context import current
from cptoolkit.hooks import Hook
from cptoolkit.layer_tool import LayerClass, LayerTool
from cptoolkit.toolbox import P

if TYPE_CHECKING:
    from cptoolkit.middleware.response_headers import ResponseHeaders
    from cptoolkit.plan import Plan


class ResponseHeadersTool(LayerTool[P]):
    """Sets the fields when the resource begins, in place of such as ``text/html`` that stand
    there already; and at before_finalize once more, on a response that another layer has put in
    the place of that one.
    """

    def __init__(self, layer: LayerClass[P]) -> None:
        super().__init__("on_start_resource", layer)

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        super().compile_hooks(plan, options)
        options = dict(options)
        priority = options.pop("priority", None)
        headers = cast("ResponseHeaders", self.made(plan.app, options)).fields
        names = {name.lower() for name, _ in headers}

        def begin() -> None:
            fields = current.get()[1].headerlist
            fields[:] = [item for item in fields if item[0].lower() not in names]
            fields.extend(headers)

        at = self._priority if priority is None else priority
        plan.attach("on_start_resource", Hook(begin, failsafe=True, priority=at))
