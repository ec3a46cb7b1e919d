"""What becomes of one request, told without running hooks, tools or the page handler."""

import threading

import pytest
import webob

import cptoolkit
from cptoolkit import dispatch
from cptoolkit.configuration import environments
from cptoolkit.dispatch_steps import observed
from cptoolkit.introspection.explanation import explain


def called(*args, **kwargs):
    raise AssertionError("something was run that only a request may run")


class Blog:
    _cp_config = {"tools.gzip.on": True, "response.stream": False}

    @cptoolkit.expose
    def index(self):
        called()

    @cptoolkit.expose
    @cptoolkit.tools.json_out()
    def default(self, year, month=None):
        called()


class Bands:
    def _cp_dispatch(self, vpath):
        if vpath[0] == "fail":
            raise LookupError("no such band")
        vpath.pop(0)
        return self

    @property
    def broken(self):
        raise LookupError("no such band")

    @cptoolkit.expose
    def index(self):
        called()


class Resource:
    exposed = True

    @cptoolkit.config(**{"tools.etags.on": True})
    def GET(self, id):
        called()

    def POST(self, **fields):
        called()


class Store:
    def __init__(self, password):
        self.password = password

    def __repr__(self):
        return f"Store(password={self.password!r}, token=None)"


class Page:
    @cptoolkit.expose
    def page(self):
        called()


class Root:
    def __init__(self):
        self.blog = Blog()
        self.bands = Bands()
        self.items = Resource()

    @cptoolkit.expose
    def page(self, a, b=1):
        called()

    def hidden(self):
        called()


def told(path="/", config=None, root=None, method="GET", **environ):
    app = cptoolkit.Application(root or Root(), "", config)
    request = webob.Request.blank(path, method=method).environ
    return explain(app, {**request, **environ})


def steps(explanation):
    return [
        (step["segment"], step["by"], (step["object"] or "").rpartition("test_explanation.")[2])
        for step in explanation["steps"]
    ]


def origins(explanation):
    return {entry["key"]: entry["origin"] for entry in explanation["config"]}


# -- the way -------------------------------------------------------------------------------


def test_steps_lead_from_the_root_to_the_page_handler():
    found = told("/blog/")
    assert steps(found) == [
        ("/", "root", "Root object"),
        ("blog", "attribute", "Blog object"),
        ("index", "attribute", "Blog.index"),
    ]
    assert found["steps"][2]["note"] == "the page handler"
    assert found["handler"]["runs"]["line"] == Blog.index.__code__.co_firstlineno
    assert (found["status"], found["reason"]) == (None, "")


def test_default_is_told_with_what_it_takes():
    found = told("/blog/2024/05")
    assert found["handler"]["arguments"] == ["2024", "05"]
    assert found["steps"][1]["note"] == "its default is the page handler, and takes 2024/05"
    assert steps(found)[-1] == ("2024", "attribute", "")


def test_names_that_cp_dispatch_takes_are_told():
    found = told("/bands/queen/")
    assert steps(found)[2] == ("queen", "_cp_dispatch", "Bands object")
    assert "Bands._cp_dispatch" in found["steps"][2]["note"]
    assert "test_explanation.py:" in found["steps"][2]["note"]


def test_names_that_popargs_takes_are_told():
    root = cptoolkit.popargs("band", "album")(type("Albums", (Blog,), {"default": None}))()
    found = told("/queen/jazz", root=root)
    assert steps(found)[1][:2] == ("queen/jazz", "_cp_dispatch")
    assert found["steps"][1]["note"] == "popargs(band, album)"


def test_object_that_is_not_exposed_is_told():
    found = told("/hidden")
    assert found["status"] == 404
    assert found["steps"][1]["note"] == "not exposed"
    assert found["reason"].endswith("Root.hidden at /hidden is not exposed")


def test_object_without_an_index_is_told():
    found = told("/items/", root=type("Plain", (), {"items": Page()})())
    assert found["reason"].endswith(
        "Page object at /items is not exposed, and has no exposed index"
    )


def test_application_without_a_tree_is_told():
    found = explain(cptoolkit.Application(None), webob.Request.blank("/x").environ)
    assert (found["status"], found["reason"]) == (404, "the application has no object tree")


def test_dispatcher_that_fails_is_not_said_to_be_silent():
    assert told("/bands/fail")["notes"] == []


