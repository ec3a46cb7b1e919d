"""What the config of a resource comes to: compiled once, used by every request for it.

Per request nothing is merged, attached or sorted. A plan is thrown away when anything that it
was made from changes: :class:`Plans` sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cptoolkit.configuration import ObservedDict, generation
from cptoolkit.hooks import Hook, HookPoint, common_hooks, unknown_point
from cptoolkit.python_values import attributes
from cptoolkit.toolbox import Toolbox

if TYPE_CHECKING:
    from cptoolkit.application import Application
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response

MOST_PLANS = 2000
"""Plans kept per application; past that all are made anew, for configs that differ each time."""

NamespaceEntries = list[tuple[str, Any]]
Copies = list[tuple[Mapping[str, Any], dict[str, Any]]]
Made = dict[Any, "tuple[Plan, Copies]"]


class Plan:
    """The compiled config of one resource.

    :param app: the application that the resource belongs to.
    :param config: global, application and object config, merged.
    :raises ValueError: if an entry names a tool, hook point or option that does not exist.
    """

    def __init__(self, app: Application, config: Mapping[str, Any]) -> None:
        self.app = app
        self.config = config
        self.base: Plan | None = None
        """The plan that this one extends."""
        self.sources: Sequence[Mapping[str, Any]] = ()
        """What the config was merged from. Kept alive here, so that their ids stay theirs."""
        self.hooks = common_hooks.copy()
        """The hooks as they were attached, for requests that attach others."""
        self.toolmaps: dict[str, dict[str, dict[str, Any]]] = {}
        """The tools' settings: toolbox, tool, option."""
        self.request_attributes: dict[str, Any] = {}
        self.response_attributes: dict[str, Any] = {}
        self.response_headers: dict[str, str] = {}
        self.body_attributes: list[tuple[str, Any]] = []
        self.setups: list[Callable[[], None]] = []
        """Tools that are set up anew for each request."""
        self.namespaces: list[tuple[Any, NamespaceEntries]] = []
        """Namespaces of the user's own, whose handlers run for each request."""

        builtin: dict[str, Callable[[str, Any], None]] = {
            "request": self._request_entry,
            "response": self._response_entry,
            "hooks": self._hooks_entry,
            "error_page": self._error_page_entry,
        }
        for namespace, handler in app.request_class.namespaces.items():
            if isinstance(handler, Toolbox) and namespace not in app.toolboxes:
                app.toolboxes[namespace] = handler  # the older place for them

        custom: dict[str, NamespaceEntries] = {}
        for key, value in config.items():
            namespace, dot, name = key.partition(".")
            if not dot:
                continue
            if namespace in app.toolboxes:
                tool_name, _, option = name.partition(".")
                tools = self.toolmaps.setdefault(namespace, {})
                tools.setdefault(tool_name, {})[option] = value
            elif namespace in app.request_class.namespaces:
                custom.setdefault(namespace, []).append((name, value))
            elif namespace in builtin:
                builtin[namespace](name, value)
        for namespace, entries in custom.items():
            self.namespaces.append((app.request_class.namespaces[namespace], entries))
        for namespace, tools in self.toolmaps.items():
            for name, options in tools.items():
                toolbox = app.toolboxes[namespace]
                if options.get("on"):
                    own = {key: value for key, value in options.items() if key != "on"}
                    toolbox.find(name).compile(self, own)
                elif name in toolbox.tools():
                    toolbox.find(name).skip(self)

        self.on_start_resource = self.ordered("on_start_resource")
        self.before_request_body = self.ordered("before_request_body")
        self.before_handler = self.ordered("before_handler")
        self.before_finalize = self.ordered("before_finalize")
        self.on_end_resource = self.ordered("on_end_resource")
        self.on_end_request = self.ordered("on_end_request")
        self.before_error_response = self.ordered("before_error_response")
        self.after_error_response = self.ordered("after_error_response")
        self.plain = not (
            self.request_attributes
            or self.response_attributes
            or self.response_headers
            or self.setups
            or self.namespaces
        )
        """Whether requests need nothing from :meth:`apply`."""

    def attach(self, point: HookPoint, hook: Hook) -> None:
        """Add a hook: for tools, while the plan is made."""
        self.hooks.at(point).append(hook)

    def ordered(self, point: HookPoint) -> tuple[Hook, ...]:
        """The hooks of a point in the order in which they run."""
        return tuple(self.hooks.ordered(point))

    def _request_entry(self, name: str, value: Any) -> None:
        if name.startswith("body."):
            self.body_attributes.append((name[5:], value))
        else:
            self.request_attributes[name] = value

    def _response_entry(self, name: str, value: Any) -> None:
        if name.startswith("headers."):
            self.response_headers[name[8:]] = value
        else:
            self.response_attributes[name] = value

    def _hooks_entry(self, name: str, value: Any) -> None:
        # "hooks.before_handler.1" and the like tell several hooks of one point apart.
        point = name.partition(".")[0]
        if point not in self.hooks:
            raise ValueError(f"config entry 'hooks.{name}': {unknown_point(point)}")
        if isinstance(value, str):
            value = _imported(f"hooks.{name}", value)
        if not callable(value):
            raise ValueError(f"config entry 'hooks.{name}': a hook must be callable, got {value!r}")
        self.hooks[point].append(value if isinstance(value, Hook) else Hook(value))

    def _error_page_entry(self, name: str, value: Any) -> None:
        pages = self.request_attributes.setdefault("error_page", {})
        pages["default" if name == "default" else int(name)] = value

    def apply(self, request: Request, response: Response) -> None:
        """Give a request and its response what the config says of them."""
        for name, value in self.request_attributes.items():
            setattr(request, name, value)
        for name, value in self.response_attributes.items():
            setattr(response, name, value)
        for name, value in self.response_headers.items():
            response.headers[name] = value
        for handler, entries in self.namespaces:
            _call_namespace(handler, entries)
        for setup in self.setups:
            setup()


