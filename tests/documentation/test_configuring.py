"""4.4.3 and chapter 6: where config stands, and what it does."""

import pytest
from beside import wait_until
from webob import Request

import cptoolkit as cherrypy


class Root:
    @cherrypy.expose
    def index(self):
        return repr(cherrypy.request.app.config.get("googleapi", {}).get("appid"))

    @cherrypy.expose
    def path(self):
        return repr(cherrypy.response.timeout)

    @cherrypy.expose
    def database(self):
        return repr(dict(cherrypy.request.app.config["Databases"]))

    @cherrypy.expose
    def page(self):
        return "words"


def test_section_of_ones_own_is_read_by_a_page(app_of, tmp_path):
    """4.4.3."""
    file = tmp_path / "app.conf"
    file.write_text('[/]\ntools.gzip.on: True\n\n[googleapi]\nkey = "..."\nappid = "..."\n')
    assert app_of(Root(), str(file)).get("/").text == "'...'"


def test_host_and_port_of_the_server_are_attributes():
    """6.1.1: what is updated is applied and kept."""
    cherrypy.config.update({"server.socket_host": "64.72.221.48", "server.socket_port": 80})
    assert cherrypy.server.socket_host == "64.72.221.48"
    assert cherrypy.server.socket_port == 80
    assert cherrypy.config["server.socket_host"] == "64.72.221.48"


@pytest.fixture(params=["file", "dict"])
def method_config(request, tmp_path):
    """The same config in both its forms."""
    if request.param == "dict":
        dispatcher = cherrypy.dispatch.MethodDispatcher()
        return {"/": {"request.dispatch": dispatcher, "tools.trailing_slash.on": False}}
    file = tmp_path / "app.conf"
    file.write_text(
        "[/]\n"
        "tools.trailing_slash.on = False\n"
        "request.dispatch: cherrypy.dispatch.MethodDispatcher()\n"
    )
    return str(file)


@cherrypy.expose
class Resource:
    def GET(self):
        return "got"


def test_object_in_config_is_made_there(app_of, method_config):
    """6.1.2, and 6.2.1: values are in Python's syntax."""
    client = app_of(Resource(), method_config)
    assert client.get("/").text == "got"
    assert client.post("/", status=405).headers["Allow"] == "GET, HEAD"


def test_sections_for_paths_stand_beside_others(app_of, tmp_path):
    """6.1.2: each is read by the one it concerns."""
    file = tmp_path / "app.conf"
    file.write_text(
        '[global]\nserver.socket_host: "0.0.0.0"\n\n'
        '[Databases]\ndriver: "postgres"\nhost: "localhost"\nport: 5432\n\n'
        "[/path]\nresponse.timeout: 6000\n"
    )
    client = app_of(Root(), str(file))
    expected = {"driver": "postgres", "host": "localhost", "port": 5432}
    assert client.get("/database").text == repr(expected)
    assert client.get("/path").text == "6000"
    cherrypy.config.update(str(file))
    assert cherrypy.server.socket_host == "0.0.0.0"


class Deep:
    @cherrypy.expose
    def index(self):
        assert cherrypy.request.config["tools.trailing_slash.extra"] is False
        yield "in "
        yield "pieces"


def test_config_is_for_a_path(app_of, tmp_path):
    """6.2.1: that page is streamed, so nobody knows its length."""
    file = tmp_path / "app.conf"
    file.write_text(
        "[/path/to/my/page]\nresponse.stream: True\ntools.trailing_slash.extra = False\n"
    )
    root = Root()
    root.path = Root()
    root.path.to = Root()
    root.path.to.my = Root()
    root.path.to.my.page = Deep()
    app = app_of(root, str(file)).app
    streamed, whole = (
        Request.blank(path).get_response(app) for path in ("/path/to/my/page/", "/path/to/my/")
    )
    assert streamed.content_length is None
    assert streamed.text == "in pieces"
    assert whole.content_length == 4


PRODUCTION = """
class Named:
    def __init__(self, name):
        self.name = name

    @cherrypy.expose
    def index(self):
        return self.name + repr(cherrypy.request.config.get("mine"))

    @cherrypy.expose
    def fail(self):
        raise LookupError("a secret")

root1, root2, root3 = Named("one"), Named("two"), Named("three")
appconf1, appconf2, appconf3 = ({{"/": {{"mine": n}}}} for n in (1, 2, 3))

cherrypy.config.update({{"environment": "production",
                        "log.error_file": "site.log",
                        "server.socket_port": {port}}})
cherrypy.tree.mount(root1, "", appconf1)
cherrypy.tree.mount(root2, "/forum", appconf2)
cherrypy.tree.mount(root3, "/blog", appconf3)
cherrypy.engine.start()
cherrypy.engine.block()
"""


