"""What the names on a command line stand for; tests/test_cli.py has how they are served."""

import sys
import textwrap

import pytest

import cptoolkit
from cptoolkit.target import Kind, TargetError, find, has_handlers


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module which can be imported until the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(source, name="written"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(source))
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


class Page:
    @cptoolkit.expose
    def index(self):
        return "page"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("import flask; app = flask.Flask('x')", id="Flask"),
        pytest.param("import bottle; app = bottle.Bottle()", id="Bottle"),
        pytest.param("import falcon; app = falcon.App()", id="Falcon"),
        pytest.param(
            "from pyramid.config import Configurator as C; app = C().make_wsgi_app()", id="Pyramid"
        ),
        pytest.param("import webob; app = webob.Response('x')", id="a response of webob's"),
        pytest.param("from functools import partial\napp = partial(print, 1)", id="written in C"),
    ],
)
def test_applications_of_other_frameworks_are_wsgi(module, source):
    framework = source.split()[1].rstrip(";").partition(".")[0]
    pytest.importorskip(framework)
    module(source)
    assert find("written:app").kind is Kind.WSGI
    assert find("written").name == "written:app"


def test_root_that_could_be_called_like_wsgi_is_a_tree(module):
    module(
        """
        import cptoolkit
        class Root:
            def __call__(self, first, second): ...
            @cptoolkit.expose
            def index(self): return "x"
        """
    )
    assert find("written:Root").kind is Kind.ROOT


def test_module_that_mounts_is_served_with_what_it_mounts(module):
    module(
        """
        import cptoolkit
        class Root:
            @cptoolkit.expose
            def index(self): return "x"
        root = Root()
        app = cptoolkit.tree.mount(root, "/here", {"/": {"mine": 1}})
        """
    )
    target = find("written")
    assert (target.kind, target.thing) == (Kind.TREE, cptoolkit.tree)


def test_name_that_is_given_counts_over_what_is_mounted(module):
    source = "import cptoolkit\napp = cptoolkit.tree.mount(None, '/here')\nother = lambda e, s: []"
    module(source)
    assert find("written:other").kind is Kind.WSGI


def test_file_named_like_a_loaded_module_does_not_replace_it(module):
    path = module("def app(environ, start_response): ...", name="queue")
    import queue

    assert find(f"{path}:app").thing.__module__ == "queue_"
    assert sys.modules["queue"] is queue


def test_file_can_import_its_neighbours(module, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "folder").mkdir()
    module("answer = 42", name="folder/neighbour")
    path = module("from neighbour import answer\ndef app(environ, start): ...", name="folder/main_")
    assert find(f"{path}:app").kind is Kind.WSGI


def test_file_that_fails_leaves_no_module(module):
    path = module("raise ValueError('several\\nlines')")
    with pytest.raises(TargetError, match=r"ValueError: several \(.*written.py:1\)"):
        find(f"{path}:app")
    assert "written" not in sys.modules


@pytest.mark.parametrize("name", ["absent.py:app", "folder/:app"])
def test_file_that_is_not_there_is_told(name):
    with pytest.raises(TargetError, match="there is no file"):
        find(name)


def make(**attributes):
    return type("Made", (), attributes)()


@pytest.mark.parametrize(
    "root",
    [
        pytest.param(Page(), id="a page"),
        pytest.param(Page, id="a class"),
        pytest.param(make(blog=Page()), id="below it"),
        pytest.param(make(exposed=True, GET=lambda self: "x"), id="exposed itself"),
        pytest.param(make(index=staticmethod(Page.index)), id="a static method"),
        pytest.param(make(_cp_dispatch=lambda self, vpath: self), id="with _cp_dispatch"),
        pytest.param(make(__getattr__=lambda self, name: Page()), id="attributes on demand"),
        pytest.param(make(_cp_config={"request.dispatch": print}), id="its own dispatcher"),
    ],
)
def test_roots_that_answer_are_known(root):
    assert has_handlers(root)


@pytest.mark.parametrize(
    "root",
    [
        pytest.param(make(), id="nothing"),
        pytest.param(make(index=lambda self: "x"), id="not exposed"),
        pytest.param(make(_cp_config={"tools.x": 1}), id="config alone"),
        pytest.param(None, id="None"),
        pytest.param(42, id="a number"),
    ],
)
def test_roots_that_never_answer_are_known(root):
    assert not has_handlers(root)


def test_tree_with_a_circle_is_searched_once():
    first, second = make(), make()
    first.next, second.next = second, first
    assert not has_handlers(first)


def test_properties_are_not_run():
    def fail(self):
        raise AssertionError("was run")

    assert not has_handlers(make(costly=property(fail)))
