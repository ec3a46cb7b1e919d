import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

import cptoolkit
from cptoolkit.checks import Checker, CheckerWarning
from cptoolkit.configuration import AppConfig, Config, NamespaceSet
from cptoolkit.introspection.findings import unusable
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.layer import Layer
from cptoolkit.toolbox import Tool

KNOWN = {
    "server": ["socket_host", "socket_port", "thread_pool"],
    "request": ["show_tracebacks", "methods_with_bodies"],
    "response": ["stream"],
    "hooks": ["before_handler"],
    "engine": ["autoreload.frequency"],
    "log": ["screen", "error_file"],
    "checker": ["on"],
}


class Demanding(Layer):
    def __post_init__(self):
        raise ValueError("need must be given")


class Tools:
    demanding = LayerTool("before_handler", Demanding, "demanding")
    encode = Tool("before_handler", lambda encoding=None: None, "encode")
    gzip = log_headers = sessions = Tool("before_finalize", lambda **options: None)


def make_app(config):
    return SimpleNamespace(
        config=AppConfig(config),
        toolboxes={"tools": Tools()},
        namespaces=NamespaceSet(log=print, db=print),
        layers={},
        request_class=SimpleNamespace(namespaces=NamespaceSet(request=print, hooks=print)),
        root=None,
    )


def make_checker(app_config=None, site_config=None, script_name="", **options):
    apps = {} if app_config is None else {script_name: make_app(app_config)}
    namespaces = NamespaceSet(server=lambda k, v: None, engine=lambda k, v: None)
    config = Config(site_config or {}, namespaces=namespaces)
    return Checker(SimpleNamespace(apps=apps), config, lambda: KNOWN, **options)


