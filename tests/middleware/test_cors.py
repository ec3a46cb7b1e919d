"""CORS: which other sites' pages may use this one (Fetch Standard, section 3.3)."""

import re

import pytest
from webob import Request, Response
from webob.exc import HTTPForbidden

import cptoolkit
from cptoolkit.middleware.cors import CORS

PAGE = "https://example.org"


def view(request):
    if request.path_info == "/forbidden":
        answer = HTTPForbidden()
        return Response(status=answer.status, app_iter=[b"no"])
    return Response(f"{request.method} answered", vary="Cookie" if "v" in request.GET else None)


def cors_fields(response):
    return {
        name[15:].lower(): value
        for name, value in response.headers.items()
        if name.lower().startswith("access-control-")
    }


def asking(origin=PAGE, method="PUT", headers=None, **more):
    fields = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        fields["Access-Control-Request-Headers"] = headers
    return {**fields, **more}


def test_page_of_an_allowed_origin_may_read_the_answer(host):
    answer = host(view, CORS, allow_origins=[PAGE]).fetch(headers={"Origin": PAGE})
    assert cors_fields(answer) == {"allow-origin": PAGE}
    assert answer.headers["Vary"] == "Origin"
    assert answer.text == "GET answered"


def test_page_of_another_origin_may_not(host):
    answer = host(view, CORS, allow_origins=[PAGE]).fetch(headers={"Origin": "https://evil"})
    assert cors_fields(answer) == {}
    assert answer.headers["Vary"] == "Origin"
    assert answer.status_int == 200


def test_request_of_the_sites_own_gets_vary_alone(host):
    answer = host(view, CORS, allow_origins=[PAGE]).fetch("/?v=1")
    assert cors_fields(answer) == {}
    assert answer.headers["Vary"] == "Cookie, Origin"


def test_preflight_is_answered_before_the_application(host):
    def never(request):
        raise AssertionError("the application was asked")

    site = host(
        never,
        CORS,
        allow_origins=[PAGE],
        allow_methods=["GET", "PUT"],
        allow_headers=["Authorization", "X-Own"],
        max_age=60,
    )
    answer = site.fetch("/any", "OPTIONS", asking(headers="authorization"))
    assert answer.status_int == 204
    assert answer.body == b""
    assert cors_fields(answer) == {
        "allow-origin": PAGE,
        "allow-methods": "GET, PUT",
        "allow-headers": "Authorization, X-Own",
        "max-age": "60",
    }
    assert "Origin" in answer.headers["Vary"]
    assert "Content-Type" not in answer.headers


def test_preflight_of_another_origin_is_answered_without_permission(host):
    site = host(view, CORS, allow_origins=[PAGE])
    answer = site.fetch("/", "OPTIONS", asking("https://evil"))
    assert answer.status_int == 204
    assert cors_fields(answer) == {}


def test_other_options_requests_reach_the_application(host):
    site = host(view, CORS, allow_origins=[PAGE])
    assert site.fetch("/", "OPTIONS", {"Origin": PAGE}).text == "OPTIONS answered"
    asked = {"Access-Control-Request-Method": "PUT"}
    assert site.fetch("/", "OPTIONS", asked).text == "OPTIONS answered"


def test_error_of_the_application_may_be_read(host):
    answer = host(view, CORS, allow_origins="*").fetch("/forbidden", headers={"Origin": PAGE})
    assert answer.status_int == 403
    assert cors_fields(answer) == {"allow-origin": "*"}
    assert "Vary" not in answer.headers


def test_head_has_the_fields_of_get(host):
    site = host(view, CORS, allow_origins=[PAGE], expose_headers=["ETag"])
    head = site.fetch("/", "HEAD", {"Origin": PAGE})
    assert head.headers["Access-Control-Allow-Origin"] == PAGE
    assert head.headers["Access-Control-Expose-Headers"] == "ETag"
    assert head.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("allowed", "origin", "answer"),
    [
        pytest.param((), PAGE, None, id="none by default"),
        pytest.param("*", "https://any", "*", id="all"),
        pytest.param("*", "null", "*", id="all, null too"),
        pytest.param(PAGE, PAGE, PAGE, id="one"),
        pytest.param(PAGE, "http://example.org", None, id="another scheme"),
        pytest.param(PAGE, PAGE + ":8443", None, id="another port"),
        pytest.param(PAGE, PAGE + ".evil", None, id="a longer name"),
        pytest.param(PAGE, "null", None, id="null is none"),
        pytest.param(["null"], "null", "null", id="null where allowed"),
        pytest.param("https://*.a.example", "https://b.a.example", "https://b.a.example", id="*"),
        pytest.param("https://*.a.example", "https://a.example", None, id="not itself"),
        pytest.param("https://*.a.example", "https://evila.example", None, id="whole labels"),
        pytest.param("https://*.a.example", "https://b.axexample", None, id="a dot is a dot"),
        pytest.param("https://*.a.example", "https://x/.a.example", None, id="no path in a name"),
        pytest.param(
            "http://localhost:*", "http://localhost:3000", "http://localhost:3000", id="any port"
        ),
        pytest.param("http://localhost:*", "http://localhost", None, id="a port at least"),
        pytest.param(re.compile("https://(a|b)"), "https://b", "https://b", id="a pattern"),
        pytest.param(re.compile("https://(a|b)"), "https://bc", None, id="the whole must match"),
    ],
)
def test_origin_is_allowed_or_not(alone, allowed, origin, answer):
    response = alone(view, CORS, allow_origins=allowed).fetch(headers={"Origin": origin})
    assert cors_fields(response).get("allow-origin") == answer


