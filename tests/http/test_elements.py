"""The elements of header fields."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.http.elements import AcceptElement, HeaderElement, decode_TEXT, header_elements
from cptoolkit.http.errors import HTTPError


def texts(name, value):
    return [str(element) for element in header_elements(name, value)]


def outcome(value):
    try:
        header_elements("Accept", value)
    except HTTPError as error:
        return error.code
    return "read"


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        pytest.param("a;b=c;d, e", [("a", {"b": "c"}), ("e", {})], id="parameters"),
        pytest.param('"x,y";z="1;2"', [('"x,y"', {"z": "1;2"})], id="quoted separators"),
        pytest.param(r'a;b="\"\\"', [("a", {"b": '"\\'})], id="quoted pairs"),
        pytest.param('a;b="c', [("a", {"b": "c"})], id="quote left open"),
        pytest.param(" a ; B = C ", [("a", {"b": "C"})], id="blanks and case"),
        pytest.param(", ,a,,", [("a", {})], id="empty elements"),
        pytest.param(" ;, ;;", [], id="nothing but separators"),
        pytest.param("a=b; c=d", [("a=b", {"c": "d"})], id="cookie-like"),
        pytest.param("", [], id="empty"),
        pytest.param(None, [], id="absent"),
    ],
)
def test_field_is_split_outside_of_quotes(value, elements):
    assert [(e.value, e.params) for e in header_elements("X", value)] == elements


@pytest.mark.parametrize(
    ("value", "best_first"),
    [
        pytest.param("a;q=0.2, b, c;q=0.5", ["b", "c;q=0.5", "a;q=0.2"], id="weight"),
        pytest.param(
            "*/*, text/*, text/html, text/html;level=1",
            ["text/html;level=1", "text/html", "text/*", "*/*"],
            id="specific first",
        ),
        pytest.param("b, a, c", ["b", "a", "c"], id="equals keep their order"),
        pytest.param("a;q=0, b;q=1.000", ["b;q=1.000", "a;q=0"], id="bounds"),
    ],
)
def test_accept_is_sorted_best_first(value, best_first):
    assert texts("accept", value) == best_first
    assert texts("Accept-Language", value) == best_first
    assert texts("TE", value) == best_first


def test_other_fields_keep_their_order():
    assert texts("Vary", "b;q=0.1, a") == ["b;q=0.1", "a"]


@pytest.mark.parametrize("weight", ["foo", "2", "-1", "nan", "inf", "1.1", "", "0x1", "1e0"])
def test_weight_that_is_none_is_a_400(weight):
    for field in (f"b;q={weight}", f"a, b;q={weight}"):
        with pytest.raises(HTTPError, match="q must be a number from 0 to 1") as caught:
            header_elements("Accept", field)
        assert caught.value.code == 400


def test_weight_is_one_by_default():
    assert [e.qvalue for e in header_elements("Accept", "a")] == [1.0]
    assert AcceptElement.from_str("a;q=.25").qvalue == 0.25


def test_accept_elements_compare_by_weight():
    better, worse = AcceptElement.from_str("a;q=0.9"), AcceptElement.from_str("b;q=0.8")
    assert worse < better
    assert not better < worse
    assert not better < better


def test_elements_compare_by_value():
    assert HeaderElement("a", {"z": "1"}) < HeaderElement("b")
    assert HeaderElement.from_str("a;b=1") == HeaderElement("a", {"b": "1"})
    assert not AcceptElement.from_str("a") < HeaderElement("a")
    assert bytes(HeaderElement("a", {"b": "1"})) == b"a;b=1"


@pytest.mark.parametrize("unit", [",", ";", ", ", ",;", '"', '\\"', '"\\', '"",'])
def test_separators_cost_linear_time(unit):
    # A quadratic splitter takes minutes for this (CVE-2024-49767 and its kind), a linear one
    # a tenth of a second.
    field = (unit * 200_000)[:200_000]
    start = time.process_time()
    header_elements("Accept", '"' + field)
    header_elements("Accept", field)
    assert time.process_time() - start < 5


@given(st.text(alphabet='a,;="\\ q01.', max_size=30))
@settings(max_examples=200, deadline=None)
def test_anything_is_read_or_a_400(text):
    header_elements("X", text)
    assert outcome(text) in ("read", 400)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?f=C3=BCr?=", "für"),
        ("a =?utf-8?b?w7w=?= b", "a ü b"),
        ("=?nope?q?x?=", "=?nope?q?x?="),
        ("=?utf-8?q?=ff?=", "=?utf-8?q?=ff?="),
        ("=?utf-8?b?x?=", "=?utf-8?b?x?="),
    ],
)
def test_encoded_words_are_decoded_where_they_can_be(text, decoded):
    assert decode_TEXT(text) == decoded
