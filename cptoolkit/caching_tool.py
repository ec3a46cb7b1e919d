"""The cache as a tool: what an object tree knows of a request, and a foreign server does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from cptoolkit import middleware
from cptoolkit.context import current
from cptoolkit.hooks import Hook
from cptoolkit.layer_tool import LayerClass, LayerTool, take
from cptoolkit.middleware import fields
from cptoolkit.toolbox import P

if TYPE_CHECKING:
    from cptoolkit.application import Application
    from cptoolkit.middleware.caching.cache import Cache
    from cptoolkit.plan import Plan

PRIORITY = 90
"""At before_handler: after hooks that may refuse the request, an authentication say."""

AFTER_PRIORITY = 100
"""At before_finalize: after tools that change the answer, so that it is kept as it is sent."""


class CachingTool(LayerTool[P]):
    """``tools.caching``: the cache, between the hooks before the page handler and the handler.

    Each application has a cache of its own for each set of options. A request that another tool
    has answered already, with a file or a login form, is none of its business. As in CherryPy,
    ``request.cached`` and ``request.cacheable`` tell what has been found.
    """

    def __init__(self, layer: LayerClass[P] = lambda: middleware.Cache) -> None:  # type: ignore[assignment]
        super().__init__("before_handler", layer, None, PRIORITY, AFTER_PRIORITY)
        self.caches: WeakSet[Cache] = WeakSet()
        """The caches of all applications."""

    def made(self, app: Application, options: dict[str, Any]) -> Cache:
        cache = cast("Cache", super().made(app, options))
        self.caches.add(cache)
        return cache

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        options = dict(options)
        priority = options.pop("priority", None)
        cache = self.made(plan.app, options)

        def before() -> None:
            request, response = current.get()
            if request.handler is None:
                return
            answer = cache.before(request)
            request.cached = answer is not None
            request.cacheable = cache.awaits(request)
            if answer is not None:
                if not response.stream:
                    # It is added when the response is finalized, faster than it is checked.
                    fields.remove(answer.headerlist, "content-length")
                take(answer)
                request.handler = None

        def after() -> None:
            request, response = current.get()
            if cache.awaits(request):
                length = fields.get(response.headerlist, "content-length")
                if not response.stream and length is None and type(response.app_iter) is not list:
                    response.collapse_body()  # a generator may set header fields to the end
            answer = cache.after(request, response)
            if answer is not None:
                take(answer)

        def give_up() -> None:
            cache.give_up(current.get()[0])

        plan.attach(
            "before_handler", Hook(before, priority=PRIORITY if priority is None else priority)
        )
        plan.attach("before_finalize", Hook(after, priority=AFTER_PRIORITY))
        plan.attach("on_end_resource", Hook(give_up, failsafe=True))
