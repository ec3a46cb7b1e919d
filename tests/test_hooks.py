"""Hooks: what runs at which point of a request, in which order (reference, 7.2.1)."""

import sys
import types

import pytest

import cptoolkit
from cptoolkit.hooks import HOOKPOINTS, Hook, HookMap

DONE = [
    "on_start_resource",
    "before_request_body",
    "before_handler",
    "handler",
    "before_finalize",
    "on_end_resource",
    "on_end_request",
]
FAILED = [
    "on_start_resource",
    "before_request_body",
    "before_handler",
    "handler",
    "on_end_resource",
    "before_error_response",
    "after_error_response",
    "on_end_request",
]


class Journal(list):
    """What has happened, in turn."""

    def config(self, **more):
        """Config that notes each hook point."""
        return {"/": {**{f"hooks.{point}": self.note(point) for point in HOOKPOINTS}, **more}}

    def note(self, text):
        return lambda: self.append(text)


@pytest.fixture
def journal():
    return Journal()


class Root:
    def __init__(self, journal, error=None, body="body"):
        self.journal, self.error, self.body = journal, error, body

    @cptoolkit.expose
    def index(self):
        self.journal.append("handler")
        if self.error is not None:
            raise self.error
        return self.body


@pytest.mark.parametrize(
    ("error", "status", "points"),
    [
        pytest.param(None, 200, DONE, id="success"),
        pytest.param(cptoolkit.HTTPError(403), 403, DONE, id="HTTPError"),
        pytest.param(cptoolkit.NotFound("/"), 404, DONE, id="NotFound"),
        pytest.param(cptoolkit.HTTPRedirect("/x", 303), 303, DONE, id="HTTPRedirect"),
        pytest.param(KeyError("oops"), 500, FAILED, id="another exception"),
    ],
)
def test_points_come_in_their_order(app_of, journal, error, status, points):
    app_of(Root(journal, error), journal.config()).get("/", status=status)
    assert journal == points


def test_points_come_for_a_path_without_handler(app_of, journal):
    app_of(Root(journal), journal.config()).get("/nope", status=404)
    assert journal == [point for point in DONE if point != "handler"]


@pytest.mark.parametrize("point", DONE[:3])
def test_error_of_an_early_hook_skips_what_follows(app_of, journal, point):
    def refuse():
        journal.append(point)
        raise cptoolkit.HTTPError(403)

    config = journal.config(**{f"hooks.{point}": refuse})
    app_of(Root(journal), config).get("/", status=403)
    assert journal == [*DONE[: DONE.index(point) + 1], *DONE[4:]]


def test_unexpected_error_of_an_early_hook_is_answered_as_one_of_the_handler(app_of, journal):
    config = journal.config(**{"hooks.before_handler": lambda: 1 / 0})
    app_of(Root(journal), config).get("/", status=500)
    assert journal == [*DONE[:2], *FAILED[4:]]


def test_error_of_before_finalize_is_the_answer(app_of, journal):
    def refuse():
        raise cptoolkit.HTTPError(403, "Not this")

    config = journal.config(**{"hooks.before_finalize": refuse})
    assert "Not this" in app_of(Root(journal), config).get("/", status=403)
    assert journal == [point for point in DONE if point != "before_finalize"]


def test_unexpected_error_of_before_finalize_is_a_500(app_of, journal):
    config = journal.config(**{"hooks.before_finalize": lambda: 1 / 0})
    app_of(Root(journal, cptoolkit.HTTPError(403)), config).get("/", status=500)
    assert journal == [point for point in FAILED if point != "before_finalize"]


def test_redirect_of_an_error_hook_is_followed(app_of, journal):
    def leave():
        raise cptoolkit.HTTPRedirect("/elsewhere", 303)

    config = journal.config(**{"hooks.before_error_response": leave})
    response = app_of(Root(journal, KeyError()), config).get("/", status=303)
    assert response.location.endswith("/elsewhere")


def test_error_of_an_error_hook_leaves_a_bare_page(app_of, journal, caplog):
    config = journal.config(**{"hooks.before_error_response": lambda: 1 / 0})
    page = app_of(Root(journal, KeyError()), config).get("/", status=500)
    assert "Unrecoverable error in the server." in page
    assert "ZeroDivisionError" in caplog.text
    assert journal[-1] == "on_end_request"


@pytest.mark.parametrize("body", [["a", "b"], iter(["a", "b"]), "text", None])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("stream", [True, False])
def test_request_ends_once(app_of, journal, body, method, stream):
    config = journal.config(**{"response.stream": stream})
    app_of(Root(journal, body=body), config).request("/", method=method)
    assert journal.count("on_end_request") == 1


def test_request_of_a_stream_ends_after_its_last_byte(app_of, journal):
    def body():
        journal.append("first")
        yield "a"
        journal.append("last")
        yield "b"

    config = journal.config(**{"response.stream": True})
    assert app_of(Root(journal, body=body()), config).get("/").text == "ab"
    assert journal[-4:] == ["on_end_resource", "first", "last", "on_end_request"]


def test_error_in_the_last_hook_is_logged(app_of, journal, caplog):
    config = journal.config(**{"hooks.on_end_request": lambda: 1 / 0})
    assert app_of(Root(journal), config).get("/").text == "body"
    assert "the end of a request has failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


# -- which hooks ----------------------------------------------------------------------------


def say_hello():
    cptoolkit.response.headers["X-Hello"] = "hello"


