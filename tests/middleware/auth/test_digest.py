"""DigestAuth: only those are let through who know a user's password (RFC 7616)."""

import hashlib
import logging
import re
import time
import urllib.request
from functools import partial
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from beside import PATIENCE, in_threads
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request, Response

import cptoolkit
from cptoolkit.auth_functions import digest_auth
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.auth import digest as module
from cptoolkit.middleware.auth.credentials import parse_parameters
from cptoolkit.middleware.auth.digest import DigestAuth
from cptoolkit.middleware.auth.digest_credentials import DigestCredentials
from cptoolkit.middleware.auth.ha1 import HASHES, get_ha1_dict, get_ha1_dict_plain, make_ha1
from cptoolkit.middleware.auth.nonces import Nonces

USERS = {"jon": "secret", "jörg": "pässwort"}
KEY = "a565c27146791cfb"
OPTIONS = {"realm": "localhost", "get_ha1": get_ha1_dict_plain(USERS), "key": KEY}
HASH = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def view(request):
    user = request.environ.get("REMOTE_USER", "nobody")
    return Response(f"{user}, {request.environ.get('AUTH_TYPE')}", content_type="text/plain")


class Client:
    """Answers challenges as RFC 7616, section 3.4 says; written without the code under test."""

    def __init__(self, site, username="jon", password="secret", algorithm=None):
        self.site = site
        self.username, self.password = username, password
        challenges = [
            parse_parameters(value.removeprefix("Digest "))
            for value in site.fetch().headers.getall("WWW-Authenticate")
        ]
        self.challenge = next(
            c for c in challenges if algorithm is None or c["algorithm"] == algorithm
        )
        self.count = 0

    def credentials(self, path="/", method="GET", count=None, **changes):
        if count is None:
            self.count = count = self.count + 1
        sent = {
            "username": self.username,
            "realm": self.challenge["realm"],
            "nonce": self.challenge["nonce"],
            "uri": path,
            "algorithm": self.challenge["algorithm"],
            "qop": "auth",
            "cnonce": "0a4f113b",
            "nc": f"{count:08x}",
        }
        sent.update({name: value for name, value in changes.items() if value is not None})
        sent.setdefault("response", self.response(sent, method))
        for name, value in changes.items():
            if value is None:
                del sent[name]
        bare = ("algorithm", "qop", "nc")
        pairs = (f"{n}={v}" if n in bare else f'{n}="{v}"' for n, v in sent.items())
        return "Digest " + ", ".join(pairs)

    def response(self, sent, method):
        name = sent["algorithm"].removesuffix("-sess")

        def h(text):
            return HASH[name](text.encode()).hexdigest()

        ha1 = h(f"{self.username}:{sent['realm']}:{self.password}")
        if sent["algorithm"].endswith("-sess"):
            ha1 = h(f"{ha1}:{sent['nonce']}:{sent['cnonce']}")
        ha2 = h(f"{method}:{sent['uri']}")
        return h(f"{ha1}:{sent['nonce']}:{sent['nc']}:{sent['cnonce']}:{sent['qop']}:{ha2}")

    def fetch(self, path="/", method="GET", at=None, **changes):
        field = self.credentials(path, method, **changes).encode().decode("latin-1")
        return self.site.fetch(at or path, method, headers={"Authorization": field})


def challenges(answer):
    values = answer.headers.getall("WWW-Authenticate")
    return [re.sub('nonce="[0-9a-f]{60}"', "nonce", value) for value in values]


def test_right_response_lets_through_as_the_user(host):
    client = Client(host(view, DigestAuth, **OPTIONS))
    for _ in range(2):
        answer = client.fetch("/a/b?c=d&e=%20f")
        assert answer.status_int == 200
        assert answer.text == "jon, Digest"


