"""Tools: what config and decorators turn on, where, and with which options (reference, 7.2.2)."""

import time

import pytest

import cptoolkit
from cptoolkit.configuration import generation
from cptoolkit.default_tools import tools as default_tools
from cptoolkit.layer_tool import LayerTool
from cptoolkit.toolbox import ErrorTool, HandlerTool, HandlerWrapperTool, Tool, Toolbox


@pytest.fixture
def box():
    """A toolbox named "my", whose tool "mark" leaves its options in a header field."""
    box = Toolbox("my")

    @box.register("before_handler")
    def mark(text="default", more=None):
        """Mark the answer."""
        cptoolkit.response.headers["X-Mark"] = f"{text} {more}"

    return box


@pytest.fixture
def client_with(app_of, box):
    """A client of a tree whose application knows the toolbox."""

    def make(root, config=None):
        client = app_of(root, config)
        client.app.toolboxes["my"] = box
        return client

    return make


class Page:
    @cptoolkit.expose
    def index(self):
        return "page"

    @cptoolkit.expose
    def other(self):
        return "other"


def mark_of(client, path="/"):
    return client.get(path).headers.get("X-Mark")


# -- turned on ------------------------------------------------------------------------------


def test_toolbox_may_stand_among_the_namespaces_of_requests(app_of, box):
    class Request(cptoolkit.Application.request_class):
        namespaces = {**cptoolkit.Application.request_class.namespaces, "my": box}

    client = app_of(Page(), {"/": {"my.mark.on": True}})
    client.app.request_class = Request
    assert mark_of(client) == "default None"


def test_tool_is_off_until_it_is_turned_on(client_with):
    assert mark_of(client_with(Page())) is None


def test_path_config_turns_a_tool_on_with_its_options(client_with):
    config = {"/": {"my.mark.on": True, "my.mark.text": "hello"}}
    assert mark_of(client_with(Page(), config)) == "hello None"


def test_path_config_is_for_the_path_and_what_lies_below(client_with):
    client = client_with(Page(), {"/other": {"my.mark.on": True}})
    assert mark_of(client, "/other") == "default None"
    assert mark_of(client, "/") is None


def test_options_without_on_do_nothing(client_with):
    assert mark_of(client_with(Page(), {"/": {"my.mark.text": "hello"}})) is None


def test_decorator_turns_a_tool_on_for_a_page(client_with, box):
    class Root(Page):
        @cptoolkit.expose
        @box.mark(text="decorated")
        def index(self):
            return ""

    client = client_with(Root())
    assert mark_of(client) == "decorated None"
    assert mark_of(client, "/other") is None


def test_decorator_turns_a_tool_on_for_a_class_and_not_its_base(client_with, box):
    @box.mark(text="class")
    class Child(Page):
        pass

    assert mark_of(client_with(Child()), "/other") == "class None"
    assert mark_of(client_with(Page()), "/other") is None


def test_decorators_of_several_tools_add_up(client_with, box):
    class Root:
        @cptoolkit.expose
        @box.mark(text="a")
        @cptoolkit.tools.json_out()
        def index(self):
            return [1]

    response = client_with(Root()).get("/")
    assert (response.json, response.headers["X-Mark"]) == ([1], "a None")


def test_cp_config_turns_a_tool_on(client_with):
    root = Page()
    root._cp_config = {"my.mark.on": True, "my.mark.text": "attribute"}
    assert mark_of(client_with(root)) == "attribute None"


def test_global_config_turns_a_tool_on_everywhere(client_with):
    cptoolkit.config.update({"my.mark.on": True, "my.mark.text": "global"})
    assert mark_of(client_with(Page()), "/other") == "global None"


LEVELS = ["global", "root", "section /", "class", "section /a", "page", "section /a/page"]


