"""What the reference says of authentication, tried with programs like its own."""

import hashlib
import re

import pytest

import cptoolkit as cherrypy
from cptoolkit.lib import auth_basic, auth_digest

USERS = {"ann": "secret"}


class Site:
    @cherrypy.expose
    def index(self):
        return "open to all"

    @cherrypy.expose
    def private(self):
        return f"for {cherrypy.request.login}"


def is_right(realm, username, password):
    return realm == "example" and USERS.get(username) == password


def protected(tool, **options):
    entries = {f"tools.{tool}.{name}": value for name, value in options.items()}
    return {"/private": {f"tools.{tool}.on": True, **entries}}


@pytest.fixture
def basic(app_of):
    return app_of(Site(), protected("auth_basic", realm="example", checkpassword=is_right))


def test_only_the_configured_path_asks_for_a_password(basic):
    """4.9.1."""
    assert basic.get("/").text == "open to all"
    challenge = basic.get("/private", status=401).headers["WWW-Authenticate"]
    assert challenge == 'Basic realm="example", charset="UTF-8"'


def test_right_password_tells_the_page_who_it_is(basic):
    """4.9.1."""
    basic.set_authorization(("Basic", ("ann", "secret")))
    assert basic.get("/private").text == "for ann"


@pytest.mark.parametrize("credentials", [("ann", "wrong"), ("bob", "secret")], ids=str)
def test_wrong_credentials_are_asked_for_again(basic, credentials):
    """4.9.1."""
    basic.set_authorization(("Basic", credentials))
    basic.get("/private", status=401)


def test_passwords_can_come_from_a_dict(app_of):
    """4.9.1: the function may read from any source."""
    check = auth_basic.checkpassword_dict(USERS)
    client = app_of(Site(), protected("auth_basic", realm="example", checkpassword=check))
    client.set_authorization(("Basic", ("ann", "secret")))
    assert client.get("/private").text == "for ann"


def test_function_of_the_tool_makes_another_tool(app_of):
    """7.2.2: a tool is made of any function."""
    cherrypy.tools.staff = cherrypy.Tool("before_handler", auth_basic.basic_auth)
    client = app_of(Site(), protected("staff", realm="example", checkpassword=is_right))
    client.get("/private", status=401)
    client.set_authorization(("Basic", ("ann", "secret")))
    assert client.get("/private").text == "for ann"


class Asking(Site):
    @cherrypy.expose
    def private(self):
        cherrypy.tools.auth_basic.callable(realm="example", checkpassword=is_right)
        return super().private()


def test_page_may_ask_for_the_password_itself(app_of):
    """7.2.2: a tool's ``callable`` is its function."""
    client = app_of(Asking())
    client.get("/private", status=401)
    client.set_authorization(("Basic", ("ann", "secret")))
    assert client.get("/private").text == "for ann"


def authorization(challenge, password):
    """What a browser answers to a challenge with MD5 (RFC 2617, section 3.2.2)."""

    def md5(*parts):
        return hashlib.md5(":".join(parts).encode()).hexdigest()

    realm, nonce = (re.search(f'{name}="([^"]*)"', challenge)[1] for name in ("realm", "nonce"))
    ha1, ha2 = md5("ann", realm, password), md5("GET", "/private")
    response = md5(ha1, nonce, "00000001", "00ff", "auth", ha2)
    return (
        f'Digest username="ann", realm="{realm}", nonce="{nonce}", uri="/private",'
        f' algorithm=MD5, qop=auth, nc=00000001, cnonce="00ff", response="{response}"'
    )


@pytest.fixture
def digest(app_of):
    return app_of(
        Site(),
        protected(
            "auth_digest",
            realm="example",
            get_ha1=auth_digest.get_ha1_dict_plain(USERS),
            key="8f2b64d1c03a",
        ),
    )


def ask(client):
    """The challenge that old browsers know."""
    challenges = client.get("/private", status=401).headers.getall("WWW-Authenticate")
    return next(challenge for challenge in challenges if "MD5" in challenge)


def test_digest_sends_no_password(digest):
    """4.9.2."""
    challenge = ask(digest)
    assert challenge.startswith('Digest realm="example", nonce="')
    assert 'qop="auth"' in challenge
    answer = digest.get("/private", headers={"Authorization": authorization(challenge, "secret")})
    assert answer.text == "for ann"


def test_digest_of_a_wrong_password_is_refused(digest):
    """4.9.2."""
    wrong = authorization(ask(digest), "wrong")
    digest.get("/private", headers={"Authorization": wrong}, status=401)
    assert digest.get("/").text == "open to all"
