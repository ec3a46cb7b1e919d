"""Records as bytes: what is kept in Redis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.caching.records import (
    Answer,
    Variants,
    dump_record,
    environ_key,
    parse_record,
)

TIMES = st.floats(0, 1e11)
ANSWERS = st.builds(
    Answer,
    status=st.text(max_size=10),
    fields=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3),
    body=st.binary(max_size=30),
    born=TIMES,
    expires=TIMES,
    for_everybody=st.booleans(),
)
VARIANTS = st.builds(
    Variants,
    names=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    generation=st.text(max_size=5),
    expires=TIMES,
)


@given(ANSWERS | VARIANTS)
def test_record_is_the_same_after_both_ways(record):
    assert parse_record(dump_record(record)) == record


@given(ANSWERS | VARIANTS, st.data())
def test_record_that_is_cut_short_is_none(record, data):
    raw = dump_record(record)
    end = data.draw(st.integers(0, len(raw) - 1))
    assert parse_record(raw[:end]) is None


@given(st.binary(max_size=40))
def test_bytes_of_somebody_else_are_no_record(raw):
    assert parse_record(raw) is None


@pytest.mark.parametrize(
    "head",
    [
        b'["answer"]',
        b'["other",1]',
        b'["answer","200 OK",[["a","b"]],1.0,2.0,true,"0"]',
        b'["answer","200 OK",[["a",1]],1.0,2.0,true,0]',
        b'["answer","200 OK",[["a"]],1.0,2.0,true,0]',
        b'["answer",200,[],1.0,2.0,true,0]',
        b'["answer","200 OK",[],"1",2.0,true,0]',
        b'["variants",[1],"g",1.0]',
        b'["variants",["a"],null,1.0]',
        b"[[],1]",
        b"{}",
        b"[" * 100_000,
    ],
    ids=lambda head: head[:30].decode(),
)
def test_record_of_another_shape_is_none(head):
    assert parse_record(b"%08x" % len(head) + head) is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("accept-language", "HTTP_ACCEPT_LANGUAGE"),
        ("content-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
    ],
)
def test_environ_has_request_fields_under_names_of_its_own(name, key):
    assert environ_key(name) == key
