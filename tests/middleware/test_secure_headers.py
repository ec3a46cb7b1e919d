"""SecureHeaders: what browsers are told, unless the application has told them already."""

import re

import pytest
from webob import Response

import cptoolkit
from cptoolkit.middleware.secure_headers import SecureHeaders

DEFAULTS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'self'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-XSS-Protection": "0",
}

HSTS = "Strict-Transport-Security"

HTTPS = {"wsgi.url_scheme": "https"}


def page(request):
    return Response("a page")


def secure_fields(answer):
    names = [*DEFAULTS, HSTS, "Permissions-Policy"]
    return {name: answer.headers[name] for name in names if name in answer.headers}


def test_page_gets_the_fields(host):
    assert secure_fields(host(page, SecureHeaders).fetch()) == DEFAULTS


def test_fields_of_the_application_are_kept(host):
    def view(request):
        answer = Response("a page")
        answer.headers["x-frame-options"] = "SAMEORIGIN"
        answer.headers["Content-Security-Policy"] = "default-src *"
        answer.headers[HSTS] = "max-age=1"
        return answer

    answer = host(view, SecureHeaders).fetch(**HTTPS)
    assert answer.headers.getall("X-Frame-Options") == ["SAMEORIGIN"]
    assert answer.headers.getall("Content-Security-Policy") == ["default-src *"]
    assert answer.headers.getall(HSTS) == ["max-age=1"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("content_security_policy", "Content-Security-Policy"),
        ("frame_options", "X-Frame-Options"),
        ("content_type_options", "X-Content-Type-Options"),
        ("referrer_policy", "Referrer-Policy"),
        ("cross_origin_opener_policy", "Cross-Origin-Opener-Policy"),
        ("xss_protection", "X-XSS-Protection"),
        ("permissions_policy", "Permissions-Policy"),
    ],
)
def test_each_field_is_an_option(alone, option, name):
    fields = secure_fields(alone(page, SecureHeaders, **{option: "my own"}).fetch())
    assert fields == {**DEFAULTS, name: "my own"}
    for nothing in (None, ""):
        fields = secure_fields(alone(page, SecureHeaders, **{option: nothing}).fetch())
        assert fields == {key: value for key, value in DEFAULTS.items() if key != name}


# -- HSTS -----------------------------------------------------------------------------------

YEAR = "max-age=31536000"


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        pytest.param({}, YEAR, id="a year by default"),
        pytest.param({"hsts_max_age": 5}, "max-age=5", id="as long as one likes"),
        pytest.param({"hsts_max_age": 0}, "max-age=0", id="zero forgets"),
        pytest.param({"hsts_max_age": None}, None, id="not at all"),
        pytest.param({"hsts_subdomains": True}, f"{YEAR}; includeSubDomains", id="subdomains"),
        pytest.param(
            {"hsts_subdomains": True, "hsts_preload": True},
            f"{YEAR}; includeSubDomains; preload",
            id="preload",
        ),
    ],
)
def test_hsts_is_told_over_https(host, options, policy):
    answer = host(page, SecureHeaders, **options).fetch(**HTTPS)
    assert answer.headers.get(HSTS) == policy


def test_hsts_is_not_told_over_plain_http(host):  # RFC 6797, section 7.2
    assert HSTS not in host(page, SecureHeaders).fetch().headers


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"hsts_max_age": -1}, "hsts_max_age must be 0 or more seconds, or None, got -1"),
        ({"hsts_max_age": "1"}, "hsts_max_age must be 0 or more seconds, or None, got '1'"),
        ({"hsts_preload": True}, "hsts_preload needs hsts_subdomains"),
        (
            {"hsts_preload": True, "hsts_subdomains": True, "hsts_max_age": 5},
            "hsts_preload needs hsts_subdomains and a hsts_max_age of 31536000 or more",
        ),
        (
            {"hsts_preload": True, "hsts_subdomains": True, "hsts_max_age": None},
            "hsts_preload needs hsts_subdomains and a hsts_max_age of 31536000 or more",
        ),
        ({"frame_options": "DENY\r\nX: y"}, "the header field X-Frame-Options must be text"),
        ({"content_security_policy": 5}, "the header field Content-Security-Policy must be text"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_wrong_option_is_told(options, error):
    with pytest.raises(ValueError, match=error):
        SecureHeaders(**options)


# -- the nonce ------------------------------------------------------------------------------


def test_page_and_policy_have_the_same_nonce_and_each_request_another(host):
    def view(request):
        return Response(request.environ["cptoolkit.csp_nonce"])

    policy = "script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
    site = host(view, SecureHeaders, content_security_policy=policy)
    nonces = set()
    for _ in range(3):
        answer = site.fetch(**HTTPS)
        nonce = answer.body.decode()
        assert re.fullmatch(r"[A-Za-z0-9+/]{22}==", nonce)  # 128 bits, CSP Level 3, 2.3.1
        told = answer.headers["Content-Security-Policy"]
        assert told == f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
        assert HSTS in answer.headers
        nonces.add(nonce)
    assert len(nonces) == 3


def test_there_is_no_nonce_without_a_place_for_it(alone):
    def view(request):
        return Response(repr("cptoolkit.csp_nonce" in request.environ))

    assert alone(view, SecureHeaders).fetch().body == b"False"


# -- in an object tree ----------------------------------------------------------------------


class Root:
    @cptoolkit.expose
    def index(self):
        return "a page"

    @cptoolkit.expose
    def framed(self):
        cptoolkit.response.headers["X-Frame-Options"] = "SAMEORIGIN"
        return "a page"

    @cptoolkit.expose
    def missing(self):
        raise cptoolkit.NotFound()

    @cptoolkit.expose
    def broken(self):
        raise IndexError()


ON = {"/": {"tools.secureheaders.on": True}}


@pytest.mark.parametrize("path", ["/", "/missing", "/broken", "/no/such/page"])
def test_tool_protects_error_pages_too(app_of, path):
    answer = app_of(Root(), ON).get(path, status="*")
    assert secure_fields(answer) == DEFAULTS


def test_page_handler_has_the_last_word(app_of):
    assert app_of(Root(), ON).get("/framed").headers["X-Frame-Options"] == "SAMEORIGIN"


def test_config_of_a_path_has_the_last_word(app_of):
    config = {**ON, "/framed": {"tools.secureheaders.frame_options": None}}
    client = app_of(Root(), config)
    assert "X-Frame-Options" in client.get("/").headers
    assert client.get("/").headers["X-Frame-Options"] == "DENY"


def test_tool_of_the_reference_takes_the_place_of_this_one(app_of):
    @cptoolkit.tools.register("before_finalize", priority=60)
    def secureheaders():
        headers = cptoolkit.response.headers
        headers["X-Frame-Options"] = "DENY"
        headers["X-XSS-Protection"] = "1; mode=block"
        headers["Content-Security-Policy"] = "default-src='self'"

    assert secure_fields(app_of(Root(), ON).get("/")) == {
        "X-Frame-Options": "DENY",
        "X-XSS-Protection": "1; mode=block",
        "Content-Security-Policy": "default-src='self'",
    }
