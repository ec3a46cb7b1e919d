"""Referer: only requests that come from certain pages are answered."""

import re

import pytest
from webob import Response

from cptoolkit.middleware.referer import Referer

OURS = r"https?://[^/]*example\.com/"
PAGE = "https://www.example.com/page"
OTHER = "https://example.org/?https://www.example.com/"


def view(request):
    return Response("a picture")


@pytest.mark.parametrize(
    ("options", "referer", "status"),
    [
        pytest.param({}, PAGE, 200, id="one of the pages"),
        pytest.param({}, OTHER, 403, id="another page"),
        pytest.param({}, "", 403, id="an empty field"),
        pytest.param({}, None, 403, id="no field"),
        pytest.param({"accept_missing": True}, None, 200, id="no field is fine"),
        pytest.param({"accept_missing": True}, OTHER, 403, id="another page is not"),
        pytest.param({"accept": False}, PAGE, 403, id="one of the pages to refuse"),
        pytest.param({"accept": False}, OTHER, 200, id="not one of them"),
        pytest.param({"accept": False}, None, 403, id="no field, which might be one"),
        pytest.param({"accept": False, "accept_missing": True}, None, 200, id="or might not"),
        pytest.param({"error": 404}, OTHER, 404, id="with another status"),
    ],
)
def test_requests_are_refused_by_the_page_they_come_from(host, options, referer, status):
    headers = {} if referer is None else {"Referer": referer}
    answer = host(view, Referer, pattern=OURS, **options).fetch(headers=headers)
    assert answer.status_int == status
    assert (answer.body == b"a picture") is (status == 200)


def test_message_is_an_option(host):
    answer = host(view, Referer, pattern=OURS, message="Come <in>!").fetch(
        headers={"Accept": "text/html"}
    )
    assert b"Come &lt;in&gt;!" in answer.body


def test_message_of_the_reference(host):
    assert b"Forbidden Referer header." in host(view, Referer, pattern=OURS).fetch().body


def test_pattern_may_be_compiled(alone):
    site = alone(view, Referer, pattern=re.compile(OURS, re.IGNORECASE))
    assert site.fetch(headers={"Referer": PAGE.upper()}).status_int == 200


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"pattern": "("}, r"pattern must be a regular expression, got '\(': missing \)"),
        ({"pattern": None}, "pattern must be a regular expression for str, got None"),
        ({"pattern": b"x"}, "pattern must be a regular expression for str, got b'x'"),
        ({"pattern": "x", "error": 200}, "error must be the status of an error, got 200"),
        ({"pattern": "x", "error": 999}, "error must be the status of an error, got 999"),
        ({"pattern": "x", "error": "403"}, "error must be the status of an error, got '403'"),
    ],
)
def test_wrong_option_is_told(options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        Referer(**options)