def run(checker):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker()
    assert all(issubclass(warning.category, CheckerWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


def findings(app_config=None, site_config=None, script_name="", **options):
    return run(make_checker(app_config, site_config, script_name, **options))


def test_config_without_mistakes_finds_nothing():
    app_config = {
        "/": {
            "tools.encode.encoding": "utf-8",
            "tools.gzip.on": True,
            "request.show_tracebacks": False,
            "db.connstring": "sqlite:",
            "hooks.before_handler.1": print,
            "wsgi.pipeline": [],
        },
        "Databases": {"host": "localhost", "server.port": 5},
        "global": {"server.socket_port": 1},
    }
    site_config = {
        "environment": "production",
        "server.socket_port": 8080,
        "server.second.socket_port": 8081,
        "server.second.on": True,
        "engine.autoreload.on": False,
        "tools.sessions.on": True,
        "my_own": {"a": 1},
        "db.connstring": "sqlite:",
        "log.screen": True,
        "log.rot_maxBytes": 5,
        "request.banner": "hello",
    }
    assert findings(app_config, site_config) == []


@pytest.mark.parametrize(
    ("app_config", "message"),
    [
        pytest.param({}, "The Application mounted at '' has an empty config.", id="empty"),
        pytest.param(
            {"[/]": {}}, "section named '[/]'. Brackets are for files; in a dict it is '/'.",
            id="brackets",
        ),
        pytest.param({"[/a": {}}, "in a dict it is '/a'.", id="half a bracket"),
        pytest.param({"static": {"tools.gzip.on": True}}, "[/static]", id="path without slash"),
        pytest.param({"a/b": {}}, "[/a/b]", id="path of two without slash"),
        pytest.param(
            {"/": {"server.socket_port": 80}}, "whole site. Pass them to config.update(), in"
            " [global]: [/] server.socket_port = 80",
            id="site entry",
        ),
        pytest.param(
            {"/": {"log_to_screen": True}}, "is obsolete. Use 'log.screen' instead.", id="obsolete"
        ),
        pytest.param({"/": {"log_config_options": 1}}, "is obsolete.", id="obsolete, no heir"),
        pytest.param(
            {"/": {"tols.gzip.on": True}}, "no config namespace 'tols'; did you mean 'tools'?",
            id="namespace",
        ),
        pytest.param(
            {"/": {"tools.gizp.on": True}},
            "cannot be used: there is no tool tools.gizp; did you mean 'gzip'?",
            id="tool",
        ),
        pytest.param(
            {"/": {"tools.encode.encodng": "x"}},
            "the tool 'encode' has no option 'encodng'; did you mean 'encoding'?",
            id="tool option",
        ),
        pytest.param(
            {"/": {"response.straem": True}}, "did you mean 'response.stream'?", id="key"
        ),
        pytest.param(
            {"/": {"hooks.before_handlr": print}}, "did you mean 'hooks.before_handler'?",
            id="hook point",
        ),
        pytest.param(
            {"/": {"methods_with_bodies": ()}}, "Write request.methods_with_bodies.",
            id="key without namespace",
        ),
        pytest.param(
            {"/": {"cherrypy.tools.gzip.on": True}}, "Write 'tools.gzip.on'.", id="cherrypy. first"
        ),
    ],
)  # fmt: skip
def test_mistake_in_the_config_of_an_application(app_config, message):
    found = findings(app_config)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("site_config", "message"),
    [
        pytest.param({"server.socket_prt": 80}, "did you mean 'server.socket_port'?", id="near"),
        pytest.param({"server.colour": 1}, "a server has no 'colour'", id="nothing near"),
        pytest.param(
            {"server.second.socket_prt": 80}, "did you mean 'server.socket_port'?", id="second"
        ),
        pytest.param({"sever.socket_port": 80}, "did you mean 'server'?", id="namespace"),
        pytest.param({"socket_port": 80}, "Write server.socket_port.", id="no namespace"),
        pytest.param({"server.socket_host": "localhost"}, "'127.0.0.1' or '::1'", id="localhost"),
        pytest.param(
            {"/": {"tools.gzip.on": True}}, "section [/] in the global config is not read",
            id="path",
        ),
        pytest.param(
            {"server": {"socket_port": 80}}, "Write server.socket_port in [global].",
            id="namespace as section",
        ),
        pytest.param({"throw_errors": True}, "Use 'request.throw_errors'", id="obsolete"),
    ],
)  # fmt: skip
def test_mistake_in_the_global_config(site_config, message):
    found = findings(site_config=site_config)
    assert len(found) == 1
    assert message in found[0]


def test_empty_config_with_sections_passed_to_the_site_tells_where_they_belong():
    found = findings({}, {"global": {}, "/": {"tools.gzip.on": True}})
    assert len(found) == 1
    assert "pass them to tree.mount" in found[0]


def test_config_passed_to_site_and_application_alike_is_in_the_right_place():
    config = {"/": {"tools.gzip.on": True}, "/a/": {}, "server": {"colour": 1}}
    assert findings(config, config) == []


def test_section_that_repeats_the_script_name():
    found = findings({"/blog/static": {}, "/blogs": {}}, script_name="/blog")
    assert len(found) == 1
    assert "[/blog/static] should probably be [/static]" in found[0]


def test_grafted_application_is_left_alone():
    checker = make_checker({"/": {}})
    checker.tree.apps["/wsgi"] = lambda environ, start_response: []
    assert run(checker) == []


def test_deprecated_key_is_told(monkeypatch):
    monkeypatch.setattr(Checker, "deprecated", {"log.old": "log.new"})
    assert "deprecated. Use 'log.new'" in findings(site_config={"log.old": 1})[0]


def test_namespace_of_others_is_left_alone():
    checker = make_checker({"/": {"mine.x": 1}})
    checker.extra_config_namespaces.append("mine")
    assert run(checker) == []


# Objects


class Shop:
    @cptoolkit.expose
    @cptoolkit.tools.gzip(compress_level=9)
    def good(self):
        raise AssertionError("called")


class Refused(Shop):
    @cptoolkit.expose
    @cptoolkit.tools.gzip(compress_level=99)
    def bad(self): ...


class Unknown(Shop):
    _cp_config = {"tools.gizp.on": True}


def findings_of(root, config=None):
    """What is found at the start of a program that serves a tree."""
    cptoolkit.tree.mount(root, "/shop", config or {"/": {"tools.gzip.on": True}})
    return run(cptoolkit.checker)


@pytest.mark.parametrize(
    ("root", "place", "message"),
    [
        pytest.param(
            Refused, "Refused.bad at /bad", "tools.gzip cannot be used: compress_level must be",
            id="a decorator's value",
        ),
        pytest.param(
            Unknown, "Unknown at /", "there is no tool 'gizp' in the toolbox 'tools'; did you mean",
            id="a tool",
        ),
    ],
)  # fmt: skip
def test_mistake_in_what_an_object_asks_for(root, place, message):
    [found] = findings_of(root())
    assert found.startswith("In _cp_config of ")
    assert f"{place} of the application at '/shop', {message}" in found


def test_objects_that_get_what_they_ask_for_are_no_finding():
    assert findings_of(Shop()) == []


def test_mistake_in_a_section_is_not_told_of_its_objects_too():
    refused = {"tools.expires.on": True, "tools.expires.secs": -1}
    assert len(findings_of(Shop(), {"/": refused})) == 1
    assert len(findings_of(Shop(), {"/good": {"tools.gizp.on": True}})) == 1


def test_object_that_does_not_let_itself_be_looked_at_is_left_alone(monkeypatch):
    def url_map(app, described):
        raise RuntimeError("not here")

    monkeypatch.setattr(sys.modules[unusable.__module__], "url_map", url_map)
    assert findings_of(Refused()) == []


def test_tree_that_does_not_let_itself_be_looked_at_is_taken_to_have_a_handler():
    class Unbound:
        @property
        def __class__(self):
            raise RuntimeError("not here")

    assert findings_of(SimpleNamespace(proxy=Unbound()), {"/": {"tools.gzip.on": True}}) == []


# Types

SAMPLES = {"server": SimpleNamespace(socket_port=80, thread_pool=10, timeout=10.5, ssl=False,
                                     socket_host="", names=[], other=None)}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("socket_port", "8080"),
        ("thread_pool", True),
        ("ssl", 1),
        ("socket_host", 5),
        ("names", "a"),
    ],
)
def test_value_of_another_type_than_the_default(key, value):
    known = {"server": ["socket_port", "thread_pool", "ssl", "socket_host", "names"]}
    checker = make_checker(site_config={f"server.{key}": value}, samples=lambda: SAMPLES)
    checker.known = lambda: known
    found = run(checker)
    assert len(found) == 1
    assert f"'server.{key}' in the global config is {value!r}" in found[0]
    assert "is expected" in found[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout", 10),
        ("names", ("a",)),
        ("other", 1),
        ("socket_port", None),
        ("socket_port", 80),
        ("ssl", True),
        ("socket_host", "a"),
    ],
)
def test_value_that_will_do(key, value):
    checker = make_checker(site_config={f"server.{key}": value}, samples=lambda: SAMPLES)
    checker.known = lambda: {"server": dir(SAMPLES["server"])}
    assert run(checker) == []


