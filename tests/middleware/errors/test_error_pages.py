"""ErrorPages: exceptions and bare error statuses become pages."""

import json
import logging
from io import StringIO
from wsgiref.validate import validator

import pytest
from webob import Request, Response, exc
from werkzeug import exceptions

from cptoolkit.middleware.errors.error_pages import ErrorPages
from cptoolkit.middleware.layer import Layer

PROBLEM = "application/problem+json"


@pytest.fixture
def site(host):
    """A page within ErrorPages, around an application of each framework."""

    def make(view, **options):
        return host(view, Layer, around=lambda app: ErrorPages(validator(app), **options))

    return make


def bare(status, *fields):
    fields = [("Content-Type", "text/plain"), ("Content-Length", "0"), *fields]
    return lambda request: Response(status=status, headerlist=list(fields), app_iter=[])


def app_with(body, status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/css")])
        return body

    return app


def raising(error):
    def app(environ, start_response):
        raise error

    return app


def fetch(app, path="/", **options):
    """The response, read to its end and closed."""
    answer = Request.blank(path, **options).get_response(app)
    try:
        assert answer.body is not None
    finally:
        answer.app_iter.close() if hasattr(answer.app_iter, "close") else None
    return answer


# -- bare statuses, around everything -------------------------------------------------------


@pytest.mark.parametrize("status", ["404 Not Found", "503 Service Unavailable"])
def test_bare_status_gets_a_page(site, status):
    page = site(bare(status)).fetch("/x")
    assert page.status == status
    assert page.headers["Content-Type"].startswith("text/html")
    assert f"<h1>{status}</h1>" in page.text
    assert page.headers["Content-Length"] == str(len(page.body))


def test_client_that_likes_json_gets_a_problem_document(site):
    page = site(bare("404 Not Found")).fetch(headers={"Accept": "application/json"})
    assert page.headers["Content-Type"] == PROBLEM
    assert json.loads(page.body) == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert "accept" in page.headers["Vary"].lower()


def test_head_has_the_headers_of_get(site):
    site = site(bare("404 Not Found"))
    get, head = site.fetch("/"), site.fetch("/", "HEAD")
    assert head.body == b""
    assert sorted(head.headerlist) == sorted(get.headerlist)


def test_fields_of_the_error_are_kept(site):
    fields = [("Retry-After", "7"), ("Set-Cookie", "a=1"), ("X-Own", "x")]
    page = site(bare("429 Too Many Requests", *fields)).fetch()
    assert page.headers["Retry-After"] == "7"
    assert page.headers["Set-Cookie"].strip().startswith("a=1")
    assert page.headers["X-Own"] == "x"
    assert "<h1>429 " in page.text


def test_status_with_a_body_is_left_alone(site):
    own = Response("our own page", status=404, content_type="text/html")
    assert site(lambda request: own).fetch().text == "our own page"


def test_good_response_is_left_alone(site):
    answer = site(lambda request: Response("fine")).fetch()
    assert (answer.status_int, answer.text) == (200, "fine")
    assert "Vary" not in answer.headers


def test_stream_stays_a_stream(site):
    drawn = []

    def ticks():
        for tick in (b"one", b"two", b"three"):
            drawn.append(tick)
            yield tick

    _, _, body = Request.blank("/").call_application(
        site(lambda request: Response(app_iter=ticks())).app
    )
    assert next(iter(body)) == b"one"
    assert b"three" not in drawn
    body.close()


def test_stock_pages_are_replaced_if_that_is_asked_for(site):
    def view(request):
        return Response("<h1>stock</h1>", status=404, content_type="text/html")

    handle = ("exceptions", "statuses", "bodies")
    assert "There is nothing at this address" in site(view, handle=handle).fetch().text


def test_page_of_ones_own(site):
    pages = {404: lambda request, problem: f"own {problem.status} {request.path_info}"}
    site = site(bare("404 Not Found"), pages=pages)
    assert site.fetch("/x").text == "own 404 /x"


# -- statuses -------------------------------------------------------------------------------


def test_documents_of_the_application_are_left_alone():
    app = Response(b'{"a": 1}', status=404, content_type="application/json")
    layer = ErrorPages(app, handle=("statuses", "bodies"))
    assert fetch(layer).text == '{"a": 1}'


def test_statuses_are_left_alone_if_they_are_not_handled():
    assert fetch(ErrorPages(bare(404)(None), handle=["exceptions"])).body == b""


def test_content_fields_of_what_was_to_be_are_gone():
    fields = [("Content-Encoding", "gzip"), ("ETag", '"x"')]
    page = fetch(ErrorPages(bare("404 Not Found", *fields)(None)))
    assert "Content-Encoding" not in page.headers
    assert "ETag" not in page.headers
    assert page.headers.getall("Content-Type") == ["text/html; charset=utf-8"]


def test_empty_stream_is_bare():
    app = Response(status=500, app_iter=iter([b"", b""]), headerlist=[])
    assert "<h1>500 Internal Server Error</h1>" in fetch(ErrorPages(app)).text


def test_head_of_a_page_that_get_would_have_is_left_alone():
    def app(environ, start_response):
        start_response("404 Not Found", [("Content-Type", "text/html"), ("Content-Length", "99")])
        return []

    page = fetch(ErrorPages(app), method="HEAD")
    assert page.headers["Content-Length"] == "99"


def test_body_that_gives_way_is_closed_once():
    class Body:
        closed = 0

        def __iter__(self):
            return iter(())

        def close(self):
            self.closed += 1

    body = Body()
    fetch(ErrorPages(Response(status=404, app_iter=body, headerlist=[])))
    assert body.closed == 1


@pytest.mark.parametrize("status", ["418 I'm a <b>Teapot</b>", "499 Client Closed", "599 "])
def test_page_tells_any_status(status):
    page = fetch(ErrorPages(app_with([], status)))
    assert page.status_int == int(status[:3])
    assert f"<h1>{status[:3]} " in page.text
    assert "<b>" not in page.text


@pytest.mark.parametrize(
    ("accept", "json_wanted"),
    [
        (None, False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("application/json", True),
        ("application/problem+json", True),
        ("application/json, text/plain, */*", True),
        ("text/html;q=0.5, application/json", True),
        ("application/json;q=0.5, text/html", False),
        ("application/json;q=0, */*", False),
        ("image/png", False),
        ("nonsense", False),
    ],
)
def test_accept_decides_what_a_page_is(accept, json_wanted):
    headers = {} if accept is None else {"Accept": accept}
    page = fetch(ErrorPages(bare(404)(None)), headers=headers)
    assert (page.headers["Content-Type"] == PROBLEM) is json_wanted


def test_request_id_that_is_no_text_is_told_too(caplog):
    page = fetch(ErrorPages(raising(KeyError())), environ={"cptoolkit.request_id": 5})
    assert "Request 5" in page.text
    assert "(request 5)" in caplog.text


def test_request_id_is_on_the_page():
    layer = ErrorPages(bare(404)(None))
    environ = {"cptoolkit.request_id": "<a1>"}
    assert "Request &lt;a1&gt;" in fetch(layer, environ=environ).text
    page = fetch(layer, environ=environ, headers={"Accept": PROBLEM})
    assert page.json["request_id"] == "<a1>"


# -- exceptions -----------------------------------------------------------------------------


def test_exception_becomes_a_page_that_tells_nothing(caplog):
    page = fetch(ErrorPages(raising(KeyError("secret"))))
    assert page.status == "500 Internal Server Error"
    assert "secret" not in page.text
    assert "Traceback" not in page.text
    assert "KeyError" not in page.text


def test_exception_is_logged_once_with_its_traceback(caplog):
    fetch(ErrorPages(raising(ValueError("x\x1b[2J"))), "/a\r\nb", environ={"SCRIPT_NAME": "/m"})
    [record] = caplog.records
    assert (record.name, record.levelno) == ("cptoolkit.errors", logging.ERROR)
    assert record.getMessage() == r"GET /m/a\r\nb could not be answered"
    assert record.exc_info[0] is ValueError
    assert "Traceback (most recent call last)" in caplog.text
    assert "\x1b" not in caplog.text


def test_exception_goes_to_the_hosts_log_if_nothing_else_listens(monkeypatch):
    monkeypatch.setattr(logging.getLogger("cptoolkit.errors"), "propagate", False)
    errors = StringIO()
    page = fetch(ErrorPages(raising(KeyError("x"))), "/a", environ={"wsgi.errors": errors})
    assert page.status_int == 500
    written = errors.getvalue()
    assert written.startswith("GET /a could not be answered\nTraceback ")
    assert written.endswith("KeyError: 'x'\n")


def test_exceptions_go_on_if_they_are_not_handled():
    with pytest.raises(KeyError):
        fetch(ErrorPages(raising(KeyError("x")), handle="statuses"))


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_goes_on(error):
    with pytest.raises(error):
        fetch(ErrorPages(raising(error)))


class Body:
    """A body that fails after some blocks."""

    def __init__(self, *blocks):
        self.blocks, self.closed = blocks, 0

    def __iter__(self):
        yield from self.blocks
        raise KeyError("body")

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("blocks", [[], [b"", b""]], ids=["at once", "after empty blocks"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_body_that_fails_before_its_first_byte_becomes_a_page(caplog, blocks, method):
    body = Body(*blocks)
    page = fetch(ErrorPages(app_with(body)), method=method)
    assert page.status_int == 500
    assert page.headers.getall("Content-Type") == ["text/html; charset=utf-8"]
    assert body.closed == 1
    assert len(caplog.records) == 1


def test_body_that_fails_later_is_logged_and_cut_off(caplog):
    body = Body(b"one", b"two")
    layer = validator(ErrorPages(validator(app_with(body))))
    status, _, sent = Request.blank("/a").call_application(layer)
    items = iter(sent)
    assert [status, next(items), next(items)] == ["200 OK", b"one", b"two"]
    with pytest.raises(KeyError):
        next(items)
    sent.close()
    assert body.closed == 1
    [record] = caplog.records
    assert record.getMessage() == "GET /a its body has failed, and is cut off"


def test_body_that_iterates_over_itself_is_closed_once_in_the_middle():
    class Own:
        closed = 0

        def __iter__(self):
            return self

        def __next__(self):
            return b"x"

        def close(self):
            self.closed += 1

    body = Own()
    sent = ErrorPages(app_with(body))(Request.blank("/").environ, lambda *args: None)
    items = iter(sent)
    assert [next(items), next(items)] == [b"x", b"x"]
    items.close()
    sent.close()
    assert body.closed == 1


def test_generator_that_fails_before_start_response_becomes_a_page(caplog):
    def app(environ, start_response):
        raise KeyError("x")
        yield b""

    assert "<h1>500 Internal Server Error</h1>" in fetch(ErrorPages(app)).text


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=1", "a\nb", "a\0b"])
def test_header_field_with_a_line_end_is_never_sent(value, caplog):
    body = Body(b"x")

    def app(environ, start_response):
        start_response("200 OK", [("X-Own", value)])
        return body

    page = fetch(ErrorPages(app))
    assert page.status_int == 500
    assert "X-Own" not in page.headers
    assert "the header field X-Own has a line end in it" in caplog.text
    assert body.closed == 1


def test_header_field_may_have_tabs_and_bytes():
    def app(environ, start_response):
        start_response("200 OK", [("X-Own", "a\tb\xa0\x85")])
        return [b"x"]

    assert fetch(ErrorPages(app)).headers["X-Own"] == "a\tb\xa0\x85"


def test_words_of_other_exceptions_are_not_shown(caplog):
    error = KeyError("x")
    error.detail, error.description, error.response = "secret", "secret", "secret"
    page = fetch(ErrorPages(raising(error)))
    assert page.status_int == 500
    assert "secret" not in page.text


def test_file_wrapper_of_the_host_is_handed_through():
    class Wrapper(list):
        pass

    body = Wrapper([b"x"])
    environ = {**Request.blank("/").environ, "wsgi.file_wrapper": Wrapper}
    assert ErrorPages(Response(app_iter=body))(environ, lambda *args: None) is body


@pytest.mark.parametrize(
    "error",
    [
        exc.HTTPForbidden("not <you>"),
        exceptions.Forbidden("not <you>"),
    ],
    ids=["webob", "werkzeug"],
)
def test_refusal_becomes_a_page_with_its_words(error, caplog):
    page = fetch(ErrorPages(raising(error)))
    assert page.status_int == 403
    assert "not &lt;you&gt;" in page.text
    assert page.headers.getall("Content-Type") == ["text/html; charset=utf-8"]
    page = fetch(ErrorPages(raising(error)), headers={"Accept": PROBLEM})
    assert page.json["detail"] == "not <you>"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (exc.HTTPMethodNotAllowed(headers=[("Allow", "GET")]), "Allow", "GET"),
        (exceptions.MethodNotAllowed(["GET"]), "Allow", "GET"),
        (
            exc.HTTPUnauthorized(headers=[("WWW-Authenticate", "Basic")]),
            "WWW-Authenticate",
            "Basic",
        ),
        (exceptions.TooManyRequests(retry_after=7), "Retry-After", "7"),
    ],
    ids=["webob 405", "werkzeug 405", "webob 401", "werkzeug 429"],
)
def test_fields_of_a_refusal_are_kept(error, name, value):
    assert fetch(ErrorPages(raising(error))).headers[name] == value


def test_redirect_that_was_raised_is_sent():
    answer = fetch(ErrorPages(raising(exc.HTTPSeeOther(location="http://a/b"))))
    assert (answer.status_int, answer.location) == (303, "http://a/b")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_redirect_does_not_lead_where_a_made_up_host_is(method):
    app = ErrorPages(raising(exc.HTTPFound(location="/x")))
    request = Request.blank("/", method=method, headers={"Host": "evil.example"})
    status, headers, _ = request.call_application(app)
    assert (status, dict(headers)["Location"]) == ("302 Found", "/x")


def test_response_that_abort_was_given_is_sent():
    from werkzeug.wrappers import Response as WerkzeugResponse

    error = exceptions.HTTPException(response=WerkzeugResponse("as it is", 400))
    assert fetch(ErrorPages(raising(error))).text == "as it is"


# -- pages of one's own ---------------------------------------------------------------------


def test_function_is_told_the_exception(caplog):
    error = KeyError("x")
    seen = []
    pages = {"default": lambda request, problem: seen.append(problem.error) or b"own"}
    assert fetch(ErrorPages(raising(error), pages=pages)).body == b"own"
    assert seen == [error]


def test_status_wins_over_default():
    pages = {
        "404": lambda request, problem: "the one",
        "default": lambda request, problem: "all others",
    }
    assert fetch(ErrorPages(bare(404)(None), pages=pages)).text == "the one"
    assert fetch(ErrorPages(bare(410)(None), pages=pages)).text == "all others"


def test_client_that_likes_json_gets_json_in_place_of_the_page():
    pages = {404: lambda request, problem: "own"}
    page = fetch(ErrorPages(bare(404)(None), pages=pages), headers={"Accept": PROBLEM})
    assert page.json["status"] == 404


@pytest.mark.parametrize("broken", [lambda request, problem: 1 / 0, lambda request, problem: None])
def test_page_that_fails_is_logged_and_replaced(broken, caplog):
    page = fetch(ErrorPages(bare(404)(None), pages={404: broken}))
    assert "<h1>404 Not Found</h1>" in page.text
    assert "got no page for 404" in caplog.text


def test_template_is_filled_in(tmp_path):
    path = tmp_path / "404.html"
    path.write_text("<p>100%% %(status)s: %(message)s ä", encoding="utf-8")
    error = exc.HTTPNotFound("no <b>")
    page = fetch(ErrorPages(raising(error), pages={404: path}))
    assert page.text == "<p>100% 404 Not Found: no &lt;b&gt; ä"


@pytest.mark.parametrize("text", ["%(nonsense)s", "100%", "%(status)d"])
def test_template_that_cannot_be_filled_in_is_refused(tmp_path, text):
    path = tmp_path / "404.html"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"pages\[404\] cannot be filled in: .*404\.html"):
        ErrorPages(pages={404: path})


def test_template_that_is_not_there_is_told_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        ErrorPages(pages={404: tmp_path / "404.html"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"handle": 5}, "handle must be a list of exceptions,", id="handle"),
        pytest.param(
            {"pages": "404.html"}, "pages must be a mapping .* got '404.html'", id="pages"
        ),
        pytest.param({"pages": {404: 5}}, r"pages\[404\] must be the path .* got 5", id="page"),
    ],
)
def test_option_of_another_kind_is_told(options, message):
    with pytest.raises(TypeError, match=message):
        ErrorPages(**options)