def _imported(entry: str, name: str) -> Any:
    """What a dotted name such as "package.module.function" stands for."""
    try:
        return attributes(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"config entry {entry!r}: {name!r} cannot be imported: {error}") from error


def _call_namespace(handler: Any, entries: Iterable[tuple[str, Any]]) -> None:
    if hasattr(handler, "__exit__"):
        with handler as call:
            for name, value in entries:
                call(name, value)
    else:
        for name, value in entries:
            handler(name, value)


class Plans:
    """The plans of an application's resources, each made when it is first needed."""

    def __init__(self, app: Application) -> None:
        self._app = app
        # One value, for threads: a plan goes back to the dict of the generation it was looked
        # up in, so that one made while the config changed is never found again.
        self._made: tuple[int, Made] = (-1, {})

    def merged(self, sources: Sequence[Mapping[str, Any]], section: str | None = None) -> Plan:
        """The plan for the global config and others over it, the later ones winning.

        :param sources: the config dicts found on the way to the resource.
        :param section: the value of ``tools.staticdir.section``, if any of them needs it.
        """
        made_in, plans = self._made
        if made_in != generation.value:
            plans = self._start_anew()
        key = (*map(id, sources), section) if sources else section
        found = plans.get(key)
        if found is not None:
            plan, copies = found
            for source, copy in copies:
                if source != copy:
                    break
            else:
                return plan
        config = dict(self._app.global_config)
        for source in sources:
            config.update(source)
        if section is not None:
            config["tools.staticdir.section"] = section
        # A dict of the user's may change unseen, so it is compared with what it was.
        plan = Plan(self._app, config)
        plan.sources = sources
        copies = [(own, dict(own)) for own in sources if not isinstance(own, ObservedDict)]
        return _keep(plans, key, plan, copies)

    def of_config(self, config: Mapping[str, Any]) -> Plan:
        """The plan for a config that a dispatcher has put together itself."""
        plans = self._current()
        # Text may be put together for each request, other values are told apart by identity.
        values = (value if type(value) is str else id(value) for value in config.values())
        key = (tuple(config), *values)
        found = plans.get(key)
        if found is not None:
            return found[0]
        return _keep(plans, key, Plan(self._app, dict(config)), [])

    def extended(self, plan: Plan, config: Mapping[str, Any]) -> Plan:
        """The plan for what a plan was made of, and one more config over it."""
        key = (id(plan), id(config), "extended")
        plans = self._current()
        found = plans.get(key)
        if found is not None and found[0].base is plan and found[1][0][1] == config:
            return found[0]
        extended = Plan(self._app, {**plan.config, **config})
        extended.base = plan
        return _keep(plans, key, extended, [(config, dict(config))])

    def _current(self) -> Made:
        made_in, plans = self._made
        return plans if made_in == generation.value else self._start_anew()

    def _start_anew(self) -> Made:
        plans: Made = {}
        self._made = (generation.value, plans)
        return plans


def _keep(plans: Made, key: Any, plan: Plan, copies: Copies) -> Plan:
    if len(plans) >= MOST_PLANS:
        plans.clear()
    plans[key] = (plan, copies)
    return plan
