"""Show statistics as a page: plots drawn here as SVG, no scripts, nothing from elsewhere."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from html import escape
from math import ceil, floor, log10
from urllib.parse import quote

from cptoolkit.middleware.observing.counts import SLOT, Moment, Statistics
from cptoolkit.middleware.observing.plots import bar, plot, round_up

REFRESH = 5
"""Seconds until the page loads itself anew."""

STYLE = """
:root {color-scheme: light dark; --ink: #1c2430; --soft: #667085; --line: #dfe3ea;
 --ground: #f5f6f8; --card: #fff;
 --one: #2563eb; --two: #d97706; --three: #dc2626}
@media (prefers-color-scheme: dark) {:root {--ink: #e6e9ef; --soft: #98a2b3; --line: #333b48;
 --ground: #14181f; --card: #1d232c; --one: #6ea0ff; --two: #f5b041; --three: #ff7a70}}
* {box-sizing: border-box}
body {margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--ground);
 color: var(--ink); font: 1rem/1.45 system-ui, sans-serif}
header {display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline;
 gap: 0 1rem; margin-bottom: 1rem}
h1 {font-size: 1.35rem; margin: 0; overflow-wrap: anywhere}
h2 {font-size: 1rem; margin: 0 0 .6rem}
header p, .none {color: var(--soft); margin: 0}
a {color: var(--one)}
.tiles, .cards {display: grid; gap: .75rem; margin: 0 0 .75rem}
.tiles {grid-template-columns: repeat(auto-fit, minmax(min(11.5rem, 45%), 1fr))}
.cards {grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr))}
.tiles > div, section {background: var(--card); border: 1px solid var(--line);
 border-radius: .5rem; padding: .75rem .9rem; min-width: 0}
dt {color: var(--soft); font-size: .85rem}
dd {margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; white-space: nowrap}
.plot {display: grid; grid-template-columns: auto 1fr; gap: 0 .5rem; color: var(--soft);
 font-size: .8rem}
.plot svg {display: block; width: 100%; height: 9rem; overflow: visible}
.scale {display: flex; flex-direction: column; justify-content: space-between; text-align: right;
 margin: -.6rem 0; white-space: nowrap}
.times {grid-column: 2; display: flex; justify-content: space-between; padding-top: .4rem}
.grid {stroke: var(--line)}
path {fill: none; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round}
path, .grid {vector-effect: non-scaling-stroke}
.one {stroke: var(--one); color: var(--one)} .two {stroke: var(--two); color: var(--two)}
.three {stroke: var(--three); color: var(--three)}
.legend {font-weight: 400; font-size: .85rem; float: right; word-spacing: .1rem}
table {border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums}
th, td {padding: .25rem .5rem .25rem 0; text-align: left; font-weight: 400; white-space: nowrap;
 border-top: 1px solid var(--line)}
thead th {color: var(--soft); font-size: .85rem; border: 0; padding-top: 0}
tr > :last-child {padding-right: 0}
.number {text-align: right}
.bar {width: 60%}
.bar svg {display: block; width: 100%; height: .7rem; fill: var(--one)}
.path {white-space: normal; overflow-wrap: anywhere; width: 60%}
@media (max-width: 30rem) {.at {display: none}}
"""

POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"
)
"""The Content-Security-Policy (level 3) under which the page works: its own style, no more."""


def page(statistics: Statistics, segment: str) -> str:
    """The page as HTML.

    :param segment: the last segment of its path, for links.
    """
    return "".join(_page(statistics, segment))


def _page(stats: Statistics, segment: str) -> Iterator[str]:
    title = escape(f"Statistics of {stats['name']}" if stats["name"] else "Statistics")
    link = quote(segment, encoding="latin-1")
    history = stats["history"]
    yield f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{REFRESH}">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>process {stats["pid"]}, counting for {_span(stats["uptime"])} ·
<a href="{link}?format=json">JSON</a> · <a href="{link}/metrics">Prometheus</a></p>
</header>
"""
    yield from _tiles(stats)
    yield '<div class="cards">\n'
    legend = '<span class="legend"><span class="one">all</span> <span class="three">failed</span>'
    yield f"<section><h2>Requests per second {legend}</span></h2>{_rates(history)}</section>\n"
    legend = (
        '<span class="legend"><span class="one">p50</span> <span class="two">p95</span> '
        '<span class="three">p99</span></span>'
    )
    yield f"<section><h2>Duration {legend}</h2>{_durations(history)}</section>\n"
    yield f"<section><h2>Statuses</h2>{_bars(stats['by_status'].items())}</section>\n"
    yield f"<section><h2>Methods</h2>{_bars(stats['by_method'].items())}</section>\n"
    yield f"<section><h2>How long they took</h2>{_bars(_buckets(stats))}</section>\n"
    yield f"<section><h2>Slowest in the last hour</h2>{_slow(stats)}</section>\n"
    yield "</div>\n</body>\n</html>\n"


