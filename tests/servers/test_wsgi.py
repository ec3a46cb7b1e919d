"""PEP 3333, seen from a client and from an application."""

from __future__ import annotations

import http.client
import io
import logging

import pytest

from cptoolkit.servers import exchange as exchange_module

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PLAIN = [("Content-Type", "text/plain")]


class Body:
    """An iterable that counts its close() calls."""

    def __init__(self, *blocks, error=None):
        self.blocks = iter(blocks)
        self.error = error
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self.blocks)
        except StopIteration:
            if self.error:
                raise self.error from None
            raise

    def close(self):
        self.closed += 1


def answering(body, status="200 OK", headers=PLAIN):
    def app(environ, start_response):
        start_response(status, list(headers))
        return body() if callable(body) else body

    return app


# -- the body's framing -------------------------------------------------------------------------


def test_body_in_one_block_gets_its_length(serve_app):
    answer = serve_app(answering([b"hello"])).get()
    assert (answer.headers["Content-Length"], answer.body) == ("5", b"hello")


def test_list_of_blocks_gets_its_length(serve_app):
    answer = serve_app(answering([b"he", b"", b"llo"])).get()
    assert (answer.headers["Content-Length"], answer.body) == ("5", b"hello")


def test_body_of_unknown_length_is_chunked(serve_app):
    app = answering(lambda: iter([b"he", b"", b"llo"]))
    answer = serve_app(app).talk(CLOSE)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


def test_http_1_0_gets_no_chunks_but_the_end(serve_app):
    app = answering(lambda: iter([b"he", b"llo"]))
    answer = serve_app(app).talk(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert b"Connection: close" in head
    assert body == b"hello"


def test_empty_iterator_has_length_zero(serve_app):
    assert serve_app(answering(lambda: iter([]))).get().headers["Content-Length"] == "0"


def test_blocks_are_sent_before_the_next_is_asked_for(serve_app):
    import threading

    go_on = threading.Event()

    def body():
        yield b"first"
        assert go_on.wait(10)
        yield b"second"

    client = serve_app(answering(body)).connect().send(CLOSE)
    seen = b""
    while b"first" not in seen:
        seen += client.sock.recv(1000)
    go_on.set()
    assert b"second" in client.rest()


@pytest.mark.parametrize("body", [[b"hello"], (b"he", b"llo"), lambda: iter([b"hello"])])
@pytest.mark.parametrize("promise", [[], [("Content-Length", "5")]])
def test_head_has_the_fields_of_get_and_no_body(serve_app, body, promise):
    client = serve_app(answering(body, headers=PLAIN + promise)).connect()
    answer = client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer("HEAD")
    if promise or not callable(body):
        assert answer.headers["Content-Length"] == "5"
    assert client.send(GET).answer().body == b"hello"


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
@pytest.mark.parametrize("body", [[b"hello"], lambda: iter([b"hello"])])
def test_answer_without_content_has_no_body_byte(serve_app, status, body):
    client = serve_app(answering(body, status, [])).connect().send(GET)
    answer = client.answer()
    assert answer.headers["Transfer-Encoding"] is None
    assert client.send(CLOSE).rest().endswith(b"\r\n\r\n")


def test_204_has_no_length_and_304_that_of_the_200(serve_app):
    fields = [("Content-Length", "5")]
    assert serve_app(answering([], "204 No", fields)).get().headers["Content-Length"] is None
    assert serve_app(answering([], "304 No", fields)).get().headers["Content-Length"] == "5"


@pytest.mark.parametrize("body", [[b"hello"], lambda: iter([b"hello"])], ids=["list", "iterator"])
def test_304_with_a_body_has_the_length_that_the_application_gave_and_no_other(serve_app, body):
    for fields, length in [([], None), ([("Content-Length", "9")], "9")]:
        served = serve_app(answering(body, "304 Not Modified", fields))
        client = served.connect().send(GET)
        assert client.answer().headers["Content-Length"] == length
        assert client.send(CLOSE).rest().endswith(b"\r\n\r\n")


@pytest.mark.parametrize("fields", [[], [("Content-Length", "5")]], ids=["none", "promised"])
@pytest.mark.parametrize("body", [[b"hello"], lambda: iter([b"hello"])], ids=["list", "iterator"])
def test_205_has_a_length_of_zero(serve_app, body, fields):
    served = serve_app(answering(body, "205 Reset Content", fields))
    client = served.connect()
    for _ in range(2):  # RFC 9110, section 15.3.6
        assert client.send(GET).answer().headers.get_all("Content-Length") == ["0"]
    assert served.logged == []


def test_body_longer_than_promised_is_cut(serve_app):
    for body in ([b"hello world"], lambda: iter([b"hel", b"lo wo", b"rld"])):
        served = serve_app(answering(body, headers=[("Content-Length", "5")]))
        client = served.connect().send(GET)
        assert client.answer().body == b"hello"
        assert client.send(GET).answer().status == 200
        assert "longer" in served.logged[0][1]


def test_body_shorter_than_promised_ends_the_connection(serve_app):
    for body in ([b"hel"], lambda: iter([b"h", b"el"])):
        served = serve_app(answering(body, headers=[("Content-Length", "5")]))
        assert served.talk(GET).endswith(b"\r\n\r\nhel")
        assert "shorter" in served.logged[0][1]


def test_date_and_server_are_added_unless_given(serve_app):
    answer = serve_app(answering([b""]), server_name="mine").get()
    assert answer.headers.get_all("Server") == ["mine"]
    assert answer.headers["Date"].endswith(" GMT")
    given = [("date", "D"), ("Server", "S")]
    answer = serve_app(answering([b""], headers=given)).get()
    assert (answer.headers.get_all("Date"), answer.headers.get_all("Server")) == (["D"], ["S"])


def test_date_follows_a_clock_that_is_set_back(serve_app, monkeypatch):
    served = serve_app(answering([b""]))
    dates = []
    for now in (3600.0, 3600.5, 0.5, 1.0):
        monkeypatch.setattr(exchange_module, "time", lambda now=now: now)
        dates.append(served.get().headers["Date"][17:25])
    assert dates == ["01:00:00", "01:00:00", "00:00:00", "00:00:01"]


def test_only_the_missing_one_of_date_and_server_is_added(serve_app):
    answer = serve_app(answering([b""], headers=[("Date", "D")])).get()
    assert (answer.headers.get_all("Date"), answer.headers["Server"]) == (["D"], "cptoolkit")


def test_no_server_name_sends_no_server(serve_app):
    assert serve_app(answering([b""]), server_name="").get().headers["Server"] is None


def test_fields_belong_to_their_own_answer(serve_app):
    fields = [("X-A", "1"), ("Content-Length", "1")]

    def app(environ, start_response):
        start_response("200 OK", fields)
        fields[0] = ("X-A", environ["PATH_INFO"])  # for the next answer
        return [b"a"]

    client = serve_app(app).connect()
    seen = []
    for path in (b"/2", b"/3", b"/3", b"/4"):
        answer = client.send(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n").answer()
        seen.append(answer.headers["X-A"])
    assert seen == ["1", "/2", "/3", "/3"]


# -- start_response and write -------------------------------------------------------------------


def test_write_comes_before_the_returned_body(serve_app):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"a")
        write(b"b")
        return [b"c"]

    assert serve_app(app).get().body == b"abc"


def test_write_alone_is_enough(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "1")])(b"a")
        return ()

    assert serve_app(app).get().body == b"a"


