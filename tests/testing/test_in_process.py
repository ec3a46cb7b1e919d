"""A client that calls the application in this process, and the session of that client."""

import subprocess
import sys
from typing import ClassVar

import flask
import pytest
import webtest

import cptoolkit
from cptoolkit import Pipeline, use
from cptoolkit.middleware import Gzip, Sessions
from cptoolkit.middleware.sessions import Session
from cptoolkit.process.wspbus import State
from cptoolkit.testing import TestApp

ON = {"/": {"tools.sessions.on": True}}


class Account:
    @cptoolkit.expose
    def login(self, name):
        cptoolkit.session["user"] = name

    @cptoolkit.expose
    def logout(self):
        cptoolkit.session.expire()

    @cptoolkit.expose
    def index(self):
        return f"Hello {cptoolkit.session.get('user', 'stranger')}"

    @cptoolkit.expose
    def boom(self):
        raise ValueError("boom")


def test_pages_are_called_by_webtest():
    app = TestApp(Account, ON)
    assert isinstance(app, webtest.TestApp)
    assert app.get("/").text == "Hello stranger"
    app.post("/login", {"name": "Ann"})
    assert app.get("/").text == "Hello Ann"
    assert cptoolkit.engine.state in (State.STOPPED, State.EXITING)


def test_options_are_those_of_webtest():
    app = TestApp(Account, ON, extra_environ={"REMOTE_ADDR": "203.0.113.9"})
    assert "Traceback" not in app.get("/boom", status=500)


def test_session_can_be_read_after_a_request():
    app = TestApp(Account, ON)
    assert app.session == {}
    app.post("/login", {"name": "Ann"})
    assert app.session["user"] == "Ann"
    assert dict(app.session) == {"user": "Ann"}
    assert len(app.session) == 1
    assert "cart" not in app.session
    assert repr(app.session) == "<ClientSession {'user': 'Ann'}>"
    with pytest.raises(KeyError):
        app.session["cart"]
    app.get("/logout")
    assert app.session == {}


def test_session_can_be_written_before_the_first_request():
    app = TestApp(Account, ON)
    with app.session() as session:
        session["user"] = "Bob"
    assert app.get("/").text == "Hello Bob"
    assert app.session["user"] == "Bob"


def test_session_can_be_changed_between_requests():
    app = TestApp(Account, ON)
    app.post("/login", {"name": "Ann"})
    with app.session() as session:
        assert session["user"] == "Ann"
        session["user"] = "Bob"
    assert app.get("/").text == "Hello Bob"


def test_session_can_be_ended():
    app = TestApp(Account, ON)
    app.post("/login", {"name": "Ann"})
    with app.session() as session:
        session.expire()
    assert app.cookies == {}
    assert app.get("/").text == "Hello stranger"


def test_reading_leaves_the_session_and_its_cookie_alone():
    app = TestApp(Account, ON)
    assert app.session.get("user") is None
    assert app.cookies == {}


class Counted(Session):
    """Sessions that count how often they are saved."""

    records: ClassVar = {}
    saves: ClassVar = []

    def _load(self):
        return self.records.get(self.id)

    def _save(self, expiration_time):
        self.saves.append(self.id)
        self.records[self.id] = (dict(self._data), expiration_time)

    def _delete(self):
        self.records.pop(self.id, None)


def test_reading_does_not_prolong_the_session():
    config = {"/": {**ON["/"], "tools.sessions.storage_class": Counted}}
    app = TestApp(Account, config)
    app.post("/login", {"name": "Ann"})
    saves = len(Counted.saves)
    assert app.session["user"] == "Ann"
    assert len(Counted.saves) == saves
    with app.session() as session:
        assert session["user"] == "Ann"
    assert len(Counted.saves) == saves + 1


def test_change_is_lost_if_the_block_fails():
    app = TestApp(Account, ON)
    with pytest.raises(AttributeError), app.session() as session:
        session.setdefault("user", "Bob").append("cannot")
    assert app.session == {}
    app.post("/login", {"name": "Ann"})  # and the lock has been given back


