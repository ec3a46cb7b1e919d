"""Maps, explanations and findings as lines of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cptoolkit.introspection.config_table import told_origin
from cptoolkit.introspection.facts import Explanation
from cptoolkit.introspection.findings import Finding
from cptoolkit.introspection.naming import Place
from cptoolkit.introspection.site_map import MountedMap
from cptoolkit.introspection.survey import Route
from cptoolkit.introspection.tables import Terminal, table
from cptoolkit.introspection.timeline import TimelineHook

_OURS = re.compile(r"cptoolkit\.(?!tutorial\.)(?:[a-z_0-9]+\.)*")
"""The modules in the names of this package's own classes and functions."""


def told_place(place: Place | None) -> str:
    """A name and where it is, "shop.Root.index shop.py:12"; of what is ours the short name."""
    if place is None:
        return ""
    if _OURS.match(place["name"]):
        return _OURS.sub("", place["name"])
    if place["file"] is None:
        return place["name"]
    return f"{place['name']} {place['file']}:{place['line']}"


def told_methods(methods: Sequence[str] | None) -> str:
    """The methods of a route."""
    return "any" if methods is None else ", ".join(methods) or "none"


ROUTE_HEADERS = ("Host", "Path", "Methods", "Handler", "Parameters", "Tools", "Note")


def route_cells(route: Route) -> tuple[str, ...]:
    """The cells of a route's row, for :data:`ROUTE_HEADERS`."""
    notes = [route["kind"]] if route["kind"] not in ("index", "page", "default", "resource") else []
    notes += [route["note"]] if route["note"] else []
    return (
        route["host"] or "",
        route["path"],
        "" if route["kind"] == "same" else told_methods(route["methods"]),
        told_place(route["handler"]),
        ", ".join(route["parameters"]),
        ", ".join(tool.removeprefix("tools.") for tool in route["tools"]),
        ": ".join(notes),
    )


def map_lines(maps: Iterable[MountedMap], terminal: Terminal) -> list[str]:
    """The URLs of a site."""
    lines: list[str] = []
    for mounted in maps:
        where = mounted["mount"] or "/"
        what = "WSGI application" if mounted["kind"] == "WSGI" else "Application"
        root = f" of {mounted['root']}" if mounted["root"] else ""
        lines += ["", *terminal.wrapped(f"{what} at {where}{root}")]
        if mounted["routes"]:
            rows = [route_cells(route) for route in mounted["routes"]]
            lines += table(ROUTE_HEADERS, rows, terminal)
        elif mounted["kind"] == "Application":
            lines.append("  no page handler")
        if not mounted["complete"]:
            lines.append("  The tree is larger than what is shown.")
    return lines[1:] or ["No application is mounted."]


STEP_HEADERS = ("Segment", "By", "Object", "Exposed", "Note")
CONFIG_HEADERS = ("Key", "Value", "From")
HOOK_HEADERS = ("Point", "Priority", "Runs", "From", "Note")


def step_rows(told: Explanation) -> list[tuple[str, ...]]:
    """The cells of the dispatcher's steps, for :data:`STEP_HEADERS`."""
    return [
        (
            step["segment"],
            step["by"],
            step["object"] or "",
            "" if step["object"] is None else "yes" if step["exposed"] else "no",
            step["note"],
        )
        for step in told["steps"]
    ]


def config_rows(told: Explanation) -> list[tuple[str, ...]]:
    """The cells of the config, for :data:`CONFIG_HEADERS`."""
    return [
        (entry["key"], entry["value"], told_origin(entry["origin"])) for entry in told["config"]
    ]


