"""How large a request may be, and how long it may take."""

from __future__ import annotations

import contextlib
import threading

import pytest

from cptoolkit.servers import Options
from cptoolkit.servers import watch as watch_module
from cptoolkit.servers.http1 import HTTP1
from cptoolkit.servers.pace import Pace
from cptoolkit.servers.watch import Watch

G = b"GET / HTTP/1.1\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
H = b"Host: a\r\n"
E = b"\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"


def sized(length, more=b""):
    return P + more + b"Content-Length: %d\r\n\r\n" % length


# -- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n" + H + E, 414, id="target"),
        pytest.param(b"GET /" + b"a" * 2000, 414, id="target without end"),
        pytest.param(G + H + b"X: " + b"a" * 5000 + E + E, 431, id="a field"),
        pytest.param(G + H + b"X: " + b"a" * 9000, 431, id="a field without end"),
        pytest.param(G + H + b"a" * 9000, 431, id="a name without end"),
        pytest.param(G + H + b"X: abcdefgh\r\n" * 500 + E, 431, id="many fields"),
        pytest.param(G + b"a:\r\n" * 5000, 431, id="fields without end"),
        pytest.param(sized(5001), 413, id="length (9110, 15.5.14)"),
        pytest.param(sized(10**18), 413, id="huge length"),
        pytest.param(sized(5001, b"Expect: 100-continue\r\n"), 413, id="length announced"),
        pytest.param(CHUNKED + b"1389\r\n", 413, id="a chunk's size"),
        pytest.param(CHUNKED + b"ffffffffffffffff\r\n", 413, id="a huge chunk's size"),
        pytest.param(CHUNKED + b"1000\r\n" + b"a" * 4096 + b"\r\n1000\r\n", 413, id="two chunks"),
    ],
)
def test_too_much_is_refused_before_it_has_come(serve_app, app, calls, data, status):
    served = serve_app(
        app,
        max_request_line_size=1000,
        max_request_header_size=4000,
        max_request_body_size=5000,
    )
    assert served.talk(data).startswith(b"HTTP/1.1 %d " % status)
    assert calls == []


@pytest.mark.parametrize("more", [0, 1], ids=["at the limit", "above it"])
@pytest.mark.parametrize(
    ("place", "status"), [("target", 414), ("fields", 431), ("length", 413), ("chunks", 413)]
)
def test_limits_are_exact(feed, answers, place, status, more):
    extra = {name: more * (name == place) for name in ("target", "fields", "length", "chunks")}
    uri = b"/" + b"a" * (99 + extra["target"])
    body = b"b" * (300 + extra["length"] + extra["chunks"])
    fields = b"Host: a\r\nContent-Length: %d\r\n" % len(body)
    if place == "chunks":
        fields = b"Host: a\r\nTransfer-Encoding: chunked\r\n"
        body = b"64\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:100], len(body) - 100, body[100:])
    fields += b"X: " + b"c" * (200 - len(fields) - 5 + extra["fields"]) + E
    data = b"POST %b HTTP/1.1\r\n%b\r\n%b" % (uri, fields, body)
    limits = {
        "max_request_line_size": 100,
        "max_request_header_size": 200,
        "max_request_body_size": 300,
    }
    assert len(feed([data], **limits)) == 1 - more
    assert len(feed([data[:50], data[50:]], **limits)) == 1 - more
    assert {answer[9:12] for answer in answers} == {b"%d" % status if more else b"200"}


def test_each_head_of_many_has_the_whole_limit(feed):
    heads = (G + H + b"X: " + b"a" * 150 + E + E) * 20
    assert len(feed([heads], max_request_header_size=200)) == 20
    assert len(feed([heads[:900], heads[900:]], max_request_header_size=200)) == 20


def test_body_has_no_limit_with_zero(feed):
    assert feed([sized(5), b"hello"], max_request_body_size=0) == [("POST", "/", b"hello")]


