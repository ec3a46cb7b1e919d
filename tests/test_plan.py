"""Plans: compiled config is made once, and made anew when anything under it changes."""

import pytest

import cptoolkit
from cptoolkit import plan as plan_module
from cptoolkit.configuration import generation
from cptoolkit.toolbox import Tool


class Page:
    @cptoolkit.expose
    def index(self):
        return "index"

    @cptoolkit.expose
    def page(self, *args):
        return cptoolkit.request.config.get("my.word", "none")


@pytest.fixture
def made(monkeypatch):
    """The configs of all plans that were made."""
    configs = []

    class Counted(plan_module.Plan):
        def __init__(self, app, config):
            configs.append(config)
            super().__init__(app, config)

    monkeypatch.setattr(plan_module, "Plan", Counted)
    return configs


def word(client, path="/page"):
    return client.get(path).text


def test_plan_is_made_once_for_a_resource(app_of, made):
    client = app_of(Page(), {"/page": {"my.word": "a"}})
    for number in range(3):
        client.get(f"/page/{number}?x={number}", status=404)
        client.get("/")
    assert len(made) == 2


def test_resources_with_the_same_config_share_a_plan(app_of, made):
    root = Page()
    root.one, root.two = Page(), Page()
    client = app_of(root)
    for path in ("/", "/one/", "/two/", "/nope"):
        client.get(path, status="*")
    assert len(made) == 1


SAYS_B = {"my.word": "b"}

CHANGES = [
    pytest.param(lambda app: cptoolkit.config.update({"my.word": "b"}), id="global update"),
    pytest.param(lambda app: cptoolkit.config.__setitem__("my.word", "b"), id="global item"),
    pytest.param(lambda app: app.merge({"/page": {"my.word": "b"}}), id="merge"),
    pytest.param(lambda app: app.config.__setitem__("/page", {"my.word": "b"}), id="section"),
    pytest.param(lambda app: app.config["/"].__setitem__("my.word", "b"), id="entry"),
    pytest.param(lambda app: app.config["/"].update({"my.word": "b"}), id="entries"),
    pytest.param(lambda app: app.root._cp_config.update({"my.word": "b"}), id="_cp_config"),
    pytest.param(lambda app: setattr(app.root, "_cp_config", SAYS_B), id="new _cp_config"),
    pytest.param(lambda app: setattr(Page.page, "_cp_config", SAYS_B), id="_cp_config of a page"),
    pytest.param(
        lambda app: setattr(app, "root", type("Other", (Page,), {"_cp_config": SAYS_B})()),
        id="new root",
    ),
]


@pytest.mark.parametrize("change", CHANGES)
def test_change_takes_effect_with_the_next_request(app_of, change):
    root = Page()
    root._cp_config = {}
    client = app_of(root, {"/": {}})
    assert word(client) == "none"
    try:
        change(client.app)
        assert word(client) == "b"
    finally:
        Page.page.__dict__.pop("_cp_config", None)


def test_toolbox_added_at_run_time_takes_effect(app_of):
    box = cptoolkit.tools.__class__("late")
    box.mark = Tool("before_handler", lambda: cptoolkit.response.headers.update({"X-Mark": "1"}))
    client = app_of(Page(), {"/": {"late.mark.on": True}})
    assert "X-Mark" not in client.get("/").headers
    client.app.toolboxes["late"] = box
    assert client.get("/").headers["X-Mark"] == "1"
    del client.app.toolboxes["late"]
    assert "X-Mark" not in client.get("/").headers


def test_change_of_one_application_leaves_the_answer_of_another(app_of):
    one, two = app_of(Page(), {"/": {"my.word": "1"}}), app_of(Page(), {"/": {"my.word": "2"}})
    assert (word(one), word(two)) == ("1", "2")
    one.app.merge({"/": {"my.word": "3"}})
    assert (word(one), word(two)) == ("3", "2")


def test_config_read_by_a_handler_is_a_copy(app_of):
    class Tree:
        @cptoolkit.expose
        def index(self):
            before = cptoolkit.request.config.get("my.word", "none")
            cptoolkit.request.config["my.word"] = "changed"
            return before

    client = app_of(Tree())
    assert client.get("/").text == client.get("/").text == "none"


def test_toolmaps_read_by_a_handler_are_a_copy(app_of):
    class Tree:
        @cptoolkit.expose
        def index(self):
            options = cptoolkit.request.toolmaps["tools"]["encode"]
            before = repr(options)
            options["encoding"] = "utf-16"
            return before

    client = app_of(Tree())
    assert client.get("/").text == client.get("/").text == "{'on': True}"


def test_plans_are_bounded(app_of, monkeypatch):
    monkeypatch.setattr(plan_module, "MOST_PLANS", 5)

    class Tree:
        def __getattr__(self, name):
            if not name.startswith("p"):
                raise AttributeError(name)
            page = cptoolkit.expose(lambda: cptoolkit.request.config["my.word"])
            page._cp_config = {"my.word": name}
            return page

    client = app_of(Tree())
    assert [word(client, f"/p{n}") for n in range(12)] == [f"p{n}" for n in range(12)]
    assert len(client.app.plans._made[1]) <= 5


def test_config_made_by_a_dispatcher_is_compiled_once(app_of, made):
    def dispatch(path_info):
        entries = {"tools.encode.on": True, "response.headers.X-Path": "/" + path_info[1:]}
        cptoolkit.request.config = entries
        cptoolkit.request.handler = lambda: "x"

    client = app_of(None, {"/": {"request.dispatch": dispatch}})
    for path in ("/a", "/b", "/a", "/b"):
        assert client.get(path).headers["X-Path"] == path
    assert len(made) == 2


