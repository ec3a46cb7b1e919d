"""The steps that a dispatcher takes to a page handler, for whoever explains a request.

Dispatchers tell of them only while somebody listens. All other requests pay for a look at an
empty dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias


class Taken(NamedTuple):
    """``_cp_dispatch``, or what a dispatcher has in its place, has been asked for an object."""

    at: int
    """How many objects there were on the way until then."""
    method: Callable[..., Any]
    """What has been asked."""
    found: Any
    """The object that it gave; None if none."""


class Walk(NamedTuple):
    """The way through the object tree has come to its end, or something on it has failed."""

    path: str
    """The path that was looked up."""
    names: list[str]
    """Its segments, and the "index" that nobody has asked for."""
    trail: list[tuple[Any, int, int]]
    """Each object on the way or None, how many names were left then, and how many config dicts
    had been found."""
    sources: list[Mapping[str, Any]]
    """The config dicts that were found, the later ones winning."""
    at: int
    """Where on the trail the page handler was found; -1 if nowhere, past its end if something on
    the way has failed."""
    handler: Any
    """The page handler, or the resource that has it; None without one."""

    @property
    def failed(self) -> bool:
        """Whether an attribute or ``_cp_dispatch`` has raised an exception."""
        return self.at == len(self.trail)


class Match(NamedTuple):
    """A pattern has fitted the path, or none has."""

    pattern: str | None
    values: Mapping[str, Any]
    """What the pattern has found in the path."""


class Detour(NamedTuple):
    """Another path is looked up than the one asked for."""

    path: str
    reason: str


Step: TypeAlias = "Taken | Walk | Match | Detour"

observed: dict[int, list[Step]] = {}
"""The requests that somebody listens to, by id, and the steps that were taken for them."""


def tell(request: object, step: Step) -> None:
    """Tell of a step, if somebody listens to this request."""
    steps = observed.get(id(request))
    if steps is not None:
        steps.append(step)


@contextmanager
def listening(request: object) -> Iterator[list[Step]]:
    """Give the list to which the steps for a request are added."""
    steps = observed[id(request)] = []
    try:
        yield steps
    finally:
        del observed[id(request)]
