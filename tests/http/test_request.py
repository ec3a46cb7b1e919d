"""What a page handler is told of the request."""

import pytest
from webob import Request as WebobRequest

import cptoolkit
from cptoolkit.http.request import Request


class Echo:
    """Answers with the repr of an attribute of the request."""

    @cptoolkit.expose
    def get(self, name, **params):
        value = cptoolkit.request
        for part in name.split("."):
            value = getattr(value, part)
        return repr(value)

    @cptoolkit.expose
    def params(self, **params):
        return repr(params)

    @cptoolkit.expose
    def default(self, *path, **params):
        return "/".join(path)


@pytest.fixture
def echo(app_of):
    return app_of(Echo())


def asked(client, name, **options):
    return client.get(f"/get?name={name}", **options).text


# -- the query string ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "params"),
    [
        pytest.param("a=1&b=2", {"a": "1", "b": "2"}, id="two names"),
        pytest.param("a=1&a=2&a=3", {"a": ["1", "2", "3"]}, id="repeated gives a list"),
        pytest.param("a=&b", {"a": "", "b": ""}, id="blank values are kept"),
        pytest.param("a+b=c%20d", {"a b": "c d"}, id="plus and percent"),
        pytest.param("a=%C3%A9", {"a": "é"}, id="UTF-8"),
        pytest.param("a=1;b=2", {"a": "1;b=2"}, id="semicolon does not separate"),
        pytest.param("12,34", {"x": 12, "y": 34}, id="image map"),
        pytest.param("a=%zz", {"a": "%zz"}, id="an escape that is none"),
    ],
)
def test_query_string_becomes_params(echo, query, params):
    assert echo.get(f"/params?{query}").text == repr(params)


def test_raw_utf8_in_the_query_string_is_read(echo):
    raw = "a=é".encode().decode("latin-1")
    request = WebobRequest.blank("/params", environ={"QUERY_STRING": raw})
    assert request.get_response(echo.app).text == repr({"a": "é"})


def test_query_string_in_another_encoding_is_404(echo):
    page = echo.get("/params?a=A+bient%F4t", status=404)
    assert "must be encoded with 'utf8'" in page.text


def test_query_string_encoding_can_be_configured(app_of):
    client = app_of(Echo(), {"/": {"request.query_string_encoding": "latin-1"}})
    assert client.get("/params?a=%F4").text == repr({"a": "ô"})


def test_more_query_fields_than_allowed_are_414(app_of):
    client = app_of(Echo(), {"/": {"request.max_query_fields": 2}})
    client.get("/params?a=1&b=2", status=200)
    client.get("/params?a=1&b=2&c=3", status=414)


def test_name_in_query_and_form_gives_a_list(echo):
    assert echo.post("/params?a=1", {"a": "2"}).text == repr({"a": ["1", "2"]})


# -- the request line ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "GET"),
        ("path_info", "/get"),
        ("script_name", "/app"),
        ("query_string", "name=query_string"),
        ("protocol", (1, 0)),
        ("server_protocol", "HTTP/1.1"),
        ("scheme", "http"),
        ("base", "http://localhost:80"),
        ("request_line", "GET /app/get?name=request_line HTTP/1.0"),
        ("login", None),
        ("prev", None),
        ("is_index", False),
        ("multithread", False),
        ("multiprocess", False),
    ],
)
def test_attribute(app_of, name, value):
    client = app_of(Echo(), script_name="/app")
    assert client.get(f"/app/get?name={name}").text == repr(value)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("HTTP/1.1", (1, 1)),
        ("HTTP/1.0", (1, 0)),
        ("HTTP/2", (2, 0)),
        ("HTTP/2.0", (2, 0)),
        ("INCLUDED", (1, 0)),
    ],
)
def test_protocol_is_numbers_whatever_the_host_says(echo, text, version):
    assert asked(echo, "protocol", extra_environ={"SERVER_PROTOCOL": text}) == repr(version)