def test_attribute_that_fails_is_no_sample():
    class Sample:
        @property
        def body(self):
            raise RuntimeError("no request")

    assert findings({"/": {"request.body": 1}}, samples=lambda: {"request": Sample()}) == []


def test_secret_of_a_wrong_type_is_not_shown():
    checker = make_checker({"/": {"db.password": ["hunter2"]}})
    checker.known_config_types["db.password"] = str
    assert "is (not shown), of type 'list', where 'str' is expected" in run(checker)[0]


def test_secret_in_the_wrong_config_is_not_shown():
    found = "\n".join(findings({"/": {"server.ssl_private_key_password": "Sesame"}}))
    assert "[/] server.ssl_private_key_password = (not shown)" in found
    assert "Sesame" not in found


def test_type_of_ones_own():
    checker = make_checker({"/": {"db.port": "x"}})
    checker.known_config_types["db.port"] = int
    assert "'int' is expected" in run(checker)[0]


# Static folders


def static(**options):
    return {"/static": {f"tools.staticdir.{name}": value for name, value in options.items()}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "public").mkdir()
    return str(tmp_path)


def static_findings(app_config):
    checker = make_checker(app_config)
    checker.check_config_namespaces = False
    return run(checker)


def test_static_folder_that_is_there(folder):
    assert static_findings(static(on=True, root=folder, dir="public")) == []
    assert static_findings(static(on=False, dir="none")) == []


