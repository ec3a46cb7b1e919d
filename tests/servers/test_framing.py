"""Where bodies end (RFC 9112, sections 6 and 7)."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers.body import Body
from cptoolkit.servers.errors import BadRequest
from cptoolkit.servers.framing import Chunked, Sized

REST = b"GET / HTTP/1.1\r\n\r\n"


def read(framing, stream, cuts=()):
    """Give a stream in pieces to ``framing``; return the body, and what is left of the stream."""
    body = Body(lambda: None)
    for start, end in pairwise([0, *sorted(cuts), len(stream)]):
        place = start
        while place < end and not body.complete:
            place = framing.feed(stream[:end], place, body)
        if body.complete:
            return body.read(), stream[place:]
    return None


def cuts(stream):
    return st.lists(st.integers(0, len(stream)), max_size=6)


@given(st.binary(min_size=1, max_size=50), st.data())
def test_length_is_that_of_the_body(content, data):
    places = data.draw(cuts(content))
    assert read(Sized(len(content)), content + REST, places) == (content, REST)


@given(st.lists(st.binary(min_size=1, max_size=20)), st.data())
def test_chunks_are_put_together(contents, data):
    stream = b"".join(
        b"%x%b\r\n%b\r\n" % (len(content), data.draw(st.sampled_from([b"", b";a=b"])), content)
        for content in contents
    )
    stream += b"0\r\n" + data.draw(st.sampled_from([b"", b"T: x\r\n"])) + b"\r\n"
    places = data.draw(cuts(stream))
    assert read(Chunked(100), stream + REST, places) == (b"".join(contents), REST)


@pytest.mark.parametrize("cut", [[], [50]], ids=["at once", "cut"])
def test_limit_of_size_and_extensions_is_exact(cut):
    line = b"1;" + b"a" * 94 + b"\r\n"
    stream = b"1\r\nx\r\n" + line + b"y\r\n0\r\n\r\n"
    assert read(Chunked(len(line)), stream, cut) == (b"xy", b"")
    with pytest.raises(BadRequest, match="too long"):
        read(Chunked(len(line) - 1), stream, cut)


HOSTILE = {
    "zeros": b"0" * 60_000,
    "digits": b"f" * 60_000,
    "blanks": b"1" + b" " * 60_000,
    "blanks behind a name": b"1;a" + b" " * 60_000,
    "blanks behind each name": b"1" + b";a   " * 12_000,
    "semicolons": b"1" + b";" * 60_000,
    "names": b"1" + b";a" * 30_000 + b"\0",
    "names with values": b"1" + b";a=b" * 15_000 + b"\0",
    "a name": b"1;" + b"a" * 60_000 + b"\0",
    "a quoted value": b'1;a="' + b"b" * 60_000,
    "backslashes": b'1;a="' + b"\\" * 60_001 + b'"',
    "quotes": b"1" + b';a=""' * 12_000 + b'"',
    "trailer": b"0\r\n" + b"a" * 60_000 + b"\0:",
    "trailer of many fields": b"0\r\n" + b"a:\r\n" * 15_000 + b"\0",
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_hostile_lines_take_linear_time(line):
    began = thread_time()
    with contextlib.suppress(BadRequest):
        read(Chunked(65536), line + b"\r\n")
    assert thread_time() - began < 0.5