def test_plan_made_while_config_changes_is_not_used_again(app_of, monkeypatch):
    client = app_of(Page(), {"/": {"my.word": "old"}})
    compiled = plan_module.Plan.__init__

    def slowly(self, app, config):
        compiled(self, app, config)
        if config.get("my.word") == "old":
            client.app.merge({"/": {"my.word": "new"}})  # as another thread might

    monkeypatch.setattr(plan_module.Plan, "__init__", slowly)
    assert word(client) == "old"
    assert word(client) == "new"


def test_plan_is_not_shared_by_a_dict_that_has_the_same_id(app_of):
    root = Page()
    client = app_of(root)
    for text in "abcdefgh":  # each dict may get the place of the one before
        root._cp_config = {"my.word": text}
        assert word(client) == text


def test_generation_is_the_same_after_requests(app_of):
    client = app_of(Page())
    client.get("/")
    before = generation.value
    for path in ("/", "/page", "/nope"):
        client.get(path, status="*")
    assert generation.value == before


# -- what entries do ------------------------------------------------------------------------


def test_entries_of_request_and_response_are_attributes(app_of):
    class Tree:
        @cptoolkit.expose
        def index(self):
            return f"{cptoolkit.request.mine} {cptoolkit.response.timeout}"

    config = {"/": {"request.mine": "a", "response.timeout": 6000, "response.headers.X-A": "b"}}
    response = app_of(Tree(), config).get("/")
    assert (response.text, response.headers["X-A"]) == ("a 6000", "b")


def test_request_namespace_of_ones_own_is_called_for_each_request(app_of):
    seen = []
    cptoolkit.Application.request_class.namespaces["mine"] = lambda key, value: seen.append(
        (key, value, cptoolkit.request.path_info)
    )
    client = app_of(Page(), {"/": {"mine.a.b": 1, "other.a": 2}})
    client.get("/")
    client.get("/page")
    assert seen == [("a.b", 1, "/"), ("a.b", 1, "/page")]


def test_request_namespace_may_be_a_context_manager(app_of):
    seen = []

    class Namespace:
        def __enter__(self):
            seen.append("enter")
            return lambda key, value: seen.append((key, value))

        def __exit__(self, *exc_info):
            seen.append("exit")

    cptoolkit.Application.request_class.namespaces["mine"] = Namespace()
    app_of(Page(), {"/": {"mine.a": 1, "mine.b": 2}}).get("/")
    assert seen == ["enter", ("a", 1), ("b", 2), "exit"]


def test_sections_that_are_no_paths_are_the_applications_own(app_of):
    class Tree:
        @cptoolkit.expose
        def index(self):
            return repr(dict(cptoolkit.request.app.config["Databases"]))

    entries = {"driver": "postgres", "host": "localhost", "port": 5432}
    config = {"Databases": entries, "/path": {"response.timeout": 6000}}
    assert app_of(Tree(), config).get("/").text == repr(entries)


def test_section_of_the_deepest_path_counts_though_no_object_is_there(app_of):
    config = {"/page/x": {"my.word": "x"}, "/page/x/y": {"my.word": "y"}}
    client = app_of(Page(), config)
    words = [word(client, path) for path in ("/page", "/page/x", "/page/x/z", "/page/x/y/z")]
    assert words == ["none", "x", "x", "y"]


def test_methods_with_bodies_can_be_said_on_a_class(app_of):
    """The listings 116 to 118 of the reference."""

    class Tree:
        _cp_config = {"request.methods_with_bodies": ("POST", "PUT", "PROPPATCH")}

        @cptoolkit.expose
        def page(self, **params):
            return f"{params} {cptoolkit.request.methods_with_bodies}"

    client = app_of(Tree())
    form = {"method": "PROPPATCH", "body": b"a=1"}
    with pytest.warns(match="Unknown REQUEST_METHOD"):
        response = client.request("/page", content_type="application/x-www-form-urlencoded", **form)
    assert response.text == "{'a': '1'} ('POST', 'PUT', 'PROPPATCH')"


# -- dicts of the user's own, which tell nobody of their changes ----------------------------


def test_plan_of_a_plain_dict_is_made_once_and_anew_when_it_changes(app_of, made):
    root = Page()
    root._cp_config = {"my.word": "a"}
    client = app_of(root)
    assert [word(client), word(client), len(made)] == ["a", "a", 1]
    root._cp_config["my.word"] = "b"
    assert [word(client), word(client), len(made)] == ["b", "b", 2]


def test_plan_of_a_method_of_a_resource_is_made_once_and_anew_when_it_changes(app_of, made):
    @cptoolkit.expose
    class Resource:
        def GET(self):
            return cptoolkit.request.config["my.word"]

        GET._cp_config = {"my.word": "a"}

    client = app_of(Resource(), {"/": {"request.dispatch": cptoolkit.dispatch.MethodDispatcher()}})
    assert [word(client, "/"), word(client, "/"), len(made)] == ["a", "a", 2]
    Resource.GET._cp_config["my.word"] = "b"
    assert [word(client, "/"), word(client, "/"), len(made)] == ["b", "b", 3]


@pytest.mark.parametrize(
    ("entries", "section"), [({}, "none"), ({"tools.staticdir.dir": "static"}, "/page")]
)
def test_path_of_a_static_folder_is_known_where_there_is_one(app_of, entries, section):
    class Tree:
        @cptoolkit.expose
        def page(self, *args):
            return cptoolkit.request.config.get("tools.staticdir.section", "none")

    assert app_of(Tree(), {"/page": entries}).get("/page/x").text == section
