"""URLs of the application's own paths."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cptoolkit
from cptoolkit.context import current
from cptoolkit.http.request import Request
from cptoolkit.http.response import Response


class Anywhere:
    """Answers everywhere with the URL that the parameters describe."""

    def __init__(self, **arguments):
        self._arguments = arguments

    @cptoolkit.expose
    def index(self):
        return cptoolkit.url(**self._arguments)

    @cptoolkit.expose
    def default(self, *path):
        return cptoolkit.url(**self._arguments)


def url_at(app_of, here, **arguments):
    client = app_of(Anywhere(**arguments), script_name="/app")
    return client.get(f"/app{here}", headers={"Host": "h"}).text


@pytest.mark.parametrize(
    ("here", "arguments", "url"),
    [
        ("/a/b", {}, "http://h/app/a/b"),
        ("/", {}, "http://h/app/"),
        ("/a/b", {"path": "x"}, "http://h/app/a/x"),
        ("/a/b", {"path": "./x"}, "http://h/app/a/x"),
        ("/a/b", {"path": "../x"}, "http://h/app/x"),
        ("/", {"path": "x"}, "http://h/app/x"),
        ("/a/b", {"path": "/x"}, "http://h/app/x"),
        ("/a/b", {"path": "/x/../y/./z"}, "http://h/app/y/z"),
        ("/a/b", {"path": "/x//y"}, "http://h/app/x//y"),
        ("/a/b", {"path": "/../../../x"}, "http://h/x"),
        ("/a/b", {"path": "http://o/x"}, "http://o/x"),
        ("/a/b", {"path": "http://o/x", "qs": "a=1"}, "http://o/x?a=1"),
        ("/a/b", {"path": "/x", "qs": "a=1"}, "http://h/app/x?a=1"),
        ("/a/b", {"path": "/x", "qs": {"a": "1 é", "b": "&"}}, "http://h/app/x?a=1+%C3%A9&b=%26"),
        ("/a/b", {"path": "/x", "script_name": ""}, "http://h/x"),
        ("/a/b", {"path": "/x", "script_name": "/m"}, "http://h/m/x"),
        ("/a/b", {"path": "/x", "base": "https://b"}, "https://b/app/x"),
        ("/a/b", {"path": "/x", "base": ""}, "/app/x"),
        ("/a/b", {"path": "/x", "relative": True}, "../x"),
        ("/a/b", {"path": "x", "relative": True}, "x"),
        ("/a/b", {"path": "/a/", "relative": True}, "./"),
        ("/a/b", {"path": "/a", "relative": True}, "../a"),
        ("/a/b", {"path": "/a//x", "relative": True}, ".//x"),
        ("/a/b", {"path": "/a/x:y", "relative": True}, "./x:y"),
        ("/a/b", {"path": "/x", "qs": "u=a/./b", "relative": True}, "../x?u=a/./b"),
        ("/a/b", {"path": "/x?u=a/../b"}, "http://h/app/x?u=a/../b"),
        ("/a/b", {"path": "../x", "base": ""}, "/app/x"),
        ("/a/b", {"path": "/x", "base": "http://o", "relative": True}, "http://o/app/x"),
        ("/a/b", {"path": "/x", "relative": "server"}, "/app/x"),
        ("/a/b", {"path": "/x", "relative": False}, "http://h/app/x"),
    ],
)
def test_url(app_of, here, arguments, url):
    assert url_at(app_of, here, **arguments) == url


@pytest.mark.parametrize("here", ["/page", "/page/"])
def test_slash_behind_a_page_does_not_change_where_relative_urls_lead(app_of, here):
    class Root:
        @cptoolkit.expose
        def page(self):
            return cptoolkit.url("x")

    assert app_of(Root()).get(here, headers={"Host": "h"}).text == "http://h/x"


def test_index_page_without_a_slash_counts_as_a_folder(app_of):
    client = app_of(Anywhere(path="x"), {"/": {"tools.trailing_slash.on": False}}, "/app")
    assert client.get("/app", headers={"Host": "h"}).text == "http://h/app/x"


def test_application_may_prefer_relative_urls(app_of):
    client = app_of(Anywhere(path="/x"), script_name="/app")
    client.app.apps["/app"].relative_urls = True
    assert client.get("/app/a/b", headers={"Host": "h"}).text == "../x"
    client.app.apps["/app"].relative_urls = "server"
    assert client.get("/app/a/b", headers={"Host": "h"}).text == "/app/x"


def test_url_outside_of_a_request_is_of_the_server():
    assert cptoolkit.url("/x") == f"{cptoolkit.server.base()}/x"


def test_url_outside_of_a_request_takes_a_base():
    assert cptoolkit.url("/x", base="http://b", script_name="/m") == "http://b/m/x"


segments = st.lists(st.sampled_from(["a", "b", "é", "x:y"]), max_size=4)


@settings(max_examples=100, deadline=None)
@given(here=segments, there=segments, slash=st.booleans(), mount=st.sampled_from(["", "/m"]))
def test_relative_url_joined_to_the_current_one_is_the_absolute_one(here, there, slash, mount):
    request = Request.blank("/", environ={"HTTP_HOST": "h"})
    request.app = cptoolkit.Application(None, mount)
    request.script_name = mount
    request.path_info = "/" + "/".join(here) + ("/" if slash and here else "")
    path = "/" + "/".join(there)
    token = current.set((request, Response()))
    try:
        current_url = f"http://h{mount}{request.path_info}"
        relative = cptoolkit.url(path, relative=True)
        assert urljoin(current_url, relative) == cptoolkit.url(path)
        assert not urlsplit(relative).netloc
    finally:
        current.reset(token)
