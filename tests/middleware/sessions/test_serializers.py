"""Session data to bytes and back."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.middleware.sessions import serializers
from cptoolkit.middleware.sessions.serializers import serializer_of, serializer_of_shared
from cptoolkit.middleware.sessions.store import BrokenRecord

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip
data = st.dictionaries(st.text(), values)


@pytest.mark.parametrize("secret", [None, "secret"])
@pytest.mark.parametrize("format", ["json", "pickle"])
@settings(max_examples=30, deadline=None)
@given(data=data)
def test_what_goes_in_comes_out(format, secret, data):
    serializer = serializer_of(format, secret)
    assert serializer.loads(serializer.dumps(data)) == data


@settings(deadline=None)
@given(data=st.dictionaries(st.integers() | st.tuples(st.text()), st.dates() | st.sets(st.text())))
def test_pickle_takes_what_json_does_not(data):
    serializer = serializer_of("pickle")
    assert serializer.loads(serializer.dumps(data)) == data


@pytest.mark.parametrize("secret", [None, "secret"])
@pytest.mark.parametrize("format", ["json", "pickle"])
@settings(deadline=None)
@given(raw=st.binary(max_size=100))
def test_any_bytes_are_data_or_a_broken_record(format, secret, raw):
    with contextlib.suppress(BrokenRecord):
        assert isinstance(serializer_of(format, secret).loads(raw), dict)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"a": 1', id="cut short"),
        pytest.param(b"[]", id="no dict"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 200_000, id="too deep"),
    ],
)
def test_broken_json_is_told(raw):
    with pytest.raises(BrokenRecord):
        serializer_of("json").loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(pickle.dumps({"a": 1})[:-3], id="cut short"),
        pytest.param(pickle.dumps([]), id="no dict"),
        pytest.param(b"cno_such_module\nThing\n.", id="class that is gone"),
    ],
)
def test_broken_pickle_is_told(raw):
    with pytest.raises(BrokenRecord):
        serializer_of("pickle").loads(raw)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(
            {1: "x"}, "'thing' cannot be stored: JSON has only str .* got 1", id="int key"
        ),
        pytest.param([({None: 1},)], "'thing' cannot be stored: JSON has only", id="inner key"),
        pytest.param(datetime(2020, 1, 1), "'thing' cannot be stored: .*datetime", id="datetime"),
        pytest.param(float("nan"), "'thing' cannot be stored: ", id="NaN"),
        pytest.param({1, 2}, "'thing' cannot be stored: .*set", id="set"),
    ],
)
def test_value_that_json_cannot_take_is_named(value, told):
    with pytest.raises(TypeError, match=told):
        serializer_of("json").dumps({"good": 1, "thing": value})


def test_key_that_json_cannot_take_is_named():
    with pytest.raises(TypeError, match="session's 5 cannot be stored: JSON has only str as keys"):
        serializer_of("json").dumps({"good": 1, 5: 1})


def test_value_that_holds_itself_is_named():
    value = []
    value.append(value)
    with pytest.raises(TypeError, match="'loop' cannot be stored"):
        serializer_of("json").dumps({"loop": value})


def test_value_that_pickle_cannot_take_is_named():
    with pytest.raises(TypeError, match=r"'thing' cannot be stored: .*pickle"):
        serializer_of("pickle").dumps({"good": 1, "thing": lambda: None})


# Secrets


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("was unpickled",)


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda raw: raw, id="unsigned"),
        pytest.param(lambda raw: bytes(32) + raw, id="signed with nothing"),
        pytest.param(lambda raw: serializer_of("pickle", "theirs").dumps({}) + raw, id="appended"),
        pytest.param(lambda raw: serializer_of("pickle", "ours").dumps({})[:32] + raw, id="stolen"),
    ],
)
def test_forged_pickle_is_not_looked_at(forge):
    with pytest.raises(BrokenRecord, match="not signed with any of the secrets"):
        serializer_of("pickle", "ours").loads(forge(pickle.dumps({"a": Bomb()})))


@settings(deadline=None)
@given(place=st.integers(0, 60), bit=st.integers(0, 7))
def test_one_bit_changed_breaks_the_signature(place, bit):
    serializer = serializer_of("json", b"secret")
    raw = bytearray(serializer.dumps({"text": "x" * 40}))
    raw[place % len(raw)] ^= 1 << bit
    with pytest.raises(BrokenRecord, match="not signed"):
        serializer.loads(bytes(raw))


def test_first_secret_signs_and_all_are_accepted():
    old, both, new = (serializer_of("json", s) for s in ("old", ["new", "old"], "new"))
    assert both.loads(old.dumps({"a": 1})) == {"a": 1}
    assert new.loads(both.dumps({"a": 1})) == {"a": 1}
    with pytest.raises(BrokenRecord):
        old.loads(both.dumps({"a": 1}))


def test_secret_may_be_text_or_bytes():
    assert serializer_of("json", "é").dumps({}) == serializer_of("json", "é".encode()).dumps({})


@pytest.mark.parametrize("secret", ["", b"", [], ["new", ""]], ids=repr)
def test_empty_secret_is_refused(secret):
    with pytest.raises(ValueError, match="secret must not be empty"):
        serializer_of("json", secret)


@pytest.mark.parametrize("secret", [[1], [None], ["a", ["b"]]], ids=repr)
def test_secret_of_another_type_is_refused(secret):
    with pytest.raises(TypeError, match="secret must be str or bytes, or several, got"):
        serializer_of("json", secret)


# Formats


def test_unknown_format_is_refused():
    with pytest.raises(
        ValueError, match=r"serializer must be 'json' or 'pickle', or .* got 'yaml'"
    ):
        serializer_of("yaml")


def test_thing_that_is_no_format_is_refused():
    with pytest.raises(TypeError, match="serializer must have dumps and loads, got 5"):
        serializer_of(5)


class Own:
    def dumps(self, data):
        return json.dumps(data).encode()

    def loads(self, raw):
        return json.loads(raw)


def test_format_of_ones_own_is_signed_and_checked_too():
    serializer = serializer_of(Own(), "secret")
    assert serializer.loads(serializer.dumps({"a": [1]})) == {"a": [1]}
    with pytest.raises(BrokenRecord):
        serializer_of(Own()).loads(b"{")
    with pytest.raises(TypeError, match="'a' cannot be stored"):
        serializer.dumps({"a": object()})


def test_format_that_gives_no_bytes_is_told():
    with pytest.raises(TypeError, match="serializer must give bytes, gave str"):
        serializer_of(json).dumps({"a": 1})


# Pickles in a shared store


@pytest.fixture
def log(caplog):
    serializers._warn_of_pickle.cache_clear()
    caplog.set_level(logging.WARNING, "cptoolkit.sessions")
    return caplog


@pytest.mark.parametrize("format", ["pickle", pickle], ids=["name", "module"])
def test_unsigned_pickles_in_a_shared_store_are_warned_of_once(log, format):
    for store in ("A", "A", "B"):
        serializer_of_shared(store, format, None)
    assert [message[:34] for message in log.messages] == [
        "A keeps pickled sessions unsigned:",
        "B keeps pickled sessions unsigned:",
    ]


@pytest.mark.parametrize(("format", "secret"), [("json", None), ("pickle", "secret")])
def test_nothing_is_said_of_what_is_safe(log, format, secret):
    serializer_of_shared("A", format, secret)
    assert log.messages == []
