"""What wsgiref says of the server: every kind of request, every way to answer (PEP 3333)."""

from __future__ import annotations

import io
import sys
from wsgiref.validate import validator

import pytest

HOST = b" HTTP/1.1\r\nHost: a\r\n"
SIZED = b"Content-Length: 5\r\n\r\nhe\nlo"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe\nlo\r\n0\r\n\r\n"

REQUESTS = {
    "GET": b"GET /" + HOST + b"\r\n",
    "GET again": (b"GET /" + HOST + b"\r\n") * 2,
    "HEAD": b"HEAD /a%20b?c" + HOST + b"X: y\r\n\r\n",
    "escapes": b"GET /%00%ff%2F%zz?%00%ff" + HOST + b"\r\n",
    "no path": b"GET http://b" + HOST + b"\r\n",
    "absolute": b"GET http://b/c?d" + HOST + b"\r\n",
    "asterisk": b"OPTIONS *" + HOST + b"\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "length": b"POST /" + HOST + SIZED,
    "length of zero": b"POST /" + HOST + b"Content-Length: 0\r\n\r\n",
    "zeros": b"PUT /" + HOST + b"Content-Length: 0005\r\n\r\nhello",
    "chunks": b"POST /" + HOST + CHUNKED,
    "type": b"POST /" + HOST + b"Content-Type: text/plain\r\n" + SIZED,
    "empty type": b"POST /" + HOST + b"Content-Type:\r\n" + SIZED,
    "underscores": b"GET /" + HOST + b"Content_Length: x\r\nwsgi_input: y\r\n\r\n",
    "repeated fields": b"GET /" + HOST + b"X: \xe9\r\nCookie: a\r\nX:\r\nCookie: b\r\n\r\n",
    "expectation": b"POST /" + HOST + b"Expect: 100-continue\r\n" + SIZED,
    "upgrade": b"GET /" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "upgrade with a body": b"POST /" + HOST + b"Connection: upgrade\r\nUpgrade: x\r\n" + SIZED,
}
WAYS = {
    "streamed": {"request_body_buffer": 0},
    "collected": {},
    "spilled": {"request_body_buffer": 1, "stream_rate": 10**15},
    "HTTP/1.0 alone": {"protocol_version": "HTTP/1.0"},
    "no name": {"server_name": ""},
}
PLAIN = [("Content-Type", "text/plain")]


@validator
def reading(environ, start_response):
    """Read in every way there is."""
    stream = environ["wsgi.input"]
    text = stream.readline() + b"".join(stream) + stream.read(3) + b"".join(stream.readlines(1))
    environ["wsgi.errors"].write("")
    environ["wsgi.errors"].flush()
    start_response("200 OK", list(PLAIN))
    return [text]


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_validator_finds_nothing_in_a_request(serve_app, request_, way):
    served = serve_app(reading, **way)
    head, _, body = request_.partition(b"\r\n\r\n")
    client = served.connect()
    for part in (head + b"\r\n\r\n", body):
        client.send(part)
    assert client.answer(request_.split()[0].decode()).status == 200
    assert all("'_' poses as '-'" in text for _, text in served.logged)


def writing(environ, start_response):
    write = start_response("200 OK", list(PLAIN))
    write(b"he")
    write(b"")
    return [b"llo"]


def generator(environ, start_response):
    start_response("200 OK", list(PLAIN))
    yield b"he"
    yield b""
    yield b"llo"


def second_thoughts(environ, start_response):
    start_response("200 OK", list(PLAIN))
    try:
        raise ValueError
    except ValueError:
        start_response("500 Oops", list(PLAIN), sys.exc_info())
    return [b"hello"]


def file_wrapper(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"), 2)


def with_(status, headers, body):
    def app(environ, start_response):
        start_response(status, list(headers))
        return body

    return app


ANSWERS = {
    "list": with_("200 OK", PLAIN, [b"hello"]),
    "blocks": with_("200 OK", PLAIN, [b"he", b"", b"llo"]),
    "tuple": with_("200 OK", PLAIN, (b"hello",)),
    "nothing": with_("200 OK", PLAIN, []),
    "length": with_("200 OK", [*PLAIN, ("Content-Length", "5")], [b"hello"]),
    "204": with_("204 No Content", [], []),
    "205": with_("205 Reset Content", PLAIN, []),
    "304": with_("304 Not Modified", [], []),
    "error": with_("404 Not Found", PLAIN, [b"hello"]),
    "write": writing,
    "generator": generator,
    "second thoughts": second_thoughts,
    "file wrapper": file_wrapper,
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("app", ANSWERS.values(), ids=ANSWERS)
def test_validator_finds_nothing_in_an_answer(serve_app, app, method):
    served = serve_app(validator(app))
    client = served.connect()
    for _ in range(2):
        answer = client.send(method.encode() + b" /" + HOST + b"\r\n").answer(method)
        assert answer.body in (b"hello", b"")
    assert served.logged == []