def test_global_config_comes_before_three_applications(script, free_port, tmp_path):
    """6.2.1: each has its own; production is silent, and shows no traceback."""
    program = script(PRODUCTION.format(port=free_port)).listening(free_port)
    pages = [program.get(path).text for path in ("/", "/forum/", "/blog/")]
    assert pages == ["one1", "two2", "three3"]
    failed = program.get("/fail")
    assert failed.status == 500
    assert "LookupError" not in failed.text
    log = tmp_path / "site.log"
    wait_until(lambda: "ENGINE Bus STARTED" in log.read_text())
    program.stop()
    assert program.rest() == []
    assert "LookupError: a secret" in log.read_text()


def test_values_in_files_are_those_of_python(app_of, tmp_path):
    """6.2.1: text has quotes, a number none, and objects are made."""
    log = tmp_path / "myapp.log"
    file = tmp_path / "site.conf"
    file.write_text(
        "[global]\n"
        f'log.error_file: "{log}"\n'
        "environment = 'production'\n"
        "server.max_request_body_size: 1200\n\n"
        "[/myapp]\n"
        "tools.trailing_slash.on = False\n"
        "request.dispatch: cherrypy.dispatch.MethodDispatcher()\n"
    )
    cherrypy.config.update(str(file))
    assert cherrypy.server.max_request_body_size == 1200
    assert cherrypy.config["environment"] == "production"
    assert log.exists()
    app = app_of(Root(), str(file)).app
    assert app.config["/myapp"]["tools.trailing_slash.on"] is False
    assert isinstance(app.config["/myapp"]["request.dispatch"], cherrypy.dispatch.MethodDispatcher)


METHODS = {"request.methods_with_bodies": ("POST", "PUT", "PROPPATCH")}


class ByHandler:
    @cherrypy.expose
    def page(self):
        return f"Hullo, World! {cherrypy.request.methods_with_bodies}"

    page._cp_config = METHODS


class ByClass:
    _cp_config = METHODS

    @cherrypy.expose
    def page(self):
        return f"Hullo, World! {cherrypy.request.methods_with_bodies}"


def proppatch(app, body, content_type="application/x-www-form-urlencoded"):
    request = Request.blank("/page", method="PROPPATCH", body=body, content_type=content_type)
    return request.get_response(app)


@pytest.mark.parametrize("root", [ByHandler, ByClass], ids=["on a handler", "on a class"])
def test_config_is_attached_to_the_code(app_of, root):
    """6.2.2: the body of the added method is read, and its form gives parameters."""
    client = app_of(root())
    expected = "Hullo, World! ('POST', 'PUT', 'PROPPATCH')"
    assert client.get("/page").text == expected
    assert proppatch(client.app, b"text", "text/plain").text == expected
    refused = proppatch(client.app, b"a=1")
    assert refused.status_int == 400
    assert "Unexpected body parameters: a" in refused.text


def test_config_by_url_alone_sets_the_same(app_of, tmp_path):
    """6.2.2: the entry, with its namespace."""
    file = tmp_path / "app.conf"
    file.write_text('[/page]\nrequest.methods_with_bodies = ("POST", "PUT", "PROPPATCH")\n')
    assert proppatch(app_of(Root(), str(file)).app, b"a=1").status_int == 400
    assert proppatch(app_of(Root()).app, b"a=1").status_int == 200


def test_defaults_can_be_looked_up_at_the_prompt():
    """6.3: request and response are there outside of a request too."""
    assert cherrypy.response.stream is False


# -- namespaces ------------------------------------------------------------------------------


def test_attributes_of_plugins_are_set_by_config(script, tmp_path):
    """6.3.1, engine: one is changed, one is turned off."""
    (tmp_path / "site.conf").write_text(
        "[global]\nengine.autoreload.frequency = 60\nengine.autoreload.on = False\n"
    )
    program = script(
        """
        cherrypy.config.update("site.conf")
        print(cherrypy.engine.autoreload.frequency)
        cherrypy.engine.start()
        cherrypy.engine.exit()
        """
    )
    assert program.rest()[0] == "60"
    assert not any("Autoreloader" in line for line in program.output)
    assert any("_TimeoutMonitor" in line for line in program.output)


HOOKED = """
import cptoolkit

def my_hook_func():
    cptoolkit.response.headers["X-Hooked"] = "yes"
"""


