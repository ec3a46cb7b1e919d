"""Test cases of unittest's, run within a test."""

from __future__ import annotations

import io
import unittest
from collections.abc import Callable

import pytest

import cptoolkit


class Outcome:
    """What came of the tests of a class: their failures and errors, as text."""

    def __init__(self, result: unittest.TestResult, output: str) -> None:
        self.failures = [text for _, text in [*result.failures, *result.errors]]
        self.skipped = [reason for _, reason in result.skipped]
        self.count = result.testsRun
        self.output = output


@pytest.fixture
def run_case() -> Callable[..., Outcome]:
    """Run the tests of a TestCase by unittest; without failures unless they are expected."""

    def run(case: type[unittest.TestCase], *, fails: bool = False) -> Outcome:
        output = io.StringIO()
        suite = unittest.TestLoader().loadTestsFromTestCase(case)
        result = unittest.TextTestRunner(stream=output, warnings="error").run(suite)
        outcome = Outcome(result, output.getvalue())
        assert fails == bool(outcome.failures), outcome.output
        return outcome

    return run


class Pages:
    """A few pages that tests want."""

    @cptoolkit.expose
    def index(self):
        return "Hello"

    @cptoolkit.expose
    def echo(self, message="", **other):
        return message

    @cptoolkit.expose
    def cookie(self, name, value):
        cptoolkit.response.cookie[name] = value
        cptoolkit.response.cookie[name]["max-age"] = 0 if value == "" else 60

    @cptoolkit.expose
    def boom(self):
        raise ValueError("boom <here>")

    @cptoolkit.expose
    def seen(self, **form):
        """The request as it has come."""
        request = cptoolkit.request
        fields = sorted(request.headers.items())
        return "\n".join([request.request_line, *(f"{name}: {value}" for name, value in fields)])


@pytest.fixture
def pages() -> type[Pages]:
    return Pages
