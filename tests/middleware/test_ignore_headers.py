"""IgnoreHeaders: fields of the request that the application does not see."""

import pytest
from webob import Request, Response

import cptoolkit
from cptoolkit.middleware.ignore_headers import IgnoreHeaders

FIELDS = {"Range": "bytes=0-1", "X-Debug": "1", "X-Other": "2"}


def view(request):
    names = sorted(set(request.headers) & {*FIELDS, "Content-Type"})
    return Response(" ".join(names), content_type="text/plain")


def test_range_is_ignored(host):
    assert host(view, IgnoreHeaders).fetch(headers=FIELDS).body == b"X-Debug X-Other"


def test_names_are_an_option(host):
    site = host(view, IgnoreHeaders, headers=["x-debug", "Not-There"])
    assert site.fetch(headers=FIELDS).body == b"Range X-Other"


def test_one_name_needs_no_list(alone):
    assert alone(view, IgnoreHeaders, headers="X-Debug").fetch(headers=FIELDS).body == (
        b"Range X-Other"
    )


def test_fields_that_cgi_keeps_elsewhere_are_ignored_too(alone):
    site = alone(view, IgnoreHeaders, headers=["Content-Type"])
    assert site.fetch(method="POST", headers={"Content-Type": "text/x"}).body == b""


def test_page_handler_does_not_see_them(app_of):
    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.ignore_headers(headers=("Range", "X-Debug"))
        def index(self):
            return repr([cptoolkit.request.headers.get(name) for name in FIELDS])

    answer = Request.blank("/", headers=FIELDS).get_response(app_of(Root()).app)
    assert answer.text == "[None, None, '2']"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        (["A B"], "the name of a header field must be a token of RFC 9110, got 'A B'"),
        ([5], "the name of a header field must be a token of RFC 9110, got 5"),
        ("", "the name of a header field must be a token of RFC 9110, got ''"),
        (None, "headers must be a name or several in a list, got None"),
    ],
)
def test_what_is_no_name_is_refused(headers, error):
    with pytest.raises((TypeError, ValueError), match=error):
        IgnoreHeaders(headers=headers)
