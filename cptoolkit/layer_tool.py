"""A layer as a config tool: the same class, from the same options, on the hook timeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate

from cptoolkit.context import current
from cptoolkit.hooks import Hook, HookPoint
from cptoolkit.middleware import fields
from cptoolkit.middleware.layer import Layer
from cptoolkit.toolbox import P, Tool

if TYPE_CHECKING:
    import webob

    from cptoolkit.application import Application
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response
    from cptoolkit.plan import Plan


MOST_LAYERS = 100
"""Layers kept per tool and application; past that the oldest go, for options that never repeat."""


LayerClass = (
    Callable[Concatenate[Any, P], Layer] | Callable[[], Callable[Concatenate[Any, P], Layer]]
)
"""A layer's class, or what gives it; the former said by what the class is called with."""


class LayerTool(Tool[P]):
    """A layer at a place on the timeline of hooks (reference, 7.2.1).

    The layer is made once for each set of options that an application's config has for it, and
    lives as long as that application. Its ``before`` runs at the hook point and priority of the
    tool, ``after`` at before_finalize, ``finish`` at on_end_request: so a hook of the user's that
    comes earlier on the timeline, an authentication say, comes before the layer too.

    To type checkers its options are those of the layer's constructor.

    :param layer: the class, or a function that gives it once it is needed.
    :param after_priority: the priority at before_finalize, if not that of ``before``.
    :param positional: the names of the options that :meth:`act` takes by their place; without
        any those of the layer in their order.
    :param on_errors: whether ``after`` also gets the page that answers an unexpected exception.
    :raises TypeError: if the layer is neither.
    """

    def __init__(
        self,
        point: HookPoint,
        layer: LayerClass[P],
        name: str | None = None,
        priority: float = 50,
        after_priority: float | None = None,
        on_errors: bool = False,
        positional: Sequence[str] = (),
    ) -> None:
        self._layer: Any = layer
        if isinstance(layer, type) or not callable(layer):
            _check_class(layer)
        super().__init__(point, self.act, name, priority)
        self.positional = positional
        self.after_priority = after_priority
        self.on_errors = on_errors

    @property
    def layer(self) -> type[Layer]:
        """The class of the layer.

        :raises TypeError: if the function that is to give one gives something else.
        """
        if not isinstance(self._layer, type):
            layer_class = self._layer()
            _check_class(layer_class)
            # Nothing that config is made of changes.
            object.__setattr__(self, "_layer", layer_class)
        layer: type[Layer] = self._layer
        return layer

    def act(self, *args: Any, **options: Any) -> bool:
        """Do to the current request and response what the layer does: for handlers and hooks that
        call ``tools.<name>.callable(...)``.

        :returns: whether the layer has answered the request.
        :raises webob.exc.HTTPException: if the layer refuses the request.
        :raises ValueError: if there is no such option, or the layer refuses its value.
        """
        request, response = current.get()
        assert request.app is not None
        names = self.positional or self.layer.option_names()
        layer = self.made(request.app, {**dict(zip(names, args, strict=False)), **options})
        answer = layer.before(request)
        if answer is not None:
            answer_with(answer)
            return True
        if type(layer).after is not Layer.after:
            if layer.whole_bodies:
                response.gather_body()
            answer = layer.after(request, response)
            if answer is not None and answer is not response:
                take(answer)
        return False

    def options(self) -> Mapping[str, Any]:
        """The layer's options and their defaults."""
        defaults = {}
        for option in dataclasses.fields(self.layer):
            if option.name in self.layer.option_names():
                made = option.default_factory
                defaults[option.name] = option.default if made is dataclasses.MISSING else made()
        return defaults

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        """Attach the methods of the layer.

        :raises ValueError: if there is no such option, or the layer refuses its value.
        """
        options = dict(options)
        priority = options.pop("priority", None)
        before_priority = self._priority if priority is None else priority
        after_priority = self.after_priority
        if after_priority is None:
            after_priority = before_priority
        layer = self.made(plan.app, options)
        kind = type(layer)

        def before() -> None:
            answer = layer.before(current.get()[0])
            if answer is not None:
                answer_with(answer)
                request = current.get()[0]
                request.handler = None
                request.process_request_body = False

        def after() -> None:
            request, response = current.get()
            if layer.whole_bodies:
                response.gather_body()
            answer = layer.after(request, response)
            if answer is not None and answer is not response:
                take(answer)

        def finish() -> None:
            layer.finish(*current.get())

        assert self._point is not None
        if kind.before is not Layer.before:
            plan.attach(self._point, Hook(before, priority=before_priority))
        if kind.after is not Layer.after:
            plan.attach("before_finalize", Hook(after, priority=after_priority))
            if self.on_errors:
                plan.attach("after_error_response", Hook(after, priority=after_priority))
        if kind.finish is not Layer.finish:
            plan.attach("on_end_request", Hook(finish, failsafe=True, priority=after_priority))

    def made(self, app: Application, options: dict[str, Any]) -> Layer:
        """The layer with these options, as the application has it already or gets it now.

        :raises ValueError: if there is no such option, or the layer refuses its value.
        """
        layers = app.layers.setdefault(self, [])
        for known, layer in layers:
            if known == options:
                return layer
        self.check(options)
        try:
            layer = self.layer(**options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.namespace}.{self._name} cannot be used: {error}") from error
        layers.append((options, layer))
        del layers[:-MOST_LAYERS]
        return layer


class HandlerLayerTool(LayerTool[P]):
    """A layer that goes around the page handler, and not around hooks.

    A subclass says in :meth:`call` how the handler is called.
    """

    def call(
        self, layer: Any, handler: Callable[[], Any], request: Request, response: Response
    ) -> Any:
        """Call the page handler in the layer's way, and return what it is to be taken to return."""
        raise NotImplementedError

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        """Attach what puts the layer around the page handler.

        :raises ValueError: if there is no such option, or the layer refuses its value.
        """
        options = dict(options)
        priority = options.pop("priority", None)
        layer = self.made(plan.app, options)

        def wrap() -> None:
            request, response = current.get()
            handler = request.handler
            if handler is not None:
                request.handler = lambda: self.call(layer, handler, request, response)

        assert self._point is not None
        plan.attach(
            self._point, Hook(wrap, priority=self._priority if priority is None else priority)
        )


def _check_class(layer: object) -> None:
    if not (isinstance(layer, type) and issubclass(layer, Layer)):
        raise TypeError(
            "a LayerTool must be made of a class derived from Layer, or of a function without "
            f"parameters that gives one, got {layer!r}"
        )


def answer_with(answer: webob.Response) -> None:
    """Make the current response say what an answer says in place of the page handler.

    Header fields that hooks have set before are kept, where the answer has none of that name.
    """
    response = current.get()[1]
    response.drop_body()
    earlier = [item for item in response.headerlist if item[0].lower() != "content-type"]
    take(answer)
    if earlier:
        names = frozenset(name.lower() for name, _ in earlier)
        fields.put_defaults(response.headerlist, earlier, names)


def take(answer: webob.Response) -> None:
    """Make the current response say what another one says."""
    current.get()[1].take(answer.status, answer.headerlist, answer.app_iter)
