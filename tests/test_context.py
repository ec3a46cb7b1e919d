"""What is being served: proxies, attributes of serving, thread_data."""

import contextvars
import threading

import pytest
from beside import PATIENCE, at_once

import cptoolkit
from cptoolkit.context import Proxy, current


class Root:
    @cptoolkit.expose
    def index(self):
        return "ok"


def in_thread(function):
    """What a function gives in a thread of its own."""
    results = []
    at_once(lambda: results.append(function()))
    return results[0]


# -- outside of a request --------------------------------------------------------------------


def test_defaults_can_be_looked_at_outside_of_a_request():
    assert cptoolkit.response.stream is False
    assert cptoolkit.request.show_tracebacks == "local"
    assert cptoolkit.request.app is None
    assert cptoolkit.serving.request.method == "GET"


def test_session_outside_of_a_request_says_that_there_is_none():
    with pytest.raises(AttributeError, match="there is no session in the current request"):
        cptoolkit.session["user"]


def test_proxies_say_what_they_stand_for():
    assert repr(cptoolkit.request).startswith("<request: <Request at ")
    assert repr(cptoolkit.response).startswith("<response: <Response at ")


# -- in a request ----------------------------------------------------------------------------


def test_proxies_stand_for_the_current_request_and_response(app_of):
    class Seen:
        @cptoolkit.expose
        def index(self):
            request, response = current.get()
            assert cptoolkit.serving.request is request
            assert cptoolkit.serving.response is response
            assert vars(cptoolkit.request) is vars(request)
            assert "status" in dir(cptoolkit.response)
            return request.path_info

    assert app_of(Seen()).get("/").text == "/"


def test_attributes_are_set_and_deleted_through_a_proxy(app_of):
    class Setting:
        @cptoolkit.expose
        def index(self):
            cptoolkit.request.user = "jon"
            seen = cptoolkit.serving.request.user
            del cptoolkit.request.user
            return f"{seen} {hasattr(cptoolkit.request, 'user')}"

    assert app_of(Setting()).get("/").text == "jon False"


def test_request_ends_with_the_call(app_of):
    app_of(Root()).get("/")
    assert current.get(None) is None or cptoolkit.request.app is None


def test_application_called_by_another_leaves_its_request_alone(app_of):
    inner = app_of(Root())

    class Outer:
        @cptoolkit.expose
        def page(self):
            before = cptoolkit.serving.request
            text = inner.get("/").text
            return f"{text} {cptoolkit.serving.request is before}"

    assert app_of(Outer()).get("/page").text == "ok True"


def test_threads_have_requests_of_their_own(app_of):
    class Meeting:
        barrier = threading.Barrier(2, timeout=PATIENCE)

        @cptoolkit.expose
        def default(self, name):
            self.barrier.wait()
            cptoolkit.request.user = name
            self.barrier.wait()
            return cptoolkit.request.user

    client = app_of(Meeting())
    texts = []
    at_once(
        lambda: texts.append(client.get("/one").text), lambda: texts.append(client.get("/two").text)
    )
    assert sorted(texts) == ["one", "two"]


def test_context_copied_in_a_request_keeps_it(app_of):
    contexts = []

    class Copying:
        @cptoolkit.expose
        def index(self, a):
            contexts.append(contextvars.copy_context())

    app_of(Copying()).get("/?a=1")
    assert contexts[0].run(lambda: cptoolkit.request.query_string) == "a=1"


# -- serving ---------------------------------------------------------------------------------


def test_what_layers_leave_in_the_environ_is_an_attribute_of_serving(app_of):
    class Session:
        @cptoolkit.expose
        def index(self):
            environ = cptoolkit.request.environ
            environ["cptoolkit.session"] = {"user": "jon"}
            assert cptoolkit.serving.session is environ["cptoolkit.session"]
            assert "user" in cptoolkit.session
            cptoolkit.session["count"] = 1
            return cptoolkit.session["user"]

    assert app_of(Session()).get("/").text == "jon"


def test_attributes_of_serving_live_in_the_environ(app_of):
    class Setting:
        @cptoolkit.expose
        def index(self):
            cptoolkit.serving.note = 1
            kept = cptoolkit.request.environ["cptoolkit.note"]
            del cptoolkit.serving.note
            return f"{kept} {hasattr(cptoolkit.serving, 'note')}"

    assert app_of(Setting()).get("/").text == "1 False"


def test_attribute_that_is_not_there_cannot_be_deleted(app_of):
    with pytest.raises(AttributeError, match="there is no note"):
        del cptoolkit.serving.note


def test_proxy_of_a_container_acts_as_one(app_of):
    class Session:
        @cptoolkit.expose
        def index(self):
            session = cptoolkit.session
            cptoolkit.request.environ["cptoolkit.session"] = {}
            assert not session
            session["a"] = 1
            assert (len(session), list(session), bool(session)) == (1, ["a"], True)
            del session["a"]
            return str(len(session))

    assert app_of(Session()).get("/").text == "0"


def test_attribute_of_any_name_is_that_of_what_a_proxy_stands_for():
    class Thing:
        _name = "its own"
        __note__ = "too"

    proxy = Proxy("thing", Thing)
    assert (proxy._name, proxy.__note__) == ("its own", "too")
    assert type(proxy) is proxy.__class__ is Proxy
    for name in ("missing", "__missing__"):
        with pytest.raises(AttributeError, match=f"'Thing' object has no attribute '{name}'"):
            getattr(proxy, name)


def test_request_and_response_can_be_loaded_and_cleared():
    def load():
        request, response = cptoolkit.Application.request_class.blank("/x"), object()
        cptoolkit.serving.load(request, response)
        loaded = cptoolkit.request.path_info
        cptoolkit.serving.clear()
        return loaded, cptoolkit.request.path_info

    assert contextvars.copy_context().run(load) == ("/x", "/")


def test_request_can_be_assigned():
    def assign():
        cptoolkit.serving.request = cptoolkit.Application.request_class.blank("/y")
        cptoolkit.serving.response = response = cptoolkit.Application.response_class()
        return cptoolkit.request.path_info, cptoolkit.serving.response is response

    assert contextvars.copy_context().run(assign) == ("/y", True)


# -- thread_data -----------------------------------------------------------------------------


def test_thread_data_is_of_one_thread():
    cptoolkit.thread_data.db = "mine"
    try:
        assert in_thread(lambda: hasattr(cptoolkit.thread_data, "db")) is False
        assert cptoolkit.thread_data.db == "mine"
    finally:
        cptoolkit.thread_data.clear()
    assert not hasattr(cptoolkit.thread_data, "db")