def test_write_after_the_answer_is_refused(serve_app):
    kept = []

    def app(environ, start_response):
        kept.append(start_response("200 OK", []))
        return iter([b"body"])

    served = serve_app(app)
    client = served.connect()
    assert client.send(GET).answer().body == b"body"
    with pytest.raises(RuntimeError, match="after the answer was complete"):
        kept[0](b"smuggled")
    assert client.send(CLOSE).rest().startswith(b"HTTP/1.1 200 OK\r\n")


def test_start_response_may_come_with_the_first_block(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"late"

    assert serve_app(app).get().body == b"late"


def test_error_replaces_status_and_fields_that_were_not_sent(serve_app):
    import sys

    def app(environ, start_response):
        start_response("200 OK", [("X-A", "1"), ("Content-Length", "99")])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [("X-B", "2")], sys.exc_info())
        return [b"sorry"]

    answer = serve_app(app).get()
    assert (answer.status, answer.headers["X-A"], answer.headers["X-B"]) == (500, None, "2")
    assert answer.body == b"sorry"


def test_error_after_the_head_is_raised_again(serve_app):
    import sys

    raised = []

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"begun"
        try:
            try:
                raise ValueError("mine")
            except ValueError:
                start_response("500 Oops", [], sys.exc_info())
        except ValueError as exc:
            raised.append(exc)
            raise

    served = serve_app(app)
    answer = served.talk(GET)
    assert answer.endswith(b"5\r\nbegun\r\n")  # and no last chunk
    assert str(raised[0]) == "mine"


