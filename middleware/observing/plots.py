"""Draw plots as SVG that is stretched to fit, with labels as text beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10

from cptoolkit.middleware.observing.counts import SLOT, SLOTS

WIDTH, HEIGHT = 1000, 100
"""Of a plot, in units of its own."""


def plot(lines: Mapping[str, Sequence[float | None]], scale: Sequence[str]) -> str:
    """Lines through the values of each moment, the newest at the right.

    :param lines: values from 0 to 1 by class name; None leaves a gap.
    :param scale: labels of the horizontal lines, from the top.
    """
    grid = "".join(
        f'<line class="grid" x2="{WIDTH}" y1="{y:g}" y2="{y:g}"/>'
        for y in (HEIGHT * n / (len(scale) - 1) for n in range(len(scale)))
    )
    paths = "".join(f'<path class="{name}" d="{_line(line)}"/>' for name, line in lines.items())
    labels = "".join(f"<span>{label}</span>" for label in scale)
    minutes = SLOT * SLOTS // 60
    return (
        f'<div class="plot"><div class="scale">{labels}</div>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f"{grid}{paths}</svg>"
        f'<div class="times"><span>{minutes} minutes ago</span><span>now</span></div></div>'
    )


def _line(values: Sequence[float | None]) -> str:
    """The path through some values; a single one between gaps is a dot."""
    steps = []
    first = SLOTS - len(values)
    pen = "M"
    for number, value in enumerate(values, first):
        if value is None:
            pen = "M"
            continue
        x, y = WIDTH * number / (SLOTS - 1), HEIGHT * (1 - value)
        steps.append(f"{pen}{x:.1f} {y:.1f}" + ("h.1" if pen == "M" else ""))
        pen = "L"
    return "".join(steps)


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 and so on."""
    if value <= 1:
        return 1
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def bar(share: float) -> str:
    """A horizontal bar.

    :param share: of the space that it may fill, from 0 to 1.
    """
    return (
        '<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.2f}" height="1"/></svg>'
    )
