"""CPHTTPServer: object trees without the WSGI layer (reference, 5.9.3)."""

from __future__ import annotations

import http.client
from contextlib import closing

import pytest

import cptoolkit
from cptoolkit.native_server import CPHTTPServer
from cptoolkit.process.servers import CannotServe, Server
from cptoolkit.process.wspbus import Bus


class Root:
    @cptoolkit.expose
    def index(self):
        return "Hello World!"

    @cptoolkit.expose
    def echo(self, **params):
        return repr(sorted(params.items()))

    @cptoolkit.expose
    def upload(self):
        return cptoolkit.request.body.read()[::-1]

    upload._cp_config = {"request.process_request_body": False}

    @cptoolkit.expose
    def stream(self):
        yield "one "
        yield "two"

    stream._cp_config = {"response.stream": True}

    @cptoolkit.expose
    def collected(self):
        yield "one "
        yield "two"

    @cptoolkit.expose
    def file(self):
        return cptoolkit.lib.static.serve_file(__file__, "text/plain")

    @cptoolkit.expose
    def missing(self):
        raise cptoolkit.NotFound

    @cptoolkit.expose
    def away(self):
        raise cptoolkit.HTTPRedirect("/echo?a=1")

    @cptoolkit.expose
    def elsewhere(self):
        raise cptoolkit.InternalRedirect("/echo", "a=2")

    @cptoolkit.expose
    def broken(self):
        raise ValueError("so it goes")

    broken._cp_config = {"request.show_tracebacks": False}

    @cptoolkit.expose
    def cookie(self):
        cptoolkit.response.cookie["a"] = "b"
        cptoolkit.response.headers["X-Thing"] = "1"
        cptoolkit.response.status = 202
        return cptoolkit.request.cookie["c"].value

    @cptoolkit.expose
    @cptoolkit.tools.json_out()
    def json(self):
        return {"a": [1, None]}

    @cptoolkit.expose
    @cptoolkit.tools.gzip()
    @cptoolkit.tools.etags(autotags=True)
    def tools(self):
        return "x" * 2000


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]


class LoggedBus(Bus):
    def __init__(self):
        super().__init__()
        self.lines = []
        self.subscribe("log", lambda message, level: self.lines.append(message))


@pytest.fixture
def bus():
    bus = LoggedBus()
    yield bus
    bus.exit()


@pytest.fixture
def serve(bus):
    """Return a function that serves the site, over WSGI or natively: ``serve(native)``."""

    def serve(native=True):
        server = Server(bus)
        server.socket_port = 0
        if native:
            server.httpserver = CPHTTPServer(server)
        server.subscribe()
        bus.start()
        return server

    return serve


def ask(server, method="GET", path="/", body=None, headers=None):
    with closing(http.client.HTTPConnection(*server.bound_addr, timeout=10)) as connection:
        connection.request(method, path, body, {"Host": "a.test", **(headers or {})})
        response = connection.getresponse()
        fields = [pair for pair in response.getheaders() if pair[0] not in ("Date", "Server")]
        return response.status, response.reason, fields, response.read()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}

REQUESTS = {
    "page": ("GET", "/"),
    "HEAD": ("HEAD", "/"),
    "query": ("GET", "/echo?a=1&b=%C3%A9"),
    "form": ("POST", "/echo", b"a=1&b=2", FORM),
    "chunked body": ("POST", "/upload", [b"ab", b"c"]),
    "stream": ("GET", "/stream"),
    "generator": ("GET", "/collected"),
    "file": ("GET", "/file"),
    "part of a file": ("GET", "/file", None, {"Range": "bytes=3-9"}),
    "not found": ("GET", "/missing"),
    "no such path": ("GET", "/nothing/here"),
    "redirect": ("GET", "/away"),
    "internal redirect": ("GET", "/elsewhere"),
    "error": ("GET", "/broken"),
    "cookies and fields": ("GET", "/cookie", None, {"Cookie": "c=d"}),
    "JSON": ("GET", "/json"),
    "compressed": ("GET", "/tools", None, {"Accept-Encoding": "gzip"}),
    "slashes": ("GET", "//echo"),
    "below a mount point": ("GET", "/mounted/echo?x=y"),
    "mount point without slash": ("GET", "/mounted"),
}


@pytest.mark.parametrize("alone", [True, False], ids=["one application", "two applications"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_answers_are_those_of_the_default_server(bus, serve, request_, alone):
    cptoolkit.tree.mount(Root())
    if not alone:
        cptoolkit.tree.mount(Root(), "/mounted")
    method, path, *rest = request_
    expected = ask(serve(native=False), method, path, *rest)
    bus.exit()
    assert ask(serve(), method, path, *rest) == expected


def test_path_of_no_application_is_a_404(serve):
    cptoolkit.tree.mount(Root(), "/mounted")
    server = serve()
    assert ask(server, path="/elsewhere")[0] == 404
    assert ask(server, path="/elsewhere")[3] == b"There is no application here."
    assert ask(server, path="/mounted/")[0] == 200


def test_grafted_application_is_a_500_and_the_log_tells_the_remedy(bus, serve):
    cptoolkit.tree.mount(Root())
    cptoolkit.tree.graft(wsgi, "/wsgi")
    server = serve()
    assert ask(server, path="/wsgi")[0] == 500
    [line] = [line for line in bus.lines if "cannot serve /wsgi" in line]
    assert "is a WSGI application" in line
    assert "Leave server.httpserver alone" in line
    assert ask(server)[0] == 200


def test_pipeline_is_not_left_out_in_silence(bus, serve):
    """It may be what keeps strangers out."""
    config = {"/": {"wsgi.pipeline": [("guard", lambda app: wsgi)]}}
    cptoolkit.tree.mount(Root(), config=config)
    assert ask(serve())[0] == 500
    assert [line for line in bus.lines if "has a wsgi.pipeline" in line]


def test_settings_count_when_the_server_starts(bus, serve):
    cptoolkit.tree.mount(Root())
    server = serve()
    assert ask(server)[0] == 200
    assert server.httpserver.options.thread_pool == 10
    bus.stop()
    server.thread_pool = 3
    bus.start()
    assert server.httpserver.options.thread_pool == 3
    assert isinstance(server.httpserver, CPHTTPServer)
    assert ask(server)[0] == 200


def test_one_application_can_be_served(bus, serve):
    server = Server(bus, cptoolkit.Application(Root()))
    server.socket_port = 0
    server.httpserver = CPHTTPServer(server)
    server.subscribe()
    bus.start()
    assert ask(server)[3] == b"Hello World!"


def test_what_is_no_tree_is_refused(bus):
    with pytest.raises(CannotServe, match=r"serves object trees, but server.app is <function wsgi"):
        CPHTTPServer(Server(bus, wsgi))


def test_server_can_be_named_in_config(bus):
    cptoolkit.tree.mount(Root())
    server = Server(bus)
    server.socket_port = 0
    server.instance = "cptoolkit.native_server.CPHTTPServer"
    server.subscribe()
    bus.start()
    assert isinstance(server.httpserver, CPHTTPServer)
    assert ask(server)[3] == b"Hello World!"


def test_on_end_request_runs_once_the_answer_has_gone(bus, serve):
    ended = []

    class Ending(Root):
        @cptoolkit.expose
        def index(self):
            cptoolkit.request.hooks.attach("on_end_request", lambda: ended.append(1))
            return "Hello World!"

    cptoolkit.tree.mount(Ending())
    server = serve()
    assert ask(server)[3] == b"Hello World!"
    bus.exit()
    assert ended == [1]
