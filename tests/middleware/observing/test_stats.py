"""Stats: live statistics of any application, for those who may see them."""

import json

import pytest
from webob import Request, Response

import cptoolkit
from cptoolkit.middleware.observing.stats import Stats

LOCAL = {"Host": "localhost:8080"}


def page(request):
    if request.path_info == "/stream":
        return Response(app_iter=iter([b"one", b"three"]), content_type="text/plain")
    return Response("Hello world!", status=404 if request.path_info == "/nowhere" else 200)


def statistics(site, path="/_stats"):
    return json.loads(site.fetch(f"{path}?format=json", headers=LOCAL).body)


# -- everywhere -----------------------------------------------------------------------------


def test_requests_are_counted(host):
    site = host(page, Stats)
    for path, method in [("/", "GET"), ("/", "POST"), ("/nowhere", "GET"), ("/stream", "GET")]:
        site.fetch(path, method)
    found = statistics(site)
    assert found["requests"] == 4
    assert found["by_method"] == {"GET": 3, "POST": 1}
    assert found["by_status"] == {"200": 3, "404": 1}
    assert found["bytes_sent"] == 3 * 12 + 8
    assert found["in_flight"] == 0
    assert found["aborted"] == 0


def test_request_is_in_flight_until_its_body_is_closed(host):
    site = host(page, Stats)
    _, _, body = Request.blank("/stream").call_application(site.app)
    assert next(iter(body)) == b"one"
    assert statistics(site)["in_flight"] == 1
    body.close()
    found = statistics(site)
    assert (found["in_flight"], found["requests"]) == (0, 1)


def test_response_is_left_as_it_is(host):
    answer = host(page, Stats).fetch()
    assert (answer.body, answer.headers["Content-Length"]) == (b"Hello world!", "12")


def test_looking_at_statistics_is_not_counted(host):
    site = host(page, Stats)
    for _ in range(3):
        statistics(site)
        site.fetch("/_stats", headers=LOCAL)
        site.fetch("/_stats/metrics", headers=LOCAL)
        site.fetch("/_stats")  # refused
    assert statistics(site)["requests"] == 0


def test_page_is_shown(host):
    answer = host(page, Stats, name="shop").fetch("/_stats", headers=LOCAL)
    assert answer.status_int == 200
    assert answer.headers["Content-Type"].lower().replace(" ", "") == "text/html;charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Statistics of shop" in answer.text


def test_prometheus_is_told(host):
    site = host(page, Stats)
    site.fetch("/")
    answer = site.fetch("/_stats/metrics", headers=LOCAL)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'http_requests_total{method="GET",status="200"} 1\n' in answer.text


def test_stranger_is_refused(host):
    site = host(page, Stats)
    for path in ("/_stats", "/_stats/metrics", "/_stats?format=json"):
        answer = site.fetch(path, headers=LOCAL, REMOTE_ADDR="192.0.2.1")
        assert answer.status_int == 403
        assert b"pid" not in answer.body


def test_other_paths_are_the_applications(host):
    site = host(page, Stats)
    for path in ("/_statistics", "/_stats/x", "/x/_stats"):
        assert site.fetch(path, headers=LOCAL).body == b"Hello world!"
    assert statistics(site)["requests"] == 3


# -- showing --------------------------------------------------------------------------------


def test_accept_may_ask_for_json(alone):
    answer = alone(page, Stats).fetch("/_stats", headers={**LOCAL, "Accept": "application/json"})
    assert answer.content_type == "application/json"


def test_path_may_be_another(alone):
    site = alone(page, Stats, path="/intern/z\u00e4hler")
    assert statistics(site, "/intern/z%C3%A4hler")["requests"] == 0
    assert 'href="z%C3%A4hler/metrics"' in site.fetch("/intern/z%C3%A4hler", headers=LOCAL).text


def test_statistics_may_be_shown_nowhere(alone):
    site = alone(page, Stats, path=None)
    assert site.fetch("/_stats", headers=LOCAL).body == b"Hello world!"


def test_statistics_are_at_hand_in_the_process():
    layer = Stats(Response("x"), path=None)
    request = Request.blank("/")
    _, _, body = request.call_application(layer)
    body.close()
    assert layer.statistics()["requests"] == 1


