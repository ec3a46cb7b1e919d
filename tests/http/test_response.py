"""What becomes of what a page handler returns."""

import io

import pytest
from webob import Request

import cptoolkit
from cptoolkit.http.response import Response


class Page:
    """A tree of one page, which returns what ``make`` makes."""

    def __init__(self, make, **config):
        self.index = lambda **params: make()
        self.index.exposed = True
        self._cp_config = {key.replace("__", "."): value for key, value in config.items()}


def fetch(client, method="GET"):
    """The answer as it was sent, its bytes undecoded."""
    answer = Request.blank("/", method=method).get_response(client.app)
    assert answer.body is not None  # drawn to the end, and closed
    return answer


# -- what a page handler may return ----------------------------------------------------------


def generator():
    yield "é"
    yield b"!"


class Text(str):
    """A kind of str, as template engines return."""


@pytest.mark.parametrize(
    ("value", "body"),
    [
        pytest.param("é", "é".encode(), id="str"),
        pytest.param(Text("é"), "é".encode(), id="subclass of str"),
        pytest.param(b"\xff", b"\xff", id="bytes"),
        pytest.param(bytearray(b"\xff"), b"\xff", id="bytearray"),
        pytest.param(memoryview(b"\xff"), b"\xff", id="memoryview"),
        pytest.param("", b"", id="empty str"),
        pytest.param(None, b"", id="None"),
        pytest.param(["a", b"b", "é"], b"ab\xc3\xa9", id="list"),
        pytest.param([], b"", id="empty list"),
        pytest.param(("a", b"b"), b"ab", id="tuple"),
        pytest.param({"a": 1, "b": 2}, b"ab", id="dict gives its keys"),
        pytest.param(io.BytesIO(b"bytes"), b"bytes", id="open file"),
        pytest.param(io.StringIO("téxt"), "téxt".encode(), id="open text file"),
        pytest.param(generator(), "é!".encode(), id="generator"),
        pytest.param(iter(["a", "b"]), b"ab", id="iterator"),
    ],
)
def test_body_is_sent_whole_with_its_length(app_of, value, body):
    answer = fetch(app_of(Page(lambda: value)))
    assert (answer.status_int, answer.body) == (200, body)
    assert answer.headers.getall("Content-Length") == [str(len(body))]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("value", [5, True, 1.5, Ellipsis, ["a", 5], ("a", None)], ids=repr)
def test_value_that_is_no_body_is_a_500_that_names_its_type(app_of, value, stream):
    client = app_of(Page(lambda: value, response__stream=stream))
    page = client.get("/", status=500)
    assert "str" in page.text
    assert "not " in page.text


def test_generator_of_wrong_items_is_a_500(app_of):
    page = app_of(Page(lambda: (item for item in ["a", 5]))).get("/", status=500)
    assert "must yield str or bytes, not int" in page.text


def test_error_in_a_generator_is_a_500(app_of):
    def fail():
        yield "begun"
        raise ValueError("later")

    page = app_of(Page(fail)).get("/", status=500)
    assert "begun" not in page.text


def test_http_error_in_a_generator_answers_with_its_status(app_of):
    def refuse():
        yield "begun"
        raise cptoolkit.HTTPError(403, "Not you.")

    assert "Not you." in app_of(Page(refuse)).get("/", status=403).text


# -- streams ---------------------------------------------------------------------------------


def test_stream_goes_out_as_it_is_made(app_of):
    made = []

    def make():
        for item in ["one", "two"]:
            made.append(item)
            yield item

    client = app_of(Page(make, response__stream=True))
    started = []
    body = iter(client.app(Request.blank("/").environ, lambda *start: started.append(start)))
    assert started
    assert made == []
    assert (next(body), made) == (b"one", ["one"])
    assert list(body) == [b"two"]


def test_stream_has_no_length(app_of):
    client = app_of(Page(generator, response__stream=True))
    answer = Request.blank("/").get_response(client.app)
    assert "Content-Length" not in answer.headers
    assert answer.body == "é!".encode()


