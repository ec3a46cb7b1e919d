"""Applications and the tree of them: mounting, serving, streaming, threads (reference, 5.9)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from webtest import TestApp

import cptoolkit
from cptoolkit import Application, Tree
from cptoolkit.http.request import Request
from cptoolkit.http.response import Response

PLAIN = ("Content-Type", "text/plain")


class Where:
    """Answers with where it stands."""

    def __init__(self, name=""):
        self.name = name

    @cptoolkit.expose
    def default(self, *args):
        request = cptoolkit.request
        return f"{self.name} {request.script_name} {request.path_info}".strip()

    @cptoolkit.expose
    def url(self):
        return cptoolkit.url("/page", base="")


def wsgi_app(environ, start_response):
    start_response("200 OK", [PLAIN])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]


def environ_for(path="/", **more):
    environ = {"SCRIPT_NAME": "", "PATH_INFO": path, **more}
    setup_testing_defaults(environ)
    return environ


def served(app, path="/", **more):
    """Status, header list and body object of an application, and what start_response was given."""
    started = []
    body = app(environ_for(path, **more), lambda *args: started.append(args))
    return started[0][0], started[0][1], body


@pytest.fixture
def tree():
    return Tree()


# -- the tree -------------------------------------------------------------------------------


def test_longest_mount_point_serves(tree):
    for script_name in ("", "/blog", "/blog/admin", "/forum"):
        tree.mount(Where(script_name or "root"), script_name)
    client = TestApp(tree)
    assert client.get("/x").text == "root  /x"
    assert client.get("/blog/x").text == "/blog /blog /x"
    assert client.get("/blog/admin/x").text == "/blog/admin /blog/admin /x"
    assert client.get("/forum/").text == "/forum /forum /"
    assert client.get("/blogs").text == "root  /blogs"


def test_more_slashes_than_one_count_as_one(tree):
    for script_name in ("", "/blog"):
        tree.mount(Where(script_name or "root"), script_name)
    client = TestApp(tree)
    assert client.get("//blog//x").text == "/blog /blog /x"
    assert TestApp(tree.apps[""]).get("//evil.example/x").text == "root  /evil.example/x"


def test_more_slashes_than_one_do_not_avoid_the_dispatcher_of_a_section():
    class Resource:
        exposed = True

        def GET(self):
            return "got"

    class Root:
        api = Resource()

    dispatcher = cptoolkit.dispatch.MethodDispatcher()
    client = TestApp(Application(Root(), "", {"/api": {"request.dispatch": dispatcher}}))
    assert client.get("//api").text == "got"


def test_redirect_for_a_slash_stays_on_this_host_whatever_the_path_begins_with():
    @cptoolkit.popargs("name")
    class Root:
        @cptoolkit.expose
        def index(self, name=""):
            return name

    app = Application(Root())
    app.relative_urls = "server"
    answer = TestApp(app).get("//evil.example", status=301)
    assert answer.location == "http://localhost:80/evil.example/"


def test_path_without_an_application_is_404(tree):
    tree.mount(Where(), "/blog")
    response = TestApp(tree).get("/", status=404)
    assert response.text == "There is no application here."
    assert TestApp(tree).head("/", status=404).body == b""


def test_mount_point_without_its_slash_is_redirected(tree):
    class Root:
        @cptoolkit.expose
        def index(self):
            return "index"

    tree.mount(Root(), "/blog")
    client = TestApp(tree)
    assert client.get("/blog", status=301).location == "http://localhost:80/blog/"
    assert client.get("/blog/").text == "index"


@pytest.mark.parametrize("script_name", ["/blog", "/blog/", "/blog//"])
def test_slash_at_the_end_of_a_mount_point_does_not_count(tree, script_name):
    assert tree.mount(Where(), script_name).script_name == "/blog"


def test_mount_point_of_the_root_is_empty():
    assert Application(Where(), "/").script_name == ""


def test_mount_point_may_have_any_characters(tree):
    tree.mount(Where(), "/café")
    assert TestApp(tree).get("/caf%C3%A9/x").text == "/café /x"


@pytest.mark.parametrize("name", ["blog", "blog/"])
def test_mount_point_without_its_first_slash_is_refused(tree, name):
    with pytest.raises(ValueError, match="must begin with a slash; did you mean '/blog'"):
        tree.mount(Where(), name)


@pytest.mark.parametrize(("name", "message"), [(None, "script_name must be a str"), (5, "got 5")])
def test_mount_point_must_be_text(tree, name, message):
    with pytest.raises(TypeError, match=message):
        tree.mount(Where(), name)


def test_urls_have_the_mount_point(tree):
    tree.mount(Where(), "/blog")
    assert TestApp(tree).get("/blog/url").text == "/blog/page"


def test_application_can_be_mounted_at_its_own_place_only(tree):
    app = Application(Where(), "/blog")
    assert tree.mount(app) is app
    assert tree.apps == {"/blog": app}
    with pytest.raises(ValueError, match="is made for '/blog', and cannot be mounted at '/x'"):
        tree.mount(app, "/x")


def test_application_at_the_root_can_be_mounted_there_only(tree):
    with pytest.raises(ValueError, match="is made for '', and cannot be mounted at '/x'"):
        tree.mount(Application(Where()), "/x")


def test_config_given_when_an_application_is_mounted_is_added(tree):
    app = Application(Where(), "/blog", {"/": {"response.headers.X-A": "a"}})
    tree.mount(app, "/blog", {"/": {"response.headers.X-B": "b"}})
    headers = TestApp(tree).get("/blog/").headers
    assert (headers["X-A"], headers["X-B"]) == ("a", "b")


def test_each_application_has_its_own_config(tree):
    tree.mount(Where(), "/a", {"/": {"response.headers.X-A": "a"}})
    tree.mount(Where(), "/b", {"/": {"response.headers.X-B": "b"}})
    headers = TestApp(tree).get("/b/").headers
    assert "X-A" not in headers
    assert headers["X-B"] == "b"


def test_grafted_application_sees_where_it_is(tree):
    tree.graft(wsgi_app, "/old")
    tree.mount(Where("ours"))
    client = TestApp(tree)
    assert client.get("/old/a/b").text == "/old /a/b"
    assert client.get("/old").text == "/old "
    assert client.get("/older").text == "ours  /older"


def test_grafted_application_may_be_the_root(tree):
    tree.graft(wsgi_app)
    assert TestApp(tree).get("/any/path").text == " /any/path"


def test_what_is_no_wsgi_application_cannot_be_grafted(tree):
    with pytest.raises(TypeError, match="a WSGI application must be callable, got 5"):
        tree.graft(5, "/x")


def test_tree_below_a_mount_point_of_the_host(tree):
    tree.mount(Where("ours"), "/host/app")
    response = TestApp(tree).get("/app/x", extra_environ={"SCRIPT_NAME": "/host"})
    assert response.text == "ours /host/app /x"


def test_tree_of_one_application_is_served_below_a_mount_point_of_the_host(tree):
    tree.mount(Where("ours"))
    response = TestApp(tree).get("/x", extra_environ={"SCRIPT_NAME": "/host"})
    assert response.status_int == 200


def test_script_name_of_a_path(tree):
    tree.mount(Where(), "/a/b")
    assert tree.script_name("/a/b/c") == "/a/b"
    assert tree.script_name("/a") is None
    tree.mount(Where())
    assert tree.script_name("/a") == ""


def test_script_name_can_come_from_the_request():
    app = Application(Where(), script_name=None)
    response = TestApp(app).get("/x", extra_environ={"SCRIPT_NAME": "/wherever"})
    assert response.text == "/wherever /x"
    assert TestApp(app).get("/url", extra_environ={"SCRIPT_NAME": "/w"}).text == "/w/page"


def test_icon_is_served_at_the_root_of_the_site(tree):
    tree.mount(Where())
    response = TestApp(tree).get("/favicon.ico")
    assert response.content_type == "image/x-icon"
    assert len(response.body) > 100


def test_icon_of_the_applications_own_stays(tree):
    class Root(Where):
        @cptoolkit.expose
        def favicon_ico(self):
            return "mine"

    tree.mount(Root())
    assert TestApp(tree).get("/favicon.ico").text == "mine"


def test_root_that_takes_no_attributes_does_without_an_icon(tree):
    class Root:
        __slots__ = ()

        @cptoolkit.expose
        def index(self):
            return "index"

    tree.mount(Root())
    TestApp(tree).get("/favicon.ico", status=404)


# -- an application of one's own ------------------------------------------------------------


def test_application_is_a_wsgi_callable():
    app = Application(Where())
    assert app.script_name == ""
    status, headers, body = served(app, "/x")
    assert (status, b"".join(body)) == ("200 OK", b"/x")
    assert ("Content-Type", "text/html;charset=utf-8") in headers


def test_subclass_may_have_its_own_classes():
    class MyRequest(Request):
        def shout(self):
            return "HELLO"

    class MyResponse(Response):
        encoding = "utf-16-le"

    class MyApplication(Application):
        request_class = MyRequest
        response_class = MyResponse

    class Root:
        @cptoolkit.expose
        def index(self):
            return cptoolkit.request.shout()

    response = TestApp(MyApplication(Root())).get("/")
    assert response.body == "HELLO".encode("utf-16-le")
    assert response.charset == "utf-16-le"


def test_request_class_may_say_which_dispatcher(tree):
    class Fixed(Request):
        @staticmethod
        def dispatch(path_info):
            cptoolkit.request.handler = lambda: f"fixed {path_info}"

    app = Application(None)
    app.request_class = Fixed
    assert TestApp(app).get("/x").text == "fixed /x"


def test_namespace_of_the_application_is_called_when_config_is_merged():
    seen = []
    app = Application(None)
    app.namespaces["mine"] = lambda key, value: seen.append((key, value))
    app.merge({"/": {"mine.a": 1}, "/x": {"mine.b": 2}})
    assert seen == [("a", 1)]


def test_config_can_be_found_by_path():
    app = Application(None, config={"/": {"a.a": 1, "a.b": 1}, "/x": {"a.a": 2}})
    assert app.find_config("/x/y", "a.a") == 2
    assert app.find_config("/x/y/", "a.b") == 1
    assert app.find_config("/xy", "a.a") == 1
    assert app.find_config("/x", "a.c", "default") == "default"


def test_repr_names_mount_point_and_root():
    assert repr(Application(None, "/blog")) == "<Application /blog of None>"


def test_handler_may_call_another_application():
    inner = Application(Where("inner"), "/inner")

    class Root:
        @cptoolkit.expose
        def index(self):
            environ = {**cptoolkit.request.environ, "SCRIPT_NAME": "/inner", "PATH_INFO": "/x"}
            _, _, body = served_with(inner, environ)
            answer = b"".join(body).decode()
            return f"{answer} in {cptoolkit.request.path_info}"

    def served_with(app, environ):
        started = []
        body = app(environ, lambda *args: started.append(args))
        return started[0][0], started[0][1], body

    assert TestApp(Application(Root())).get("/").text == "inner /inner /x in /"


# -- middleware in config -------------------------------------------------------------------


class Changer:
    """Middleware of the reference's kind: it makes the body other and sees the environ."""

    def __init__(self, nextapp, old=b"", new=b""):
        self.nextapp, self.old, self.new = nextapp, old, new

    def __call__(self, environ, start_response):
        environ["changed.by"] = "Changer"
        body = self.nextapp(environ, start_response)
        try:
            return [chunk.replace(self.old, self.new) for chunk in body]
        finally:
            if hasattr(body, "close"):
                body.close()


