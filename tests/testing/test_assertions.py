"""What can be asserted of a page, by a table: each assertion with what holds and what fails."""

import datetime
import re

import pytest

from cptoolkit.http.error_pages import get_error_page
from cptoolkit.testing.assertions import PageAssertions

NOON = datetime.datetime(2026, 11, 22, 12)


def a_page(status="200 OK", body=b"Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln"):
    case = PageAssertions()
    case.status = status
    case.headers = [
        ("Content-Type", "text/html;charset=utf-8"),
        ("Vary", "Cookie, Accept"),
        ("Via", "1.1 a"),
        ("Via", "1.1 b"),
    ]
    case.body = body
    return case


HOLDING = [
    pytest.param("assertStatus", [200], id="status, code"),
    pytest.param("assertStatus", ["200 OK"], id="status, code and reason"),
    pytest.param("assertStatus", [(404, 200)], id="status, one of several"),
    pytest.param("assertStatus", [["404 Not Found", "200 OK"]], id="status, one of a list"),
    pytest.param("assertHeader", ["content-type"], id="header, any case"),
    pytest.param("assertHeader", ["Vary", "Cookie, Accept"], id="header, its value"),
    pytest.param("assertHeader", ["Via", "1.1 b"], id="header, second field"),
    pytest.param("assertHeaderIn", ["Vary", ["*", "Cookie, Accept"]], id="header in"),
    pytest.param("assertNoHeader", ["ETag"], id="no header"),
    pytest.param("assertHeaderItemValue", ["Vary", "Accept"], id="item"),
    pytest.param("assertHeaderItemValue", ["via", "1.1 b"], id="item of a second field"),
    pytest.param("assertNoHeaderItemValue", ["Vary", "Origin"], id="no such item"),
    pytest.param("assertNoHeaderItemValue", ["ETag", "x"], id="no item without a field"),
    pytest.param("assertBody", ["Grüße aus Köln"], id="body, text"),
    pytest.param("assertBody", ["Grüße aus Köln".encode()], id="body, bytes"),
    pytest.param("assertInBody", ["Köln"], id="in body"),
    pytest.param("assertInBody", [b"aus"], id="in body, bytes"),
    pytest.param("assertNotInBody", ["Bonn"], id="not in body"),
    pytest.param("assertMatchesBody", ["^Gr.*K.+ln$"], id="match"),
    pytest.param("assertMatchesBody", ["AUS", None, re.IGNORECASE], id="match, flags"),
    pytest.param("assertEqualDates", [NOON, NOON + datetime.timedelta(0, 2)], id="dates"),
    pytest.param("assertEqualDates", [NOON, NOON - datetime.timedelta(0, 9), 9], id="dates, 9 s"),
]

FAILING = [
    pytest.param("assertStatus", [404], "the status is '200 OK', expected 404", id="status"),
    pytest.param("assertStatus", ["200"], "expected 200", id="status, not its reason"),
    pytest.param("assertStatus", [(301, "302 Found")], "301 or 302 Found", id="status, several"),
    pytest.param("assertHeader", ["ETag"], "no 'ETag' in Content-Type, Vary, Via, Via", id="none"),
    pytest.param("assertHeader", ["Via", "c"], "'1.1 a' and '1.1 b', expected 'c'", id="value"),
    pytest.param("assertHeaderIn", ["Vary", ["*"]], r"expected one of \['\*'\]", id="header in"),
    pytest.param("assertNoHeader", ["vary"], "should not be there", id="no header"),
    pytest.param("assertHeaderItemValue", ["Vary", "Origin"], "'Origin' is not in", id="item"),
    pytest.param("assertHeaderItemValue", ["ETag", "x"], "there is no 'ETag'", id="no field"),
    pytest.param("assertNoHeaderItemValue", ["Vary", "Accept"], "should not be in", id="no item"),
    pytest.param("assertBody", ["Grüße"], r"expected b'Gr\\xc3\\xbc\\xc3\\x9fe'", id="body"),
    pytest.param("assertInBody", ["Bonn"], "b'Bonn' is not in the body", id="in body"),
    pytest.param("assertNotInBody", ["aus"], "b'aus' should not be", id="not in body"),
    pytest.param("assertMatchesBody", ["^aus"], "no match for b'.aus'", id="match"),
    pytest.param("assertEqualDates", [NOON, NOON + datetime.timedelta(0, 3)], "2 sec", id="dates"),
]