def test_function_is_hooked_by_config(app_of, tmp_path, monkeypatch):
    """6.3.1, hooks."""
    (tmp_path / "hooked_by_config.py").write_text(HOOKED)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "app.conf"
    file.write_text("[/]\nhooks.before_handler = hooked_by_config.my_hook_func\n")
    assert app_of(Root(), str(file)).get("/page").headers["X-Hooked"] == "yes"


class Shout:
    def __init__(self, nextapp, mark="?"):
        self.nextapp, self.mark = nextapp, mark

    def __call__(self, environ, start_response):
        environ["shout.seen"] = "yes"
        body = self.nextapp(environ, start_response)
        try:
            yield b"".join(body).upper() + self.mark.encode()
        finally:
            if hasattr(body, "close"):
                body.close()


class Loud(cherrypy.Application.response_class):
    pass


class Heard:
    @cherrypy.expose
    @cherrypy.config(**{"response.stream": True})
    def index(self):
        seen = cherrypy.request.wsgi_environ["shout.seen"]
        yield f"{seen} {type(cherrypy.serving.response).__name__}"


def test_middleware_is_put_around_an_application_by_config(app_of):
    """6.3.1, wsgi: with its arguments; the class of responses too."""
    config = {
        "wsgi.pipeline": [("shout", Shout)],
        "wsgi.shout.mark": "!",
        "wsgi.response_class": Loud,
    }
    assert app_of(Heard(), {"/": config}).get("/").text == "YES LOUD!"


def test_single_check_is_turned_off(app_of, recwarn):
    """6.3.1, checker."""
    config = {"/": {"tools.staticdir.on": True, "tools.staticdir.dir": "/nowhere/at/all"}}
    cherrypy.tree.mount(Root(), "", config)
    cherrypy.config.update({"checker.check_static_paths": False})
    cherrypy.checker()
    assert [str(warning.message) for warning in recwarn] == []


def test_namespace_of_ones_own_is_called():
    """6.3.2: with the rest of the key, and the value."""
    calls = []

    def db_namespace(k, v):
        if k == "connstring":
            calls.append(v)

    cherrypy.config.namespaces["db"] = db_namespace
    cherrypy.config.update({"db.connstring": "Oracle:host=1.10.100.200;sid=TEST"})
    assert calls == ["Oracle:host=1.10.100.200;sid=TEST"]


class Collector:
    """A namespace as a context manager: told when its last key has come."""

    def __init__(self):
        self.seen = []

    def __enter__(self):
        return lambda k, v: self.seen.append((k, v))

    def __exit__(self, *exception):
        self.seen.append("end")


def test_namespace_of_an_application_is_called_when_config_is_merged():
    """6.3.2: in ``app.namespaces``; a context manager hears of the end."""
    app = cherrypy.Application(Root())
    app.namespaces["own"] = collector = Collector()
    app.merge({"/": {"own.colour": "red", "own.size": 3}})
    assert collector.seen == [("colour", "red"), ("size", 3), "end"]


def test_namespace_of_requests_is_called_for_each(app_of):
    """6.3.2: in ``request_class.namespaces``."""
    calls = []

    class Request(cherrypy.Application.request_class):
        namespaces = cherrypy.Application.request_class.namespaces.copy()

    Request.namespaces["own"] = lambda k, v: calls.append((k, v))
    client = app_of(Root(), {"/page": {"own.colour": "red"}})
    client.app.request_class = Request
    for path in ("/page", "/path", "/page"):
        client.get(path)
    assert calls == [("colour", "red")] * 2


def test_environments_are_extended_and_added():
    """6.3.3."""
    environments = cherrypy._cpconfig.environments
    assert {"embedded", "production", "staging", "test_suite"} <= set(environments)
    environments["staging"]["log.screen"] = False
    greek = {"tools.encode.encoding": "ISO-8859-7", "tools.decode.encoding": "ISO-8859-7"}
    environments["Greek"] = greek
    cherrypy.config.update({"environment": "Greek"})
    assert cherrypy.config["tools.encode.encoding"] == "ISO-8859-7"
    cherrypy.log.screen = True
    cherrypy.config.update({"environment": "staging"})
    assert cherrypy.log.screen is False


def test_environment_embedded_turns_off_what_its_list_names():
    """8.7.1."""
    off = [
        "log.screen",
        "engine.autoreload.on",
        "checker.on",
        "tools.log_headers.on",
        "request.show_tracebacks",
        "request.show_mismatched_params",
    ]
    cherrypy.config.update({"environment": "embedded"})
    assert {name: cherrypy.config[name] for name in off} == dict.fromkeys(off, False)
    assert cherrypy.config["engine.SIGHUP"] is cherrypy.config["engine.SIGTERM"] is None