class Seen:
    @cptoolkit.expose
    def index(self):
        return cptoolkit.request.environ.get("changed.by", "nobody")


def test_pipeline_is_around_the_application(app_of):
    config = {"wsgi.pipeline": [("c", Changer)], "wsgi.c.old": b"C", "wsgi.c.new": b"c"}
    client = app_of(Seen(), {"/": config})
    assert client.get("/").text == "changer"
    client.app.merge({"/": {"wsgi.c.new": b"K"}})
    assert client.get("/").text == "Khanger"


def test_first_of_the_pipeline_is_the_outermost(app_of):
    order = []

    def factory(name):
        def make(nextapp):
            def app(environ, start_response):
                order.append(name)
                return nextapp(environ, start_response)

            return app

        return make

    pipeline = [("outer", factory("outer")), ("inner", factory("inner"))]
    app_of(Seen(), {"/": {"wsgi.pipeline": pipeline}}).get("/")
    assert order == ["outer", "inner"]


def test_pipeline_is_added_to_and_config_merged_again_does_not_double_it(app_of):
    made = []

    def make(nextapp):
        made.append(nextapp)
        return nextapp

    client = app_of(Seen(), {"/": {"wsgi.pipeline": [("a", make)]}})
    client.app.merge({"/": {"response.stream": False}})
    assert len(made) == 1
    made.clear()
    client.app.wsgiapp.pipeline.append(("b", make))
    for _ in range(3):
        client.get("/")
    assert len(made) == 2


