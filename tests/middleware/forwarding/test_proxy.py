"""Proxy: client, scheme and host as trusted proxies tell them, and nobody else."""

import logging

import pytest
from webob import Request, Response

import cptoolkit
from cptoolkit.middleware.forwarding.local import PROXY_READ
from cptoolkit.middleware.forwarding.proxy import Proxy
from cptoolkit.proxy_functions import proxy

SHOWN = ["wsgi.url_scheme", "HTTP_HOST", "REMOTE_ADDR", "SCRIPT_NAME"]


def view(request):
    """Shows what the application takes for true."""
    return Response(" ".join(request.environ.get(key) or "-" for key in SHOWN))


def environ_after(headers, environ=None, **options):
    """The environ that the application gets."""
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        return Response()(environ, start_response)

    request = Request.blank("/", headers=headers, environ={"REMOTE_ADDR": "10.0.0.1"})
    request.environ.update(environ or {})
    response = request.get_response(Proxy(app, **options))
    assert response.status_int == 200, response.text
    return seen


def told(headers, **options):
    return environ_after({"X-Forwarded-For": headers}, **options)["REMOTE_ADDR"]


HEADERS = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "example.org",
}


def test_application_sees_what_the_proxy_tells(host):
    assert host(view, Proxy).fetch(headers=HEADERS).text == "https example.org 192.0.2.1 -"


def test_request_without_such_fields_is_left_alone(host):
    assert host(view, Proxy).fetch().text == "http localhost:80 127.0.0.1 -"


def test_nothing_is_read_from_a_peer_that_is_not_trusted(host):
    def named(request):
        names = [name for name in request.environ if "FORWARDED" in name]
        return Response(view(request).text + " ".join(names))

    answer = host(named, Proxy, trusted=["10.0.0.0/8"]).fetch(
        headers=HEADERS, REMOTE_ADDR="192.0.2.66"
    )
    assert answer.text == "http localhost:80 192.0.2.66 -"


def test_field_that_cannot_be_read_is_a_400_that_shows_nothing_of_it(host, caplog):
    answer = host(view, Proxy).fetch(headers={"X-Forwarded-For": "<script>"})
    assert answer.status_int == 400
    assert "script" not in answer.text
    lines = [record for record in caplog.records if record.name == "cptoolkit.proxy"]
    assert [record.getMessage() for record in lines] == [
        "a trusted proxy tells what cannot be read as for: '<script>'"
    ]


def test_forwarded_counts_where_asked_for(host):
    field = 'for="[2001:db8::1]:4711";proto=https;host="example.org:8443"'
    site = host(view, Proxy, forwarded=True)
    answer = site.fetch(headers={"Forwarded": field, "X-Forwarded-For": "192.0.2.66"})
    assert answer.text == "https example.org:8443 2001:db8::1 -"


def test_base_counts_over_all_fields(host):
    site = host(view, Proxy, base="http://www.example.com")
    assert site.fetch(headers=HEADERS).text == "http www.example.com 192.0.2.1 -"
    assert site.fetch().text == "http www.example.com 127.0.0.1 -"


@pytest.mark.parametrize(
    ("chain", "options", "client"),
    [
        pytest.param("1.1.1.1", {}, "1.1.1.1", id="one proxy"),
        pytest.param("6.6.6.6, 1.1.1.1", {}, "1.1.1.1", id="a forged one before"),
        pytest.param("6.6.6.6,,1.1.1.1 , ", {}, "1.1.1.1", id="empty elements do not count"),
        pytest.param("<b>, 1.1.1.1", {}, "1.1.1.1", id="nonsense before"),
        pytest.param("1.1.1.1, 10.0.0.2", {"hops": 2}, "1.1.1.1", id="two proxies"),
        pytest.param("6.6.6.6, 1.1.1.1, 10.0.0.2", {"hops": 2}, "1.1.1.1", id="two, one forged"),
        pytest.param("1.1.1.1", {"hops": 2}, "1.1.1.1", id="not every proxy adds"),
        pytest.param("1.1.1.1:4711", {}, "1.1.1.1", id="with a port"),
        pytest.param("2001:DB8::1", {}, "2001:db8::1", id="IPv6"),
        pytest.param("[2001:db8::1]:80", {}, "2001:db8::1", id="IPv6 with a port"),
        pytest.param("::ffff:1.1.1.1", {}, "1.1.1.1", id="IPv4 in IPv6"),
        pytest.param("unknown", {}, "", id="a client that nobody knows"),
        pytest.param("1.1.1.1", {"trusted": "10.0.0.1"}, "1.1.1.1", id="a trusted address"),
        pytest.param("1.1.1.1", {"trusted": "10.0.0.2"}, "10.0.0.1", id="another's address"),
        pytest.param(
            "6.6.6.6, 1.1.1.1, 10.0.0.2", {"trusted": "10.0.0.0/8"}, "1.1.1.1", id="networks"
        ),
        pytest.param(
            "10.0.0.9, 1.1.1.1, 10.0.0.2", {"trusted": "10.0.0.0/8"}, "1.1.1.1", id="a forged proxy"
        ),
        pytest.param("10.0.0.3, 10.0.0.2", {"trusted": "10.0.0.0/8"}, "10.0.0.3", id="all proxies"),
        pytest.param(
            "<b>, 10.0.0.2", {"trusted": "10.0.0.9"}, "10.0.0.1", id="nonsense from a stranger"
        ),
        pytest.param(
            "1.1.1.1, 2.2.2.2", {"trusted": "10.0.0.0/8", "hops": 2}, "1.1.1.1", id="peer and hops"
        ),
        pytest.param("1.1.1.1", {"remote": ""}, "10.0.0.1", id="a field that is not read"),
    ],
)
def test_client_is_what_the_first_trusted_proxy_has_seen(chain, options, client):
    assert told(chain, **options) == client