def test_others_are_challenged_with_md5_first(host):
    site = host(view, DigestAuth, **OPTIONS)
    strangers = [Client(site, "jon", "wrong"), Client(site, "nobody")]
    for answer in (site.fetch(), *(client.fetch() for client in strangers)):
        assert answer.status == "401 Unauthorized"
        assert challenges(answer) == [
            'Digest realm="localhost", nonce, algorithm=MD5, qop="auth", charset=UTF-8',
            'Digest realm="localhost", nonce, algorithm=SHA-256, qop="auth", charset=UTF-8',
        ]
        assert "Authentication-Info" not in answer.headers


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5", "SHA-256-sess", "MD5-sess"])
def test_each_algorithm_works(host, algorithm):
    algorithms = ["SHA-256", "MD5", "MD5-sess", "SHA-256-sess"]
    site = host(view, DigestAuth, algorithms=algorithms, **OPTIONS)
    client = Client(site, algorithm=algorithm)
    assert client.fetch(method="POST").text == "jon, Digest"
    assert client.fetch(cnonce="another").text == "jon, Digest"
    assert Client(site, password="wrong", algorithm=algorithm).fetch().status_int == 401


MALFORMED = [
    pytest.param({"response": None}, id="no response"),
    pytest.param({"username": None}, id="no user name"),
    pytest.param({"nonce": None}, id="no nonce"),
    pytest.param({"uri": None}, id="no uri"),
    pytest.param({"cnonce": None}, id="no cnonce"),
    pytest.param({"nc": None}, id="no count"),
    pytest.param({"qop": None}, id="no qop, so no count"),
    pytest.param({"qop": "auth-int"}, id="qop of another kind"),
    pytest.param({"nc": "1"}, id="count of less than 8 digits"),
    pytest.param({"nc": "0000000g"}, id="count that is no number"),
    pytest.param({"nc": "-0000001"}, id="count below 0"),
    pytest.param({"uri": "/elsewhere"}, id="another uri"),
    pytest.param({"uri": "/?a=b"}, id="another query"),
    pytest.param({"username": "jon\x01"}, id="control character in the name"),
    pytest.param({"username*": "UTF-8''jon"}, id="two user names"),
    pytest.param({"x": 'a" b="c'}, id="no comma"),
]


@pytest.mark.parametrize("changes", MALFORMED)
def test_malformed_credentials_are_a_400(alone, changes):
    answer = Client(alone(view, DigestAuth, **OPTIONS)).fetch(**changes)
    assert answer.status == "400 Bad Request"


@pytest.mark.parametrize("sent", ["Digest", "Digest x=1", 'Digest username="jon', "Digest am9u=="])
def test_credentials_that_cannot_be_read_are_a_400(host, sent):
    answer = host(view, DigestAuth, **OPTIONS).fetch(headers={"Authorization": sent})
    assert answer.status == "400 Bad Request"
    assert "could not be parsed" in answer.text


@pytest.mark.parametrize("sent", ["", "Basic am9uOnNlY3JldA==", "Bearer x"])
def test_other_scheme_is_challenged(alone, sent):
    answer = alone(view, DigestAuth, **OPTIONS).fetch(headers={"Authorization": sent})
    assert answer.status_int == 401
    assert "stale" not in "".join(challenges(answer))


WRONG = [
    pytest.param({"realm": "elsewhere"}, id="another realm"),
    pytest.param({"response": "0" * 32}, id="wrong response"),
    pytest.param({"response": "é"}, id="response that is no hash"),
    pytest.param({"response": ""}, id="empty response"),
    pytest.param({"username": ""}, id="empty name"),
]


@pytest.mark.parametrize("changes", WRONG)
def test_wrong_credentials_are_challenged(alone, changes):
    answer = Client(alone(view, DigestAuth, **OPTIONS)).fetch(**changes)
    assert answer.status_int == 401
    assert "stale" not in "".join(challenges(answer))


def test_algorithm_that_is_not_on_offer_is_challenged(alone):
    client = Client(alone(view, DigestAuth, algorithms=["SHA-256"], **OPTIONS))
    assert client.fetch(algorithm="MD5").status_int == 401