@pytest.mark.parametrize(
    ("options", "asked", "answer"),
    [
        pytest.param({}, {}, {"allow-methods": "GET, HEAD, POST"}, id="by default"),
        pytest.param({"allow_methods": "*"}, {}, {"allow-methods": "PUT"}, id="any method"),
        pytest.param(
            {"allow_headers": "*"},
            {"headers": "a, x-b"},
            {"allow-headers": "a, x-b"},
            id="any field",
        ),
        pytest.param({"allow_headers": "*"}, {}, {"allow-headers": None}, id="none asked for"),
        pytest.param(
            {"allow_headers": "*"}, {"headers": "a;<b>"}, {"allow-headers": None}, id="no field"
        ),
        pytest.param({"allow_methods": "*"}, {"method": "<b>"}, {"allow-methods": None}, id="none"),
        pytest.param({}, {}, {"max-age": "600"}, id="ten minutes"),
        pytest.param({"max_age": 0}, {}, {"max-age": "0"}, id="not kept"),
        pytest.param(
            {"allow_credentials": True}, {}, {"allow-credentials": "true"}, id="credentials"
        ),
        pytest.param(
            {"allow_private_network": True},
            {"Access-Control-Request-Private-Network": "true"},
            {"allow-private-network": "true"},
            id="private network",
        ),
        pytest.param(
            {"allow_private_network": True}, {}, {"allow-private-network": None}, id="not asked"
        ),
        pytest.param(
            {},
            {"Access-Control-Request-Private-Network": "true"},
            {"allow-private-network": None},
            id="no private network",
        ),
    ],
)
def test_preflight_tells_what_is_allowed(alone, options, asked, answer):
    site = alone(view, CORS, allow_origins=[PAGE], **options)
    told = cors_fields(site.fetch("/", "OPTIONS", asking(**asked)))
    assert {name: told.get(name) for name in answer} == answer


def test_credentials_are_allowed_on_answers_too(alone):
    site = alone(view, CORS, allow_origins=[PAGE], allow_credentials=True)
    told = cors_fields(site.fetch(headers={"Origin": PAGE}))
    assert told == {"allow-origin": PAGE, "allow-credentials": "true"}


def test_field_of_the_application_is_replaced(alone):
    def own(request):
        answer = Response("x")
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    answer = alone(own, CORS, allow_origins=[PAGE]).fetch(headers={"Origin": PAGE})
    assert answer.headers.getall("Access-Control-Allow-Origin") == [PAGE]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow_origins": "*", "allow_credentials": True}, "name the origins"),
        ({"allow_origins": ["https://a/"]}, "did you mean 'https://a'?"),
        ({"allow_origins": ["https://A"]}, "did you mean 'https://a'?"),
        ({"allow_origins": "example.org"}, "allow_origins takes origins such as"),
        ({"allow_origins": "https://*a.example"}, "allow_origins takes origins such as"),
        ({"allow_origins": [None]}, "allow_origins takes origins such as"),
        ({"max_age": -1}, "max_age must be 0 or more seconds, got -1"),
        ({"allow_methods": "GET, PUT"}, "allow_methods takes names, several of them in a list"),
        ({"allow_headers": [""]}, "allow_headers takes names"),
        (
            {"allow_origins": PAGE, "expose_headers": "*", "allow_credentials": True},
            "expose_headers='*' means nothing",
        ),
    ],
)
def test_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CORS(None, **options)


# In an Application


class Root:
    _cp_config = {"tools.cors.on": True, "tools.cors.allow_origins": [PAGE]}

    @cptoolkit.expose
    def fails(self):
        raise ValueError

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods=["GET"])
    def reads(self):
        return "read"


def test_error_pages_may_be_read(app_of):
    client = app_of(Root())
    for path, status in (("/fails", 500), ("/nowhere", 404)):
        answer = client.get(path, headers={"Origin": PAGE}, status=status)
        assert cors_fields(answer) == {"allow-origin": PAGE}
        assert answer.headers["Vary"] == "Accept, Origin"


def test_preflight_is_answered_where_the_method_is_not_allowed(app_of):
    answer = app_of(Root()).options("/reads", headers=asking())
    assert answer.status_int == 204
    assert cors_fields(answer)["allow-origin"] == PAGE


def test_preflight_needs_no_login(app_of):
    def login():
        raise cptoolkit.HTTPError(401)

    cptoolkit.tools.login = cptoolkit.Tool("before_handler", login, priority=0)
    config = {"/": {"tools.login.on": True}}
    client = app_of(Root(), config)
    assert client.options("/reads", headers=asking()).status_int == 204
    assert client.get("/reads", status=401)


def test_preflight_for_a_method_dispatcher_is_answered(app_of):
    class Resource:
        exposed = True
        _cp_config = Root._cp_config

        def GET(self):
            return "got"

    config = {"/": {"request.dispatch": cptoolkit.dispatch.MethodDispatcher()}}
    client = app_of(Resource(), config)
    assert client.options("/", headers=asking()).status_int == 204
    assert client.get("/", headers={"Origin": PAGE}).headers["Access-Control-Allow-Origin"] == PAGE


def test_around_any_application_request_blank_works():
    request = Request.blank("/", headers={"Origin": PAGE})
    assert request.get_response(CORS(Response("x"), allow_origins="*")).text == "x"