def test_response_class_can_be_said_in_config(app_of):
    class Own(Response):
        def finalize(self):
            super().finalize()
            self.headers["X-Own"] = "yes"

    client = app_of(Seen(), {"/": {"wsgi.response_class": Own}})
    assert client.get("/").headers["X-Own"] == "yes"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"wsgi.pipeline": [Changer]}, "a list of \\(name, factory\\) pairs, got <class"),
        ({"wsgi.pipeline": [("c", "no factory")]}, "got \\('c', 'no factory'\\)"),
        ({"wsgi.pipeline": Changer}, "a list of \\(name, factory\\) pairs, got <class"),
        ({"wsgi.pipelin": []}, "config entry 'wsgi.pipelin': expected 'wsgi.pipeline'"),
        ({"wsgi.response_class": 5}, "'wsgi.response_class' must be a subclass of Response"),
    ],
)
def test_wrong_entry_is_refused_when_config_is_merged(entries, message):
    with pytest.raises(ValueError, match=message):
        Application(None, config={"/": entries})


def test_option_that_middleware_does_not_take_is_named_when_config_is_merged():
    config = {"wsgi.pipeline": [("c", Changer)], "wsgi.c.odl": 1}
    with pytest.raises(ValueError, match=r"'c' cannot be made with the options \{'odl': 1\}"):
        Application(None, config={"/": config})


