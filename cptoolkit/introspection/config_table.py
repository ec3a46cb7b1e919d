"""The config of one request, entry by entry, with where each is from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from cptoolkit.config_inspection import is_section
from cptoolkit.config_origins import CODE, Origin
from cptoolkit.handler_search import bare, static
from cptoolkit.introspection.naming import object_name, short_path, shown_entry

if TYPE_CHECKING:
    from cptoolkit.application import Application


class EntryOrigin(TypedDict):
    """Where an entry of config is from."""

    kind: str
    """"file", "code", "environment", "default", "_cp_config", or "dispatcher"."""
    name: str
    """Of the file, of the environment, or of the object that has the ``_cp_config``."""
    section: str
    """"global", or the path: of the section, or of the object."""


class Entry(TypedDict):
    """An entry of the merged config."""

    key: str
    value: str
    origin: EntryOrigin


Owner = tuple[Any, str]
"""An object with a ``_cp_config``, and its path."""


class ConfigTable:
    """The origins of what a request's config was merged from.

    :param owners: the objects on the way to the page handler.
    """

    def __init__(self, app: Application, owners: Iterable[Owner] = ()) -> None:
        self.app = app
        self._sections = {id(entries): path for path, entries in app.config.items()}
        self._owners: dict[int, Owner] = {}
        for thing, path in owners:
            config = static(bare(thing), "_cp_config")
            if config:
                self._owners.setdefault(id(config), (thing, path))

    def entries(
        self, config: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]
    ) -> list[Entry]:
        """Each entry of a config, sorted.

        :param sources: what it was merged from over the global config, the later ones winning.
        """
        return [
            Entry(key=key, value=shown_entry(key, value), origin=self.origin(key, value, sources))
            for key, value in sorted(config.items())
            if not is_section(key, value)  # of the program's own, or in the wrong place
        ]

    def origin(self, key: str, value: Any, sources: Sequence[Mapping[str, Any]]) -> EntryOrigin:
        """Where one entry is from."""
        source = next((source for source in reversed(sources) if key in source), None)
        if source is None:
            site = self.app.global_config
            if key in site and site[key] is value:
                return _told(site.origins.of(key, value), "global")
        elif source[key] is value:
            path = self._sections.get(id(source))
            if path is not None:
                origins = self.app.config.origins.get(path)
                return _told(origins.of(key, value) if origins else CODE, path)
            if id(source) in self._owners:
                return _of_object(*self._owners[id(source)])
        return EntryOrigin(kind="dispatcher", name="", section="")


def told_origin(origin: EntryOrigin) -> str:
    """An origin in words."""
    kind, name, section = origin["kind"], origin["name"], origin["section"]
    if kind == "file":
        return f"{name} [{section}]"
    if kind == "code":
        return f"the program [{section}]"
    if kind == "_cp_config":
        return f"_cp_config of {name}" + (f" at {section}" if section else "")
    return {"environment": f"environment {name}", "dispatcher": "the dispatcher"}.get(kind, kind)


def _told(origin: Origin, section: str) -> EntryOrigin:
    name = short_path(origin.name) if origin.kind == "file" else origin.name
    return EntryOrigin(kind=origin.kind, name=name, section=section)


def _of_object(thing: Any, path: str) -> EntryOrigin:
    """What has a ``_cp_config``: a function, an instance, or the class that it was given."""
    function = bare(thing)
    own = getattr(function, "__dict__", {})
    name = object_name(thing)
    if "_cp_config" not in own and not isinstance(function, type):
        holder = next((k for k in type(function).__mro__ if "_cp_config" in vars(k)), None)
        name = f"class {object_name(holder)}" if holder is not None else name
    elif isinstance(function, type):
        holder = next(k for k in function.__mro__ if "_cp_config" in vars(k))
        name = f"class {object_name(holder)}"
    return EntryOrigin(kind="_cp_config", name=name, section=path)
