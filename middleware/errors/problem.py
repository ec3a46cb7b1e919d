"""Tell what went wrong: a problem as a page, or as a JSON document (RFC 9457)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Any

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{status} {title}</title>
<style>
:root {{color-scheme: light dark}}
body {{font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto; padding: 0 1rem}}
h1 {{font-size: 1.5rem}}
small {{opacity: .7}}
</style>
</head>
<body>
<h1>{status} {title}</h1>
{texts}</body>
</html>
"""

SENTENCES = {
    400: "This server cannot make sense of the request.",
    401: "You have to log in to see this.",
    403: "You may not see this.",
    404: "There is nothing at this address.",
    405: "This address does not take that kind of request.",
    410: "What was at this address is gone for good.",
    413: "That is more than this server takes.",
    429: "You have sent too many requests. Please try again later.",
    500: "The server has failed at this request.",
    503: "This server is not available at the moment. Please try again later.",
}
"""What pages say to people, where nothing more exact is known."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is told of an error."""

    status: int
    """The status code of the response."""

    title: str
    """The reason phrase of the response."""

    detail: str | None = None
    """A sentence on what happened this time; None where the status says it all."""

    request_id: str = ""
    """By which the request is found in the logs; "" if it has no name."""

    traceback: str = ""
    """The traceback, for documents that clients get in development; else ""."""

    error: Exception | None = None
    """The exception behind it, if there is one: for deciding what to show, not for showing."""

    @property
    def sentence(self) -> str:
        """The detail, or what else there is to say to people of such a status; it may be ""."""
        return self.detail or SENTENCES.get(self.status, "")

    def to_json(self) -> bytes:
        """A document of the type ``application/problem+json``."""
        # RFC 9457, section 4.2.1: about:blank means that the status says it all.
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            document["detail"] = self.detail
        if self.request_id:
            document["request_id"] = self.request_id
        if self.traceback:
            document["traceback"] = self.traceback.splitlines()
        return json.dumps(document).encode()

    def to_html(self) -> bytes:
        """A page that needs nothing else."""
        texts = [f"<p>{escape(self.sentence)}</p>\n"] if self.sentence else []
        if self.request_id:
            texts.append(f"<p><small>Request {escape(self.request_id)}</small></p>\n")
        page = PAGE.format(status=self.status, title=escape(self.title), texts="".join(texts))
        return page.encode()


def fill(template: str, problem: Problem) -> str:
    """A page out of a text with places for :mod:`string` % formatting.

    These are ``status`` (with the reason phrase), ``message`` and ``request_id``; ``traceback``
    and ``version`` too, for templates that an Application's ``error_page`` has, but they stay
    empty.

    :raises KeyError: if it has others.
    :raises TypeError: if one of them is for a number.
    :raises ValueError: if what stands behind a % is none.
    """
    return template % {
        "status": f"{problem.status} {escape(problem.title)}",
        "message": escape(problem.sentence),
        "request_id": escape(problem.request_id),
        "traceback": "",
        "version": "",
    }
