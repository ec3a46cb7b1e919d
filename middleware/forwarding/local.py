"""Tell requests from this very machine from all others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cptoolkit.middleware.forwarding.addresses import parse_address

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

FORWARDED_FIELDS = frozenset(
    {
        "HTTP_FORWARDED",
        "HTTP_VIA",
        "HTTP_X_FORWARDED_BY",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_X_FORWARDED_PORT",
        "HTTP_X_FORWARDED_PREFIX",
        "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_FORWARDED_SCHEME",
        "HTTP_X_FORWARDED_SERVER",
        "HTTP_X_FORWARDED_SSL",
        "HTTP_X_REAL_IP",
    }
)
"""Where proxies leave their mark in the environ: whose REMOTE_ADDR is, then, is not known."""

PROXY_READ = "cptoolkit.proxy.original"
"""Where in the environ the layer Proxy leaves the values that it has changed: by key, None for
absent. Where it is, REMOTE_ADDR is the client's."""

_LOCAL_NAME = re.compile(
    r"(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d+){3}|\[::1\])(?::\d*)?", re.IGNORECASE
)


def is_local(environ: WSGIEnvironment) -> bool:
    """Whether the client runs on this machine, and has asked for it by one of its own names.

    The name keeps out pages of other sites that have their name point here (DNS rebinding); a
    proxy makes every client look local, so nobody is behind one. A host that tells no address,
    or serves a Unix socket, behind which a proxy stands, has no local clients either. Nor is the
    script of another site's page one, which may read what CORS lets it (W3C, Fetch Metadata).
    """
    if PROXY_READ in environ or not FORWARDED_FIELDS.isdisjoint(environ):
        return False
    if not _LOCAL_NAME.fullmatch(environ.get("HTTP_HOST", "")):
        return False
    if (
        environ.get("HTTP_SEC_FETCH_SITE") == "cross-site"
        and environ.get("HTTP_SEC_FETCH_MODE") != "navigate"
    ):
        return False
    address = parse_address(environ.get("REMOTE_ADDR", ""))
    return address is not None and address.is_loopback
