"""The steps of a dispatcher in words."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypedDict

from cptoolkit.dispatch_steps import Detour, Match, Step, Taken, Walk
from cptoolkit.handler_search import bare
from cptoolkit.introspection.naming import object_name, place_of, shown
from cptoolkit.introspection.tree_walk import popargs_names


class ToldStep(TypedDict):
    """A step of a dispatcher."""

    segment: str
    """What it takes off the path; several names are separated by slashes."""
    by: str
    """"root", "attribute", "_cp_dispatch", "pattern" or "detour"."""
    object: str | None
    """What it leads to; None for nothing."""
    exposed: bool
    note: str


def told_steps(steps: Sequence[Step]) -> list[ToldStep]:
    """What a dispatcher has told, one step for each object, pattern or other path."""
    told: list[ToldStep] = []
    taken = {step.at: step for step in steps if isinstance(step, Taken)}
    for step in steps:
        if isinstance(step, Walk):
            told += _told_walk(step, taken)
        elif isinstance(step, Detour):
            told.append(_step(step.path, "detour", None, step.reason))
        elif isinstance(step, Match):
            found = ", ".join(f"{key}={shown(value)}" for key, value in step.values.items())
            told.append(_step(step.pattern or "", "pattern", None, found or "no pattern fits"))
    if taken and not any(isinstance(step, Walk) for step in steps):
        told += [_step("", "_cp_dispatch", step.found, _taken_by(step)) for step in taken.values()]
    return told


def _step(segment: str, by: str, thing: Any, note: str = "") -> ToldStep:
    return ToldStep(
        segment=segment,
        by=by,
        object=None if thing is None else object_name(thing),
        exposed=bool(getattr(bare(thing), "exposed", False)),
        note=note,
    )


def _told_walk(walk: Walk, taken: dict[int, Taken]) -> list[ToldStep]:
    told = []
    total = before = len(walk.names)
    for at, (thing, left, _) in enumerate(walk.trail):
        segment = "/".join(walk.names[total - before : total - left])
        by = "_cp_dispatch" if at in taken else "attribute" if at else "root"
        if left == 0 and thing is None and at not in taken:
            break  # the "index" that nobody has asked for, and that is not there
        notes = [_taken_by(taken[at])] if at in taken else []
        if thing is None:
            notes.append("there is none")
        else:
            notes += _notes(walk, at, thing, left)
        told.append(_step(segment or "/", by, thing, "; ".join(notes)))
        before = left
        if thing is None:
            break  # of nothing there is nothing
    return told


def _notes(walk: Walk, at: int, thing: Any, left: int) -> list[str]:
    """What is to be said of an object on the way, as far as that has been looked at."""
    if at < walk.at:
        return []
    owner = bare(thing)
    default = getattr(owner, "default", None)
    if at == walk.at:
        rest = walk.names[len(walk.names) - left : -1] if left else []
        takes = f", and takes {'/'.join(rest)}" if rest else ""
        if default is not None and bare(walk.handler) is bare(default):
            return [f"its default is the page handler{takes}"]
        return [f"the page handler{takes}"]
    notes = []
    if default is not None:
        notes.append("its default is not exposed")
    if not getattr(owner, "exposed", False):
        notes.append("not exposed")
    return notes


def _taken_by(taken: Taken) -> str:
    names = popargs_names(taken.method)
    if names:
        return f"popargs({', '.join(names)})"
    place = place_of(taken.method)
    return f"{place['name']} {place['file']}:{place['line']}" if place["file"] else place["name"]


def why_not(steps: Sequence[Step]) -> str:
    """Why a path leads to no page handler."""
    match = next((step for step in steps if isinstance(step, Match)), None)
    if match is not None:
        if match.pattern is None:
            return "no pattern fits the path"
        return "the pattern fits, but its controller has no such method"
    walk = next((step for step in steps if isinstance(step, Walk)), None)
    if walk is None:
        return "the dispatcher has found no page handler"
    if walk.trail[0][0] is None:
        return "the application has no object tree"
    last, path, total = None, "/", len(walk.names)
    for thing, left, _ in walk.trail:
        if thing is None:
            name = walk.names[total - left - 1]
            if left == 0:  # nobody has asked for the "index"
                index = "" if inspect.isroutine(last) else ", and has no exposed index"
                return f"{object_name(last)} at {path} is not exposed{index}"
            return (
                f"{object_name(last)} at {path} has no {name!r}, and nothing above takes the rest"
            )
        last, path = thing, "/" + "/".join(walk.names[: total - left])
    return f"{object_name(last)} at {path} is not exposed"