@pytest.mark.parametrize("path", ["/bands/queen/fail", "/bands/queen/broken"])
def test_steps_before_one_that_fails_are_told(path):
    found = told(path, {"/bands": {"tools.gzip.on": True}})
    assert steps(found) == [
        ("/", "root", "Root object"),
        ("bands", "attribute", "Bands object"),
        ("queen", "_cp_dispatch", "Bands object"),
    ]
    assert [step["note"] for step in found["steps"][:2]] == ["", ""]
    assert (found["status"], found["reason"]) == (
        500,
        "the dispatcher fails: LookupError: no such band",
    )
    assert origins(found)["tools.gzip.on"]["section"] == "/bands"


def test_path_that_leads_nowhere_is_told_with_the_nearest():
    found = told("/pgae")
    assert (found["status"], found["handler"]) == (404, None)
    assert "has no 'pgae'" in found["reason"]
    assert found["nearest"] == ["/page"]


def test_nearest_paths_have_the_mount_point():
    tree = cptoolkit.Tree()
    tree.mount(Root(), "/shop")
    found = explain(tree, webob.Request.blank("/shop/pages").environ)
    assert found["application"]["mount"] == "/shop"
    assert found["nearest"][0] == "/shop/page"


def test_path_without_an_application_is_told():
    tree = cptoolkit.Tree()
    tree.mount(Root(), "/shop")
    found = explain(tree, webob.Request.blank("/other").environ)
    assert (found["status"], found["application"]) == (404, None)
    assert found["nearest"] == ["/shop"]


def test_grafted_application_is_not_called():
    tree = cptoolkit.Tree()
    tree.graft(called, "/wsgi")
    found = explain(tree, webob.Request.blank("/wsgi/x").environ)
    assert found["application"]["kind"] == "WSGI"
    assert (found["status"], found["steps"]) == (None, [])


@pytest.mark.parametrize(
    ("path", "method", "status", "reason"),
    [
        pytest.param("/page", "GET", 404, "Missing parameters: a", id="missing"),
        pytest.param("/page/1/2/3", "GET", 404, "Unexpected path segments: 3", id="segments"),
        pytest.param("/page?a=1&c=2", "GET", 404, "string parameters: c", id="unexpected"),
        pytest.param("/page?a=1", "GET", None, "", id="fits"),
        pytest.param("/page", "POST", None, "", id="body is not known"),
        pytest.param("/bands/fail", "GET", 500, "LookupError: no such band", id="error"),
        pytest.param("/items", "GET", 500, "is exposed, and cannot be called", id="no function"),
    ],
)
def test_answer_without_the_page_handler_is_told(path, method, status, reason):
    found = told(path, method=method)
    assert found["status"] == status
    assert reason in found["reason"]


def test_what_dispatchers_raise_is_told():
    def away(path):
        raise cptoolkit.HTTPRedirect("/elsewhere")

    def refuse(path):
        raise cptoolkit.HTTPError(410, "gone for good")

    found = told("/", {"/": {"request.dispatch": away}}, SERVER_PROTOCOL="HTTP/1.1")
    assert found["status"] == 303
    assert "/elsewhere" in found["reason"]
    found = told("/", {"/": {"request.dispatch": refuse}})
    assert (found["status"], found["reason"]) == (410, "the dispatcher answers so: gone for good")


def test_tool_that_may_answer_in_place_of_a_404_is_named(tmp_path):
    static = {"tools.staticdir.on": True, "tools.staticdir.dir": str(tmp_path)}
    found = told("/files/x", {"/files": static})
    assert found["status"] == 404
    assert found["notes"] == ["unless one of these answers first: tools.staticdir"]


# -- other dispatchers ---------------------------------------------------------------------

BY_METHOD = {"/": {"request.dispatch": dispatch.MethodDispatcher()}}


def test_method_of_a_resource_is_told():
    found = told("/items/5", BY_METHOD)
    assert found["handler"]["runs"]["name"].endswith("Resource.GET")
    assert found["handler"]["arguments"] == ["5"]
    assert origins(found)["tools.etags.on"]["name"].endswith("Resource.GET")


def test_method_that_a_resource_lacks_is_told():
    found = told("/items", BY_METHOD, method="DELETE")
    assert found["status"] == 405
    assert found["reason"].endswith("it takes GET, HEAD, POST")


def test_host_is_told_with_the_path_it_stands_for():
    hosts = dispatch.VirtualHost(**{"blog.example": "/blog"})
    found = told("/", {"/": {"request.dispatch": hosts}}, HTTP_HOST="blog.example")
    assert steps(found)[0] == ("/blog/", "detour", "")
    assert steps(found)[-1] == ("index", "attribute", "Blog.index")


def test_path_of_xml_rpc_is_told():
    found = told("/RPC2/page", {"/": {"request.dispatch": dispatch.XMLRPCDispatcher()}})
    assert steps(found)[0] == ("/page/", "detour", "")


