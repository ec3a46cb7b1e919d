"""BasicAuth: only those with a right name and password are let through (RFC 7617)."""

import base64
import contextlib
import logging
import unicodedata

import pytest
import werkzeug.security
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Response
from webob.exc import HTTPBadRequest

import cptoolkit
from cptoolkit.auth_functions import basic_auth
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.auth import basic as module
from cptoolkit.middleware.auth.basic import (
    BasicAuth,
    checkpassword_dict,
    checkpassword_hashes,
    parse_basic,
)

USERS = {"jon": "secret", "ann": "co:lon", "jörg": "pässwort", "ghost": ""}
OPTIONS = {"realm": "the site", "checkpassword": checkpassword_dict(USERS)}


def view(request):
    user = request.environ.get("REMOTE_USER", "nobody")
    return Response(f"{user}, {request.environ.get('AUTH_TYPE')}", content_type="text/plain")


def field(username, password, charset="utf-8", scheme="Basic"):
    raw = f"{username}:{password}".encode(charset)
    return {"Authorization": f"{scheme} {base64.b64encode(raw).decode()}"}


def test_right_password_lets_through_as_the_user(host):
    answer = host(view, BasicAuth, **OPTIONS).fetch(headers=field("jon", "secret"))
    assert answer.status_int == 200
    assert answer.text == "jon, Basic"


def test_others_are_challenged(host):
    site = host(view, BasicAuth, **OPTIONS)
    for headers in ({}, field("jon", "wrong"), field("nobody", "secret"), field("ghost", "")):
        answer = site.fetch(headers=headers)
        assert answer.status == "401 Unauthorized"
        challenges = answer.headers.getall("WWW-Authenticate")
        assert challenges == ['Basic realm="the site", charset="UTF-8"']
        assert "jon" not in answer.text


