"""``wsgi.input``: reading bodies, on both framings, whole and in pieces."""

from __future__ import annotations

import io
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cptoolkit.servers import body as body_module
from cptoolkit.servers.body import LARGE, Body
from cptoolkit.servers.errors import ClientError, Disconnected

TEXT = b"one\ntwo\n\nthree" * 30
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
LENGTH = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(TEXT), TEXT)
CHUNKS = b"".join(
    b"%x\r\n%b\r\n" % (len(TEXT[i : i + 7]), TEXT[i : i + 7]) for i in range(0, 420, 7)
)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"0\r\n\r\n"

READERS = {
    "read()": lambda f: f.read(),
    "read(None)": lambda f: f.read(None),
    "read(-1)": lambda f: f.read(-1),
    "read(0)": lambda f: f.read(0),
    "read(1)": lambda f: f.read(1),
    "read(large)": lambda f: f.read(10**6),
    "read twice": lambda f: [f.read(), f.read(), f.read(5)],
    "readline()": lambda f: f.readline(),
    "readline(None)": lambda f: f.readline(None),
    "readline(0)": lambda f: f.readline(0),
    "readline(1)": lambda f: f.readline(1),
    "readline(2)": lambda f: [f.readline(2), f.readline(2), f.readline(2)],
    "readline(large)": lambda f: f.readline(10**6),
    "all lines one by one": lambda f: [f.readline() for _ in range(100)],
    "readlines()": lambda f: f.readlines(),
    "readlines(None)": lambda f: f.readlines(None),
    "readlines(0)": lambda f: f.readlines(0),
    "readlines(1)": lambda f: f.readlines(1),
    "readlines(10)": lambda f: f.readlines(10),
    "readlines(large)": lambda f: f.readlines(10**6),
    "iteration": lambda f: list(f),
    "mixture": lambda f: [f.readline(), f.read(3), next(iter(f)), f.readlines(9), f.read()],
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("request_", [LENGTH, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("buffer", [0, 65536], ids=["streamed", "buffered"])
def test_input_reads_like_a_file(serve_app, read, request_, buffer):
    seen = []

    def app(environ, start_response):
        seen.append(read(environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    assert serve_app(app, request_body_buffer=buffer).talk(request_).startswith(b"HTTP/1.1 200")
    assert seen == [read(io.BytesIO(TEXT))]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_no_body_reads_as_empty(serve_app, read):
    seen = []

    def app(environ, start_response):
        seen.append(read(environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    serve_app(app).get()
    try:
        assert seen == [read(io.BytesIO())]
    except StopIteration:
        assert seen == []


@pytest.mark.parametrize("large", [2, LARGE], ids=["in pieces", "as one"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\1", b"\n"))),
    steps=st.lists(st.tuples(st.sampled_from(["read", "readline"]), st.integers(-1, 9))),
)
def test_any_reading_of_any_pieces_is_that_of_a_file(monkeypatch, large, pieces, steps):
    monkeypatch.setattr(body_module, "LARGE", large)
    left = list(pieces)

    def pull():
        body.put(left.pop(0)) if left else body.end()

    body = Body(pull)
    file = io.BytesIO(b"".join(pieces))
    for method, size in steps:
        assert getattr(body, method)(size) == getattr(file, method)(size)
        assert body.buffered == body.received - file.tell()
    assert body.read() == file.read()


def test_time_to_read_a_long_line_grows_with_its_length_only():
    size = 32 * 1024 * 1024
    body = Body(lambda: body.put(bytes(65536)) if body.received < size else body.end())
    began = time.thread_time()
    assert len(body.readline()) == size
    assert time.thread_time() - began < 1


def test_body_is_streamed_as_it_comes(serve_app):
    seen = []
    first = threading.Event()

    def app(environ, start_response):
        seen.append(environ["wsgi.input"].read(5))
        first.set()
        seen.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return []

    client = serve_app(app, request_body_buffer=0).connect()
    client.send(HEAD + b"Content-Length: 10\r\n\r\nhello")
    assert first.wait(10)
    assert client.send(b"world").answer().status == 200
    assert seen == [b"hello", b"world"]


def test_long_body_is_streamed_past_the_buffer(serve_app):
    began = threading.Event()
    seen = []

    def app(environ, start_response):
        began.set()
        seen.append(len(environ["wsgi.input"].read()))
        start_response("200 OK", [])
        return []

    client = serve_app(app, request_body_buffer=1000).connect()
    client.send(HEAD + b"Content-Length: 500000\r\n\r\n" + b"a" * 1000)
    assert began.wait(10)
    assert client.send(b"a" * 499_000).answer().status == 200
    assert seen == [500_000]


# -- Expect (RFC 9110, section 10.1.1) ----------------------------------------------------------

EXPECT = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n"


def test_continue_is_sent_when_the_application_reads(serve_app, app):
    client = serve_app(app).connect().send(EXPECT)
    assert client.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hello")
    assert client.answer().body == b"1"
    assert client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer().body == b"2"


def test_no_continue_when_the_application_does_not_read(serve_app):
    def app(environ, start_response):
        start_response("403 Forbidden", [])
        return [b"no"]

    answer = serve_app(app).talk(EXPECT)
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"Connection: close" in answer


def test_no_continue_when_the_body_has_come(serve_app, app):
    assert serve_app(app).connect().send(EXPECT + b"hello").answer().status == 200


def test_no_continue_after_the_head_of_the_answer(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"<"
        yield environ["wsgi.input"].read() + b">"

    client = (
        serve_app(app).connect().send(EXPECT.replace(b"Expect", b"Connection: close\r\nExpect"))
    )
    seen = b""
    while b"<" not in seen:
        seen += client.sock.recv(1000)
    seen += client.send(b"hello").rest()
    assert seen.startswith(b"HTTP/1.1 200")
    assert b"hello>" in seen
    assert b"100 Continue" not in seen


def test_http_1_0_is_never_told_to_continue(serve_app, app):
    client = serve_app(app).connect().send(EXPECT.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert client.send(b"hello").answer().status == 200


# -- clients that misbehave ---------------------------------------------------------------------


@pytest.fixture
def reading(serve_app):
    """Return a function that serves an application which lets errors of reading travel."""

    def reading(**options):
        caught = []

        def app(environ, start_response):
            try:
                environ["wsgi.input"].read()
            except Exception as exc:
                caught.append(exc)
                raise
            start_response("200 OK", [])
            return []

        served = serve_app(app, request_body_buffer=0, **options)
        served.caught = caught
        return served

    return reading


def test_client_that_hangs_up_in_its_body_is_disconnected(reading, wait_until):
    served = reading()
    client = served.connect().send(HEAD + b"Content-Length: 9\r\n\r\nhello")
    client.close()
    wait_until(lambda: served.caught)
    assert isinstance(served.caught[0], Disconnected)
    assert served.logged == []
    assert served.get().status == 200


def test_client_that_stops_within_its_body_is_timed_out(reading):
    served = reading(socket_timeout=0.1)
    answer = served.talk(HEAD + b"Content-Length: 9\r\n\r\nhello")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert isinstance(served.caught[0], TimeoutError)


@pytest.mark.parametrize(
    ("rest", "status"), [(b"zz\r\n", 400), (b"20\r\n" + b"a" * 32 + b"\r\n", 413)]
)
def test_nonsense_within_a_streamed_body_reaches_the_reader(reading, rest, status):
    served = reading(max_request_body_size=30)
    client = served.connect().send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    assert client.send(rest).rest().startswith(b"HTTP/1.1 %d " % status)
    assert served.logged == []


def test_error_of_reading_stays(serve_app):
    errors = []
    began = threading.Event()

    def app(environ, start_response):
        began.set()
        for _ in range(3):
            try:
                environ["wsgi.input"].read()
            except Exception as exc:
                errors.append(exc)
        start_response("200 OK", [])
        return []

    served = serve_app(app, request_body_buffer=0)
    client = served.connect().send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    assert began.wait(10)
    assert client.send(b"zz\r\n").answer().status == 200
    assert len(errors) == 3


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        pytest.param(b"Content-Length: 1000000\r\n\r\n", b"a" * 200_000, id="too much is left"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n", id="nonsense comes"),
    ],
)
def test_reading_after_the_answer_ends_when(serve_app, wait_until, head, rest):
    errors = []

    class Late:
        def __init__(self, body):
            self._body = body

        def __iter__(self):
            return iter([b"all"])

        def close(self):
            try:
                self._body.read()
            except Exception as exc:
                errors.append(exc)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        return Late(environ["wsgi.input"])

    served = serve_app(app, request_body_buffer=0, shutdown_timeout=0.1)
    client = served.connect().send(HEAD + head + (b"a" if b"Length" in head else b"1\r\na\r\n"))
    assert client.answer().body == b"all"
    client.send(rest)
    client.close()
    wait_until(lambda: errors)
    assert isinstance(errors[0], ClientError)


def test_body_read_after_the_answer_is_empty(serve_app):
    kept = []

    def app(environ, start_response):
        kept.append(environ["wsgi.input"])
        start_response("200 OK", [])
        return []

    client = serve_app(app, request_body_buffer=0).connect()
    client.send(HEAD.replace(b"close", b"x") + b"Content-Length: 5\r\n\r\n").answer()
    client.send(b"helloGET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()
    assert kept[0].read() == b""