def test_unix_socket_can_be_trusted():
    environ = {"REMOTE_ADDR": ""}
    headers = {"X-Forwarded-For": "1.1.1.1"}
    assert environ_after(headers, environ, trusted="unix")["REMOTE_ADDR"] == "1.1.1.1"
    assert environ_after(headers, environ, trusted="127.0.0.1")["REMOTE_ADDR"] == ""


def test_port_and_name_of_the_proxy_are_not_taken_for_the_clients():
    proxy = {"REMOTE_PORT": "5555", "REMOTE_HOST": "proxy.example"}
    seen = environ_after({"X-Forwarded-For": "1.1.1.1"}, proxy)
    assert "REMOTE_PORT" not in seen
    assert "REMOTE_HOST" not in seen
    assert environ_after({"X-Forwarded-For": "1.1.1.1:80"}, proxy)["REMOTE_PORT"] == "80"


@pytest.mark.parametrize(
    ("headers", "options", "url"),
    [
        pytest.param({"Host": "a"}, {}, "http://a", id="nothing"),
        pytest.param({"X-Forwarded-Proto": "HTTPS"}, {}, "https://in", id="scheme"),
        pytest.param({"X-Forwarded-Proto": "https, http"}, {}, "http://in", id="scheme of last"),
        pytest.param({"X-Forwarded-Proto": "https, http"}, {"hops": 2}, "https://in", id="hops"),
        pytest.param({"X-Forwarded-Host": "a:8080"}, {}, "http://a:8080", id="host and port"),
        pytest.param({"X-Forwarded-Host": "evil, a"}, {}, "http://a", id="a forged host before"),
        pytest.param({"X-Forwarded-Host": "[::1]:81"}, {}, "http://[::1]:81", id="IPv6"),
        pytest.param({"X-Forwarded-Host": "https://a"}, {}, "https://a", id="host with scheme"),
        pytest.param({"X-Forwarded-Host": "a"}, {"local": ""}, "http://in", id="host not read"),
        pytest.param({"X-Host": "a"}, {"local": "X-Host"}, "http://a", id="another field"),
        pytest.param(
            {"X-Forwarded-Ssl": "on"}, {"scheme": "X-Forwarded-Ssl"}, "https://in", id="ssl on"
        ),
        pytest.param({"X-Forwarded-Port": "8443"}, {}, "http://in", id="port not read"),
        pytest.param(
            {"X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"},
            {"port": "X-Forwarded-Port"},
            "https://in:8443",
            id="port",
        ),
        pytest.param(
            {"X-Forwarded-Port": "443", "X-Forwarded-Proto": "https", "Host": "a:80"},
            {"port": "X-Forwarded-Port"},
            "https://a",
            id="the usual port is left out",
        ),
        pytest.param({"X-Forwarded-Prefix": "/app"}, {}, "http://in", id="prefix not read"),
        pytest.param(
            {"X-Forwarded-Prefix": "/app/"},
            {"prefix": "X-Forwarded-Prefix"},
            "http://in/app",
            id="prefix",
        ),
        pytest.param({}, {"base": "https://a:8443/app/"}, "https://a:8443/app", id="base"),
        pytest.param({"X-Forwarded-Proto": "https"}, {"base": "a"}, "https://a", id="base of host"),
        pytest.param({"X-Forwarded-Host": "evil"}, {"base": "http://a"}, "http://a", id="forged"),
        pytest.param(
            {"Forwarded": "host=evil;proto=http, host=a;proto=https"},
            {"forwarded": True},
            "https://a",
            id="forwarded",
        ),
        pytest.param({"Forwarded": "host=a"}, {}, "http://in", id="forwarded not read"),
        pytest.param({"Forwarded": " , "}, {"forwarded": True}, "http://in", id="empty forwarded"),
    ],
)
def test_site_is_what_the_client_asked_for(headers, options, url):
    seen = environ_after({"Host": "in", **headers}, **options)
    assert Request(seen).application_url == url


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("a", "a", "443"), ("a:80", "a", "80"), ("a:443", "a", "443"), ("[::1]:8", "[::1]", "8")],
)
def test_server_is_told_like_the_host(host, name, port):
    seen = environ_after({"X-Forwarded-Host": host, "X-Forwarded-Proto": "https"})
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == (name, port)


