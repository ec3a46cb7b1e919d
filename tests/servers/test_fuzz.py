"""Streams of requests, whole and broken, beside a parser that is simple because it need not wait.

A longer run: ``CPTOOLKIT_FUZZ=100000 pytest -o faulthandler_timeout=0 tests/servers/test_fuzz.py``,
which makes as many examples of each property instead of a few hundred.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("CPTOOLKIT_FUZZ", "0"))


def fuzzed(examples):
    return settings(
        max_examples=EXAMPLES or examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# -- what is valid --------------------------------------------------------------------------------

METHODS = (
    "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR"
    " MKCOL MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH"
    " SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
)
KNOWN = {method.encode() for method in METHODS.split()} - {b"CONNECT"}

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LINE = re.compile(rb"(%b) ([!-~]+) HTTP/1\.([01])" % TOKEN)
FIELD = re.compile(rb"(%b):[ \t]*([\t -~\x80-\xff]*)" % TOKEN)
HOST = re.compile(rb"(([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(:\d{0,5})?|")
QUOTED = rb'"([\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
CHUNK = re.compile(
    rb"([0-9A-Fa-f]+)([ \t]*;[ \t]*%b([ \t]*=[ \t]*(%b|%b))?)*" % (TOKEN, TOKEN, QUOTED)
)


class Bad(Exception):
    """These bytes deserve an error."""


class Unfinished(Exception):
    """More has to come."""


def understand(data):
    """Return the requests in ``data``, and how it ends: "refused", "closed" or "unfinished"."""
    requests = []
    try:
        while True:
            while data.startswith(b"\r\n"):
                data = data[2:]
            request, keep, data = take_request(data)
            requests.append(request)
            if not keep:
                return requests, "closed"
    except Bad:
        return requests, "refused"
    except Unfinished:
        return requests, "unfinished"


def until(data, end):
    part, found, rest = data.partition(end)
    if not found:
        raise Unfinished
    return part, rest


def insist(condition):
    if not condition:
        raise Bad


def take_request(data):
    head, data = until(data, b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    line = LINE.fullmatch(first)
    insist(line and line[1] in KNOWN)
    fields = []
    for text in lines:
        match = FIELD.fullmatch(text)
        insist(match)
        name, value = match[1].lower(), match[2]
        if name != b"transfer-encoding":  # nobody sends blanks behind a coding but to smuggle
            value = value.rstrip(b" \t")
        fields.append((name, value))
    old = line[3] == b"0"
    length, chunked = framing(fields, old)
    path = take_path(line[1], line[2], fields, old)
    if chunked:
        body, data = take_chunks(data)
    else:
        if len(data) < length:
            raise Unfinished
        body, data = data[:length], data[length:]
    options = [
        option.strip(b" \t").lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    ]
    keep = b"close" not in options and (not old or b"keep-alive" in options)
    return (line[1].decode(), path, body), keep, data


def values(fields, name):
    return [value for key, value in fields if key == name]


def framing(fields, old):
    lengths, codings = values(fields, b"content-length"), values(fields, b"transfer-encoding")
    insist(len(lengths) + len(codings) <= 1)
    insist(all(re.fullmatch(rb"\d{1,9}", length) for length in lengths))
    insist(all(coding.lower() == b"chunked" for coding in codings) and not (codings and old))
    insist(len(values(fields, b"content-type")) <= 1)
    insist(all(value.lower() == b"100-continue" for value in values(fields, b"expect")))
    return int(lengths[0]) if lengths else 0, bool(codings)


def take_path(method, target, fields, old):
    hosts = values(fields, b"host")
    insist(len(hosts) == 1 or (old and not hosts))
    insist(all(HOST.fullmatch(host) for host in hosts))
    insist(b"#" not in target)
    if target == b"*":
        insist(method == b"OPTIONS")
        return "*"
    absolute = re.fullmatch(rb"(?i:https?)://([^/?#]+)(.*)", target)
    if absolute:
        insist(HOST.fullmatch(absolute[1]))
        target = absolute[2]
        if method == b"OPTIONS" and not target:
            return "*"
        if not target.startswith(b"/"):
            target = b"/" + target
    insist(target.startswith(b"/"))
    return target.partition(b"?")[0].decode()


def take_chunks(data):
    body = b""
    while True:
        line, data = until(data, b"\n")
        match = CHUNK.fullmatch(line[:-1])
        insist(match and line.endswith(b"\r") and int(match[1], 16) < 2**64)
        size = int(match[1], 16)
        if not size:
            break
        body += data[:size]
        end, data = until(data[size:], b"\n")
        insist(end == b"\r")
    while True:
        line, data = until(data, b"\n")
        if line == b"\r":
            return body, data
        match = FIELD.fullmatch(line[:-1])
        insist(match and line.endswith(b"\r"))
        insist(match[1].lower() not in (b"content-length", b"transfer-encoding", b"host"))


# -- making them ----------------------------------------------------------------------------------

tokens = st.sampled_from([b"a", b"X-Y", b"!#$%&'*+-.^_`|~", b"Z" * 40])
blanks = st.sampled_from([b"", b" ", b"\t", b" \t "])
texts = st.sampled_from([b"", b"a", b"a b", b"a\tb", b"\xe9\xff", b"a: b", b"0", b"x" * 300])
bodies = st.sampled_from(
    [b"a", b"hello", b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n", b"x" * 99]
)
targets = st.sampled_from(
    [b"/", b"/a?b", b"/%41//", b'/"<>|', b"*", b"http://b/c", b"http://b", b"HTTPS://[::1]:8?q"]
)
fields = st.lists(
    st.tuples(tokens, blanks, texts).map(lambda parts: parts[0] + b":" + parts[1] + parts[2]),
    max_size=3,
)
chunk = st.tuples(
    st.sampled_from([b"", b"00"]),
    st.sampled_from([b"", b";a", b";a=b;c", b' ;\ta = "\\"\xe9;"']),
    bodies,
).map(lambda parts: b"%b%x%b\r\n%b\r\n" % (parts[0], len(parts[2]), parts[1], parts[2]))
last_chunk = st.sampled_from([b"0", b"000", b"0;a"])


@st.composite
def chunks(draw):
    lines = [draw(last_chunk), *draw(fields)]
    return b"".join(draw(st.lists(chunk, max_size=3))) + b"\r\n".join(lines) + b"\r\n\r\n"


@st.composite
def requests(draw, last=False):
    target = draw(targets)
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"M-SEARCH"]))
    if target == b"*":
        method = b"OPTIONS"
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    lines = [b"Host: a", *draw(fields)]
    body = b""
    kind = draw(st.sampled_from(["none", "length", "chunks"]))
    if kind == "length":
        body = draw(bodies)
        lines.append(b"content-LENGTH:%b00%d" % (draw(blanks), len(body)))
    elif kind == "chunks" and version == b"1.1":
        body = draw(chunks())
        lines.append(b"Transfer-Encoding:%bChunked" % draw(blanks))
    if last:
        lines.append(b"Connection: x,\tCLOSE")
    elif version == b"1.0":
        lines.append(b"Connection: Keep-Alive")
    lines = draw(st.permutations(lines))
    empty = draw(st.sampled_from([b"", b"", b"\r\n", b"\r\n\r\n"]))
    head = b"\r\n".join([b"%b %b HTTP/%b" % (method, target, version), *lines])
    return empty + head + b"\r\n\r\n" + body


@st.composite
def streams(draw):
    stream = b"".join(draw(st.lists(requests(), max_size=4)))
    if draw(st.booleans()):
        stream += draw(requests(last=True))
    return stream


@st.composite
def cut(draw, stream):
    places = draw(st.lists(st.integers(0, len(stream)), max_size=8))
    return [stream[a:b] for a, b in pairwise([0, *sorted(places), len(stream)])]


LINES = [
    b"GET / HTTP/1.1\r\n",
    b"Host: b\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n",
    b"0\r\n\r\n",
    b"5\r\n",
]
BITS = [b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b"\0", b";", b",", b"0", b"#", b"\xe9", b"\x7f"]


@st.composite
def broken(draw):
    stream = draw(streams())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(stream)))
        end = start + draw(st.sampled_from([0, 0, 1, 2, 20]))
        bit = draw(st.sampled_from([b"", *BITS, *LINES]) | st.binary(max_size=3))
        stream = stream[:start] + bit + stream[end:]
    return stream


# -- properties -----------------------------------------------------------------------------------

WAYS = {
    "collected": {},
    "streamed": {"request_body_buffer": 0},
    "spilled": {"request_body_buffer": 1, "stream_rate": 10**15},
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@ways
@fuzzed(60)
@given(data=st.data())
def test_valid_streams_are_understood_however_they_are_cut(feed, way, data):
    stream = data.draw(streams())
    expected, end = understand(stream)
    assert end != "refused"
    assert feed(data.draw(cut(stream)), **way) == expected


@fuzzed(300)
@given(data=st.data())
def test_broken_streams_are_understood_by_the_letter_or_refused(feed, answers, data):
    stream = data.draw(broken())
    answers.clear()
    expected, end = understand(stream)
    assert feed(data.draw(cut(stream))) == expected
    statuses = [int(answer[9:12]) for answer in answers if not answer.startswith(b"HTTP/1.1 100")]
    assert statuses[: len(expected)] == [200] * len(expected)
    errors = statuses[len(expected) :]
    assert all(400 <= status < 600 for status in errors)
    assert len(errors) <= 1 if end == "unfinished" else len(errors) == (end == "refused")
    if errors:
        assert b"\r\nConnection: close\r\n" in answers[-1]


@fuzzed(200)
@given(st.lists(st.sampled_from([*LINES, *BITS]) | st.binary(max_size=20), max_size=12))
def test_no_bytes_raise(feed, pieces):
    feed(pieces)


STREAM = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: \r\n\r\nhello"
    b"\r\nPOST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"
    b"GET /c?d HTTP/1.1\r\nHost: a\r\n\r\n"
    b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    b"GET /e HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"
)
SEEN = [
    ("GET", "/", b""), ("POST", "/a", b"hello"), ("POST", "/b", b"abcde"),
    ("GET", "/c", b""), ("OPTIONS", "*", b""), ("GET", "/e", b""),
]  # fmt: skip


@ways
def test_every_single_cut_changes_nothing(feed, way):
    for place in range(1, len(STREAM)):
        assert feed([STREAM[:place], STREAM[place:]], **way) == SEEN
    assert feed([bytes([byte]) for byte in STREAM], **way) == SEEN


def test_the_simple_parser_is_right_about_that():
    assert understand(STREAM) == (SEEN, "closed")