@pytest.mark.parametrize("highest", range(len(LEVELS)))
@pytest.mark.parametrize("key", ["text", "on"])
def test_deeper_config_wins_and_a_section_over_its_object(app_of, box, highest, key):
    said = {level: {f"my.mark.{key}": False} for level in LEVELS[:highest]}
    said[LEVELS[highest]] = {"my.mark.on": True, "my.mark.text": LEVELS[highest]}
    at = {level: {"my.mark.on": True} if key == "text" else {} for level in LEVELS}
    at = {level: {**at[level], **said.get(level, {})} for level in LEVELS}

    class A:
        _cp_config = at["class"]

        @cptoolkit.expose
        @cptoolkit.config(**at["page"])
        def page(self):
            return ""

    root = Page()
    root._cp_config, root.a = at["root"], A()
    cptoolkit.config.update(at["global"])
    sections = {name: at[f"section {name}"] for name in ("/", "/a", "/a/page")}
    client = app_of(root, sections)
    client.app.toolboxes["my"] = box
    assert mark_of(client, "/a/page") == f"{LEVELS[highest]} None"


def test_page_can_turn_a_tool_off(client_with, box):
    @box.mark()
    class Root(Page):
        @cptoolkit.expose
        @cptoolkit.config(**{"my.mark.on": False})
        def index(self):
            return ""

    client = client_with(Root())
    assert mark_of(client, "/other") == "default None"
    assert mark_of(client, "/") is None


# -- made by the user -----------------------------------------------------------------------


def test_registered_function_stays_what_it_is():
    box = Toolbox("my")

    @box.register("before_handler", name="other", priority=7)
    def function():
        return "result"

    assert function() == "result"
    assert isinstance(box.other, Tool)
    assert box.other._priority == 7


def test_tool_can_be_an_attribute_of_the_toolbox(app_of):
    """The listings 135 to 137 of the reference."""
    seen = []
    cptoolkit.tools.print_ip = cptoolkit.Tool("before_handler", lambda: seen.append("ran"))

    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.print_ip()
        def index(self):
            return "page"

    assert app_of(Root()).get("/").text == "page"
    assert seen == ["ran"]


class LoggingTool(cptoolkit.Tool):
    """Two hooks from one tool: the listing of the reference, 7.2.2."""

    def __init__(self):
        cptoolkit.Tool.__init__(self, "before_handler", self.start_timer, priority=95)

    def _setup(self):
        cptoolkit.Tool._setup(self)
        cptoolkit.request.hooks.attach("before_finalize", self.end_timer, priority=5)

    def start_timer(self):
        cptoolkit.request._time = time.time()

    def end_timer(self):
        duration = time.time() - cptoolkit.request._time
        cptoolkit.log(f"Page handler took {duration:.4f}")


def test_subclass_can_attach_more_hooks(app_of, caplog):
    cptoolkit.tools.timeit = LoggingTool()

    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.timeit()
        def index(self):
            return "hello world"

    client = app_of(Root())
    for _ in range(2):
        caplog.clear()
        assert client.get("/").text == "hello world"
        assert caplog.text.count("Page handler took ") == 1


def test_subclass_can_read_its_options_at_set_up(client_with, box):
    class Greeting(Tool):
        def _setup(self):
            options = self._merged_args()
            cptoolkit.request.hooks.attach(
                "before_finalize", self.callable, priority=5, text=options["greeting"].upper()
            )

    box.greet = Greeting("before_handler", box.mark.callable)
    config = {"/": {"my.greet.on": True, "my.greet.greeting": "hi"}}
    assert mark_of(client_with(Page(), config)) == "HI None"


def test_toolbox_of_ones_own_is_a_config_namespace(app_of):
    """The listings 141 and 142 of the reference, with the toolbox registered."""
    newauthtools = Toolbox("newauth")

    @newauthtools.register("before_request_body")
    def check_access(default=False):
        if not getattr(cptoolkit.request, "userid", default):
            raise cptoolkit.HTTPError(401)

    class Root:
        @cptoolkit.expose
        def default(self, *args):
            return "Hello"

    entries = {"newauth.check_access.on": True, "newauth.check_access.default": False}
    client = app_of(Root(), {"/demo": entries})
    client.get("/demo", status=200)  # as printed, the application does not know the toolbox
    client.app.toolboxes["newauth"] = newauthtools
    client.get("/demo", status=401)
    client.get("/", status=200)
    client.app.merge({"/demo": {"newauth.check_access.default": True}})
    client.get("/demo", status=200)


