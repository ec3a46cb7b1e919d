"""What can be asserted of the page that a test has fetched (reference, 5.13)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from html import unescape
from typing import Any
from unittest import TestCase

from cptoolkit.http.error_pages import get_error_page

__unittest = True
"""Keeps this module out of the tracebacks that unittest and pytest show."""

Status = int | str
"""A code, or a code with its reason."""


class PageAssertions(TestCase):
    """Assertions about the last page. ``msg``, where it is given, replaces the usual message."""

    status: str | None = None
    """Code and reason, ``"200 OK"``."""
    headers: Sequence[tuple[str, str]] | None = None
    """Fields in the order in which they came."""
    body: bytes | None = None
    """The body, as it was sent."""
    encoding: str = "utf-8"
    """What text is compared with the body in."""
    date_tolerance: float = 2
    """Seconds for which :meth:`assertEqualDates` takes two times for the same."""

    @property
    def status_code(self) -> int | None:
        """The code alone; None before the first page."""
        return int(self.status[:3]) if self.status else None

    def status_matches(self, expected: Status) -> bool:
        """Whether the status is the expected one."""
        return expected in (self.status, self.status_code)

    def assertStatus(self, status: Status | Iterable[Status], msg: str | None = None) -> None:
        """The status is this one, or one of these."""
        expected = [status] if isinstance(status, (int, str)) else list(status)
        if not any(map(self.status_matches, expected)):
            wanted = " or ".join(map(str, expected))
            self.fail(msg or f"the status is {self.status!r}, expected {wanted}")

    # -- header fields ---------------------------------------------------------------------

    def assertHeader(self, key: str, value: Any = None, msg: str | None = None) -> str:
        """There is such a field, with this value if one is given; its value is returned."""
        found = self._values(key)
        for text in found:
            if value is None or text == str(value):
                return text
        if not found:
            self.fail(msg or f"there is no {key!r} in {self._names()}")
        self.fail(msg or f"{key!r} is {' and '.join(map(repr, found))}, expected {value!r}")

    def assertHeaderIn(
        self, key: str, values: Iterable[str], msg: str | None = None
    ) -> Sequence[str]:
        """A field of that name has one of these values; those that have are returned."""
        expected = list(values)
        found = self._values(key)
        fitting = [text for text in found if text in expected]
        if not fitting:
            self.fail(msg or f"{key!r} is {found}, expected one of {expected}")
        return fitting

    def assertNoHeader(self, key: str, msg: str | None = None) -> None:
        """There is no such field."""
        if found := self._values(key):
            self.fail(msg or f"{key!r} should not be there, it is {' and '.join(found)!r}")

    def assertHeaderItemValue(self, key: str, value: str, msg: str | None = None) -> str:
        """The value is an item of the list in such a field; it is returned."""
        found = self._values(key)
        if not found:
            self.fail(msg or f"there is no {key!r} in {self._names()}")
        if value not in _items(found):
            self.fail(msg or f"{value!r} is not in {key!r}, which is {', '.join(found)!r}")
        return value

    def assertNoHeaderItemValue(self, key: str, value: str, msg: str | None = None) -> None:
        """The value is no item of a list in such a field, if there is one."""
        found = self._values(key)
        if value in _items(found):
            self.fail(msg or f"{value!r} should not be in {key!r}: {', '.join(found)!r}")

    # -- the body --------------------------------------------------------------------------

    def assertBody(self, value: str | bytes, msg: str | None = None) -> None:
        """The body is this."""
        wanted = self._encoded(value)
        if self._page() != wanted:
            self.fail(msg or f"the body is {self.body!r}, expected {wanted!r}")

    def assertInBody(self, value: str | bytes, msg: str | None = None) -> None:
        """This occurs in the body."""
        wanted = self._encoded(value)
        if wanted not in self._page():
            self.fail(msg or f"{wanted!r} is not in the body, {self.body!r}")

    def assertNotInBody(self, value: str | bytes, msg: str | None = None) -> None:
        """This occurs nowhere in the body."""
        unwanted = self._encoded(value)
        if unwanted in self._page():
            self.fail(msg or f"{unwanted!r} should not be in the body, {self.body!r}")

    def assertMatchesBody(
        self, pattern: str | bytes, msg: str | None = None, flags: int = 0
    ) -> None:
        """The regular expression is found in the body."""
        wanted = self._encoded(pattern)
        if re.search(wanted, self._page(), flags) is None:
            self.fail(msg or f"no match for {wanted!r} in the body, {self.body!r}")

    def assertErrorPage(
        self, status: Status, message: str | None = None, pattern: str | None = ""
    ) -> None:
        """The page is the usual one for an error, with that status.

        :param message: as given to ``HTTPError``, before it is escaped; None is the usual one.
        :param pattern: what the traceback on the page must contain; ``""`` lets there be one or
            none, None lets there be none.
        """
        self.assertStatus(status)
        page = self._page().decode(self.encoding)
        plain, traceback = _without_traceback(page)
        wanted = get_error_page(status, message=message).decode()
        if plain != wanted:
            self.fail(f"the body is\n{plain}\nand not the error page\n{wanted}")
        if pattern is None and traceback:
            self.fail(f"there should be no traceback on the page:\n{traceback}")
        if pattern and pattern not in traceback:
            self.fail(f"{pattern!r} is not in the traceback on the page:\n{traceback}")

    def assertEqualDates(
        self,
        dt1: datetime.datetime,
        dt2: datetime.datetime,
        seconds: float | None = None,
    ) -> None:
        """Two times are at most so many seconds apart; :attr:`date_tolerance` without a number."""
        tolerance = self.date_tolerance if seconds is None else seconds
        if abs(dt1 - dt2) > datetime.timedelta(seconds=tolerance):
            self.fail(f"{dt1} and {dt2} are more than {tolerance} seconds apart")

    # -- the page --------------------------------------------------------------------------

    def _page(self) -> bytes:
        if self.body is None:
            self.fail("no page has been fetched yet")
        return self.body

    def _values(self, name: str) -> list[str]:
        self._page()
        return [text for key, text in self.headers or () if key.lower() == name.lower()]

    def _names(self) -> str:
        return ", ".join(name for name, _ in self.headers or ())

    def _encoded(self, text: str | bytes) -> bytes:
        return text.encode(self.encoding) if isinstance(text, str) else text


def _items(values: Iterable[str]) -> list[str]:
    return [item.strip() for value in values for item in value.split(",")]


_TRACEBACK = re.compile('<pre id="traceback">(.*?)</pre>\n', re.DOTALL)


def _without_traceback(page: str) -> tuple[str, str]:
    """An error page without its traceback, and the traceback as text; "" if there is none."""
    found = _TRACEBACK.search(page)
    return _TRACEBACK.sub("", page, count=1), unescape(found[1]) if found else ""
