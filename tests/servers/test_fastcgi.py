"""FastCGI as a web server speaks it (FastCGI Specification 1.0), in records."""

from __future__ import annotations

import socket
import struct
import threading
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers import Options
from cptoolkit.servers.errors import BadRequest
from cptoolkit.servers.exchange import Site
from cptoolkit.servers.fastcgi import (
    ABORT_REQUEST,
    BEGIN_REQUEST,
    END_REQUEST,
    GET_VALUES,
    GET_VALUES_RESULT,
    PARAMS,
    STDIN,
    STDOUT,
    UNKNOWN_TYPE,
    FastCGI,
    FastCGIExchange,
    dump_pairs,
    dump_record,
    parse_pairs,
)

DONE, CANT_MPX_CONN, UNKNOWN_ROLE = (struct.pack(">IB3x", 0, status) for status in (0, 1, 3))
ANSWER = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n"


def begin(number=1, role=1, keep=True):
    return dump_record(BEGIN_REQUEST, number, struct.pack(">HB5x", role, keep))


def params(*pairs, number=1):
    text = dump_pairs([(name.encode(), value.encode("latin-1")) for name, value in pairs])
    return (dump_record(PARAMS, number, text) if text else b"") + dump_record(PARAMS, number)


def request(*pairs, body=b"", number=1, method="GET", keep=True):
    """A whole request."""
    stdin = dump_record(STDIN, number, body) if body else b""
    return b"".join(
        [
            begin(number, keep=keep),
            params(("REQUEST_METHOD", method), *pairs, number=number),
            stdin,
            dump_record(STDIN, number),
        ]
    )


def records(data):
    """Type, request id and content of each record in ``data``."""
    found = []
    while data:
        version, kind, number, size, padding = struct.unpack(">BBHHBx", data[:8])
        assert version == 1
        found.append((kind, number, data[8 : 8 + size]))
        data = data[8 + size + padding :]
    return found


def next_record(client):
    head = client.file.read(8)
    _, kind, number, size, padding = struct.unpack(">BBHHBx", head)
    content = client.file.read(size)
    client.file.read(padding)
    return kind, number, content


def answer(client, number=1):
    """What a request is answered with."""
    text = b""
    while (record := next_record(client))[0] != END_REQUEST:
        assert record[:2] == (STDOUT, number)
        text += record[2]
    assert record == (END_REQUEST, number, DONE)
    return text


@pytest.fixture
def fastcgi(serve_app, app):
    """Return a function that serves ``app``, with options, over FastCGI."""
    return lambda **options: serve_app(app, protocol="fastcgi", **options)


# -- requests ------------------------------------------------------------------------------------


def test_requests_on_a_kept_connection_are_answered_in_order(fastcgi, calls):
    client = fastcgi().connect()
    for number, text in enumerate((b"1", b"2", b"3"), 7):
        client.send(request(("PATH_INFO", "/a"), body=b"hi", number=number, method="POST"))
        assert answer(client, number) == ANSWER + text
    assert calls == [("POST", "/a", b"hi")] * 3


def test_connection_is_closed_if_the_web_server_does_not_want_it(fastcgi):
    data = fastcgi().talk(request(keep=False))
    assert records(data) == [(STDOUT, 1, ANSWER + b"1"), (STDOUT, 1, b""), (END_REQUEST, 1, DONE)]


def test_connection_is_closed_if_none_are_to_be_kept(fastcgi):
    assert records(fastcgi(keep_alive_timeout=0).talk(request()))[-1] == (END_REQUEST, 1, DONE)


def test_idle_connection_is_closed_in_time(fastcgi):
    assert records(fastcgi(keep_alive_timeout=0.05).talk(request()))[-1] == (END_REQUEST, 1, DONE)


def test_stream_that_does_not_tell_its_length_is_a_body(fastcgi, calls):
    parts = [dump_record(STDIN, 1, part) for part in (b"a", b"bc", b"")]
    client = fastcgi().connect()
    client.send(begin() + params(("REQUEST_METHOD", "PUT")) + b"".join(parts))
    answer(client)
    assert calls == [("PUT", "", b"abc")]


def test_padding_is_skipped(fastcgi):
    padded = struct.pack(">BBHHBx", 1, STDIN, 1, 0, 5) + b"xxxxx"
    client = fastcgi().connect().send(begin() + params(("REQUEST_METHOD", "GET")) + padded)
    assert answer(client) == ANSWER + b"1"


