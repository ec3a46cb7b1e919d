import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit import log_lines
from cptoolkit.http.request import Request
from cptoolkit.log_lines import escape_field, escape_text, timestamp

STAMP = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\]"


def test_time_is_made_once_a_second(monkeypatch):
    monkeypatch.setattr(log_lines.time, "time", lambda: 86_400.9)
    first = timestamp()
    assert re.fullmatch(STAMP, first)
    assert timestamp() is first
    monkeypatch.setattr(log_lines.time, "time", lambda: 86_401.0)
    assert timestamp() != first


# Escaping


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ("a\r\n\tb", r"a\r\n\tb"),
        ('say "hi"', r"say \"hi\""),
        ("back\\slash", r"back\\slash"),
        ('\\"', r"\\\""),
        ("\x1b[2J\x00\x7f", r"\x1b[2J\x00\x7f"),
        ("\x9b2J", r"\xc2\x9b2J"),
        ("Ἔ", r"\xe1\xbc\x9c"),
        ("\u2028", r"\xe2\x80\xa8"),
        ("\udcff", r"\xed\xb3\xbf"),
    ],
)
def test_field_of_the_access_log_is_escaped(sent, logged):
    assert escape_field(sent) == logged


@given(st.text(st.characters()))
@settings(max_examples=60, deadline=None)
def test_escaped_field_is_printable_and_can_be_read_back(value):
    escaped = escape_field(value)
    assert escaped.isascii()
    assert escaped.isprintable()
    assert not re.search(r'(?<!\\)(\\\\)*"', escaped)
    back = escaped.encode().decode("unicode_escape").encode("latin-1")
    assert back.decode("utf-8", "surrogatepass") == value


@pytest.mark.parametrize(
    ("message", "logged"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("over\rwritten \x9b2J", r"over\rwritten \x9b2J"),
        ("right\u202eto left", r"right\u202eto left"),
        ("two\n\tlines", "two\n\tlines"),
        ("x\n[22/Nov/2026:08:11:50] ENGINE Bus", "x\n [22/Nov/2026:08:11:50] ENGINE Bus"),
        ("x\n[1, 2]", "x\n[1, 2]"),
        ("\ud800", r"\ud800"),
        ("Ἔρεβος", "Ἔρεβος"),
    ],
)
def test_text_of_the_error_log_is_escaped(message, logged):
    assert escape_text(message) == logged


def test_absent_address_is_a_dash():
    request = Request.blank("/", environ={"REMOTE_ADDR": ""})
    assert log_lines.ATOMS["h"](request, None) == "-"