def test_pattern_is_told_with_what_it_has_found():
    pytest.importorskip("routes")
    mapper = dispatch.RoutesDispatcher()
    mapper.connect("page", "/pages/{a}", Root(), action="page")
    config = {"/": {"request.dispatch": mapper}}
    found = told("/pages/7", config)
    assert steps(found) == [("/pages/{a}", "pattern", "")]
    assert "a='7'" in found["steps"][0]["note"]
    assert found["handler"]["runs"]["name"].endswith("Root.page")
    missing = told("/nowhere", config)
    assert (missing["status"], missing["reason"]) == (404, "no pattern fits the path")


def test_dispatcher_that_does_not_tell_is_named():
    def own(path):
        cptoolkit.serving.request.handler = called
        cptoolkit.serving.request.config = {"tools.gzip.on": True, "a.b": 1}

    found = told("/", {"/": {"request.dispatch": own}})
    assert found["dispatcher"]["name"].endswith("own")
    assert found["notes"] == ["this dispatcher does not tell of its steps"]
    assert origins(found)["a.b"]["kind"] == "dispatcher"
    assert [hook["origin"] for hook in found["hooks"]] == ["tools.gzip"]


# -- config --------------------------------------------------------------------------------


def test_every_entry_tells_where_it_is_from(tmp_path):
    environments["mine"] = {"request.show_tracebacks": False}
    cptoolkit.config.update({"environment": "mine", "server.thread_pool": 9})
    file = tmp_path / "blog.conf"
    file.write_text("[/]\ntools.expires.on = True\n[/blog]\ntools.expires.secs = 60\n")
    app = cptoolkit.Application(Root(), "", str(file))
    app.merge({"/blog": {"tools.etags.on": True}})
    found = origins(explain(app, webob.Request.blank("/blog/2024").environ))
    blog = f"class {__name__}.Blog"

    def origin(key):
        return tuple(found[key].values())

    assert origin("tools.expires.on") == ("file", str(file), "/")
    assert origin("tools.expires.secs") == ("file", str(file), "/blog")
    assert origin("tools.etags.on") == ("code", "", "/blog")
    assert origin("tools.gzip.on") == ("_cp_config", blog, "/blog")
    assert origin("tools.json_out.on") == ("_cp_config", f"{__name__}.Blog.default", "")
    assert origin("request.show_tracebacks") == ("environment", "mine", "global")
    assert origin("server.thread_pool") == ("code", "", "global")
    assert origin("tools.encode.on") == ("default", "", "global")


def test_config_of_an_instance_is_the_instance_s():
    root = Root()
    root.blog._cp_config = {"tools.gzip.on": False}
    found = origins(told("/blog/", root=root))
    assert found["tools.gzip.on"]["name"] == f"{__name__}.Blog object"


def test_section_counts_over_the_object_and_is_told():
    found = origins(told("/blog/", {"/blog": {"tools.gzip.on": True}}))
    assert found["tools.gzip.on"] == {"kind": "code", "name": "", "section": "/blog"}


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("tools.auth_digest.key", "abc", "(not shown)"),
        ("tools.x.password", "abc", "(not shown)"),
        ("tools.x.users", {"ann": "abc"}, "(not shown)"),
        (
            "database.options",
            {"password": "abc", "x": 5},
            "{'password': (not shown), 'x': 5}",
        ),
        ("database.url", "postgresql://u:abc@host/d", "'postgresql://u:(not shown)@host/d'"),
        ("database.url", "postgresql://u:a@abc@host/d", "'postgresql://u:(not shown)@host/d'"),
        ("database.url", "mysql://h/d?password=abc&x=5", "'mysql://h/d?password=(not shown)&x=5'"),
        ("database.dsn", "host=h password=abc user=u", "'host=h password=(not shown) user=u'"),
        ("database.store", Store("abc"), "Store(password=(not shown), token=None)"),
        ("tools.x.api-key", "abc", "(not shown)"),
        ("tools.x.passphrase", "abc", "(not shown)"),
        ("tools.x.keyword", "shown", "'shown'"),
        ("tools.x.checkpassword", len, "len"),
        ("tools.x.key", None, "None"),
        ("tools.x.text", "a" * 500, f"'{'a' * 296}..."),
    ],
)
def test_values_are_shown_but_for_secrets(key, value, shown):
    found = told("/blog/", {"/": {key: value}})
    [entry] = [entry for entry in found["config"] if entry["key"] == key]
    assert entry["value"] == shown
    assert "abc" not in repr(found)