def test_long_answers_fill_several_records(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "a/b")])
        return [b"x" * 150_000]

    data = records(serve_app(app, protocol="fastcgi").talk(request(keep=False)))
    text = b"".join(content for kind, _, content in data if kind == STDOUT)
    assert text.partition(b"\r\n\r\n")[2] == b"x" * 150_000
    assert max(len(content) for _, _, content in data) % 8 == 0


def test_each_block_of_a_stream_goes_out_at_once(serve_app):
    gate = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "a/b")])
        yield b"1"
        assert gate.wait(10)
        yield b"2"

    client = serve_app(app, protocol="fastcgi").connect().send(request())
    assert next_record(client)[2].endswith(b"\r\n\r\n1")
    gate.set()
    assert answer(client) == b"2"


def test_application_that_fails_in_its_answer_leaves_it_without_end(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "a/b")])
        yield b"1"
        raise ValueError("so it goes")

    client = serve_app(app, protocol="fastcgi").connect().send(request())
    assert next_record(client)[2].endswith(b"\r\n\r\n1")
    with pytest.raises(ConnectionResetError):
        client.rest()


def test_long_bodies_are_streamed(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        read = environ["wsgi.input"].read
        yield read(1)
        yield read()[-1:]

    client = serve_app(app, protocol="fastcgi", request_body_buffer=10).connect()
    client.send(begin() + params(("REQUEST_METHOD", "PUT")) + dump_record(STDIN, 1, b"a" * 100))
    assert next_record(client)[2].endswith(b"\r\n\r\na")
    client.send(dump_record(STDIN, 1, b"z") + dump_record(STDIN, 1))
    assert answer(client) == b"z"


def test_slow_bodies_are_collected_without_a_thread(fastcgi, calls):
    served = fastcgi(request_body_buffer=10, stream_rate=10**9, thread_pool=1)
    head = begin() + params(("REQUEST_METHOD", "PUT"))
    slow = [served.connect().send(head) for _ in range(3)]
    assert answer(served.connect().send(request())) == ANSWER + b"1"
    for client in slow:
        client.send(dump_record(STDIN, 1, b"a" * 99))
    assert answer(served.connect().send(request())) == ANSWER + b"2"
    for client in slow:
        assert answer(client.send(dump_record(STDIN, 1))).startswith(ANSWER)
    assert [body for _, _, body in calls] == [b"", b"", *[b"a" * 99] * 3]


@pytest.fixture
def collecting(fastcgi):
    """A connection whose request's body is in a temporary file, as far as it has come."""
    served = fastcgi(
        request_body_buffer=10, stream_rate=10**9, max_request_body_size=1000, thread_pool=1
    )
    client = served.connect().send(begin() + params(("REQUEST_METHOD", "PUT")))
    answer(served.connect().send(request()))
    client.send(dump_record(STDIN, 1, b"a" * 99))
    answer(served.connect().send(request()))
    return client


def test_body_that_gets_too_long_while_it_is_collected_is_refused(collecting, calls):
    assert answer(collecting.send(dump_record(STDIN, 1, bytes(902)))).startswith(b"Status: 413 ")
    assert collecting.rest() == b""
    assert len(calls) == 2


def test_request_given_up_while_it_is_collected_is_dropped(collecting, calls):
    collecting.send(dump_record(ABORT_REQUEST, 1))
    assert next_record(collecting) == (END_REQUEST, 1, DONE)
    assert len(calls) == 2
    assert answer(collecting.send(request())) == ANSWER + b"3"


# -- requests that cannot be served --------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(begin() + params(), "400 Bad Request", id="no method"),
        pytest.param(
            begin() + dump_record(PARAMS, 1, b"\x09\x00a") + dump_record(PARAMS, 1),
            "400 Bad Request",
            id="a name that is cut off",
        ),
        pytest.param(
            begin() + dump_record(PARAMS, 1, b"\x80\x00") + dump_record(PARAMS, 1),
            "400 Bad Request",
            id="a length that is cut off",
        ),
        pytest.param(
            begin() + dump_record(STDIN, 1, b"a"), "400 Bad Request", id="a body before variables"
        ),
        pytest.param(
            begin() + dump_record(STDOUT, 1, b"a"), "400 Bad Request", id="a record of our own"
        ),
        pytest.param(begin() + begin(), "400 Bad Request", id="begun twice"),
        pytest.param(
            request(("CONTENT_LENGTH", "2"), body=b"abc"), "400 Bad Request", id="a longer body"
        ),
        pytest.param(
            request(("CONTENT_LENGTH", "4"), body=b"abc"), "400 Bad Request", id="a shorter body"
        ),
        pytest.param(
            request(("X", "x" * 2000)),
            "431 Request Header Fields Too Large",
            id="more variables than allowed",
        ),
        pytest.param(
            begin() + params(("REQUEST_METHOD", "PUT"), ("CONTENT_LENGTH", "1001")),
            "413 Content Too Large",
            id="a longer body than allowed, promised",
        ),
        pytest.param(
            begin() + params(("REQUEST_METHOD", "PUT")) + dump_record(STDIN, 1, bytes(1001)),
            "413 Content Too Large",
            id="a longer body than allowed, sent",
        ),
        pytest.param(
            request(("REQUEST_URI", "/" + "x" * 500)),
            "414 URI Too Long",
            id="a longer target than allowed",
        ),
    ],
)
def test_bad_requests_are_refused(fastcgi, calls, data, status):
    limits = {"max_request_body_size": 1000, "max_request_header_size": 1000}
    served = fastcgi(max_request_line_size=500, **limits)
    stdout, *end = records(served.talk(data))
    assert stdout[2].startswith(f"Status: {status}\r\n".encode())
    assert end == [(STDOUT, 1, b""), (END_REQUEST, 1, DONE)]
    assert calls == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP"),
        pytest.param(dump_record(BEGIN_REQUEST, 1, b"short"), id="a record of the wrong size"),
        pytest.param(dump_record(GET_VALUES, 0, b"\x09\x00a"), id="a question that is cut off"),
    ],
)
def test_who_speaks_no_fastcgi_is_hung_up_on(fastcgi, calls, data):
    served = fastcgi()
    assert served.talk(data) == b""
    [(level, message)] = served.logged
    assert level == "WARNING"
    assert message.startswith("a connection was dropped: ")


