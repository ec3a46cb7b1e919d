"""What the reference says of tools that change requests and answers, tried with such programs."""

import gzip

import pytest
from webob import Request

import cptoolkit as cherrypy
from cptoolkit.lib import caching, cptools

TEXT = "All work and no play. " * 50
ACCEPTS_GZIP = {"Accept-Encoding": "gzip"}


class Root:
    @cherrypy.expose
    def index(self):
        return TEXT

    @cherrypy.expose
    def where(self):
        return f"{cherrypy.url()} {cherrypy.request.remote.ip}"


def on(tool, **options):
    return {f"tools.{tool}.on": True, **{f"tools.{tool}.{name}": options[name] for name in options}}


def fetch(client, path="/", **environ):
    """An answer as it is sent, still encoded."""
    return Request.blank(path, environ).get_response(client.app)


def assert_is_zipped(answer):
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert gzip.decompress(b"".join(answer.app_iter)).decode() == TEXT


# -- gzip, in each of the ways to turn a tool on ---------------------------------------------


def test_gzip_by_a_dict(app_of):
    """4.2.1 and 4.4.2."""
    client = app_of(Root(), {"/": on("gzip")})
    assert_is_zipped(fetch(client, HTTP_ACCEPT_ENCODING="gzip"))
    plain = fetch(client)
    assert plain.text == TEXT
    assert plain.headers["Vary"] == "Accept-Encoding"


def test_gzip_by_a_file(app_of, tmp_path):
    """4.4.2."""
    file = tmp_path / "app.conf"
    file.write_text("[/]\ntools.gzip.on: True\n")
    assert_is_zipped(fetch(app_of(Root(), str(file)), HTTP_ACCEPT_ENCODING="gzip"))


class ByDecorator:
    @cherrypy.expose
    @cherrypy.tools.gzip()
    def index(self):
        return TEXT


class ByConfigOfTheHandler:
    @cherrypy.expose
    def index(self):
        return TEXT

    index._cp_config = {"tools.gzip.on": True}


class ByConfigOfTheClass(Root):
    _cp_config = {"tools.gzip.on": True}


@pytest.mark.parametrize(
    "root", [ByDecorator, ByConfigOfTheHandler, ByConfigOfTheClass], ids=lambda root: root.__name__
)
def test_gzip_beside_the_code(app_of, root):
    """4.4.2, the other two ways, and 6.2.2 for the class."""
    assert_is_zipped(fetch(app_of(root()), HTTP_ACCEPT_ENCODING="gzip"))


# -- cookies and JSON ------------------------------------------------------------------------


class Cookies:
    @cherrypy.expose
    def set(self):
        cookie = cherrypy.response.cookie
        cookie["flavour"] = "ginger"
        cookie["flavour"]["path"] = "/"
        cookie["flavour"]["max-age"] = 3600
        cookie["flavour"]["version"] = 1
        return "set"

    @cherrypy.expose
    def read(self):
        cookie = cherrypy.request.cookie
        return f"{len(cookie)}: " + ", ".join(f"{k}={v.value}" for k, v in cookie.items())

    @cherrypy.expose
    def drop(self):
        cherrypy.response.cookie["flavour"] = "ginger"
        cherrypy.response.cookie["flavour"]["expires"] = 0
        return "dropped"


def test_cookie_is_set_and_read(app_of):
    """4.5."""
    client = app_of(Cookies(), script_name="/cookie")
    cookie = client.get("/cookie/set").headers["Set-Cookie"]
    assert cookie.startswith("flavour=ginger; ")
    assert {"Max-Age=3600", "Path=/", "Version=1"} <= set(cookie.split("; "))
    assert client.get("/cookie/read").text == "1: flavour=ginger"


def test_cookie_is_dropped_by_its_end(app_of):
    """4.5: an ``expires`` of 0 is the present."""
    cookie = app_of(Cookies()).get("/drop").headers["Set-Cookie"]
    assert "expires=" in cookie.lower()


class Data:
    @cherrypy.expose
    @cherrypy.tools.json_in()
    def take(self):
        return repr(cherrypy.request.json)

    @cherrypy.expose
    @cherrypy.tools.json_out()
    def give(self):
        return {"colour": "red"}


def test_json_of_a_request_is_decoded(app_of):
    """4.8.1."""
    client = app_of(Data())
    assert client.post_json("/take", [1, {"a": None}]).text == "[1, {'a': None}]"
    client.post("/take", "[1", content_type="application/json", status=400)
    client.post("/take", "text", content_type="text/plain", status=415)