# -- internal redirects ---------------------------------------------------------------------


class Redirects:
    @cptoolkit.expose
    def index(self):
        raise cptoolkit.InternalRedirect("/target?x=1")

    @cptoolkit.expose
    def target(self, **params):
        request = cptoolkit.request
        return f"{request.method} {params} from {request.prev.path_info}"

    @cptoolkit.expose
    def loop(self):
        raise cptoolkit.InternalRedirect("/loop")

    @cptoolkit.expose
    def long_loop(self, n):
        raise cptoolkit.InternalRedirect(f"/long_loop?n={1 - int(n)}")

    @cptoolkit.expose
    def chain(self, n):
        if n == "0":
            return "arrived"
        raise cptoolkit.InternalRedirect(f"chain?n={int(n) - 1}")

    @cptoolkit.expose
    def to_nothing(self):
        raise cptoolkit.InternalRedirect("/nope")

    @cptoolkit.expose
    def to_error(self):
        raise cptoolkit.InternalRedirect("/error")

    @cptoolkit.expose
    def error(self):
        raise KeyError("after the redirect")


def test_internal_redirect_is_answered_by_its_target(app_of):
    assert app_of(Redirects()).get("/").text == "GET {'x': '1'} from /"


def test_internal_redirect_of_a_post_is_a_get_without_its_body(app_of):
    assert app_of(Redirects()).post("/", {}).text == "GET {'x': '1'} from /"