def test_clients_have_sessions_of_their_own():
    account = cptoolkit.Application(Account(), "", ON)
    ann, bob = TestApp(account), TestApp(account)
    with ann.session() as session:
        session["user"] = "Ann"
    assert bob.session == {}
    assert bob.get("/").text == "Hello stranger"


def a_tree():
    tree = cptoolkit.Tree()
    tree.mount(Account(), "/shop", ON)
    tree.mount(None, "/other")
    return tree


def a_flask_app():
    app = flask.Flask("shop")

    @app.get("/")
    def index():
        return f"Hello {flask.request.environ['cptoolkit.session']['user']}"

    return app


def a_pipeline():
    return Pipeline(use(Gzip), use(Sessions, at="/shop"), use(Gzip))(a_flask_app_below())


def a_flask_app_below():
    app = flask.Flask("shop")

    @app.get("/shop/")
    def index():
        return f"Hello {flask.request.environ['cptoolkit.session']['user']}"

    return app


def in_config():
    config = {"/": {"wsgi.pipeline": [("gzip", Gzip), ("sessions", Sessions)]}}
    return cptoolkit.Application(Account(), "", config)


def with_pipeline():
    return cptoolkit.Application(Account(), "", {"/": {"wsgi.pipeline": [("gzip", Gzip)]}})


def by_decorator():
    class Root:
        shop = Account()

    Root.shop._cp_config = {"tools.sessions.on": True, "tools.sessions.name": "sid"}
    Root.shop._cp_config["tools.sessions.priority"] = 20
    return Root()


def by_routes():
    dispatcher = cptoolkit.dispatch.RoutesDispatcher()
    dispatcher.connect("account", "/", Account(), action="index")
    config = {"/": {**ON["/"], "request.dispatch": dispatcher}}
    return cptoolkit.Application(None, "", config)


def inside_another():
    """Of two layers of sessions the inner one is what the page sees."""
    return Sessions(cptoolkit.Application(Account(), "", ON), name="outer")


@pytest.mark.parametrize(
    ("make", "path"),
    [
        pytest.param(a_tree, "/shop/", id="tree"),
        pytest.param(lambda: Sessions(a_flask_app()), "/", id="Flask"),
        pytest.param(lambda: Gzip(Sessions(a_flask_app())), "/", id="several layers"),
        pytest.param(a_pipeline, "/shop/", id="pipeline"),
        pytest.param(in_config, "/", id="wsgi.pipeline"),
        pytest.param(by_decorator, "/shop/", id="part of a tree"),
        pytest.param(by_routes, "/", id="Routes"),
        pytest.param(lambda: Sessions(cptoolkit.Application(Account())), "/", id="around ours"),
        pytest.param(lambda: Sessions(with_pipeline()), "/", id="around a wsgi.pipeline"),
        pytest.param(inside_another, "/", id="inner of two"),
    ],
)
def test_session_is_that_of_the_page(make, path):
    app = TestApp(make())
    with app.session(path) as session:
        session["user"] = "Ann"
    assert app.get(path).text == "Hello Ann"


@pytest.mark.parametrize(
    ("make", "path"),
    [
        pytest.param(Account, "/", id="turned off"),
        pytest.param(a_tree, "/other", id="another application"),
        pytest.param(a_tree, "/none", id="no application"),
        pytest.param(a_pipeline, "/shopping", id="outside of the prefix"),
        pytest.param(a_flask_app, "/", id="another framework"),
    ],
)
def test_path_without_sessions_is_told(make, path):
    app = TestApp(make)
    with pytest.raises(ValueError, match=f"there are no sessions at '{path}': turn on"):
        app.session(path).__enter__()


def test_missing_webtest_is_told():
    code = "import sys; sys.modules['webtest'] = None; from cptoolkit.testing import {}"
    for name, message in (("CPWebCase", ""), ("TestApp", "pip install 'cptoolkit[testing]'")):
        command = [sys.executable, "-c", code.format(name)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert message in ended.stderr
        assert bool(message) == bool(ended.returncode)
