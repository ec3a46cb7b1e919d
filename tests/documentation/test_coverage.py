"""``docs/reference-coverage.rst`` has all listings, and names tests that are there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = (TESTS.parent / "docs" / "reference-coverage.rst").read_text(encoding="utf-8")
ROWS = [row.split(" | ") for row in re.findall(r"^   (P?\d[\d.]* \| .*)", TABLE, re.MULTILINE)]


def named_tests(cell):
    """The path of the file and the name of each test."""
    path = ""
    for entry in cell.split("; "):
        file, colon, words = entry.rpartition(": ")
        path = file if colon else path
        yield path, "test_" + words.replace(" ", "_")


@pytest.mark.parametrize("row", ROWS, ids=[" ".join(row[:2]) for row in ROWS])
def test_tests_of_a_listing_are_there(row):
    _, _, _, cell = row
    if cell.startswith("none: "):
        return
    for path, name in named_tests(cell):
        text = (TESTS / path).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {name}\(", text, re.MULTILINE), f"{name} is not in {path}"


def test_every_listing_has_its_row_in_order():
    numbers = [number for number, *_ in ROWS]
    assert [int(number) for number in numbers if number.isdigit()] == [*range(1, 183)]
    prose = [int(number[1:]) for number in numbers if number.startswith("P")]
    assert prose == [*range(1, 14)]


def test_history_goes_back_from_8_8_to_3_3():
    versions = [tuple(map(int, number.split("."))) for number, *_ in ROWS if "." in number]
    assert versions == sorted(versions, reverse=True)
    assert len(set(versions)) == 39