def test_streamed_generator_sees_its_request(app_of):
    def make():
        yield cptoolkit.request.path_info

    assert fetch(app_of(Page(make, response__stream=True))).body == b"/"


def test_error_before_the_stream_is_an_ordinary_page(app_of):
    def refuse():
        raise cptoolkit.NotFound

    page = fetch(app_of(Page(refuse, response__stream=True)))
    assert page.status_int == 404
    assert page.content_length == len(page.body)


class Thing:
    """The example of the reference, 5.4.2: a generator within the page handler."""

    @cptoolkit.expose
    def index(self, user=""):
        cptoolkit.response.headers["Content-Type"] = "text/plain"
        if not user:
            raise cptoolkit.NotFound()

        def content():
            yield "Hello, "
            yield "world"

        return content()

    index._cp_config = {"response.stream": True}


def test_handler_may_decide_before_its_stream_begins(app_of):
    refused = app_of(Thing()).get("/", status=404)
    assert refused.content_length == len(refused.body)
    answer = app_of(Thing()).get("/?user=jon")
    assert answer.text == "Hello, world"
    assert answer.headers["Content-Type"] == "text/plain;charset=utf-8"


def test_stream_is_set_for_a_path_and_what_lies_below(app_of):
    class Root:
        @cptoolkit.expose
        def default(self, *path):
            yield repr(cptoolkit.request.config["tools.trailing_slash.extra"])

    config = {"/path/to": {"response.stream": True, "tools.trailing_slash.extra": False}}
    answer = Request.blank("/path/to/my/page").get_response(app_of(Root(), config).app)
    assert "Content-Length" not in answer.headers
    assert answer.text == "False"


def test_error_within_a_stream_is_logged_and_left_to_the_server(app_of, caplog):
    def fail():
        yield "begun"
        raise ValueError("too late")

    client = app_of(Page(fail, response__stream=True))
    body = iter(client.app(Request.blank("/").environ, lambda *start: None))
    assert next(body) == b"begun"
    with pytest.raises(ValueError, match="too late"):
        next(body)
    assert "failed after the response had begun" in caplog.text


# -- closing ---------------------------------------------------------------------------------


class Closable:
    """An iterable with close(), as files and database cursors are."""

    def __init__(self, *items):
        self.items = items
        self.closed = 0

    def __iter__(self):
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_body_is_closed_once(app_of, method, stream):
    body = Closable("a", "b")
    fetch(app_of(Page(lambda: body, response__stream=stream)), method)
    assert body.closed == 1


@pytest.mark.parametrize("status", [204, 304])
def test_body_of_an_answer_without_body_is_closed_once(app_of, status):
    body = Closable("a")
    answer = fetch(app_of(Page(lambda: body, response__status=status)))
    assert (answer.status_int, answer.body, body.closed) == (status, b"", 1)


def test_body_that_fails_is_closed_once(app_of):
    body = Closable("a", ValueError())
    app_of(Page(lambda: body)).get("/", status=500)
    assert body.closed == 1


@pytest.mark.parametrize("error", [cptoolkit.HTTPError(403), ValueError()], ids=repr)
def test_body_that_an_error_page_replaces_is_closed_once(app_of, error):
    def refuse():
        if cptoolkit.response.status == "200 OK":
            raise error

    body = Closable("a")
    answer = fetch(app_of(Page(lambda: body, hooks__before_finalize=refuse)))
    assert answer.status_int == getattr(error, "code", 500)
    assert body.closed == 1


def test_stream_that_the_client_leaves_is_closed_once(app_of):
    body = Closable("a", "b")
    client = app_of(Page(lambda: body, response__stream=True))
    sent = client.app(Request.blank("/").environ, lambda *start: None)
    assert next(iter(sent)) == b"a"
    sent.close()
    sent.close()
    assert body.closed == 1


