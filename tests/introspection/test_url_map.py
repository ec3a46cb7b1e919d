"""The map of an object tree, of which nothing is called."""

import threading
import types
from functools import cached_property

import pytest

import cptoolkit
from cptoolkit import dispatch
from cptoolkit.introspection import tree_walk
from cptoolkit.introspection.site_map import site_map
from cptoolkit.introspection.url_map import url_map


def called(*args, **kwargs):
    raise AssertionError("something of the tree was called")


class Page:
    @cptoolkit.expose
    def index(self, number=1, *rest, **params):
        called()

    def hidden(self):
        called()


class Root(Page):
    @cptoolkit.expose
    def page(self, a: "NoSuchType", b="x"):  # noqa: F821
        called()


def routes(root, config=None):
    return url_map(cptoolkit.Application(root, "", config)).routes


def paths(root, config=None):
    return [route["path"] for route in routes(root, config)]


def only(root, config=None):
    [route] = routes(root, config)
    return route


def test_pages_have_handler_place_and_parameters():
    index, page = routes(Root())
    assert (index["path"], index["kind"], index["methods"]) == ("/", "index", None)
    assert index["parameters"] == ["number=1", "*rest", "**params"]
    assert page["path"] == "/page"
    assert page["handler"]["name"].endswith("test_url_map.Root.page")
    assert page["handler"]["file"].endswith("tests/introspection/test_url_map.py")
    assert page["handler"]["line"] == Root.page.__code__.co_firstlineno
    assert page["parameters"] == ["a", "b='x'"]


def test_what_is_not_exposed_is_no_page():
    assert paths(Page()) == ["/"]


def test_page_that_cannot_be_called_is_listed_as_such():
    root = Page()
    root.resource = type("Resource", (), {"exposed": True, "GET": called})()
    _, route = routes(root)
    assert (route["path"], route["kind"]) == ("/resource", "page")
    assert route["note"] == "every request fails: it is exposed, and cannot be called"


def test_objects_below_have_their_paths():
    root = Root()
    root.a = Page()
    root.a.b = Page()
    assert paths(root) == ["/", "/a/", "/a/b/", "/page"]


def test_default_takes_what_follows():
    class Default:
        @cptoolkit.expose
        def default(self, *vpath):
            called()

    root = Page()
    root.blog = Default()
    assert paths(root) == ["/", "/blog/{...}"]


def test_cp_dispatch_takes_what_follows():
    class Taking:
        def _cp_dispatch(self, vpath):
            called()

    root = Page()
    root.of = Taking()
    _, route = routes(root)
    assert (route["path"], route["kind"]) == ("/of/{...}", "dispatch")


def test_attribute_of_that_name_that_takes_nothing_is_no_dispatch():
    assert paths(type("Text", (Page,), {"_cp_dispatch": "text"})()) == ["/"]
    exposed = type("Exposed", (Page,), {"_cp_dispatch": cptoolkit.expose(lambda self: called())})
    found = [(route["path"], route["kind"]) for route in routes(exposed())]
    assert found == [("/", "index"), ("/_cp_dispatch", "page")]


def test_popargs_names_what_it_takes():
    @cptoolkit.popargs("band", "album", handler=called)
    class Bands(Page):
        pass

    root = Page()
    root.bands = Bands()
    assert paths(root) == ["/", "/bands/", "/bands/{band}/{album}"]


@pytest.mark.parametrize("kind", [property, cached_property])
def test_attributes_made_on_demand_are_not_made(kind):
    root = type("Lazy", (Page,), {"lazy": kind(called)})()
    if kind is cached_property:
        type(root).lazy.__set_name__(type(root), "lazy")
    _, route = routes(root)
    assert (route["path"], route["kind"]) == ("/lazy", "on demand")


def test_getattr_is_not_called():
    root = type("Open", (Page,), {"__getattr__": called})()
    assert [(r["path"], r["kind"]) for r in routes(root)] == [
        ("/", "index"),
        ("/{...}", "on demand"),
    ]


def test_dir_of_the_tree_s_own_is_not_called():
    assert paths(type("Listing", (Page,), {"__dir__": called})()) == ["/"]


def test_classes_and_modules_with_page_handlers_are_looked_into():
    root = Page()
    base = type("Base", (), {"inherited": cptoolkit.expose(lambda self: called())})
    root.kind = type("Kind", (base,), {"page": staticmethod(cptoolkit.expose(lambda a: called()))})
    root.module = types.ModuleType("module")
    root.module.page = cptoolkit.expose(lambda b: called())
    root.threading, root.thread = threading, threading.Thread
    found = [(route["path"], route["parameters"]) for route in routes(root)]
    assert found[1:] == [
        ("/kind/inherited", ["self"]),
        ("/kind/page", ["a"]),
        ("/module/page", ["b"]),
    ]


def test_slots_are_looked_into():
    class Slotted:
        __slots__ = ("child", "unset")

    root = Slotted()
    root.child = Page()
    assert paths(root) == ["/child/"]


def test_static_and_class_methods_have_no_self():
    class Unbound:
        @staticmethod
        @cptoolkit.expose
        def static(a):
            called()

        @classmethod
        @cptoolkit.expose
        def kind(cls, b):
            called()

    assert [(r["path"], r["parameters"]) for r in routes(Unbound())] == [
        ("/kind", ["b"]),
        ("/static", ["a"]),
    ]


def test_cycles_end():
    root = Root()
    root.child = Page()
    root.child.parent = root
    root.child.self = root.child
    found = {route["path"]: route["note"] for route in routes(root) if route["kind"] == "same"}
    assert found == {"/child/parent": "the object of /", "/child/self": "the object of /child"}


