"""Raw requests and what becomes of them (RFC 9112 unless another one is named)."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

G = b"GET / HTTP/1.1\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
H = b"Host: a\r\n"
C = b"Connection: close\r\n"
E = b"\r\n"
CHUNKED = P + C + b"Transfer-Encoding: chunked\r\n\r\n"


def case(name, data, status=400):
    return pytest.param(data, status, id=name)


def line(text):
    return text + b"\r\n" + H + E


BAD_LINES = [
    case("3: lower-case method", line(b"get / HTTP/1.1"), 501),
    case("3.1: unknown method", line(b"BREW / HTTP/1.1"), 501),
    case("3.1: method is no token", line(b"G{T / HTTP/1.1")),
    case("3.1: CONNECT", line(b"CONNECT a:80 HTTP/1.1"), 501),
    case("3: two spaces", line(b"GET  / HTTP/1.1")),
    case("3: two spaces before the version", line(b"GET /  HTTP/1.1")),
    case("3: tab", line(b"GET\t/ HTTP/1.1")),
    case("3: leading space", line(b" GET / HTTP/1.1")),
    case("3: trailing space", line(b"GET / HTTP/1.1 ")),
    case("3: no version", line(b"GET /")),
    case("3: only a method", line(b"GET")),
    case("2.3: version in lower case", line(b"GET / http/1.1")),
    case("2.3: two-digit version", line(b"GET / HTTP/1.10")),
    case("2.3: no dot", line(b"GET / HTTP/11")),
    case("2.3: HTTP/1.2", line(b"GET / HTTP/1.2")),
    case("2.3: HTTP/2.0", line(b"GET / HTTP/2.0"), 505),
    case("2.3: HTTP/0.9", line(b"GET / HTTP/0.9"), 505),
    case("2.3: another protocol", line(b"GET / RTSP/1.0")),
    case("2.3: HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    case("2.2: bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    case("3.2: space in target", line(b"GET /a b HTTP/1.1")),
    case("3.2: non-ASCII target", line(b"GET /\xe9 HTTP/1.1")),
    case("3.2: control in target", line(b"GET /\x01 HTTP/1.1")),
    case("3.2: NUL in target", line(b"GET /\0 HTTP/1.1")),
    case("3.2: fragment", line(b"GET /a#b HTTP/1.1")),
    case("3.2: relative target", line(b"GET a HTTP/1.1")),
    case("3.2: empty target", line(b"GET  HTTP/1.1")),
    case("3.2.2: other scheme", line(b"GET ftp://a/ HTTP/1.1")),
    case("3.2.2: userinfo (9110, 4.2.4)", line(b"GET http://u:p@a/ HTTP/1.1")),
    case("3.2.2: no authority", line(b"GET http:///a HTTP/1.1")),
    case("3.2.2: port without host", line(b"GET http://:80/a HTTP/1.1")),
    case("3.2.2: odd port", line(b"GET http://a:b/ HTTP/1.1")),
    case("3.2.4: * for GET", line(b"GET * HTTP/1.1")),
    case("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)),
]

BAD_FIELDS = [
    case("3.2: no Host", G + E),
    case("3.2: Host twice", G + H + H + E),
    case("3.2: Host with path", G + b"Host: a/b\r\n\r\n"),
    case("3.2: Host with user", G + b"Host: u@a\r\n\r\n"),
    case("3.2: Host with space", G + b"Host: a b\r\n\r\n"),
    case("3.2: Host list", G + b"Host: a, b\r\n\r\n"),
    case("3.2: Host with odd port", G + b"Host: a:x\r\n\r\n"),
    case("5: bare LF after a field", G + b"Host: a\nX: b\r\n\r\n"),
    case("5: bare LF at the end", G + H + b"\n"),
    case("2.2: bare CR in a value", G + H + b"X: a\rb\r\n\r\n"),
    case("5.1: space before the colon", G + b"Host : a\r\n\r\n"),
    case("5.1: tab before the colon", G + b"Host\t: a\r\n\r\n"),
    case("5.1: no colon", G + H + b"abc\r\n\r\n"),
    case("5.1: empty name", G + H + b": a\r\n\r\n"),
    case("5.1: name is no token", G + H + b"X(y: a\r\n\r\n"),
    case("5.1: name with space", G + H + b"X y: a\r\n\r\n"),
    case("5.1: non-ASCII name", G + H + b"\xe9x: a\r\n\r\n"),
    case("5.2: folded line", G + H + b"X: a\r\n b\r\n\r\n"),
    case("5.2: folded with tab", G + H + b"X: a\r\n\tb\r\n\r\n"),
    case("5.2: fold before the first field", G + b" Host: a\r\n\r\n"),
    case("9110, 5.5: NUL in a value", G + H + b"X: a\0b\r\n\r\n"),
    case("9110, 5.5: control in a value", G + H + b"X: a\x01b\r\n\r\n"),
    case("9110, 5.5: DEL in a value", G + H + b"X: a\x7fb\r\n\r\n"),
    case("9110, 10.1.1: other expectation", G + H + b"Expect: 200-ok\r\n\r\n", 417),
]

BAD_LENGTHS = [
    *[
        case(f"6.2: Content-Length {text.decode()!r}", P + b"Content-Length: " + text + E + E)
        for text in (b"+5", b"-5", b"1_0", b"0x5", b"5,5", b"5, 5", b"5 5", b"5;a", b"", b"1e1")
    ],
    case("6.2: length too big to be one", P + b"Content-Length: %d\r\n\r\n" % 10**20),
    case("6.3: same length twice", P + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    case("6.3: two lengths", P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    case(
        "6.3: length, then coding", P + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    case(
        "6.3: coding, then length", P + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
    ),
    case("6.1: chunked twice", P + b"Transfer-Encoding: chunked\r\n" * 2 + E),
    *[
        case(f"6.1: coding {text.decode()!r}", P + b"Transfer-Encoding: " + text + E + E, status)
        for text, status in [
            (b"gzip, chunked", 501),
            (b"chunked, gzip", 400),
            (b"chunked, chunked", 400),
            (b"identity", 501),
            (b"gzip", 501),
            (b"xchunked", 501),
            (b",chunked", 501),
            (b"chunked;q=1", 501),
            (b'"chunked"', 501),
            (b"\x0bchunked", 400),
            (b"", 400),
        ]
    ],
    case("6.1: coding in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
]

BAD_CHUNKS = [
    case(f"7.1: {data!r}", CHUNKED + data)
    for data in (
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"1_0\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5\thello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5;a\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\x00\r\nhello\r\n0\r\n\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\r\nT : x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    )
]


@pytest.mark.parametrize(("data", "status"), [*BAD_LINES, *BAD_FIELDS, *BAD_LENGTHS, *BAD_CHUNKS])
def test_bad_request_is_refused_and_the_server_goes_on(serve_app, app, calls, data, status):
    served = serve_app(app)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = served.talk(data + smuggled)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    assert b"Traceback" not in answer
    assert served.get("/after").status == 200
    assert [path for _, path, _ in calls] == ["/after"]


GOOD = [
    case("2.2: empty lines before the request", E + E + G + H + C + E, b"GET / "),
    case("3.2: Host may be empty", G + b"Host:\r\n" + C + E, b"GET / "),
    case("3.2: Host with port", G + b"Host: a.example:80\r\n" + C + E, b"GET / "),
    case("3.2: Host is IPv6", G + b"Host: [::1]:80\r\n" + C + E, b"GET / "),
    case("3.2: no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", b"GET / "),
    case("3.2.2: absolute-form", b"GET http://b/x?y HTTP/1.1\r\n" + H + C + E, b"GET /x "),
    case("3.2.2: absolute, no path", b"GET http://b?y HTTP/1.1\r\n" + H + C + E, b"GET / "),
    case("3.2.4: asterisk-form", b"OPTIONS * HTTP/1.1\r\n" + H + C + E, b"OPTIONS  "),
    case("5: space around a value", G + b"Host: \t a \t \r\n" + C + E, b"GET / "),
    case("5.5: obs-text", G + H + C + b"X: \xe9\r\n\r\n", b"GET / "),
    case(
        "6.2: zeros before the length", P + C + b"Content-Length: 005\r\n\r\nhello", b"POST / hello"
    ),
    case("6.3: body of a GET", G + H + C + b"Content-Length: 5\r\n\r\nhello", b"GET / hello"),
    case(
        "6.1: coding in capitals",
        CHUNKED.replace(b"chunked", b"Chunked") + b"0\r\n\r\n",
        b"POST / ",
    ),
    case("7.1: chunks", CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"POST / hello"),
    case("7.1.1: extension", CHUNKED + b'5;a=b;c="d"\r\nhello\r\n00\r\n\r\n', b"POST / hello"),
    case(
        "7.1.2: trailers", CHUNKED + b"5\r\nhello\r\n0\r\nHost: b\r\nX: y\r\n\r\n", b"POST / hello"
    ),
    case("9110, 9: registered method", b"PROPFIND / HTTP/1.1\r\n" + H + C + E, b"PROPFIND / "),
]


@pytest.mark.parametrize(("data", "seen"), GOOD)
def test_good_request_is_understood(serve_app, app, calls, data, seen):
    answer = serve_app(app).talk(data)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [f"{m} {p} {b.decode()}" for m, p, b in calls] == [seen.decode()]


UPGRADE = b"Connection: upgrade\r\nUpgrade: h2c\r\n"


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        pytest.param(G + H + UPGRADE + E + G + H + C + E, [b"", b""], id="no body"),
        pytest.param(P + UPGRADE + b"Content-Length: 5\r\n\r\nhello", [b"hello"], id="length"),
        pytest.param(
            P + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            [b"hello"],
            id="chunks",
        ),
    ],
)
def test_upgrade_is_ignored_and_its_body_framed(serve_app, app, calls, data, seen):
    answer = serve_app(app).talk(data)
    assert [body for _, _, body in calls] == seen
    assert answer.count(b"HTTP/1.1 200 OK") == len(seen)


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        case("14.4: target", b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n", 414),
        case("target of a short head", line(b"GET /" + b"a" * 2000 + b" HTTP/1.1"), 414),
        case("one long field", G + H + b"X: " + b"a" * 5000 + E + E, 431),
        case("one long field, unfinished", G + H + b"X: " + b"a" * 9000, 431),
        case("many fields", G + H + b"X: abcdefgh\r\n" * 500 + E, 431),
        case("length", P + b"Content-Length: 5001\r\n\r\n", 413),
        case("chunks", CHUNKED + b"1000\r\n" + b"a" * 4096 + b"\r\n1000\r\n" + b"a" * 4096, 413),
    ],
)
def test_too_much_is_refused(serve_app, app, calls, data, status):
    served = serve_app(
        app,
        max_request_line_size=1000,
        max_request_header_size=4000,
        max_request_body_size=5000,
    )
    assert served.talk(data).startswith(b"HTTP/1.1 %d " % status)
    assert calls == []


def test_sizes_at_the_limit_pass(serve_app, app, calls):
    served = serve_app(
        app, max_request_line_size=100, max_request_header_size=200, max_request_body_size=300
    )
    head = b"POST /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 300\r\n" % (
        b"a" * 99
    )
    room = 200 - sum(len(text) + 2 for text in head.split(b"\r\n")[1:-1])
    client = served.connect().send(head + b"X: " + b"b" * (room - 5) + E + E + b"c" * 300)
    assert client.answer().status == 200
    assert calls[0][2] == b"c" * 300


# -- connections --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", True, id="1.1"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n", False, id="1.1 Close"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n", False, id="list"),
        pytest.param(b"GET / HTTP/1.0\r\n", False, id="1.0"),
        pytest.param(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True, id="1.0 Keep-Alive"),
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


@pytest.mark.parametrize("buffer", [0, 65536], ids=["streamed", "buffered"])
@pytest.mark.parametrize(
    ("begin", "end"),
    [
        pytest.param(b"1\r\nx\r\n0\r\nT: ", b"\r\n\r\n", id="trailer"),
        pytest.param(b"1;", b"\r\nx\r\n0\r\n\r\n", id="extension"),
    ],
)
def test_framing_of_chunks_has_the_limit_of_a_head(serve_app, app, calls, begin, end, buffer):
    served = serve_app(app, request_body_buffer=buffer, max_request_header_size=1000)
    client = served.connect().send(P + b"Transfer-Encoding: chunked\r\n\r\n" + begin)
    with contextlib.suppress(ConnectionError):
        for _ in range(300):
            client.send(b"a" * 1000)
        assert client.send(end).answer().status == 400
    assert calls == []


def test_framing_within_the_limit_passes(feed):
    pieces = [P + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"a" * 900, b"a" * 90]
    pieces += [b"\r\nx", b"\r\n1;" + b"a" * 900, b"\r\ny\r\n0\r\nT:", b"a" * 900, E + E]
    assert feed(pieces, max_request_header_size=1000) == [("POST", "/", b"xy")]


def test_requests_that_come_together_again_and_again_stay_apart(serve_app, app, calls):
    client = serve_app(app).connect()
    for _ in range(3):
        client.send(b"GET /1 HTTP/1.1\r\n" + H + E + b"GET /2 HTTP/1.1\r\n" + H + E)
        assert [client.answer().status for _ in range(2)] == [200, 200]
    assert [path for _, path, _ in calls] == ["/1", "/2"] * 3


def test_client_that_sent_all_and_half_closed_is_answered(serve_app, app):
    client = serve_app(app).connect().send(G + H + E)
    client.sock.shutdown(1)
    assert client.answer().body == b"1"
    assert client.rest() == b""


STREAM = (
    G
    + H
    + E
    + b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: \r\n\r\nhello"
    + b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"
    + b"GET /c?d HTTP/1.1\r\nHost: a\r\n\r\n"
    + b"GET /e HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
)
EXPECTED = [
    ("GET", "/", b""), ("POST", "/a", b"hello"), ("POST", "/b", b"abcde"),
    ("GET", "/c", b""), ("GET", "/e", b""),
]  # fmt: skip


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cuts=st.lists(st.integers(1, len(STREAM) - 1), max_size=6), buffer=st.booleans())
def test_cuts_anywhere_change_nothing(feed, cuts, buffer):
    edges = [0, *sorted(set(cuts)), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert feed(pieces, request_body_buffer=65536 * buffer) == EXPECTED


def test_every_single_cut_changes_nothing(feed):
    for cut in range(1, len(STREAM)):
        assert feed([STREAM[:cut], STREAM[cut:]]) == EXPECTED
    assert feed([bytes([byte]) for byte in STREAM]) == EXPECTED


PARTS = [G, H, P, C, E, CHUNKED, b"5\r\nhello\r\n", b"0\r\n\r\n", b"Content-Length: 5\r\n"]


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=20), max_size=8))
def test_no_bytes_raise(feed, pieces):
    feed(pieces)