def test_json_of_an_answer_is_encoded(app_of):
    """4.8.2."""
    answer = app_of(Data()).get("/give")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"colour": "red"}


# -- header fields ---------------------------------------------------------------------------


def test_tool_of_ones_own_may_take_the_name_of_ours(app_of, tmp_path):
    """5.7: the listing registers ``secureheaders``, and a file turns it on."""
    secure = {
        "X-Frame-Options": "DENY",
        "X-XSS-Protection": "1; mode=block",
        "Content-Security-Policy": "default-src='self'",
    }

    @cherrypy.tools.register("before_finalize", priority=60)
    def secureheaders():
        cherrypy.response.headers.update(secure)

    file = tmp_path / "app.conf"
    file.write_text("[/]\ntools.secureheaders.on = True\n")
    answer = app_of(Root(), str(file)).get("/")
    assert {name: answer.headers[name] for name in secure} == secure
    assert "X-Content-Type-Options" not in answer.headers


def test_header_of_a_tool_goes_with_each_answer(app_of):
    """3.7: ``response_headers``; it also stands in what NotFound answers."""
    config = on("response_headers", headers=[("Content-Language", "fr")])
    client = app_of(Root(), {"/": config})
    assert client.get("/").headers["Content-Language"] == "fr"
    assert client.get("/none", status=404).headers["Content-Language"] == "fr"


# -- behind a proxy --------------------------------------------------------------------------

FORWARDED = {"HTTP_X_FORWARDED_HOST": "www.example.com", "HTTP_X_FORWARDED_FOR": "10.1.2.3"}


def test_proxy_tells_the_host_and_the_client(app_of):
    """8.9.2: what the configuration of nginx sends."""
    config = on("proxy", base="http://www.example.com")
    client = app_of(Root(), {"/": config})
    answer = client.get("/where", extra_environ={"REMOTE_ADDR": "127.0.0.1", **FORWARDED})
    assert answer.text == "http://www.example.com/where 10.1.2.3"


def test_without_the_tool_nobody_is_believed(app_of):
    """8.9.2: it is not mandatory."""
    answer = app_of(Root()).get("/where", extra_environ={"REMOTE_ADDR": "127.0.0.1", **FORWARDED})
    assert answer.text.endswith(" 127.0.0.1")
    assert "example.com" not in answer.text


# -- environments, and functions in place of tools -------------------------------------------


def test_environment_may_bring_its_own_entries(app_of):
    """6.3.3: one is added; the entries of tools in it count for all applications."""
    cherrypy.config.environments["zipped"] = {"tools.gzip.on": True}
    cherrypy.config.update({"environment": "zipped"})
    assert_is_zipped(fetch(app_of(Root()), HTTP_ACCEPT_ENCODING="gzip"))


class Functions:
    @cherrypy.expose
    def tagged(self):
        cherrypy.request.hooks.attach("before_finalize", cptools.validate_etags, autotags=True)
        return TEXT

    @cherrypy.expose
    def brief(self):
        caching.expires(secs=60, force=True)
        return "soon old"


def test_function_of_the_library_is_a_hook(app_of):
    """7.2.1: hooks are attached to the request that is being served."""
    client = app_of(Functions())
    etag = client.get("/tagged").headers["ETag"]
    assert client.get("/tagged", headers={"If-None-Match": etag}, status=304).body == b""


def test_function_of_the_library_is_called_by_a_page(app_of):
    """7.2.2: what a tool does is a function."""
    headers = app_of(Functions()).get("/brief").headers
    assert "max-age=60" in headers["Cache-Control"]
    assert "Expires" in headers


class Formats:
    @cherrypy.expose
    def index(self):
        return cherrypy.tools.accept.callable(["text/html", "application/json"])


def test_page_may_ask_which_media_type_is_wanted(app_of):
    """3.7: the function of ``accept`` gives the type that the client likes best."""
    client = app_of(Formats())
    assert client.get("/", headers={"Accept": "application/json"}).text == "application/json"
    assert client.get("/", headers={"Accept": "image/png"}, status=406)


@pytest.mark.parametrize("tool", ["accept", "encode", "expires", "json_out", "response_headers"])
def test_tool_may_be_told_to_log_what_it_does(app_of, tool):
    """6.2.1: the option ``debug``, which each tool of CherryPy has."""
    app_of(Root(), {"/": on(tool, debug=True)}).get("/")
