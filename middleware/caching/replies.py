"""What is sent of a kept answer, and what is kept of one that is sent."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from webob import Response

from cptoolkit.middleware import fields, layer
from cptoolkit.middleware.caching.control import (
    for_everybody,
    initial_age,
    lifetime,
    may_store,
    parse_cache_control,
)
from cptoolkit.middleware.caching.records import Answer
from cptoolkit.middleware.conditional import not_modified_fields, precondition

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

OF_ONE_EXCHANGE = frozenset(
    {
        "age",
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that are for one connection, or are made anew for each answer."""


def reply(found: Answer, environ: WSGIEnvironment, now: float, tell: bool) -> Response:
    """A kept answer for another request, or 304 for a client that has it already.

    :param tell: whether ``Cache-Status`` says that it was kept.
    """
    sent = [*found.fields, ("Age", str(max(0, int(now - found.born))))]
    if tell:
        add_status(sent, f"hit; ttl={int(found.expires - now)}")
    if client_has(environ, found.status, sent):
        return layer.Answer("304 Not Modified", not_modified_fields(sent), [])
    return layer.Answer(found.status, sent, [found.body])


def client_has(environ: WSGIEnvironment, status: str, sent: fields.Fields) -> bool:
    """Whether a request is conditional, and its client has this answer already."""
    if "HTTP_IF_NONE_MATCH" not in environ and "HTTP_IF_MODIFIED_SINCE" not in environ:
        return False
    etag, last_modified = fields.get(sent, "etag"), fields.get(sent, "last-modified")
    return status[:3] == "200" and precondition(environ, etag, last_modified) == 304


def add_status(sent: fields.Fields, what: str) -> None:
    """Say what the cache has done, after what caches further in have said (RFC 9211)."""
    above = fields.joined(sent, "cache-status")
    mine = f"cptoolkit; {what}"
    fields.put(sent, "Cache-Status", f"{above}, {mine}" if above else mine)


def to_keep(
    response: Response, credentials: bool, now: float, delay: float, force: bool
) -> Answer | None:
    """A response as it may be kept, still without its body; None if it may not be.

    :param credentials: whether it is for a user who is known.
    :param delay: seconds for which it is fresh if it does not say; with ``force``, in any case.
    """
    status, sent = response.status, response.headerlist
    said = parse_cache_control(fields.joined(sent, "cache-control"))
    if not may_store(status, sent, said, credentials):
        return None
    # webob's responses have no such attribute. Those of an object tree turn it into fields when
    # all layers have seen them.
    if getattr(response, "cookie", None):
        return None
    born = now - initial_age(sent, now)
    fresh = delay if force else lifetime(status, sent, said, now, delay)
    if born + fresh <= now:
        return None
    kept = _fields_to_keep(sent, now)
    return Answer(status, kept, b"", born, born + fresh, for_everybody(said))


def _fields_to_keep(sent: fields.Fields, now: float) -> fields.Fields:
    """Those that are not for one connection (RFC 9111, section 3.1), with ``Date``, which an
    answer has from whoever has kept it if from nobody else (RFC 9110, section 6.6.1)."""
    named = {name.strip().lower() for name in fields.joined(sent, "connection").split(",")}
    kept = [item for item in sent if item[0].lower() not in OF_ONE_EXCHANGE | named]
    fields.put_default(kept, "Date", formatdate(now, usegmt=True))
    return kept
