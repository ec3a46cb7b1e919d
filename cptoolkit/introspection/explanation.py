"""What becomes of one request: application, dispatcher, page handler, config and hooks.

The dispatcher of the application runs, and with it what the tree has of ``_cp_dispatch`` and
properties. Hooks, tools and the page handler do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cptoolkit.application import Application
from cptoolkit.context import current
from cptoolkit.dispatch import nothing_here
from cptoolkit.dispatch_steps import Step, Walk, listening
from cptoolkit.handler_search import bare
from cptoolkit.handlers import PageHandler, refuse_mismatch
from cptoolkit.http.errors import HTTPError, HTTPRedirect
from cptoolkit.introspection.config_table import ConfigTable, Owner
from cptoolkit.introspection.facts import AskedFor, Explanation, Handler, Middleware, Served
from cptoolkit.introspection.naming import object_name, parameters, place_of, shown_entry
from cptoolkit.introspection.timeline import (
    set_up_per_request,
    timeline,
    tools_on,
)
from cptoolkit.introspection.trail import told_steps, why_not
from cptoolkit.introspection.tree_walk import UNCALLABLE
from cptoolkit.introspection.url_map import url_map
from cptoolkit.mounts import Tree
from cptoolkit.static_tool import StaticTool
from cptoolkit.toolbox import HandlerTool

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from cptoolkit.http.request import Request


def explain(site: Tree | Application, environ: WSGIEnvironment) -> Explanation:
    """Tell what a site, or one application, would do with a request.

    :param environ: of the request (PEP 3333); it is left as it is.
    """
    environ = dict(environ)
    app: Any = site
    if isinstance(site, Tree):
        app, environ = site.resolve(environ)
    told = _blank(environ)
    if app is None:
        mounts = sorted(mount or "/" for mount in site.apps)  # type: ignore[union-attr]
        told["status"] = 404
        told["reason"] = "no application is mounted at or above this path"
        told["nearest"] = get_close_matches(told["request"]["path"], mounts, cutoff=0) or mounts
        return told
    mount = environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace")
    if not isinstance(app, Application):
        told["application"] = Served(mount=mount, kind="WSGI", root=object_name(app))
        told["reason"] = "what a grafted WSGI application does with it cannot be told"
        return told
    root = "" if app.root is None else object_name(app.root)
    told["application"] = Served(mount=mount, kind="Application", root=root)
    told["pipeline"] = [
        Middleware(
            name=name,
            made_by=place_of(factory),
            options={
                key: shown_entry(key, value)
                for key, value in app.wsgiapp.config.get(name, {}).items()
            },
        )
        for name, factory in app.wsgiapp.pipeline
    ]
    _explain_within(app, environ, told)
    return told


def _blank(environ: WSGIEnvironment) -> Explanation:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return Explanation(
        request=AskedFor(
            method=environ["REQUEST_METHOD"],
            host=environ.get("HTTP_HOST", ""),
            path=path.encode("latin-1").decode("utf-8", "replace"),
            query=environ.get("QUERY_STRING", ""),
        ),
        application=None,
        pipeline=[],
        dispatcher=None,
        steps=[],
        handler=None,
        status=None,
        reason="",
        nearest=[],
        config=[],
        hooks=[],
        notes=[],
    )


@dataclass
class _Dispatched:
    """What a dispatcher has made of a request."""

    request: Request
    steps: list[Step] = field(default_factory=list)
    error: Exception | None = None
    mismatch: HTTPError | None = None

    @property
    def walk(self) -> Walk | None:
        return next((step for step in self.steps if isinstance(step, Walk)), None)


def _explain_within(app: Application, environ: WSGIEnvironment, told: Explanation) -> None:
    dispatched = _dispatch(app, environ)
    request = dispatched.request
    told["dispatcher"] = place_of(app.dispatcher(request.path_info))
    told["steps"] = told_steps(dispatched.steps)
    if not told["steps"] and dispatched.error is None:
        told["notes"].append("this dispatcher does not tell of its steps")
    handler = request.handler
    if isinstance(handler, PageHandler):
        told["handler"] = Handler(
            runs=place_of(handler.callable),
            parameters=parameters(handler.callable),
            arguments=list(map(str, handler.args)),
        )
    told["status"], told["reason"] = _outcome(dispatched)
    _add_config(app, dispatched, told)
    if told["status"] == 404 and handler is nothing_here:
        told["nearest"] = _nearest(app, request)
        answering = _that_may_answer(app, dispatched)
        if answering:
            told["notes"].append(f"unless one of these answers first: {', '.join(answering)}")


def _dispatch(app: Application, environ: WSGIEnvironment) -> _Dispatched:
    """Have the dispatcher of an application find the page handler."""
    request = app.request_class(environ)
    request.app = app
    dispatched = _Dispatched(request)
    token = current.set((request, app.response_class()))
    try:
        with listening(request) as dispatched.steps:
            app.dispatcher(request.path_info)(request.path_info)
        handler = request.handler
        if isinstance(handler, PageHandler):
            dispatched.mismatch = _mismatch(request, handler)
    except Exception as error:  # anything that the tree, which is the user's, can raise
        dispatched.error = error
    finally:
        current.reset(token)
    return dispatched


def _mismatch(request: Request, handler: PageHandler) -> HTTPError | None:
    """What a handler that cannot be called with the path and the query string answers."""
    if request.method in request.methods_with_bodies:
        return None  # what the body has is not known
    try:
        request.process_query_string()
        params = {**request.params, **handler.kwargs}
        refuse_mismatch(TypeError(), handler.callable, handler.args, params)
    except HTTPError as error:
        return error
    return None


def _outcome(dispatched: _Dispatched) -> tuple[int | None, str]:
    """The status that is answered without the page handler, and why."""
    error, handler = dispatched.error, dispatched.request.handler
    if isinstance(error, HTTPRedirect):
        return error.code, f"the dispatcher redirects to {', '.join(error.urls)}"
    if isinstance(error, HTTPError):
        return error.code, f"the dispatcher answers so: {error.message}"
    if error is not None and dispatched.walk is not None and not dispatched.walk.failed:
        return 500, f"the config of this path cannot be used: {error}"
    if error is not None:
        return 500, f"the dispatcher fails: {type(error).__name__}: {error}"
    if isinstance(handler, HTTPError):
        verbs = dict(handler.headers or []).get("Allow", "")
        return handler.code, f"the resource does not take this method; it takes {verbs}"
    if handler is nothing_here:
        return 404, why_not(dispatched.steps)
    runs: Any = handler.callable if isinstance(handler, PageHandler) else handler
    if runs is not None and not callable(runs):
        return 500, f"the page handler fails: {UNCALLABLE}"
    if dispatched.mismatch is not None:
        return dispatched.mismatch.code, dispatched.mismatch.message
    return None, ""


def _add_config(app: Application, dispatched: _Dispatched, told: Explanation) -> None:
    request, walk = dispatched.request, dispatched.walk
    table = ConfigTable(app, _owners(app, dispatched))
    plan = request.plan
    if plan is None and request._config is None:
        if walk is not None:  # the config cannot be used, but it can be looked at
            config = dict(app.global_config)
            for source in walk.sources:
                config.update(source)
            told["config"] = table.entries(config, walk.sources)
        return
    sources = _sources(dispatched)
    if request._config is not None:
        told["config"] = table.entries(request._config, sources)
        try:
            plan = app.plans.of_config(request._config)
        except ValueError as error:
            told["status"], told["reason"] = 500, str(error)
            return
    assert plan is not None
    if request._config is None:
        told["config"] = table.entries(plan.config, sources)
    told["hooks"] = timeline(plan)
    for tool in set_up_per_request(plan):
        told["notes"].append(f"{tool} is set up for each request, and may attach other hooks")


def _sources(dispatched: _Dispatched) -> list[Mapping[str, Any]]:
    """The config dicts that a plan was made of, the later ones winning."""
    plan, handler = dispatched.request.plan, dispatched.request.handler
    if plan is None:
        return []
    if plan.base is not None and isinstance(handler, PageHandler):
        # What MethodDispatcher adds: the config of GET, POST and so on.
        return [*plan.base.sources, getattr(bare(handler.callable), "_cp_config", {})]
    return list(plan.sources)


def _owners(app: Application, dispatched: _Dispatched) -> Iterable[Owner]:
    """The objects whose ``_cp_config`` may count, and their paths."""
    walk = dispatched.walk
    if walk is not None:
        total = len(walk.names)
        for thing, left, _ in walk.trail:
            if thing is not None:
                yield thing, "/" + "/".join(walk.names[: total - left])
        if walk.handler is not None:
            yield walk.handler, ""
    handler = dispatched.request.handler
    if isinstance(handler, PageHandler):
        yield handler.callable, ""
        yield getattr(handler.callable, "__self__", None), ""
    yield app.root, "/"


def _that_may_answer(app: Application, dispatched: _Dispatched) -> list[str]:
    plan = dispatched.request.plan
    names = [] if plan is None else tools_on(plan.config, app)
    return [
        name
        for name in names
        if isinstance(
            app.toolboxes[name.partition(".")[0]].tools().get(name.partition(".")[2]),
            (StaticTool, HandlerTool),
        )
    ]


def _nearest(app: Application, request: Request) -> list[str]:
    host = request.environ.get("HTTP_HOST", "").lower()
    routes = url_map(app).routes
    hosts = {route["host"] for route in routes}
    paths = {
        route["path"]
        for route in routes
        if route["kind"] not in ("same", "config", "dispatcher")
        and "{" not in route["path"]
        and route["host"] == (host if host in hosts else None)
    }
    near = get_close_matches(request.path_info, sorted(paths), n=3, cutoff=0.5)
    return [request.script_name + path for path in near]
