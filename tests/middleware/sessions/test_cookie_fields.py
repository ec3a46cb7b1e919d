"""The cookie of a session: its attributes, and how it is read."""

import pytest

from cptoolkit.middleware.sessions.cookie_fields import SessionCookie

PLAIN = {"wsgi.url_scheme": "http"}
TLS = {"wsgi.url_scheme": "https"}


def attributes(environ=PLAIN, **options):
    fields = []
    SessionCookie(**options).put(fields, environ, "value", 60)
    (text,) = [value for name, value in fields if name == "Set-Cookie"]
    return text.split("; ")


def test_defaults_are_safe_and_last():
    name, expires, *rest = attributes()
    assert name == "session_id=value"
    assert expires.startswith("Expires=")
    assert expires.endswith(" GMT")
    assert rest == ["Max-Age=60", "Path=/", "HttpOnly", "SameSite=Lax"]


@pytest.mark.parametrize(
    ("options", "environ", "there", "absent"),
    [
        pytest.param({}, TLS, ["Secure"], [], id="secure under TLS"),
        pytest.param({}, PLAIN, [], ["Secure"], id="not secure in the clear"),
        pytest.param({"secure": True}, PLAIN, ["Secure"], [], id="secure if told"),
        pytest.param({"secure": False}, TLS, [], ["Secure"], id="not secure if told"),
        pytest.param({"httponly": False}, PLAIN, [], ["HttpOnly"], id="for scripts"),
        pytest.param({"samesite": "strict"}, PLAIN, ["SameSite=Strict"], [], id="any case"),
        pytest.param({"samesite": None}, PLAIN, [], ["SameSite=Lax"], id="no SameSite"),
        pytest.param({"samesite": "None"}, PLAIN, ["SameSite=None", "Secure"], [], id="cross-site"),
        pytest.param({"partitioned": True}, PLAIN, ["Partitioned", "Secure"], [], id="CHIPS"),
        pytest.param({"domain": "a.org"}, PLAIN, ["Domain=a.org"], [], id="domain"),
        pytest.param({"path": "/app"}, PLAIN, ["Path=/app"], ["Path=/"], id="path"),
        pytest.param({"persistent": False}, PLAIN, [], ["Max-Age=60"], id="for the session"),
        pytest.param({"name": "sid"}, PLAIN, ["sid=value"], [], id="name"),
    ],
)
def test_attributes_follow_the_options(options, environ, there, absent):
    found = attributes(environ, **options)
    assert set(there) <= set(found)
    assert not set(absent) & set(found)


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        pytest.param("/shop", "/shop", id="as sent"),
        pytest.param(None, "/", id="not sent"),
        pytest.param("shop", "/", id="no path"),
        pytest.param("/; Domain=evil.org", "/", id="more than a path"),
        pytest.param("/\r\nX: y", "/", id="a second field"),
    ],
)
def test_path_may_come_from_a_header_field(sent, path):
    environ = {**PLAIN, **({"HTTP_X_SCRIPT_NAME": sent} if sent else {})}
    assert f"Path={path}" in attributes(environ, path_header="X-Script-Name")


def test_path_option_wins_over_the_header_field():
    environ = {**PLAIN, "HTTP_X": "/sent"}
    assert "Path=/own" in attributes(environ, path="/own", path_header="X")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        pytest.param(None, None, id="no cookies"),
        pytest.param("", None, id="empty"),
        pytest.param("session_id=a1", "a1", id="alone"),
        pytest.param("x=1; session_id=a1; y=2", "a1", id="among others"),
        pytest.param('session_id="a1"', "a1", id="quoted"),
        pytest.param("session_id=a1; session_id=b2", "a1", id="the first of two"),
        pytest.param("my_session_id=a1", None, id="another name that ends so"),
        pytest.param("session_id2=a1", None, id="another name that begins so"),
        pytest.param("x=session_id=a1", None, id="in a value"),
        pytest.param("session_id=", "", id="no value"),
        pytest.param(";;;=;session_id", None, id="nonsense"),
    ],
)
def test_value_is_read_as_clients_send_it(header, value):
    environ = {} if header is None else {"HTTP_COOKIE": header}
    assert SessionCookie().read(environ) == value


def test_huge_field_is_read_in_no_time():
    assert SessionCookie().read({"HTTP_COOKIE": ("; " * 300_000) + "session_id=a"}) == "a"


def test_cookie_that_the_application_has_set_itself_is_left_to_it():
    fields = [("Set-Cookie", "session_id=own"), ("Set-Cookie", "x=y")]
    before = list(fields)
    SessionCookie().put(fields, PLAIN, "value", 60)
    assert [item for item in fields if item[0] == "Set-Cookie"] == before