def test_generator_that_the_client_leaves_is_closed(app_of):
    ended = []

    def make():
        try:
            yield "a"
        finally:
            ended.append(cptoolkit.request.path_info)

    client = app_of(Page(make, response__stream=True))
    sent = client.app(Request.blank("/").environ, lambda *start: None)
    next(iter(sent))
    sent.close()
    assert ended == ["/"]


def test_file_is_closed(app_of, tmp_path):
    path = tmp_path / "page.txt"
    path.write_text("text")
    files = []

    def open_it():
        files.append(path.open("rb"))
        return files[0]

    assert fetch(app_of(Page(open_it))).body == b"text"
    assert files[0].closed


# -- the length ------------------------------------------------------------------------------


def test_head_has_the_length_of_get_and_no_body(app_of):
    answer = fetch(app_of(Page(lambda: "12345")), "HEAD")
    assert answer.headers["Content-Length"] == "5"
    assert answer.body == b""


def test_length_that_the_handler_says_is_kept_and_nothing_collected(app_of):
    def make():
        cptoolkit.response.headers["Content-Length"] = "2"
        return iter(["a", "b"])

    answer = fetch(app_of(Page(make)))
    assert answer.headers.getall("Content-Length") == ["2"]
    assert answer.body == b"ab"


@pytest.mark.parametrize("body", ["\u20ac\u20ac", ["\u20ac", "\u20ac"]], ids=type)
def test_length_that_was_counted_in_characters_is_put_right(app_of, body):
    answer = fetch(app_of(Page(lambda: body, **{"response.headers.Content-Length": "2"})))
    assert answer.headers.getall("Content-Length") == ["6"]


def test_length_said_for_an_empty_answer_to_head_is_kept(app_of):
    client = app_of(Page(lambda: None, **{"response.headers.Content-Length": "70"}))
    assert fetch(client, "HEAD").headers["Content-Length"] == "70"


@pytest.mark.parametrize("status", [204, 205, 304])
def test_answer_without_body_has_neither_body_nor_length_nor_type(app_of, status):
    answer = fetch(app_of(Page(lambda: "body", response__status=status)))
    assert (answer.status_int, answer.body) == (status, b"")
    assert not {"Content-Length", "Content-Type"} & set(answer.headers)


def test_type_said_for_an_answer_without_body_is_kept(app_of):
    said = {"response.headers.Content-Type": "application/json", "response.status": 204}
    answer = fetch(app_of(Page(lambda: None, **said)))
    assert answer.headers["Content-Type"] == "application/json"


# -- the status ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (201, "201 Created"),
        ("202", "202 Accepted"),
        ("404 Gone fishing", "404 Gone fishing"),
        (b"403 Forbidden", "403 Forbidden"),
        (None, "200 OK"),
    ],
)
def test_status_may_be_set_as(app_of, status, sent):
    def make():
        cptoolkit.response.status = status

    assert fetch(app_of(Page(make))).status == sent


@pytest.mark.parametrize("status", ["abc", 99, 600, 1000, "20", "200 a\r\nX: y"])
def test_wrong_status_is_a_500(app_of, status):
    def make():
        cptoolkit.response.status = status

    app_of(Page(make)).get("/", status=500).mustcontain(no=["X: y\r\n"])


# -- header fields ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (5, "5"),
        (b"bytes", "bytes"),
        ("é", "é"),
        ("日本", "=?utf-8?b?5pel5pys?="),
    ],
)
def test_header_value_may_be(app_of, value, sent):
    def make():
        cptoolkit.response.headers["X-Value"] = value

    assert fetch(app_of(Page(make))).headers["X-Value"] == sent


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: a=b", "a\nb", "a\rb", "a\0b"])
def test_line_end_in_a_header_is_a_500_without_a_byte_of_it(app_of, value):
    def make():
        cptoolkit.response.headers["X-Value"] = value

    answer = fetch(app_of(Page(make, request__show_tracebacks=False)))
    assert answer.status_int == 500
    assert "X-Value" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert b"Set-Cookie" not in answer.body


