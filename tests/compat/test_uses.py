"""What programs do beyond what the documentation shows."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from beside import free_port
from webtest import TestApp

import cptoolkit as cherrypy


class Page:
    def __init__(self, text="page"):
        self.text = text

    @cherrypy.expose
    def index(self):
        return self.text


def test_servers_start_without_a_bus_and_as_many_as_wanted(fetch):
    texts = ["first", "second"]
    servers = []
    for text in texts:
        server = cherrypy._cpserver.Server()
        server.socket_port = 0
        server.app = cherrypy.Application(Page(text))
        servers.append(server)
    try:
        for server in servers:
            server.start()
        assert [fetch(server.bound_addr)[1] for server in servers] == texts
    finally:
        for server in servers:
            server.stop()


def test_server_starts_and_stops_many_times_in_one_process(fetch):
    cherrypy.tree.mount(Page())
    cherrypy.config.update({"server.socket_port": 0})
    for _ in range(5):
        cherrypy.server.start()
        assert fetch(cherrypy.server.bound_addr) == (200, "page")
        cherrypy.server.stop()


def test_engine_starts_again_after_its_exit(fetch):
    cherrypy.tree.mount(Page())
    cherrypy.config.update({"server.socket_port": 0})
    for _ in range(2):
        cherrypy.engine.start()
        try:
            assert fetch(cherrypy.server.bound_addr) == (200, "page")
        finally:
            cherrypy.engine.exit()


def test_subclass_of_application_is_served_and_adds_to_its_init(app_of):
    class Named(cherrypy.Application):
        def __init__(self, name, root):
            super().__init__(root)
            self.name = name

    class Root:
        @cherrypy.expose
        def index(self):
            return cherrypy.request.app.name

    assert app_of(Named("mine", Root())).get("/").text == "mine"


def test_tree_can_be_replaced_by_what_is_its_like():
    apps = cherrypy.tree.apps
    cherrypy.tree.apps = {}
    cherrypy.tree.mount(Page("new"), "/new")
    assert cherrypy.tree.apps["/new"].root.text == "new"
    assert "/new" not in apps
    del cherrypy.tree.apps["/new"]
    TestApp(cherrypy.tree).get("/new/", status=404)


def test_dispatcher_of_the_programs_own_finds_the_handler(app_of):
    class Upper(cherrypy.dispatch.Dispatcher):
        def __call__(self, path_info):
            return super().__call__(path_info.lower())

    class Root:
        @cherrypy.expose
        def hello(self):
            return "hello"

    assert app_of(Root(), {"/": {"request.dispatch": Upper()}}).get("/HELLO").text == "hello"


def test_function_as_dispatcher_sets_handler_and_config(app_of):
    def dispatch(path_info):
        request = cherrypy.serving.request
        request.config = cherrypy.config.copy()
        request.handler = cherrypy.dispatch.LateParamPageHandler(lambda **params: str(params))

    client = app_of(None, {"/": {"request.dispatch": dispatch}})
    assert client.get("/anything?a=1").text == "{'a': '1'}"


def test_session_class_of_the_programs_own_keeps_the_data(app_of):
    class DictSession(cherrypy.lib.sessions.Session):
        kept = {}

        def _exists(self):
            return self.id in self.kept

        def _load(self):
            return self.kept.get(self.id)

        def _save(self, expiration_time):
            assert isinstance(expiration_time, datetime)
            self.kept[self.id] = (dict(self._data), expiration_time)

        def _delete(self):
            self.kept.pop(self.id, None)

        def acquire_lock(self):
            self.locked = True

        def release_lock(self):
            self.locked = False

    class Root:
        @cherrypy.expose
        def index(self):
            cherrypy.session["n"] = cherrypy.session.get("n", 0) + 1
            return str(cherrypy.session["n"])

    settings = {"tools.sessions.on": True, "tools.sessions.storage_class": DictSession}
    client = app_of(Root(), {"/": settings})
    assert [client.get("/").text for _ in range(2)] == ["1", "2"]
    assert [data for data, _ in DictSession.kept.values()] == [{"n": 2}]


def test_hook_that_is_attached_at_request_time_runs(app_of):
    class Root:
        @cherrypy.expose
        def index(self):
            cherrypy.serving.request.hooks.attach("before_finalize", self.mark, priority=90)
            return "page"

        def mark(self):
            cherrypy.serving.response.headers["X-Marked"] = "yes"

    assert app_of(Root()).get("/").headers["X-Marked"] == "yes"


def test_handler_says_by_itself_how_long_its_page_is_fresh(app_of):
    class Root:
        @cherrypy.expose
        def index(self):
            cherrypy.lib.caching.expires(0, force=True)
            return "page"

    assert "no-cache" in app_of(Root()).get("/").headers["Cache-Control"]


def test_json_handler_of_the_programs_own_calls_the_inner_one(app_of):
    def handler(*args, **kwargs):
        value = cherrypy.serving.request._json_inner_handler(*args, **kwargs)
        return json.dumps({"wrapped": value}).encode()

    class Root:
        @cherrypy.expose
        @cherrypy.tools.json_out(handler=handler)
        def index(self, n):
            return int(n)

    assert app_of(Root()).get("/?n=3").json == {"wrapped": 3}


def test_names_that_came_and_went_do_no_harm():
    cherrypy.engine.timeout_monitor.unsubscribe()
    assert not hasattr(cherrypy.engine, "console_control_handler")
    with pytest.raises(OSError, match="in use"):
        with_listener(lambda port: cherrypy.process.servers.check_port("127.0.0.1", port))


def with_listener(call):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return call(listener.getsockname()[1])


def test_sessions_in_memory_can_be_looked_through(app_of):
    class Root:
        @cherrypy.expose
        def index(self):
            cherrypy.session["user"] = "joe"
            return cherrypy.session.id

    id = app_of(Root(), {"/": {"tools.sessions.on": True}}).get("/").text
    data, _expiration = cherrypy.lib.sessions.RamSession.cache[id]
    assert data == {"user": "joe"}
    del cherrypy.lib.sessions.RamSession.cache[id]


def test_httpserver_that_is_assigned_is_the_one_that_starts(monkeypatch):
    calls = []

    class Foreign:
        ready = True

        def start(self):
            calls.append("start")

        def stop(self):
            calls.append("stop")

    monkeypatch.setattr(cherrypy.server, "httpserver", Foreign())
    monkeypatch.setattr(cherrypy.server, "socket_port", free_port())
    cherrypy.server.start()
    cherrypy.server.stop()
    assert sorted(calls) == ["start", "stop"]


def test_hook_that_a_plugin_attaches_outside_of_requests_runs_in_each(app_of):
    hooks = cherrypy.request.hooks

    def mark():
        cherrypy.response.headers["X-Marked"] = "yes"

    client = app_of(Page())
    assert "X-Marked" not in client.get("/").headers
    hooks.attach("before_finalize", mark)
    assert client.get("/").headers["X-Marked"] == "yes"
    hook = next(hook for hook in hooks["before_finalize"] if hook.callback is mark)
    hooks["before_finalize"].remove(hook)
    assert "X-Marked" not in client.get("/").headers


def test_toolbox_that_the_class_gets_is_there_in_every_application(app_of, monkeypatch):
    box = cherrypy._cptools.Toolbox("box")

    @box.register("before_finalize")
    def mark():
        cherrypy.response.headers["X-Marked"] = "yes"

    monkeypatch.setitem(cherrypy._cptree.Application.toolboxes, "box", box)
    assert app_of(Page(), {"/": {"box.mark.on": True}}).get("/").headers["X-Marked"] == "yes"


def test_url_takes_its_parameters_as_pairs(app_of):
    class Root:
        @cherrypy.expose
        def index(self):
            return cherrypy.url("/a", qs=[("x", 1), ("x", "ä")], base="")

    assert app_of(Root()).get("/").text == "/a?x=1&x=%C3%A4"


def test_site_of_grafted_applications_alone_has_nothing_to_be_told(recwarn):
    cherrypy.tree.graft(lambda environ, start_response: [], "/")
    cherrypy.checker.check_config_namespaces()
    assert not recwarn.list
