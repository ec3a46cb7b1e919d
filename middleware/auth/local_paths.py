"""Where to go on after a form: paths of this very host, and nothing else (no open redirect)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# Browsers take a backslash for a slash, and drop tabs and line breaks (URL Standard, section 4.4).
_SUSPECT = re.compile(r"[\x00-\x20\x7f\\]")
_SCHEME = re.compile("[^/?#]*:")
_KEPT = "!#$%&'()*+,/:;=?@[]~"
"""What is not escaped beside letters and digits (RFC 3986, section 2)."""


def path_of(environ: WSGIEnvironment) -> str:
    """The path of a request with its mount point, percent-encoded.

    Of several slashes at its beginning one is left: in a link they would lead to another host.
    """
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return "/" + quote(path.encode("latin-1"), safe="!$&'()*+,/:;=@~").lstrip("/")


def local_path(target: str | None, base: str, default: str) -> str:
    """A path of this host for a ``Location`` field, percent-encoded.

    :param target: what a client says: a path from the root of the host, or one relative to
        ``base``; None if it has said nothing.
    :param base: the path of the request.
    :returns: ``default`` for anything that a browser could take for another host.
    """
    if not target or _SUSPECT.search(target) or _SCHEME.match(target) or target.startswith("//"):
        return default
    path = quote(urljoin(base, target), safe=_KEPT)
    return path if path.startswith("/") and not path.startswith("//") else default