@pytest.mark.parametrize(("name", "arguments"), HOLDING)
def test_what_holds_passes(name, arguments):
    getattr(a_page(), name)(*arguments)


@pytest.mark.parametrize(("name", "arguments", "message"), FAILING)
def test_what_does_not_hold_is_told(name, arguments, message):
    with pytest.raises(AssertionError, match=message):
        getattr(a_page(), name)(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message"), [case for case in FAILING if "Dates" not in case.values[0]]
)
def test_message_of_ones_own_replaces_the_usual_one(name, arguments, message):
    with pytest.raises(AssertionError, match=r"^mine$"):
        getattr(a_page(), name)(*arguments, msg="mine")


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        pytest.param("assertHeader", ["via"], "1.1 a", id="header"),
        pytest.param("assertHeaderIn", ["Via", ["1.1 b"]], ["1.1 b"], id="header in"),
        pytest.param("assertHeaderItemValue", ["Vary", "Accept"], "Accept", id="item"),
    ],
)
def test_values_of_fields_are_returned(name, arguments, value):
    assert getattr(a_page(), name)(*arguments) == value


def test_nothing_can_be_said_before_the_first_page():
    case = PageAssertions()
    assert case.status_code is None
    for name, argument in (("assertBody", ""), ("assertNoHeader", "ETag")):
        with pytest.raises(AssertionError, match="no page has been fetched yet"):
            getattr(case, name)(argument)


def test_text_is_compared_in_the_encoding_of_the_class():
    case = a_page(body=b"K\xf6ln")
    case.encoding = "latin-1"
    case.assertBody("Köln")


TRACEBACK = 'Traceback (most recent call last):\n  File "a.py"\nValueError: 1 < 2\n'


def an_error_page(status="500 Internal Server Error", **details):
    return a_page(status, get_error_page(status, **details))


@pytest.mark.parametrize(
    ("page", "arguments"),
    [
        pytest.param({}, {}, id="the usual message"),
        pytest.param({"message": "a < b"}, {"message": "a < b"}, id="a message"),
        pytest.param({"traceback": TRACEBACK}, {}, id="a traceback may be there"),
        pytest.param({"traceback": TRACEBACK}, {"pattern": "1 < 2"}, id="a part as shown"),
        pytest.param({}, {"pattern": None}, id="no traceback"),
    ],
)
def test_error_page_is_recognised(page, arguments):
    an_error_page(**page).assertErrorPage(500, **arguments)
    an_error_page(**page).assertErrorPage("500 Internal Server Error", **arguments)


@pytest.mark.parametrize(
    ("page", "arguments", "message"),
    [
        pytest.param({"status": "404 Not Found"}, {}, "expected 500", id="another status"),
        pytest.param({"message": "x"}, {}, "and not the error page", id="another message"),
        pytest.param({"message": "x"}, {"message": "xy"}, "and not the", id="part of a message"),
        pytest.param({"traceback": TRACEBACK}, {"pattern": None}, "no traceback", id="traceback"),
        pytest.param({"traceback": TRACEBACK}, {"pattern": "Key"}, "'Key' is not in", id="pattern"),
        pytest.param({}, {"pattern": "ValueError"}, "is not in", id="pattern without traceback"),
    ],
)
def test_other_error_pages_are_told_from_it(page, arguments, message):
    with pytest.raises(AssertionError, match=message):
        an_error_page(**page).assertErrorPage(500, **arguments)
