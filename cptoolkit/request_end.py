"""The end of a request, which comes with the end of its body."""

from __future__ import annotations

from collections.abc import Iterator

from cptoolkit.context import current
from cptoolkit.hooks import run as run_hooks
from cptoolkit.http.request import Request
from cptoolkit.http.response import Response
from cptoolkit.process.wspbus import bus as engine


def release(request: Request) -> None:
    """End a request: hooks of on_end_request, files of its body, the bus.

    What fails then is logged: the answer has been made, and nobody is left to be told.
    """
    if request.closed:
        return
    request.closed = True
    try:
        try:
            own = request._hooks
            if own is not None:
                run_hooks(own.ordered("on_end_request"))
            elif request.plan is not None:
                run_hooks(request.plan.on_end_request)
        finally:
            if "_body" in request.__dict__:
                request.body.close()
            if engine.listeners.get("after_request"):
                engine.publish("after_request")
    except Exception:
        assert request.app is not None
        what = f"the end of a request has failed, that of {request.path_info!r}"
        request.app.log(what, "HTTP", traceback=True)


class ServedBody:
    """The body on its way out, and what is to be done when it is closed (PEP 3333)."""

    __slots__ = ("_exchange", "_iterator")

    def __init__(self, request: Request, response: Response) -> None:
        self._exchange = (request, response)
        self._iterator = iter(response.app_iter)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        # The host may draw the body from anywhere; the handler's generator must not notice.
        token = current.set(self._exchange)
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except Exception:
            app = self._exchange[0].app
            if app is not None:
                app.log("the body failed after the response had begun", "HTTP", traceback=True)
            raise
        finally:
            current.reset(token)

    def close(self) -> None:
        """Close the body and end the request; does so once."""
        request, response = self._exchange
        if request.closed:
            return
        token = current.set(self._exchange)
        try:
            try:
                response.drop_body()
            finally:
                release(request)
        except Exception:
            assert request.app is not None
            request.app.log("the body could not be closed", "HTTP", traceback=True)
        finally:
            current.reset(token)