def test_object_met_twice_is_listed_at_its_shortest_path():
    root = Page()
    root.z = Page()
    root.a = Page()
    root.a.deep = root.z
    assert paths(root) == ["/", "/a/", "/a/deep", "/z/"]


def test_objects_that_lead_nowhere_are_not_listed():
    root = Page()
    root.lock = threading.Lock()
    root.other = threading.Thread()
    assert paths(root) == ["/"]


def test_large_trees_are_cut(monkeypatch):
    monkeypatch.setattr(tree_walk, "MOST_OBJECTS", 50)
    root = Page()
    for number in range(60):
        setattr(root, f"p{number:02}", Page())
    found = url_map(cptoolkit.Application(root))
    assert not found.complete
    assert 1 < len(found.routes) < 100


def test_tools_that_are_on_are_named_but_for_defaults():
    class Tooled(Page):
        _cp_config = {"tools.gzip.on": True, "tools.etags.on": False}

        @cptoolkit.expose
        @cptoolkit.tools.json_out()
        def data(self):
            called()

    config = {"/data": {"tools.gzip.on": False, "tools.expires.on": True}}
    index, data = routes(Tooled(), config)
    assert index["tools"] == ["tools.gzip"]
    assert data["tools"] == ["tools.expires", "tools.json_out"]


def test_sections_without_an_object_are_listed_where_a_tool_is_on():
    config = {"/static": {"tools.staticdir.on": True}, "/other": {"tools.gzip.level": 1}}
    _, route = routes(Page(), config)
    assert (route["path"], route["kind"]) == ("/static/{...}", "config")
    assert route["tools"] == ["tools.staticdir"]


def test_application_without_a_root_has_its_sections():
    config = {"/": {"tools.gzip.on": True}, "/files": {"tools.staticdir.on": True}}
    found = {route["path"]: route["tools"] for route in routes(None, config)}
    assert found["/files/{...}"] == ["tools.gzip", "tools.staticdir"]


class Resource:
    exposed = True

    @cptoolkit.tools.json_out()
    def GET(self, id=None):
        called()

    def PUT(self, id):
        called()


VERBS = {"/": {"request.dispatch": dispatch.MethodDispatcher()}}


def test_resources_have_a_route_for_each_method():
    root = Page()
    root.items = Resource()
    found = [
        (route["path"], route["methods"], route["parameters"], route["tools"])
        for route in routes(root, VERBS)
        if route["path"] == "/items"
    ]
    assert found == [
        ("/items", ["GET", "HEAD"], ["id=None"], ["tools.json_out"]),
        ("/items", ["PUT"], ["id"], []),
    ]


def test_dispatcher_of_a_section_holds_below_it():
    root = Page()
    root.api = Resource()
    config = {"/api": VERBS["/"]}
    assert [route["kind"] for route in routes(root, config)] == ["index", "resource", "resource"]


def test_patterns_of_routes_are_listed():
    pytest.importorskip("routes")
    mapper = dispatch.RoutesDispatcher()
    mapper.connect("list", "/items", Root(), action="page", conditions={"method": ["GET"]})
    mapper.connect("any", "/open/{action}", Root)
    fixed, opened = routes(Root(), {"/": {"request.dispatch": mapper}})
    assert (fixed["path"], fixed["kind"], fixed["methods"]) == ("/items", "pattern", ["GET"])
    assert fixed["handler"]["name"].endswith("Root.page")
    assert fixed["parameters"] == ["a", "b='x'"]
    assert opened["path"] == "/open/{action}"
    assert opened["handler"]["name"].endswith("Root")


def test_hosts_have_their_part_of_the_tree():
    root = Page()
    root.shop = Root()
    hosts = dispatch.VirtualHost(**{"shop.example": "/shop"})
    found = [(r["host"], r["path"]) for r in routes(root, {"/": {"request.dispatch": hosts}})]
    assert found == [
        (None, "/"),
        (None, "/shop/"),
        (None, "/shop/page"),
        ("shop.example", "/"),
        ("shop.example", "/page"),
    ]


def test_xml_rpc_has_its_line():
    found = routes(Page(), {"/": {"request.dispatch": dispatch.XMLRPCDispatcher()}})
    assert [route["path"] for route in found] == ["/", "/RPC2/{...}"]


def test_other_dispatchers_have_one_line():
    route = only(Page(), {"/": {"request.dispatch": called}})
    assert (route["path"], route["kind"]) == ("/{...}", "dispatcher")
    assert route["handler"]["name"].endswith("called")


def test_site_lists_what_is_mounted_and_grafted():
    tree = cptoolkit.Tree()
    tree.mount(Page(), "/app")
    tree.graft(called, "/wsgi")
    app, grafted = site_map(tree)
    assert (app["mount"], app["kind"]) == ("/app", "Application")
    assert [route["path"] for route in app["routes"]] == ["/"]
    assert (grafted["mount"], grafted["kind"], grafted["routes"]) == ("/wsgi", "WSGI", [])


def test_icon_of_the_tree_is_listed_under_its_url():
    tree = cptoolkit.Tree()
    tree.mount(Page())
    [app] = site_map(tree)
    assert [route["path"] for route in app["routes"]] == ["/", "/favicon.ico"]


def test_resource_met_twice_is_listed_once():
    root = Page()
    root.a = root.b = Resource()
    found = [(route["path"], route["kind"]) for route in routes(root, VERBS)]
    assert found == [("/", "resource"), ("/a", "resource"), ("/a", "resource"), ("/b", "same")]
