"""Tables of plain text that fit a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from cptoolkit.introspection.naming import printable

GAP = "  "
NARROWEST = 8
"""Characters that a column keeps, unless even that is more than it needs."""


@dataclass(frozen=True)
class Terminal:
    """What text is written for."""

    width: int | None = None
    """Characters of a line; None for no limit."""

    colour: bool = False

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """What a stream goes to: lines are as long as they are where that is no terminal, so that
        other programs find them whole, unless COLUMNS is set. No colour with NO_COLOR
        (no-color.org)."""
        terminal = stream.isatty()
        width = None
        if terminal or os.environ.get("COLUMNS"):
            width = shutil.get_terminal_size().columns
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return cls(width, terminal and not plain)

    def strong(self, text: str) -> str:
        """Text that stands out, where there is colour."""
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def wrapped(self, text: str, indent: str = "") -> list[str]:
        """Lines of text that fit."""
        text = printable(text)
        if self.width is None:
            return [indent + text]
        return textwrap.wrap(
            text, max(self.width, 20), initial_indent=indent, subsequent_indent=indent + GAP
        )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], terminal: Terminal) -> list[str]:
    """The lines of a table. Columns without any text are left out."""
    rows = [[printable(cell) for cell in row] for row in rows]
    used = [n for n in range(len(headers)) if any(row[n] for row in rows)]
    if not used:
        return []
    headers = [headers[n] for n in used]
    rows = [[row[n] for n in used] for row in rows]
    widths = _widths([headers, *rows], terminal.width)
    lines = [terminal.strong(line) for line in _lines(headers, widths)]
    for row in rows:
        lines += _lines(row, widths)
    return lines


def _widths(rows: Sequence[Sequence[str]], most: int | None) -> list[int]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if most is None:
        return widths
    room = most - len(GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1  # what is widest bears it best
    return widths


def _lines(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    wrapped = [
        textwrap.wrap(cell, width, break_on_hyphens=False) or [""] if len(cell) > width else [cell]
        for cell, width in zip(cells, widths, strict=True)
    ]
    return [
        GAP.join(
            (parts[n] if n < len(parts) else "").ljust(width)
            for parts, width in zip(wrapped, widths, strict=True)
        ).rstrip()
        for n in range(max(map(len, wrapped)))
    ]


def write(lines: Sequence[str], stream: TextIO) -> None:
    """Write lines, to whatever the encoding of the stream can have of them.

    A reader that has gone, such as ``head``, is no error.
    """
    text = "\n".join(lines) + "\n"
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        if stream is sys.stdout:  # which Python would flush once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
