"""The timeout layer as a config tool: the page handler gets so many seconds, and no more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, cast

from cptoolkit.context import current
from cptoolkit.hooks import Hook
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware import bodies

if TYPE_CHECKING:
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response
    from cptoolkit.middleware.timeout import Timeout
    from cptoolkit.plan import Plan

Outcome = tuple[Any, "Exception | None"]
"""What a page handler has returned, or raised."""


class TimeoutTool(LayerTool):
    """Call the page handler as :class:`~cptoolkit.middleware.timeout.Timeout` does.

    It runs in a thread of its own, on a response of its own that becomes the real one when it is
    there in time. A generator, where the body is not streamed, is run to its end within the time.
    Hooks run as ever, in the thread of the server: keep in mind what belongs to one thread.
    """

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        """Attach what puts the timeout around the page handler.

        :raises ValueError: if there is no such option, or the layer refuses its value.
        """
        options = dict(options)
        priority = options.pop("priority", None)
        layer = cast("Timeout", self.made(plan.app, options))

        def limit() -> None:
            request, response = current.get()
            handler = request.handler
            if handler is not None:
                request.handler = lambda: _call(layer, handler, request, response)

        assert self._point is not None
        plan.attach(
            self._point, Hook(limit, priority=self._priority if priority is None else priority)
        )


def _call(layer: Timeout, handler: Callable[[], Any], request: Request, response: Response) -> Any:
    """Call a page handler, if it comes back in time.

    :raises webob.exc.HTTPServiceUnavailable: if it does not.
    :raises Exception: what the handler raises.
    """
    environ = request.environ
    source = environ["wsgi.input"]
    # An abandoned handler may write to it at any time, also while the error page is made.
    twin = copy.copy(response)
    twin.headerlist = list(response.headerlist)
    twin._headers = None
    twin._cookie = copy.deepcopy(response._cookie)

    def work() -> Outcome:
        current.set((request, twin))
        try:
            result = handler()
            if isinstance(result, GeneratorType) and not twin.stream:
                result = list(result)
        except Exception as error:
            return None, error
        return result, None

    result, error = layer.run(work, environ, _discard)
    environ["wsgi.input"] = source
    vars(response).update(vars(twin))
    if error is not None:
        raise error
    return result


def _discard(late: Outcome) -> None:
    result, error = late
    if error is not None:
        raise error
    bodies.close(result)