def test_static_root_may_come_from_a_section_above(folder):
    app_config = {"/": {"tools.staticdir.root": folder}, **static(on=True, dir="public")}
    assert static_findings(app_config) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "dir is not set"),
        ({"dir": "public"}, "dir is relative, and there is no root"),
        ({"dir": "public", "root": "here"}, "'here/public' (root and dir) is not an absolute"),
        ({"dir": "none", "root": "FOLDER"}, "none' is not a folder."),
        ({"dir": "/public", "root": "FOLDER"}, "take the leading slash from dir"),
        ({"dir": Path("/public"), "root": "FOLDER"}, "take the leading slash from dir"),
        ({"dir": 5}, "a path must be a text"),
        ({"dir": "public", "root": ["FOLDER"]}, "a path must be a text"),
    ],
    ids=str,
)
def test_static_folder_that_is_not_there(folder, options, message):
    options = {name: folder if value == "FOLDER" else value for name, value in options.items()}
    found = static_findings(static(on=True, **options))
    assert len(found) == 1
    assert message in found[0]
    assert "section [/static]" in found[0]


# Turning off, and how findings are shown


def test_checker_is_turned_off():
    checker = make_checker({})
    checker.on = False
    assert run(checker) == []


def test_single_check_is_turned_off():
    checker = make_checker({})
    checker.check_skipped_app_config = False
    assert run(checker) == []


def test_check_of_ones_own_is_run():
    checker, calls = make_checker(), []
    checker.check_mine = lambda: calls.append("run")
    run(checker)
    assert calls == ["run"]


SCRIPT = """
from types import SimpleNamespace
from cptoolkit.checks import Checker
app = SimpleNamespace(config={}, toolboxes={}, namespaces={},
                      request_class=SimpleNamespace(namespaces={}))
checker = Checker(SimpleNamespace(apps={"": app}), {})
checker()
checker()
"""
TEXT = "CherryPy Checker:\nThe Application mounted at '' has an empty config.\n\n"


def test_script_shows_each_finding_once():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, TEXT)


def test_finding_is_shown_and_not_raised_where_warnings_are_errors():
    command = [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr.startswith(TEXT)


def test_findings_are_silenced_like_any_warning():
    command = [sys.executable, "-W", "ignore::UserWarning", "-c", SCRIPT]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_other_warnings_look_as_ever_afterwards(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", as_ever := object())
    run(make_checker({}))
    assert warnings.formatwarning is as_ever


def test_options_that_a_layer_refuses_are_told():
    [finding] = findings({"/": {"tools.demanding.on": True}})
    assert "section [/] of the application at ''" in finding
    assert "tools.demanding cannot be used: need must be given" in finding


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (
            {"request.show_tracebacks": "False"},
            "must be True, False or 'local', got 'False': tracebacks are not shown.",
        ),
        ({"tools.gzip.on": "False"}, "must be True or False, got 'False'."),
        ({"tools.gzip": True}, "has no effect. Write 'tools.gzip.on'."),
    ],
    ids=["tracebacks", "on", "no option"],
)
def test_values_that_mean_nothing_are_told(entry, told):
    [finding] = findings({"/": entry})
    assert told in finding


@pytest.mark.parametrize("shown", [True, False, "local"])
def test_values_that_are_meant_are_not_told(shown):
    assert findings({"/": {"request.show_tracebacks": shown, "tools.gzip.on": True}}) == []


def test_layer_that_is_off_is_not_tried():
    assert findings({"/": {"tools.demanding.on": False}}) == []


def test_options_of_middleware_that_is_not_there_are_told():
    checker = make_checker({"/": {"tools.encode.encoding": "utf-8"}})
    [app] = checker.tree.apps.values()
    app.wsgiapp = SimpleNamespace(pipeline=[("proxy", print)], config={"prxy": {"hops": 1}})
    [finding] = run(checker)
    assert "'wsgi.prxy.*'" in finding
    assert "did you mean 'proxy'?" in finding


def test_application_of_flask_is_left_alone():
    flask = pytest.importorskip("flask", reason="needs flask")
    tree = SimpleNamespace(apps={"": flask.Flask("site")})
    assert run(Checker(tree, Config({}), lambda: KNOWN)) == []