def test_headers_come_from_config(app_of):
    config = {"/": {"response.headers.X-Frame-Options": "DENY"}}
    assert app_of(Page(lambda: ""), config).get("/").headers["X-Frame-Options"] == "DENY"


def test_assigned_headers_replace_all_others():
    response = Response()
    response.headers = {"X-Only": "1"}
    assert response.header_list == [("X-Only", "1")]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(lambda response: [("X-More", "1"), ("X-More", "2")], id="str"),
        pytest.param(lambda response: [(b"X-More", b"1"), (b"X-More", b"2")], id="bytes"),
        pytest.param(
            lambda response: response.headers.encode_header_items([("X-More", 1), ("X-More", "2")]),
            id="encoded",
        ),
    ],
)
def test_header_list_of_a_finished_answer_takes_more_fields(app_of, more):
    def add():
        cptoolkit.response.header_list.extend(more(cptoolkit.response))

    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.request.hooks.attach("on_end_resource", add)
            return "page"

    answer = app_of(Root()).get("/")  # which checks that all of them are str
    assert answer.headers.getall("X-More") == ["1", "2"]
    assert answer.headers["Content-Length"] == "4"


def test_line_break_in_the_header_list_is_an_error(app_of):
    def add():
        cptoolkit.response.header_list.append((b"X-More", b"1\r\nX-Evil: 1"))

    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.request.hooks.attach("on_end_resource", add)
            return "page"

    answer = app_of(Root()).get("/", status=500)
    assert "X-More" not in answer.headers


def test_header_list_can_be_assigned():
    response = Response()
    response.header_list = [(b"X-Only", b"1"), ("X-Only", "2")]
    assert response.headers.getall("X-Only") == ["1", "2"]
    assert response.header_list == [("X-Only", "1"), ("X-Only", "2")]


def test_headers_keep_to_their_own_response(app_of):
    visits = []

    def make():
        visits.append(1)
        if len(visits) == 1:
            cptoolkit.response.headers["X-First"] = "1"
            cptoolkit.response.headers["Content-Type"] = "text/plain"

    client = app_of(Page(make))
    assert "X-First" in client.get("/").headers
    second = client.get("/")
    assert "X-First" not in second.headers
    assert second.headers["Content-Type"] == "text/html;charset=utf-8"


# -- cookies ---------------------------------------------------------------------------------


def test_cookies_are_sent_each_in_its_field(app_of):
    def make():
        cookie = cptoolkit.response.cookie
        cookie["cookieName"] = "cookieValue"
        cookie["cookieName"]["path"] = "/"
        cookie["cookieName"]["max-age"] = 3600
        cookie["cookieName"]["version"] = 1
        cookie["other"] = "two words"

    assert fetch(app_of(Page(make))).headers.getall("Set-Cookie") == [
        "cookieName=cookieValue; Max-Age=3600; Path=/; Version=1",
        'other="two words"',
    ]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param("/\r\nX-Other: 1", [], id="a line break is refused"),
        pytest.param("/\u20ac", ["=?utf-8?b?YT1iOyBQYXRoPS/igqw=?="], id="beyond latin-1"),
    ],
)
def test_cookie_cannot_break_the_header(app_of, path, fields):
    def page():
        cptoolkit.response.cookie["a"] = "b"
        cptoolkit.response.cookie["a"]["path"] = path

    assert fetch(app_of(Page(page))).headers.getall("Set-Cookie") == fields


def test_cookie_is_read_back_by_the_next_request(app_of):
    class Root:
        @cptoolkit.expose
        def set(self):
            cptoolkit.response.cookie["a"] = "é;,"

        @cptoolkit.expose
        def read(self):
            return cptoolkit.request.cookie["a"].value

    field = fetch_path(app_of(Root()), "/set").headers["Set-Cookie"]
    assert fetch_path(app_of(Root()), "/read", Cookie=field).text == "é;,"


def fetch_path(client, path, **headers):
    return Request.blank(path, headers=headers).get_response(client.app)


