"""Timeout: an answer in time, also for an application that gives none."""

import contextvars
import io
import threading

import pytest
from beside import in_threads, wait_until
from webob import Request, Response
from webob.exc import HTTPNotFound
from webtest import TestApp

import cptoolkit
from cptoolkit.middleware.request_id import RequestID
from cptoolkit.middleware.timeout import Timeout

SHORT = 0.05
"""Seconds that are over soon."""


class Stuck:
    """Pages that hang until they are let go, which they are at the end of the test.

    What an abandoned page does then is over when ``ended`` says so.
    """

    def __init__(self):
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.threads = []

    def wait(self):
        self.threads.append(threading.current_thread())
        self.begun.release()
        assert self.go.wait(30)

    def end(self):
        self.go.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def stuck(monkeypatch):
    stuck = Stuck()

    class Prompt(threading.Thread):
        """Has got stuck, or has ended, before anybody waits for it."""

        def start(self):
            super().start()
            wait_until(lambda: self in stuck.threads or not self.is_alive())

    monkeypatch.setattr("cptoolkit.middleware.timeout.Thread", Prompt)
    yield stuck
    stuck.end()


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "cptoolkit.timeout"]


def test_quick_answer_comes_through(host):
    def view(request):
        answer = Response(f"{request.method} {request.body_file.read(3)}", status=201)
        answer.headers["X-Own"] = "yes"
        return answer

    answer = host(view, Timeout).fetch("/", "POST", body=b"abc")
    assert answer.text == "POST b'abc'"
    assert answer.status_int == 201
    assert answer.headers["X-Own"] == "yes"
    assert answer.content_length == 11


def test_answer_that_takes_too_long_is_a_503_and_one_line_in_the_log(host, stuck, caplog):
    def view(request):
        stuck.wait()
        return Response("late")

    answer = host(view, Timeout, seconds=SHORT).fetch("/slow\tpage")
    assert answer.status_int == 503
    assert "taken too long" in answer.text
    assert warnings(caplog) == ["GET '/slow\\tpage' has taken more than 0.05 s, and is abandoned"]
    stuck.end()
    assert len(warnings(caplog)) == 1


def test_stream_stays_a_stream_and_may_take_its_time(host):
    drawn = []

    def ticks():
        for tick in (b"one", b"two"):
            drawn.append(tick)
            yield tick

    site = host(lambda request: Response(app_iter=ticks()), Timeout, seconds=5)
    _, _, body = Request.blank("/").call_application(site.app)
    assert next(iter(body)) == b"one"
    assert drawn == [b"one"]
    body.close()


def test_error_of_the_application_is_its_own(alone):
    def view(request):
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        alone(view, Timeout).fetch()


def test_refusal_of_a_layer_within_comes_through():
    class Refusing(Timeout):
        def before(self, request):
            raise HTTPNotFound("gone")

    inner = RequestID(Response("x"))
    inner.next = lambda request: Refusing(None).before(request)
    response = Request.blank("/").get_response(Timeout(inner))
    assert response.status_int == 404
    assert "X-Request-ID" in response.headers


def test_refusal_of_a_layer_within_has_the_fields_for_head_that_it_has_for_get():
    class Refusing(RequestID):
        def respond(self, request):
            raise HTTPNotFound("gone")

    app = Timeout(Refusing(Response("x")))
    asked = [Request.blank("/", method=method) for method in ("GET", "HEAD")]
    get, head = (request.call_application(app)[:2] for request in asked)
    assert get == head


def test_body_is_closed_once_however_often_that_is_asked_for():
    closed = []

    def ticks():
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append("generator")

    class Body:
        def __init__(self):
            self.ticks = ticks()

        def __iter__(self):
            return self.ticks

        def close(self):
            self.ticks.close()
            closed.append("body")

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    _, _, body = Request.blank("/").call_application(Timeout(app))
    assert next(iter(body)) == b"one"
    body.close()
    body.close()
    assert closed == ["generator", "body"]


