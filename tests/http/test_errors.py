"""The exceptions by which a handler answers with another status."""

import pytest
import webob.exc
import werkzeug.exceptions
from webob import Request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as WerkzeugResponse

import cptoolkit
from cptoolkit import HTTPError, HTTPRedirect, NotFound


class Raise:
    """A tree whose every page raises what ``make`` makes."""

    def __init__(self, make):
        self._make = make

    @cptoolkit.expose
    def default(self, *path, **params):
        raise self._make()


def fetch(client, path="/", **options):
    request = Request.blank(path, **options)
    request.host = "localhost"
    answer = request.get_response(client.app)
    assert answer.body is not None  # drawn to the end, and closed
    return answer


def kind_of(value):
    """The id of a test's parameter that is an exception."""
    return type(value).__name__ if isinstance(value, Exception) else None


# -- HTTPError -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((404,), "404 Not Found", "Nothing matches the given URI"),
        (("404",), "404 Not Found", "Nothing matches the given URI"),
        (("404 Not there",), "404 Not there", "Nothing matches the given URI"),
        ((401, "Unauthorized"), "401 Unauthorized", "Unauthorized"),
        ((403, ""), "403 Forbidden", ""),
        ((500,), "500 Internal Server Error", "unexpected condition"),
        ((), "500 Internal Server Error", "unexpected condition"),
        ((418, "Tea & <i>cake</i>"), "418 I'm a Teapot", "Tea &amp; &lt;i&gt;cake&lt;/i&gt;"),
    ],
)
def test_http_error_answers_with_its_status_and_message(app_of, arguments, status, message):
    answer = fetch(app_of(Raise(lambda: HTTPError(*arguments))))
    assert answer.status == status
    assert f"<p>{message}" in answer.text or message in answer.text
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
    assert answer.content_length == len(answer.body)


@pytest.mark.parametrize("status", [200, 302, 600, "x", -1, 99])
def test_status_that_is_no_error_is_refused_on_construction(status):
    with pytest.raises(ValueError, match="status"):
        HTTPError(status)


def test_http_error_reads_well():
    error = HTTPError("404 Nope", "There is no such thing.")
    assert str(error) == "404 Nope: There is no such thing."
    assert (error.code, error.reason, error.status) == (404, "Nope", "404 Nope")
    assert error.args == ("404 Nope", "There is no such thing.")


