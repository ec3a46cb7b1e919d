"""What answers are kept under: the URI of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Key = tuple[str, ...]
"""Scheme, host, query and path, the last two as the environ has them; of a variant also more."""

URI_PARTS = 4
"""How many parts of a key name the URI."""


def uri_of(environ: WSGIEnvironment) -> Key:
    """The URI that a request is for."""
    host: str = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return (
        environ["wsgi.url_scheme"],
        host.lower(),
        environ.get("QUERY_STRING", ""),
        environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
    )


def same_origin(uri: Key, reference: str) -> Key | None:
    """The URI that a field of an answer refers to; None if it is elsewhere, or malformed.

    :param uri: of the request.
    """
    scheme, host, _, path = uri
    try:
        parts = urlsplit(urljoin(f"{scheme}://{host}{quote(path, encoding='latin-1')}", reference))
    except ValueError:
        return None
    if (parts.scheme, parts.netloc.lower()) != (scheme, host):
        return None
    return scheme, host, parts.query, unquote_to_bytes(parts.path).decode("latin-1")