def test_request_line_shows_the_target_as_it_was_sent(echo):
    line = asked(echo, "request_line", extra_environ={"REQUEST_URI": "/%67et?name=x"})
    assert line == repr("GET /%67et?name=x HTTP/1.0")


def test_path_is_utf8(echo):
    assert echo.get("/caf%C3%A9").text == "café"


def test_path_that_is_not_utf8_is_read_as_latin1(echo):
    assert echo.get("/caf%E9").text == "café"


def test_mount_point_is_decoded(app_of):
    client = app_of(Echo(), script_name="/café")
    assert client.get("/caf%C3%A9/get?name=script_name").text == repr("/café")


def test_assigned_path_reads_back():
    request = Request.blank("/")
    request.path_info, request.script_name, request.query_string = "/é", "/ü", "a=ö"
    assert (request.path_info, request.script_name, request.query_string) == ("/é", "/ü", "a=ö")
    assert request.environ["PATH_INFO"] == "/\xc3\xa9"


# -- header fields and cookies ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["X-Test", "x-test", "X-TEST"])
def test_headers_are_found_in_any_case(name):
    request = Request.blank("/", headers={"X-Test": "1"})
    assert request.headers[name] == request.headers.get(name) == "1"
    assert name in request.headers


def test_absent_header_is_a_key_error_or_the_default():
    headers = Request.blank("/").headers
    with pytest.raises(KeyError, match="X-Absent"):
        headers["X-Absent"]
    assert headers.get("X-Absent", "default") == "default"


def test_header_list_has_name_and_value_pairs():
    assert ("X-Test", "1") in Request.blank("/", headers={"X-Test": "1"}).header_list


def test_assigned_headers_replace_those_of_the_client():
    request = Request.blank("/", headers={"X-Old": "1"})
    request.headers = {"X-New": "2"}
    assert "X-Old" not in request.headers
    assert request.headers["X-New"] == "2"


def test_encoded_words_in_headers_are_left_alone(echo):
    text = echo.get("/get?name=headers", headers={"X-Word": "=?utf-8?q?=C3=A9?="}).text
    assert "=?utf-8?q?=C3=A9?=" in text


def test_cookies_are_parsed():
    request = Request.blank("/", headers={"Cookie": 'a=1; b="two words"'})
    assert {name: morsel.value for name, morsel in request.cookie.items()} == {
        "a": "1",
        "b": "two words",
    }


def test_cookies_without_the_field_are_empty():
    assert len(Request.blank("/").cookie) == 0


@pytest.mark.parametrize("field", ["a[]=1; b=2", "=; ;;", "\xff=\xfe", "$Version=1; a=b", "a"])
def test_odd_cookies_never_break_a_page(app_of, field):
    class Root:
        @cptoolkit.expose
        def index(self):
            return str(len(cptoolkit.request.cookie))

    response = app_of(Root()).get("/", headers={"Cookie": field}, status="*")
    assert response.status_int in (200, 400)


# -- the two ends ----------------------------------------------------------------------------


def test_remote_tells_of_the_client(echo):
    environ = {"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4711", "REMOTE_HOST": "c.example"}
    assert asked(echo, "remote.ip", extra_environ=environ) == "'192.0.2.7'"
    assert asked(echo, "remote.port", extra_environ=environ) == "4711"
    assert asked(echo, "remote.name", extra_environ=environ) == "'c.example'"


def test_name_of_the_client_is_its_address_where_none_is_known(echo):
    assert asked(echo, "remote.name", extra_environ={"REMOTE_ADDR": "::1"}) == "'::1'"


@pytest.mark.parametrize("port", ["", "x", "²"])
def test_unknown_port_is_minus_one(port):
    assert Request.blank("/", environ={"REMOTE_PORT": port}).remote.port == -1


def test_port_may_be_a_number(echo):
    assert Request.blank("/", environ={"REMOTE_PORT": 4711}).remote.port == 4711


