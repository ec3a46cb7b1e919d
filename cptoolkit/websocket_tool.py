"""The WebSocket layer as a config tool: the page handler talks with the client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from cptoolkit.context import current
from cptoolkit.hooks import Hook
from cptoolkit.layer_tool import LayerTool

if TYPE_CHECKING:
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response
    from cptoolkit.middleware.websocket import WebSocket
    from cptoolkit.plan import Plan


class WebSocketTool(LayerTool):
    """Call the page handler as :class:`~cptoolkit.middleware.websocket.WebSocket` does.

    The WebSocket, ``request.websocket``, is opened when all hooks up to the handler's turn are
    through, so that a login among them can refuse it. What the handler returns is not sent.
    """

    def __init__(self) -> None:
        super().__init__("before_handler", "WebSocket")

    def act(self, *args: Any, **options: Any) -> NoReturn:
        """Not for WebSockets, which are opened around a page handler.

        :raises TypeError: always.
        """
        raise TypeError("the websocket tool goes around a page handler: turn it on for that")

    def compile_hooks(self, plan: Plan, options: dict[str, Any]) -> None:
        """Attach what opens the WebSocket around the page handler.

        :raises ValueError: if there is no such option, or the layer refuses its value.
        """
        options = dict(options)
        priority = options.pop("priority", None)
        layer = cast("WebSocket", self.made(plan.app, options))

        def wrap() -> None:
            request, response = current.get()
            handler = request.handler
            if handler is not None:
                request.handler = lambda: _converse(layer, handler, request, response)

        assert self._point is not None
        plan.attach(
            self._point, Hook(wrap, priority=self._priority if priority is None else priority)
        )


def _converse(
    layer: WebSocket, handler: Callable[[], Any], request: Request, response: Response
) -> None:
    """Call a page handler with an open WebSocket.

    :raises webob.exc.HTTPException: if there can be none.
    :raises Exception: what the handler raises.
    """
    response.timeout = 0  # a conversation takes what it takes
    with layer.opened(request) as connection:
        vars(request)["websocket"] = connection
        result = handler()
        if isinstance(result, GeneratorType):
            deque(result, 0)  # else it would not even begin
    response.status = 101