def test_head_is_answered_without_a_body(alone):
    answer = alone(page, Stats).fetch("/_stats", "HEAD", headers=LOCAL)
    assert (answer.status_int, answer.body) == (200, b"")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_statistics_can_only_be_read(alone, method):
    answer = alone(page, Stats).fetch("/_stats", method, headers=LOCAL)
    assert (answer.status_int, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_name_must_be_a_text():
    with pytest.raises(TypeError, match="name must be a text, got 5"):
        Stats(name=5)


@pytest.mark.parametrize("path", ["_stats", "/_stats/", "/", "", 5])
def test_wrong_path_is_refused(path):
    with pytest.raises(ValueError, match="path must begin with a slash and go on"):
        Stats(path=path)


# -- who may see them -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "environ", "seen"),
    [
        ("local", {}, True),
        ("local", {"REMOTE_ADDR": "::1"}, True),
        ("local", {"REMOTE_ADDR": "10.0.0.1"}, False),
        ("local", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ("local", {"HTTP_HOST": "evil.example"}, False),
        (["10.0.0.0/8"], {"REMOTE_ADDR": "10.1.2.3"}, True),
        (["10.0.0.0/8", "::1"], {"REMOTE_ADDR": "::1"}, True),
        ("10.0.0.0/8", {"REMOTE_ADDR": "127.0.0.1"}, False),
        ("10.0.0.0/8", {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "10.0.0.2"}, False),
        (
            "10.0.0.0/8",
            {
                "REMOTE_ADDR": "10.0.0.2",
                "HTTP_X_FORWARDED_FOR": "10.0.0.2",
                "cptoolkit.proxy.original": {"REMOTE_ADDR": "10.0.0.1"},
            },
            True,
        ),
        ("10.0.0.0/8", {"REMOTE_ADDR": ""}, False),
        (lambda request: request.headers.get("X-Key") == "k", {"HTTP_X_KEY": "k"}, True),
        (lambda request: request.headers.get("X-Key") == "k", {}, False),
    ],
    ids=[
        "local", "local IPv6", "not local", "through a proxy", "rebound name", "in a network",
        "an address", "not in the network", "proxy in the network", "client by the layer Proxy",
        "no address", "function says yes", "function says no",
    ],
)  # fmt: skip
def test_statistics_are_for_whom_they_are_meant(alone, allow, environ, seen):
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", **environ}
    answer = alone(page, Stats, allow=allow).fetch("/_stats", **environ)
    assert answer.status_int == (200 if seen else 403)


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match=r"allow takes addresses.*'10.0.0.1/8'.*'10.0.0.0/8'"):
        Stats(allow="10.0.0.1/8")


# -- counting -------------------------------------------------------------------------------


def test_exception_counts_as_500():
    def app(environ, start_response):
        raise KeyError("x")

    layer = Stats(app)
    with pytest.raises(KeyError):
        Request.blank("/").get_response(layer)
    found = layer.statistics()
    assert (found["by_status"], found["in_flight"]) == ({"500": 1}, 0)


def test_client_that_left_is_counted(alone):
    site = alone(page, Stats)
    _, _, body = Request.blank("/stream").call_application(site.app)
    next(iter(body))
    body.close()
    assert statistics(site)["aborted"] == 1


class Root:
    @cptoolkit.expose
    def crash(self):
        raise KeyError("x")

    @cptoolkit.expose
    def inside(self):
        raise cptoolkit.InternalRedirect("/plain")

    @cptoolkit.expose
    def plain(self):
        return "plain"


def test_tool_counts_error_pages_and_internal_redirects_once(app_of):
    client = app_of(Root(), {"/": {"tools.stats.on": True}})
    client.get("/crash", status=500)
    client.get("/nowhere", status=404)
    client.get("/inside")
    local = {"REMOTE_ADDR": "127.0.0.1"}
    found = client.get("/_stats?format=json", headers=LOCAL, extra_environ=local).json
    assert found["by_status"] == {"200": 1, "404": 1, "500": 1}
    assert found["in_flight"] == 0
