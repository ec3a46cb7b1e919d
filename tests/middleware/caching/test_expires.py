"""Expires: as a tool, and around the applications of frameworks."""

from datetime import timedelta

import pytest
from webob import Response

from cptoolkit.middleware.caching.expires import Expires

NOON = 1_767_268_800.0
IN_A_MINUTE = "Thu, 01 Jan 2026 12:01:00 GMT"
PAST = "Sun, 28 Jan 2007 00:00:00 GMT"
ETAG = ("ETag", '"x"')


def page(*fields):
    def view(request):
        return Response(body=b"hello", headerlist=[("Content-Type", "text/plain"), *fields])

    return view


def sent(response):
    names = ("Expires", "Cache-Control", "Pragma")
    return {name: response.headers[name] for name in names if name in response.headers}


def test_response_that_caches_may_keep_is_fresh_for_the_time(host):
    site = host(page(ETAG), Expires, secs=60, clock=lambda: NOON)
    expected = {"Expires": IN_A_MINUTE, "Cache-Control": "max-age=60"}
    assert sent(site.fetch()) == sent(site.fetch(method="HEAD")) == expected


def test_zero_seconds_have_it_asked_for_each_time(host):
    assert sent(host(page(ETAG), Expires).fetch()) == {
        "Expires": PAST,
        "Cache-Control": "no-cache, must-revalidate",
        "Pragma": "no-cache",
    }


@pytest.mark.parametrize("secs", [0, 60])
def test_response_that_caches_do_not_keep_anyway_is_left_alone(host, secs):
    assert sent(host(page(), Expires, secs=secs).fetch()) == {}


@pytest.mark.parametrize(
    ("options", "fields", "expected"),
    [
        pytest.param(
            {"secs": 60},
            [("Expires", PAST)],
            {"Expires": PAST},
            id="Expires of the app is not contradicted",
        ),
        pytest.param(
            {"secs": 60},
            [ETAG, ("Cache-Control", "private, max-age=5")],
            {"Expires": IN_A_MINUTE, "Cache-Control": "private, max-age=5"},
            id="nor its Cache-Control",
        ),
        pytest.param(
            {},
            [ETAG, ("Cache-Control", "private"), ("Pragma", "x")],
            {"Expires": PAST, "Cache-Control": "private", "Pragma": "x"},
            id="nor with zero",
        ),
        pytest.param(
            {"secs": timedelta(minutes=1)},
            [("Last-Modified", PAST)],
            {"Expires": IN_A_MINUTE, "Cache-Control": "max-age=60"},
            id="timedelta",
        ),
        pytest.param(
            {"secs": 60, "force": True},
            [],
            {"Expires": IN_A_MINUTE, "Cache-Control": "max-age=60"},
            id="force needs no validator",
        ),
        pytest.param(
            {"secs": 60, "force": True},
            [("Expires", PAST), ("Cache-Control", "no-cache, private, max-age=5"), ("Pragma", "x")],
            {"Expires": IN_A_MINUTE, "Cache-Control": "max-age=60, private"},
            id="force overrules how long, not for whom",
        ),
        pytest.param(
            {"force": True},
            [("Expires", IN_A_MINUTE), ("Cache-Control", "max-age=5")],
            {"Expires": PAST, "Cache-Control": "no-cache, must-revalidate", "Pragma": "no-cache"},
            id="force with zero",
        ),
    ],
)
def test_what_the_application_said(alone, options, fields, expected):
    assert sent(alone(page(*fields), Expires, clock=lambda: NOON, **options).fetch()) == expected


def test_date_moves_on_with_the_clock(alone):
    now = [NOON - 60.9]
    site = alone(page(ETAG), Expires, secs=60, clock=lambda: now[0])
    assert site.fetch().headers["Expires"] == "Thu, 01 Jan 2026 11:59:59 GMT"
    now[0] = NOON
    assert site.fetch().headers["Expires"] == IN_A_MINUTE


@pytest.mark.parametrize(
    ("secs", "error"), [("60", TypeError), (None, TypeError), (-1, ValueError), (1e11, ValueError)]
)
def test_seconds_that_are_none_are_refused(secs, error):
    with pytest.raises(error, match="secs must be"):
        Expires(secs=secs)
