"""The history of 3.3 to 8.8: what it says of handlers, requests and answers."""

import functools
from urllib.parse import quote

import pytest
from webob import Request

import cptoolkit as cherrypy

REQUEST = {"HTTP_HOST": "www.example.com"}


def noted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Handlers:
    @cherrypy.expose
    @noted
    def broken(self, number="1"):
        return number + 1

    @cherrypy.expose
    @cherrypy.tools.params()
    def resource(self, limit: int):
        return repr(limit)

    @cherrypy.expose
    def moved(self):
        raise cherrypy.HTTPRedirect("/caf\u00e9/\u65e5\u672c")

    @cherrypy.expose
    @cherrypy.config(**{"response.stream": True})
    def listed(self):
        return iter([b"one ", b"two"])

    @cherrypy.expose
    def keywords(self, first, *, second="by default"):
        return f"{first} {second}"

    @cherrypy.expose
    @cherrypy.config(**{"tools.response_headers.on": True})
    @cherrypy.tools.response_headers(headers=[("X-Config", "decorated")])
    def configured(self):
        return repr(cherrypy.request.config.get("tools.response_headers.on"))

    @cherrypy.expose
    def upload(self, file):
        return file.filename

    @cherrypy.expose
    def field(self, text):
        return repr((type(text).__name__, len(text), text[:2]))


@pytest.fixture
def handlers(app_of):
    return app_of(Handlers())


def test_type_error_within_a_decorated_handler_is_not_swallowed(handlers, caplog):
    """8.1.3, #1530."""
    handlers.get("/broken", status=500)
    assert "TypeError: " in caplog.text


def test_http_error_is_a_context_manager():
    """8.1.0, #1473."""
    with (
        pytest.raises(cherrypy.HTTPError) as raised,
        cherrypy.HTTPError.handle(LookupError, 404, "no such thing"),
    ):
        raise KeyError("thing")
    assert raised.value.status == 404


class Counter:
    @cherrypy.expose
    def index(self):
        cherrypy.session["count"] = cherrypy.session.get("count", 0) + 1
        return f"{cherrypy.session['count']} {type(cherrypy.serving.session).__name__}"


