"""The debugger for developers: as a tool of an object tree, and what layer and tool share."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from html import unescape

import pytest
from webob import Request
from webob.multidict import MultiDict

import cptoolkit
from cptoolkit import HTTPError, HTTPRedirect
from cptoolkit.middleware import ErrorPages
from cptoolkit.middleware.errors import debugger, details

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8080"}
STYLE = "__debugger__=yes&cmd=resource&f=style.css"


class Unshowable:
    def __repr__(self):
        raise OSError("no repr")


@dataclass
class Account:
    name: str
    password: bytes
    age: int


class Root:
    calls = 0

    @cptoolkit.expose
    def index(self):
        return "home"

    @cptoolkit.expose
    def crash(self, **form):
        self.calls += 1
        price, password, thing = "<b>7 €</b>", "hush", Unshowable()
        raise ValueError(f"seven {len((price, password, thing))}")

    @cptoolkit.expose
    def refuse(self):
        raise HTTPError(403, "no")

    @cptoolkit.expose
    def deep(self):
        return self.deep()


@pytest.fixture(autouse=True)
def pin(monkeypatch):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "123-456-789")


@pytest.fixture
def tree(app_of):
    """An object tree with the tool."""

    def make(**config):
        return app_of(Root(), {"/": {"tools.debugger.on": True, **config}}).app

    return make


@pytest.fixture
def layer():
    """A foreign application within the layer."""

    def app(environ, start_response):
        return Root().crash(**dict(part.split("=") for part in environ["QUERY_STRING"].split("&")))

    return ErrorPages(app, debug=True)


def fetch(app, path="/", accept=BROWSER, **environ):
    return Request.blank(path, environ={**LOCAL, "HTTP_ACCEPT": accept, **environ}).get_response(
        app
    )


@pytest.fixture(params=["tool", "layer"])
def debugged(request):
    return (
        request.getfixturevalue("tree")()
        if request.param == "tool"
        else request.getfixturevalue("layer")
    )


# -- what it shows ----------------------------------------------------------------------------


def test_browser_sees_source_locals_and_the_request(debugged):
    page = fetch(debugged, "/crash?colour=red", HTTP_X_SHOP="tea", HTTP_COOKIE="id=crumbs")
    assert (page.status_int, page.content_type) == (500, "text/html")
    assert "ValueError" in page.text
    assert "raise <" not in page.text
    assert "len((price, password, thing))" in page.text  # the source
    assert "<th>price</th><td>&#x27;&lt;b&gt;7 €&lt;/b&gt;&#x27;</td>" in page.text
    assert "<th>QUERY_STRING</th><td>colour=red</td>" in page.text
    assert "<th>X-Shop</th><td>tea</td>" in page.text
    assert page.content_length == len(page.body)
    assert page.vary == ("Accept",)


def test_secrets_are_left_out_of_the_page(debugged):
    page = fetch(debugged, "/crash?password=sesame", HTTP_COOKIE="id=crumbs").text
    assert "<th>password</th><td>(not shown)</td>" in page
    assert "&#x27;password&#x27;: (not shown)" in page  # in the form
    assert "<th>Cookie</th><td>(not shown)</td>" in page
    assert "crumbs" not in page
    assert "sesame" not in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/log?user=ann&pwd=hush&page=2", "user=ann&pwd=(not shown)&page=2"),
        ([("Authorization", "Basic hush hush"), ("Age", "1")], "('Age', '1')"),
        (OrderedDict(api_key="hush", page=2), "page"),
        (MultiDict([("password", "hush"), ("page", "2")]), "('page', '2')"),
        (Account("ann", b"hush hush", 5), "name='ann', password=(not shown), age=5"),
        ({"HTTP_REFERER": "http://a/?token=hush"}, "http://a/?token=(not shown)"),
        (["x" * 290, "password", "hush"], "xxx"),
    ],
    ids=["query", "pairs", "dict of another class", "form", "dataclass", "in a dict", "long"],
)
def test_secrets_are_left_out_of_values(value, shown):
    try:
        raise ValueError(f"{type(value)}")
    except ValueError as error:
        page = unescape(details.details({"QUERY_STRING": "a=b&access_token=hush"}, error))
    assert "hush" not in page
    assert shown in page
    assert "a=b&access_token=(not shown)" in page


def test_objects_without_a_repr_are_told_as_such(debugged):
    page = fetch(debugged, "/crash?a=b").text
    assert "Unshowable" in page


def test_program_gets_the_traceback_as_json(debugged):
    answer = fetch(debugged, "/crash?a=b", "application/json")
    assert answer.content_type == "application/problem+json"
    document = json.loads(answer.body)
    assert document["detail"] == "ValueError: seven 3"
    assert document["traceback"][-1] == "ValueError: seven 3"


def test_curl_gets_the_traceback_as_text(debugged):
    answer = fetch(debugged, "/crash?a=b", "*/*")
    assert answer.content_type == "text/plain"
    assert answer.text.endswith("ValueError: seven 3\n")


def test_page_finds_its_style_without_the_handler_being_run_again(tree):
    app = tree()
    fetch(app, "/crash")
    answer = fetch(app, f"/crash?{STYLE}", "text/css")
    assert (answer.status_int, answer.content_type) == (200, "text/css")
    assert app.root.calls == 1


def test_console_asks_for_the_pin(tree):
    app = tree()
    page = fetch(app, "/crash").text
    secret = page.partition('SECRET = "')[2].partition('"')[0]
    frame = page.rpartition('id="frame-')[2].partition('"')[0]
    command = f"/crash?__debugger__=yes&cmd=price&frm={frame}&s={secret}"
    assert "7 €" not in fetch(app, command).text
    pin = f"/crash?__debugger__=yes&cmd=pinauth&pin=123-456-789&s={secret}"
    cookie = fetch(app, pin).headers["Set-Cookie"].partition(";")[0]
    assert "7 €" in fetch(app, command, HTTP_COOKIE=cookie).text


def test_pin_is_told_in_the_log_when_the_page_asks_for_it(tree, caplog):
    app = tree()
    secret = fetch(app, "/crash").text.partition('SECRET = "')[2].partition('"')[0]
    with caplog.at_level("INFO", "werkzeug"):
        fetch(app, f"/crash?__debugger__=yes&cmd=printpin&s={secret}")
    assert "123-456-789" in caplog.text


def test_frames_of_old_errors_are_let_go(tree, monkeypatch):
    monkeypatch.setattr(debugger, "MOST_FRAMES", 10)
    app = tree()
    for _ in range(20):
        fetch(app, "/crash")
    assert len(cptoolkit.tools.debugger._debugger._debugged.frames) == 10


def test_endless_recursion_is_shown_by_its_innermost_frames(tree):
    page = fetch(tree(), "/deep").text
    assert "RecursionError" in page
    assert page.count("<details>") == details.MOST_FRAMES


# -- what it leaves alone ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": ""},
        {"HTTP_HOST": "evil.example"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    ],
    ids=["remote", "no address", "rebound name", "behind a proxy"],
)
@pytest.mark.parametrize("query", ["", STYLE])
@pytest.mark.parametrize("shown", ["local", True], ids=["local", "to all"])
def test_nobody_else_gets_the_debugger(tree, environ, query, shown):
    page = fetch(tree(**{"request.show_tracebacks": shown}), f"/crash?{query}", **environ)
    assert page.status_int == 500
    assert "<h2>500 Internal Server Error</h2>" in page.text
    assert "hush" not in page.text
    assert "__debugger__" not in page.text


def test_production_has_no_debugger(tree):
    cptoolkit.config.update({"environment": "production"})
    page = fetch(tree(), "/crash")
    assert "<h2>500 Internal Server Error</h2>" in page.text
    assert "price" not in page.text
    assert fetch(tree(), f"/crash?{STYLE}").status_int == 500


def test_errors_that_are_meant_get_their_page(tree):
    app = tree()
    assert "<h2>403 Forbidden</h2>" in fetch(app, "/refuse").text
    assert "<h2>404 Not Found</h2>" in fetch(app, "/nowhere").text
    assert fetch(app).text == "home"


def test_redirect_of_an_error_response_is_sent(tree):
    def lead_away():
        raise HTTPRedirect("/")

    answer = fetch(tree(**{"request.error_response": lead_away}), "/crash")
    assert answer.location == "http://localhost:8080/"


def test_head_has_no_body(tree):
    answer = fetch(tree(), "/crash", REQUEST_METHOD="HEAD")
    assert (answer.status_int, answer.body) == (500, b"")


def test_misspelt_option_is_told(tree):
    with pytest.raises(ValueError, match=r"'tools\.debugger\.pn'.*has no option 'pn'"):
        cptoolkit.tools.debugger.check({"pn": "1"})


def test_tool_is_off_until_config_says_so(app_of):
    assert "__debugger__" not in fetch(app_of(Root()).app, "/crash").text
