"""What form of an error a client asks for."""

from __future__ import annotations

from cptoolkit.middleware.accept import acceptable

JSON = "application/problem+json"
JSON_TYPES = (JSON, "application/json")
"""What clients ask for that want a problem document (RFC 9457)."""


def likes_json(accept: str) -> bool:
    """Whether a client takes JSON rather than HTML. If both alike, what it names decides.

    :param accept: the field ``Accept``; "" without one.
    """
    field = accept.lower()
    likings = dict(acceptable(field, [*JSON_TYPES, "text/html"]))
    if "text/html" not in likings:
        return bool(likings)
    json = max((likings.get(kind, 0.0) for kind in JSON_TYPES if kind in field), default=0.0)
    return json > likings["text/html"] or (json == likings["text/html"] and "html" not in field)


def names_no_html(accept: str) -> bool:
    """Whether a client sends the field but does not name HTML in it, as browsers do: curl, say,
    or a script in a page."""
    return bool(accept) and "html" not in accept.lower()
