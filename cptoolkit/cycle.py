"""The life of one request: dispatch, hooks, page handler, errors.

The order is that of the reference, 7.2.1::

    dispatch → on_start_resource → query string → before_request_body → body →
    before_handler → page handler → before_finalize → finalize → on_end_resource

HTTPError and HTTPRedirect leave for before_finalize with an answer of their own. After any
other exception: on_end_resource → before_error_response → error page → after_error_response.
on_end_request comes when the response has been sent and is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptoolkit import hooks
from cptoolkit.http.errors import HTTPError, HTTPRedirect, InternalRedirect
from cptoolkit.http.foreign_errors import adopted

if TYPE_CHECKING:
    from cptoolkit.hooks import HookPoint
    from cptoolkit.http.request import Request
    from cptoolkit.http.response import Response


def respond(request: Request, response: Response) -> None:
    """Make the response to a request, an error page if need be.

    :raises InternalRedirect: for the application to go on with another request.
    :raises Exception: an unexpected one, if ``request.throw_errors`` is set or if even the
        error page has failed.
    """
    try:
        _make_response(request, response)
    except InternalRedirect:
        raise
    except Exception:
        if request.throw_errors:
            raise
        _answer_error(request, response)
    if request.environ["REQUEST_METHOD"] == "HEAD":
        response.drop_body()


def run_hooks(request: Request, point: HookPoint) -> None:
    """Run the hooks of a point: those of the plan, or of the request if it has its own."""
    own = request._hooks
    if own is not None:
        hooks.run(own.ordered(point))
    elif request.plan is not None:
        hooks.run(getattr(request.plan, point))


def _make_response(request: Request, response: Response) -> None:
    app = request.app
    assert app is not None
    try:
        path = request.path_info
        app.dispatcher(path)(path)
        plan = request.plan
        if plan is None or request._config is not None:
            plan = request.plan = app.plans.of_config(request.config)
        if not plan.plain:
            plan.apply(request, response)

        if request._hooks is not None:
            run_hooks(request, "on_start_resource")
        elif plan.on_start_resource:
            hooks.run(plan.on_start_resource)
        if request.environ.get("QUERY_STRING"):
            request.process_query_string()
        if request.environ["REQUEST_METHOD"] not in request.methods_with_bodies:
            request.process_request_body = False
        if request._hooks is not None:
            run_hooks(request, "before_request_body")
        elif plan.before_request_body:
            hooks.run(plan.before_request_body)
        if request.process_request_body:
            request.body.process()
        if request._hooks is not None:
            run_hooks(request, "before_handler")
        elif plan.before_handler:
            hooks.run(plan.before_handler)
        if response.timed_out:
            response.raise_timeout()
        handler = request.handler
        if handler is not None:
            result = handler()
            response.body = result
            if type(result) is not str:  # text marks its charset itself
                response.mark_charset()
        if response.timed_out:
            response.raise_timeout()
        if request._hooks is not None:
            run_hooks(request, "before_finalize")
        elif plan.before_finalize:
            hooks.run(plan.before_finalize)
        response.finalize()
    except Exception as error:
        if not _answer_with(error, request, response):
            raise
        try:
            run_hooks(request, "before_finalize")
        except Exception as another:
            # A hook that refuses what it sees would refuse this too: it is not asked again.
            if not _answer_with(another, request, response):
                raise
        response.finalize()
    finally:
        plan = request.plan
        if request._hooks is not None:
            run_hooks(request, "on_end_resource")
        elif plan is not None and plan.on_end_resource:
            hooks.run(plan.on_end_resource)
        if response._header_list_read:
            response.make_header_list_native()


def _answer_with(error: Exception, request: Request, response: Response) -> bool:
    """Make the response that an exception stands for; False if it is an unexpected one."""
    answer = error if isinstance(error, (HTTPError, HTTPRedirect)) else adopted(error, request)
    if answer is None:
        return False
    response.drop_body()
    answer.set_response()
    return True


def _answer_error(request: Request, response: Response) -> None:
    if request.plan is None:
        app = request.app
        assert app is not None
        # Without config there is no tool that would log it.
        what = f"the config or the dispatcher of {request.path_info!r} has failed"
        app.log(what, "HTTP", traceback=True)
        # Nor has anything told the request what its error page may show.
        key = "request.show_tracebacks"
        shown = app.find_config(request.path_info, key, app.global_config.get(key))
        if shown is not None:
            request.show_tracebacks = shown
    response.drop_body()
    try:
        run_hooks(request, "before_error_response")
        (request.error_response or HTTPError(500).set_response)()
        run_hooks(request, "after_error_response")
        response.finalize()
    except HTTPRedirect as redirect:
        redirect.set_response()
        response.finalize()
