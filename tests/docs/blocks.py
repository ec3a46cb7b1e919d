"""The code blocks of the documentation, with what stands above them about how they are tried.

Above a block may stand, as comments that no reader sees:

- ``.. given: app, check``: names that the reader has, and the block does not make; see
  ``surroundings.py``. With ``redis`` the addresses of a Redis lead to one that is there. For shell
  blocks they are names of files.
- ``.. asked: /path gives text``: what the program that the block is or starts, or the ``app`` that
  it makes, is asked for, and what stands in the answer. ``/path <- a=1&b=2`` is a form that is
  sent there. Cookies are kept, redirects followed. A program without it is asked for its first
  page, which has to be there.
- ``.. not run: reason``.

In README.md it is ``<!-- given: app -->``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*(CHECKOUT / "docs").glob("**/*.rst"), CHECKOUT / "README.md"])
PAGES = [page for page in PAGES if "_build" not in page.parts]

_DIRECTIVE = re.compile(r"^( *)\.\. code-block::(?: +(\S+))?$")
_FENCE = re.compile(r"^```(\w*)$")
_MARK = re.compile(r"^ *(?:\.\.|<!--) (given|asked|not run): (.+?)(?: -->)?$")
_PROGRAM = re.compile(
    r"^ *(?!def |class |from |import )[^#\n]*\b(quickstart|block|serve_forever)\("
)
_LOOP = re.compile(r"\bIOLoop\.current\(\)\.start\(\)")


@dataclass
class Block:
    """One code block."""

    page: str
    line: int
    """Of its first line, counted from 1."""
    language: str
    text: str
    caption: str = ""
    marks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def given(self) -> list[str]:
        return [name.strip() for mark in self.marks.get("given", ()) for name in mark.split(",")]

    @property
    def asked(self) -> list[tuple[str, str, str]]:
        """Paths, the forms that are sent there, and what stands in the answers."""
        found = []
        for mark in self.marks.get("asked", []):
            question, _, text = mark.partition(" gives ")
            path, _, form = question.partition(" <- ")
            found.append((path.strip(), form.strip(), text.strip()))
        return found

    @property
    def reason(self) -> str:
        """Why it is not run."""
        return " ".join(self.marks.get("not run", ()))

    @property
    def is_program(self) -> bool:
        """Whether it serves until it is ended."""
        lines = self.text.splitlines()
        return any(_PROGRAM.search(line) or _LOOP.search(line) for line in lines)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The code blocks of a page, in their order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    name = str(page.relative_to(CHECKOUT))
    found: list[Block] = []
    marks: dict[str, list[str]] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if mark := _MARK.match(line):
            marks.setdefault(mark[1], []).append(mark[2])
        elif begin := _DIRECTIVE.match(line):
            block, number = _indented(name, lines, number, len(begin[1]), begin[2] or "")
            block.marks, marks = marks, {}
            found.append(block)
        elif begin := _FENCE.match(line):
            end = lines.index("```", number)
            text = "\n".join(lines[number:end]) + "\n"
            found.append(Block(name, number + 1, begin[1], text, marks=marks))
            number, marks = end + 1, {}
        elif line.strip():
            assert not marks, f"{name}:{number}: {marks} is not right above a code block"
    return found


def _indented(
    page: str, lines: list[str], start: int, indent: int, language: str
) -> tuple[Block, int]:
    """The block below a directive, and the number of the line behind it."""
    end = start
    while end < len(lines) and (not lines[end].strip() or _depth(lines[end]) > indent):
        end += 1
    options = {}
    first = start
    while first < end and (option := re.match(r" *:([\w-]+): ?(.*)", lines[first])):
        options[option[1]] = option[2]
        first += 1
    while first < end and not lines[first].strip():
        first += 1
    text = textwrap.dedent("\n".join(lines[first:end])).rstrip("\n") + "\n"
    return Block(page, first + 1, language, text, options.get("caption", "")), end


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


BLOCKS = {page: blocks_of(page) for page in PAGES}
"""The blocks of each page."""

ALL = [block for blocks in BLOCKS.values() for block in blocks]


def saved(page: str, folder: Path, change: Callable[[str], str] = lambda text: text) -> None:
    """Save the files that the page shows, under the names that it gives them."""
    for block in BLOCKS[CHECKOUT / page]:
        if block.caption:
            path = folder / block.caption
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(change(block.text), encoding="utf-8")
