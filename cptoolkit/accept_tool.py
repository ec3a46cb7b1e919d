"""The tool ``accept``: only clients that take a media type on offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cptoolkit.handler_tools import accept
from cptoolkit.layer_tool import LayerClass, LayerTool
from cptoolkit.toolbox import P

if TYPE_CHECKING:
    from cptoolkit.plan import Plan


class AcceptTool(LayerTool[P]):
    """The layer :class:`~cptoolkit.middleware.Accept` as a tool.

    Where it is on and no ``media`` are on offer, it lets everybody pass: so it can be turned on
    for a whole site, and each page say what it has.
    """

    def __init__(self, layer: LayerClass[P]) -> None:
        super().__init__("on_start_resource", layer)
        self.callable = accept  # says which media type it has chosen

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        if options.get("media"):
            super().compile_hooks(plan, options)
        else:
            self.check(options)