def test_secrets_of_the_pipeline_are_not_shown():
    def guard(app, password):
        return app

    pipeline = {"wsgi.pipeline": [("guard", guard)], "wsgi.guard.password": "abc"}
    found = told("/blog/", {"/": pipeline})
    assert found["pipeline"][0]["options"] == {"password": "(not shown)"}
    assert "abc" not in repr(found)


def test_value_that_cannot_be_shown_does_no_harm():
    thing = type("Odd", (), {"__repr__": called})()
    found = told("/blog/", {"/": {"a.b": thing}})
    [entry] = [entry for entry in found["config"] if entry["key"] == "a.b"]
    assert entry["value"] == "<Odd, whose repr() raises AssertionError>"


def test_config_that_cannot_be_used_is_shown_all_the_same():
    found = told("/blog/", {"/blog": {"tools.gzip.levle": 3}})
    assert found["status"] == 500
    assert "has no option 'levle'" in found["reason"]
    assert origins(found)["tools.gzip.levle"]["section"] == "/blog"


# -- hooks ---------------------------------------------------------------------------------


def test_hooks_are_told_in_the_order_in_which_they_run():
    def mine():
        called()

    config = {
        "/blog": {
            "hooks.before_handler": mine,
            "tools.etags.on": True,
            "tools.gzip.on": True,
            "tools.gzip.priority": 10,
            "tools.sessions.on": True,
        }
    }
    cptoolkit.request.hooks.attach("before_handler", called, priority=99)
    try:
        found = told("/blog/2024", config)
    finally:
        cptoolkit.request.hooks["before_handler"].clear()
    before = [
        (hook["priority"], hook["origin"], hook["runs"]["name"].rpartition(".")[2])
        for hook in found["hooks"]
        if hook["point"] == "before_handler"
    ]
    assert before == [
        (30, "tools.json_out", "json_out"),
        (50, "hooks.before_handler", "mine"),
        (60, "tools.trailing_slash", "trailing_slash"),
        (99, "cptoolkit.request.hooks", "called"),
    ]
    finalize = [
        (hook["priority"], hook["origin"], ".".join(hook["runs"]["name"].split(".")[-2:]))
        for hook in found["hooks"]
        if hook["point"] == "before_finalize"
    ]
    assert finalize == [
        (10, "tools.gzip", "Gzip.after"),
        (75, "tools.etags", "ETags.after"),
        (90, "tools.sessions", "Sessions.after"),
    ]
    points = [hook["point"] for hook in found["hooks"]]
    assert points == sorted(points, key=list(cptoolkit.request.hooks).index)


def test_hook_of_a_handler_tool_is_told_by_its_function():
    cptoolkit.tools.mine = cptoolkit._cptools.HandlerTool(called)
    found = told("/blog/", {"/blog": {"tools.mine.on": True}})
    [hook] = [hook for hook in found["hooks"] if hook["origin"] == "tools.mine"]
    assert hook["runs"]["name"].endswith("called")


def test_tool_that_is_set_up_for_each_request_is_told():
    class Own(cptoolkit.Tool):
        def _setup(self):
            called()

    cptoolkit.tools.own = Own("before_handler", called)
    found = told("/blog/", {"/blog": {"tools.own.on": True}})
    assert found["notes"] == ["tools.own is set up for each request, and may attach other hooks"]


def test_pipeline_is_told_outermost_first():
    def outer(app, level=1):
        return app

    def inner(app):
        return app

    pipeline = {"wsgi.pipeline": [("o", outer), ("i", inner)], "wsgi.o.level": 3}
    found = told("/blog/", {"/": pipeline})
    assert [(part["name"], part["options"]) for part in found["pipeline"]] == [
        ("o", {"level": "3"}),
        ("i", {}),
    ]


# -- what it costs others ------------------------------------------------------------------


def test_nobody_is_listened_to_afterwards():
    told("/blog/")
    told("/bands/fail")
    assert observed == {}


def test_requests_of_others_meanwhile_are_not_told_of():
    app = cptoolkit.Application(Root())
    answers = []

    def other(path):
        def ask():
            answers.append(webob.Request.blank("/blog/x").get_response(app).status_int)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        app.default_dispatcher(path)

    app.merge({"/page": {"request.dispatch": other}})
    found = explain(app, webob.Request.blank("/page?a=1").environ)
    assert steps(found) == [("/", "root", "Root object"), ("page", "attribute", "Root.page")]
    assert answers == [500]  # called() has been called: it was served


def test_request_being_served_is_left_as_it_is():
    environ = webob.Request.blank("/page").environ
    before = dict(environ)
    request = cptoolkit.serving.request
    explain(cptoolkit.Application(Root()), environ)
    assert environ == before
    assert cptoolkit.serving.request is request
