"""The URLs of a whole site, application by application."""

from __future__ import annotations

from typing import TypedDict

from cptoolkit.application import Application
from cptoolkit.introspection.naming import object_name
from cptoolkit.introspection.survey import Route
from cptoolkit.introspection.url_map import url_map
from cptoolkit.mounts import Tree


class MountedMap(TypedDict):
    """What is mounted at one place."""

    mount: str
    """"" for the root of the site."""
    kind: str
    """"Application", or "WSGI" for one that is grafted on, into which nobody can look."""
    root: str
    complete: bool
    """False if the tree was too large to look at all of it."""
    routes: list[Route]


def site_map(tree: Tree) -> list[MountedMap]:
    """The URLs of all that is mounted, by mount point."""
    maps = []
    for mount, app in sorted(tree.apps.items()):
        if isinstance(app, Application):
            found = url_map(app)
            root = "" if app.root is None else object_name(app.root)
            kind, complete, routes = "Application", found.complete, found.routes
        else:
            root, kind, complete, routes = object_name(app), "WSGI", True, []
        maps.append(MountedMap(mount=mount, kind=kind, root=root, complete=complete, routes=routes))
    return maps