def test_right_response_under_the_name_of_another_realm_is_challenged(alone):
    client = Client(alone(view, DigestAuth, **OPTIONS))
    field = client.credentials().replace('realm="localhost"', 'realm="elsewhere"')
    assert client.site.fetch(headers={"Authorization": field}).status_int == 401


def test_algorithm_may_be_in_any_case(alone):
    client = Client(alone(view, DigestAuth, **OPTIONS))
    field = client.credentials().replace("MD5", "md5")
    assert client.site.fetch(headers={"Authorization": field}).status_int == 200


def test_algorithm_that_is_not_named_is_md5(alone):
    client = Client(alone(view, DigestAuth, **OPTIONS), algorithm="MD5")
    field = client.credentials().replace("algorithm=MD5, ", "")
    assert client.site.fetch(headers={"Authorization": field}).status_int == 200


# -- replays, uris, sessions, constant time --------------------------------------------


def test_replay_is_refused_as_stale(host):
    client = Client(host(view, DigestAuth, **OPTIONS))
    field = {"Authorization": client.credentials()}
    assert client.site.fetch(headers=field).status_int == 200
    answer = client.site.fetch(headers=field)
    assert answer.status_int == 401
    assert all(value.endswith(", stale=true") for value in challenges(answer))


def test_counts_may_arrive_out_of_order(alone):
    client = Client(alone(view, DigestAuth, **OPTIONS))
    assert [client.fetch(count=n).status_int for n in (3, 1, 2, 3, 9)] == [200, 200, 200, 401, 200]


def test_replay_is_refused_by_every_layer_that_has_the_key(alone):
    client = Client(alone(view, DigestAuth, **OPTIONS))
    field = {"Authorization": client.credentials()}
    other = alone(view, DigestAuth, debug=True, **OPTIONS)
    assert client.site.fetch(headers=field).status_int == 200
    assert other.fetch(headers=field).status_int == 401


def nonce_of_long_ago(key=KEY):
    return Nonces(key.encode(), 600, clock=lambda: time.time() - 601).make()


STALE = [
    pytest.param(nonce_of_long_ago, id="an old nonce"),
    pytest.param(lambda: Nonces(b"another key", 600).make(), id="a nonce of another server"),
    pytest.param(lambda: "dcd98b7102dd2f0e8b11d0f600bfb0c093", id="a nonce of another make"),
]


@pytest.mark.parametrize("nonce", STALE)
def test_right_response_to_a_nonce_that_is_no_good_is_stale(host, nonce):
    answer = Client(host(view, DigestAuth, **OPTIONS)).fetch(nonce=nonce())
    assert answer.status_int == 401
    assert all(value.endswith(", stale=true") for value in challenges(answer))


def test_wrong_response_to_an_old_nonce_is_not_stale(alone):
    client = Client(alone(view, DigestAuth, **OPTIONS), password="wrong")
    answer = client.fetch(nonce=nonce_of_long_ago())
    assert "stale" not in "".join(challenges(answer))


def test_lifetime_of_nonces_is_an_option(alone):
    site = alone(view, DigestAuth, nonce_lifetime=3600, **OPTIONS)
    assert Client(site).fetch(nonce=nonce_of_long_ago()).status_int == 200


URIS = [
    pytest.param("/a b/é?q=é", "/a%20b/%C3%A9?q=%C3%A9", True, id="percent-encoded"),
    pytest.param("/a%20b", "/%61%20b", True, id="percent-encoded without need"),
    pytest.param("/a", "http://localhost/a", True, id="absolute"),
    pytest.param("/", "http://localhost", True, id="absolute, without a path"),
    pytest.param("/a?b", "http://proxied:81/a?b", True, id="absolute, as a proxy has it"),
    pytest.param("/a?b=c", "/a", False, id="query missing"),
    pytest.param("/a?b=c", "/a?b=d", False, id="another query"),
    pytest.param("/a?b=%26", "/a?b=&", False, id="query that means another"),
    pytest.param("/a", "/A", False, id="another case"),
    pytest.param("/a/b", "/a", False, id="path above"),
    pytest.param("/a", "*", False, id="asterisk"),
    pytest.param("/a", "", False, id="empty"),
]


