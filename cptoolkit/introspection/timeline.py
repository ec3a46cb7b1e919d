"""The hooks of a resource in the order in which they run, and which tool each is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from cptoolkit.hooks import HOOKPOINTS, Hook, common_hooks
from cptoolkit.introspection.naming import Place, place_of
from cptoolkit.layer_tool import LayerTool
from cptoolkit.plan import Plan
from cptoolkit.toolbox import HandlerTool, HandlerWrapperTool, Tool

if TYPE_CHECKING:
    from cptoolkit.application import Application


class TimelineHook(TypedDict):
    """A hook of one request."""

    point: str
    priority: float
    failsafe: bool
    origin: str
    """A tool, "tools.gzip"; a config entry, "hooks.before_handler"; or "cptoolkit.request.hooks",
    where the hooks of all requests are attached."""
    runs: Place


def timeline(plan: Plan) -> list[TimelineHook]:
    """The hooks of a plan in the order in which a request meets them."""
    owners = _owners(plan)
    return [
        TimelineHook(
            point=point,
            priority=hook.priority,
            failsafe=hook.failsafe,
            origin=owners.get(id(hook), ("hooks", None))[0],
            runs=_runs(hook, owners.get(id(hook), ("", None))[1]),
        )
        for point in HOOKPOINTS
        for hook in plan.hooks.ordered(point)
    ]


def set_up_per_request(plan: Plan) -> list[str]:
    """Tools that attach their hooks anew for each request, which no plan can tell of."""
    tools = [getattr(setup, "__self__", None) for setup in plan.setups]
    return [f"{tool.namespace}.{tool._name}" for tool in tools if isinstance(tool, Tool)]


def tools_on(config: Mapping[str, Any], app: Application) -> list[str]:
    """The tools that are on, such as "tools.gzip", in the order of the config."""
    return [
        key[:-3]
        for key, value in config.items()
        if key.endswith(".on") and value and key.partition(".")[0] in app.toolboxes
    ]


def _owners(plan: Plan) -> dict[int, tuple[str, Tool | None]]:
    """By id of a hook what has attached it: its name, and the tool if it is one.

    Hooks do not know. But a plan attaches first those of all requests, then those that config
    names, then those of each tool in turn: so plans with one tool each tell how many are whose.
    """
    app = plan.app
    switches = {f"{name}.on" for name in tools_on(plan.config, app)}
    without = {key: value for key, value in plan.config.items() if key not in switches}
    bare = Plan(app, without)
    entries = [key for key in plan.config if key.startswith("hooks.")]
    owners: dict[int, tuple[str, Tool | None]] = {}
    met = {}
    for point in HOOKPOINTS:
        hooks = plan.hooks[point]
        shared, named = len(common_hooks[point]), len(bare.hooks[point])
        keys = [key for key in entries if key.split(".")[1] == point]
        owners.update((id(hook), ("cptoolkit.request.hooks", None)) for hook in hooks[:shared])
        pairs = zip(hooks[shared:named], keys, strict=False)
        owners.update((id(hook), (key, None)) for hook, key in pairs)
        met[point] = named
    for namespace, tools in plan.toolmaps.items():
        for name, options in tools.items():
            if not options.get("on"):
                continue
            alone = Plan(app, {**without, f"{namespace}.{name}.on": True})
            tool = app.toolboxes[namespace].find(name)
            for point in HOOKPOINTS:
                count = len(alone.hooks[point]) - len(bare.hooks[point])
                own = plan.hooks[point][met[point] : met[point] + count]
                owners.update((id(hook), (f"{namespace}.{name}", tool)) for hook in own)
                met[point] += count
    return owners


def _runs(hook: Hook, tool: Tool | None) -> Place:
    made_here = "<locals>" in getattr(hook.callback, "__qualname__", "")
    if isinstance(tool, LayerTool) and made_here:
        place = place_of(tool.layer)
        return Place(**{**place, "name": f"{place['name']}.{hook.callback.__name__}"})
    if isinstance(tool, HandlerTool) and made_here:
        return place_of(tool.callable)
    if isinstance(tool, HandlerWrapperTool):
        return place_of(tool.newhandler)
    return place_of(hook.callback)