@pytest.mark.parametrize("key", [200, 600, "teapot", "", None])
def test_page_for_what_is_no_error_is_refused(key):
    with pytest.raises(ValueError, match="pages takes statuses from 400 to 599"):
        ErrorPages(pages={key: lambda request, problem: ""})


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="handle takes exceptions, statuses, bodies, got 'errors'"):
        ErrorPages(handle=["errors"])


# -- the debugger ---------------------------------------------------------------------------

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080"}


@pytest.fixture
def debugged(caplog, monkeypatch):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "123-456-789")
    return ErrorPages(raising(KeyError("secret")), debug=True)


def test_client_on_this_machine_gets_the_debugger(debugged, caplog):
    errors = StringIO()
    page = fetch(debugged, environ={**LOCAL, "wsgi.errors": errors})
    assert page.status_int == 500
    assert "KeyError" in page.text
    assert "EVALEX = true" in page.text
    assert "EVALEX_TRUSTED = false" in page.text
    assert len(caplog.records) == 1
    assert errors.getvalue() == ""


def test_page_of_the_debugger_finds_its_style(debugged):
    answer = fetch(debugged, "/?__debugger__=yes&cmd=resource&f=style.css", environ=LOCAL)
    assert (answer.status_int, answer.content_type) == (200, "text/css")