def test_prefix_stands_before_the_mount_point():
    headers = {"X-Forwarded-Prefix": "/outer"}
    seen = environ_after(headers, {"SCRIPT_NAME": "/inner"}, prefix="X-Forwarded-Prefix")
    assert seen["SCRIPT_NAME"] == "/outer/inner"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-Forwarded-For": "<script>"}, id="address"),
        pytest.param({"X-Forwarded-For": "fe80::1%<script>"}, id="zone"),
        pytest.param({"X-Forwarded-Proto": "javascript"}, id="scheme"),
        pytest.param({"X-Forwarded-Host": "a/b"}, id="host"),
        pytest.param({"X-Forwarded-Host": "user@a"}, id="user"),
        pytest.param({"X-Forwarded-Port": "x"}, id="port"),
        pytest.param({"X-Forwarded-Prefix": "//evil"}, id="prefix"),
    ],
)
def test_what_a_proxy_cannot_mean_never_reaches_the_application(alone, headers):
    site = alone(view, Proxy, port="X-Forwarded-Port", prefix="X-Forwarded-Prefix")
    assert site.fetch(headers=headers).status_int == 400


@pytest.mark.parametrize("field", ['for="a', "for=nobody", "proto=x", 'host="a b"'])
def test_forwarded_that_cannot_be_read_never_reaches_the_application(alone, field):
    assert alone(view, Proxy, forwarded=True).fetch(headers={"Forwarded": field}).status_int == 400


FIELDS = {
    "X-Forwarded-For": "6.6.6.6, 1.1.1.1",
    "X-Forwarded-Host": "evil, a",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/x",
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6, for=1.1.1.1",
}


def forwarding(environ):
    return {
        name[5:]: value for name, value in environ.items() if "FORWARDED" in name or "REAL" in name
    }


def test_of_the_fields_only_what_is_trusted_and_read_stays():
    assert forwarding(environ_after(FIELDS)) == {
        "X_FORWARDED_FOR": "1.1.1.1",
        "X_FORWARDED_HOST": "a",
        "X_FORWARDED_PROTO": "https",
    }
    assert forwarding(environ_after(FIELDS, forwarded=True)) == {"FORWARDED": "for=1.1.1.1"}
    assert forwarding(environ_after(FIELDS, trusted="192.0.2.1")) == {}


def test_field_of_the_users_own_goes_too_if_it_is_not_trusted():
    options = {"remote": "CF-Connecting-IP", "trusted": "192.0.2.1"}
    assert "HTTP_CF_CONNECTING_IP" not in environ_after({"CF-Connecting-IP": "6.6.6.6"}, **options)


def test_what_the_environ_said_before_is_kept():
    original = environ_after({"Host": "in", **FIELDS})[PROXY_READ]
    assert original["REMOTE_ADDR"] == "10.0.0.1"
    assert original["HTTP_HOST"] == "in"
    assert original["HTTP_X_FORWARDED_FOR"] == "6.6.6.6, 1.1.1.1"
    assert original["HTTP_X_REAL_IP"] == "6.6.6.6"
    assert PROXY_READ not in environ_after({})


def test_request_is_not_read_twice():
    first = Proxy(Proxy(Response(), prefix="X-Forwarded-Prefix"), prefix="X-Forwarded-Prefix")
    request = Request.blank("/", headers={"X-Forwarded-Prefix": "/app"})
    request.get_response(first)
    assert request.script_name == "/app"


