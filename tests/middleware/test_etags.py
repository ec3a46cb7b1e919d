"""ETags: conditional requests to any application (reference, tools.etags)."""

import logging

import pytest
from webob import Request, Response

import cptoolkit
from cptoolkit.middleware.etags import ETags, tag_of
from cptoolkit.middleware.layer import Layer

MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"


class Body:
    """A stream that tells how often it was closed."""

    def __init__(self):
        self.closed = 0

    def __iter__(self):
        yield b"text"

    def close(self):
        self.closed += 1


def page(request):
    path = request.path_info
    answer = Response("text", content_type="text/plain")
    if path == "/tagged":
        answer.headers["ETag"] = '"a"'
        answer.headers["Cache-Control"] = "max-age=5"
    if path == "/weak":
        answer.headers["ETag"] = 'W/"a"'
    if path == "/dated":
        answer.headers["Last-Modified"] = MODIFIED
    if path == "/created":
        answer.status = 201
        answer.headers["ETag"] = '"a"'
    if path == "/failed":
        answer.status = 400
        answer.headers["ETag"] = '"a"'
    if path == "/empty":
        answer.app_iter = []
    if path == "/stream":
        answer.app_iter = Body()
    return answer


@pytest.fixture
def site(host):
    return host(page, ETags)


@pytest.fixture
def plain(alone):
    return alone(page, ETags)


def test_client_that_has_the_representation_gets_304(site):
    for method in ("GET", "HEAD"):
        answer = site.fetch("/tagged", method, headers={"If-None-Match": '"a"'})
        assert (answer.status, answer.body) == ("304 Not Modified", b"")
        assert answer.headers["ETag"] == '"a"'
        assert answer.headers["Cache-Control"] == "max-age=5"
        assert not {"Content-Type", "Content-Length"} & set(answer.headers)


def test_client_that_has_another_gets_it_whole(site):
    answer = site.fetch("/tagged", headers={"If-None-Match": '"b"'})
    assert (answer.status_int, answer.body) == (200, b"text")


def test_precondition_that_fails_gets_412(site):
    assert site.fetch("/tagged", headers={"If-Match": '"b"'}).status_int == 412
    assert site.fetch("/tagged", "PUT", headers={"If-Match": '"b"'}).status_int == 412
    assert site.fetch("/tagged", "PUT", headers={"If-None-Match": '"a"'}).status_int == 412
    assert site.fetch("/tagged", headers={"If-Match": '"a"'}).status_int == 200


def test_date_counts_where_there_is_no_tag(site):
    assert site.fetch("/dated", headers={"If-Modified-Since": MODIFIED}).status_int == 304
    before = "Sun, 06 Nov 1994 08:49:36 GMT"
    assert site.fetch("/dated", headers={"If-Modified-Since": before}).status_int == 200
    assert site.fetch("/dated", headers={"If-Unmodified-Since": before}).status_int == 412


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        pytest.param("/weak", {"If-None-Match": '"a"'}, 304, id="a weak tag will do for 304"),
        pytest.param("/weak", {"If-Match": 'W/"a"'}, 412, id="but not for what must be the same"),
        pytest.param("/tagged", {"If-None-Match": "*"}, 304, id="anything"),
        pytest.param("/plain", {"If-None-Match": '"a"'}, 200, id="no tag to compare"),
        pytest.param("/plain", {"If-Match": '"a"'}, 412, id="no tag is not the one"),
        pytest.param("/failed", {"If-None-Match": '"a"'}, 400, id="an error is no representation"),
    ],
)
def test_condition_is_compared_with_what_the_application_says(plain, path, fields, status):
    assert plain.fetch(path, headers=fields).status_int == status


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param("/plain", {"If-Match": '"a"'}, id="nothing to compare"),
        pytest.param("/created", {"If-None-Match": "*"}, id="what was not there before"),
    ],
)
def test_change_that_is_done_is_not_called_failed(plain, path, fields):
    assert plain.fetch(path, "PUT", headers=fields).status_int in (200, 201)


def test_tag_is_made_of_the_body_if_asked_for(host):
    site = host(page, ETags, autotags=True)
    answer = site.fetch("/plain")
    tag = answer.headers["ETag"]
    assert tag == tag_of(b"text")
    assert answer.body == b"text"
    assert site.fetch("/plain", headers={"If-None-Match": tag}).status_int == 304
    assert site.fetch("/tagged").headers["ETag"] == '"a"'


def test_no_tag_is_made_by_itself(plain):
    assert "ETag" not in plain.fetch("/plain").headers


@pytest.mark.parametrize(
    ("path", "method"),
    [("/failed", "POST"), ("/plain", "POST"), ("/empty", "GET"), ("/stream", "GET")],
)
def test_no_tag_is_made_of_what_is_no_representation(alone, path, method):
    answer = alone(page, ETags, autotags=True).fetch(path, method)
    assert answer.headers.get("ETag") in (None, '"a"')


@pytest.mark.parametrize("conditional", [True, False])
def test_stream_stays_a_stream_and_is_closed_once(conditional):
    body = Body()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("ETag", '"a"')])
        return body

    fields = {"If-None-Match": '"a"'} if conditional else {}
    request = Request.blank("/", headers=fields)
    status, _, answer = request.call_application(ETags(app, autotags=True))
    assert (status[:3], b"".join(answer)) == (("304", b"") if conditional else ("200", b"text"))
    if hasattr(answer, "close"):
        answer.close()
    assert body.closed == 1


def test_body_is_closed_once_when_a_precondition_fails():
    body = Body()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("ETag", '"a"')])
        return body

    request = Request.blank("/", headers={"If-Match": '"b"'})
    assert request.get_response(ETags(app)).status_int == 412
    assert body.closed == 1


def test_tag_of_an_inner_layer_is_compared():
    class Tags(Layer):
        def after(self, request, response):
            response.headers["ETag"] = '"inner"'

    app = ETags(Tags(Response("text")))
    request = Request.blank("/", headers={"If-None-Match": '"inner"'})
    assert request.get_response(app).status_int == 304


def test_tag_is_made_of_what_a_generator_of_a_page_handler_gives(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            yield "te"
            yield "xt"

    client = app_of(Root(), {"/": {"tools.etags.on": True, "tools.etags.autotags": True}})
    assert client.get("/").headers["ETag"] == tag_of(b"text")
    assert client.head("/").headers["ETag"] == tag_of(b"text")
    client.get("/", headers={"If-None-Match": tag_of(b"text")}, status=304)


def test_debug_tells_what_was_compared(alone, caplog):
    caplog.set_level(logging.INFO)
    alone(page, ETags, debug=True).fetch("/tagged", headers={"If-None-Match": '"a"'})
    assert '/tagged: ETag "a", None: 304' in caplog.text