def test_second_request_at_a_time_is_refused_and_the_first_goes_on(fastcgi):
    client = fastcgi().connect()
    client.send(begin(1) + request(number=2) + request(number=3)[:16])
    assert next_record(client) == (END_REQUEST, 2, CANT_MPX_CONN)
    assert next_record(client) == (END_REQUEST, 3, CANT_MPX_CONN)
    client.send(params(("REQUEST_METHOD", "GET")) + dump_record(STDIN, 1))
    assert answer(client) == ANSWER + b"1"


@pytest.mark.parametrize("role", [2, 3, 99], ids=["authorizer", "filter", "unheard of"])
def test_other_roles_are_refused(fastcgi, calls, role):
    client = fastcgi().connect().send(begin(4, role) + params(number=4))
    assert next_record(client) == (END_REQUEST, 4, UNKNOWN_ROLE)
    assert answer(client.send(request())) == ANSWER + b"1"
    assert records(fastcgi().talk(begin(4, role, keep=False))) == [(END_REQUEST, 4, UNKNOWN_ROLE)]


def test_head_that_takes_too_long_gets_408(fastcgi, calls):
    [client] = fastcgi(early=begin(), header_timeout=0.1).clients
    [stdout, *_] = records(client.rest())
    assert stdout[2].startswith(b"Status: 408 Request Timeout\r\n")
    assert calls == []


def test_body_that_stops_coming_gets_408(fastcgi, calls):
    data = begin() + params(("REQUEST_METHOD", "PUT"))
    [stdout, *_] = records(fastcgi(socket_timeout=0.05).talk(data))
    assert stdout[2].startswith(b"Status: 408 Request Timeout\r\n")
    assert calls == []


def test_beginning_of_a_record_is_not_waited_for_for_ever(fastcgi):
    assert fastcgi(header_timeout=0.05).talk(begin()[:3]) == b""


def test_half_a_request_reaches_no_application(fastcgi, calls):
    client = fastcgi().connect().send(begin() + params(("REQUEST_METHOD", "PUT")))
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    assert calls == []


# -- requests that are given up ------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(begin(), id="before the variables"),
        pytest.param(begin() + params(("REQUEST_METHOD", "PUT")), id="before the body"),
        pytest.param(request(), id="complete"),
    ],
)
def test_request_given_up_before_its_answer_is_dropped(fastcgi, calls, sent):
    client = fastcgi().connect().send(sent + dump_record(ABORT_REQUEST, 1))
    assert next_record(client) == (END_REQUEST, 1, DONE)
    assert calls == []
    assert answer(client.send(request())) == ANSWER + b"1"


def test_request_given_up_without_a_kept_connection_ends_it(fastcgi):
    data = fastcgi().talk(begin(keep=False) + dump_record(ABORT_REQUEST, 1))
    assert records(data) == [(END_REQUEST, 1, DONE)]