def test_tool_can_change_parameters(app_of):
    """The listing of the reference, 7.2.3."""
    users = {"7": "Bob"}

    @cptoolkit.tools.register("before_handler")
    def translate_user_id():
        params = cptoolkit.request.params
        params["user"] = users[params.pop("user_id")]

    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.translate_user_id()
        def index(self, user):
            return f"hello {user}"

    client = app_of(Root())
    assert client.get("/?user_id=7").text == "hello Bob"
    client.get("/?user_id=8", status=500)
    client.get("/", status=500)


def test_tools_of_a_point_run_by_priority(client_with, box):
    ran = []
    box.late = Tool("before_handler", lambda: ran.append("late"), priority=60)
    box.first = Tool("before_handler", lambda: ran.append("first of 50"))
    box.second = Tool("before_handler", lambda: ran.append("second of 50"))
    box.early = Tool("before_handler", lambda: ran.append("early"), priority=10)
    config = {f"my.{name}.on": True for name in ("late", "first", "second", "early")}
    client = client_with(Page(), {"/": config})
    client.get("/")
    assert ran == ["early", "first of 50", "second of 50", "late"]
    ran.clear()
    client.app.merge({"/": {"my.late.priority": 5}})
    client.get("/")
    assert ran == ["late", "early", "first of 50", "second of 50"]


def test_priority_can_be_an_attribute_of_the_function():
    def function():
        pass

    function.priority = 11
    assert Tool("before_handler", function).hook({}, None).priority == 11
    assert Tool("before_handler", function).hook({}, 12).priority == 12


def test_tool_has_the_documentation_of_its_function(box):
    assert box.mark.__doc__ == "Mark the answer."


# -- other kinds ----------------------------------------------------------------------------


def answer_if(word=""):
    if cptoolkit.request.params.get("word") == word:
        cptoolkit.response.body = "answered by the tool"
        return True
    return False


def test_handler_tool_answers_in_place_of_the_page(client_with, box):
    box.answer = HandlerTool(answer_if)

    class Root:
        @cptoolkit.expose
        def index(self, **params):
            return "page"

    client = client_with(Root(), {"/": {"my.answer.on": True, "my.answer.word": "open"}})
    assert client.get("/?word=open").text == "answered by the tool"
    assert client.get("/?word=other").text == "page"


def test_handler_tool_can_be_a_page_itself(client_with, box):
    box.answer = HandlerTool(answer_if)

    class Root:
        page = box.answer.handler(word="open")

    client = client_with(Root())
    assert client.get("/page?word=open").text == "answered by the tool"
    client.get("/page?word=other", status=404)


def test_handler_wrapper_calls_the_page(client_with, box):
    def shout(inner, *args, **kwargs):
        return inner(*args, **kwargs).upper()

    box.shout = HandlerWrapperTool(shout)
    assert client_with(Page(), {"/": {"my.shout.on": True}}).get("/").text == "PAGE"


def test_handler_wrappers_nest_by_priority(client_with, box):
    for name, priority in [("outer", 80), ("inner", 20)]:
        box_tool = HandlerWrapperTool(
            lambda page, name=name: f"{name}({page()})", priority=priority
        )
        setattr(box, name, box_tool)
    config = {"/": {"my.outer.on": True, "my.inner.on": True}}
    assert client_with(Page(), config).get("/").text == "outer(inner(page))"


def test_handler_wrapper_looks_for_its_options_in_config(client_with, box):
    def repeat(inner, *args, **kwargs):
        return inner(*args, **kwargs) * cptoolkit.request.config["my.repeat.times"]

    box.repeat = HandlerWrapperTool(repeat)
    config = {"/": {"my.repeat.on": True, "my.repeat.times": 2}}
    assert client_with(Page(), config).get("/").text == "pagepage"


def test_what_has_a_setup_need_not_be_a_tool(client_with, box):
    class Counting:
        count = 0

        def _setup(self):
            cptoolkit.request.hooks.attach("on_end_request", self.count_up)

        def count_up(self):
            self.count += 1

    box.counting = Counting()
    client = client_with(Page(), {"/": {"my.counting.on": True}})
    client.get("/")
    client.get("/")
    assert box.counting.count == 2