def test_debug_logs_what_has_been_changed(alone, caplog):
    caplog.set_level(logging.INFO, "cptoolkit.proxy")
    alone(view, Proxy).fetch(headers=HEADERS)
    assert caplog.records == []
    alone(view, Proxy, debug=True).fetch("/here", headers=HEADERS)
    [record] = caplog.records
    assert "/here: {" in record.getMessage()
    assert "'REMOTE_ADDR': '192.0.2.1'" in record.getMessage()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hops": 0}, ValueError, "hops must be the number of proxies, 1 or more, got 0"),
        ({"hops": True}, ValueError, "hops must be the number"),
        ({"trusted": "10.0.0.1/8"}, ValueError, "did you mean '10.0.0.0/8'"),
        ({"base": "ftp://a"}, ValueError, "base must be such as 'https://example.org', got 'ftp"),
        ({"base": "http://a?b"}, ValueError, "base must be such as"),
        ({"base": "http://a//b"}, ValueError, "base must be such as"),
        ({"remote": "X Y"}, ValueError, "remote must be the name of a header field, got 'X Y'"),
        ({"hop": 1}, TypeError, "did you mean 'hops'"),
    ],
)
def test_wrong_option_is_refused(options, error, message):
    with pytest.raises(error) as caught:
        Proxy(None, **options)
    assert message in str(caught.value)


# In an Application


class Root:
    @cptoolkit.expose
    def index(self):
        return " ".join(
            [cptoolkit.url("/page"), cptoolkit.request.base, cptoolkit.request.remote.ip]
        )

    @cptoolkit.expose
    def away(self):
        raise cptoolkit.HTTPRedirect("/page")

    @cptoolkit.expose
    def fails(self):
        raise ValueError("here")

    @cptoolkit.expose
    def inside(self):
        raise cptoolkit.InternalRedirect("/")


def test_urls_and_client_are_the_proxys_word_also_where_looked_at_before(app_of):
    def look():
        assert cptoolkit.request.base
        assert cptoolkit.request.remote
        assert cptoolkit.request.local

    cptoolkit.tools.look = cptoolkit.Tool("on_start_resource", look)
    client = app_of(Root(), {"/": {"tools.proxy.on": True, "tools.look.on": True}})
    answer = client.get("/", headers=HEADERS)
    assert answer.text == "https://example.org/page https://example.org 192.0.2.1"


def test_internal_redirect_keeps_what_the_proxy_has_told(app_of):
    config = {"tools.proxy.on": True, "tools.proxy.base": "http://www.example.com/app"}
    client = app_of(Root(), {"/": config})
    answer = client.get("/inside", headers={"X-Forwarded-For": "10.1.2.3"})
    assert answer.text == "http://www.example.com/app/page http://www.example.com 10.1.2.3"


def test_access_log_has_the_clients_address(app_of, caplog):
    config = {"tools.proxy.on": True, "tools.proxy.base": "http://www.example.com"}
    client = app_of(Root(), {"/": config})
    caplog.set_level(logging.INFO)
    client.get("/", headers={"X-Forwarded-For": "10.1.2.3"})
    lines = [record.getMessage() for record in caplog.records if ".access" in record.name]
    assert [line.split()[0] for line in lines] == ["10.1.2.3"]


@pytest.mark.parametrize(
    "headers",
    [{"X-Forwarded-Host": "evil"}, {"Host": "evil"}, {"Forwarded": "host=evil"}],
    ids=["X-Forwarded-Host", "Host", "Forwarded"],
)
def test_forged_host_does_not_end_in_location(app_of, headers):
    config = {"tools.proxy.on": True, "tools.proxy.base": "http://www.example.com"}
    client = app_of(Root(), {"/": config})
    answer = client.get("/away", headers=headers)
    assert answer.headers["Location"] == "http://www.example.com/page"


def test_function_makes_a_tool_of_ones_own(app_of):
    cptoolkit.tools.own = cptoolkit.Tool("before_request_body", proxy, priority=30)
    client = app_of(Root(), {"/": {"tools.own.on": True, "tools.own.base": "https://a"}})
    answer = client.get("/", headers={"X-Forwarded-For": "192.0.2.1"})
    assert answer.text == "https://a/page https://a 192.0.2.1"


@pytest.mark.parametrize("trusted", ["127.0.0.1", "192.0.2.1"], ids=["proxy", "stranger"])
def test_traceback_is_not_shown_to_who_forwards_that_he_is_local(app_of, trusted):
    client = app_of(Root(), {"/": {"tools.proxy.on": True, "tools.proxy.trusted": trusted}})
    local = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
    assert "ValueError" in client.get("/fails", status=500, extra_environ=local)
    for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
        page = client.get("/fails", status=500, extra_environ=local, headers=headers)
        assert "ValueError" not in page
