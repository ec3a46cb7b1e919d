"""7.2 and 7.4: hook points, tools and body processors, as the reference makes and uses them."""

import re
import time

import pytest

import cptoolkit as cherrypy

POINTS = [
    "on_start_resource",
    "before_request_body",
    "before_handler",
    "before_finalize",
    "on_end_resource",
    "before_error_response",
    "after_error_response",
    "on_end_request",
]
ON_ERRORS = {"before_error_response", "after_error_response"}  # on unexpected ones


class Pages:
    def __init__(self, told):
        self.told = told

    @cherrypy.expose
    def good(self):
        self.told.append("handler")
        return "good"

    @cherrypy.expose
    def refused(self):
        self.told.append("handler")
        raise cherrypy.HTTPError(402)

    @cherrypy.expose
    def moved(self):
        self.told.append("handler")
        raise cherrypy.HTTPRedirect("/good")

    @cherrypy.expose
    def broken(self):
        self.told.append("handler")
        raise LookupError("unexpected")


@pytest.mark.parametrize(
    ("path", "status", "left_out"),
    [
        pytest.param("/good", 200, ON_ERRORS, id="good"),
        pytest.param("/refused", 402, ON_ERRORS, id="error"),
        pytest.param("/moved", 302, ON_ERRORS, id="moved"),
        pytest.param("/broken", 500, {"before_finalize"}, id="unexpected"),
    ],
)
def test_hook_points_are_come_by_in_their_order(app_of, path, status, left_out):
    """7.2.1."""
    told = []
    config = {f"hooks.{point}": lambda point=point: told.append(point) for point in POINTS}
    app_of(Pages(told), {"/": config}).get(path, status=status)
    expected = [point for point in POINTS if point not in left_out]
    expected.insert(3, "handler")
    assert told == expected


def logit_by_decorator(printed):
    @cherrypy.tools.register("before_finalize")
    def logit():
        printed.append(cherrypy.request.remote.ip)


def logit_by_assignment(printed):
    cherrypy.tools.logit = cherrypy.Tool(
        "before_finalize", lambda: printed.append(cherrypy.request.remote.ip)
    )


@pytest.mark.parametrize("make", [logit_by_decorator, logit_by_assignment])
def test_tool_is_a_function_at_a_hook_point(app_of, make):
    """7.2.2: made in either way, and used as a decorator."""
    printed = []
    make(printed)

    class Root:
        @cherrypy.expose
        @cherrypy.tools.logit()
        def index(self):
            return "hello world"

        @cherrypy.expose
        def other(self):
            return "not logged"

    client = app_of(Root())
    client.get("/other")
    assert client.get("/", extra_environ={"REMOTE_ADDR": "10.0.0.9"}).text == "hello world"
    assert printed == ["10.0.0.9"]


class TimingTool(cherrypy.Tool):
    def __init__(self):
        cherrypy.Tool.__init__(self, "before_handler", self.start_timer, priority=95)

    def _setup(self):
        cherrypy.Tool._setup(self)
        cherrypy.request.hooks.attach("before_finalize", self.end_timer, priority=5)

    def start_timer(self):
        cherrypy.request._time = time.time()

    def end_timer(self):
        duration = time.time() - cherrypy.request._time
        cherrypy.log(f"Page handler took {duration:.4f}")


def test_tool_with_state_uses_two_hook_points(app_of, caplog):
    """7.2.2."""
    cherrypy.tools.timeit = TimingTool()

    class Root:
        @cherrypy.expose
        @cherrypy.tools.timeit()
        def index(self):
            return "hello world"

    assert app_of(Root()).get("/").text == "hello world"
    assert re.search(r"Page handler took \d+\.\d{4}", caplog.text)


def test_tools_are_ordered_by_priority(app_of):
    """7.2.2: the lower number comes first, whatever the order of config."""
    told = []
    for name, priority in (("late", 80), ("early", 20), ("between", None)):
        options = {} if priority is None else {"priority": priority}

        def tell(name=name):
            told.append(name)

        setattr(cherrypy.tools, name, cherrypy.Tool("before_handler", tell, **options))
    config = {f"tools.{name}.on": True for name in ("late", "early", "between")}
    app_of(Pages([]), {"/": config}).get("/good")
    assert told == ["early", "between", "late"]


class Demo:
    @cherrypy.expose
    def index(self):
        return "Hello"

    @cherrypy.expose
    def default(self, *path):
        return "Hello"


@pytest.mark.parametrize(("default", "status"), [(False, 401), (True, 200)])
def test_toolbox_of_ones_own_is_a_namespace_of_config(app_of, default, status):
    """7.2.2: once it is registered with the application."""
    newauthtools = cherrypy._cptools.Toolbox("newauth")

    @newauthtools.register("before_request_body")
    def check_access(default=False):
        if not getattr(cherrypy.request, "userid", default):
            raise cherrypy.HTTPError(401)

    conf = {"/demo": {"newauth.check_access.on": True, "newauth.check_access.default": default}}
    app = cherrypy.tree.mount(Demo(), config=conf)
    app.toolboxes["newauth"] = newauthtools
    client = app_of(app)
    assert client.get("/demo", status=status)
    assert client.get("/").text == "Hello"


class User:
    def __init__(self, name):
        self.name = name


class UserManager(cherrypy.Tool):
    def __init__(self):
        cherrypy.Tool.__init__(self, "before_handler", self.load, priority=10)

    def load(self):
        request = cherrypy.request
        user_id = request.params.pop("user_id")
        request.params["user"] = request.db.get(int(user_id))


@pytest.fixture
def users(app_of):
    def open_database():
        cherrypy.request.db = {7: User("Bob")}

    cherrypy.tools.database = cherrypy.Tool("on_start_resource", open_database)
    cherrypy.tools.user = UserManager()

    class Root:
        @cherrypy.expose
        @cherrypy.tools.user()
        def index(self, user):
            return f"hello {user.name}"

    return app_of(Root(), {"/": {"tools.database.on": True}})


def test_tool_changes_parameters_into_objects(users):
    """7.2.3: one is removed, another injected."""
    assert users.get("/?user_id=7").text == "hello Bob"


@pytest.mark.parametrize("url", ["/", "/?user_id=8"], ids=["missing", "unknown"])
def test_tool_that_fails_is_a_500(users, url):
    """7.2.3: the listing has nothing for such requests."""
    users.get(url, status=500)


class Upload:
    @cherrypy.expose
    def index(self):
        return repr(cherrypy.request.body.shouted)


def test_body_processor_reads_its_media_type(app_of):
    """7.4: one in ``processors``, by type."""

    def read_shouted(entity):
        entity.shouted = entity.fp.read().decode().upper()

    def add_processor():
        cherrypy.request.body.shouted = None
        cherrypy.request.body.processors["application/x-shout"] = read_shouted

    client = app_of(Upload(), {"/": {"hooks.before_request_body": add_processor}})
    assert client.post("/", b"words", content_type="application/x-shout").text == "'WORDS'"
    assert client.post("/", b"words", content_type="text/plain").text == "None"
