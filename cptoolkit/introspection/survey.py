"""What is found of the URLs of an application, and the config that holds for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from cptoolkit.dispatch import Dispatcher, VirtualHost, XMLRPCDispatcher
from cptoolkit.handler_search import bare, static
from cptoolkit.introspection.naming import Place, parameters, place_of

if TYPE_CHECKING:
    from cptoolkit.application import Application

Sources = list[Mapping[str, Any]]
ANY = "{...}"
"""A segment, or several, of which only a request can tell what they lead to."""


class Route(TypedDict):
    """What answers one URL, or those of one form."""

    path: str
    """From the mount point on, with what is open in braces."""
    host: str | None
    """The host whose URL it is; None for all that are not named."""
    kind: str
    """"index", "page", "default", "resource", "pattern", "dispatch" for ``_cp_dispatch``,
    "on demand", "same" for objects met before, "config" for a section without an object, or
    "dispatcher" for one of which nothing else is known."""
    methods: list[str] | None
    """None for any."""
    handler: Place | None
    parameters: list[str]
    tools: list[str]
    """Tools that are on and would not be by default, such as "tools.sessions"."""
    note: str


@dataclass
class Found:
    """A route, and the config dicts that hold for it, the later ones winning."""

    route: Route
    sources: Sources


@dataclass
class UrlMap:
    """The routes of an application."""

    found: list[Found] = field(default_factory=list)
    owners: list[tuple[Any, str]] = field(default_factory=list)
    """The objects with a ``_cp_config``, and their paths."""
    complete: bool = True
    """False if the tree was too large to look at all of it."""
    sections: list[tuple[str, Sources]] = field(default_factory=list)
    """The paths that have a section, and the config dicts that hold there."""

    @property
    def routes(self) -> list[Route]:
        """The routes by host and path."""
        routes = [each.route for each in self.found]
        return sorted(routes, key=lambda route: (route["host"] or "", route["path"]))


def merged(app: Application, sources: Sources) -> dict[str, Any]:
    """The config that comes of the global one and others over it."""
    config = dict(app.global_config)
    for source in sources:
        config.update(source)
    return config


class Survey:
    """A map in the making.

    :param app: the application whose URLs it has.
    :param described: whether routes tell of handlers, parameters and tools.
    """

    def __init__(self, app: Application, described: bool = True) -> None:
        self.app = app
        self.described = described
        self.map = UrlMap()
        self.visited: dict[str, Sources] = {}
        """The config dicts for the path of each object."""

    def add(
        self,
        path: str,
        kind: str,
        handler: Any = None,
        methods: list[str] | None = None,
        sources: Sources | None = None,
        note: str = "",
        parameters_of: Any = None,
    ) -> None:
        """Put a route on the map.

        :param parameters_of: what has the parameters, if not the handler.
        """
        sources = sources or []
        route = Route(
            path=path,
            host=None,
            kind=kind,
            methods=methods,
            handler=None,
            parameters=[],
            tools=[],
            note=note,
        )
        if self.described:
            route["handler"] = None if handler is None else place_of(handler)
            if kind != "dispatch":
                route["parameters"] = parameters(parameters_of or handler)
            if kind != "same":
                route["tools"] = self._tools(sources)
        self.map.found.append(Found(route, sources))

    def _tools(self, sources: Sources) -> list[str]:
        config = merged(self.app, sources)
        defaults = self.app.global_config.defaults
        return sorted(
            key[:-3]
            for key, value in config.items()
            if key.endswith(".on")
            and key.count(".") == 2
            and key.partition(".")[0] in self.app.toolboxes
            and value
            and not defaults.get(key)
        )

    def sources(self, above: Sources, thing: Any, path: str) -> Sources:
        """Config dicts, and over them that of an object's own and the section of its path."""
        section = self.app.config.get(path)
        sources = self.with_own(above, thing, path)
        return [*sources, section] if section else sources

    def with_own(self, sources: Sources, thing: Any, path: str) -> Sources:
        """Config dicts, and that of an object's own over them."""
        config = _config_of(thing)
        if config is None:
            return sources
        self.map.owners.append((thing, path))
        return [*sources, config]

    def sources_at(self, path: str) -> Sources:
        """The config dicts for a path without an object."""
        above = path
        while above not in self.visited and above != "/":
            above = above.rpartition("/")[0] or "/"
        sources = list(self.visited.get(above, ()))
        if not self.visited and "/" in self.app.config:
            sources = [self.app.config["/"]]
        begin = len(above.rstrip("/"))
        for end in (*(i for i, c in enumerate(path) if c == "/" and i > begin), len(path)):
            section = self.app.config.get(path[:end])
            if section and path[:end] != above:
                sources.append(section)
        return sources

    def tree_dispatcher(self, path: str) -> Dispatcher | None:
        """What walks the object tree to a path; None where the tree is not looked at."""
        found = innermost(self.app.dispatcher(path))
        return found if isinstance(found, Dispatcher) else None


def innermost(dispatcher: Any) -> Any:
    """The dispatcher that others hand a path on to."""
    while isinstance(dispatcher, (VirtualHost, XMLRPCDispatcher)):
        dispatcher = dispatcher.next_dispatcher
    return dispatcher


def _config_of(thing: Any) -> Mapping[str, Any] | None:
    config = static(bare(thing), "_cp_config")
    return config if isinstance(config, Mapping) and config else None