def test_error_tool_answers_after_an_unexpected_exception(client_with, box):
    def excuse(text="sorry"):
        cptoolkit.response.status = 503
        cptoolkit.response.body = text

    class Root:
        @cptoolkit.expose
        def index(self):
            return 1 / 0

        @cptoolkit.expose
        def refused(self):
            raise cptoolkit.HTTPError(403)

    box.excuse = ErrorTool(excuse)
    client = client_with(Root(), {"/": {"my.excuse.on": True, "my.excuse.text": "later"}})
    assert client.get("/", status=503).text == "later"
    client.get("/refused", status=403)


# -- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"my.mrak.on": True}, "no tool 'mrak' in the toolbox 'my'; did you mean 'mark'?"),
        ({"my.zzz.on": True}, "no tool 'zzz' in the toolbox 'my'"),
        (
            {"my.mark.on": True, "my.mark.txet": 1},
            "config entry 'my.mark.txet': the tool 'mark' has no option 'txet'; "
            "did you mean 'text'?",
        ),
        ({"my.register.on": True}, "no tool 'register'"),
        ({"my.tools.on": True}, "no tool 'tools'"),
    ],
)
def test_wrong_name_is_a_500_and_told_in_the_log(client_with, caplog, entries, message):
    client = client_with(Page(), {"/other": entries})
    client.get("/other", status=500)
    assert message in caplog.text
    client.get("/", status=200)


def test_wrong_name_of_a_tool_that_is_off_does_no_harm(client_with):
    assert client_with(Page(), {"/": {"my.mrak.on": False}}).get("/").text == "page"


def test_decorator_needs_its_parentheses(box):
    with pytest.raises(TypeError, match=r"takes parentheses: write @my\.mark\(\)"):

        @box.mark
        def page():
            pass


def test_decorator_takes_keywords_only(box):
    with pytest.raises(TypeError, match="the tool 'mark' takes keyword arguments only"):
        box.mark("text")


def test_decorator_refuses_an_option_that_the_tool_lacks(box):
    with pytest.raises(TypeError, match=r"has no option 'txet'; did you mean 'text'\?"):
        box.mark(txet="x")


def test_hook_point_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="did you mean 'before_handler'"):
        Tool("before_handlre", print)


def test_tool_must_be_made_of_a_callable():
    with pytest.raises(TypeError, match="a tool must be made of a callable, got 5"):
        Tool("before_handler", 5)


@pytest.mark.parametrize("layer", ["Gzip", None, dict], ids=repr)
def test_layer_tool_must_be_made_of_a_layer_s_class(layer):
    with pytest.raises(TypeError, match="must be made of a class derived from Layer, or of a func"):
        LayerTool("before_finalize", layer)


def test_layer_tool_must_be_given_a_layer_s_class():
    tool = LayerTool("before_finalize", lambda: "Gzip")
    with pytest.raises(TypeError, match=r"derived from Layer, or of a function .*, got 'Gzip'"):
        tool.options()


def test_tool_cannot_be_turned_on_as_a_whole(box):
    with pytest.raises(AttributeError, match=r"config entry 'my\.mark\.on'"):
        box.mark.on = True
    with pytest.raises(AttributeError, match=r"config entry 'my\.mark\.on'"):
        box.mark.on  # noqa: B018


def test_tool_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(AttributeError, match="no tool 'json_otu'; did you mean 'json_out'"):
        cptoolkit.tools.json_otu  # noqa: B018


# -- at run time ----------------------------------------------------------------------------


def test_tool_can_be_added_and_removed_at_run_time(client_with, box):
    client = client_with(Page(), {"/": {"my.new.on": True}})
    client.get("/", status=500)
    box.new = Tool("before_handler", box.mark.callable)
    assert mark_of(client) == "default None"
    del box.new
    client.get("/", status=500)


def test_function_of_a_tool_can_be_replaced_at_run_time(client_with, box):
    def other(text=""):
        cptoolkit.response.headers["X-Mark"] = "other"

    client = client_with(Page(), {"/": {"my.mark.on": True}})
    assert mark_of(client) == "default None"
    box.mark.callable = other
    assert mark_of(client) == "other"


def test_looking_at_tools_changes_no_generation():
    before = generation.value
    assert "encode" in default_tools.tools()
    assert "encode" in repr(default_tools.encode)
    assert generation.value == before
