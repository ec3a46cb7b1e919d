"""HTTP/1.1 on one connection: order, reuse, upgrades, unread bodies (RFC 9112)."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from cptoolkit.servers.errors import ClientError

G = b"GET / HTTP/1.1\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
H = b"Host: a\r\n"
C = b"Connection: close\r\n"
E = b"\r\n"
TE = b"Transfer-Encoding: chunked\r\n"


UPGRADE = b"Connection: upgrade\r\nUpgrade: h2c\r\n"
NEXT = G + H + C + E


@pytest.mark.parametrize(
    ("data", "body"),
    [
        pytest.param(G + H + UPGRADE + E, b"", id="no body"),
        pytest.param(P + UPGRADE + b"Content-Length: 5\r\n\r\nhello", b"hello", id="length"),
        pytest.param(P + UPGRADE + TE + E + b"5\r\nhello\r\n0\r\n\r\n", b"hello", id="chunks"),
    ],
)
def test_upgrade_is_ignored_and_its_body_framed(serve_app, app, calls, data, body):
    answer = serve_app(app).talk(data + NEXT)
    assert [body for _, _, body in calls] == [body, b""]
    assert answer.count(b"HTTP/1.1 200 OK") == 2


# -- connections --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", True, id="1.1"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n", False, id="1.1 Close"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n", False, id="list"),
        pytest.param(b"GET / HTTP/1.0\r\n", False, id="1.0"),
        pytest.param(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True, id="1.0 Keep-Alive"),
        pytest.param(b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", False, id="1.0 both"),
        pytest.param(G + H + b"Proxy-Connection: close\r\n", True, id="1.1 Proxy-Connection"),
        pytest.param(
            b"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n", False, id="1.0 Proxy-Connection"
        ),
    ],
)
def test_connection_is_kept_as_asked(serve_app, app, head, kept):
    client = serve_app(app).connect().send(head + E)
    answer = client.answer()
    assert answer.will_close is not kept
    if kept:
        assert client.send(head + E).answer().body == b"2"
    else:
        assert client.rest() == b""


def test_pipelined_requests_are_answered_in_order(serve_app, app, calls):
    client = serve_app(app).connect()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(50)))
    assert [client.answer().body for _ in range(50)] == [b"%d" % n for n in range(1, 51)]
    assert [path for _, path, _ in calls] == [f"/{n}" for n in range(50)]


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        pytest.param(G + H + b"Proxy-Connection: close\r\n", True, id="1.1"),
        pytest.param(b"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n", False, id="1.0"),
    ],
)
def test_proxy_connection_has_no_part_in_what_follows(serve_app, app, first, kept):
    answer = serve_app(app).talk(first + E + G + H + E + NEXT)
    assert answer.count(b" 200 OK") == (3 if kept else 1)
    assert b" 400 " not in answer


def test_good_requests_before_a_bad_one_are_answered(serve_app, app):
    answer = serve_app(app).talk(G + H + E + G + H + E + b"nonsense\r\n\r\n")
    assert answer.count(b" 200 OK") == 2
    assert answer.count(b" 400 Bad Request") == 1


def test_nothing_after_a_closing_request_is_served(serve_app, app, calls):
    serve_app(app).talk(G + H + C + E + G + H + E)
    assert len(calls) == 1


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_unread_body_is_not_taken_for_a_request(serve_app, coding):
    paths = []

    def app(environ, start_response):
        paths.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "0")])
        return []

    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    if coding == "length":
        data = P + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        data = P + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    client = serve_app(app, request_body_buffer=0).connect().send(data)
    client.answer()
    client.send(b"GET /next HTTP/1.1\r\nHost: a\r\n" + C + E).answer()
    assert paths == ["/", "/next"]


def test_long_unread_body_ends_the_connection(serve_app):
    def app(environ, start_response):
        start_response("403 Forbidden", [])
        return [b"no"]

    client = serve_app(app).connect().send(P + b"Content-Length: 10000000\r\n\r\n" + b"a" * 100_000)
    answer = client.answer()
    assert (answer.status, answer.will_close) == (403, True)
    assert client.rest() == b""


def test_unread_chunks_without_end_end_the_connection(serve_app):
    def app(environ, start_response):
        start_response("403 Forbidden", [("Content-Length", "0")])
        return []

    client = serve_app(app, request_body_buffer=0).connect()
    client.send(P + b"Transfer-Encoding: chunked\r\n\r\n")
    assert client.answer().status == 403
    client.send(b"10000\r\n" + b"a" * 65536 + b"\r\n10000\r\n" + b"a" * 100)
    assert client.rest() == b""


def test_requests_that_come_together_again_and_again_stay_apart(serve_app, app, calls):
    client = serve_app(app).connect()
    for _ in range(3):
        client.send(b"GET /1 HTTP/1.1\r\n" + H + E + b"GET /2 HTTP/1.1\r\n" + H + E)
        assert [client.answer().status for _ in range(2)] == [200, 200]
    assert [path for _, path, _ in calls] == ["/1", "/2"] * 3


def test_request_as_before_is_part_of_the_head_that_has_begun(feed, answers):
    again = G + H + E
    assert feed([again, again, b"G", again]) == [("GET", "/", b"")] * 2
    assert answers[2].startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize("buffer", [0, 65536], ids=["streamed", "collected"])
def test_connection_ends_when_the_framing_of_a_body_is_lost(serve_app, buffer):
    began = threading.Event()

    def app(environ, start_response):
        began.set()
        with contextlib.suppress(ClientError):
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"never mind"]

    client = serve_app(app, request_body_buffer=buffer).connect()
    client.send(P + TE + E + b"5\r\nhello\r\n")
    assert buffer or began.wait(10)
    answer = client.send(b"nonsense\r\n" + G + H + E).answer()
    assert (answer.status, answer.will_close) == (200 if buffer == 0 else 400, True)
    assert client.rest() == b""


def test_client_that_sent_all_and_half_closed_is_answered(serve_app, app):
    client = serve_app(app).connect().send(G + H + E)
    client.sock.shutdown(socket.SHUT_WR)
    assert client.answer().body == b"1"
    assert client.rest() == b""
