"""The default dispatcher: which object of the tree answers a path (reference, 5.2 and 7.3)."""

import random
import string
import time

import pytest

import cptoolkit
from cptoolkit.dispatch import Dispatcher


def reply(text):
    """An exposed function that answers with a text and its arguments."""

    @cptoolkit.expose
    def handler(*args, **params):
        return " ".join([text, *args])

    return staticmethod(handler)


class Leaf:
    index = reply("leaf")
    text = "never"

    def hidden(self):
        return "never"


class Callable:
    exposed = True

    def __call__(self, *vpath):
        return f"called with {vpath}"


class WithDefault:
    index = reply("index")
    default = reply("default")


class Root:
    leaf = Leaf()
    nested = Leaf()
    nested.inner = Leaf()
    callable = Callable()
    rest = WithDefault()
    nothing = None
    index = reply("root")
    my_page_html = reply("dots")
    a_b_c = reply("punctuation")

    @cptoolkit.expose
    def join(self, *args):
        return "|".join(args)

    @cptoolkit.expose
    def bare(self):
        return "bare"

    def __getattr__(self, name):
        if name.startswith("dynamic_"):
            return Leaf()
        raise AttributeError(name)


@pytest.fixture(scope="module")
def client(app_of):
    return app_of(Root())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("/", "root", id="index of the root"),
        pytest.param("/index", "root", id="index by its name"),
        pytest.param("/leaf/", "leaf", id="index of an object"),
        pytest.param("/leaf/index", "leaf", id="index of an object by its name"),
        pytest.param("/nested/inner/", "leaf", id="two objects deep"),
        pytest.param("/join/a/b", "a|b", id="positional arguments"),
        pytest.param("/join/a//b/", "a|b", id="empty segments do not count"),
        pytest.param("//leaf//", "leaf", id="doubled slashes"),
        pytest.param("/join/..", "..", id="dots are not resolved"),
        pytest.param("/my-page.html", "dots", id="a dot and a dash are underscores"),
        pytest.param("/a:b,c", "punctuation", id="any punctuation is an underscore"),
        pytest.param("/callable/x/y", "called with ('x', 'y')", id="a callable instance"),
        pytest.param("/rest/", "index", id="index before default"),
        pytest.param("/rest/x/y", "default x y", id="default takes what is left"),
        pytest.param("/rest/default", "default", id="default by its name"),
        pytest.param("/rest/default/x", "default x", id="default by its name takes the rest"),
        pytest.param("/dynamic_x/", "leaf", id="objects may come from __getattr__"),
        pytest.param("/join/%C3%A9", "é", id="text in UTF-8"),
        pytest.param("/join/%FF", "ÿ", id="text that is no UTF-8"),
        pytest.param("/join/a%252Fb/c", "a/b|c", id="a quoted slash is part of its segment"),
    ],
)
def test_path_is_answered_by_an_object_of_the_tree(client, path, text):
    assert client.get(path).text == text


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/nope", id="no attribute"),
        pytest.param("/leaf/nope", id="no attribute deeper"),
        pytest.param("/leaf/hidden", id="a method that is not exposed"),
        pytest.param("/leaf/text", id="an attribute that is no handler"),
        pytest.param("/nothing", id="None"),
        pytest.param("/nothing/x", id="below None"),
        pytest.param("/__class__", id="a name of Python's own"),
        pytest.param("/leaf/__init__", id="a method of Python's own"),
        pytest.param("/--class--", id="a name of Python's own in disguise"),
        pytest.param("/./leaf", id="a dot"),
        pytest.param("/../leaf", id="two dots"),
        pytest.param("/%00", id="a NUL"),
        pytest.param("/bare/x", id="more than the handler takes"),
    ],
)
def test_path_without_a_handler_is_404(client, path):
    client.get(path, status=404)


def test_404_names_the_path_with_its_mount_point(app_of):
    page = app_of(Root(), script_name="/app").get("/app/a/b", status=404).text
    assert "The path '/app/a/b' was not found." in page


@pytest.mark.parametrize("path", ["/leaf", "/nested/inner", "/dynamic_x"])
def test_index_without_its_slash_is_redirected_to_it(client, path):
    response = client.get(path + "?a=1", status=301)
    assert response.location == f"http://localhost:80{path}/?a=1"


@pytest.mark.parametrize("path", ["/", "/bare", "/bare/", "/leaf/index", "/callable", "/rest/x"])
def test_page_that_is_no_index_is_not_redirected(client, path):
    client.get(path, status=200)