@pytest.mark.parametrize(("path", "uri", "same"), URIS)
def test_uri_must_be_that_of_the_request(alone, path, uri, same):
    path = "".join(c if c.isascii() and c != " " else "%" + c.encode().hex("%") for c in path)
    answer = Client(alone(view, DigestAuth, **OPTIONS)).fetch(uri, at=path)
    assert answer.status_int == (200 if same else 400)


@pytest.mark.parametrize(
    ("uri", "environ", "same"),
    [
        ("/app/x?y", {"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "QUERY_STRING": "y"}, True),
        ("/x?y", {"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "QUERY_STRING": "y"}, False),
        ("/app/x", {"PATH_INFO": "/x", "REQUEST_URI": "/app/x"}, True),
        ("/app/x", {"PATH_INFO": "/x", "RAW_URI": "http://host/app/x"}, True),
        ("/x", {"PATH_INFO": "/x", "REQUEST_URI": "/app/x"}, True),
        ("/y", {"PATH_INFO": "/x", "REQUEST_URI": "/app/x"}, False),
        ("*", {"PATH_INFO": "", "REQUEST_URI": "*"}, True),
        ("/", {"PATH_INFO": ""}, True),
        ("/é".encode().decode("latin-1"), {"PATH_INFO": "/é".encode().decode("latin-1")}, True),
    ],
    ids=str,
)
def test_uri_is_compared_with_the_request_line_and_with_what_the_host_made_of_it(
    uri, environ, same
):
    text = f'username="u", realm="r", nonce="n", uri="{uri}", response="", qop=auth, '
    sent = DigestCredentials.parse(text + 'cnonce="c", nc=00000001')
    assert sent.is_for(environ) is same


def test_responses_are_compared_in_constant_time_and_for_unknown_users_too(alone, monkeypatch):
    compared = []

    def compare(expected, sent):
        compared.append(len(expected))
        return expected == sent

    monkeypatch.setattr(module, "compare_digest", compare)
    site = alone(view, DigestAuth, **OPTIONS)
    assert Client(site).fetch().status_int == 200
    assert Client(site, "unknown").fetch().status_int == 401
    assert compared == [32, 32]


def test_nobody_gets_in_with_the_hash_of_nothing(alone):
    """The response that an unknown user is compared with would be right for an empty HA1."""
    client = Client(alone(view, DigestAuth, algorithms=["MD5"], **OPTIONS), "unknown")
    sent = DigestCredentials.parse(client.credentials().removeprefix("Digest "))
    assert client.fetch(count=1, response=sent.expected("", "GET")).status_int == 401


# -- what is sent and read --------------------------------------------------------------------


def test_response_is_that_of_rfc_2617_and_7616():
    parse = DigestCredentials.parse
    sent = parse(
        'username="Mufasa", realm="testrealm@host.com", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, '
        'nc=00000001, cnonce="0a4f113b", response="", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    ha1 = make_ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    assert sent.expected(ha1, "GET") == "6629fae49393a05397450978507c4ef1"
    start = (
        'username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, response="", '
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
    )
    who = ("Mufasa", "http-auth@example.org", "Circle of Life")
    assert parse(start + "algorithm=MD5").expected(make_ha1(*who), "GET") == (
        "8ca523f5e9506fed4657c9700eebdbec"
    )
    assert parse(start + "algorithm=SHA-256").expected(make_ha1(*who, "SHA-256"), "GET") == (
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    )


def test_server_proves_that_it_knows_the_password(host):
    client = Client(host(view, DigestAuth, **OPTIONS))
    answer = client.fetch(cnonce=r"a\"b")
    assert answer.status_int == 401  # the test's client hashes the backslash too
    answer = client.fetch("/x")
    info = parse_parameters(answer.headers["Authentication-Info"])
    sent = {**client.challenge, "uri": "/x", "cnonce": "0a4f113b", "nc": "00000002", "qop": "auth"}
    assert info == {
        "rspauth": client.response(sent, ""),
        "qop": "auth",
        "cnonce": "0a4f113b",
        "nc": "00000002",
    }


@pytest.mark.parametrize("name", ["username", "username*"])
def test_user_name_may_be_any_text(alone, name):
    client = Client(alone(view, DigestAuth, **OPTIONS), "jörg", "pässwort")
    field = client.credentials().encode().decode("latin-1")
    if name == "username*":
        field = re.sub('username="[^"]*"', "username*=UTF-8''j%C3%B6rg", field)
    answer = client.site.fetch(headers={"Authorization": field})
    assert answer.text == "jörg, Digest"


@pytest.mark.parametrize("name", ["iso-8859-1''jon", "utf-8'jon", "jon", "UTF-8''%ff"])
def test_malformed_extended_user_name_is_a_400(alone, name):
    client = Client(alone(view, DigestAuth, **OPTIONS))
    answer = client.fetch(username=None, **{"username*": name})
    assert answer.status_int == 400


PARAMETERS = [
    pytest.param("a=b", {"a": "b"}, id="token"),
    pytest.param('A="b c"', {"a": "b c"}, id="quoted, name in any case"),
    pytest.param(r'a="b\"c\\d"', {"a": r"b\"c\d".replace(r"\"", '"')}, id="quoted pairs"),
    pytest.param('a = "b" ,, c\t=d , ', {"a": "b", "c": "d"}, id="white space, empty elements"),
    pytest.param('a=""', {"a": ""}, id="empty"),
    pytest.param("", {}, id="none"),
    pytest.param("a=b c=d", None, id="no comma"),
    pytest.param("a=b, a=c", None, id="twice"),
    pytest.param("a", None, id="no value"),
    pytest.param("a=", None, id="no value after ="),
    pytest.param("=b", None, id="no name"),
    pytest.param('a="b', None, id="unclosed"),
    pytest.param('a="b\\"', None, id="unclosed after a quoted pair"),
    pytest.param('a="b\nc"', None, id="line break"),
    pytest.param("a=/b", None, id="value that needs quotes"),
]


@pytest.mark.parametrize(("text", "parameters"), PARAMETERS)
def test_parameters_are_read(text, parameters):
    if parameters is None:
        with pytest.raises(ValueError, match="parameter"):
            parse_parameters(text)
    else:
        assert parse_parameters(text) == parameters


NAMES = st.from_regex(r"[a-z0-9!#$%&'*+.^_`|~-]+", fullmatch=True)
VALUES = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES))
def test_parameters_are_read_as_they_were_written(parameters):
    def quoted(value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
    assert parse_parameters(text) == parameters


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=255)))
def test_any_field_gets_a_400_or_401(text):
    layer = DigestAuth(Response("in"), **OPTIONS)
    request = Request.blank("/", headers={"Authorization": f"Digest {text}"})
    assert request.get_response(layer).status_int in (400, 401)


@pytest.mark.parametrize("text", ["," * 1_000_000, 'a="' + "\\" * 1_000_000, "a=b," * 250_000])
def test_huge_field_is_read_in_no_time(text):
    before = time.thread_time()
    with pytest.raises(ValueError, match=r"parameter|there is no"):
        DigestCredentials.parse(text)
    assert time.thread_time() - before < 2


# -- options ----------------------------------------------------------------------------------


def test_function_of_realm_and_user_name_serves_md5(host):
    def get_ha1(realm, username):
        return make_ha1(username, realm, "secret").upper()

    site = host(view, DigestAuth, realm="localhost", get_ha1=get_ha1)
    assert [c.split(", ")[2] for c in challenges(site.fetch())] == ["algorithm=MD5"]
    assert Client(site).fetch().status_int == 200


def test_function_may_serve_another_algorithm(alone):
    def get_ha1(realm, username):
        return make_ha1(username, realm, "secret", "SHA-256")

    site = alone(view, DigestAuth, realm="r", get_ha1=get_ha1, algorithms=["SHA-256-sess"])
    assert Client(site).fetch().status_int == 200


def test_function_with_a_parameter_algorithm_serves_all(alone):
    def get_ha1(realm, username, algorithm):
        return make_ha1(username, realm, "secret", algorithm)

    site = alone(view, DigestAuth, realm="r", get_ha1=get_ha1)
    assert [c.split(", ")[2] for c in challenges(site.fetch())] == [
        "algorithm=MD5",
        "algorithm=SHA-256",
    ]
    for algorithm in ("SHA-256", "MD5"):
        assert Client(site, algorithm=algorithm).fetch().status_int == 200


def test_stored_hashes_are_offered_as_what_they_are(alone):
    ha1 = make_ha1("jon", "r", "secret", "SHA-256")
    site = alone(view, DigestAuth, realm="r", get_ha1=get_ha1_dict({"jon": ha1}))
    assert [c.split(", ")[2] for c in challenges(site.fetch())] == ["algorithm=SHA-256"]
    assert Client(site).fetch().status_int == 200


def test_hash_of_another_algorithm_is_told_without_repeating_it(alone):
    site = alone(view, DigestAuth, realm="r", get_ha1=lambda realm, username: "5" * 64)
    with pytest.raises(ValueError, match="must give an HA1 of MD5, got 64 hex digits"):
        Client(site).fetch()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"get_ha1": {"jon": "x"}}, "get_ha1 must be a function .* got dict"),
        ({"key": ""}, "key must have a character"),
        ({"key": 5}, "key must be a str, bytes or None, got int"),
        ({"realm": 'a"b'}, "realm must be without quotes"),
        ({"nonce_lifetime": 0}, "nonce_lifetime must be above 0 seconds, got 0"),
        ({"algorithms": "MD5"}, "algorithms must be a list"),
        ({"algorithms": []}, "algorithms must be a list"),
        ({"algorithms": ["SHA-1"]}, "algorithms must be some of .* got 'SHA-1'"),
        ({"algorithms": ["SHA-256"], "get_ha1": get_ha1_dict({})}, "no HA1 of SHA-256"),
        ({"algorithms": ["SHA-256", "MD5"], "get_ha1": lambda r, u: None}, "need a get_ha1 with"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ", ".join(map(str, value)),
)
def test_wrong_option_is_refused(options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        DigestAuth(**{**OPTIONS, **options})


def test_algorithms_are_spelled_as_in_the_rfc(alone):
    site = alone(view, DigestAuth, algorithms=["sha-256-SESS"], **OPTIONS)
    assert "algorithm=SHA-256-sess, " in challenges(site.fetch())[0]


def test_machine_without_md5_serves_sha_256(alone, monkeypatch):
    """As Python's hashlib is on a machine in FIPS 140 mode."""

    def switched_off(data):
        raise ValueError("unsupported hash type")

    monkeypatch.setitem(HASHES, "MD5", switched_off)
    site = alone(view, DigestAuth, **OPTIONS)
    assert [c.split(", ")[2] for c in challenges(site.fetch())] == ["algorithm=SHA-256"]
    assert Client(site).fetch().status_int == 200
    with pytest.raises(ValueError, match="this Python has MD5 switched off"):
        DigestAuth(algorithms=["MD5"], **OPTIONS)
    with pytest.raises(ValueError, match="get_ha1 serves MD5 alone"):
        DigestAuth(realm="r", get_ha1=lambda realm, username: None)


def test_key_does_not_show(alone):
    assert KEY not in repr(DigestAuth(**OPTIONS))


def test_without_a_key_nonces_are_good_in_this_process(alone):
    options = {"realm": "r", "get_ha1": OPTIONS["get_ha1"]}
    client = Client(alone(view, DigestAuth, **options))
    client.site = alone(view, DigestAuth, **options)
    assert client.fetch().status_int == 200


def test_debug_logs_why(alone, caplog):
    caplog.set_level(logging.INFO, "cptoolkit.auth")
    client = Client(alone(view, DigestAuth, debug=True, **OPTIONS), password="wrong")
    client.fetch()
    client.password = "secret"
    client.fetch(nonce=nonce_of_long_ago())
    client.fetch(count=3)
    client.fetch(count=3)
    reasons = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert reasons == [
        "no credentials",
        "wrong name or password for 'jon'",
        "an old nonce from 'jon'",
        "a replay for 'jon'",
    ]


# -- handed on within the server, and in an Application ---------------------------------------


def test_two_layers_of_one_realm_count_a_request_once(alone):
    site = alone(view, DigestAuth, lambda app: DigestAuth(app, **OPTIONS), **OPTIONS)
    client = Client(site)
    answer = client.fetch()
    assert answer.status_int == 200
    assert len(answer.headers.getall("Authentication-Info")) == 1
    assert client.fetch(count=1).status_int == 401


class Root:
    @cptoolkit.expose
    def index(self):
        return f"hello {cptoolkit.request.login}"

    @cptoolkit.expose
    def away(self):
        raise cptoolkit.InternalRedirect("/")

    @cptoolkit.expose
    def own(self):
        digest_auth("localhost", get_ha1_dict_plain(USERS), KEY)
        return f"hello {cptoolkit.request.login}"


class ClientSite:
    """What Client asks: a path that is challenged, and others."""

    def __init__(self, client, path="/"):
        self.client, self.path = client, path

    def fetch(self, path=None, method="GET", headers=None):
        answer = self.client.request(
            path or self.path, method=method, headers=headers, expect_errors=True
        )
        return Response(answer.body, answer.status, answer.headerlist)


def protected(app_of, **config):
    cptoolkit.tools.auth_digest = LayerTool("before_request_body", DigestAuth, priority=60)
    tool = {f"tools.auth_digest.{name}": value for name, value in OPTIONS.items()}
    return app_of(Root(), {"/": {"tools.auth_digest.on": True, **tool, **config}})


def test_request_login_is_the_user(app_of):
    client = Client(ClientSite(protected(app_of)), "jörg", "pässwort")
    assert client.fetch("/").text == "hello jörg"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_internal_redirect_goes_on_as_the_user(app_of, method):
    client = Client(ClientSite(protected(app_of)))
    assert client.fetch("/away", method).text == "hello jon"
    assert client.fetch("/away", method, count=1).status_int == 401


def test_challenges_outlive_the_error_page(app_of):
    client = protected(app_of, **{"error_page.401": lambda **_: "own page"})
    answer = client.get("/", status=401)
    assert answer.text == "own page"
    assert len(answer.headers.getall("WWW-Authenticate")) == 2


def test_handler_may_ask_for_itself(app_of):
    client = Client(ClientSite(app_of(Root()), "/own"))
    answer = client.fetch("/own")
    assert answer.text == "hello jon"
    assert "rspauth" in answer.headers["Authentication-Info"]
    assert client.fetch("/own", count=1).status_int == 401


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def test_urllib_gets_in():
    """Before Python 3.14 it knows MD5 alone, and fails where that is not offered first."""
    app = DigestAuth(view_app, **OPTIONS)
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        url = f"http://127.0.0.1:{server.server_port}/a?b=c"
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, url, "jon", "secret")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPDigestAuthHandler(passwords)
        )
        with in_threads(partial(server.serve_forever, 0.01), stop=server.shutdown):
            for _ in range(2):
                with opener.open(url, timeout=PATIENCE) as answer:
                    assert answer.read() == b"jon, Digest"


def view_app(environ, start_response):
    return view(Request(environ))(environ, start_response)
