"""The facts about one request, in the form in which JSON has them."""

from __future__ import annotations

from typing import TypedDict

from cptoolkit.introspection.config_table import Entry
from cptoolkit.introspection.naming import Place
from cptoolkit.introspection.timeline import TimelineHook
from cptoolkit.introspection.trail import ToldStep


class AskedFor(TypedDict):
    """The request."""

    method: str
    host: str
    path: str
    query: str


class Served(TypedDict):
    """The application that a request is for."""

    mount: str
    kind: str
    """"Application", or "WSGI" for one that is grafted on, into which nobody can look."""
    root: str


class Middleware(TypedDict):
    """One of ``wsgi.pipeline``."""

    name: str
    made_by: Place
    options: dict[str, str]


class Handler(TypedDict):
    """A page handler."""

    runs: Place
    parameters: list[str]
    arguments: list[str]
    """The segments of the path that it is called with."""


class Explanation(TypedDict):
    """What becomes of a request."""

    request: AskedFor
    application: Served | None
    pipeline: list[Middleware]
    """Outermost first."""
    dispatcher: Place | None
    steps: list[ToldStep]
    handler: Handler | None
    status: int | None
    """What is answered in place of the page handler, as far as that is known; else None."""
    reason: str
    """Why."""
    nearest: list[str]
    """The paths that are most like one that leads nowhere."""
    config: list[Entry]
    hooks: list[TimelineHook]
    notes: list[str]
