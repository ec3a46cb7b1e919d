"""Hooks: functions that run at named points of each request (reference, 7.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, SupportsIndex, get_args

from cptoolkit.configuration import generation
from cptoolkit.middleware.nearest import did_you_mean

HookPoint = Literal[
    "on_start_resource",
    "before_request_body",
    "before_handler",
    "before_finalize",
    "on_end_resource",
    "on_end_request",
    "before_error_response",
    "after_error_response",
]
"""The name of a point, for type checkers."""

HOOKPOINTS: tuple[HookPoint, ...] = get_args(HookPoint)
"""The points, in the order in which a request meets them; the last two only after an error."""

DEFAULT_PRIORITY = 50


class Hook:
    """A function, when it runs among the others of its point, and with what.

    :param callback: the function. Its attributes ``priority`` and ``failsafe`` are defaults.
    :param failsafe: whether it runs although another hook of the point has failed before it.
    :param priority: 0 to 100; lower runs earlier, and equals in the order they came.
    :param kwargs: what the function is called with.
    """

    __slots__ = ("call", "callback", "failsafe", "kwargs", "priority")

    def __init__(
        self,
        callback: Callable[..., Any],
        failsafe: bool | None = None,
        priority: float | None = None,
        **kwargs: Any,
    ) -> None:
        if not callable(callback):
            raise TypeError(f"a hook must be callable, got {callback!r}")
        self.callback = callback
        self.failsafe: bool = getattr(callback, "failsafe", False) if failsafe is None else failsafe
        self.priority: float = (
            getattr(callback, "priority", DEFAULT_PRIORITY) if priority is None else priority
        )
        self.kwargs = kwargs
        self.call: Callable[[], Any] = partial(callback, **kwargs) if kwargs else callback
        """The function with its arguments bound."""

    def __call__(self) -> Any:
        """Run the function."""
        return self.call()

    def __lt__(self, other: Hook) -> bool:
        return self.priority < other.priority

    def __repr__(self) -> str:
        name = getattr(self.callback, "__qualname__", repr(self.callback))
        options = "".join(f", {key}={value!r}" for key, value in self.kwargs.items())
        return f"Hook({name}, failsafe={self.failsafe}, priority={self.priority:g}{options})"


class HookMap(dict[str, list[Hook]]):
    """Hooks by hook point."""

    def __init__(self, points: Iterable[str] = HOOKPOINTS) -> None:
        super().__init__((point, []) for point in points)

    def attach(
        self,
        point: HookPoint,
        callback: Callable[..., Any],
        failsafe: bool | None = None,
        priority: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Add a hook.

        :raises ValueError: if there is no such hook point.
        """
        self.at(point).append(Hook(callback, failsafe, priority, **kwargs))

    def at(self, point: HookPoint) -> list[Hook]:
        """The hooks of one point.

        :raises ValueError: if there is no such hook point; names the nearest one.
        """
        try:
            return self[point]
        except KeyError:
            raise ValueError(unknown_point(point, self)) from None

    def ordered(self, point: HookPoint) -> list[Hook]:
        """The hooks of one point in the order in which they run."""
        return sorted(self[point])

    def run(self, point: HookPoint) -> None:
        """Run the hooks of one point."""
        run(sorted(self.at(point)))

    def copy(self) -> HookMap:
        """Another map with the same hooks."""
        twin = HookMap(())
        for point, hooks in self.items():
            twin[point] = list(hooks)
        return twin


class _ObservedHooks(list[Hook]):
    """Hooks of one point, whose every change makes the plans of all resources anew."""

    def append(self, hook: Hook) -> None:
        super().append(hook)
        generation.bump()

    def insert(self, index: SupportsIndex, hook: Hook) -> None:
        super().insert(index, hook)
        generation.bump()

    def extend(self, hooks: Iterable[Hook]) -> None:
        super().extend(hooks)
        generation.bump()

    def remove(self, hook: Hook) -> None:
        super().remove(hook)
        generation.bump()

    def clear(self) -> None:
        super().clear()
        generation.bump()


common_hooks = HookMap()
"""The hooks of every request: those that are attached to ``cptoolkit.request.hooks`` while none is
being served, by a plugin that starts for instance."""
common_hooks.update((point, _ObservedHooks()) for point in HOOKPOINTS)


def run(hooks: Iterable[Hook]) -> None:
    """Run hooks in turn. After a failure only the failsafe ones still run, then it goes on."""
    remaining = iter(hooks)
    try:
        for hook in remaining:
            hook.call()
    except Exception:
        _run_failsafe(remaining)
        raise


def _run_failsafe(hooks: Iterable[Hook]) -> None:
    from cptoolkit.context import serving

    for hook in hooks:
        if hook.failsafe:
            try:
                hook.call()
            except Exception:
                # The first failure is the one to answer with; the others must not be lost.
                app = serving.request.app
                if app is not None:
                    app.log(f"the failsafe hook {hook!r} failed too", "HOOKS", traceback=True)


def unknown_point(point: str, known: Iterable[str] = HOOKPOINTS) -> str:
    """What to say about a hook point that does not exist."""
    hint = did_you_mean(point, known) or f"; there are {', '.join(known)}"
    return f"there is no hook point {point!r}{hint}"