def test_late_answer_is_closed_once():
    closed = []
    stuck = Stuck()

    class Body:
        def __iter__(self):
            return iter([b"late"])

        def close(self):
            closed.append(threading.current_thread())

    def app(environ, start_response):
        stuck.wait()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    response = Request.blank("/").get_response(Timeout(app, seconds=SHORT))
    assert response.status_int == 503
    assert closed == []
    stuck.end()
    assert closed == stuck.threads


def test_late_failure_is_logged(stuck, caplog):
    def app(environ, start_response):
        stuck.wait()
        raise KeyError("late")

    Request.blank("/x").get_response(Timeout(app, seconds=SHORT))
    stuck.end()
    assert warnings(caplog)[1:] == ["GET '/x' has failed, too late to answer"]
    assert "KeyError: 'late'" in caplog.text


def test_abandoned_requests_are_bounded(stuck, caplog):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/stuck":
            stuck.wait()
        return Response("quick")(environ, start_response)

    layer = Timeout(app, seconds=SHORT, max_abandoned=2)
    for _ in range(2):
        assert Request.blank("/stuck").get_response(layer).status_int == 503
    refused = Request.blank("/").get_response(layer)
    assert refused.status_int == 503
    assert "Too many requests have not been answered" in refused.text
    assert len(stuck.threads) == 2
    stuck.end()
    assert Request.blank("/").get_response(layer).text == "quick"


def test_abandoned_application_cannot_read_from_the_connection(stuck):
    errors = []

    def app(environ, start_response):
        body = environ["wsgi.input"]
        assert body.read(1) == b"a"
        stuck.wait()
        for read in (body.read, body.readline, body.readlines, lambda: list(body)):
            try:
                read()
            except OSError as error:
                errors.append(str(error))
        return Response()(environ, start_response)

    connection = io.BytesIO(b"abc")
    request = Request.blank("/", environ={"wsgi.input": connection, "CONTENT_LENGTH": "3"})
    assert request.get_response(Timeout(app, seconds=SHORT)).status_int == 503
    stuck.end()
    assert errors == ["the request has been answered already: it took too long"] * 4
    assert connection.read() == b"bc"


def test_read_in_progress_is_waited_for(monkeypatch):
    """The server reads from the same connection next."""
    begun, go, order = threading.Event(), threading.Event(), []

    class Prompt(threading.Thread):
        def start(self):
            super().start()
            assert begun.wait(30)

    class Connection:
        def read(self, size=-1):
            begun.set()
            assert go.wait(30)
            order.append("read")
            return b""

    def app(environ, start_response):
        environ["wsgi.input"].read()
        return Response()(environ, start_response)

    def let_go():
        assert begun.wait(30)
        threading.Timer(4 * SHORT, go.set).start()

    request = Request.blank("/", environ={"wsgi.input": Connection()})
    request.environ["webob.is_body_seekable"] = False
    with in_threads(let_go):
        monkeypatch.setattr("cptoolkit.middleware.timeout.Thread", Prompt)
        request.get_response(Timeout(app, seconds=SHORT))
        order.append("answered")
    assert order == ["read", "answered"]


def test_abandoned_application_cannot_change_what_the_outer_layers_see(stuck):
    def app(environ, start_response):
        environ["early"] = True
        stuck.wait()
        environ["late"] = True
        return Response()(environ, start_response)

    request = Request.blank("/")
    before = dict(request.environ)
    request.get_response(Timeout(app, seconds=SHORT))
    stuck.end()
    assert request.environ == before


def test_what_the_application_leaves_in_environ_is_seen_outside():
    def app(environ, start_response):
        environ["REMOTE_USER"] = "ann"
        del environ["HTTP_X_GONE"]
        return Response()(environ, start_response)

    request = Request.blank("/", headers={"X-Gone": "yes"})
    source = request.environ["wsgi.input"]
    request.get_response(Timeout(app))
    assert request.environ["REMOTE_USER"] == "ann"
    assert "HTTP_X_GONE" not in request.environ
    assert request.environ["wsgi.input"] is source


VARIABLE = contextvars.ContextVar("tests.timeout", default="unset")