def test_cookie_with_expires_zero_ends_now(app_of):
    def make():
        cptoolkit.response.cookie["k"] = "v"
        cptoolkit.response.cookie["k"]["expires"] = 0

    field = fetch(app_of(Page(make))).headers["Set-Cookie"]
    assert field.startswith("k=v; expires=")


@pytest.mark.parametrize("error", [cptoolkit.HTTPError(403), ValueError()], ids=repr)
def test_cookies_survive_an_error_and_are_sent_once(app_of, error):
    def make():
        cptoolkit.response.cookie["a"] = "b"
        yield "begun"
        raise error

    answer = fetch(app_of(Page(make)))
    assert answer.status_int >= 400
    assert answer.headers.getall("Set-Cookie") == ["a=b"]


def test_cookies_are_sent_once_when_a_late_hook_fails(app_of):
    def make():
        cptoolkit.response.cookie["a"] = "b"

    def fail():
        raise ValueError

    answer = fetch(app_of(Page(make, hooks__on_end_resource=fail)))
    assert answer.status_int == 500
    assert answer.headers.getall("Set-Cookie") == ["a=b"]


# -- the charset -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "value", "marked"),
    [
        ("text/html", "é", "text/html;charset=utf-8"),
        ("text/html", b"x", "text/html;charset=utf-8"),
        ("text/css", ["é"], "text/css;charset=utf-8"),
        ("Text/Plain", "é", "Text/Plain;charset=utf-8"),
        ("text/html; charset=utf-8", "é", "text/html; charset=utf-8"),
        ("application/json", "é", "application/json"),
        ("image/png", b"\xff", "image/png"),
    ],
)
def test_charset_marks_text_only(app_of, content_type, value, marked):
    def make():
        cptoolkit.response.headers["Content-Type"] = content_type
        return value

    assert fetch(app_of(Page(make))).headers["Content-Type"] == marked


@pytest.mark.parametrize("wrap", [str, lambda text: [text], iter], ids=["str", "list", "iterator"])
def test_text_is_encoded_in_the_charset_that_the_handler_declares(app_of, wrap):
    def make():
        cptoolkit.response.headers["Content-Type"] = "text/plain;charset=ISO-8859-1"
        return wrap("é")

    answer = fetch(app_of(Page(make)))
    assert answer.body == b"\xe9"
    assert answer.headers["Content-Type"] == "text/plain;charset=ISO-8859-1"


def test_unknown_declared_charset_means_the_usual_one(app_of):
    def make():
        cptoolkit.response.headers["Content-Type"] = "text/plain;charset=x-none"
        return "é"

    assert fetch(app_of(Page(make))).body == "é".encode()


def test_content_type_that_a_generator_sets_is_marked(app_of):
    def make():
        cptoolkit.response.headers["Content-Type"] = "text/plain"
        yield "é"

    assert fetch(app_of(Page(make))).headers["Content-Type"] == "text/plain;charset=utf-8"


def test_no_content_type_is_invented_for_a_handler_that_removes_it(app_of):
    def make():
        del cptoolkit.response.headers["Content-Type"]
        return b"x"

    assert "Content-Type" not in fetch(app_of(Page(make))).headers


# -- the body as an attribute ----------------------------------------------------------------


def test_hook_may_set_the_body_in_place_of_the_handler(app_of):
    def answer():
        cptoolkit.response.body = "from a hook"
        cptoolkit.request.handler = None

    client = app_of(Page(lambda: "from the handler", hooks__before_handler=answer))
    assert client.get("/").text == "from a hook"


def test_hook_may_change_the_body(app_of):
    def upper():
        cptoolkit.response.body = [block.upper() for block in cptoolkit.response.body]

    client = app_of(Page(lambda: "text", hooks__before_finalize=upper))
    assert client.get("/").text == "TEXT"


def test_collapsed_body_is_one_block():
    response = Response()
    response.body = iter(["a", "b"])
    assert response.collapse_body() == b"ab"
    assert response.body == [b"ab"]


def test_deleted_body_is_empty():
    response = Response()
    response.body = "text"
    del response.body
    assert response.body == []