def test_internal_redirect_is_relative_to_the_current_path(app_of):
    assert app_of(Redirects(), script_name="/app").get("/app/chain?n=5").text == "arrived"


@pytest.mark.parametrize("path", ["/loop", "/long_loop?n=1"])
def test_internal_redirect_in_a_circle_is_a_500_and_logged(app_of, caplog, path):
    app_of(Redirects()).get(path, status=500)
    assert "where this request has been before" in caplog.text


def test_errors_after_an_internal_redirect_are_answered(app_of):
    client = app_of(Redirects())
    assert "The path '/nope' was not found." in client.get("/to_nothing", status=404)
    client.get("/to_error", status=500)


def test_each_request_of_an_internal_redirect_ends(app_of):
    ended = []
    hook = {"hooks.on_end_request": lambda: ended.append(cptoolkit.request.path_info)}
    client = app_of(Redirects(), {"/": hook})
    client.get("/")
    client.get("/to_error", status=500)
    assert ended == ["/", "/target", "/to_error", "/error"]


# -- errors that leave ----------------------------------------------------------------------


class Fails:
    @cptoolkit.expose
    def index(self):
        raise KeyError("for the debugger")

    @cptoolkit.expose
    def within(self):
        raise cptoolkit.InternalRedirect("/")


@pytest.mark.parametrize("path", ["/", "/within"])
def test_thrown_errors_leave_the_application_and_the_request_ends(path):
    ended = []
    hook = {"hooks.on_end_request": lambda: ended.append(cptoolkit.request.path_info)}
    app = Application(Fails(), config={"/": {"request.throw_errors": True, **hook}})
    with pytest.raises(KeyError, match="for the debugger"):
        served(app, path)
    assert ended[-1] == "/"
    assert cptoolkit.request.app is None


def test_request_ends_if_the_handler_is_interrupted():
    ended = []

    class Root:
        @cptoolkit.expose
        def index(self):
            raise KeyboardInterrupt

    app = Application(Root(), config={"/": {"hooks.on_end_request": lambda: ended.append(1)}})
    with pytest.raises(KeyboardInterrupt):
        served(app)
    assert ended == [1]


def test_request_ends_if_the_host_refuses_the_headers():
    ended = []

    def refuse(*args):
        raise ValueError("no such header field")

    app = Application(Seen(), config={"/": {"hooks.on_end_request": lambda: ended.append(1)}})
    with pytest.raises(ValueError, match="no such header field"):
        app(environ_for(), refuse)
    assert ended == [1]


# -- streams --------------------------------------------------------------------------------

STREAM = {"/": {"response.stream": True}}


class Streams:
    def __init__(self):
        self.events = []

    @cptoolkit.expose
    def index(self):
        self.events.append("called")

        def body():
            try:
                for number in range(3):
                    self.events.append(number)
                    yield f"{number} {cptoolkit.request.path_info}\n"
            finally:
                self.events.append("closed")

        return body()

    @cptoolkit.expose
    def fails(self):
        yield "half"
        raise KeyError("in the stream")


def test_stream_is_drawn_as_it_is_sent():
    root = Streams()
    status, headers, body = served(Application(root, config=STREAM))
    assert (status, root.events) == ("200 OK", ["called"])
    assert "Content-Length" not in dict(headers)
    assert cptoolkit.request.app is None  # the host draws it from outside of the request
    assert next(iter(body)) == b"0 /\n"
    assert root.events == ["called", 0]


