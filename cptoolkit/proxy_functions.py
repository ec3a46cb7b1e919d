"""The proxy tool as a function, for tools that users make of it (CherryPy's ``lib.cptools``)."""

from __future__ import annotations

from functools import lru_cache

from cptoolkit.context import serving
from cptoolkit.middleware.forwarding.proxy import Proxy

MOST_PROXIES = 100
"""Sets of options whose layer is kept."""


def proxy(
    base: str | None = None,
    local: str | None = "X-Forwarded-Host",
    remote: str | None = "X-Forwarded-For",
    scheme: str | None = "X-Forwarded-Proto",
    debug: bool = False,
) -> None:
    """Make the current request what it was when it reached the proxy in front.

    The options are those of :class:`~cptoolkit.middleware.forwarding.proxy.Proxy`.

    :raises webob.exc.HTTPBadRequest: if the proxy tells what cannot be read.
    """
    _proxy(base, local, remote, scheme, debug).before(serving.request)


@lru_cache(MOST_PROXIES)
def _proxy(
    base: str | None, local: str | None, remote: str | None, scheme: str | None, debug: bool
) -> Proxy:
    return Proxy(base=base, local=local, remote=remote, scheme=scheme, debug=debug)