def test_local_tells_of_the_server(echo):
    environ = {"SERVER_NAME": "s.example", "SERVER_PORT": "8080"}
    assert asked(echo, "local.name", extra_environ=environ) == "'s.example'"
    assert asked(echo, "local.port", extra_environ=environ) == "8080"


def test_base_has_the_host_that_was_asked_for(echo):
    assert asked(echo, "base", headers={"Host": "a.example:81"}) == "'http://a.example:81'"


def test_base_without_a_host_field_is_the_servers_own_name():
    request = Request({"wsgi.url_scheme": "http", "SERVER_NAME": "s", "SERVER_PORT": "80"})
    assert request.base == "http://s"


@pytest.mark.parametrize(
    ("scheme", "port", "base"),
    [("http", "80", "http://s"), ("https", "443", "https://s"), ("https", "80", "https://s:80")],
)
def test_base_with_an_empty_host_field_is_the_servers_own_name(scheme, port, base):
    environ = {"wsgi.url_scheme": scheme, "SERVER_NAME": "s", "SERVER_PORT": port, "HTTP_HOST": ""}
    assert Request(environ).base == base


def test_base_may_be_assigned():
    request = Request.blank("/")
    request.base = "https://www.example.com"
    assert request.base == "https://www.example.com"


def test_remote_address_may_be_assigned():
    request = Request.blank("/")
    request.remote.ip = "192.0.2.1"
    assert request.remote.ip == "192.0.2.1"


def test_unique_ids_differ_between_requests_and_stay_within_one():
    one, two = Request.blank("/"), Request.blank("/")
    assert one.unique_id == one.unique_id != two.unique_id


# -- the body --------------------------------------------------------------------------------


FORM = "application/x-www-form-urlencoded"


class Bodies:
    @cptoolkit.expose
    def read(self):
        return cptoolkit.request.body.read()

    @cptoolkit.expose
    def raw(self):
        length = int(cptoolkit.request.headers["Content-Length"])
        return cptoolkit.request.rfile.read(length)

    raw._cp_config = {"request.process_request_body": False}

    @cptoolkit.expose
    def params(self, **params):
        return repr(params)

    @cptoolkit.expose
    def page(self):
        return repr(cptoolkit.request.methods_with_bodies)

    page._cp_config = {"request.methods_with_bodies": ("POST", "PUT", "PROPPATCH")}

    @cptoolkit.expose
    def json(self):
        return repr(cptoolkit.request.json)

    @cptoolkit.expose
    def has_json(self):
        return repr(hasattr(cptoolkit.request, "json"))


def test_body_of_a_type_without_processor_is_left_to_be_read(app_of):
    answer = app_of(Bodies()).post("/read", b"\x00\xff", content_type="application/x-own")
    assert answer.body == b"\x00\xff"


def test_unprocessed_body_is_read_from_rfile(app_of):
    assert app_of(Bodies()).post("/raw", {"a": "1"}).body == b"a=1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_forms_are_read_with_methods_that_have_bodies(app_of, method):
    send = getattr(app_of(Bodies()), method.lower())
    answer = send("/params", "a=1", content_type=FORM)
    assert answer.text == repr({"a": "1"})


def test_body_of_another_method_is_not_read(app_of):
    answer = app_of(Bodies()).delete("/params", "a=1", content_type=FORM)
    assert answer.text == "{}"


def test_methods_with_bodies_can_be_configured(app_of):
    request = WebobRequest.blank("/page", method="PROPPATCH", body=b"a=1")
    request.content_type = "text/plain"
    answer = request.get_response(app_of(Bodies()).app)
    assert answer.text == "('POST', 'PUT', 'PROPPATCH')"


def test_form_sent_with_a_configured_method_is_read(app_of):
    request = WebobRequest.blank("/page", method="PROPPATCH", POST={"a": "1"})
    refused = request.get_response(app_of(Bodies()).app)
    assert refused.status_int == 400
    assert "Unexpected body parameters: a" in refused.text