def test_stream_left_by_the_client_is_closed_once():
    root = Streams()
    _, _, body = served(Application(root, config=STREAM))
    next(iter(body))
    body.close()
    body.close()
    assert root.events == ["called", 0, "closed"]


def test_stream_that_was_never_drawn_is_closed_for_head():
    class Body:
        closed = 0

        def __iter__(self):
            return iter([b"never"])

        def close(self):
            self.closed += 1

    body = Body()

    class Root:
        @cptoolkit.expose
        def index(self):
            return body

    response = TestApp(Application(Root(), config=STREAM)).head("/")
    assert (response.body, body.closed) == (b"", 1)


def test_error_in_a_stream_is_logged_and_goes_to_the_host(caplog):
    _, _, body = served(Application(Streams(), config=STREAM), "/fails")
    assert next(body) == b"half"
    with pytest.raises(KeyError, match="in the stream"):
        next(body)
    body.close()
    assert "the body failed after the response had begun" in caplog.text
    assert "in the stream" in caplog.text


def test_error_in_a_body_that_is_no_stream_is_a_500(app_of):
    app_of(Streams()).get("/fails", status=500)


def test_body_that_is_no_stream_has_a_length(app_of):
    response = app_of(Streams()).get("/")
    assert response.headers["Content-Length"] == "12"
    assert response.text == "0 /\n1 /\n2 /\n"


def test_several_streams_do_not_see_each_others_request():
    app = Application(Streams(), config=STREAM)
    bodies = [served(app, "/", QUERY_STRING="")[2] for _ in range(2)]
    other = served(Application(Where()), "/other")[2]
    assert [next(iter(body)) for body in bodies] == [b"0 /\n", b"0 /\n"]
    assert b"".join(other) == b"/other"
    for body in bodies:
        body.close()


# -- conformance and threads ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/fails", "/nope", "/index?x=1"])
@pytest.mark.parametrize("stream", [True, False])
def test_conforms_to_pep_3333(method, path, stream, caplog):
    app = Application(Streams(), config={"/": {"response.stream": stream}})
    path, _, query = path.partition("?")
    environ = environ_for(path, REQUEST_METHOD=method, QUERY_STRING=query)
    body = validator(app)(environ, lambda status, headers, exc_info=None: lambda data: None)
    try:
        if path == "/fails" and stream and method != "HEAD":
            with pytest.raises(KeyError):
                list(body)
        else:
            assert (b"".join(body) == b"") == (method == "HEAD")
    finally:
        body.close()


def test_threads_do_not_see_each_others_requests():
    meet = threading.Barrier(8, timeout=20)

    class Root:
        @cptoolkit.expose
        def page(self, number, word):
            cptoolkit.serving.mine = number
            cptoolkit.response.headers["X-Number"] = number
            meet.wait()
            request = cptoolkit.request
            parts = [number, request.params["word"], request.path_info, cptoolkit.serving.mine]
            meet.wait()
            return " ".join(parts)

    client = TestApp(Application(Root()))

    def ask(number):
        for turn in range(10):
            response = client.get(f"/page/{number}?word=w{turn}")
            assert response.text == f"{number} w{turn} /page/{number} {number}"
            assert response.headers["X-Number"] == str(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))


def test_listeners_of_the_bus_hear_of_each_request(app_of):
    heard = []
    for channel in ("before_request", "after_request"):
        cptoolkit.engine.subscribe(
            channel, lambda channel=channel: heard.append((channel, cptoolkit.request.path_info))
        )
    app_of(Where()).get("/x")
    assert heard == [("before_request", "/x"), ("after_request", "/x")]


def test_answer_is_sent_although_a_listener_fails_after_it(app_of, caplog):
    def fail():
        raise ValueError("out of order")

    cptoolkit.engine.subscribe("after_request", fail)
    assert app_of(Where()).get("/x").text == "/x"
    assert "out of order" in caplog.text
