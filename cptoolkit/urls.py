"""Make URLs of the application's own paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from cptoolkit.context import serving


def url(
    path: str = "",
    qs: str | Mapping[str, Any] | Sequence[tuple[str, Any]] = "",
    script_name: str | None = None,
    base: str | None = None,
    relative: bool | str | None = None,
) -> str:
    """An absolute URL for a path, as the client would have to write it.

    :param path: a path below the mount point if it begins with a slash, else one relative to
        the current request; a whole URL is left as it is, save for ``qs``.
    :param qs: the query string, or its parameters as a dict or as pairs.
    :param script_name: the mount point, if not the current application's.
    :param base: scheme and host, if not the current request's; "" for a path alone.
    :param relative: True for a URL relative to the current one, "server" for an absolute path.
        Without it the application's ``relative_urls`` decides.
    """
    from urllib.parse import urlencode

    query = qs if isinstance(qs, str) else urlencode(qs)
    if query:
        query = "?" + query
    request = serving.request
    app = request.app
    if path.partition(":")[0].isalpha() and "://" in path:
        return path + query
    if app is None and base is None:
        from cptoolkit import server

        base = server.base()
    if not path.startswith("/"):
        # Beside an index page, which is meant by its directory, or by both its names.
        here = request.path_info
        if request.is_index is True and not here.endswith("/"):
            here += "/"
        elif request.is_index is False and here.endswith("/") and here != "/":
            here = here[:-1]
        path = urljoin(here, path) if path else here
    if script_name is None:
        script_name = request.script_name if app is not None else ""
    if base is None:
        base = request.base
    whole = _without_dots(base + script_name + path) + query

    if relative is None:
        relative = getattr(app, "relative_urls", False)
    if relative == "server":
        return "/" + whole.split("/", 3)[3] if whole.count("/") > 2 else "/"
    if relative:
        return _relative(whole, url(relative=False))
    return whole


def _without_dots(whole: str) -> str:
    url, mark, query = whole.partition("?")
    if "./" not in url:
        return whole
    root = 3 if "://" in url else 1  # pieces that no ".." leads out of
    parts: list[str] = []
    for part in url.split("/"):
        if part == "..":
            if len(parts) > root:
                parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts) + mark + query


def _relative(there: str, here: str) -> str:
    """The way from one absolute URL to another, as long as both have the same host."""
    url, mark, query = there.partition("?")
    target, origin = url.split("/"), here.partition("?")[0].split("/")[:-1]
    if target[:3] != origin[:3]:
        return there
    while origin and len(target) > 1 and target[0] == origin[0]:
        del target[0], origin[0]
    if not origin and (":" in target[0] or target[0] == ""):
        # RFC 3986, section 4.2: else it would be a scheme, an absolute path, or nothing.
        target.insert(0, ".")
    return "/".join([".."] * len(origin) + target) + mark + query
