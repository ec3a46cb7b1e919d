"""The dispatcher against a model of it that is too simple to be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cptoolkit

NAMES = ["a", "b", "index", "default"]
LEAF_NAMES = ["index", "default"]


@dataclass
class Node:
    """An object of a tree: its attributes, and what it answers and says itself."""

    exposed: bool
    word: str | None
    children: dict[str, Node] = field(default_factory=dict)

    def build(self, path: str = "") -> object:
        """The real object."""

        class Thing:
            def __call__(self, *args):
                word = cptoolkit.request.config.get("my.word")
                return f"{path} {list(args)} {word}"

        thing = Thing()
        thing.exposed = self.exposed
        if self.word is not None:
            thing._cp_config = {"my.word": self.word}
        for name, child in self.children.items():
            setattr(thing, name, child.build(f"{path}/{name}"))
        return thing


words = st.none() | st.sampled_from("xyz")
leaves = st.builds(Node, st.booleans(), words)
nodes = st.recursive(
    leaves,
    lambda inner: st.builds(
        Node, st.booleans(), words, st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
paths = st.lists(st.sampled_from([*NAMES, "c"]), max_size=4)
sections = st.dictionaries(paths.map(lambda names: "/" + "/".join(names)), st.sampled_from("uvw"))


def expected(root: Node, segments: list[str], said: dict[str, str]) -> str | None:
    """What the dispatcher should find, worked out the long way."""
    names = [*segments, "index"]
    way: list[tuple[str, Node | None]] = [("", root)]
    for name in names:
        path, node = way[-1]
        way.append((f"{path}/{name}", node.children.get(name) if node else None))
    for depth in range(len(way) - 1, -1, -1):
        path, node = way[depth]
        default = node.children.get("default") if node else None
        if default and default.exposed:
            rest, found, own = names[depth:-1], f"{path}/default", default.word
            break
        if node and node.exposed:
            rest, found, own = names[depth:-1], path, None
            break
    else:
        return None
    word = None
    for number, (path, node) in enumerate(way):
        for source in (node and node.word, said.get(path or "/"), own if number == depth else None):
            word = source or word
    return f"{found} {rest} {word}"


@settings(max_examples=100, deadline=None)
@given(root=nodes, segments=paths, said=sections)
def test_dispatcher_finds_what_the_model_finds(app_of, root, segments, said):
    config = {"/": {"tools.trailing_slash.on": False}}
    for path, word in said.items():
        config.setdefault(path, {})["my.word"] = word
    response = app_of(root.build(), config).get("/" + "/".join(segments), status="*")
    answer = expected(root, segments, said)
    if answer is None:
        assert response.status_int == 404
    else:
        assert response.text == answer


@settings(max_examples=100, deadline=None)
@given(segments=st.lists(st.text(max_size=6), max_size=5), slash=st.booleans())
def test_no_path_is_a_500(app_of, segments, slash):
    class Root:
        a = Node(True, None, {"b": Node(False, "x")}).build()

        @cptoolkit.expose
        def page(self, word):
            return word

    path = "/" + "/".join(quote(segment, safe="", errors="replace") for segment in segments)
    response = app_of(Root()).get(path + "/" * slash, status="*")
    assert response.status_int in (200, 301, 404)


@pytest.mark.parametrize("method", ["GET", "POST"])
@settings(max_examples=50, deadline=None)
@given(params=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_no_parameters_are_a_500(app_of, method, params):
    class Root:
        @cptoolkit.expose
        def index(self, a="", *, b="", **others):
            return repr((a, b, sorted(others)))

        @cptoolkit.expose
        def strict(self, a=""):
            return a

    client = app_of(Root())
    send = client.get if method == "GET" else client.post
    assert send("/", params, status="*").status_int in (200, 400, 404)
    assert send("/strict", params, status="*").status_int in (200, 400, 404)