@pytest.mark.parametrize("option", ["storage_class", "storage_type"])
def test_storage_class_of_sessions_is_given_as_such(app_of, option):
    """8.1.0, #1487: the older option takes names, and has the same effect."""
    storage = {"storage_class": cherrypy.lib.sessions.RamSession, "storage_type": "ram"}[option]
    config = {"tools.sessions.on": True, f"tools.sessions.{option}": storage}
    client = app_of(Counter(), {"/": config})
    assert [client.get("/").text.split()[0] for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize(
    ("url", "status", "text"),
    [
        ("/resource?limit=5", 200, "5"),
        ("/resource?limit=x", 400, "invalid literal for int()"),
        ("/resource", 404, "Missing parameters: limit"),
    ],
    ids=["converted", "refused", "missing"],
)
def test_parameters_are_converted_by_annotation(handlers, url, status, text):
    """6.2.0, #1441, and its listing."""
    assert text in handlers.get(url, status=status).text


def test_redirect_to_any_letters_is_native_text(handlers):
    """6.0.0, #1440, and 5.4.0, #1432: percent-encoded, and never bytes."""
    location = handlers.get("/moved", status=302).headers["Location"]
    assert isinstance(location, str)
    assert location.endswith(quote("/caf\u00e9/\u65e5\u672c"))


def test_class_can_be_exposed(app_of):
    """6.0.0 and 5.6.0: what sets the attribute ``exposed``, as on a function."""

    @cherrypy.expose
    class Resource:
        def GET(self):
            return "got"

    assert Resource.exposed is True
    config = {"/": {"request.dispatch": cherrypy.dispatch.MethodDispatcher()}}
    assert app_of(Resource(), config).get("/").text == "got"


def test_config_is_a_decorator(handlers):
    """6.0.0."""
    assert handlers.get("/configured").text == "True"


def post_part(client, path, disposition, content):
    """The answer to a multipart form of one part."""
    head = f"--edge\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    body = f"{head}{content}\r\n--edge--\r\n".encode()
    form = Request.blank(path, POST=body, content_type="multipart/form-data; boundary=edge")
    return form.get_response(client.app)


@pytest.mark.parametrize("name", ["a;b.txt", 'say "hi".txt', "a;\"b';.txt"])
def test_filename_may_have_semicolons_and_quotes(handlers, name):
    """5.5.0, #1397."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    answer = post_part(handlers, "/upload", f'name="file"; filename="{escaped}"', "words")
    assert answer.text == name


def test_mount_point_and_path_may_have_any_letters():
    """5.5.0, #1194: whatever version of WSGI the host speaks."""

    class Root:
        @cherrypy.expose
        def default(self, *segments):
            return "/".join([cherrypy.request.script_name, *segments])

    tree = cherrypy.Tree()
    tree.mount(Root(), "/\u0439")
    answer = Request.blank("/" + quote("\u0439/\u65e5\u672c")).get_response(tree)
    assert answer.text == "/\u0439/\u65e5\u672c"


def test_long_field_of_a_multipart_form_is_decoded(handlers):
    """5.5.0, #1352: also one that has been kept in a file."""
    text = "\u00e9" * 100_000
    answer = post_part(handlers, "/field", 'name="text"', text)
    assert answer.text == repr(("str", 100_000, "\u00e9\u00e9"))


def test_body_may_be_any_iterator(handlers):
    """5.4.0, #1408: that of a list has no ``next`` of its own."""
    assert handlers.get("/listed").text == "one two"


def test_path_may_contain_a_url(script):
    """5.3.0, #1386; slashes that stand together count as one there, as everywhere."""
    program = script(
        """
        class Root:
            @cherrypy.expose
            def default(self, *segments, a):
                return f"{cherrypy.request.path_info}?{cherrypy.request.query_string}"

        cherrypy.quickstart(Root())
        """
    ).serving()
    answer = program.get("/redirect/http://www.example.com:80/page?a=b://c")
    assert answer.text == "/redirect/http:/www.example.com:80/page?a=b://c"


def test_proxy_without_a_base_goes_by_the_host(app_of):
    """5.0.0, pull request 94, and 5.0.1."""

    class Root:
        @cherrypy.expose
        def index(self):
            return cherrypy.url()

    client = app_of(Root(), {"/": {"tools.proxy.on": True, "tools.proxy.local": ""}})
    answer = client.get("/", extra_environ={"REMOTE_ADDR": "127.0.0.1", **REQUEST})
    assert answer.text == "http://www.example.com/"


@pytest.fixture
def files(app_of, tmp_path):
    (tmp_path / "ten").write_text("0123456789")
    return app_of(
        Handlers(), {"/files": {"tools.staticdir.on": True, "tools.staticdir.dir": str(tmp_path)}}
    )


@pytest.mark.parametrize("path", ["/files/%00", "/files/ten%00.txt", "/files/a%00/ten"])
def test_null_byte_in_the_path_of_a_file_is_not_found(files, path):
    """3.8.2, pull request 116."""
    assert Request.blank(path).get_response(files.app).status_int == 404


def test_last_bytes_of_a_file_may_be_more_than_there_are(files):
    """3.6.0: the whole file is what there is of them."""
    answer = files.get("/files/ten", headers={"Range": "bytes=-20"}, status=206)
    assert answer.text == "0123456789"
    assert answer.headers["Content-Range"] == "bytes 0-9/10"


def test_wrapper_around_a_handler_takes_point_name_and_priority(app_of):
    """3.6.0, pull request 59: a ``HandlerWrapperTool`` is made like other tools."""

    def shout(next_handler, *args, **kwargs):
        return next_handler(*args, **kwargs).upper()

    cherrypy.tools.shout = cherrypy._cptools.HandlerWrapperTool(
        shout, point="before_handler", name="shout", priority=60
    )
    client = app_of(Handlers(), {"/keywords": {"tools.shout.on": True}})
    assert client.get("/keywords?first=a").text == "A BY DEFAULT"


def test_login_screen_is_the_one_that_config_names(app_of):
    """3.6.0, pull request 60: it is called, and its page shown."""

    def login_screen(from_page="..", username="", error_msg="", **kwargs):
        return b"<p>Who are you?</p>"

    config = {
        "tools.sessions.on": True,
        "tools.session_auth.on": True,
        "tools.session_auth.check_username_and_password": lambda name, password: "no",
        "tools.session_auth.login_screen": login_screen,
    }
    assert "Who are you?" in app_of(Handlers(), {"/": config}).get("/keywords?first=a").text


@pytest.mark.parametrize(
    ("query", "text"), [("first=a", "a by default"), ("first=a&second=b", "a b")]
)
def test_handler_may_have_keyword_only_arguments(handlers, query, text):
    """3.6.0, #1077."""
    assert handlers.get(f"/keywords?{query}").text == text


def test_unknown_parameter_of_a_handler_with_keyword_only_arguments_is_not_found(handlers):
    """3.6.0, #1077."""
    handlers.get("/keywords?first=a&third=c", status=404)


def test_access_log_can_have_the_host(app_of, tmp_path):
    """3.6.0, #1019: the field that the client asked for."""
    file = tmp_path / "access.log"
    cherrypy.config.update({"log.access_file": str(file)})
    client = app_of(Handlers())
    client.app.log.access_log_format = "{o} {r}"
    client.get("/keywords?first=a", extra_environ=REQUEST)
    assert file.read_text().startswith("www.example.com GET /keywords?first=a HTTP/")
