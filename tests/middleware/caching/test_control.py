"""What Cache-Control says: parsing, how long, and whether at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webob.exc import HTTPBadRequest

from cptoolkit.middleware.caching.control import (
    FOREVER,
    asked,
    dump_cache_control,
    initial_age,
    lifetime,
    may_store,
    parse_cache_control,
    seconds,
    suits,
    vary,
)

NOON = 1_767_268_800.0  # 2026-01-01 12:00:00 GMT
TOKENS = st.from_regex(r"[a-z-]{1,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("no-store", {"no-store": None}, id="one"),
        pytest.param("Max-Age=60 , PUBLIC", {"max-age": "60", "public": None}, id="any case"),
        pytest.param('a="x, y", b=1', {"a": "x, y", "b": "1"}, id="comma in a quoted string"),
        pytest.param(r'a="x\"y"', {"a": 'x"y'}, id="quote in a quoted string"),
        pytest.param("max-age=1, max-age=2", {"max-age": "1"}, id="the first counts"),
        pytest.param(",, =3, a=", {"a": ""}, id="odd commas and equals signs"),
        pytest.param('a="x, b', {"a": "x, b"}, id="quoted string without an end"),
    ],
)
def test_cache_control_is_parsed(text, directives):
    assert parse_cache_control(text) == directives


@given(st.dictionaries(TOKENS, st.none() | st.text('ab ,="\\', max_size=6), max_size=4))
def test_dumped_directives_are_parsed_to_the_same(directives):
    assert parse_cache_control(dump_cache_control(directives)) == directives


@given(st.text(max_size=60))
def test_any_text_is_parsed(text):
    assert all(name == name.lower() for name in parse_cache_control(text))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("60", 60),
        ("9" * 40, FOREVER),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_seconds_are_digits_alone(text, number):
    assert seconds(text) == number


def days(number):
    return [("Expires", f"0{1 + number} Jan 2026 12:00:00 GMT")]


@pytest.mark.parametrize(
    ("status", "said", "others", "expected"),
    [
        pytest.param("200 OK", "", [], 600, id="what does not say has the default"),
        pytest.param("200 OK", "max-age=5", days(1), 5, id="max-age before Expires"),
        pytest.param("200 OK", "max-age=5, s-maxage=7", [], 7, id="s-maxage before max-age"),
        pytest.param("200 OK", "max-age=x", [], 0, id="malformed is stale"),
        pytest.param("200 OK", "", days(1), 86400, id="Expires"),
        pytest.param(
            "200 OK", "", [*days(2), ("Date", "02 Jan 2026 12:00:00 GMT")], 86400, id="from Date on"
        ),
        pytest.param("200 OK", "", [("Expires", "0")], 0, id="Expires: 0"),
        pytest.param("200 OK", "", [("Expires", "1 Jan 99999 0:0:0 GMT")], 0, id="no such year"),
        pytest.param("404 Not Found", "", [], 600, id="404 has the default"),
        pytest.param("302 Found", "", [], 0, id="302 has to say"),
        pytest.param("302 Found", "max-age=9", [], 9, id="302 that says"),
        pytest.param("500 Oops", "", [], 0, id="500 has to say"),
        pytest.param("302 Found", "public", [], 600, id="public has the default"),
        pytest.param("200 OK", "", [("Vary", "Accept, Cookie")], 0, id="by cookie has to say"),
        pytest.param("200 OK", "max-age=3", [("Vary", "Cookie")], 3, id="by cookie that says"),
    ],
)
def test_lifetime(status, said, others, expected):
    assert lifetime(status, others, parse_cache_control(said), NOON, 600) == expected


@pytest.mark.parametrize(
    ("status", "fields", "credentials", "expected"),
    [
        pytest.param("200 OK", [], False, True, id="plain"),
        pytest.param("206 Partial Content", [], False, False, id="part"),
        pytest.param("304 Not Modified", [], False, False, id="304"),
        pytest.param("200 OK", [("Cache-Control", "no-store")], False, False, id="no-store"),
        pytest.param("200 OK", [("Cache-Control", "Private")], False, False, id="private"),
        pytest.param(
            "200 OK", [("Cache-Control", 'private="a"')], False, False, id="private field"
        ),
        pytest.param("200 OK", [("Cache-Control", "no-cache")], False, False, id="no-cache"),
        pytest.param("200 OK", [("Pragma", "no-cache")], False, False, id="pragma"),
        pytest.param("200 OK", [("Set-Cookie", "a=1")], False, False, id="cookie"),
        pytest.param("200 OK", [("Vary", "Accept, *")], False, False, id="vary by all"),
        pytest.param("299 Odd", [("Cache-Control", "must-understand")], False, False, id="unknown"),
        pytest.param("200 OK", [("Cache-Control", "must-understand")], False, True, id="known"),
        pytest.param("200 OK", [], True, False, id="to a user"),
        pytest.param(
            "200 OK", [("Cache-Control", "max-age=9")], True, False, id="max-age to a user"
        ),
        pytest.param("200 OK", [("Cache-Control", "public")], True, True, id="public to a user"),
        pytest.param("200 OK", [("Cache-Control", "s-maxage=9")], True, True, id="s-maxage"),
    ],
)
def test_what_a_shared_cache_may_store(status, fields, credentials, expected):
    said = parse_cache_control(dict(fields).get("Cache-Control", ""))
    assert may_store(status, fields, said, credentials) is expected


def test_age_counts_from_date_or_age_whichever_is_more():
    date = ("Date", "Thu, 01 Jan 2026 11:59:50 GMT")
    assert initial_age([], NOON) == 0
    assert initial_age([date], NOON) == 10
    assert initial_age([date, ("Age", "7")], NOON) == 10
    assert initial_age([date, ("Age", "70")], NOON) == 70
    assert initial_age([("Date", "Thu, 01 Jan 2026 13:00:00 GMT")], NOON) == 0


def test_vary_keeps_the_order_of_names():
    assert vary([("Vary", "B , a"), ("vary", ",c")]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"HTTP_PRAGMA": "no-cache"}, False, id="Pragma"),
        pytest.param({"HTTP_PRAGMA": "no-cache", "HTTP_CACHE_CONTROL": "x"}, True, id="both"),
        pytest.param({"HTTP_CACHE_CONTROL": "no-cache"}, False, id="no-cache"),
        pytest.param({"HTTP_CACHE_CONTROL": "max-age=10"}, True, id="old enough"),
        pytest.param({"HTTP_CACHE_CONTROL": "max-age=9"}, False, id="too old"),
        pytest.param({"HTTP_CACHE_CONTROL": "min-fresh=20"}, True, id="fresh enough"),
        pytest.param({"HTTP_CACHE_CONTROL": "min-fresh=21"}, False, id="not fresh enough"),
    ],
)
def test_what_a_request_asks_for(environ, expected):
    assert suits(asked(environ), age=10, left=20) is expected


def test_seconds_that_are_none_are_a_bad_request():
    with pytest.raises(HTTPBadRequest, match="Invalid Cache-Control header"):
        suits(parse_cache_control("max-age=soon"), age=10, left=20)
