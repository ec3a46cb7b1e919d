"""Conditional requests: the order of RFC 9110, section 13.2.2, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.conditional import (
    is_conditional,
    matches,
    modified_after,
    not_modified_fields,
    parse_date,
    precondition,
    range_is_current,
)

BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"


def environ(fields, method="GET"):
    return {"REQUEST_METHOD": method} | {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()
    }


PRECEDENCE = [
    # step 1: If-Match
    pytest.param("GET", {"If-Match": '"a"'}, None, id="the right tag goes on"),
    pytest.param("GET", {"If-Match": '"x"'}, 412, id="another tag fails"),
    pytest.param("PUT", {"If-Match": '"x"'}, 412, id="another tag fails for PUT"),
    pytest.param("GET", {"If-Match": 'W/"a"'}, 412, id="a weak tag is never what one must have"),
    pytest.param("GET", {"If-Match": '"x", "a"'}, None, id="one of several tags goes on"),
    pytest.param("PUT", {"If-Match": "*"}, None, id="any representation will do"),
    pytest.param(
        "PUT", {"If-Match": '"a"', "If-Unmodified-Since": BEFORE}, None,
        id="If-Unmodified-Since does not count beside If-Match",
    ),
    # step 2: If-Unmodified-Since
    pytest.param("PUT", {"If-Unmodified-Since": BEFORE}, 412, id="modified since then"),
    pytest.param("PUT", {"If-Unmodified-Since": MODIFIED}, None, id="modified just then"),
    pytest.param("GET", {"If-Unmodified-Since": AFTER}, None, id="modified before then"),
    pytest.param("PUT", {"If-Unmodified-Since": "yesterday"}, None, id="no date, no condition"),
    # step 3: If-None-Match
    pytest.param("GET", {"If-None-Match": '"a"'}, 304, id="the client has it"),
    pytest.param("HEAD", {"If-None-Match": '"a"'}, 304, id="HEAD is as GET"),
    pytest.param("PUT", {"If-None-Match": '"a"'}, 412, id="other methods fail"),
    pytest.param("GET", {"If-None-Match": 'W/"a"'}, 304, id="a weak tag will do"),
    pytest.param("GET", {"If-None-Match": '"x" ,W/"y","a"'}, 304, id="one of several tags"),
    pytest.param("GET", {"If-None-Match": "*"}, 304, id="any representation"),
    pytest.param("PUT", {"If-None-Match": "*"}, 412, id="there must be none, and there is"),
    pytest.param("GET", {"If-None-Match": '"x"'}, None, id="the client has another"),
    pytest.param("GET", {"If-None-Match": '"x,a"'}, None, id="a comma in a tag parts nothing"),
    pytest.param("GET", {"If-None-Match": ""}, None, id="no tag at all"),
    pytest.param(
        "GET", {"If-None-Match": '"x"', "If-Modified-Since": AFTER}, None,
        id="If-Modified-Since does not count beside If-None-Match",
    ),
    pytest.param(
        "GET", {"If-None-Match": '"a"', "If-Modified-Since": BEFORE}, 304,
        id="If-None-Match counts over If-Modified-Since",
    ),
    # step 4: If-Modified-Since
    pytest.param("GET", {"If-Modified-Since": MODIFIED}, 304, id="not modified since"),
    pytest.param("HEAD", {"If-Modified-Since": AFTER}, 304, id="a later date will do"),
    pytest.param("GET", {"If-Modified-Since": BEFORE}, None, id="modified since"),
    pytest.param("POST", {"If-Modified-Since": AFTER}, None, id="no condition for other methods"),
    pytest.param("GET", {"If-Modified-Since": "5 o'clock"}, None, id="what is no date is ignored"),
    # the steps together
    pytest.param(
        "GET", {"If-Match": '"x"', "If-None-Match": '"a"'}, 412, id="412 comes before 304",
    ),
    pytest.param(
        "GET", {"If-Match": '"a"', "If-None-Match": '"a"'}, 304, id="304 comes after a match",
    ),
    pytest.param(
        "GET", {"If-Unmodified-Since": BEFORE, "If-None-Match": '"a"'}, 412,
        id="a failed date comes before 304",
    ),
    pytest.param("GET", {}, None, id="no condition"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "fields", "status"), PRECEDENCE)
def test_preconditions_are_met_in_the_order_of_rfc_9110(method, fields, status):
    assert precondition(environ(fields, method), '"a"', MODIFIED) == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({"If-Match": '"a"'}, 412, id="no tag matches"),
        pytest.param({"If-Match": "*"}, None, id="it is there all the same"),
        pytest.param({"If-None-Match": '"a"'}, None, id="nothing the client could have"),
        pytest.param({"If-Unmodified-Since": BEFORE}, None, id="without a date none is compared"),
        pytest.param({"If-Modified-Since": AFTER}, None, id="nor for the client's copy"),
    ],
)
def test_representation_without_validators(fields, status):
    assert precondition(environ(fields), None, None) == status


def test_weak_tag_matches_weakly_alone():
    assert matches('"a"', 'W/"a"', strong=False)
    assert not matches('W/"a"', 'W/"a"', strong=True)
    assert not matches('"a"', 'W/"a"', strong=True)


def test_tag_that_a_program_set_without_quotes_matches_itself():
    assert precondition(environ({"If-None-Match": "v1"}), "v1", None) == 304


@pytest.mark.parametrize(
    ("field", "counts"),
    [
        pytest.param(None, True, id="no If-Range"),
        pytest.param('"a"', True, id="the tag"),
        pytest.param('"x"', False, id="another tag"),
        pytest.param('W/"a"', False, id="a weak tag"),
        pytest.param(MODIFIED, True, id="the date"),
        pytest.param(AFTER, False, id="a later date is another copy"),
        pytest.param("", False, id="an empty field"),
        pytest.param("nonsense", False, id="nonsense"),
    ],
)
def test_range_counts_only_for_the_copy_that_if_range_names(field, counts):
    fields = {} if field is None else {"If-Range": field}
    assert range_is_current(environ(fields), '"a"', MODIFIED) is counts


def test_range_never_counts_for_a_weak_tag():
    assert not range_is_current(environ({"If-Range": 'W/"a"'}), 'W/"a"', None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", id="IMF-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", id="RFC 850"),
        pytest.param("Sun Nov  6 08:49:37 1994", id="asctime"),
    ],
)
def test_date_is_read_in_its_three_formats(text):
    assert parse_date(text) == 784111777


@pytest.mark.parametrize("text", ["", "yesterday", "784111777", "Sun, 06 Nov 1994", "," * 100_000])
def test_what_is_no_date_counts_as_none(text):
    assert parse_date(text) is None
    assert modified_after(MODIFIED, text) is None


@given(st.text(max_size=60))
def test_any_text_is_a_date_or_none(text):
    assert parse_date(text) is None or isinstance(parse_date(text), int)


@given(st.text(max_size=60), st.sampled_from(['"a"', 'W/"a"', "a"]))
def test_any_field_is_compared_in_the_order_of_strength(field, etag):
    assert matches(field, etag, strong=False) or not matches(field, etag, strong=True)


@pytest.mark.parametrize("item", ['"', 'W/"', ",", '""', "*"])
def test_huge_field_is_read_in_no_time(item):
    assert precondition(environ({"If-None-Match": item * 100_000}), '"a"', None) is None


@pytest.mark.parametrize(
    "name", ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]
)
def test_request_is_conditional_with_any_of_the_fields(name):
    assert is_conditional(environ({name: "x"}))
    assert not is_conditional(environ({"If-Range": "x", "Range": "bytes=0-0"}))


def test_304_keeps_what_caches_need():
    kept = [
        ("ETag", '"a"'),
        ("Last-Modified", MODIFIED),
        ("Vary", "Accept-Encoding"),
        ("Cache-Control", "max-age=1"),
        ("Expires", AFTER),
        ("Content-Location", "/x"),
        ("Content-Security-Policy", "default-src 'self'"),
        ("Set-Cookie", "a=1"),
    ]
    content = [("Content-Type", "text/css"), ("content-length", "3"), ("Content-Encoding", "br")]
    assert not_modified_fields(kept + content) == kept