def test_header_fields_of_the_page_that_was_to_be_are_gone(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            headers = cptoolkit.response.headers
            headers["ETag"] = '"1"'
            headers["Content-Length"] = "1000"
            headers["X-Kept"] = "1"
            raise HTTPError(403)

    answer = fetch(app_of(Root()))
    assert "ETag" not in answer.headers
    assert answer.content_length == len(answer.body)
    assert answer.headers["X-Kept"] == "1"


def test_fields_given_to_an_http_error_are_sent(app_of):
    fields = [("Retry-After", "120"), ("X-Reason", "a"), ("X-Reason", "b")]
    answer = fetch(app_of(Raise(lambda: HTTPError(503, headers=fields))))
    assert answer.headers["Retry-After"] == "120"
    assert answer.headers.getall("X-Reason") == ["a", "b"]


def test_head_of_an_error_has_no_body(app_of):
    answer = fetch(app_of(Raise(lambda: HTTPError(404))), method="HEAD")
    assert (answer.status_int, answer.body) == (404, b"")


def test_http_error_may_be_the_handler(app_of):
    def forbid():
        cptoolkit.request.handler = HTTPError(403, "Not today.")

    client = app_of(Raise(ValueError), {"/": {"hooks.before_handler": forbid}})
    assert "Not today." in client.get("/", status=403).text


def test_http_error_is_not_logged_as_a_failure(app_of, caplog):
    app_of(Raise(lambda: HTTPError(404))).get("/", status=404)
    assert "Traceback" not in caplog.text


# -- handle ----------------------------------------------------------------------------------


def test_handle_turns_an_exception_into_an_answer(app_of):
    class Root:
        @cptoolkit.expose
        def thing(self, path):
            with HTTPError.handle(FileNotFoundError, 404):
                return open(path)

    page = app_of(Root()).get("/thing?path=/nope", status=404)
    assert "<p>[Errno 2] No such file or directory: '/nope'</p>" in page.text


def test_handle_may_say_something_else():
    with (
        pytest.raises(HTTPError, match=r"^410 Gone: It was here\.$"),
        HTTPError.handle(KeyError, 410, "It was here."),
    ):
        raise KeyError("id")


def test_handle_lets_other_exceptions_through():
    with pytest.raises(KeyError), HTTPError.handle(ValueError, 404):
        raise KeyError("id")


def test_handle_of_a_subclass_raises_the_subclass():
    class Refused(HTTPError):
        pass

    with pytest.raises(Refused), Refused.handle(ValueError, 400):
        raise ValueError


# -- NotFound --------------------------------------------------------------------------------


def test_not_found_names_the_path_with_the_mount_point(app_of):
    page = app_of(Raise(NotFound), script_name="/app").get("/app/a/b", status=404)
    assert "<p>The path '/app/a/b' was not found.</p>" in page.text


def test_not_found_names_the_path_it_is_given(app_of):
    page = app_of(Raise(lambda: NotFound("/<other>"))).get("/", status=404)
    assert "The path '/&lt;other&gt;' was not found." in page.text


# -- HTTPRedirect ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirect_has_a_location_and_a_page_with_a_link(app_of, status):
    answer = fetch(app_of(Raise(lambda: HTTPRedirect("/to", status))))
    assert answer.status_int == status
    assert answer.headers["Location"] == "http://localhost/to"
    assert '<a href="http://localhost/to">http://localhost/to</a>' in answer.text
    assert answer.content_length == len(answer.body)


def test_redirect_305_has_a_location_and_no_body(app_of):
    answer = fetch(app_of(Raise(lambda: HTTPRedirect("http://proxy/", 305))))
    assert (answer.headers["Location"], answer.body) == ("http://proxy/", b"")


@pytest.mark.parametrize("urls", [[""], []])
def test_redirect_304_has_neither_location_nor_body_but_validators(app_of, urls):
    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.response.headers["ETag"] = '"1"'
            raise HTTPRedirect(urls, 304)

    answer = fetch(app_of(Root()))
    assert (answer.status_int, answer.body) == (304, b"")
    assert answer.headers["ETag"] == '"1"'
    assert {"Location", "Content-Type", "Content-Length"}.isdisjoint(answer.headers)


@pytest.mark.parametrize(("protocol", "status"), [("HTTP/1.0", 302), ("HTTP/1.1", 303)])
def test_status_of_a_redirect_fits_the_protocol(app_of, protocol, status):
    answer = fetch(
        app_of(Raise(lambda: HTTPRedirect("/to"))), environ={"SERVER_PROTOCOL": protocol}
    )
    assert answer.status_int == status


@pytest.mark.parametrize("status", [200, 306, 309, 399, 404, "x", "303 See"])
def test_status_that_is_no_redirect_is_refused(status):
    with pytest.raises(ValueError, match="must be one of 300, 301, 302, 303, 304, 305, 307, 308"):
        HTTPRedirect("/", status)


def test_redirect_to_nowhere_is_refused():
    with pytest.raises(ValueError, match="needs a url"):
        HTTPRedirect([])


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("to", "http://localhost/app/a/to"),
        ("../to", "http://localhost/app/to"),
        ("", "http://localhost/app/a/b"),
        ("?x=1", "http://localhost/app/a/b?x=1"),
        ("/to", "http://localhost/to"),
        ("http://other.example/x?y=z#f", "http://other.example/x?y=z#f"),
        ("/é x", "http://localhost/%C3%A9%20x"),
        (b"/b\xc3\xa9", "http://localhost/b%C3%A9"),
        ("/already%20quoted", "http://localhost/already%20quoted"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
    ],
)
def test_redirect_leads_to(app_of, url, location):
    client = app_of(Raise(lambda: HTTPRedirect(url)), script_name="/app")
    assert fetch(client, "/app/a/b").headers["Location"] == location


def test_url_makes_redirects_below_the_mount_point(app_of):
    client = app_of(Raise(lambda: HTTPRedirect(cptoolkit.url("/to"))), script_name="/app")
    assert fetch(client, "/app/a").headers["Location"] == "http://localhost/app/to"


def test_redirect_with_several_urls_lists_them(app_of):
    answer = fetch(app_of(Raise(lambda: HTTPRedirect(["/a", "/b c"], 300))))
    assert answer.headers["Location"] == "http://localhost/a"
    assert '<a href="http://localhost/b%20c">' in answer.text


@pytest.mark.parametrize("url", ["/x\r\nSet-Cookie: a=b", "x\nX-Forged: 1", "/\r\n\r\n<p>"])
def test_line_ends_in_a_redirect_forge_nothing(app_of, url):
    answer = fetch(app_of(Raise(lambda: HTTPRedirect(url))))
    assert answer.status_int == 302
    assert {"Set-Cookie", "X-Forged"}.isdisjoint(answer.headers)
    assert "\n" not in answer.headers["Location"]


def test_markup_in_a_redirect_is_escaped(app_of):
    answer = fetch(app_of(Raise(lambda: HTTPRedirect('/"><script>'))))
    assert "<script" not in answer.text


