"""An explanation as a page for the browser of whoever writes the site."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from webob import Response
from webob.exc import HTTPOk

from cptoolkit.introspection.explanation import explain
from cptoolkit.introspection.facts import Explanation
from cptoolkit.introspection.survey import Route
from cptoolkit.introspection.text import (
    ROUTE_HEADERS,
    SECTIONS,
    facts,
    route_cells,
    told_outcome,
    told_request,
)
from cptoolkit.introspection.tool import WISH
from cptoolkit.introspection.url_map import url_map
from cptoolkit.middleware.forwarding.local import is_local

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from cptoolkit.http.request import Request

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}")  # RFC 9110, section 5.6.2

STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.4 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem }
h1 { font-size: 1.3rem; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin-top: 2rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem }
dt { font-weight: 600 }
dd { margin: 0; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #8886; padding: .25rem .8rem .25rem 0; text-align: left }
td { overflow-wrap: anywhere; vertical-align: top; font-family: ui-monospace, monospace;
  font-size: .85rem }
td:first-child { min-width: 9rem }
@media (max-width: 45rem) {
  dl { display: block }
  dd { margin-bottom: .5rem }
  thead { display: none }
  tr { border-bottom: 1px solid #8886; display: block; padding: .4rem 0 }
  td { border: 0; display: block; padding: 0 }
  td:empty { display: none }
  td::before { color: #777; content: attr(data-title) " "; font-family: system-ui, sans-serif }
}
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

FIELDS = (
    ("Content-Type", "text/html;charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


def answer(request: Request) -> None:
    """Answer a request that wishes for an explanation; leave others to the page handler.

    :raises HTTPOk: with the page, so that no tool answers in its place.
    """
    query = request.environ.get("QUERY_STRING", "")
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    wishes = [value for name, value in pairs if name == WISH]
    if not wishes or not is_local(request.environ):
        return
    method = wishes[-1] or request.method
    if not _METHOD.fullmatch(method):
        return
    assert request.app is not None
    rest = urlencode([pair for pair in pairs if pair[0] != WISH], encoding="latin-1")
    told = explain(request.app, _asked(request.environ, method, rest))
    text = page(told, url_map(request.app).routes)
    answer = HTTPOk()
    Response.__init__(answer, text.encode(), headerlist=list(FIELDS))
    raise answer


def _asked(environ: WSGIEnvironment, method: str, query: str) -> WSGIEnvironment:
    """The request without the wish, and without what was made of it until now."""
    asked = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("cptoolkit.", "webob."))
    }
    return {**asked, "REQUEST_METHOD": method, "QUERY_STRING": query}


def page(told: Explanation, routes: Sequence[Route]) -> str:
    """The page: what becomes of the request, and the URLs of the application."""
    return "".join(_parts(told, routes))


def _parts(told: Explanation, routes: Sequence[Route]) -> Iterator[str]:
    title = escape(told_request(told))
    yield '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{STYLE}</style>"
    yield f"<h1>{title}</h1><p>{escape(told_outcome(told))}</p><dl>"
    for name, text in facts(told):
        yield f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
    yield "</dl>"
    for name, headers, rows_of in SECTIONS:
        yield from _table(name, headers, rows_of(told))
    yield from _table("URLs of the application", ROUTE_HEADERS, [*map(route_cells, routes)])
    yield "</html>"


def _table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    used = [n for n in range(len(headers)) if any(row[n] for row in rows)]
    if not used:
        return
    yield f"<h2>{escape(title)}</h2><table><thead><tr>"
    yield "".join(f"<th>{escape(headers[n])}</th>" for n in used)
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = (f'<td data-title="{escape(headers[n])}">{escape(row[n])}</td>' for n in used)
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table>"
