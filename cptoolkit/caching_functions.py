"""CherryPy's functions for caches, at home under ``lib.caching`` and ``_cache``.

They act on the current request and response, and on the caches of the tool ``caching``.
"""

from __future__ import annotations

from datetime import timedelta

from cptoolkit.context import serving
from cptoolkit.default_tools import tools
from cptoolkit.middleware.caching.cache import Cache
from cptoolkit.middleware.caching.expires import Expires
from cptoolkit.middleware.caching.stores import CacheStore, RAMStore

__all__ = ["Cache", "CacheStore", "MemoryCache", "RAMStore", "clear", "delete", "expires"]

MemoryCache = RAMStore


def expires(secs: float | timedelta = 0, force: bool = False, debug: bool = False) -> None:
    """Say how long the current response stays fresh, as the tool ``expires`` does.

    :param secs: seconds, or a timedelta; 0 for not at all.
    :param force: whether to overrule what the response says already.
    :param debug: whether to log what came of it.
    :raises ValueError: if ``secs`` is negative.
    :raises TypeError: if it is neither a number nor a timedelta.
    """
    response = serving.response
    Expires(secs=secs, force=force).after(serving.request, response)
    if debug:
        app = serving.request.app
        said = response.headers.get("Expires")
        if app is not None:
            app.log(f"Expires: {said}", "TOOLS.EXPIRES")


def delete() -> None:
    """Forget all kept answers for the URI of the current request."""
    for cache in _caches():
        cache.forget(serving.request.environ)


def clear() -> None:
    """Forget all answers that the tool ``caching`` has kept in this process."""
    for cache in _caches():
        cache.clear()


def _caches() -> list[Cache]:
    from cptoolkit.caching_tool import CachingTool

    tool = tools.find("caching")
    return list(tool.caches) if isinstance(tool, CachingTool) else []