@pytest.mark.parametrize("connection", [b"", b"Connection: keep-alive\r\n"], ids=["", "kept"])
def test_unframed_answer_that_fails_is_reset_lest_it_seem_whole(serve_app, connection):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"half"
        raise ValueError

    client = serve_app(app).connect().send(b"GET / HTTP/1.0\r\n" + connection + b"\r\n")
    with pytest.raises(ConnectionResetError):
        client.rest()


@pytest.mark.parametrize("fields", [[], [("Content-Length", "9")]], ids=["chunks", "length"])
def test_framed_answer_that_fails_ends_before_its_end(serve_app, fields):
    def app(environ, start_response):
        start_response("200 OK", fields)
        yield b"half"
        raise ValueError

    with pytest.raises(http.client.IncompleteRead):
        serve_app(app).connect().send(GET).answer()


BAD_FIELDS = [
    pytest.param("200 OK", [("X", "a\r\nY: b")], id="CR LF"),
    pytest.param("200 OK", [("X", "a\nY: b")], id="LF"),
    pytest.param("200 OK", [("X", "a\rb")], id="CR"),
    pytest.param("200 OK", [("X", "a\0b")], id="NUL"),
    pytest.param("200 OK", [("X\r\nY", "a")], id="CR LF in name"),
    pytest.param("200 OK", [("X y", "a")], id="space in name"),
    pytest.param("200 OK", [("X:", "a")], id="colon in name"),
    pytest.param("200 OK", [("", "a")], id="empty name"),
    pytest.param("200 OK", [("X", "\u20ac")], id="outside latin-1"),
    pytest.param("200 OK", [("X", b"a")], id="bytes"),
    pytest.param("200 OK", [(b"X", "a")], id="bytes in name"),
    pytest.param("200 OK", [("X", 1)], id="number"),
    pytest.param("200 OK\r\nX: y", [], id="CR LF in status"),
    pytest.param("OK", [], id="no code"),
    pytest.param("20 OK", [], id="two digits"),
    pytest.param("100 Continue", [], id="interim"),
    pytest.param(200, [], id="status is a number"),
    pytest.param(b"200 OK", [], id="status is bytes"),
    pytest.param("200 OK", [("Content-Length", "-1")], id="negative length"),
    pytest.param("200 OK", [("Content-Length", "x")], id="odd length"),
    pytest.param("200 OK", [("Content-Length", "1"), ("Content-Length", "2")], id="two lengths"),
    pytest.param("200 OK", [("Connection", 1)], id="Connection is a number"),
]


@pytest.mark.parametrize(("status", "headers"), BAD_FIELDS)
def test_bad_fields_are_a_500_and_never_sent(serve_app, status, headers):
    served = serve_app(answering([b"body"], status, headers))
    answer = served.talk(CLOSE)
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"\r\nY: b" not in answer
    assert b"Traceback" not in answer
    assert len(served.logged) == 1


