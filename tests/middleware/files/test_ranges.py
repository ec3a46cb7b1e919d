"""Byte ranges: what a Range field asks for, and the bodies that answer it (RFC 9110, 14)."""

import io
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware import fields
from cptoolkit.middleware.files.ranges import MOST_RANGES, content_range, parse_ranges, partial


@pytest.mark.parametrize(
    ("field", "ranges"),
    [
        pytest.param("bytes=0-0", [(0, 1)], id="the first byte"),
        pytest.param("bytes=0-499", [(0, 500)], id="the first 500"),
        pytest.param("bytes=500-", [(500, 1000)], id="from there to the end"),
        pytest.param("bytes=-5", [(995, 1000)], id="the last five"),
        pytest.param("bytes=-5000", [(0, 1000)], id="more than there are, from the end"),
        pytest.param("bytes=0-5000", [(0, 1000)], id="more than there are"),
        pytest.param("BYTES = 0-0", [(0, 1)], id="the unit in any case"),
        pytest.param("bytes=0-0 , -1", [(0, 1), (999, 1000)], id="two"),
        pytest.param("bytes=-1,0-0", [(999, 1000), (0, 1)], id="two in their own order"),
        pytest.param("bytes=,0-0,", [(0, 1)], id="empty elements"),
        pytest.param("bytes=0-5,3-9", [(0, 10)], id="overlapping ones"),
        pytest.param("bytes=0-4,5-9", [(0, 10)], id="ones that touch"),
        pytest.param("bytes=20-29,0-9,25-39", [(20, 40), (0, 10)], id="merged in the first place"),
        pytest.param("bytes=0-9,2000-", [(0, 10)], id="those that can be had"),
        pytest.param("bytes=0-" + "9" * 5000, [(0, 1000)], id="a number beyond all files"),
        pytest.param("bytes=1000-", [], id="beyond the end"),
        pytest.param("bytes=-0", [], id="the last none"),
        pytest.param("items=0-0", None, id="another unit"),
        pytest.param("bytes", None, id="no ranges"),
        pytest.param("bytes=", None, id="an empty list"),
        pytest.param("bytes=,", None, id="a list of nothing"),
        pytest.param("bytes=-", None, id="no number"),
        pytest.param("bytes=5-2", None, id="last before first"),
        pytest.param("bytes=a-b", None, id="no numbers"),
        pytest.param("bytes=0-0,x", None, id="one that is malformed"),
        pytest.param("bytes=+1-2", None, id="a sign"),
        pytest.param("bytes=1_0-20", None, id="an underscore"),
        pytest.param("bytes=\u0661-", None, id="digits of another script"),
        pytest.param("bytes=--5", None, id="a negative suffix"),
        pytest.param("bytes 0-0", None, id="no equals sign"),
    ],
)
def test_range_field_is_read(field, ranges):
    assert parse_ranges(field, 1000) == ranges


def test_more_parts_than_clients_need_are_the_whole():
    specs = [f"{n * 10}-{n * 10 + 1}" for n in range(MOST_RANGES + 1)]
    assert parse_ranges("bytes=" + ",".join(specs[:-1]), 1000) is not None
    assert parse_ranges("bytes=" + ",".join(specs), 1000) is None


def test_nothing_of_an_empty_representation_can_be_had():
    assert parse_ranges("bytes=0-0", 0) == []
    assert parse_ranges("bytes=-1", 0) == []


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=MOST_RANGES),
    st.integers(0, 50),
)
def test_merged_ranges_hold_the_same_bytes_once(pairs, size):
    asked = [(first, max(first, last)) for first, last in pairs]
    ranges = parse_ranges("bytes=" + ",".join(f"{a}-{b}" for a, b in asked), size)
    wanted = {byte for a, b in asked for byte in range(a, b + 1) if byte < size}
    given = [byte for start, stop in ranges for byte in range(start, stop)]
    assert sorted(given) == sorted(wanted)


@given(st.text(max_size=40), st.integers(0, 10**6))
def test_any_field_is_read(text, size):
    for field in (text, f"bytes={text}"):
        ranges = parse_ranges(field, size)
        assert ranges is None or all(0 <= start < stop <= size for start, stop in ranges)


@pytest.mark.parametrize("item", ["0-,", ",", "-1,", "1-1,", "9"])
def test_huge_field_is_read_in_no_time(item):
    parse_ranges("bytes=" + item * 100_000, 1000)


def test_content_range_names_first_and_last_byte():
    assert content_range((0, 500), 1234) == "bytes 0-499/1234"


CONTENT = bytes(range(256)) * 1000


def test_part_of_a_file_is_read_in_blocks():
    answer = [("Content-Type", "text/css"), ("Content-Length", "256000")]
    body = partial(io.BytesIO(CONTENT), [(10, 200_000)], len(CONTENT), answer)
    blocks = list(body)
    assert b"".join(blocks) == CONTENT[10:200_000]
    assert len(blocks) > 1
    assert dict(answer) == {
        "Content-Type": "text/css",
        "Content-Length": "199990",
        "Content-Range": "bytes 10-199999/256000",
    }


@given(st.lists(st.integers(0, 200), min_size=2, max_size=20, unique=True), st.integers(0, 9))
def test_multipart_body_holds_the_parts(bounds, offset):
    bounds = sorted(bounds)[: len(bounds) // 2 * 2]
    ranges = [(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=True)][::-1]
    if len(ranges) < 2:
        return
    answer = [("Content-Type", "application/x-mine")]
    file = io.BytesIO(b"-" * offset + CONTENT[:256])
    whole = b"".join(partial(file, ranges, 256, answer, offset))
    assert fields.get(answer, "content-length") == str(len(whole))
    head = f"Content-Type: {fields.get(answer, 'content-type')}\r\n\r\n".encode()
    parts = message_from_bytes(head + whole).get_payload()
    assert [part["Content-Range"] for part in parts] == [content_range(r, 256) for r in ranges]
    assert {part.get_content_type() for part in parts} == {"application/x-mine"}
    for (start, stop), part in zip(ranges, parts, strict=True):
        # The parser of mails takes line ends for its own; their bytes are not compared.
        line_ends = {10, 11, 12, 13, 28, 29, 30, 133}
        if not line_ends & set(range(start, stop)):
            assert part.get_payload(decode=True) == CONTENT[start:stop]


def test_file_that_has_become_shorter_ends_early():
    body = partial(io.BytesIO(b"abc"), [(1, 10)], 10, [])
    assert b"".join(body) == b"bc"


@pytest.mark.parametrize("drawn", [True, False])
def test_file_is_closed_with_the_body(drawn):
    file = io.BytesIO(b"abc")
    body = partial(file, [(0, 1), (2, 3)], 3, [])
    if drawn:
        next(iter(body))
    body.close()
    assert file.closed
