"""lib.caching and _cache: CherryPy's names for the caches of an object tree."""

from webob import Request

import cptoolkit
from cptoolkit import caching_functions


class Root:
    def __init__(self):
        self.runs = 0

    @cptoolkit.expose
    def default(self, *path, **params):
        self.runs += 1
        return f"page {self.runs}"

    default._cp_config = {"tools.caching.on": True}

    @cptoolkit.expose
    def drop(self):
        caching_functions.clear()
        return "dropped"

    @cptoolkit.expose
    def fresh(self, secs="60", force=""):
        cptoolkit.response.headers["ETag"] = '"x"'
        caching_functions.expires(secs=int(secs), force=bool(force), debug=True)
        return "x"


def fetch(app, path="/"):
    return Request.blank(path).get_response(app)


def test_expires_acts_on_the_current_response(app_of):
    client = app_of(Root())
    assert client.get("/fresh").headers["Cache-Control"] == "max-age=60"
    answer = client.get("/fresh?secs=0&force=1")
    assert answer.headers["Cache-Control"] == "no-cache, must-revalidate"
    assert answer.headers["Pragma"] == "no-cache"


def test_debug_logs_what_came_of_expires():
    lines = []
    app = cptoolkit.Application(Root())
    app.log = lambda message, context="", **_: lines.append((context, message))
    app.log.access = app.log.wants_access = lambda: None
    fetch(app, "/fresh?secs=0")
    assert lines == [("TOOLS.EXPIRES", "Expires: Sun, 28 Jan 2007 00:00:00 GMT")]


def test_clear_empties_the_caches_of_all_applications():
    apps = [cptoolkit.Application(Root()) for _ in range(2)]
    for _ in range(2):
        assert [fetch(app, "/a").text for app in apps] == ["page 1"] * 2
    fetch(apps[0], "/drop")
    assert [fetch(app, "/a").text for app in apps] == ["page 2"] * 2


def test_delete_forgets_the_current_uri_alone():
    class Dropping(Root):
        @cptoolkit.expose
        def look(self, **params):
            caching_functions.delete()
            return self.default()

        look._cp_config = {"tools.caching.on": True}

    app = cptoolkit.Application(Dropping())
    assert fetch(app, "/other").text == "page 1"
    assert fetch(app, "/look?a=1").text == "page 2"
    assert fetch(app, "/look?a=1").text == "page 3"  # what was being made was out of date
    assert fetch(app, "/other").text == "page 1"
