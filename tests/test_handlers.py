"""Page handlers: a call that does not fit is the client's mistake, an error within is ours."""

import functools

import pytest

import cptoolkit
from cptoolkit.handlers import LateParamPageHandler, PageHandler


class Root:
    @cptoolkit.expose
    def plain(self, a, b="B"):
        return f"{a} {b}"

    @cptoolkit.expose
    def rest(self, a, *args, **kwargs):
        return f"{a} {args} {kwargs}"

    @cptoolkit.expose
    def by_name(self, *, key, other="O"):
        return f"{key} {other}"

    @cptoolkit.expose
    def by_position(self, a, /, b="B"):
        return f"{a} {b}"

    @cptoolkit.expose
    def positional_and_rest(self, a, /, **kwargs):
        return f"{a} {kwargs}"

    @cptoolkit.expose
    def none(self):
        return "none"

    @cptoolkit.expose
    def fails(self, a):
        return int(None)

    @cptoolkit.expose
    def fails_within(self, a):
        return self.plain()


FITS = [
    ("/plain/1", "1 B"),
    ("/plain/1/2", "1 2"),
    ("/plain?a=1&b=2", "1 2"),
    ("/plain/1?b=2", "1 2"),
    ("/plain?a=1&a=2", "['1', '2'] B"),
    ("/rest/1/2/3?x=y", "1 ('2', '3') {'x': 'y'}"),
    ("/by_name?key=1", "1 O"),
    ("/by_position/1?b=2", "1 2"),
    ("/positional_and_rest/1?a=2", "1 {'a': '2'}"),
    ("/none", "none"),
]

DOES_NOT_FIT = [
    ("/plain", "Missing parameters: a"),
    ("/rest?x=1", "Missing parameters: a"),
    ("/by_name", "Missing parameters: key"),
    ("/by_position", "Missing parameters: a"),
    ("/by_position?a=1", "Missing parameters: a"),
    ("/plain/1/2/3", "Unexpected path segments: 3"),
    ("/by_name/1?key=1", "Unexpected path segments: 1"),
    ("/none/1", "Unexpected path segments: 1"),
    ("/plain/1?a=2", "Multiple values for parameters: a"),
    ("/rest/1?a=2", "Multiple values for parameters: a"),
    ("/none?x=1&y=2", "Unexpected query string parameters: x, y"),
    ("/plain/1?z=2&key=3", "Unexpected query string parameters: key, z"),
]


@pytest.fixture(scope="module")
def client(app_of):
    return app_of(Root())


@pytest.mark.parametrize(("path", "text"), FITS)
def test_path_and_parameters_are_the_arguments(client, path, text):
    assert client.get(path).text == text


@pytest.mark.parametrize(("path", "message"), DOES_NOT_FIT)
def test_call_that_does_not_fit_is_a_404_that_tells_why(client, path, message):
    assert f"<p>{message}</p>" in client.get(path, status=404).text


@pytest.mark.parametrize(
    ("path", "form", "status", "message"),
    [
        ("/none", {"x": "1"}, 400, "Unexpected body parameters: x"),
        ("/none?y=1", {"x": "1"}, 400, "Unexpected body parameters: x"),
        ("/plain/1", {"a": "1"}, 400, "Multiple values for parameters: a"),
        ("/plain/1?a=2", {"b": "1"}, 404, "Multiple values for parameters: a"),
        ("/plain/1?x=2", {"b": "1"}, 404, "Unexpected query string parameters: x"),
        ("/plain", {"b": "1"}, 404, "Missing parameters: a"),
    ],
)
def test_parameters_of_the_body_are_a_400(client, path, form, status, message):
    assert message in client.post(path, form, status=status).text


@pytest.mark.parametrize(("path", "message"), DOES_NOT_FIT)
def test_reason_can_be_kept_from_the_client(app_of, path, message):
    client = app_of(Root(), {"/": {"request.show_mismatched_params": False}})
    assert "Nothing matches the given URI" in client.get(path, status=404).text


@pytest.mark.parametrize("path", ["/fails?a=1", "/fails_within/1"])
def test_type_error_within_the_handler_is_a_500(client, path):
    client.get(path, status=500)


# -- what can be a handler ------------------------------------------------------------------