def test_hook_can_be_named_in_config(app_of, journal, monkeypatch):
    module = types.ModuleType("some_hooks")
    module.say_hello = say_hello
    monkeypatch.setitem(sys.modules, "some_hooks", module)
    config = {"/": {"hooks.before_handler": "some_hooks.say_hello"}}
    assert app_of(Root(journal), config).get("/").headers["X-Hello"] == "hello"


def test_several_hooks_of_a_point_are_told_apart_in_config(app_of, journal):
    config = {
        "/": {
            "hooks.before_handler.1": journal.note("one"),
            "hooks.before_handler.2": journal.note("two"),
        }
    }
    app_of(Root(journal), config).get("/")
    assert journal == ["one", "two", "handler"]


def test_hooks_run_by_priority_and_equals_in_their_order(app_of, journal):
    config = {
        "/": {
            "hooks.before_handler.1": Hook(journal.note("60"), priority=60),
            "hooks.before_handler.2": journal.note("first of 50"),
            "hooks.before_handler.3": Hook(journal.note("10"), priority=10),
            "hooks.before_handler.4": journal.note("second of 50"),
        }
    }
    app_of(Root(journal), config).get("/")
    assert journal == ["10", "first of 50", "second of 50", "60", "handler"]


def test_priority_and_failsafe_can_be_attributes_of_the_function():
    def callback():
        pass

    callback.priority, callback.failsafe = 7, True
    assert (Hook(callback).priority, Hook(callback).failsafe) == (7, True)
    assert (Hook(callback, False, 9).priority, Hook(callback, False, 9).failsafe) == (9, False)


def test_hook_is_called_with_its_arguments(app_of, journal):
    config = {"/": {"hooks.before_handler": Hook(lambda text: journal.append(text), text="given")}}
    app_of(Root(journal), config).get("/")
    assert journal == ["given", "handler"]


def test_hook_can_be_attached_during_the_request(app_of, journal):
    def attach():
        hooks = cptoolkit.request.hooks
        hooks["before_handler"].clear()
        hooks.attach("before_finalize", journal.note("attached"))
        hooks["on_end_request"].append(Hook(journal.note("appended")))

    config = {"hooks.on_start_resource": attach, "hooks.before_handler": journal.note("gone")}
    client = app_of(Root(journal), {"/": config})
    client.get("/")
    assert journal == ["handler", "attached", "appended"]
    journal.clear()
    client.get("/")
    assert journal == ["handler", "attached", "appended"]


def test_handler_can_attach_hooks(app_of, journal):
    class Attaches(Root):
        @cptoolkit.expose
        def index(self):
            cptoolkit.request.hooks.attach("before_finalize", journal.note("finalize"))
            cptoolkit.request.hooks.attach("on_end_request", journal.note("end"))
            return "x"

    app_of(Attaches(journal)).get("/")
    assert journal == ["finalize", "end"]


# -- failsafe -------------------------------------------------------------------------------


def test_only_failsafe_hooks_run_after_one_has_failed(app_of, journal):
    def refuse():
        raise cptoolkit.HTTPError(403)

    config = {
        "/": {
            "hooks.before_handler.1": Hook(refuse, priority=10),
            "hooks.before_handler.2": journal.note("skipped"),
            "hooks.before_handler.3": Hook(journal.note("failsafe"), failsafe=True),
        }
    }
    app_of(Root(journal), config).get("/", status=403)
    assert journal == ["failsafe"]


def test_failure_after_a_failure_is_logged_and_the_first_is_answered(app_of, journal, caplog):
    def refuse():
        raise cptoolkit.HTTPError(403)

    config = {
        "/": {
            "hooks.before_handler.1": refuse,
            "hooks.before_handler.2": Hook(lambda: 1 / 0, failsafe=True),
        }
    }
    app_of(Root(journal), config).get("/", status=403)
    assert "ZeroDivisionError" in caplog.text


def test_failsafe_hooks_run_also_when_a_hook_redirects_within(app_of, journal):
    def leave():
        if cptoolkit.request.path_info == "/":
            raise cptoolkit.InternalRedirect("/index")

    config = {
        "/": {
            "hooks.before_handler.1": leave,
            "hooks.before_handler.2": Hook(journal.note("failsafe"), failsafe=True),
        }
    }
    app_of(Root(journal), config).get("/")
    assert journal == ["failsafe", "failsafe", "handler"]


# -- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("hooks.before_hanlder", print, "did you mean 'before_handler'?"),
        ("hooks.nothing_like_it", print, "there are on_start_resource, before_request_body"),
        ("hooks.before_handler", 5, "'hooks.before_handler': a hook must be callable, got 5"),
        ("hooks.before_handler", "os.nope", "'os.nope' cannot be imported"),
        ("hooks.before_handler", "nope.nope", "'nope.nope' cannot be imported"),
        ("hooks.before_handler", "no name", "'no name' cannot be imported"),
        ("hooks.before_handler", "os.path.sep", "a hook must be callable, got '/'"),
    ],
)
def test_wrong_entry_is_a_500_and_told_in_the_log(app_of, journal, caplog, entry, value, message):
    app_of(Root(journal), {"/": {entry: value}}).get("/", status=500)
    assert message in caplog.text


def test_hook_map_names_the_nearest_point():
    with pytest.raises(ValueError, match="did you mean 'on_end_request'"):
        HookMap().attach("on_end_requests", print)


def test_hook_must_be_callable():
    with pytest.raises(TypeError, match="a hook must be callable, got 5"):
        Hook(5)


def test_repr_tells_function_and_options():
    text = repr(Hook(say_hello, priority=10, a=1))
    assert text == "Hook(say_hello, failsafe=False, priority=10, a=1)"
