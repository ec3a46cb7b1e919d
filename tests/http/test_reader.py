"""Reading no more and no less than the body."""

from __future__ import annotations

import io

import pytest

from cptoolkit.http.errors import HTTPError
from cptoolkit.http.reader import SizedReader


class Dribble(io.BytesIO):
    """A transport that gives three bytes at a time, and counts how often it was asked."""

    asked = 0

    def read(self, size=-1):
        self.asked += 1
        return super().read(min(size, 3))


class Failing:
    def __init__(self, error):
        self.error = error

    def read(self, size=-1):
        raise self.error

    readline = read


def test_reading_ends_where_the_body_does():
    reader = SizedReader(io.BytesIO(b"body, next request"), 4)
    assert (reader.read(), reader.read(), reader.done) == (b"body", b"", True)


def test_short_reads_are_put_together():
    reader = SizedReader(Dribble(b"0123456789"), 10)
    assert reader.read(5) == b"01234"
    assert reader.bytes_read == 5
    assert reader.read(100) == b"56789"


def test_unknown_length_is_read_to_the_end_of_the_stream():
    reader = SizedReader(Dribble(b"0123456789"), None)
    assert (reader.read(4), reader.read(), reader.done) == (b"0123", b"456789", True)


def test_empty_body_is_not_asked_for():
    stream = Dribble(b"next request")
    reader = SizedReader(stream, 0)
    assert (reader.read(), reader.readline(), list(reader), stream.asked) == (b"", b"", [], 0)


def test_body_can_be_copied_into_a_file():
    out = io.BytesIO()
    assert SizedReader(Dribble(b"0123456789"), 10).read(8, fp_out=out) == b""
    assert out.getvalue() == b"01234567"


def test_lines_end_where_the_body_does():
    reader = SizedReader(io.BytesIO(b"one\ntwo\nthree\n"), 10)
    assert list(reader) == [b"one\n", b"two\n", b"th"]


def test_line_is_cut_at_the_size_asked_for():
    reader = SizedReader(io.BytesIO(b"one\ntwo\n"), None)
    assert [reader.readline(2), reader.readline(9), reader.readline(0)] == [b"on", b"e\n", b""]


def test_readlines_stops_at_the_hint():
    reader = SizedReader(io.BytesIO(b"a\nb\nc\n"), 6)
    assert reader.readlines(3) == [b"a\n", b"b\n"]
    assert reader.readlines() == [b"c\n"]


def test_body_shorter_than_promised_is_a_400():
    reader = SizedReader(io.BytesIO(b"half"), 8)
    with pytest.raises(HTTPError, match="ended after 4 of 8 bytes") as caught:
        reader.read()
    assert caught.value.code == 400


def test_promise_beyond_the_limit_is_a_413_before_reading():
    stream = Dribble(b"0123456789")
    with pytest.raises(HTTPError, match="larger than 9 bytes") as caught:
        SizedReader(stream, 10, maxbytes=9).read(1)
    assert (caught.value.code, stream.asked) == (413, 0)


@pytest.mark.parametrize("read", [lambda r: r.read(), lambda r: r.readlines()])
def test_endless_stream_is_a_413_at_the_limit(read):
    stream = io.BytesIO(b"x" * 100_000)
    with pytest.raises(HTTPError) as caught:
        read(SizedReader(stream, None, maxbytes=10))
    assert (caught.value.code, stream.tell()) == (413, 11)


def test_limit_itself_may_be_reached():
    assert SizedReader(io.BytesIO(b"x" * 10), None, maxbytes=10).read() == b"x" * 10


@pytest.mark.parametrize(
    ("error", "code"), [(ConnectionResetError(), 400), (TimeoutError(), 408)], ids=["gone", "late"]
)
def test_client_that_fails_is_answered_for(error, code):
    with pytest.raises(HTTPError) as caught:
        SizedReader(Failing(error), None).read()
    assert caught.value.code == code
    assert caught.value.__cause__ is error


def test_fault_of_our_own_travels_up():
    with pytest.raises(OSError, match="disk"):
        SizedReader(Failing(OSError("disk")), None).readline()
