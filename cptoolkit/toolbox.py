"""Tools: what a request can be given by config or decorator (reference, 7.2.2).

A tool is compiled once per resource into hooks (:meth:`Tool.compile`). Only a tool whose class
overrides ``_setup``, as the reference shows, is set up anew for each request.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from cptoolkit.configuration import generation
from cptoolkit.context import serving
from cptoolkit.hooks import DEFAULT_PRIORITY, HOOKPOINTS, Hook, HookPoint, unknown_point
from cptoolkit.middleware.nearest import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from cptoolkit.plan import Plan

    P = ParamSpec("P", default=...)
else:
    from typing import ParamSpec

    P = ParamSpec("P")  # which can have a default from Python 3.13 on

F = TypeVar("F", bound=Callable[..., Any] | type)

GENERAL_OPTIONS = frozenset({"debug", "on", "priority"})
"""Options that every tool has beside those of its own function."""


class Tool(Generic[P]):
    """A function that runs at a hook point, wherever config turns it on.

    To type checkers its options are the parameters of the function.

    :param point: the hook point; None for a tool that is no hook.
    :param callable: the function; its parameters are the tool's options.
    :param name: the name in config, given by the toolbox when None.
    :param priority: 0 to 100; lower runs earlier.
    :raises ValueError: if there is no such hook point.
    :raises TypeError: if the function cannot be called.
    """

    namespace = "tools"

    def __init__(
        self,
        point: HookPoint | None,
        callable: Callable[P, Any],
        name: str | None = None,
        priority: float = DEFAULT_PRIORITY,
    ) -> None:
        if point is not None and point not in HOOKPOINTS:
            raise ValueError(unknown_point(point))
        if not builtins.callable(callable):
            raise TypeError(f"a tool must be made of a callable, got {callable!r}")
        self._point: HookPoint | None = point
        self.callable: Callable[..., Any] = callable
        self._name = name
        self._priority = priority
        self.__doc__ = getattr(callable, "__doc__", None)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        generation.bump()

    @property
    def on(self) -> bool:
        """Not to be read: a tool is on or off for a resource, not by itself.

        :raises AttributeError: always, with the right way.
        """
        raise AttributeError(
            f"a tool has no attribute 'on': turn it on with the config entry "
            f"'{self.namespace}.{self._name}.on' or the decorator @{self.namespace}.{self._name}()"
        )

    @on.setter
    def on(self, value: bool) -> None:
        raise AttributeError(
            f"a tool cannot be turned on as a whole: use the config entry "
            f"'{self.namespace}.{self._name}.on' or the decorator @{self.namespace}.{self._name}()"
        )

    def options(self) -> Mapping[str, Any] | None:
        """The tool's options and their defaults, or None if it takes any."""
        return signature_options(self.callable)

    if TYPE_CHECKING:
        # Between *args: P.args and **options: P.kwargs nothing may stand (PEP 612), so that the
        # options of every tool come before. No value is of the type of what comes first.

        def __call__(
            self,
            nothing_by_its_place: NoReturn = ...,  # type: ignore[assignment]
            /,
            on: bool = True,
            priority: float | None = None,
            debug: bool = False,
            *args: P.args,
            **options: P.kwargs,
        ) -> Callable[[F], F]:
            """Turn the tool on for a page handler or a class, as a decorator.

            :raises TypeError: if given positional arguments, or options that the tool lacks, or
                used without parentheses.
            """
            return self._decorator(options)

    else:

        def __call__(self, *args: Any, **options: Any) -> Callable[[F], F]:
            """Turn the tool on for a page handler or a class, as a decorator.

            :raises TypeError: if given positional arguments, or options that the tool lacks, or
                used without parentheses.
            """
            if args:
                hint = "keyword arguments only"
                if len(args) == 1 and not options and callable(args[0]):
                    hint = f"parentheses: write @{self.namespace}.{self._name}()"
                raise TypeError(f"the decorator of the tool {self._name!r} takes {hint}")
            return self._decorator(options)

    def _decorator(self, options: Mapping[str, Any]) -> Callable[[F], F]:
        try:
            self.check(options)
        except ValueError as error:
            raise TypeError(str(error)) from None

        def decorate(target: F) -> F:
            config = dict(getattr(target, "_cp_config", {}))
            prefix = f"{self.namespace}.{self._name}."
            config[prefix + "on"] = True
            config.update((prefix + name, value) for name, value in options.items())
            target._cp_config = config  # type: ignore[union-attr]
            return target

        return decorate

    def compile(self, plan: Plan, options: dict[str, Any]) -> None:
        """Put what the tool does into the plan of a resource.

        :param options: the tool's settings for the resource, without "on".
        """
        if overridden(self, "_setup"):
            plan.setups.append(self._setup)
            return
        if "debug" in options and "debug" not in (self.options() or {}):
            options = dict(options)
            if options.pop("debug") and self._point is not None:
                plan.attach(self._point, Hook(self._tell, priority=0, options=options))
        self.compile_hooks(plan, options)

    def _tell(self, options: dict[str, Any]) -> None:
        """Say in the log that the tool is on: all that ``debug`` means to most."""
        app = serving.request.app
        if app is not None:
            app.log(f"on, with {options}", f"{self.namespace}.{self._name}".upper())

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        """Attach the tool's function to its hook point."""
        options = dict(options)
        priority = options.pop("priority", None)
        self.check(options)
        if self._point is not None:
            plan.attach(self._point, self.hook(options, priority))

    def skip(self, plan: Plan) -> None:
        """Put what it means that the tool is off into the plan of a resource."""

    def check(self, options: Mapping[str, Any]) -> None:
        """See that the tool has all these options.

        :raises ValueError: if it lacks one; names the nearest one.
        """
        if overridden(self, "_setup"):
            return  # It reads its options itself, whichever they are.
        known = self.options()
        for name in options:
            if known is not None and name not in known and name not in GENERAL_OPTIONS:
                raise ValueError(
                    f"config entry '{self.namespace}.{self._name}.{name}': the tool "
                    f"{self._name!r} has no option {name!r}{did_you_mean(name, known)}"
                )

    def hook(self, options: dict[str, Any], priority: float | None) -> Hook:
        """The tool's function as a hook."""
        if priority is None:
            priority = getattr(self.callable, "priority", self._priority)
        return Hook(self.callable, priority=priority, **options)

    def _merged_args(self, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The tool's settings in the current request, over the ones given."""
        merged = dict(options or {})
        merged.update(serving.request.toolmaps.get(self.namespace, {}).get(self._name or "", {}))
        merged.pop("on", None)
        return merged

    def _setup(self) -> None:
        """Attach the tool to the current request: what a subclass extends (reference, 7.2.2)."""
        options = self._merged_args()
        priority = options.pop("priority", None)
        if self._point is not None:
            serving.request.hooks[self._point].append(self.hook(options, priority))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace}.{self._name} at {self._point}>"


