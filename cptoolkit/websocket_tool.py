"""The WebSocket layer as a config tool: the page handler talks with the client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NoReturn

from cptoolkit.layer_tool import HandlerLayerTool, LayerClass
from cptoolkit.toolbox import P

if TYPE_CHECKING:
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response
    from cptoolkit.middleware.websocket import WebSocket


class WebSocketTool(HandlerLayerTool[P]):
    """Call the page handler as :class:`~cptoolkit.middleware.websocket.WebSocket` does.

    The WebSocket, ``request.websocket``, is opened when all hooks up to the handler's turn are
    through, so that a login among them can refuse it. What the handler returns is not sent.
    """

    def __init__(self, layer: LayerClass[P]) -> None:
        super().__init__("before_handler", layer)

    def act(self, *args: Any, **options: Any) -> NoReturn:
        """Not for WebSockets, which are opened around a page handler.

        :raises TypeError: always.
        """
        raise TypeError("the websocket tool goes around a page handler: turn it on for that")

    def call(
        self, layer: WebSocket, handler: Callable[[], Any], request: Request, response: Response
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