def test_default_answers_for_an_index_that_is_not_there(app_of):
    class Tree:
        default = reply("default")

    client = app_of(Tree())
    assert client.get("/").text == "default"
    assert client.get("/a").text == "default a"


def test_nearest_default_answers(app_of):
    class Inner:
        default = reply("inner")

    class Outer:
        inner = Inner()
        plain = Leaf()
        default = reply("outer")

    client = app_of(Outer())
    assert client.get("/inner/x").text == "inner x"
    assert client.get("/plain/x/y").text == "outer plain x y"


def test_default_that_is_not_exposed_is_no_handler(app_of):
    class Tree:
        def default(self, *args):
            return "never"

    app_of(Tree()).get("/x", status=404)


def test_exposed_object_takes_the_rest_of_the_path(app_of):
    class Tree:
        page = reply("page")

    assert app_of(Tree()).get("/page/x/y").text == "page x y"


def test_tree_may_change_between_requests(app_of):
    root = Leaf()
    client = app_of(root)
    client.get("/new/", status=404)
    root.new = Leaf()
    assert client.get("/new/").text == "leaf"
    del root.new
    client.get("/new/", status=404)


def test_property_that_fails_is_a_500_and_not_a_404(app_of):
    class Tree:
        @property
        def page(self):
            raise KeyError("the database")

    app_of(Tree()).get("/page", status=500)


def test_application_without_a_root_answers_404(app_of):
    app_of(None).get("/x", status=404)


# -- _cp_dispatch ---------------------------------------------------------------------------


def test_cp_dispatch_may_look_and_leave_the_path_alone(app_of):
    class Tree:
        other = Leaf()

        def _cp_dispatch(self, vpath):
            return getattr(self, "other", None)

    client = app_of(Tree())
    assert client.get("/anything/").text == "leaf"
    client.get("/anything/else", status=404)


def test_cp_dispatch_is_not_asked_for_what_is_there(app_of):
    class Tree(Leaf):
        leaf = Leaf()

        def _cp_dispatch(self, vpath):
            raise AssertionError("asked")

    client = app_of(Tree())
    assert client.get("/").text == client.get("/leaf/").text == "leaf"


def test_cp_dispatch_that_is_exposed_is_a_page_and_not_asked(app_of):
    class Tree:
        @cptoolkit.expose
        def _cp_dispatch(self, vpath=()):
            return "page"

    client = app_of(Tree())
    client.get("/x", status=404)
    assert client.get("/_cp_dispatch").text == "page"


def test_cp_dispatch_may_be_an_instance_attribute(app_of):
    root = Leaf()
    root._cp_dispatch = lambda vpath: vpath.clear() or root
    assert app_of(root).get("/a/b/c/").text == "leaf"


def test_cp_dispatch_that_adds_segments_is_told_so(app_of, caplog):
    class Tree:
        def _cp_dispatch(self, vpath):
            vpath.append("more")
            return self

    app_of(Tree()).get("/x", status=500)
    assert "_cp_dispatch" in caplog.text
    assert "may only take segments away" in caplog.text


def test_cp_dispatch_that_raises_http_errors_answers_with_them(app_of):
    class Tree:
        def _cp_dispatch(self, vpath):
            raise cptoolkit.HTTPError(403, "Not for you")

    assert "Not for you" in app_of(Tree()).get("/x", status=403)


def test_object_given_by_cp_dispatch_brings_its_config(app_of):
    class Inner(Leaf):
        _cp_config = {"response.headers.X-From": "inner"}

    class Tree:
        def _cp_dispatch(self, vpath):
            vpath.pop(0)
            return Inner()

    client = app_of(Tree(), {"/x": {"response.headers.X-Path": "section"}})
    response = client.get("/x/")
    assert (response.headers["X-From"], response.headers["X-Path"]) == ("inner", "section")


# -- dispatchers of one's own ---------------------------------------------------------------


class StringGenerator:
    @cptoolkit.expose
    def generate(self, length=8):
        return "".join(random.sample(string.hexdigits, int(length)))


class ForceLowerDispatcher(Dispatcher):
    def __call__(self, path_info):
        return Dispatcher.__call__(self, path_info.lower())


@pytest.mark.parametrize("path", ["/generate?length=8", "/GENerAte?length=8"])
def test_dispatcher_may_change_the_path_first(app_of, path):
    client = app_of(StringGenerator(), {"/": {"request.dispatch": ForceLowerDispatcher()}})
    assert len(client.get(path).text) == 8


def test_default_dispatcher_tells_cases_apart(app_of):
    app_of(StringGenerator()).get("/GENerAte?length=8", status=404)