def test_pin_is_asked_for(debugged):
    page = fetch(debugged, environ=LOCAL)
    secret = page.text.partition('SECRET = "')[2].partition('"')[0]
    frame = page.text.partition('id="frame-')[2].partition('"')[0]
    url = f"/?__debugger__=yes&cmd=1%2B1&frm={frame}&s={secret}"
    assert fetch(debugged, url, environ=LOCAL).status_int == 404
    pin = f"/?__debugger__=yes&cmd=pinauth&pin=123-456-789&s={secret}"
    cookie = fetch(debugged, pin, environ=LOCAL).headers["Set-Cookie"].partition(";")[0]
    answer = fetch(debugged, url, environ={**LOCAL, "HTTP_COOKIE": cookie})
    assert "2" in answer.text
    assert answer.status_int == 200


@pytest.mark.parametrize(
    "environ",
    [
        {**LOCAL, "REMOTE_ADDR": "192.0.2.1"},
        {**LOCAL, "REMOTE_ADDR": ""},
        {**LOCAL, "HTTP_HOST": "evil.example"},
        {**LOCAL, "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {**LOCAL, "cptoolkit.proxy.original": {}},
    ],
    ids=["remote", "no address", "rebound name", "behind a proxy", "behind the layer Proxy"],
)
@pytest.mark.parametrize("query", ["", "?__debugger__=yes&cmd=resource&f=style.css"])
def test_nobody_else_gets_the_debugger(debugged, environ, query):
    page = fetch(debugged, f"/{query}", environ=environ)
    assert "<h1>500 Internal Server Error</h1>" in page.text
    assert "secret" not in page.text


def test_console_of_the_debugger_cannot_be_opened_by_its_path(monkeypatch):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "1")
    layer = ErrorPages(Response("own"), debug=True)
    assert fetch(layer, "/console", environ=LOCAL).text == "own"


def test_there_is_no_console_without_a_pin(monkeypatch, caplog):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "off")
    page = fetch(ErrorPages(raising(KeyError("x")), debug=True), environ=LOCAL)
    assert "EVALEX = false" in page.text


def test_responses_are_the_same_while_debugging():
    layer = ErrorPages(bare(404)(None), debug=True)
    assert "<h1>404 Not Found</h1>" in fetch(layer, environ=LOCAL).text
