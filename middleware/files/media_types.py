"""Which media type a file has, by the extension of its name."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Mapping
from typing import Any

UNKNOWN = "application/octet-stream"
"""The type of files of which nothing is known: nobody executes or shows them."""

_MORE = {
    ".avif": "image/avif",
    ".bz2": "application/x-bzip2",
    ".dwg": "image/x-dwg",
    ".gz": "application/gzip",
    ".ico": "image/x-icon",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".zst": "application/zstd",
}
"""Types that not every Python, or machine, knows."""

_RENAMED = {
    "application/javascript": "text/javascript",  # obsolete since RFC 9239
    "image/vnd.microsoft.icon": "image/x-icon",  # what browsers and programs expect
}
"""Types that have another name by now, whatever Python, or the machine, calls them."""


def media_type(path: str, own: Mapping[str, str] | None = None) -> str:
    """The media type of a file.

    The caller's own types count most, then ``mimetypes.types_map`` with what the program has set
    there, at any time. Nothing is guessed from the contents.

    :param path: only its extension counts, in any case.
    :param own: types by extension in lower case, without the dot.
    """
    extension = os.path.splitext(path)[1].lower()
    if own and (found := own.get(extension[1:])):
        return found
    if not mimetypes.inited:
        _read_types_of_the_machine()
    known = mimetypes.types_map.get(extension) or _MORE.get(extension, UNKNOWN)
    return _RENAMED.get(known, known)


def _read_types_of_the_machine() -> None:
    """Have :mod:`mimetypes` read ``/etc/mime.types`` and the like.

    They only add types. Those that Python knows, or the program has set, stay: some machines
    give scripts and styles a type with which browsers refuse them.
    """
    before = dict(mimetypes.types_map)
    mimetypes.init()
    mimetypes.types_map.update(before)


def checked_types(content_types: Mapping[str, str] | None) -> dict[str, str]:
    """The option ``content_types``: types by extension, with or without the dot.

    :returns: the same in lower case and without dots.
    :raises TypeError: if it is no such mapping.
    :raises ValueError: if a type would break the header field.
    """
    if content_types is None:
        return {}
    if not isinstance(content_types, Mapping):
        raise TypeError(f"content_types must be media types by extension, got {content_types!r}")
    given: Mapping[Any, Any] = content_types
    checked = {}
    for extension, found in given.items():
        if not isinstance(extension, str) or not isinstance(found, str):
            raise TypeError(
                f"content_types must be media types by extension, got {extension!r}: {found!r}"
            )
        if not found.isprintable() or not found.isascii() or "/" not in found:
            raise ValueError(
                f"content_types[{extension!r}] must be a media type such as 'text/csv', "
                f"got {found!r}"
            )
        checked[extension.lstrip(".").lower()] = found
    return checked