def test_json_without_a_document_is_400(app_of):
    page = app_of(Bodies()).get("/json", status=400)
    assert "expects a JSON document" in page.text


def test_json_without_a_document_is_no_attribute(app_of):
    assert app_of(Bodies()).get("/has_json").text == "False"


def test_body_processor_can_be_added_by_a_hook(app_of):
    def csv(entity):
        entity.request_params["row"] = entity.read().decode().split(",")

    def add():
        cptoolkit.request.body.processors["text/csv"] = csv

    client = app_of(Bodies(), {"/params": {"hooks.before_request_body": add}})
    answer = client.post("/params", "a,b", content_type="text/csv")
    assert answer.text == repr({"row": ["a", "b"]})


def test_body_attributes_can_be_configured(app_of):
    client = app_of(Bodies(), {"/": {"request.body.maxbytes": 3}})
    client.post("/params", {"a": "1"}, status=200)
    client.post("/params", {"a": "12"}, status=413)


# -- attributes of one's own, and config -----------------------------------------------------


def test_request_attributes_come_from_config(app_of):
    client = app_of(Echo(), {"/": {"request.db": "sqlite"}})
    assert asked(client, "db") == "'sqlite'"


def test_invented_attributes_do_not_reach_the_next_request(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            known = hasattr(cptoolkit.request, "user")
            cptoolkit.request.user = "jon"
            return str(known)

    client = app_of(Root())
    assert [client.get("/").text, client.get("/").text] == ["False", "False"]


def test_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="the request has no attribute 'colour'"):
        Request.blank("/").colour  # noqa: B018


def test_config_of_the_request_is_merged(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            config = cptoolkit.request.config
            return f"{config['one']} {config['two']}"

        index._cp_config = {"two": 2}

    assert app_of(Root(), {"/": {"one": 1, "two": 0}}).get("/").text == "1 2"


def test_dispatcher_may_set_the_config_itself(app_of):
    def dispatch(path_info):
        request = cptoolkit.serving.request
        request.config = {"response.headers.X-Path": path_info}
        request.handler = lambda: repr(request.config)

    answer = app_of(None, {"/": {"request.dispatch": dispatch}}).get("/a")
    assert answer.text == repr({"response.headers.X-Path": "/a"})
    assert answer.headers["X-Path"] == "/a"


def test_sections_of_ones_own_are_read_through_the_application(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            return cptoolkit.request.app.config["googleapi"]["appid"]

    assert app_of(Root(), {"googleapi": {"appid": "..."}}).get("/").text == "..."


def test_tool_settings_are_in_toolmaps(app_of):
    config = {"/": {"tools.trailing_slash.extra": True}}
    assert "'extra': True" in asked(app_of(Echo(), config), "toolmaps")


def test_request_needs_a_plain_dict_as_environ():
    with pytest.raises(TypeError, match="environ must be a dict, got list"):
        Request([])


def test_prev_is_the_request_before_an_internal_redirect(app_of):
    class Root:
        @cptoolkit.expose
        def index(self, **form):
            raise cptoolkit.InternalRedirect("/next?a=1")

        @cptoolkit.expose
        def next(self, a):
            request = cptoolkit.request
            return f"{request.prev.path_info} {request.method} {request.query_string}"

    assert app_of(Root()).post("/", {"b": "2"}).text == "/ GET a=1"


def test_user_that_the_host_has_found_out_is_the_login():
    assert Request.blank("/", {"REMOTE_USER": "jon"}).login == "jon"
    assert Request.blank("/", {"LOGON_USER": "jon"}).login == "jon"
    assert Request.blank("/", {}).login is None


def test_login_is_seen_by_layers_further_out():
    request = Request.blank("/")
    request.login = "jon"
    assert request.environ["REMOTE_USER"] == "jon"
    request.login = None
    assert request.login is None
    assert not request.environ["REMOTE_USER"]