HOP_BY_HOP = [
    ("Connection", "Upgrade"),
    ("connection", "close, X"),
    ("Keep-Alive", "timeout=5"),
    ("transfer-encoding", "chunked"),
    ("TE", "trailers"),
    ("Trailer", "X"),
    ("Upgrade", "x"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authentication-Info", "x"),
    ("Proxy-Authorization", "x"),
    ("Proxy-Connection", "close"),
]


@pytest.mark.parametrize("field", HOP_BY_HOP, ids=": ".join)
def test_field_of_the_connection_is_a_500_and_named_in_the_log(serve_app, caplog, field):
    served = serve_app(answering([b"body"], "200 OK", [field]))
    served.server.error_log = lambda *line: logging.getLogger().error(line[0], exc_info=True)
    answer = served.talk(CLOSE)
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert f"{field[0]}: {field[1]}".encode() not in answer
    assert f"the field {field[0]!r} is the server's own" in caplog.text


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "close,"])
def test_application_may_close_the_connection(serve_app, value):
    served = serve_app(answering([b"body"], "200 OK", [("Connection", value), ("X", "1")]))
    answer = served.talk(GET + GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nX: 1\r\n")
    assert answer.count(b"Connection: close\r\n") == answer.count(b"\r\n\r\nbody") == 1
    assert answer.lower().count(b"connection") == 1
    assert served.logged == []


def test_closing_belongs_to_its_own_answer(serve_app):
    served = serve_app(lambda e, s: s("200 OK", FIELDS[e["PATH_INFO"]]) and [b""])
    client = served.connect()
    kept = client.send(GET).answer().getheader("Connection")
    closing = client.send(GET.replace(b"/", b"/close", 1)).answer()
    assert (kept, closing.status, closing.getheader("Connection")) == (None, 200, "close")
    assert client.rest() == b""
    assert served.connect().send(GET).answer().getheader("Connection") is None


FIELDS = {"/": [], "/close": [("Connection", "close")]}


def test_answer_that_closes_reaches_a_client_that_goes_on_sending(serve_app):
    served = serve_app(answering([b"x" * 100_000], "200 OK", [("Connection", "close")]))
    client = served.connect().send(GET + b"GET /" + b"a" * 10_000)
    assert client.answer().body == b"x" * 100_000
    client.send(b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.rest() == b""


@pytest.mark.parametrize("value", ["keep-alive", "Keep-Alive", ""])
def test_keep_alive_of_an_application_is_the_servers_to_say(serve_app, value):
    served = serve_app(answering([b"body"], "200 OK", [("Connection", value)]))
    client = served.connect()
    assert client.send(GET).answer().getheader("Connection") is None
    assert client.send(CLOSE).answer().getheader("Connection") == "close"
    old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert served.connect().send(old).answer().getheader("Connection") == "keep-alive"


BROKEN = {
    "raises": lambda e, s: 1 / 0,
    "returns None": lambda e, s: s("200 OK", []) and None,
    "no start_response": lambda e, s: [b"x"],
    "no start_response, iterator": lambda e, s: iter([b"x"]),
    "no start_response, empty": lambda e, s: iter([]),
    "str body": lambda e, s: s("200 OK", []) and ["x"],
    "str blocks": lambda e, s: s("200 OK", []) and iter(["x"]),
    "str list": lambda e, s: s("200 OK", []) and [b"x", "y"],
    "str written": lambda e, s: s("200 OK", [])("x"),
    "start_response twice": lambda e, s: s("200 OK", []) and s("200 OK", []) and [],
    "fails at once": lambda e, s: Body(error=ValueError()),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_application_is_a_500_with_a_body(serve_app, name):
    served = serve_app(BROKEN[name])
    answer = served.get()
    assert (answer.status, answer.body) == (
        500, b"500 Internal Server Error\nThe application failed.\n")  # fmt: skip
    assert [level for level, _ in served.logged] == ["ERROR"]
    assert served.get().status == 500


def test_changing_one_list_of_fields_changes_the_answer(serve_app):
    field = ["X", "1"]

    def app(environ, start_response):
        field[1] = environ["PATH_INFO"]
        start_response("200 OK", [field])
        return [b""]

    served = serve_app(app)
    assert [served.get(path).getheader("X") for path in ("/a", "/b")] == ["/a", "/b"]


def test_fields_of_an_iterator_do_not_reach_the_next_answer(serve_app):
    def app(environ, start_response):
        start_response("200 OK", iter([("X", "1")]) if environ["PATH_INFO"] == "/a" else [])
        return [b""]

    served = serve_app(app)
    assert [served.get(path).getheader("X") for path in ("/a", "/b")] == ["1", None]


# -- close() ------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [CLOSE, CLOSE.replace(b"GET", b"HEAD")], ids=["GET", "HEAD"])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("error", [None, ValueError()], ids=["whole", "failing"])
def test_body_is_closed_exactly_once(serve_app, wait_until, request_, status, error):
    body = Body(b"a", b"b", error=error)
    serve_app(answering(lambda: body, status)).talk(request_)
    wait_until(lambda: body.closed)
    assert body.closed == 1


def test_body_is_closed_when_the_client_has_gone(serve_app, wait_until):
    body = Body(*[b"x" * 100_000] * 1000)
    served = serve_app(answering(lambda: body))
    client = served.connect().send(GET)
    client.sock.recv(10)
    client.close()
    wait_until(lambda: body.closed)
    assert body.closed == 1
    assert served.logged == []


def test_body_is_closed_when_start_response_was_never_called(serve_app, wait_until):
    body = Body(b"a")
    assert serve_app(lambda e, s: body).get().status == 500
    wait_until(lambda: body.closed)
    assert body.closed == 1


def test_error_in_close_is_logged_and_the_answer_whole(serve_app, wait_until):
    class Bad(Body):
        def close(self):
            raise ValueError

    served = serve_app(answering(lambda: Bad(b"whole")))
    assert served.get().body == b"whole"
    wait_until(lambda: served.logged)


def test_file_wrapper_sends_a_file_and_closes_it(serve_app, wait_until):
    file = io.BytesIO(b"x" * 200_000)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "200000")])
        return environ["wsgi.file_wrapper"](file)

    assert serve_app(app).get().body == b"x" * 200_000
    wait_until(lambda: file.closed)