def _tiles(stats: Statistics) -> Iterator[str]:
    requests = stats["requests"]
    last = stats["history"][-1:]
    failed = stats["by_class"].get("5xx", 0)
    tiles = {
        "Requests": f"{requests:,}",
        "Per second": f"{last[0]['requests'] / SLOT:,.1f}" if last else "-",
        "In flight": f"{stats['in_flight']:,}",
        "Failed (5xx)": f"{failed / requests:.2%}" if requests else "-",
        "Cut short": f"{stats['aborted']:,}",
        "Median": _seconds(stats["p50"]),
        "p95": _seconds(stats["p95"]),
        "p99": _seconds(stats["p99"]),
        "Slowest": _seconds(stats["slowest"] or None),
        "Sent": _bytes(stats["bytes_sent"]),
    }
    yield '<dl class="tiles">\n'
    for name, value in tiles.items():
        yield f"<div><dt>{name}</dt><dd>{value}</dd></div>\n"
    yield "</dl>\n"


# -- plots ----------------------------------------------------------------------------------


def _rates(history: Sequence[Moment]) -> str:
    rates = [moment["requests"] / SLOT for moment in history]
    failures = [moment["errors"] / SLOT or None for moment in history]
    most = round_up(max(rates, default=0))
    lines: dict[str, list[float | None]] = {
        "one": [rate / most for rate in rates],
        "three": [None if rate is None else rate / most for rate in failures],
    }
    return plot(lines, [f"{most:,g}", f"{most / 2:,g}", "0"])


def _durations(history: Sequence[Moment]) -> str:
    """On a logarithmic scale, for the milliseconds of the many beside the seconds of the few."""
    times = {
        "one": [moment["p50"] for moment in history],
        "two": [moment["p95"] for moment in history],
        "three": [moment["p99"] for moment in history],
    }
    known = [value for line in times.values() for value in line if value]
    low = floor(log10(min(known, default=0.001)))
    high = max(ceil(log10(max(known, default=0.1))), low + 1)
    lines = {
        name: [(log10(value) - low) / (high - low) if value else None for value in line]
        for name, line in times.items()
    }
    return plot(lines, [_seconds(10.0**n) for n in range(high, low - 1, -1)])


# -- tables ---------------------------------------------------------------------------------


def _bars(rows: Iterable[tuple[str, int]]) -> str:
    rows = list(rows)
    most = max((count for _, count in rows), default=0)
    if not most:
        return '<p class="none">No requests yet.</p>'
    return "".join(
        [
            "<table>",
            *(
                f'<tr><th scope="row">{escape(name)}</th><td class="bar">{bar(count / most)}</td>'
                f'<td class="number">{count:,}</td></tr>'
                for name, count in rows
            ),
            "</table>",
        ]
    )


def _buckets(stats: Statistics) -> Iterator[tuple[str, int]]:
    """Requests per bucket of the histogram, without empty ones at its ends."""
    rows: list[tuple[str, int]] = []
    below, lower = 0, 0.0
    for bound, count in stats["buckets"]:
        name = f"up to {_seconds(bound)}" if bound is not None else f"over {_seconds(lower)}"
        rows.append((name, count - below))
        below, lower = count, bound or lower
    while rows and not rows[-1][1]:
        rows.pop()
    while rows and not rows[0][1]:
        rows.pop(0)
    yield from rows


def _slow(stats: Statistics) -> str:
    if not stats["slow_paths"]:
        return '<p class="none">Nothing has taken a millisecond.</p>'
    rows = "".join(
        f'<tr><td class="path">{escape(slow["method"])} {escape(slow["path"])}</td>'
        f'<td>{slow["status"]}</td><td class="at">{_clock(slow["at"])}</td>'
        f'<td class="number">{_seconds(slow["seconds"])}</td></tr>'
        for slow in stats["slow_paths"]
    )
    return (
        '<table><thead><tr><th>Path</th><th>Status</th><th class="at">At</th>'
        f'<th class="number">Took</th></tr></thead>{rows}</table>'
    )


# -- numbers --------------------------------------------------------------------------------


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _seconds(value: float | None) -> str:
    """A time in a unit that suits it, to three digits."""
    if value is None:
        return "-"
    if value >= 1:
        return f"{_three(value)} s"
    if value >= 0.001:
        return f"{_three(value * 1e3)} ms"
    return f"{_three(value * 1e6)} µs"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{_three(value)} {unit}"
        value /= 1000
    return f"{_three(value)} TB"


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _span(seconds: float) -> str:
    """A long time in its two largest units."""
    for unit, size, smaller, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // part)} {smaller}"
    return f"{int(seconds)} s"
