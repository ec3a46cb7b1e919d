"""Walk an object tree as a dispatcher would for each path that there is, calling nothing of it."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cptoolkit.dispatch import METHODS, MethodDispatcher
from cptoolkit.handler_search import (
    GIVEN,
    MADE_ON_DEMAND,
    MOST_OBJECTS,
    attributes,
    bare,
    is_exposed,
    may_have_attributes,
    static,
)
from cptoolkit.introspection.survey import ANY, Sources, Survey

UNCALLABLE = "it is exposed, and cannot be called"
"""What is said of a resource for MethodDispatcher, say, that another dispatcher comes to."""


@dataclass
class _Node:
    thing: Any
    path: str
    sources: Sources  # with those of the object and the section of its own path

    def below(self, segment: str) -> str:
        return f"{self.path.rstrip('/')}/{segment}"


class TreeWalk:
    """The walk from the root to every object. Each is looked into once, where it is met first.

    :param survey: has the map that the walk makes.
    """

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def __call__(self) -> None:
        """Put what is found on the map."""
        root = self.survey.app.root
        if root is None:
            return
        seen = {id(bare(root)): "/"}
        same: list[tuple[str, str]] = []
        waiting = deque([_Node(root, "/", self.survey.sources([], root, "/"))])
        self.survey.visited["/"] = waiting[0].sources
        if is_exposed(root):
            self._page(waiting[0])
        while waiting:
            node = waiting.popleft()
            for name, thing in self._parts(node):
                path = node.below(name)
                child = _Node(thing, path, self.survey.sources(node.sources, thing, path))
                known = seen.setdefault(id(bare(thing)), path)
                if may_have_attributes(bare(thing)):
                    self.survey.visited.setdefault(path, child.sources)
                    if known == path and len(seen) <= MOST_OBJECTS:
                        waiting.append(child)
                if known != path and not inspect.isroutine(thing):
                    same.append((path, known))
                elif is_exposed(thing):
                    self._exposed(node, name, child)
        self.survey.map.complete = len(seen) <= MOST_OBJECTS
        led_to: set[str] = set()
        for each in self.survey.map.found:
            above = each.route["path"]
            while above not in led_to:
                led_to.add(above)
                above = above.rpartition("/")[0]
        for path, known in same:
            if known.rstrip("/") in led_to:
                self.survey.add(path, "same", note=f"the object of {known}")

    def _parts(self, node: _Node) -> Iterator[tuple[str, Any]]:
        """The attributes of an object that are part of the tree; tells of what is not known."""
        parts = [(name, thing) for name, thing in attributes(bare(node.thing)) if thing is not None]
        dispatcher = self.survey.tree_dispatcher(node.path)
        if dispatcher is not None:
            take = dispatcher.dispatch_method_name
            method = dict(parts).get(take)
            if is_exposed(method) or not (callable(method) or isinstance(method, MADE_ON_DEMAND)):
                take = ""  # as to the dispatcher, it is an attribute like others
            exposes = is_exposed(node.thing) or any(is_exposed(thing) for _, thing in parts)
            for name, thing in parts:
                if name == take:
                    self._add_taking(node, thing)
                elif isinstance(thing, MADE_ON_DEMAND) and exposes:
                    path = node.below(name)
                    self.survey.add(path, "on demand", sources=node.sources, note="a property")
            if static(bare(node.thing), "__getattr__") is not None:
                kind, note = type(node.thing), "__getattr__ makes objects on demand"
                path = node.below(ANY)
                self.survey.add(path, "on demand", kind, sources=node.sources, note=note)
            parts = [(name, thing) for name, thing in parts if name != take]
        return ((name, thing) for name, thing in parts if not isinstance(thing, MADE_ON_DEMAND))

    def _exposed(self, parent: _Node, name: str, child: _Node) -> None:
        if name == "default":
            sources = self.survey.with_own(parent.sources, child.thing, child.path)
            self._page(_Node(child.thing, child.path, sources), parent.below(ANY), "default")
        elif name == "index":
            self._page(child, parent.below(""), "index")
        elif name in GIVEN:
            self._page(child, "/favicon.ico")
        else:
            self._page(child)

    def _page(self, node: _Node, path: str = "", kind: str = "page") -> None:
        dispatcher = self.survey.tree_dispatcher(node.path)
        if dispatcher is None:
            return
        path = path or node.path
        if not isinstance(dispatcher, MethodDispatcher):
            note = "" if callable(node.thing) else f"every request fails: {UNCALLABLE}"
            self.survey.add(path, kind, node.thing, None, node.sources, note=note)
            return
        handlers = dict(attributes(bare(node.thing)))
        verbs = [verb for verb in METHODS if handlers.get(verb) is not None]
        for verb in verbs:
            sources = self.survey.with_own(node.sources, handlers[verb], path)
            methods = ["GET", "HEAD"] if verb == "GET" and "HEAD" not in verbs else [verb]
            self.survey.add(path, "resource", handlers[verb], methods, sources)
        if not verbs:
            note = "every method is refused: it has none named GET, POST and so on"
            self.survey.add(path, "resource", node.thing, [], node.sources, note=note)

    def _add_taking(self, node: _Node, take: Callable[..., Any]) -> None:
        names = popargs_names(take)
        segments = "/".join(f"{{{name}}}" for name in names) if names else ANY
        note = f"popargs({', '.join(names)})" if names else ""
        path = node.below(segments)
        self.survey.add(path, "dispatch", take, sources=node.sources, note=note)


def popargs_names(take: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters that ``popargs`` takes, if that is what has made this ``_cp_dispatch``."""
    function = bare(take)
    if getattr(function, "__qualname__", "") != "popargs.<locals>.dispatch":
        return ()
    names: tuple[str, ...] = inspect.getclosurevars(function).nonlocals.get("names", ())
    return names