@pytest.mark.parametrize("buffer", [0, 65536], ids=["streamed", "collected"])
@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"1\r\nx\r\n0\r\nT: ", id="trailer field"),
        pytest.param(b"1\r\nx\r\n0\r\n" + b"T: u\r\n" * 100, id="trailer"),
        pytest.param(b"1;", id="extension"),
        pytest.param(b"1\r\nx", id="end of a chunk"),
        pytest.param(b"0" * 100, id="size"),
    ],
)
def test_framing_of_chunks_has_the_limit_of_a_head(serve_app, app, calls, begin, buffer):
    served = serve_app(app, request_body_buffer=buffer, max_request_header_size=1000)
    client = served.connect().send(CHUNKED + begin)
    with contextlib.suppress(ConnectionError):
        for _ in range(300):
            client.send(b"0" * 1000)
        assert client.answer().status == 400
    assert calls == []


def test_framing_within_the_limit_passes(feed):
    pieces = [CHUNKED, b"1;" + b"a" * 900, b"a" * 90]
    pieces += [b"\r\nx", b"\r\n1;" + b"a" * 900, b"\r\ny\r\n0\r\nT:", b"a" * 900, E + E]
    assert feed(pieces, max_request_header_size=1000) == [("POST", "/", b"xy")]


# -- times ----------------------------------------------------------------------------------------


@pytest.fixture
def later(clock, wait_until, monkeypatch):
    """Return a function that lets time pass, until a server has seen whose time is over."""
    seen = []
    sweep = Watch._sweep

    def sweeping(self, now):
        sweep(self, now)
        seen.append(now)

    def later(served, seconds):
        connections = served.server._engine.connections
        wait_until(lambda: not any(c.lock.locked() for c in list(connections.values())))
        clock.ahead += seconds
        now = clock()
        wait_until(lambda: seen and seen[-1] >= now)

    monkeypatch.setattr(Watch, "_sweep", sweeping)
    monkeypatch.setattr(watch_module, "STALL", float("inf"))  # that time passes is no accident
    return later


REST = [
    pytest.param(P + b"Content-Length: 5\r\n\r\nhe", b"llo", id="body"),
    pytest.param(P[:20], P[20:] + E, id="head"),
]


@pytest.mark.parametrize(("begin", "rest"), REST)
@pytest.mark.parametrize("size", [5, 20_000_000], ids=["short", "long"])
def test_request_that_has_begun_behind_another_keeps_its_own_time(
    serve_app, later, begin, rest, size
):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"x" * size]

    served = serve_app(app, keep_alive_timeout=100, header_timeout=600, socket_timeout=600)
    client = served.connect().send(G + H + E + begin)
    assert len(client.answer().body) == size
    later(served, 300)
    assert client.send(rest).answer().status == 200


@pytest.mark.parametrize(("begin", "rest"), REST)
def test_answer_gives_no_time_to_a_request_that_has_begun_behind(
    serve_app, app, later, begin, rest
):
    served = serve_app(app, keep_alive_timeout=1000, header_timeout=600, socket_timeout=600)
    client = served.connect().send(G + H + E + begin)
    assert client.answer().status == 200
    later(served, 700)
    assert client.answer().status == 408


def test_half_a_head_behind_a_long_answer_has_its_own_time_again(serve_app, later):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"x" * 20_000_000]

    served = serve_app(app, keep_alive_timeout=100, header_timeout=200, socket_timeout=0)
    client = served.connect().send(G + H + E + P[:20])
    assert len(client.answer().body) == 20_000_000
    later(served, 1000)
    assert client.answer().status == 408


def test_head_that_takes_too_long_gets_no_content(serve_app, app, later, wait_until):
    served = serve_app(app)
    client = served.connect().send(sized(5).replace(b"POST", b"HEAD") + b"he")
    wait_until(lambda: received(served) == 2)
    later(served, 100)
    head, content = client.rest().split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nContent-Length: " in head
    assert content == b""


@pytest.mark.parametrize("before", [b"", G + H + E], ids=["at first", "after a request"])
def test_empty_lines_in_drips_prolong_nothing(
    serve_app, app, later, wait_until, monkeypatch, before
):
    fed = []
    feed = HTTP1.feed

    def feeding(self, data):
        feed(self, data)
        fed.append(data)

    served = serve_app(app, keep_alive_timeout=1000, header_timeout=1000)
    client = served.connect().send(before)
    if before:
        client.answer()
    wait_until(lambda: served.server._engine.connections)
    monkeypatch.setattr(HTTP1, "feed", feeding)
    for byte in (b"\r", b"\n", b"\r", b"\n"):
        client.send(byte)
        wait_until(lambda: fed and fed[-1] == byte)  # noqa: B023
        later(served, 300)
    assert client.rest() == b""


