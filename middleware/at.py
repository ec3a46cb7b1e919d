"""Limit what stands around an application to one part of its URLs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webob import Request, Response

from cptoolkit.middleware.layer import Layer, asking

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@dataclass(kw_only=True, eq=False)
class At(Layer):
    """Hand the requests at and below a path to one application, all others to the one within.

    A path that only leads there once its empty and dot segments are resolved (RFC 3986, section
    5.2.4) counts too: what is inside may resolve them, and a guard must not be walked around.

    :raises ValueError: if ``prefix`` is no path that begins with a slash.
    :raises TypeError: if there is no application for the path.
    """

    prefix: str = "/"
    """The path below the mount point; "/admin" stands for itself and for "/admin/...", but not
    for "/administration"."""
    below: WSGIApplication | None = None
    """The application for these requests."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._path = check_prefix(self.prefix)
        below = self.below
        if not callable(below):
            raise TypeError(f"below must be a WSGI application, got {below!r}")
        self._below: Callable[[Request], Response] = (
            below.respond if isinstance(below, Layer) else asking(below)
        )

    def respond(self, request: Request) -> Response:
        """Answer a request with that of the two applications which its path is meant for."""
        if self._covers(request.environ.get("PATH_INFO", "")):
            return self._below(request)
        return self.next(request)

    def _covers(self, path: str) -> bool:
        prefix = self._path
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return True
        if "//" in path or "/." in path:
            path = resolved(path)
            return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")
        return False


def check_prefix(prefix: str) -> str:
    """A path as its segments are compared: without a slash at its end.

    :raises ValueError: if it does not begin with a slash, or is not in its shortest form.
    :raises TypeError: if it is no text.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"a URL prefix must be a text that begins with a slash, got {prefix!r}")
    if not prefix.startswith("/"):
        hint = f"; did you mean {'/' + prefix!r}?" if prefix else ""
        raise ValueError(f"a URL prefix must begin with a slash, got {prefix!r}{hint}")
    shortest = resolved(prefix)
    if shortest.rstrip("/") != prefix.rstrip("/"):
        raise ValueError(
            f"a URL prefix must be in its shortest form, got {prefix!r}; did you mean {shortest!r}?"
        )
    return prefix.rstrip("/").encode().decode("latin-1")  # as PEP 3333 has paths


def resolved(path: str) -> str:
    """A path without empty and dot segments; ".." never leads above the root."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(segments) + end