def with_log(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return "logged " + function(*args, **kwargs)

    return wrapper


def with_user(function):
    """Gives the handler an argument that its signature seems to want from the client."""

    @functools.wraps(function)
    def wrapper(self, *args, **kwargs):
        return function(self, "jon", *args, **kwargs)

    return wrapper


class Decorated:
    @cptoolkit.expose
    @with_log
    def logged(self, a):
        return a

    @cptoolkit.expose
    @with_user
    def own(self, user, page="none"):
        return f"{user} {page}"

    @cptoolkit.expose
    @with_log
    def fails(self, a):
        return a + 1

    @staticmethod
    @cptoolkit.expose
    def static(a):
        return a

    @classmethod
    @cptoolkit.expose
    def of_class(cls, a):
        return a

    # Python is about to make methods of partials that stand in a class as they are.
    part = staticmethod(functools.partial(lambda a, b: f"{a} {b}", "bound"))
    part.__func__.exposed = True

    @cptoolkit.expose
    class Page:
        def __init__(self, a):
            self.a = a

        def __iter__(self):
            return iter(["page of ", self.a])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/logged/1", "logged 1"),
        ("/own", "jon none"),
        ("/own/page", "jon page"),
        ("/static/1", "1"),
        ("/of_class/1", "1"),
        ("/part/1", "bound 1"),
        ("/part?b=1", "bound 1"),
        ("/Page/1", "page of 1"),
    ],
)
def test_anything_that_can_be_called_is_a_handler(app_of, path, text):
    assert app_of(Decorated()).get(path).text == text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/logged", "Missing parameters: a"),
        ("/logged/1?x=1", "Unexpected query string parameters: x"),
        ("/static", "Missing parameters: a"),
        ("/of_class", "Missing parameters: a"),
        ("/part", "Missing parameters: b"),
        ("/Page", "Missing parameters: a"),
        ("/Page/1?x=2", "Unexpected query string parameters: x"),
    ],
)
def test_signature_is_that_of_what_was_decorated(app_of, path, message):
    assert message in app_of(Decorated()).get(path, status=404).text


def test_type_error_below_a_decorator_is_a_500(app_of):
    app_of(Decorated()).get("/fails/1", status=500)


def test_callable_whose_signature_nobody_knows_can_be_called(app_of):
    class Tree:
        @cptoolkit.expose
        class number(int):
            def __str__(self):
                return "never"

        default = staticmethod(dict)

    app_of(Tree()).get("/number/x", status=500)


def test_exposed_object_that_cannot_be_called_is_a_500(app_of):
    class NotCallable:
        exposed = True

    class Tree:
        page = NotCallable()

    app_of(Tree()).get("/page", status=500)


# -- PageHandler itself ---------------------------------------------------------------------


def test_tool_may_change_the_parameters_until_the_call(app_of):
    def rename():
        params = cptoolkit.request.params
        params["a"] = params.pop("A") + "!"

    client = app_of(Root(), {"/": {"hooks.before_handler": rename}})
    assert client.get("/plain?A=1").text == "1! B"


def test_tool_may_look_at_the_call_and_change_it(app_of):
    seen = {}

    def change():
        handler = cptoolkit.request.handler
        seen.update(args=handler.args, kwargs=handler.kwargs, callable=handler.callable.__name__)
        handler.args = ("changed",)
        handler.kwargs = {"b": "too"}

    client = app_of(Root(), {"/": {"hooks.before_handler": change}})
    assert client.get("/plain/1").text == "changed too"
    assert seen == {"args": ("1",), "kwargs": {}, "callable": "plain"}


def test_page_handler_is_called_with_what_it_was_made_with(app_of):
    def dispatch(path_info):
        cptoolkit.request.handler = PageHandler(Root().plain, "1", b="2")

    assert app_of(None, {"/": {"request.dispatch": dispatch}}).get("/?c=3").text == "1 2"


def test_late_handler_adds_the_parameters_of_the_request(app_of):
    def dispatch(path_info):
        cptoolkit.request.handler = LateParamPageHandler(Root().rest, "1", own="2")

    client = app_of(None, {"/": {"request.dispatch": dispatch}})
    assert client.get("/?c=3&own=4").text == "1 () {'c': '3', 'own': '2'}"


def test_handler_may_be_replaced_by_a_hook(app_of):
    def replace():
        cptoolkit.request.handler = lambda: "replaced"

    assert app_of(Root(), {"/": {"hooks.before_handler": replace}}).get("/none").text == "replaced"


def test_handler_may_be_taken_away_by_a_hook_that_answers(app_of):
    def answer():
        cptoolkit.response.body = "answered"
        cptoolkit.request.handler = None

    assert app_of(Root(), {"/": {"hooks.before_handler": answer}}).get("/none").text == "answered"


def test_parameter_named_self_is_no_argument_of_the_method(client):
    assert "self" in client.get("/plain/1?self=x", status=404).text
    # Also where the method takes any parameter.
    assert "self" in client.get("/rest/1?self=x", status=404).text
