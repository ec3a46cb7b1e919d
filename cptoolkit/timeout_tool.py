"""The timeout layer as a config tool: the page handler gets so many seconds, and no more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from cptoolkit.context import current
from cptoolkit.layer_tool import HandlerLayerTool
from cptoolkit.middleware import bodies
from cptoolkit.toolbox import P

if TYPE_CHECKING:
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response
    from cptoolkit.middleware.timeout import Timeout

Outcome = tuple[Any, "Exception | None"]
"""What a page handler has returned, or raised."""


class TimeoutTool(HandlerLayerTool[P]):
    """Call the page handler as :class:`~cptoolkit.middleware.timeout.Timeout` does.

    It runs in a thread of its own, on a response of its own that becomes the real one when it is
    there in time. A generator, where the body is not streamed, is run to its end within the time.
    Hooks run as ever, in the thread of the server: keep in mind what belongs to one thread.
    """

    def call(
        self, layer: Timeout, handler: Callable[[], Any], request: Request, response: Response
    ) -> Any:
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