def test_application_that_reads_hears_of_a_request_given_up(serve_app):
    raised = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        environ["wsgi.input"].read(1)
        started.set()
        try:
            environ["wsgi.input"].read()
        except BadRequest as exc:
            raised.append(str(exc))
            raise

    started = threading.Event()
    client = serve_app(app, protocol="fastcgi", request_body_buffer=1).connect()
    client.send(begin() + params(("REQUEST_METHOD", "PUT")) + dump_record(STDIN, 1, b"ab"))
    assert started.wait(10)
    assert answer(client.send(dump_record(ABORT_REQUEST, 1))).startswith(b"Status: 400 ")
    assert raised == ["The web server has given the request up."]


# -- questions about the server ------------------------------------------------------------------


def asked(*names):
    return dump_record(GET_VALUES, 0, dump_pairs([(name, b"") for name in names]))


def test_server_tells_that_it_does_not_multiplex(fastcgi):
    client = fastcgi().connect().send(asked(b"FCGI_MPXS_CONNS", b"FCGI_MAX_CONNS", b"X"))
    kind, number, content = next_record(client)
    assert (kind, number) == (GET_VALUES_RESULT, 0)
    assert parse_pairs(content) == [(b"FCGI_MPXS_CONNS", b"0")]


def test_server_tells_how_many_connections_it_takes(fastcgi):
    client = fastcgi(max_connections=7).connect()
    client.send(asked(b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS"))
    expected = [(b"FCGI_MAX_CONNS", b"7"), (b"FCGI_MAX_REQS", b"7")]
    assert parse_pairs(next_record(client)[2]) == expected


def test_unknown_questions_are_told_to_be_unknown(fastcgi):
    client = fastcgi().connect().send(dump_record(99, 0, b"what"))
    assert next_record(client) == (UNKNOWN_TYPE, 0, struct.pack("B7x", 99))


def test_questions_are_answered_in_the_middle_of_a_request(fastcgi):
    client = fastcgi().connect().send(begin() + asked(b"FCGI_MPXS_CONNS"))
    assert next_record(client)[0] == GET_VALUES_RESULT
    client.send(params(("REQUEST_METHOD", "GET")) + dump_record(STDIN, 1))
    assert answer(client) == ANSWER + b"1"


# -- any bytes -----------------------------------------------------------------------------------


class Noting(FastCGIExchange):
    """Sends nothing, and notes what it was to answer."""

    def answer(self):
        self.conn.seen.append((self.request_id, self.variables, self.body.read()))

    def refuse(self, status, reason):
        assert status.startswith("4")
        self.keep_alive = False


def understood(pieces):
    """What FastCGI makes of bytes that come in ``pieces``, and what it replies."""
    conn = SimpleNamespace(seen=[], open=True, unsent=False, opened=0.0, deadline=0.0, sent=b"")
    conn.engine = SimpleNamespace(patience=float)
    conn.finish = lambda linger: setattr(conn, "open", False)
    conn.send = lambda data: setattr(conn, "sent", conn.sent + data)
    site = Site(options=Options(), log=lambda *what: None)
    site.exchange = Noting
    protocol = FastCGI(conn, site)
    protocol.framing = Noting
    for piece in pieces:
        if conn.open:
            protocol.feed(piece)
        while protocol.requests:
            protocol.answer()
    return conn.seen, conn.sent


def test_records_may_be_cut_anywhere():
    data = dump_record(99, 0) + begin(2, role=2)
    data += request(("A", "b" * 200), body=b"hi", method="PUT")
    seen, replies = expected = understood([data])
    assert seen == [(1, {"REQUEST_METHOD": "PUT", "A": "b" * 200}, b"hi")]
    assert [kind for kind, _, _ in records(replies)] == [UNKNOWN_TYPE, END_REQUEST]
    for cut in range(1, len(data)):
        assert understood([data[:cut], data[cut:]]) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=4))
def test_no_bytes_upset_the_server(garbage, cuts):
    data = request(("A", "b"))[:60] + garbage
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    understood([data[a:b] for a, b in pairwise(edges) if a < b])


short = st.binary(max_size=10)
long = st.integers(127, 300).map(bytes)


@given(st.lists(st.tuples(short | long, short | long)))
def test_pairs_are_parsed_as_they_were_dumped(pairs):
    assert parse_pairs(dump_pairs(pairs)) == pairs


@given(st.binary(max_size=50))
def test_any_pairs_are_parsed_or_refused(data):
    try:
        pairs = parse_pairs(data)
    except BadRequest:
        return
    assert len(dump_pairs(pairs)) <= len(data)
