import warnings

import pytest

import cptoolkit
from cptoolkit.checks import Checker
from cptoolkit.handler_search import may_answer


class Empty:
    number = 5
    text = "text"

    def method(self):
        return "not exposed"


class Page:
    @cptoolkit.expose
    def page(self):
        return "page"


class Static:
    @staticmethod
    @cptoolkit.expose
    def page():
        return "page"


class Made:
    def __getattr__(self, name):
        raise AttributeError(name)


class Dispatching:
    def _cp_dispatch(self, vpath):
        return None


class Lazy:
    @property
    def page(self):
        raise AssertionError("was asked")


def holding(thing):
    root = Empty()
    root.child = Empty()
    root.child.back = root
    root.child.grandchild = thing
    return root


def test_tree_without_an_exposed_object_cannot_answer():
    assert not may_answer(holding(Empty()))


@pytest.mark.parametrize("thing", [Page(), Static(), Made(), Dispatching(), Lazy(), Page().page])
def test_tree_with_one_somewhere_may_answer(thing):
    assert may_answer(holding(thing))


def warned_of(root, config=None):
    tree = cptoolkit.Tree()
    tree.mount(root, "", config or {"/": {"tools.encode.on": True}})
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        Checker(tree, cptoolkit.config).check_app_has_handlers()
    return [str(warning.message) for warning in found]


def test_checker_tells_of_a_root_without_a_handler():
    (warning,) = warned_of(Empty())
    assert "mounted at '' has no page handler" in warning
    assert "@expose" in warning


def test_checker_says_nothing_of_others():
    assert warned_of(Page()) == []
    assert warned_of(None) == []
    assert warned_of(Empty(), {"/": {"request.dispatch": lambda path: None}}) == []


def test_application_without_a_handler_answers_404(app_of):
    client = app_of(Empty())
    for path in ("/", "/method", "/number", "/x/y"):
        client.get(path, status=404)
