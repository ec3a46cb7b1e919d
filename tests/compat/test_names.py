"""The names that programs written for CherryPy use, as a look at many of them has found them.

``names.ini`` lists them: what is below ``cherrypy``; attributes of the request, the response and
the session; tools; settings of the site and of applications, each with a value that it may have.
"""

from __future__ import annotations

import configparser
from operator import attrgetter
from pathlib import Path

import pytest
from webob import Request

import cptoolkit
import cptoolkit.lib.cpstats  # adds the tool cpstats, as in CherryPy
from cptoolkit.compat import LEFT_OUT

_FILE = configparser.RawConfigParser(allow_no_value=True, delimiters=("=",))
_FILE.optionxform = str
_FILE.read_string(Path(__file__).with_name("names.ini").read_text(encoding="utf-8"))

NEEDED = {
    "auth_basic": {"realm": "r", "checkpassword": lambda realm, name, password: True},
    "proxy": {"trusted": "127.0.0.1"},
    "staticdir": {"dir": "/srv/static"},
    "staticfile": {"filename": "/srv/robots.txt"},
}
"""Options without which a tool cannot be used."""


def each(section):
    return pytest.mark.parametrize("name", list(_FILE[section]))


def values(section):
    return pytest.mark.parametrize(
        ("name", "value"),
        [pytest.param(name, text, id=name) for name, text in _FILE[section].items()],
    )


@each("names")
def test_name_below_cherrypy_is_there(name):
    attrgetter(name)(cptoolkit)


def served(settings, page):
    class Root:
        index = page

    page.exposed = True
    app = cptoolkit.Application(Root(), config={"/": settings})
    request = Request.blank("/", method="POST", json={"a": 1}, content_type="application/json")
    request.environ["REMOTE_ADDR"] = "127.0.0.1"
    return request.get_response(app)


@pytest.fixture(scope="module")
def lacking():
    """What is not there while a request is served, by the section it is listed in."""
    found = {}

    def page(self):
        for section in ("request", "response", "session"):
            thing = getattr(cptoolkit, section)
            found[section] = {name for name in _FILE[section] if not has(thing, name)}
        return ""

    assert served({"tools.sessions.on": True, "tools.json_in.on": True}, page).status_int == 200
    return found


def has(thing, name):
    try:
        attrgetter(name)(thing)
    except AttributeError:
        return False
    return True


@each("request")
def test_request_has_the_attribute(lacking, name):
    assert name not in lacking["request"]


@each("response")
def test_response_has_the_attribute(lacking, name):
    assert name not in lacking["response"]


@each("session")
def test_session_has_the_attribute(lacking, name):
    assert name not in lacking["session"]


@each("tools")
def test_tool_can_be_turned_on(name):
    options = {f"tools.{name}.{option}": value for option, value in NEEDED.get(name, {}).items()}
    assert served({**options, f"tools.{name}.on": True}, lambda self: "").status_int < 500


@values("site config")
def test_setting_of_the_site_is_known(name, value):
    value = cptoolkit.lib.reprconf.unrepr(value)
    cptoolkit.config.update({name: value})
    namespace, _, attribute = name.partition(".")
    assert cptoolkit.config[name] == value
    if namespace == "server":
        assert getattr(cptoolkit.server, attribute) == value


@values("config")
def test_setting_of_an_application_is_known(name, value, tmp_path):
    namespace, tool, *_ = name.split(".")
    settings = {name: cptoolkit.lib.reprconf.unrepr(value)}
    if namespace == "tools":
        needed = {f"tools.{tool}.{key}": given for key, given in NEEDED.get(tool, {}).items()}
        settings = {f"tools.{tool}.on": True, **needed, **settings}
    if name == "tools.sessions.storage_path":
        settings |= {"tools.sessions.storage_type": "file", name: str(tmp_path)}
    assert served(settings, lambda self: "").status_int < 500


@pytest.mark.parametrize("name", sorted(set(LEFT_OUT) - {"process.win32"}))
def test_name_that_is_left_out_says_what_to_use(name):
    with pytest.raises(AttributeError, match="has been left out: "):
        attrgetter(name)(cptoolkit)


def test_documentation_lists_what_is_left_out():
    page = (Path(__file__).parents[2] / "docs" / "cherrypy.rst").read_text(encoding="utf-8")
    listed = page[page.index("What is left out") :]
    assert [name for name in LEFT_OUT if name.rpartition(".")[2] not in listed] == []


def test_import_of_what_is_left_out_says_what_to_use():
    with pytest.raises(ImportError, match=r"cptoolkit\.lib\.covercp has been left out: use the"):
        import cptoolkit.lib.covercp  # noqa: F401
    with pytest.raises(ImportError, match=r"cptoolkit\.process\.win32 has been left out"):
        from cptoolkit.process import win32  # noqa: F401