class Dripping(threading.Thread):
    """Somebody who sends a byte every few milliseconds, until that fails."""

    def __init__(self, client):
        super().__init__()
        self.client = client
        self.stopped = threading.Event()

    def run(self):
        with contextlib.suppress(OSError):
            while not self.stopped.wait(0.02):
                self.client.send(b"a")

    def __enter__(self):
        self.start()

    def __exit__(self, *args):
        self.stopped.set()
        self.join()


def test_dripping_head_is_given_up_as_a_whole(serve_app, app, calls):
    served = serve_app(app, early=G + b"X: ", header_timeout=0.3, socket_timeout=60)
    [client] = served.clients
    with Dripping(client):
        assert client.answer().status == 408
    assert calls == []


def test_dripping_body_is_given_up_before_the_application_is_called(serve_app, app, calls):
    served = serve_app(app, socket_timeout=0.2, body_rate=1000, header_timeout=60)
    client = served.connect().send(sized(100_000) + b"a" * 50)
    with Dripping(client):
        assert client.answer().status == 408
    assert calls == []


def test_dripping_body_is_given_up_while_the_application_reads(serve_app, app, calls):
    served = serve_app(app, socket_timeout=0.2, body_rate=1000, request_body_buffer=0)
    client = served.connect().send(sized(100_000) + b"a" * 50)
    with Dripping(client):
        assert client.answer().status == 408
    assert calls == []
    assert served.logged == []


def test_body_that_comes_fast_enough_has_all_the_time(serve_app, app, calls, clock, wait_until):
    served = serve_app(app, socket_timeout=60, body_rate=1)
    client = served.connect().send(sized(1000))
    collected = 0
    for _ in range(10):
        client.send(b"a" * 99)
        collected += 99
        wait_until(lambda: received(served) == collected)  # noqa: B023
        clock.ahead += 50
    assert client.send(b"a" * 10).answer().status == 200
    assert calls == [("POST", "/", b"a" * 1000)]


def received(served):
    """How much has come of the only body."""
    exchanges = [
        conn.protocol._exchange for conn in list(served.server._engine.connections.values())
    ]
    return exchanges[0].body.received if any(exchanges) else 0


def test_time_in_which_the_application_works_is_not_the_clients(serve_app, clock):
    sent = threading.Event()

    def app(environ, start_response):
        body = environ["wsgi.input"].read(5)
        clock.ahead += 100  # longer than the client may be late
        sent.set()
        body += environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    served = serve_app(app, socket_timeout=60, body_rate=1000, request_body_buffer=0)
    client = served.connect().send(sized(10) + b"hello")
    assert sent.wait(10)
    assert client.send(b"world").answer().body == b"helloworld"


@pytest.mark.parametrize(
    ("options", "waited", "received", "left"),
    [
        pytest.param({}, 0, 0, 10, id="a silent one has the timeout"),
        pytest.param({}, 4, 0, 6, id="less what it was waited for"),
        pytest.param({}, 4, 10**9, 10, id="and never more"),
        pytest.param({}, 20, 2400, 0, id="the rate counts after the timeout"),
        pytest.param({}, 20, 1200, -5, id="below it is too late"),
        pytest.param({"body_rate": 0}, 10**9, 1, 10, id="no rate"),
        pytest.param({"socket_timeout": 0}, 10**9, 1, float("inf"), id="no timeout"),
    ],
)
def test_patience_follows_what_has_come(options, waited, received, left):
    pace = Pace(Options(socket_timeout=10, body_rate=240) if not options else Options(**options))
    pace.waited = waited
    assert pace.patience(received) == left


@pytest.mark.parametrize(
    ("rate", "waited", "received", "fast"),
    [
        pytest.param(1000, 2, 2000, True, id="at the rate"),
        pytest.param(1000, 2, 1999, False, id="below it"),
        pytest.param(1000, 0, 1, True, id="nobody has waited"),
        pytest.param(0, 10**9, 0, True, id="any is fast with 0"),
    ],
)
def test_fast_is_what_comes_at_the_stream_rate(rate, waited, received, fast):
    pace = Pace(Options(stream_rate=rate))
    pace.waited = waited
    assert pace.is_fast(received) is fast