def test_context_variables_go_in_and_stay_with_the_stream():
    def app(environ, start_response):
        outside = VARIABLE.get()
        VARIABLE.set("inside")
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body():
            try:
                yield f"{outside} {VARIABLE.get()} ".encode()
                yield VARIABLE.get().encode()
            finally:
                closed.append(VARIABLE.get())

        return body()

    closed = []
    token = VARIABLE.set("outside")
    try:
        response = TestApp(Timeout(app)).get("/")
        assert VARIABLE.get() == "outside"
    finally:
        VARIABLE.reset(token)
    assert response.text == "outside inside inside"
    assert closed == ["inside"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "seconds must be more than 0, got 0"),
        ({"seconds": float("nan")}, "seconds must be more than 0"),
        ({"max_abandoned": 0}, "max_abandoned must be 1 or more, got 0"),
    ],
)
def test_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Timeout(None, **options)


# In an Application


def test_page_handler_of_an_application_is_abandoned(app_of, stuck):
    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.timeout(seconds=SHORT)
        def slow(self):
            cptoolkit.response.headers["X-Early"] = "yes"
            stuck.wait()
            cptoolkit.response.status = 418
            cptoolkit.response.headers["X-Late"] = "yes"
            cptoolkit.response.cookie["late"] = "yes"
            return "late"

    answer = app_of(Root()).get("/slow", status=503)
    stuck.end()
    assert "X-Early" not in answer.headers
    assert "X-Late" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_page_handler_that_is_quick_has_its_way(app_of):
    class Root:
        _cp_config = {"tools.timeout.on": True}

        @cptoolkit.expose
        def page(self, name):
            cptoolkit.response.status = 418
            cptoolkit.response.headers["Content-Type"] = "text/plain"
            cptoolkit.response.cookie["a"] = "b"
            cptoolkit.request.mark = name
            return f"for {name}"

        @cptoolkit.expose
        def away(self):
            cptoolkit.response.cookie["a"] = "b"
            raise cptoolkit.HTTPRedirect("/page")

        @cptoolkit.expose
        def inside(self):
            raise cptoolkit.InternalRedirect("/page?name=me")

        @cptoolkit.expose
        @cptoolkit.tools.json_out()
        def data(self):
            return [1]

        @cptoolkit.expose
        def fails(self):
            raise KeyError("my own")

        @cptoolkit.expose
        def refuses(self):
            raise cptoolkit.HTTPError(403, "not you")

    client = app_of(Root())
    page = client.get("/page?name=ann", status=418)
    assert page.text == "for ann"
    assert page.headers["Content-Type"] == "text/plain;charset=utf-8"
    assert page.headers["Set-Cookie"].startswith("a=b")
    assert client.get("/away", status=302).headers["Set-Cookie"].startswith("a=b")
    assert client.get("/inside", status=418).text == "for me"
    assert client.get("/data").json == [1]
    assert "not you" in client.get("/refuses", status=403)
    assert client.get("/fails", status=500)


def test_generator_of_a_page_is_run_within_the_time(app_of, stuck):
    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.timeout(seconds=SHORT)
        def slow(self):
            yield "begun"
            stuck.wait()

        @cptoolkit.expose
        @cptoolkit.tools.timeout()
        def quick(self):
            cptoolkit.response.headers["X-Own"] = "yes"
            yield "one "
            yield "two"

    client = app_of(Root())
    assert client.get("/slow", status=503)
    answer = client.get("/quick")
    assert answer.text == "one two"
    assert answer.headers["X-Own"] == "yes"


def test_late_failure_of_a_page_handler_is_logged(app_of, stuck, caplog):
    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.timeout(seconds=SHORT)
        def slow(self):
            stuck.wait()
            raise KeyError("late")

    app_of(Root()).get("/slow", status=503)
    stuck.end()
    assert "GET '/slow' has failed, too late to answer" in warnings(caplog)


def test_wrong_option_of_the_tool_is_told():
    app = cptoolkit.Application(None)
    with pytest.raises(ValueError, match="did you mean 'seconds'"):
        app.plans.of_config({"tools.timeout.on": True, "tools.timeout.second": 5})
