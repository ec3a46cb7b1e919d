"""Small values of HTTP."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from cptoolkit.http.values import (
    Host,
    HTTPDate,
    get_ranges,
    protocol_from_http,
    response_codes,
    urljoin,
    urljoin_bytes,
    valid_status,
)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (None, 200, "OK"),
        ("", 200, "OK"),
        (404, 404, "Not Found"),
        (HTTPStatus.NOT_FOUND, 404, "Not Found"),
        ("404", 404, "Not Found"),
        ("404 Gone fishing", 404, "Gone fishing"),
        ("299 Odd", 299, "Odd"),
        (299, 299, ""),
    ],
)
def test_status_is_taken_apart(status, code, reason):
    assert valid_status(status)[:2] == (code, reason)


def test_known_status_has_a_sentence_for_the_page():
    assert valid_status("500 Oops")[2] == response_codes[500][1] != ""


@pytest.mark.parametrize("status", ["abc", 99, 600, "  ", True, -1, "20", "2000", "200\r\nX: y"])
def test_what_is_no_status_is_refused_and_named(status):
    with pytest.raises(ValueError, match="from 100 to 599") as caught:
        valid_status(status)
    assert repr(status) in str(caught.value)


def test_control_character_in_a_reason_is_refused():
    with pytest.raises(ValueError, match="must be printable"):
        valid_status("200 OK\r\nX: y")


@pytest.mark.parametrize(
    ("field", "ranges"),
    [
        ("bytes=0-10", [(0, 11)]),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=-5", [(95, 100)]),
        ("bytes=-500", [(0, 100)]),
        ("bytes=5-", [(5, 100)]),
        ("bytes=90-999", [(90, 100)]),
        ("BYTES= 0-1 , 5-6,", [(0, 2), (5, 7)]),
        ("bytes=0-1,200-", [(0, 2)]),
        ("bytes=200-300", []),
        ("bytes=-0", []),
    ],
)
def test_ranges_within_the_length(field, ranges):
    assert get_ranges(field, 100) == ranges


@pytest.mark.parametrize(
    "field",
    [
        None, "", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=--5",
        "items=0-1", "bytes=1-2-3", "bytes=+1-2", "bytes=1_0-20", "bytes=0-" + "9" * 5000,
        "bytes=" + ",".join(["0-1"] * 33),
    ],
)  # fmt: skip
def test_range_field_that_does_not_count(field):
    assert get_ranges(field, 100) is None


def test_nothing_can_be_had_of_an_empty_file():
    assert get_ranges("bytes=0-", 0) == get_ranges("bytes=-5", 0) == []


def test_as_many_ranges_as_allowed_are_given():
    assert len(get_ranges("bytes=" + ",".join(["0-1"] * 32), 100)) == 32


def test_date_is_an_imf_fixdate():
    assert HTTPDate(784111777.9) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert HTTPDate().endswith(" GMT")


def test_version_is_two_numbers():
    assert protocol_from_http("HTTP/1.1") == (1, 1)
    with pytest.raises(ValueError, match=r"looks like 'HTTP/1.1', got 'HTTP/1.10'"):
        protocol_from_http("HTTP/1.10")


def test_host_without_a_name_goes_by_its_address():
    assert Host("1.2.3.4", 80).name == "1.2.3.4"
    assert repr(Host("::1", 80, "here")) == "Host(ip='::1', port=80, name='here')"


@pytest.mark.parametrize(
    ("atoms", "path"),
    [(("/a/", "/b"), "/a/b"), (("", ""), "/"), (("a", "", "b", ""), "a/b"), (("/", "/"), "/")],
)
def test_paths_are_joined_by_single_slashes(atoms, path):
    assert urljoin(*atoms) == path
    assert urljoin_bytes(*(atom.encode() for atom in atoms)) == path.encode()
