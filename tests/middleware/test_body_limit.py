"""BodyLimit: 413 for what is too large, as early as it can be known."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webob import Request, Response
from webob.exc import HTTPRequestEntityTooLarge

import cptoolkit
from cptoolkit.middleware.body_limit import BodyLimit, LimitedInput

MAX = {"max_size": 1000}
FORM = "application/x-www-form-urlencoded"


def reader(request):
    body = request.environ["wsgi.input"].read(int(request.environ.get("CONTENT_LENGTH") or 5000))
    return Response(f"{len(body)} bytes")


def careless(request):
    try:
        return reader(request)
    except Exception:
        return Response("Never mind.")


def chunked(data, content_type="text/plain"):
    """A request whose host knows where the body ends, but not how long it is."""
    environ = Request.blank("/", method="POST").environ
    environ |= {"wsgi.input": BytesIO(data), "wsgi.input_terminated": True}
    environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_TYPE": content_type}
    for key in ("CONTENT_LENGTH", "webob.is_body_seekable"):
        environ.pop(key, None)
    return Request(environ)


# -- everywhere -----------------------------------------------------------------------------


def test_length_that_is_too_large_is_refused_before_anything_is_read(host):
    called = []

    def view(request):
        called.append(request)
        return reader(request)

    answer = host(view, BodyLimit, **MAX).fetch(method="POST", body=b"x" * 1001)
    assert answer.status_int == 413
    assert b"The request body is larger than 1000 bytes." in answer.body
    assert called == []


def test_body_of_the_greatest_size_is_read(host):
    answer = host(reader, BodyLimit, **MAX).fetch(method="POST", body=b"x" * 1000)
    assert answer.body == b"1000 bytes"


def test_chunked_body_of_the_greatest_size_is_read(host):
    site = host(reader, BodyLimit, **MAX)
    assert chunked(b"x" * 1000).get_response(site.app).body == b"1000 bytes"


@pytest.mark.parametrize("view", [reader, careless])
def test_chunked_body_that_is_too_large_is_a_413_whatever_the_page_makes_of_it(host, view):
    site = host(view, BodyLimit, **MAX)
    answer = chunked(b"x" * 1001).get_response(site.app)
    assert answer.status_int == 413
    assert b"The request body is larger than 1000 bytes." in answer.body


def test_body_that_is_not_read_is_not_refused(host):
    site = host(lambda request: Response("Not interested."), BodyLimit, **MAX)
    request = chunked(b"x" * 5000)
    stream = request.environ["wsgi.input"]
    assert request.get_response(site.app).body == b"Not interested."
    assert stream.tell() == 0


def test_request_without_a_body_is_none_of_its_business(host):
    answer = host(lambda request: Response("a page"), BodyLimit, max_size=0).fetch()
    assert answer.body == b"a page"


# -- the length -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("", 200),
        ("0", 200),
        ("1000", 200),
        ("0001000", 200),
        ("1001", 413),
        ("9" * 5000, 413),
        ("-1", 400),
        ("+5", 400),
        ("1_0", 400),
        ("5, 5", 400),
        ("\u0665", 400),
        ("five", 400),
    ],
)
def test_length_is_a_number(length, status):  # RFC 9110, section 8.6
    request = Request.blank("/", {"CONTENT_LENGTH": length}, method="POST")
    assert request.get_response(BodyLimit(Response(), **MAX)).status_int == status


def test_length_beside_a_transfer_coding_says_nothing():  # RFC 9112, section 6.3
    request = chunked(b"x" * 1001)
    request.environ["CONTENT_LENGTH"] = "5"

    def app(environ, start_response):
        environ["wsgi.input"].read()

    assert request.get_response(BodyLimit(app, **MAX)).status_int == 413


# -- applications that read in their own ways -----------------------------------------------


def flask_form():
    flask = pytest.importorskip("flask", reason="needs flask")
    app = flask.Flask("upload", static_folder=None)

    @app.post("/")
    def page():
        return str(len(flask.request.form["text"]))

    return app


def flask_data():
    flask = pytest.importorskip("flask", reason="needs flask")
    app = flask.Flask("upload", static_folder=None)

    @app.post("/")
    def page():
        return str(len(flask.request.get_data(as_text=True)) - len("text="))

    return app


def webob_form():
    def app(environ, start_response):
        request = Request(environ)
        return Response(str(len(request.POST["text"])))(environ, start_response)

    return app


def object_tree_form():
    class Root:
        @cptoolkit.expose
        def index(self, text):
            return str(len(text))

    return cptoolkit.Application(Root())


@pytest.mark.parametrize("make", [flask_form, flask_data, webob_form, object_tree_form])
@pytest.mark.parametrize(("size", "status"), [(900, 200), (1200, 413)])
def test_frameworks_reading_is_limited(make, size, status):
    request = chunked(b"text=" + b"x" * size, FORM)
    answer = request.get_response(BodyLimit(make(), **MAX))
    assert answer.status_int == status
    assert status == 413 or answer.text == str(size)


def test_input_that_could_be_rewound_cannot_any_more():
    """webob notes in the environ that it may rewind the input, and would fail to."""
    request = Request.blank("/", method="POST", body=b"text=x")
    assert request.is_body_seekable
    request.environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    request.environ["wsgi.input_terminated"] = True
    assert request.get_response(BodyLimit(webob_form(), **MAX)).text == "1"


def test_smaller_of_two_limits_counts():
    for inner, outer in [(10, 1000), (1000, 10)]:
        app = BodyLimit(BodyLimit(careless_app, max_size=inner), max_size=outer)
        answer = chunked(b"x" * 20).get_response(app)
        assert answer.status_int == 413
        assert "larger than 10 bytes" in answer.text


def careless_app(environ, start_response):
    return careless(Request(environ))(environ, start_response)


# -- in an object tree ----------------------------------------------------------------------


class Root:
    @cptoolkit.expose
    @cptoolkit.tools.body_limit(max_size=10)
    def index(self, text=""):
        return text

    @cptoolkit.expose
    @cptoolkit.tools.body_limit(max_size=10)
    @cptoolkit.tools.json_in()
    def json(self):
        return str(len(cptoolkit.request.json))


@pytest.mark.parametrize("path", ["/", "/json"])
def test_tool_refuses_before_the_body_is_parsed(app_of, path):
    app_of(Root()).post(path, "text=" + "x" * 20, status=413)


def test_tool_limits_chunked_bodies_too(app_of):
    request = chunked(b"text=" + b"x" * 20, FORM)
    assert request.get_response(app_of(Root()).app).status_int == 413


def test_tool_comes_before_hooks_that_look_at_the_body(app_of):
    def look():
        assert cptoolkit.request.body.length is None

    config = {"/": {"hooks.on_start_resource": look}}
    request = chunked(b"text=" + b"x" * 20, FORM)
    assert request.get_response(app_of(Root(), config).app).status_int == 413


# -- reading --------------------------------------------------------------------------------

CALLS = st.one_of(
    st.tuples(st.sampled_from(["read", "readline"]), st.sampled_from([None, -1, 0, 1, 3, 50])),
    st.tuples(st.just("readlines"), st.sampled_from([None, 0, 1, 3, 50])),
)


@given(st.text(alphabet="ab\n", max_size=20).map(str.encode), st.lists(CALLS, max_size=6))
def test_reading_within_the_limit_is_as_it_was(data, calls):
    limited, plain = LimitedInput(BytesIO(data), len(data), []), BytesIO(data)
    for name, size in calls:
        arguments = [] if size is None else [size]
        assert getattr(limited, name)(*arguments) == getattr(plain, name)(*arguments)


@pytest.mark.parametrize(
    "read",
    [
        lambda stream: stream.read(),
        lambda stream: stream.read(-1),
        lambda stream: stream.read(1_000_000),
        lambda stream: [stream.read(4) for _ in range(4)],
        lambda stream: stream.readline(),
        lambda stream: stream.readline(1_000_000),
        lambda stream: stream.readlines(),
        lambda stream: list(stream),
    ],
    ids=[
        "all",
        "all with -1",
        "much",
        "little by little",
        "line",
        "long line",
        "lines",
        "iterated",
    ],
)
def test_one_byte_more_than_allowed_is_read_and_no_more(read):
    exceeded = []
    source = BytesIO(b"x" * 100_000)
    limited = LimitedInput(source, 10, exceeded)
    for _ in range(2):
        with pytest.raises(HTTPRequestEntityTooLarge, match="larger than 10 bytes"):
            read(limited)
    assert source.tell() == 11
    assert set(exceeded) == {10}


@pytest.mark.parametrize("max_size", [-1, 1.5, "1000", None, True])
def test_limit_that_is_no_number_of_bytes_is_refused(max_size):
    with pytest.raises(ValueError, match=f"max_size must be 0 or more bytes, got {max_size!r}"):
        BodyLimit(max_size=max_size)
