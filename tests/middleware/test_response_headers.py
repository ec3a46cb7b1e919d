"""ResponseHeaders: fields for every response, over which the application has the last word."""

import pytest
from webob import Response

import cptoolkit
from cptoolkit.middleware.response_headers import ResponseHeaders

HEADERS = [("X-Site", "ours"), ("Link", "</a>; rel=next"), ("Link", "</b>; rel=prev")]


def page(request):
    return Response("a page")


def test_fields_are_set(host):
    answer = host(page, ResponseHeaders, headers=HEADERS).fetch()
    assert answer.headers["X-Site"] == "ours"
    assert answer.headers.getall("Link") == ["</a>; rel=next", "</b>; rel=prev"]
    assert answer.body == b"a page"


def test_fields_of_the_application_win(host):
    def view(request):
        answer = Response("a page", content_type="text/css")
        answer.headers["x-site"] = "theirs"
        return answer

    headers = [*HEADERS, ("Content-Type", "text/plain")]
    answer = host(view, ResponseHeaders, headers=headers).fetch()
    assert answer.headers.getall("X-Site") == ["theirs"]
    assert answer.content_type == "text/css"
    assert len(answer.headers.getall("Link")) == 2


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answer_without_content_gets_no_type(alone, status):
    def view(request):
        return Response(status=status, headerlist=[])

    headers = [*HEADERS, ("Content-Type", "text/plain")]
    answer = alone(view, ResponseHeaders, headers=headers).fetch()
    assert "Content-Type" not in answer.headers
    assert answer.headers["X-Site"] == "ours"


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Site", "a\r\nSet-Cookie: b=1")],
        [("X-Site", "a\nb")],
        [("X-Site", "a\0b")],
        [("X-Site", "\u20ac")],
        [("X-Site", 5)],
        [("X Site", "a")],
        [("X-Site:", "a")],
        [("", "a")],
        [("X-Site\r\n", "a")],
        [("X-Site", "a", "b")],
        ["X-Site"],
        "X-Site",
        {"X-Site": "a"},
        5,
    ],
    ids=repr,
)
def test_what_could_not_be_sent_is_refused(headers):
    with pytest.raises((TypeError, ValueError), match="header"):
        ResponseHeaders(headers=headers)


# -- in an object tree ----------------------------------------------------------------------


class Root:
    _cp_config = {
        "tools.response_headers.on": True,
        "tools.response_headers.headers": [("Content-Type", "text/plain"), ("X-Site", "ours")],
    }

    @cptoolkit.expose
    def index(self):
        return "text"

    @cptoolkit.expose
    def seen(self):
        return cptoolkit.response.headers["X-Site"]

    @cptoolkit.expose
    def own(self):
        cptoolkit.response.headers["Content-Type"] = "text/css"
        cptoolkit.response.headers["X-Site"] = "theirs"
        return "css"

    @cptoolkit.expose
    def missing(self):
        raise cptoolkit.NotFound()

    @cptoolkit.expose
    def broken(self):
        raise IndexError()

    @cptoolkit.expose
    def moved(self):
        raise cptoolkit.HTTPRedirect("/")


@pytest.fixture
def client(app_of):
    return app_of(Root())


def test_type_is_that_of_the_page_handler_as_in_the_tutorial(client):
    assert client.get("/").headers["Content-Type"] == "text/plain;charset=utf-8"


def test_page_handler_sees_the_fields(client):
    assert client.get("/seen").text == "ours"


def test_page_handler_overrules_the_fields(client):
    answer = client.get("/own")
    assert answer.headers["Content-Type"] == "text/css;charset=utf-8"
    assert answer.headers.getall("X-Site") == ["theirs"]


@pytest.mark.parametrize("path", ["/missing", "/broken", "/moved", "/no/such/page"])
def test_other_answers_have_the_fields_but_their_own_type(client, path):
    answer = client.get(path, status="*")
    assert answer.headers["X-Site"] == "ours"
    assert answer.content_type == "text/html"


def test_answer_of_another_layer_has_the_fields(app_of):
    @cptoolkit.tools.register("before_handler")
    def answered():
        cptoolkit.response.headerlist = [("Content-Type", "text/css")]
        cptoolkit.response.body = "css"
        cptoolkit.request.handler = None

    answer = app_of(Root(), {"/": {"tools.answered.on": True}}).get("/")
    assert answer.headers["X-Site"] == "ours"
    assert answer.content_type == "text/css"


def test_priority_is_an_option(app_of):
    seen = []

    @cptoolkit.tools.register("on_start_resource", priority=50)
    def look():
        seen.append("X-Site" in cptoolkit.response.headers)

    for priority in (40, 60):
        config = {"tools.look.on": True, "tools.response_headers.priority": priority}
        app_of(Root(), {"/": config}).get("/")
    assert seen == [True, False]
