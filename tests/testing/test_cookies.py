"""The cookies that a client keeps."""

import pytest

from cptoolkit.testing.cookies import joined, kept

OLD, NEW = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.mark.parametrize(
    ("had", "sent", "has"),
    [
        pytest.param([], ["a=1"], ["a=1"], id="a new one"),
        pytest.param([], ["a=1; Path=/; HttpOnly; Partitioned"], ["a=1"], id="without attributes"),
        pytest.param([], ["a=x=y"], ["a=x=y"], id="a value with an equals sign"),
        pytest.param([], ["a="], ["a="], id="an empty value"),
        pytest.param(["a=1"], [], ["a=1"], id="none sent leaves them alone"),
        pytest.param(["a=1"], ["b=2"], ["a=1", "b=2"], id="another name"),
        pytest.param(["a=1"], ["a=2"], ["a=2"], id="the same name"),
        pytest.param(["a=1"], ["a=; Max-Age=0"], [], id="Max-Age 0 ends it"),
        pytest.param(["a=1"], ["a=; max-age=-1"], [], id="a negative Max-Age ends it"),
        pytest.param(["a=1"], [f"a=; Expires={OLD}"], [], id="a past Expires ends it"),
        pytest.param([], [f"a=1; expires={NEW}"], ["a=1"], id="a future Expires"),
        pytest.param([], [f"a=1; Expires={OLD}; Max-Age=9"], ["a=1"], id="Max-Age wins"),
        pytest.param([], ["a=1; Expires=soon"], ["a=1"], id="an Expires that nobody reads"),
        pytest.param([], ["a=1; Max-Age=long"], ["a=1"], id="a Max-Age that nobody reads"),
    ],
)
def test_cookies_are_kept_as_rfc_6265_says(had, sent, has):
    cookies = [("Cookie", pair) for pair in had]
    fields = [("Content-Type", "text/html"), *(("set-cookie", text) for text in sent)]
    assert kept(cookies, fields) == [("Cookie", pair) for pair in has]


def test_cookies_go_out_in_one_field():
    fields = [("Cookie", "a=1"), ("Accept", "*/*"), ("cookie", "b=2")]
    assert joined(fields) == [("Accept", "*/*"), ("Cookie", "a=1; b=2")]


def test_header_without_cookies_gets_no_cookie_field():
    assert joined([("Accept", "*/*")]) == [("Accept", "*/*")]
