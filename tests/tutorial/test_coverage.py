"""``docs/reference-coverage.rst`` names tests that are there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = (TESTS.parent / "docs" / "reference-coverage.rst").read_text()
ROWS = [row.split(" | ") for row in re.findall(r"^   (P?\d+ \| .*)", TABLE, re.MULTILINE)]


def named_tests(cell):
    """The path of the file and the name of each test."""
    path = ""
    for entry in cell.split("; "):
        file, colon, words = entry.rpartition(": ")
        path = file if colon else path
        yield path, "test_" + words.replace(" ", "_")


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_tests_of_a_listing_are_there(row):
    _, _, _, cell = row
    if cell.startswith("none: "):
        return
    for path, name in named_tests(cell):
        text = (TESTS / path).read_text()
        assert re.search(rf"^ *def {name}\(", text, re.MULTILINE), f"{name} is not in {path}"


def test_listings_stand_in_their_order():
    numbers = [int(number) for number, *_ in ROWS if number.isdigit()]
    assert numbers == sorted(set(numbers))
