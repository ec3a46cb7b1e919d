"""An Application inside other frameworks, and other frameworks on the tree."""

from __future__ import annotations

import asyncio

import pytest
from webob import Request
from webtest import TestApp
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import cptoolkit

CONFIG = {"/": {"tools.sessions.on": True}, "/drops": {"response.stream": True}}


class Root:
    @cptoolkit.expose
    def index(self):
        return f"{cptoolkit.request.script_name} {cptoolkit.url('/page')}"

    @cptoolkit.expose
    def count(self):
        cptoolkit.session["n"] = cptoolkit.session.get("n", 0) + 1
        return str(cptoolkit.session["n"])

    @cptoolkit.expose
    def drops(self):
        for letter in "abc":
            drawn.append(letter)
            yield letter

    @cptoolkit.expose
    def move(self):
        raise cptoolkit.HTTPRedirect(cptoolkit.url("/count"))


drawn: list[str] = []


def client_of(app):
    return TestApp(app, {"HTTP_HOST": "localhost"})


@pytest.fixture
def application():
    """An application that finds out where it is mounted."""
    drawn.clear()
    return cptoolkit.Application(Root(), script_name=None, config=CONFIG)


def django_of(request, *patterns):
    """Django with a configuration of its own, for the time of a test."""
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.utils.functional import empty

    before = settings._wrapped
    request.addfinalizer(lambda: setattr(settings, "_wrapped", before))
    settings._wrapped = empty
    settings.configure(
        ROOT_URLCONF=patterns,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="-",
        MIDDLEWARE=[],
        LOGGING_CONFIG=None,
    )
    django.setup()
    return WSGIHandler()


def in_flask(application, request):
    import flask

    app = flask.Flask("outer")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": application})
    return app


def in_django(application, request):
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import re_path

    def view(request):
        environ = dict(request.environ)
        within = Request(environ)
        within.path_info_pop()
        answer = within.get_response(application)
        kind = HttpResponse if answer.content_length is not None else StreamingHttpResponse
        reply = kind(answer.app_iter, status=answer.status_code)
        for name, value in answer.headerlist:
            if name.lower() == "set-cookie":
                reply.cookies.load(value)
            else:
                reply[name] = value
        return reply

    return django_of(request, re_path("^inner/", view))


def in_pyramid(application, request):
    from pyramid.config import Configurator
    from pyramid.wsgi import wsgiapp2

    with Configurator() as config:
        config.add_route("inner", "/inner*subpath")
        config.add_view(wsgiapp2(application), route_name="inner")
        return config.make_wsgi_app()


@pytest.fixture(params=[in_flask, in_django, in_pyramid], ids=["Flask", "Django", "Pyramid"])
def client(request, application):
    return client_of(request.param(application, request))


def test_application_knows_its_place(client):
    assert client.get("/inner/").text == "/inner http://localhost/inner/page"


def test_session_follows_the_client(client):
    assert [client.get("/inner/count").text for _ in range(3)] == ["1", "2", "3"]


def test_redirect_stays_within(client):
    moved = client.get("/inner/move", status=302)
    assert moved.location == "http://localhost/inner/count"


def test_what_is_not_there_is_answered_by_the_application(client):
    assert "was not found" in client.get("/inner/nowhere", status=404).text


def test_stream_stays_a_stream(client):
    body = iter(Request.blank("/inner/drops").call_application(client.app)[2])
    assert b"".join([next(body)]) == b"a"
    assert drawn == ["a"]
    assert b"".join(body) == b"bc"


# -- ASGI ------------------------------------------------------------------------------------------


def ask(app, path, cookie=b""):
    """Send an ASGI application a GET request.

    :returns: status, headers as a dict, and the body.
    """
    sent = []
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
    scope |= {"scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1)}
    scope["headers"] = [(b"host", b"localhost"), (b"cookie", cookie)]

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), body.decode()


@pytest.fixture
def starlette(application):
    pytest.importorskip("starlette", reason="needs starlette")
    pytest.importorskip("a2wsgi", reason="needs a2wsgi")
    from a2wsgi import WSGIMiddleware
    from starlette.applications import Starlette
    from starlette.routing import Mount

    layer = WSGIMiddleware(application)
    yield Starlette(routes=[Mount("/inner", app=layer)])
    layer.executor.shutdown()


def test_application_in_starlette_knows_its_place(starlette):
    status, _, body = ask(starlette, "/inner/")
    assert (status, body) == (200, "/inner http://localhost/inner/page")


def test_session_in_starlette_follows_the_client(starlette):
    _, headers, first = ask(starlette, "/inner/count")
    cookie = headers[b"set-cookie"].partition(b";")[0]
    assert (first, ask(starlette, "/inner/count", cookie)[2]) == ("1", "2")


def test_stream_in_starlette_is_whole(starlette):
    assert ask(starlette, "/inner/drops")[2] == "abc"


# -- the other way round ---------------------------------------------------------------------------


def flask_app(request):
    import flask

    app = flask.Flask("inner")

    @app.get("/where")
    def where():
        return f"{flask.request.script_root} {flask.url_for('where', _external=True)}"

    @app.get("/drops")
    def drops():
        return flask.Response(Root().drops())

    return app


def django_app(request):
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    def where(request):
        place = request.build_absolute_uri(request.path)
        return HttpResponse(f"{request.META['SCRIPT_NAME']} {place}")

    def drops(request):
        return StreamingHttpResponse(Root().drops())

    return django_of(request, path("where", where), path("drops", drops))


@pytest.fixture(params=[flask_app, django_app], ids=["Flask", "Django"])
def tree(request, application):
    tree = cptoolkit.Tree()
    tree.mount(Root(), "/ours", CONFIG)
    tree.graft(request.param(request), "/theirs")
    return client_of(tree)


def test_grafted_framework_knows_its_place(tree):
    assert tree.get("/theirs/where").text == "/theirs http://localhost/theirs/where"


def test_grafted_framework_streams(tree):
    body = iter(Request.blank("/theirs/drops").call_application(tree.app)[2])
    assert next(body) == b"a"
    assert drawn == ["a"]
    assert b"".join(body) == b"bc"


def test_grafted_framework_answers_what_it_does_not_have(tree):
    assert tree.get("/theirs/nowhere", status=404)


def test_applications_beside_a_grafted_framework_stay(tree):
    assert tree.get("/ours/").text == "/ours http://localhost/ours/page"