def test_redirect_from_a_stream_has_a_length(app_of):
    config = {"/": {"response.stream": True}}
    answer = fetch(app_of(Raise(lambda: HTTPRedirect("/to")), config))
    assert answer.content_length == len(answer.body)


# -- exceptions of webob's and werkzeug's ----------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (webob.exc.HTTPForbidden("Not <you>."), 403, "Not &lt;you&gt;."),
        (webob.exc.HTTPNotFound(), 404, "Nothing matches the given URI"),
        (webob.exc.HTTPServiceUnavailable("Later."), 503, "Later."),
        (werkzeug.exceptions.NotFound(), 404, "The requested URL was not found"),
        (werkzeug.exceptions.Conflict("Two of them."), 409, "Two of them."),
        (werkzeug.exceptions.BadRequestKeyError("id"), 400, ""),
    ],
    ids=kind_of,
)
def test_stray_error_answers_with_its_own_status(app_of, error, status, message):
    answer = fetch(app_of(Raise(lambda: error)))
    assert answer.status_int == status
    assert message in answer.text


@pytest.mark.parametrize(
    ("error", "field", "values"),
    [
        (
            webob.exc.HTTPUnauthorized(headers=[("WWW-Authenticate", 'Basic realm="a"')]),
            "WWW-Authenticate",
            ['Basic realm="a"'],
        ),
        (
            werkzeug.exceptions.Unauthorized(
                www_authenticate=[
                    WWWAuthenticate("basic", {"realm": "a"}),
                    WWWAuthenticate("bearer", {"realm": "b"}),
                ]
            ),
            "WWW-Authenticate",
            ["Basic realm=a", "Bearer realm=b"],
        ),
        (werkzeug.exceptions.MethodNotAllowed(["GET", "PUT"]), "Allow", ["GET, PUT"]),
        (webob.exc.HTTPMethodNotAllowed(headers=[("Allow", "GET")]), "Allow", ["GET"]),
        (webob.exc.HTTPFound(location="/to"), "Location", ["http://localhost/to"]),
        (webob.exc.HTTPSeeOther(location="http://o/"), "Location", ["http://o/"]),
        (RequestRedirect("http://o/é"), "Location", ["http://o/%C3%A9"]),
    ],
    ids=kind_of,
)
def test_stray_error_keeps_its_fields(app_of, error, field, values):
    answer = fetch(app_of(Raise(lambda: error)))
    assert answer.status_int == getattr(error, "code", None)
    assert answer.headers.getall(field) == values
    assert answer.content_length == len(answer.body)


@pytest.mark.parametrize("error", [webob.exc.HTTPGone(), werkzeug.exceptions.Gone()], ids=kind_of)
def test_stray_error_goes_through_the_error_page_settings(app_of, error):
    config = {"/": {"error_page.410": lambda status, **details: f"ours: {status}"}}
    assert fetch(app_of(Raise(lambda: error), config)).text == "ours: 410 Gone"


@pytest.mark.parametrize(
    ("error", "status"),
    [(webob.exc.HTTPNotModified(), 304), (webob.exc.HTTPNoContent(), 204)],
    ids=kind_of,
)
def test_stray_answer_without_body_has_none(app_of, error, status):
    answer = fetch(app_of(Raise(lambda: error)))
    assert (answer.status_int, answer.body) == (status, b"")


def test_response_given_to_abort_is_sent_as_it_is(app_of):
    def make():
        own = WerkzeugResponse('{"code": 1}', 422, mimetype="application/json")
        return werkzeug.exceptions.HTTPException(response=own)

    answer = fetch(app_of(Raise(make)))
    assert (answer.status_int, answer.json) == (422, {"code": 1})
    assert answer.headers["Content-Type"] == "application/json"


def test_cookies_survive_a_stray_error(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.response.cookie["a"] = "b"
            raise webob.exc.HTTPFound(location="/", headers=[("Set-Cookie", "c=d")])

    assert sorted(fetch(app_of(Root())).headers.getall("Set-Cookie")) == ["a=b", "c=d"]


# -- TimeoutError and others -----------------------------------------------------------------


def test_all_exceptions_have_one_base():
    for kind in (HTTPError, HTTPRedirect, NotFound, cptoolkit.InternalRedirect):
        assert issubclass(kind, cptoolkit.CherryPyException)
    assert issubclass(cptoolkit.TimeoutError, cptoolkit.CherryPyException)


def test_unexpected_exception_leaves_where_throw_errors_is_set(app_of):
    client = app_of(Raise(lambda: ZeroDivisionError("out")), {"/": {"request.throw_errors": True}})
    with pytest.raises(ZeroDivisionError, match="out"):
        client.get("/")


def test_http_error_is_answered_where_throw_errors_is_set(app_of):
    client = app_of(Raise(lambda: HTTPError(404)), {"/": {"request.throw_errors": True}})
    client.get("/", status=404)
