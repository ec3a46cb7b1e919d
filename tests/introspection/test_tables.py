"""Tables of text."""

import contextlib
import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cptoolkit.introspection.naming import printable
from cptoolkit.introspection.tables import NARROWEST, Terminal, table, write


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_columns_stand_below_each_other():
    assert table(["A", "Long"], [["wide cell", "x"], ["y", "z"]], Terminal()) == [
        "A          Long",
        "wide cell  x",
        "y          z",
    ]


def test_columns_without_text_are_left_out():
    assert table(["A", "B", "C"], [["1", "", "3"]], Terminal()) == ["A  C", "1  3"]


def test_cells_are_wrapped_where_the_terminal_is_narrow():
    lines = table(["A", "B"], [["one", "several words of text"]], Terminal(20))
    assert lines == ["A    B", "one  several words", "     of text"]


CELLS = st.text("ab -/\n\x1bé", max_size=50)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4),
    st.integers(3 * NARROWEST + 4, 120),
)
def test_tables_fit(rows, width):
    for line in table(["First", "Second", "Third"], rows, Terminal(width)):
        assert len(line) <= width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü", "plain äöü"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\x00c\u202ed", "a\\rb\\x00c\\u202ed"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown
    assert shown in table(["A"], [[text]], Terminal())[1]


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, environ, colour):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert Terminal.of(Screen()).colour is colour
    assert Terminal.of(io.StringIO()).colour is False


def test_width_is_the_terminal_s(monkeypatch):
    monkeypatch.setenv("COLUMNS", "47")
    assert Terminal.of(Screen()).width == 47
    monkeypatch.delenv("COLUMNS")
    assert Terminal.of(io.StringIO()).width is None


def test_headers_stand_out_where_there_is_colour():
    assert table(["A"], [["b"]], Terminal(colour=True)) == ["\x1b[1mA\x1b[0m", "b"]


def test_reader_that_has_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    try:
        write(["text"], stream)
    finally:
        with contextlib.suppress(BrokenPipeError):
            stream.close()
