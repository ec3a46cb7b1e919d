"""SCGI as a web server speaks it (python.ca/scgi/protocol.txt), in raw bytes."""

from __future__ import annotations

import socket
import threading
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers import Options
from cptoolkit.servers.cgi import CGIExchange
from cptoolkit.servers.exchange import Site
from cptoolkit.servers.scgi import SCGI

EXAMPLE = (  # from the specification
    b"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00"
    b"REQUEST_URI\x00/deepthought\x00,What is the answer to life?"
)


def request(*pairs, body=b"", method="GET"):
    """A request as a web server sends it."""
    variables = [("CONTENT_LENGTH", str(len(body))), ("SCGI", "1"), ("REQUEST_METHOD", method)]
    head = b"".join(f"{name}\0{value}\0".encode("latin-1") for name, value in (*variables, *pairs))
    return b"%d:%b,%b" % (len(head), head, body)


@pytest.fixture
def scgi(serve_app, app):
    """Return a function that serves ``app``, with options, over SCGI."""
    return lambda **options: serve_app(app, protocol="scgi", **options)


def test_the_example_of_the_specification(scgi, calls):
    assert scgi().talk(EXAMPLE) == (
        b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n1"
    )
    assert calls == [("POST", "/deepthought", b"What is the answer to life?")]


def test_what_follows_the_body_is_no_second_request(scgi, calls):
    scgi().talk(EXAMPLE + EXAMPLE)
    assert len(calls) == 1


def test_a_client_that_sends_no_more_gets_its_answer(scgi):
    client = scgi().connect().send(EXAMPLE)
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest().startswith(b"Status: 200 OK")


def netstring(head):
    return b"%d:%b," % (len(head), head)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", id="HTTP"),
        pytest.param(b":,", "400 Bad Request", id="no size"),
        pytest.param(b"+70" + EXAMPLE[2:], "400 Bad Request", id="a sign"),
        pytest.param(b"070" + EXAMPLE[2:], "400 Bad Request", id="a leading zero"),
        pytest.param(b"7 0:", "400 Bad Request", id="a blank in the size"),
        pytest.param(b"1234567890", "400 Bad Request", id="endless digits"),
        pytest.param(b"0:,", "400 Bad Request", id="nothing in it"),
        pytest.param(EXAMPLE.replace(b",", b";"), "400 Bad Request", id="no comma"),
        pytest.param(netstring(b"CONTENT_LENGTH\x000\0SCGI\x001"), "400 Bad Request", id="no NUL"),
        pytest.param(netstring(b"CONTENT_LENGTH\0"), "400 Bad Request", id="a name alone"),
        pytest.param(
            netstring(b"SCGI\x001\0CONTENT_LENGTH\x000\0REQUEST_METHOD\0GET\0"),
            "400 Bad Request",
            id="length not first",
        ),
        pytest.param(
            netstring(b"CONTENT_LENGTH\0\0SCGI\x001\0REQUEST_METHOD\0GET\0"),
            "400 Bad Request",
            id="length empty",
        ),
        pytest.param(
            netstring(b"CONTENT_LENGTH\x00-1\0SCGI\x001\0REQUEST_METHOD\0GET\0"),
            "400 Bad Request",
            id="length negative",
        ),
        pytest.param(
            netstring(b"CONTENT_LENGTH\x000\0SCGI\x002\0REQUEST_METHOD\0GET\0"),
            "400 Bad Request",
            id="another version",
        ),
        pytest.param(
            netstring(b"CONTENT_LENGTH\x000\0SCGI\x001\0"), "400 Bad Request", id="no method"
        ),
        pytest.param(request(method="G T"), "400 Bad Request", id="a method that is none"),
        pytest.param(
            request(("CONTENT_LENGTH", "9")), "400 Bad Request", id="two different lengths"
        ),
        pytest.param(
            b"65537:", "431 Request Header Fields Too Large", id="more variables than allowed"
        ),
        pytest.param(
            netstring(b"CONTENT_LENGTH\x001001\0SCGI\x001\0REQUEST_METHOD\0PUT\0"),
            "413 Content Too Large",
            id="a longer body than allowed",
        ),
        pytest.param(
            request(("REQUEST_URI", "/" + "x" * 1000)),
            "414 URI Too Long",
            id="a longer target than allowed",
        ),
    ],
)
def test_bad_requests_are_refused(scgi, calls, data, status):
    answer = scgi(max_request_body_size=1000, max_request_line_size=1000).talk(data)
    assert answer.startswith(f"Status: {status}\r\n".encode())
    assert calls == []


def test_the_same_length_twice_is_fine(scgi):
    assert scgi().talk(request(("CONTENT_LENGTH", "0"))).startswith(b"Status: 200 OK")


def test_a_head_that_takes_too_long_gets_408(scgi, calls):
    [client] = scgi(early=EXAMPLE[:20], header_timeout=0.1).clients
    assert client.rest().startswith(b"Status: 408 Request Timeout\r\n")
    assert calls == []


def test_a_body_that_stops_coming_gets_408(scgi, calls):
    client = scgi(socket_timeout=0.05).connect().send(EXAMPLE[:-1])
    assert client.rest().startswith(b"Status: 408 Request Timeout\r\n")
    assert calls == []


def test_who_hangs_up_in_a_body_reaches_no_application(scgi, calls):
    client = scgi().connect().send(EXAMPLE[:-1])
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    assert calls == []


