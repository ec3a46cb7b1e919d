import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request, Response
from webob.exc import HTTPNotFound
from webtest import TestApp

from cptoolkit.middleware.forwarding.proxy import Proxy
from cptoolkit.middleware.virtual_host import VirtualHost


def text(body):
    return Response(body, content_type="text/plain")


def ask(app, host, **environ):
    request = Request.blank("/", environ=environ)
    if host is None:
        del request.environ["HTTP_HOST"]
    else:
        request.environ["HTTP_HOST"] = host
    return request.get_response(app).text


@pytest.fixture
def vhost():
    domains = {"Example.org": text("org"), "example.org:8080": text("8080"), "[::1]": text("six")}
    return VirtualHost(text("default"), domains)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        pytest.param("example.org", "org", id="by name"),
        pytest.param("EXAMPLE.ORG", "org", id="case does not count"),
        pytest.param("example.org.", "org", id="a dot at the end does not count"),
        pytest.param("example.org:9090", "org", id="the name stands for every port"),
        pytest.param("example.org:8080", "8080", id="name and port win"),
        pytest.param("example.org:", "org", id="a colon without port"),
        pytest.param("[::1]:8080", "six", id="IPv6 with a port"),
        pytest.param("[::1]", "six", id="IPv6 without"),
        pytest.param("www.example.org", "default", id="no other names below it"),
        pytest.param("example.org@evil", "default", id="no half matches"),
        pytest.param("", "default", id="an empty host"),
        pytest.param(None, "default", id="no host"),
    ],
)
def test_application_is_chosen_by_host(vhost, host, answer):
    assert ask(vhost, host) == answer


@pytest.mark.parametrize(("scheme", "answer"), [("http", "default"), ("https", "tls")])
def test_port_that_the_scheme_implies_counts(scheme, answer):
    vhost = VirtualHost(text("default"), {"example.org:443": text("tls")})
    assert ask(vhost, "example.org", **{"wsgi.url_scheme": scheme}) == answer


def test_forwarded_host_is_not_trusted(vhost):
    assert ask(vhost, "other", HTTP_X_FORWARDED_HOST="example.org") == "default"


def test_forwarded_host_counts_where_asked_for(vhost):
    trusting = VirtualHost(vhost.default, vhost.domains, use_x_forwarded_host=True)
    assert ask(trusting, "inner", HTTP_X_FORWARDED_HOST="example.org") == "org"
    assert ask(trusting, "example.org") == "org"


def test_of_several_forwarded_hosts_the_last_counts(vhost):
    trusting = VirtualHost(vhost.default, vhost.domains, use_x_forwarded_host=True)
    assert ask(trusting, "inner", HTTP_X_FORWARDED_HOST="example.org:8080, example.org") == "org"


@pytest.mark.parametrize(
    ("trusted", "peer", "answer"),
    [
        pytest.param("10.0.0.0/8", "10.0.0.1", "org", id="a trusted proxy"),
        pytest.param("10.0.0.0/8", "192.0.2.1", "default", id="a stranger"),
        pytest.param("10.0.0.0/8", "", "default", id="a Unix socket"),
        pytest.param("unix", "", "org", id="a trusted Unix socket"),
        pytest.param((), "192.0.2.1", "org", id="anybody"),
    ],
)
def test_forwarded_host_counts_from_trusted_proxies_alone(vhost, trusted, peer, answer):
    trusting = VirtualHost(vhost.default, vhost.domains, True, trusted)
    environ = {"HTTP_X_FORWARDED_HOST": "example.org", "REMOTE_ADDR": peer}
    assert ask(trusting, "inner", **environ) == answer


def test_trusted_proxies_without_a_field_to_trust_are_refused():
    with pytest.raises(ValueError, match="set use_x_forwarded_host"):
        VirtualHost(text("default"), {}, trusted="10.0.0.1")


def test_host_that_the_proxy_layer_has_read_counts(vhost):
    behind = Proxy(vhost, trusted="10.0.0.1")
    environ = {"HTTP_X_FORWARDED_HOST": "example.org"}
    assert ask(behind, "inner", REMOTE_ADDR="10.0.0.1", **environ) == "org"
    assert ask(behind, "inner", REMOTE_ADDR="192.0.2.1", **environ) == "default"


def test_default_that_refuses_makes_a_list_of_allowed_hosts():
    vhost = VirtualHost(HTTPNotFound(), {"example.org": text("here")})
    assert ask(vhost, "example.org") == "here"
    assert Request.blank("http://evil/").get_response(vhost).status_int == 404


def test_application_gets_the_request_as_it_came():
    def app(environ, start_response):
        return Response(environ["HTTP_HOST"] + environ["PATH_INFO"])(environ, start_response)

    vhost = VirtualHost(text("default"), {"a.example": app})
    assert Request.blank("http://A.example:81/x").get_response(vhost).text == "A.example:81/x"


@pytest.mark.parametrize(
    ("domains", "error", "message"),
    [
        pytest.param({"https://a.example/": text("")}, ValueError, "mean 'a.example'", id="a URL"),
        pytest.param({"a.example/x": text("")}, ValueError, "host names such as", id="a path"),
        pytest.param({"": text("")}, ValueError, "host names such as", id="nothing"),
        pytest.param({"a": text(""), "A": text("")}, ValueError, "has 'a' twice", id="a duplicate"),
        pytest.param({"a": "/app"}, TypeError, r"domains\['a'\] must be a WSGI", id="a path to"),
    ],
)
def test_wrong_domains_are_refused(domains, error, message):
    with pytest.raises(error, match=message):
        VirtualHost(text("default"), domains)


def test_default_must_be_an_application():
    with pytest.raises(TypeError, match="default must be a WSGI application, got None"):
        VirtualHost(None, {})


def test_domains_cannot_be_changed_behind_its_back(vhost):
    with pytest.raises(TypeError):
        vhost.domains["new.example"] = text("new")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_host_gets_an_answer(host):
    vhost = VirtualHost(text("default"), {"example.org": text("org")})
    environ = {"HTTP_HOST": host, "wsgi.url_scheme": "http"}
    assert vhost.find(environ) in (vhost.default, vhost.domains["example.org"])


def test_conforms_to_pep_3333():
    TestApp(VirtualHost(text("hi"))).get("/")
