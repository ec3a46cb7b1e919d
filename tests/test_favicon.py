import struct
from importlib.resources import files

import pytest
from webob import Request

import cptoolkit


class Root:
    @cptoolkit.expose
    def index(self):
        return "hi"


ICON = files("cptoolkit").joinpath("favicon.ico").read_bytes()


def fetch(tree, path="/favicon.ico", **environ):
    return Request.blank(path, **environ).get_response(tree)


@pytest.fixture
def tree():
    return cptoolkit.Tree()


def test_root_of_a_site_has_an_icon(tree):
    tree.mount(Root())
    response = fetch(tree)
    assert (response.status_code, response.content_type) == (200, "image/x-icon")
    assert response.body == ICON


def test_browsers_may_keep_the_icon(tree):
    tree.mount(Root())
    assert fetch(tree).headers["Cache-Control"] == "max-age=86400"


def test_head_of_the_icon_has_its_length_alone(tree):
    tree.mount(Root())
    response = fetch(tree, method="HEAD")
    assert (response.content_length, response.body) == (len(ICON), b"")


def test_browser_that_has_the_icon_gets_304(tree):
    tree.mount(Root())
    tag = fetch(tree).headers["ETag"]
    response = fetch(tree, headers={"If-None-Match": tag})
    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["Cache-Control"] == "max-age=86400"


def test_icon_of_the_application_wins(tree):
    class Own(Root):
        @cptoolkit.expose
        def favicon_ico(self):
            return b"own"

    tree.mount(Own())
    assert fetch(tree).body == b"own"


def test_application_below_the_root_has_none(tree):
    tree.mount(Root(), "/blog")
    assert fetch(tree, "/blog/favicon.ico").status_code == 404


def test_root_that_takes_no_attributes_is_mounted_without(tree):
    class Closed:
        __slots__ = ()

        @cptoolkit.expose
        def index(self):
            return "hi"

    tree.mount(Closed())
    assert fetch(tree, "/").body == b"hi"


def test_icon_is_small_and_has_two_sizes():
    reserved, kind, count = struct.unpack_from("<HHH", ICON)
    assert (reserved, kind, count) == (0, 1, 2)
    assert [ICON[6], ICON[22]] == [16, 32]
    assert len(ICON) < 2048


def test_package_without_its_data_has_no_icon(tree, monkeypatch):
    def absent(package, name):
        raise FileNotFoundError(name)

    monkeypatch.setattr("pkgutil.get_data", absent)
    tree.mount(Root())
    assert fetch(tree).status_code == 404
