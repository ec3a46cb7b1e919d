"""What the page of the debugger tells besides the traceback: the request, and local variables."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from html import escape
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import WSGIEnvironment

LONGEST = 300
"""Characters of a value that are shown."""

MOST_FRAMES = 30
"""The innermost frames are shown; an endless recursion has a thousand."""

MOST_LOCALS = 50

HIDDEN = "(not shown)"

_NAMES = "api.?key|auth|cookie|credential|passw|passphrase|private|pwd|secret|session|token"
_SECRET = re.compile(_NAMES, re.IGNORECASE)
"""Names whose values a page does not show: it may end in a bug report."""

_TOLD = re.compile(
    rf"""((?:{_NAMES})[\w.%-]{{0,50}}(?:=|['"][,:] ))"""
    r"""(?:[a-z]{0,2}(?:'[^']*'?|"[^"]*"?)|[^\s&;]*)""",
    re.IGNORECASE,
)
"""Such a name and its value in a query string, a pair, or what an object tells of itself."""


def details(environ: WSGIEnvironment, error: BaseException) -> str:
    """HTML with what was asked for, and the local variables of each frame, innermost first.

    Values of names that tell of a secret are left out.
    """
    parts = ["<h2>Request</h2>\n", _table(_request(environ)), "<h2>Local variables</h2>\n"]
    parts.extend(_frames(error.__traceback__))
    return "".join(parts)


def _request(environ: WSGIEnvironment) -> Iterable[tuple[str, str]]:
    for key in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR"):
        yield key, _hushed(str(environ.get(key, "")))
    for key in sorted(environ):
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = key.removeprefix("HTTP_").replace("_", "-").title()
            yield name, HIDDEN if _SECRET.search(key) else _hushed(str(environ[key]))


def _frames(trace: TracebackType | None) -> Iterable[str]:
    frames = [(f, line) for f, line in walk_tb(trace) if "__traceback_hide__" not in f.f_locals]
    for frame, line in frames[: -MOST_FRAMES - 1 : -1]:
        code = frame.f_code
        place = f"{code.co_filename}, line {line}, in {code.co_name}"
        # A snapshot: other threads may change the variables of a closure meanwhile.
        found = list(dict(frame.f_locals).items())[:MOST_LOCALS]
        rows = ((name, HIDDEN if _SECRET.search(name) else _shown(value)) for name, value in found)
        yield f"<details><summary>{escape(place)}</summary>\n{_table(rows)}</details>\n"


def _shown(value: object) -> str:
    """The repr of a value, cut if it is long; objects may fail to give one."""
    try:
        shown = _cutter.repr(value)
    except Exception as error:
        shown = f"({type(value).__name__}, whose repr raises {type(error).__name__})"
    return _hushed(shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…")


def _hushed(text: str) -> str:
    """A text without the values of names in it that tell of a secret."""
    return _TOLD.sub(rf"\1{HIDDEN}", text)


class _Cutter(reprlib.Repr):
    """Cuts long values, and leaves secrets out of dicts, which may be forms."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = LONGEST
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 20

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        hidden = {name: _HIDDEN for name in x if isinstance(name, str) and _SECRET.search(name)}
        return super().repr_dict({**x, **hidden}, level)


class _Hidden:
    def __repr__(self) -> str:
        return HIDDEN


_HIDDEN = _Hidden()
_cutter = _Cutter()


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>\n" for name, text in rows)
    return f'<table style="text-align: left; font: .8rem monospace">\n{"".join(cells)}</table>\n'
