"""Fields of query strings."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.http.errors import HTTPError
from cptoolkit.http.query import add_param, parse_query_string


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        ("a&b=&=c", {"a": "", "b": "", "": "c"}),
        ("&&a=1&", {"a": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("a+b=c+d%2B", {"a b": "c d+"}),
        ("a%3D=%26", {"a=": "&"}),
        ("a=%zz&b=%", {"a": "%zz", "b": "%"}),
        ("a=%C3%A9&é=ü", {"a": "é", "é": "ü"}),
        ("12,34", {"x": 12, "y": 34}),
        ("12,34x", {"12,34x": ""}),
        ("1,2&a=b", {"1,2": "", "a": "b"}),
        ("9" * 5000 + ",1", {"9" * 5000 + ",1": ""}),
    ],
)
def test_fields_of_a_query(query, fields):
    assert parse_query_string(query) == fields


def test_blank_values_can_be_left_out():
    assert parse_query_string("a=&b&c=1", keep_blank_values=False) == {"c": "1"}


def test_escapes_are_read_in_the_encoding():
    assert parse_query_string("a=%E9", encoding="latin-1") == {"a": "é"}


@pytest.mark.parametrize("query", ["a=%FF", "%FF=a", "a=A+bient%F4t"])
def test_escapes_that_are_no_text_are_an_error(query):
    with pytest.raises(UnicodeDecodeError):
        parse_query_string(query)


def test_too_many_fields_are_a_414():
    assert len(parse_query_string("a=1&" * 2 + "b=2", max_fields=3)) == 2
    with pytest.raises(HTTPError, match="more than 3 fields") as caught:
        parse_query_string("a=1&" * 3 + "b=2", max_fields=3)
    assert caught.value.code == 414


def test_lists_are_joined_flat():
    params = {"a": "1"}
    add_param(params, "a", ["2", "3"])
    add_param(params, "a", "4")
    assert params == {"a": ["1", "2", "3", "4"]}


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_what_urlencode_writes_is_read_back(pairs):
    expected = {}
    for name, value in pairs:
        add_param(expected, name, value)
    assert parse_query_string(urlencode(pairs)) == expected
