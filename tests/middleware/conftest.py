"""One layer, seven places: as a tool, and around applications of the frameworks people use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator

import pytest
from webob import Request, Response
from webtest import TestApp

import cptoolkit
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.layer import Layer

View = Callable[[Request], Response]
"""A page for all of them: a body that is no list is streamed."""

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


def bare(view: View) -> WSGIApp:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer = view(Request(environ))
        start_response(answer.status, answer.headerlist)
        return answer.app_iter

    return app


def flask(view: View) -> WSGIApp:
    from flask import Flask, request
    from flask import Response as FlaskResponse

    app = Flask("pages", static_folder=None)

    @app.route("/", defaults={"path": ""}, methods=METHODS, provide_automatic_options=False)
    @app.route("/<path:path>", methods=METHODS, provide_automatic_options=False)
    def page(path: str) -> FlaskResponse:
        answer = view(Request(request.environ))
        return FlaskResponse(answer.app_iter, answer.status, answer.headerlist)

    return app


def django(view: View) -> WSGIApp:
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import re_path

    def page(request: Any) -> Any:
        # One Django serves all tests of the process: it has only one configuration.
        answer = request.META["tests.view"](Request(request.environ))
        if isinstance(answer.app_iter, list):
            given = HttpResponse(b"".join(answer.app_iter), status=answer.status_int)
        else:
            given = StreamingHttpResponse(answer.app_iter, status=answer.status_int)
        given.reason_phrase = answer.status[4:]
        del given["Content-Type"]
        for name, value in answer.headerlist:
            if name.lower() == "set-cookie":
                given.cookies.load(value)
            else:
                given[name] = value
        return given

    if not settings.configured:
        urls = (re_path("", page),)
        settings.configure(
            ROOT_URLCONF=urls,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="-",
            MIDDLEWARE=[],
            LOGGING_CONFIG=None,
        )
        import django as package

        package.setup()
    handler = WSGIHandler()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["tests.view"] = view
        return handler(environ, start_response)

    return app


def falcon(view: View) -> WSGIApp:
    from falcon import App

    app = App()

    def page(request: Any, response: Any, **_: Any) -> None:
        answer = view(Request(request.env))
        response.status = answer.status
        for name, value in answer.headerlist:
            if name.lower() == "content-type":
                response.content_type = value
            else:
                response.append_header(name, value)
        if isinstance(answer.app_iter, list):
            response.data = b"".join(answer.app_iter)
        else:
            response.stream = answer.app_iter

    app.add_sink(page, "/")
    return app


def pyramid(view: View) -> WSGIApp:
    from pyramid.config import Configurator
    from pyramid.response import Response as PyramidResponse

    def page(request: Any) -> Any:
        answer = view(Request(request.environ))
        given = PyramidResponse(app_iter=answer.app_iter, status=answer.status)
        given.headerlist = answer.headerlist
        return given

    with Configurator() as config:
        config.add_route("all", "/*path")
        config.add_view(page, route_name="all")
    return config.make_wsgi_app()


def bottle(view: View) -> WSGIApp:
    from bottle import Bottle, HTTPResponse, request

    app = Bottle()

    @app.route("/", METHODS)
    @app.route("/<path:path>", METHODS)
    def page(path: str = "") -> Any:
        answer = view(Request(request.environ))
        whole = isinstance(answer.app_iter, list)
        given = HTTPResponse(b"".join(answer.app_iter) if whole else answer.app_iter, answer.status)
        for name, value in answer.headerlist:
            given.add_header(name, value)
        return given

    return app


FRAMEWORKS = {
    "wsgi": bare,
    "flask": flask,
    "django": django,
    "falcon": falcon,
    "pyramid": pyramid,
    "bottle": bottle,
}
"""Makers of applications, each with the one page for all paths."""


def object_tree(view: View, config: dict[str, Any]) -> cptoolkit.Application:
    class Root:
        @cptoolkit.expose
        def default(self, *args: str, **params: Any) -> Iterable[bytes]:
            response = cptoolkit.response
            answer = view(cptoolkit.serving.request)
            response.status = answer.status
            response.stream = not isinstance(answer.app_iter, list)
            response.headerlist = list(answer.headerlist)
            return answer.app_iter

        index = default

    entries = {"request.process_request_body": False, "tools.trailing_slash.on": False}
    return cptoolkit.Application(Root(), "", {"/": {**entries, **config}})


class Site:
    """An application with a layer, and two ways to ask it.

    :param app: is checked from outside to conform to PEP 3333.
    """

    def __init__(self, app: WSGIApp) -> None:
        self.app = validator(app)
        self.client = TestApp(app)
        """Keeps cookies and follows forms; shows bodies decoded, without Content-Encoding."""

    def fetch(
        self,
        path: str = "/",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        **environ: Any,
    ) -> Response:
        """The response as it was sent, read to its end and closed.

        :param environ: for keys with a dot write ``**{"wsgi.url_scheme": "https"}``.
        """
        request = Request.blank(path, environ, method=method, headers=headers or {}, body=body)
        # Request.blank() takes REMOTE_ADDR and the like from nowhere.
        request.environ.setdefault("REMOTE_ADDR", environ.get("REMOTE_ADDR", "127.0.0.1"))
        status, fields, app_iter = request.call_application(self.app)
        try:
            whole = b"".join(app_iter)
        finally:
            app_iter.close()
        return Response(status=status, headerlist=fields, app_iter=[whole])


def with_layer(
    where: str, view: View, layer: type[Layer], around: Callable[[WSGIApp], WSGIApp], **options: Any
) -> Site:
    if where != "tool":
        return Site(around(layer(validator(FRAMEWORKS[where](view)), **options)))
    tools = cptoolkit.tools.tools().items()
    names = [name for name, tool in tools if isinstance(tool, LayerTool) and tool.layer is layer]
    if not names:
        names = [layer.__name__.lower()]
        setattr(cptoolkit.tools, names[0], LayerTool("before_handler", layer))
    name = names[0]
    entries = {f"tools.{name}.{option}": value for option, value in options.items()}
    return Site(around(object_tree(view, {f"tools.{name}.on": True, **entries})))


def _as_it_is(app: WSGIApp) -> WSGIApp:
    return app


@pytest.fixture(params=["tool", *FRAMEWORKS])
def host(request: pytest.FixtureRequest) -> Callable[..., Site]:
    """A layer as config tool, or around the application of a framework, with a page in it.

    ``host(view, LayerClass, **options) -> Site``. ``around=`` takes what wraps the whole once
    more, for layers that need another outside of them.
    """
    if request.param not in ("tool", "wsgi"):
        pytest.importorskip(request.param, reason=f"needs {request.param}")

    def make(
        view: View,
        layer: type[Layer],
        around: Callable[[WSGIApp], WSGIApp] = _as_it_is,
        **options: Any,
    ) -> Site:
        return with_layer(request.param, view, layer, around, **options)

    make.name = request.param  # type: ignore[attr-defined]
    return make


@pytest.fixture
def alone() -> Callable[..., Site]:
    """As ``host``, but around a bare WSGI application only, for what is the same everywhere."""

    def make(
        view: View,
        layer: type[Layer],
        around: Callable[[WSGIApp], WSGIApp] = _as_it_is,
        **options: Any,
    ) -> Site:
        return with_layer("wsgi", view, layer, around, **options)

    return make