def hook_rows(told: Explanation) -> list[tuple[str, ...]]:
    """The cells of what runs, for :data:`HOOK_HEADERS`: outermost and earliest first."""
    rows: list[tuple[str, ...]] = []
    for part in told["pipeline"]:
        options = ", ".join(f"{name}={value}" for name, value in part["options"].items())
        rows.append(("wsgi.pipeline", "", told_place(part["made_by"]), part["name"], options))
    before = [hook for hook in told["hooks"] if hook["point"] in _BEFORE_HANDLER]
    after = [hook for hook in told["hooks"] if hook["point"] not in _BEFORE_HANDLER]
    rows += map(_hook_row, before)
    if told["handler"] is not None:
        rows.append(("page handler", "", told_place(told["handler"]["runs"]), "", ""))
    return rows + list(map(_hook_row, after))


_BEFORE_HANDLER = ("on_start_resource", "before_request_body", "before_handler")


def _hook_row(hook: TimelineHook) -> tuple[str, ...]:
    note = "runs after failures, too" if hook["failsafe"] else ""
    runs = told_place(hook["runs"])
    return hook["point"], f"{hook['priority']:g}", runs, hook["origin"], note


def told_request(told: Explanation) -> str:
    """The request in one line."""
    request = told["request"]
    query = f"?{request['query']}" if request["query"] else ""
    return f"{request['method']} {request['path']}{query} of {request['host'] or 'no host'}"


def told_outcome(told: Explanation) -> str:
    """What becomes of the request, in one line."""
    handler = told["handler"]
    if told["status"] is not None:
        return f"{told['status']}: {told['reason']}"
    if handler is None:
        return told["reason"] or "what the dispatcher has set as handler"
    arguments = f"({', '.join(map(repr, handler['arguments']))})" if handler["arguments"] else ""
    return f"{handler['runs']['name']}{arguments}"


def facts(told: Explanation) -> list[tuple[str, str]]:
    """What an explanation begins with: titles and texts."""
    found = []
    application = told["application"]
    if application is not None:
        where = application["mount"] or "/"
        root = f"{application['root']}, " if application["root"] else ""
        found.append((application["kind"], f"{root}mounted at {where}"))
    if told["dispatcher"] is not None:
        found.append(("Dispatcher", told_place(told["dispatcher"])))
    handler = told["handler"]
    if handler is not None:
        found.append(("Page handler", told_place(handler["runs"])))
        found.append(("Parameters", ", ".join(handler["parameters"]) or "none"))
    if told["nearest"]:
        found.append(("Nearest", ", ".join(told["nearest"])))
    found += [("Note", note) for note in told["notes"]]
    return found


SECTIONS = (
    ("Steps of the dispatcher", STEP_HEADERS, step_rows),
    ("What runs, in this order", HOOK_HEADERS, hook_rows),
    ("Config", CONFIG_HEADERS, config_rows),
)
"""The tables of an explanation: title, headers, and what gives the rows."""


def explanation_lines(told: Explanation, terminal: Terminal) -> list[str]:
    """What becomes of a request."""
    lines = [terminal.strong(line) for line in terminal.wrapped(told_request(told))]
    lines += terminal.wrapped(f"-> {told_outcome(told)}")
    lines += [""]
    width = max((len(title) for title, _ in facts(told)), default=0)
    for title, text in facts(told):
        lines += terminal.wrapped(f"{title.ljust(width)}  {text}")
    for title, headers, rows_of in SECTIONS:
        rows = rows_of(told)
        if rows:
            lines += ["", terminal.strong(title), *table(headers, rows, terminal)]
    return lines


def finding_lines(findings: Sequence[Finding], terminal: Terminal) -> list[str]:
    """What a check has found."""
    lines = []
    for finding in findings:
        places = "; ".join(
            f"{place['key']} from {told_origin(place['origin'])}" for place in (finding["entries"])
        )
        for number, line in enumerate(finding["message"].splitlines()):
            lines += terminal.wrapped(line, "" if number == 0 else "  ")
        if places:
            lines += terminal.wrapped(places, "  ")
        if finding["paths"]:
            lines += terminal.wrapped(f"met at {', '.join(finding['paths'])}", "  ")
    return lines