MALFORMED = [
    pytest.param("Basic", id="nothing"),
    pytest.param("Basic @@@@", id="not Base64"),
    pytest.param("Basic am9u", id="no colon"),
    pytest.param("Basic am9uOnNlY3JldA", id="no padding"),
    pytest.param("Basic am9uOnNlY3JldA==, Basic am9uOnNlY3JldA==", id="two in one"),
    pytest.param(field("jon\0", "secret")["Authorization"], id="NUL in the name"),
    pytest.param(field("jon", "sec\nret")["Authorization"], id="line break in the password"),
    pytest.param(field("jon\x85", "secret")["Authorization"], id="C1 control character"),
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_credentials_that_cannot_be_read_are_a_400(host, sent):
    answer = host(view, BasicAuth, **OPTIONS).fetch(headers={"Authorization": sent})
    assert answer.status == "400 Bad Request"
    assert "WWW-Authenticate" not in answer.headers


READ = [
    pytest.param(field("jon", "secret", scheme="bAsIc"), "jon", id="scheme in any case"),
    pytest.param(field("ann", "co:lon"), "ann", id="colon in the password"),
    pytest.param(field("jörg", "pässwort"), "jörg", id="UTF-8"),
    pytest.param(field("jörg", "pässwort", "latin-1"), "jörg", id="ISO-8859-1"),
    pytest.param(field("jo\u0308rg", "pa\u0308sswort"), "jörg", id="decomposed"),
]


@pytest.mark.parametrize(("sent", "name"), READ)
def test_credentials_are_read(alone, sent, name):
    answer = alone(view, BasicAuth, **OPTIONS).fetch(headers=sent)
    assert answer.text == f"{name}, Basic"


@pytest.mark.parametrize("sent", ["", "Digest username=jon", "Bearer abc", "Basically am9u"])
def test_other_scheme_is_challenged(alone, sent):
    answer = alone(view, BasicAuth, **OPTIONS).fetch(headers={"Authorization": sent})
    assert answer.status_int == 401


def test_challenge_names_no_charset_but_utf_8(alone):
    site = alone(view, BasicAuth, accept_charset="latin-1", **OPTIONS)
    assert site.fetch().headers["WWW-Authenticate"] == 'Basic realm="the site"'
    assert site.fetch(headers=field("jörg", "pässwort", "latin-1")).status_int == 200


def test_refused_request_loses_the_user_of_an_outer_server(alone):
    seen = {}

    def around(app):
        def outer(environ, start_response):
            environ.update(REMOTE_USER="root", AUTH_TYPE="Negotiate")
            body = app(environ, start_response)
            seen.update(environ)
            return body

        return outer

    alone(view, BasicAuth, around, **OPTIONS).fetch()
    assert "REMOTE_USER" not in seen
    assert "AUTH_TYPE" not in seen


def test_function_gets_realm_name_and_password(alone):
    calls = []
    site = alone(view, BasicAuth, realm="r", checkpassword=lambda *call: calls.append(call) or 1)
    assert site.fetch(headers=field("jon", "x")).status_int == 200
    assert calls == [("r", "jon", "x")]


def test_error_of_the_function_travels_up(alone):
    def broken(realm, username, password):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        alone(view, BasicAuth, realm="r", checkpassword=broken).fetch(headers=field("a", "b"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"realm": 'a"b'}, "realm must be without quotes"),
        ({"realm": "a\r\nSet-Cookie: x"}, "realm must be without .* control characters"),
        ({"realm": None}, "realm must be a str, got None"),
        ({"checkpassword": {"jon": "secret"}}, "checkpassword must be a function .* got dict"),
        ({"accept_charset": "klingon"}, "accept_charset must be a charset .* got 'klingon'"),
    ],
    ids=str,
)
def test_wrong_option_is_refused(options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        BasicAuth(**{**OPTIONS, **options})


def test_realm_is_sent_as_utf_8(alone):
    site = alone(view, BasicAuth, **{**OPTIONS, "realm": "Gäste"})
    sent = site.fetch().headers["WWW-Authenticate"]
    assert sent.encode("latin-1").decode() == 'Basic realm="Gäste", charset="UTF-8"'


def test_debug_logs_why_but_no_password(alone, caplog):
    caplog.set_level(logging.INFO, "cptoolkit.auth")
    alone(view, BasicAuth, debug=True, **OPTIONS).fetch(headers=field("jon", "hunter2"))
    assert "wrong name or password for 'jon'" in caplog.text
    assert "hunter2" not in caplog.text
    caplog.clear()
    alone(view, BasicAuth, **OPTIONS).fetch(headers=field("jon", "hunter2"))
    assert not caplog.records


@settings(deadline=None)
@given(st.text(), st.text())
def test_parsing_gives_what_was_sent(username, password):
    raw = unicodedata.normalize("NFC", f"{username}:{password}")
    token = base64.b64encode(raw.encode()).decode()
    if module.credentials.has_control_characters(raw):
        with pytest.raises(HTTPBadRequest):
            parse_basic(token)
    else:
        assert ":".join(parse_basic(token)) == raw
        assert ":" not in parse_basic(token)[0]


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=255)))
def test_any_token_is_read_or_a_400(token):
    with contextlib.suppress(HTTPBadRequest):
        parse_basic(token)


# -- comparisons in constant time, unknown users cost the same -------------------------


def test_passwords_are_compared_in_constant_time_and_unknown_users_too(monkeypatch):
    compared = []

    def compare(right, sent):
        compared.append((right, sent))
        return right == sent

    monkeypatch.setattr(module, "compare_digest", compare)
    check = checkpassword_dict(USERS)
    assert check("r", "jon", "secret")
    assert not check("r", "jon", "wrong")
    assert not check("r", "unknown", "wrong")
    assert not check("r", "unknown", "")
    assert [sent for _, sent in compared] == [b"secret", b"wrong", b"wrong", b""]


