"""What every layer does, as WSGI middleware and as a config tool."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from webob import Request, Response, exc
from webtest import TestApp

import cptoolkit
from cptoolkit import middleware
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware import HOMES, RateLimit, StaticDir, Timeout
from cptoolkit.middleware.layer import Layer, call

PLAIN = ("Content-Type", "text/plain")


@dataclass(kw_only=True, eq=False)
class Journal(Layer):
    """Notes what happens, and does what the path asks for."""

    notes: list = field(default_factory=list)
    word: str = "default"

    def before(self, request):
        self.notes.append("before")
        if request.path_info == "/refused":
            raise exc.HTTPForbidden("refused by the layer")
        if request.path_info == "/answered":
            return Response(self.word)
        if request.path_info == "/broken":
            raise KeyError("before")
        return None

    def after(self, request, response):
        self.notes.append("after")
        response.headers["X-Word"] = self.word
        if request.path_info == "/refused-after":
            raise exc.HTTPForbidden("refused by the layer")
        if request.path_info == "/replaced":
            return Response("replaced")
        if request.path_info == "/broken-after":
            raise KeyError("after")
        return None

    def finish(self, request, response):
        self.notes.append("finish")


def environ():
    return Request.blank("/").environ


def ignore(status, headers, exc_info=None):
    """A start_response for tests that look at the body alone."""


class Counted(Layer):
    def after(self, request, response):
        response.headerlist.append(("X-Count", "1"))


class Closeable:
    """A body that counts how often it is closed."""

    def __init__(self, items):
        self.items, self.closed = items, 0

    def __iter__(self):
        return iter(self.items)

    def close(self):
        self.closed += 1


def app_with(body, status="200 OK"):
    def app(environ, start_response):
        start_response(status, [PLAIN])
        return body

    return app


class Root:
    @cptoolkit.expose
    def default(self, *args):
        return "from the app"


@pytest.fixture
def notes():
    return []


@pytest.fixture(params=["middleware", "tool"])
def client(request, notes, app_of):
    """The layer in front of an application, in each of its two uses."""
    if request.param == "middleware":
        return TestApp(Journal(Response("from the app"), notes=notes, word="mine"))
    cptoolkit.tools.journal = LayerTool("before_handler", Journal)
    options = {"on": True, "notes": notes, "word": "mine"}
    entries = {f"tools.journal.{name}": value for name, value in options.items()}
    return app_of(Root(), {"/": entries})


# -- the same in both uses ------------------------------------------------------------------


def test_request_and_response_pass_through_the_layer(client, notes):
    response = client.get("/x")
    assert (response.text, response.headers["X-Word"]) == ("from the app", "mine")
    assert notes == ["before", "after", "finish"]


def test_layer_can_answer_itself(client, notes):
    response = client.get("/answered")
    assert (response.text, response.headers["X-Word"]) == ("mine", "mine")
    assert notes == ["before", "after", "finish"]


def test_layer_can_refuse(client, notes):
    response = client.get("/refused", status=403)
    assert "refused by the layer" in response
    assert response.headers["X-Word"] == "mine"
    assert notes == ["before", "after", "finish"]


def test_layer_can_replace_the_response(client, notes):
    assert client.get("/replaced").text == "replaced"
    assert notes == ["before", "after", "finish"]


def test_layer_can_refuse_on_the_way_out(client, notes):
    assert "refused by the layer" in client.get("/refused-after", status=403)
    assert notes[-1] == "finish"
    assert notes.count("finish") == 1


def test_head_is_answered_without_a_body(client, notes):
    assert client.head("/answered").body == b""
    assert notes == ["before", "after", "finish"]


# -- as middleware --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/broken", "/broken-after"])
def test_error_of_the_layer_goes_up_and_it_is_finished(notes, path):
    body = Closeable([b"x"])
    layer = Journal(app_with(body), notes=notes)
    with pytest.raises(KeyError):
        Request.blank(path).get_response(layer)
    assert notes[-1] == "finish"
    assert body.closed == (1 if path == "/broken-after" else 0)


def test_error_of_the_application_goes_up_and_the_layer_is_finished(notes):
    def app(environ, start_response):
        raise KeyError("app")

    with pytest.raises(KeyError, match="app"):
        Request.blank("/").get_response(Journal(app, notes=notes))
    assert notes == ["before", "finish"]


def test_layers_meet_as_objects(notes):
    seen = []

    @dataclass(kw_only=True, eq=False)
    class Sees(Layer):
        def before(self, request):
            seen.append(request)

        def after(self, request, response):
            seen.append(response)

    layer = Sees(Sees(Response("x")))
    assert TestApp(layer).get("/").text == "x"
    request, inner_request, inner_response, response = seen
    assert request is inner_request
    assert response is inner_response


def test_body_stays_a_stream():
    drawn = []

    def body():
        for item in (b"a", b"b"):
            drawn.append(item)
            yield item

    items = iter(Layer(app_with(body()))(environ(), ignore))
    assert drawn == []
    assert next(items) == b"a"
    assert drawn == [b"a"]


def test_body_stays_a_stream_if_start_response_is_called_from_within():
    drawn = []

    def app(environ, start_response):
        start_response("201 Created", [PLAIN])
        for item in (b"a", b"b", b"c"):
            drawn.append(item)
            yield item

    started = []
    body = Layer(app)(environ(), lambda *args: started.append(args))
    assert started == [("201 Created", [PLAIN])]
    assert drawn == [b"a"]
    assert list(body) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_length_that_the_application_says_is_kept(notes, method):
    def app(environ, start_response):
        start_response("200 OK", [PLAIN, ("Content-Length", "4")])
        return [b"text"]

    sent = []
    layer = Journal(Journal(app, notes=notes), notes=notes)
    layer({**environ(), "REQUEST_METHOD": method}, lambda *args: sent.append(args)).close()
    assert ("Content-Length", "4") in sent[0][1]


def test_body_object_is_the_applications_own_if_nothing_has_to_be_finished():
    body = Closeable([b"x"])  # so that a host recognises its wsgi.file_wrapper
    assert Layer(app_with(body))(environ(), ignore) is body


def test_what_is_written_comes_before_the_body():
    def app(environ, start_response):
        write = start_response("200 OK", [PLAIN])
        write(b"a")
        write(b"b")
        return [b"c"]

    assert TestApp(Layer(app)).get("/").text == "abc"


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("finishes", [True, False])
def test_body_is_closed_once(notes, lazy, finishes):
    body = Closeable([b"x"])

    class Lazy(Closeable):
        def __iter__(self):
            self.start_response("200 OK", [PLAIN])
            return super().__iter__()

    def app(environ, start_response):
        if not lazy:
            return app_with(body)(environ, start_response)
        body.__class__, body.start_response = Lazy, start_response
        return body

    layer = Journal(app, notes=notes) if finishes else Layer(app)
    response = layer(environ(), ignore)
    assert list(response) == [b"x"]
    assert body.closed == 0
    response.close()
    if finishes:
        response.close()
    assert body.closed == 1
    assert notes.count("finish") == finishes


def test_body_that_fails_before_start_response_is_closed():
    body = Closeable([])
    with pytest.raises(AssertionError, match="has not called start_response"):
        call(lambda environ, start_response: body, {})
    assert body.closed == 1


def test_body_is_closed_and_the_layer_finished_if_the_host_refuses_the_headers(notes):
    def refuse(*args):
        raise ValueError("no such header field")

    body = Closeable([b"x"])
    with pytest.raises(ValueError, match="no such header field"):
        Journal(app_with(body), notes=notes)(environ(), refuse)
    assert body.closed == 1
    assert notes[-1] == "finish"


def test_error_page_may_replace_headers_that_are_not_sent():
    def app(environ, start_response):
        start_response("200 OK", [PLAIN])
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            start_response("500 Oops", [PLAIN], sys.exc_info())
        return [b"sorry"]

    assert Request.blank("/").get_response(Layer(app)).status == "500 Oops"


def test_error_goes_up_if_the_headers_are_sent():
    def app(environ, start_response):
        start_response("200 OK", [PLAIN])
        yield b"half"
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            start_response("500 Oops", [PLAIN], sys.exc_info())

    body = iter(Layer(app)(environ(), ignore))
    assert next(body) == b"half"
    with pytest.raises(ZeroDivisionError):
        next(body)


def test_header_fields_that_the_application_uses_again_are_its_own():
    fields = [("Content-Type", "text/plain")]

    def app(environ, start_response):
        start_response("200 OK", fields)
        return []

    answer = Request.blank("/").get_response(Counted(app))
    assert answer.headers["X-Count"] == "1"
    assert fields == [("Content-Type", "text/plain")]


@pytest.mark.parametrize("made_by", ["an application", "the layer"])
def test_what_a_layer_sets_by_the_names_of_webob_is_sent(made_by):
    class Renaming(Layer):
        def before(self, request):
            return Response("made here") if made_by == "the layer" else None

        def after(self, request, response):
            response.status = 201
            response.headers = {"X-Own": "1", "Content-Length": "3"}
            response.app_iter = [b"own"]
            response.content_length = 3

    answer = Request.blank("/").get_response(Renaming(Response("from within")))
    assert (answer.status, answer.body) == ("201 Created", b"own")
    assert sorted(answer.headerlist) == [("Content-Length", "3"), ("X-Own", "1")]


def test_start_response_cannot_be_called_twice():
    def app(environ, start_response):
        start_response("200 OK", [PLAIN])
        start_response("200 OK", [PLAIN])
        return []

    with pytest.raises(AssertionError, match="start_response was called twice"):
        Request.blank("/").get_response(Layer(app))


def test_unknown_option_is_named_with_the_nearest():
    with pytest.raises(TypeError, match=r"Journal has no option 'wrod'; did you mean 'word'\?"):
        Journal(Response(), wrod="x")


NEEDED = {
    "BasicAuth": {"realm": "r", "checkpassword": len},
    "DigestAuth": {"realm": "r", "key": "k", "get_ha1": lambda realm, username: None},
    "Referer": {"pattern": "a"},
    "SessionAuth": {"check_username_and_password": len},
    "StaticDir": {"root": str(Path(__file__).parent), "dir": "."},
    "StaticFile": {"filename": __file__},
    "Timeout": {"seconds": 1},
    "VirtualHost": {"domains": {}},
}
"""Options that layers are not made without."""


def refusal(kind, options):
    """What a layer says of options; nothing if it takes them."""
    try:
        kind(Response(), **options)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", sorted(HOMES))
def test_option_of_a_wrong_type_is_told_in_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind = getattr(middleware, name)
    for option in kind.option_names() if issubclass(kind, Layer) else ():
        for value in (5, -1.5, "x y", [5], len, None, True, {"a": 5}, b"x"):
            told = refusal(kind, {**NEEDED.get(name, {}), option: value})
            assert told is None or re.search(f"{option}|header field|has no option", told), value


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (StaticDir, {"dir": 5}, "StaticDir: dir must be str or os.PathLike[str], got 5"),
        (RateLimit, {"name": None}, "RateLimit: name must be str, got None"),
        (RateLimit, {"methods": [5]}, "RateLimit: methods must be str or Sequence[str], got [5]"),
        (Timeout, {"seconds": "1"}, "Timeout: seconds must be float, got '1'"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_option_of_a_wrong_type_is_told_with_what_is_wanted(kind, options, message):
    with pytest.raises(TypeError) as caught:
        kind(Response(), **options)
    assert str(caught.value) == message


def test_option_that_is_not_in_the_repr_is_not_told_either():
    @dataclass(kw_only=True, eq=False)
    class Signed(Layer):
        key: str = field(default="", repr=False)

        def __post_init__(self):
            super().__post_init__()
            self.key.encode()

    with pytest.raises(TypeError, match="Signed: key must be str, got a value of type list"):
        Signed(Response(), key=["hush"])


def test_type_error_of_another_origin_goes_up():
    @dataclass(kw_only=True, eq=False)
    class Wrong(Layer):
        word: str = ""

        def __post_init__(self):
            super().__post_init__()
            raise TypeError("of its own")

    with pytest.raises(TypeError, match="of its own"):
        Wrong(Response())


def test_layer_without_an_application_cannot_serve():
    with pytest.raises(TypeError, match="Layer has no application"):
        Request.blank("/").get_response(Layer())


def test_repr_shows_the_options():
    assert "word='x'" in repr(Journal(word="x"))


# -- as a tool ------------------------------------------------------------------------------


def test_layer_is_made_once_for_a_resource(app_of):
    made = []

    @dataclass(kw_only=True, eq=False)
    class Counted(Layer):
        def __post_init__(self):
            super().__post_init__()
            made.append(self)

    cptoolkit.tools.counted = LayerTool("before_handler", Counted)
    client = app_of(Root(), {"/": {"tools.counted.on": True}})
    for path in ("/a", "/b", "/c"):
        client.get(path)
    assert len(made) == 1


def test_hook_of_the_users_comes_before_a_layer_of_higher_priority(app_of, notes):
    cptoolkit.tools.journal = LayerTool("before_handler", Journal, priority=60)
    config = {"/": {"tools.journal.on": True, "tools.journal.notes": notes}}
    config["/"]["hooks.before_handler"] = lambda: notes.append("hook")
    client = app_of(Root(), config)
    client.get("/")
    assert notes == ["hook", "before", "after", "finish"]
    notes.clear()
    client.app.merge({"/": {"tools.journal.priority": 40}})
    client.get("/")
    assert notes == ["before", "hook", "after", "finish"]


def test_refusal_of_a_layer_passes_through_the_error_pages(app_of):
    cptoolkit.tools.journal = LayerTool("before_handler", Journal)
    page = {"error_page.403": lambda **kwargs: f"own page: {kwargs['message']}"}
    client = app_of(Root(), {"/": {"tools.journal.on": True, **page}})
    assert client.get("/refused", status=403).text == "own page: refused by the layer"


def test_answer_of_an_early_layer_leaves_the_body_unread(app_of):
    cptoolkit.tools.journal = LayerTool("on_start_resource", Journal)
    client = app_of(Root(), {"/": {"tools.journal.on": True}})
    assert client.post("/answered", b"{", content_type="application/json").text == "default"


def test_unknown_option_in_config_is_told_in_the_log(app_of, caplog):
    cptoolkit.tools.journal = LayerTool("before_handler", Journal)
    client = app_of(Root(), {"/": {"tools.journal.on": True, "tools.journal.wrod": "x"}})
    client.get("/", status=500)
    assert "'tools.journal.wrod'" in caplog.text
    assert "did you mean 'word'?" in caplog.text


def test_unknown_option_of_the_decorator_is_refused():
    cptoolkit.tools.journal = LayerTool("before_handler", Journal)
    with pytest.raises(TypeError, match=r"has no option 'wrod'; did you mean 'word'\?"):
        cptoolkit.tools.journal(wrod="x")


def test_layer_may_look_at_the_response_at_another_priority(app_of, notes):
    cptoolkit.tools.journal = LayerTool("before_handler", Journal, priority=40, after_priority=80)
    config = {"tools.journal.on": True, "tools.journal.notes": notes}
    for point in ("before_handler", "before_finalize"):
        config[f"hooks.{point}"] = lambda: notes.append("hook")
    app_of(Root(), {"/": config}).get("/")
    assert notes == ["before", "hook", "hook", "after", "finish"]


def test_layer_keeps_its_state_when_config_changes(app_of, notes):
    cptoolkit.tools.journal = LayerTool("before_handler", Journal)
    client = app_of(Root(), {"/": {"tools.journal.on": True, "tools.journal.notes": notes}})
    client.get("/")
    cptoolkit.config.update({"some.thing": 1})
    client.app.merge({"/other": {"tools.journal.on": True}})
    client.get("/")
    client.get("/other")
    [made] = client.app.layers.values()
    assert len(made) == 1


def test_layers_of_other_options_and_applications_are_others(app_of):
    cptoolkit.tools.journal = LayerTool("before_handler", Journal)
    config = {"/": {"tools.journal.on": True}, "/other": {"tools.journal.word": "x"}}
    clients = [app_of(Root(), config) for _ in range(2)]
    for client in clients:
        assert client.get("/").headers["X-Word"] == "default"
        assert client.get("/other").headers["X-Word"] == "x"
    layers = [
        layer for client in clients for _, layer in client.app.layers[cptoolkit.tools.journal]
    ]
    assert len(set(layers)) == 4


class Whole(Layer):
    """Notes the bodies that it sees."""

    whole_bodies = True
    seen: list = []

    def after(self, request, response):
        self.seen.append(response.app_iter)


@pytest.mark.parametrize("stream", [False, True])
def test_layer_may_want_bodies_whole_unless_they_are_streamed(app_of, stream):
    class Ticks:
        @cptoolkit.expose
        def index(self):
            yield from ["a", "b"]

    cptoolkit.tools.whole = LayerTool("before_handler", Whole)
    client = app_of(Ticks(), {"/": {"tools.whole.on": True, "response.stream": stream}})
    Whole.seen.clear()
    assert client.get("/").text == "ab"
    assert (Whole.seen == [[b"ab"]]) is not stream


@pytest.mark.parametrize("on_errors", [False, True])
def test_layer_may_see_the_page_of_an_unexpected_error(app_of, on_errors):
    class Broken:
        @cptoolkit.expose
        def index(self):
            raise KeyError("unexpected")

    cptoolkit.tools.journal = LayerTool("before_handler", Journal, on_errors=on_errors)
    answer = app_of(Broken(), {"/": {"tools.journal.on": True}}).get("/", status=500)
    assert ("X-Word" in answer.headers) is on_errors


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        pytest.param("/there", "/there", id="a path"),
        pytest.param("x?y=1", "x?y=1", id="a relative path"),
        pytest.param("https://other.example/x", "https://other.example/x", id="a URL"),
        pytest.param("//other.example/x", "http://made.up/%2fother.example/x", id="slashes"),
        pytest.param("/\\other.example", "http://made.up/\\other.example", id="a backslash"),
    ],
)
def test_redirect_of_a_layer_leads_where_it_says(location, sent):
    class Redirecting(Layer):
        def before(self, request):
            raise exc.HTTPSeeOther(location=location)

    answer = Request.blank("/", headers={"Host": "made.up"}).get_response(Redirecting(Response()))
    assert answer.headers["Location"] == sent


def test_fields_that_hooks_have_set_stay_when_a_layer_answers(app_of):
    def earlier():
        cptoolkit.response.headers["X-Mine"] = "kept"
        cptoolkit.response.headers["X-Word"] = "mine"

    cptoolkit.tools.journal = LayerTool("before_handler", Journal)
    config = {"tools.journal.on": True, "hooks.on_start_resource": earlier}
    answer = app_of(Root(), {"/": config}).get("/answered")
    assert (answer.headers["X-Mine"], answer.headers["X-Word"]) == ("kept", "default")
    assert answer.headers.getall("Content-Type") == ["text/html; charset=UTF-8"]