def test_dispatcher_may_be_a_function_that_sets_handler_and_config(app_of):
    def dispatch(path_info):
        cptoolkit.request.config = {**cptoolkit.config, "response.headers.X-Mine": "yes"}
        cptoolkit.request.handler = lambda: f"answer for {path_info}"

    response = app_of(None, {"/": {"request.dispatch": dispatch}}).get("/a/b")
    assert response.text == "answer for /a/b"
    assert response.headers["X-Mine"] == "yes"


def test_dispatcher_that_sets_a_handler_and_nothing_else_is_served(app_of):
    def dispatch(path_info):
        cptoolkit.request.handler = lambda: "answer"

    response = app_of(None, {"/": {"request.dispatch": dispatch}}).get("/")
    assert response.text == "answer"


def test_dispatcher_may_override_find_handler(app_of):
    class Fixed(Dispatcher):
        def find_handler(self, path):
            found, _ = super().find_handler("/one")
            return found, ["from", "the", "dispatcher"]

    class Tree:
        one = reply("one")

    client = app_of(Tree(), {"/": {"request.dispatch": Fixed()}})
    assert client.get("/whatever").text == "one from the dispatcher"


def test_endless_path_costs_time_in_proportion(app_of):
    client = app_of(None, {"/a": {"a.b": 1}, "/a/a/b": {"a.b": 2}})
    began = time.process_time()
    client.get("/a" * 30_000, status=404)
    assert time.process_time() - began < 2


def test_nearest_section_chooses_the_dispatcher(app_of):
    def dispatch(path_info):
        cptoolkit.request.config = dict(cptoolkit.config)
        cptoolkit.request.handler = lambda: "from the function"

    client = app_of(Root(), {"/special": {"request.dispatch": dispatch}})
    assert client.get("/special/deeper").text == "from the function"
    assert client.get("/special").text == "from the function"
    assert client.get("/bare").text == "bare"
    client.get("/specialist", status=404)


def test_dispatcher_may_be_changed_at_run_time(app_of):
    client = app_of(StringGenerator(), {"/": {}})
    client.get("/GENERATE", status=404)
    client.app.merge({"/": {"request.dispatch": ForceLowerDispatcher()}})
    client.get("/GENERATE", status=200)


def test_dispatch_method_may_have_another_name(app_of):
    class Tree:
        def my_dispatch(self, vpath):
            vpath.clear()
            return Leaf()

    client = app_of(Tree(), {"/": {"request.dispatch": Dispatcher("my_dispatch")}})
    assert client.get("/a/b/").text == "leaf"


def test_translation_of_segments_may_be_another(app_of):
    class Tree:
        a_b = reply("page")

    only_dashes = Dispatcher(translate=str.maketrans("-", "_"))
    client = app_of(Tree(), {"/": {"request.dispatch": only_dashes}})
    assert client.get("/a-b").text == "page"
    client.get("/a.b", status=404)


def test_translation_must_be_a_table():
    with pytest.raises(TypeError, match=r"translate must be a table for str\.translate, got '_'"):
        Dispatcher(translate="_")


# -- the tutorials' trees -------------------------------------------------------------------


class Form:
    """Tutorials 2 to 4 of the reference, 3.2 to 3.4."""

    @cptoolkit.expose
    def index(self):
        return '<form method="get" action="generate"></form>'

    generate = StringGenerator.generate


@pytest.mark.parametrize(
    ("path", "length"), [("/generate", 8), ("/generate?length=16", 16), ("/generate/12", 12)]
)
def test_parameter_comes_from_the_query_or_the_path(app_of, path, length):
    text = app_of(Form()).get(path).text
    assert len(text) == length == len(set(text))


def test_parameter_comes_from_a_form(app_of):
    client = app_of(Form())
    assert client.get("/").form.action == "generate"
    assert len(client.post("/generate", {"length": "5"}).text) == 5


def test_parameter_that_the_handler_cannot_use_is_a_500(app_of):
    app_of(Form()).get("/generate?length=x", status=500)


def test_parameter_that_the_handler_lacks_is_a_404_that_names_it(app_of):
    page = app_of(Form()).get("/generate?foo=1", status=404).text
    assert "Unexpected query string parameters: foo" in page


@pytest.mark.parametrize("setting", [False, True])
def test_page_of_a_failed_dispatcher_shows_what_config_lets_it_show(app_of, setting):
    def fail(path_info):
        raise LookupError("no such shelf")

    config = {"/": {"request.dispatch": fail, "request.show_tracebacks": setting}}
    page = app_of(Root(), config).get("/any", status=500)
    assert ("no such shelf" in page.text) is setting