def overridden(tool: Tool, method: str) -> bool:
    """Whether a class from outside this package has its own version of a method."""
    for kind in type(tool).__mro__:
        if method in vars(kind):
            return not kind.__module__.startswith("cptoolkit.")
    return False


def signature_options(function: Callable[..., Any]) -> Mapping[str, Any] | None:
    """The parameters of a function and their defaults; None if it takes any, or will not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {
        p.name: p.default for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


class HandlerTool(Tool[P]):
    """A tool that may answer in place of the page handler.

    Its function returns True when it has, and the page handler is not called then.
    """

    def __init__(
        self,
        callable: Callable[P, Any],
        name: str | None = None,
        point: HookPoint = "before_handler",
    ) -> None:
        super().__init__(point, callable, name)

    def handler(self, *args: Any, **options: Any) -> Callable[..., Any]:
        """A page handler that is this tool.

        :raises cptoolkit.NotFound: when called, if the function does not answer.
        """

        def handle(*vpath: Any, **params: Any) -> Any:
            from cptoolkit.http.errors import NotFound

            if not self.callable(*args, **self._merged_args(options)):
                raise NotFound()
            return serving.response.body

        handle.exposed = True  # type: ignore[attr-defined]
        return handle

    def hook(self, options: dict[str, Any], priority: float | None) -> Hook:
        def answer(**options: Any) -> None:
            if self.callable(**options):
                serving.request.handler = None

        return Hook(answer, priority=self._priority if priority is None else priority, **options)


class HandlerWrapperTool(Tool):
    """A tool that is called in place of the page handler, and calls it.

    :param newhandler: called with the page handler and what that would have been called with.
    """

    def __init__(
        self,
        newhandler: Callable[..., Any],
        point: HookPoint = "before_handler",
        name: str | None = None,
        priority: float = DEFAULT_PRIORITY,
    ) -> None:
        super().__init__(point, self.wrap, name, priority)
        self.newhandler = newhandler

    def options(self) -> None:
        """Any: the new handler looks for them in ``request.config``, if it has some."""

    def wrap(self, *args: Any, **kwargs: Any) -> None:
        """Put the new handler in front of the page handler of the current request."""
        request = serving.request
        inner = request.handler

        def outer(*args: Any, **kwargs: Any) -> Any:
            return self.newhandler(inner, *args, **kwargs)

        request.handler = outer


class ErrorTool(Tool[P]):
    """A tool that makes the answer after an unexpected exception (``request.error_response``)."""

    def __init__(self, callable: Callable[P, Any], name: str | None = None) -> None:
        super().__init__(None, callable, name)

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        options = {name: value for name, value in options.items() if name != "priority"}
        plan.request_attributes["error_response"] = Hook(self.callable, **options).call


class _SetUpAlone:
    """Stands for what is no Tool, but attaches itself to each request by a ``_setup``."""

    def __init__(self, foreign: Any) -> None:
        self._setup = foreign._setup

    def compile(self, plan: Plan, options: dict[str, Any]) -> None:
        plan.setups.append(self._setup)


class Toolbox:
    """Tools by name, and the config namespace that turns them on.

    Type checkers know the tools that a subclass sets in its ``__init__``, no others.

    :param namespace: the first word of the config entries.
    """

    namespace: str

    def __init__(self, namespace: str) -> None:
        object.__setattr__(self, "namespace", namespace)

    def __setattr__(self, name: str, value: Any) -> None:
        """Add a tool under a name."""
        if isinstance(value, Tool):
            if value._name is None:
                value._name = name
            value.namespace = self.namespace
        object.__setattr__(self, name, value)
        generation.bump()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        generation.bump()

    def register(
        self, point: HookPoint, name: str | None = None, priority: float = DEFAULT_PRIORITY
    ) -> Callable[[F], F]:
        """Make a function a tool of this box, as a decorator.

        :param name: the name in config; without one the function's own.
        """

        def decorate(function: F) -> F:
            setattr(self, name or function.__name__, Tool(point, function, name, priority))
            return function

        return decorate

    def tools(self) -> dict[str, Tool]:
        """The tools of this box by name."""
        return {name: tool for name, tool in vars(self).items() if isinstance(tool, Tool)}

    def find(self, name: str) -> Tool:
        """A tool by the name that config knows it by.

        :raises ValueError: if there is none; names the nearest one.
        """
        tool: Any = vars(self).get(name)
        if not isinstance(tool, Tool) and hasattr(type(tool), "_setup"):
            tool = _SetUpAlone(tool)
        if tool is None or not hasattr(tool, "compile"):
            hint = did_you_mean(name, self.tools())
            raise ValueError(f"there is no tool {name!r} in the toolbox {self.namespace!r}{hint}")
        found: Tool = tool
        return found

    if not TYPE_CHECKING:  # type checkers would take any name at all for a tool

        def __getattr__(self, name: str) -> Tool:
            hint = did_you_mean(name, self.tools())
            raise AttributeError(f"the toolbox {self.namespace!r} has no tool {name!r}{hint}")