def test_too_many_requests_get_503(serve_app):
    gate, entered = threading.Event(), threading.Event()

    def app(environ, start_response):
        entered.set()
        gate.wait(10)
        start_response("204 No Content", [])
        return []

    served = serve_app(
        app, protocol="scgi", thread_pool=1, accepted_queue_size=0, accepted_queue_timeout=0.05
    )
    first = served.connect().send(request())
    assert entered.wait(10)
    assert served.talk(request()).startswith(b"Status: 503 Service Unavailable\r\n")
    gate.set()
    assert first.rest() == b"Status: 204 No Content\r\n\r\n"


def test_long_bodies_are_streamed(serve_app):
    """The application is called before all has come."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        read = environ["wsgi.input"].read
        yield read(1)
        yield read()[-1:]

    served = serve_app(app, protocol="scgi", request_body_buffer=10)
    data = request(body=b"a" * 100 + b"z", method="PUT")
    client = served.connect().send(data[:-1])
    while client.file.readline() != b"\r\n":
        pass
    assert client.file.read(1) == b"a"
    assert client.send(data[-1:]).rest() == b"z"


def test_answer_that_breaks_off_before_the_body_was_read_ends_in_a_reset(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        raise ValueError

    client = serve_app(app, protocol="scgi", request_body_buffer=10).connect()
    client.send(request(body=b"a" * 100, method="PUT")[:-1])
    with pytest.raises(ConnectionResetError):
        client.rest()


def test_slow_bodies_are_collected_without_a_thread(scgi, calls):
    served = scgi(request_body_buffer=10, stream_rate=10**9, thread_pool=1)
    data = request(body=b"a" * 100, method="PUT")
    slow = [served.connect().send(data[:-100]) for _ in range(3)]
    assert served.talk(request()).startswith(b"Status: 200 OK")
    for client in slow:
        client.send(data[-100:-1])
    assert served.talk(request()).startswith(b"Status: 200 OK")
    for client in slow:
        assert client.send(data[-1:]).rest().startswith(b"Status: 200 OK")
    assert [body for _, _, body in calls] == [b"", b"", *[b"a" * 100] * 3]


def test_body_that_breaks_off_while_it_is_collected_is_dropped(scgi, calls):
    served = scgi(request_body_buffer=10, stream_rate=10**9, thread_pool=1)
    head = request(body=b"a" * 100, method="PUT")[:-100]
    client = served.connect().send(head)
    assert served.talk(request()).startswith(b"Status: 200 OK")
    client.send(b"a" * 50)
    assert served.talk(request()).startswith(b"Status: 200 OK")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest() == b""
    assert len(calls) == 2


def test_disk_that_is_full_is_a_507(scgi, calls, monkeypatch):
    served = scgi(request_body_buffer=10, stream_rate=10**9, thread_pool=1)
    data = request(body=b"a" * 100, method="PUT")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cptoolkit.servers.body.tempfile.TemporaryFile", fail)
    client = served.connect().send(data[:-100])
    assert served.talk(request()).startswith(b"Status: 200 OK")
    client.send(data[-100:-1])
    assert client.rest().startswith(b"Status: 507 Insufficient Storage\r\n")
    [(level, line)] = served.logged
    assert (level, "No space left on device" in line) == ("ERROR", True)


def test_files_are_sent_as_they_are(serve_app, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(300_000))

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "a/b"), ("Content-Length", "300000")])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    head, _, body = serve_app(app, protocol="scgi").talk(request()).partition(b"\r\n\r\n")
    assert head == b"Status: 200 OK\r\nContent-Type: a/b\r\nContent-Length: 300000"
    assert body == bytes(300_000)


def test_the_server_stops_while_web_servers_are_connected(scgi):
    served = scgi(shutdown_timeout=0.2)
    client = served.connect()
    partial = served.connect().send(EXAMPLE[:-1])
    served.server.stop()
    assert client.rest() == b""
    assert partial.rest() in (b"", b"Status: 408 Request Timeout\r\n")


class Noting(CGIExchange):
    """Sends nothing, and notes what it was to answer."""

    def refuse(self, status, reason):
        assert status.startswith("4")
        self.keep_alive = False

    def answer(self):
        self.conn.seen.append((self.method, self.variables, self.body.read()))


def understood(pieces):
    """What SCGI makes of bytes that come in ``pieces``."""
    conn = SimpleNamespace(seen=[], unsent=False, opened=0.0, deadline=0.0, receive=pieces.pop)
    conn.engine = SimpleNamespace(patience=float)
    conn.finish = lambda linger: None
    site = Site(options=Options(), log=print)
    site.exchange = Noting
    protocol = SCGI(conn, site)
    protocol.framing = Noting
    pieces.reverse()
    while pieces:
        protocol.feed(pieces.pop())
        while protocol.requests:
            protocol.answer()
    return conn.seen


def test_a_request_may_be_cut_anywhere():
    expected = understood([EXAMPLE])
    assert len(expected) == 1
    for cut in range(1, len(EXAMPLE)):
        assert understood([EXAMPLE[:cut], EXAMPLE[cut:]]) == expected


names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1).map("X_{}".format)
values = st.text(st.characters(codec="latin-1", exclude_characters="\0"), min_size=1)


@given(st.dictionaries(names, values), st.binary())
def test_variables_and_body_arrive_as_they_were_sent(variables, body):
    [(method, found, read)] = understood([request(*variables.items(), body=body, method="PUT")])
    expected = {"CONTENT_LENGTH": str(len(body)), "SCGI": "1", "REQUEST_METHOD": "PUT"}
    assert (method, found, read) == ("PUT", {**variables, **expected}, body)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_no_bytes_upset_the_server(garbage, cuts):
    data = EXAMPLE[:40] + garbage
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges) if a < b]
    assert len(understood(pieces)) <= 1