@pytest.fixture
def hashed(monkeypatch):
    """Users with hashes, and which hashes have been checked."""
    users = {
        "jon": werkzeug.security.generate_password_hash("secret", "pbkdf2:sha256:10"),
        "ann": werkzeug.security.generate_password_hash("other", "pbkdf2:sha256:10"),
    }
    checked = []
    check = werkzeug.security.check_password_hash

    def counting(stored, password):
        checked.append(stored)
        return check(stored, password)

    monkeypatch.setattr(werkzeug.security, "check_password_hash", counting)
    return users, checked


def test_hashes_are_checked(hashed):
    users, checked = hashed
    check = checkpassword_hashes(users)
    assert check("r", "ann", "other")
    assert not check("r", "ann", "secret")
    assert not check("r", "jon", "")
    assert checked == [users["ann"], users["ann"], users["jon"]]


def test_unknown_user_costs_a_hash_too(hashed):
    users, checked = hashed
    check = checkpassword_hashes(users)
    for _ in range(2):
        assert not check("r", "unknown", "secret")  # jon's, whose hash is the measure
    assert len(checked) == 2


def test_right_password_is_hashed_once_until_it_changes(hashed):
    users, checked = hashed
    check = checkpassword_hashes(users)
    assert all(check("r", "jon", "secret") for _ in range(3))
    assert len(checked) == 1
    users["jon"] = users["ann"]
    assert not check("r", "jon", "secret")
    assert check("r", "jon", "other")
    del users["jon"]
    assert not check("r", "jon", "other")


def test_right_passwords_are_forgotten_when_there_are_too_many(hashed, monkeypatch):
    users, checked = hashed
    monkeypatch.setattr(module, "MOST_REMEMBERED", 1)
    check = checkpassword_hashes(users)
    assert check("r", "jon", "secret")
    assert check("r", "ann", "other")
    assert check("r", "jon", "secret")
    assert len(checked) == 3


def test_nobody_is_let_in_where_there_are_no_users():
    assert not checkpassword_hashes({})("r", "jon", "")
    assert not checkpassword_dict({})("r", "jon", "")


# -- in an Application ------------------------------------------------------------------------


class Root:
    @cptoolkit.expose
    def index(self):
        return f"hello {cptoolkit.request.login}"

    @cptoolkit.expose
    def own(self):
        basic_auth("handler", checkpassword_dict(USERS))
        return f"hello {cptoolkit.request.login}"


def protected(app_of, **config):
    cptoolkit.tools.auth_basic = LayerTool("before_request_body", BasicAuth, priority=60)
    tool = {f"tools.auth_basic.{name}": value for name, value in OPTIONS.items()}
    return app_of(Root(), {"/": {"tools.auth_basic.on": True, **tool, **config}})


def test_request_login_is_the_user(app_of):
    page = protected(app_of).get("/", headers=field("jörg", "pässwort"))
    assert page.text == "hello jörg"


def test_page_of_the_401_is_that_of_error_page(app_of):
    def page(status, message, **_):
        return f"own page: {status}; {message}; {cptoolkit.request.login}"

    client = protected(app_of, **{"error_page.401": page})
    answer = client.get("/", status=401)
    assert answer.text == (
        "own page: 401 Unauthorized; You are not authorized to access that resource; None"
    )
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="the site", charset="UTF-8"'


def test_body_of_a_stranger_is_not_read(app_of):
    class Untouchable:
        def read(self, *_):
            raise AssertionError("the body was read")

        readline = readlines = __iter__ = read

    client = protected(app_of)
    environ = {"wsgi.input": Untouchable()}
    client.request("/", method="POST", content_type="text/plain", environ=environ, status=401)


def test_handler_may_ask_for_itself(app_of):
    client = app_of(Root())
    assert client.get("/own", headers=field("jon", "secret")).text == "hello jon"
    answer = client.get("/own", status=401)
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="handler", charset="UTF-8"'
