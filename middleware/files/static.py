"""Files of a directory, or a single one, in front of an application."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from webob import Request, Response
from webob.exc import HTTPForbidden, HTTPMovedPermanently

from cptoolkit.middleware.files.base import Static, pattern, text_of
from cptoolkit.middleware.files.cache import StoredFile
from cptoolkit.middleware.files.paths import absolute, is_inside, is_plain, segments_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("cptoolkit.static")

METHODS = ("GET", "HEAD")
"""The methods that files know; others are for the application within."""

FOR_EVER = "max-age=31536000, immutable"

QUERY = "%!$&'()*+,;=:@/?~"
"""What a query may have beside letters and digits (RFC 3986, section 3.4), and is quoted with."""


@dataclass(kw_only=True, eq=False)
class StaticFile(Static):
    """Answer with a file, where it is there; else with the application within.

    Alone, it answers every GET and HEAD: say with ``match``, or ``at=`` in a pipeline, which ones
    are meant. Conditional requests and ranges are served as RFC 9110 has them.

    :raises ValueError: if the file is given by a relative path without an absolute root.
    """

    filename: str | os.PathLike[str] = ""
    """The file: an absolute path, or one relative to ``root``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._path = absolute("filename", self.filename, self.root)
        if not os.path.isfile(self._path):
            logger.warning("StaticFile: there is no file %r", self._path)

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        if environ["REQUEST_METHOD"] not in METHODS:
            return None
        path = environ.get("PATH_INFO", "")
        if self._match is not None and not self._match.search(text_of(path)):
            self._log(path, "does not match %r", self.match)
            return None
        return self._known(environ, self._path) or self._found(
            environ, lambda: self._stored(self._path, self._path, self._freshness)
        )


@dataclass(kw_only=True, eq=False)
class StaticDir(Static):
    """Answer with files of a directory, where they are there; else with the application within.

    Nothing outside of the directory is ever sent, nor anything but files: ``..`` is answered with
    403; hidden files, links that lead out, devices, FIFOs and sockets are as if they were not
    there. Conditional requests and ranges are served as RFC 9110 has them. Small files are kept
    in memory, up to 16 MiB in all; whether they have changed is looked at each time.

    :raises ValueError: if the directory is given by a relative path without an absolute root.
    """

    dir: str | os.PathLike[str] = ""
    """The directory: an absolute path, or one relative to ``root``; ``~`` is one's home."""

    section: str = ""
    """The path of the URL below which the files are; in config, that of the section by itself."""

    index: str = ""
    """The name of the file that is sent for a directory; without one a directory is not there."""

    fallback: str = ""
    """The name of the file that is sent where there is no other, for applications that make
    their pages in the browser; the application within is not asked then."""

    immutable: str = ""
    """A regular expression for paths of URLs whose files never change, as with a hash of the
    contents in their name: clients keep these for a year and do not ask (RFC 8246)."""

    dotfiles: bool = False
    """Whether names that begin with a dot are there, such as ``.well-known`` and ``.git``."""

    follow_symlinks: bool = False
    """Whether links may lead out of the directory; those that stay inside always work."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._immutable = pattern("immutable", self.immutable)
        self._folder = absolute("dir", self.dir, self.root)
        section = "/" if self.section == "global" else self.section
        self._prefix = [name for name in section.split("/") if name]
        # As it stands in PATH_INFO.
        self._begins_with = "".join(f"/{name}" for name in self._prefix).encode().decode("latin-1")
        for option in ("index", "fallback"):
            name = getattr(self, option)
            if name and not all(is_plain(part, dotfiles=True) for part in name.split("/")):
                raise ValueError(f"{option} must be the name of a file in dir, got {name!r}")
        if not os.path.isdir(self._folder):
            logger.warning("StaticDir: there is no directory %r", self._folder)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(self._begins_with) or "//" in path or not self._only_begins:
            return super().__call__(environ, start_response)
        # Most requests are for pages, and no object need be made of them to find that out.
        served: WSGIApplication = self.app  # type: ignore[assignment]
        return served(environ, start_response)

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        path = environ.get("PATH_INFO", "")
        if not path.startswith(self._begins_with) and "//" not in path:
            return None
        if environ["REQUEST_METHOD"] not in METHODS:
            return None
        answer = self._known(environ, path)
        if answer is not None:
            return answer
        names = segments_of(path)
        depth = len(self._prefix)
        if names is None or names[:depth] != self._prefix:
            return None
        if self._match is not None and not self._match.search(text_of(path)):
            self._log(path, "does not match %r", self.match)
            return None
        return self._found(environ, lambda: self._find(environ, path, names[depth:]))

    def _find(self, environ: WSGIEnvironment, path: str, names: list[str]) -> StoredFile | None:
        """The file that a path means; None if there is none.

        :param names: the segments of the path, less those of the section.
        :raises OSError: if it cannot be read.
        :raises webob.exc.HTTPException: to refuse the path, or to redirect from it.
        """
        if ".." in names:
            self._log(path, "refused, for it may lead out of the directory")
            raise HTTPForbidden("The path may lead out of the directory that is served.")
        full = self._look(environ, names, path.endswith("/"))
        if full is not None:
            never_changes = self._immutable is not None and self._immutable.search(text_of(path))
            return self._stored(path, full, FOR_EVER if never_changes else self._freshness)
        if not self.fallback:
            self._log(path, "not there")
            return None
        full = os.path.join(self._folder, self.fallback)
        # Not kept under the path, where a file may turn up later.
        return self._cache.get(None) or self._stored(None, full, self._freshness)

    def _look(self, environ: WSGIEnvironment, names: list[str], slash: bool) -> str | None:
        """The path of the file that may be sent; None if there is none.

        :param slash: whether the URL ends in a slash.
        :raises webob.exc.HTTPMovedPermanently: where that of a directory is missing, without
            which the relative links in its index would lead elsewhere.
        """
        for name in names:
            if not is_plain(name, dotfiles=self.dotfiles):
                return None
        full = "/".join((self._folder, *names))
        try:
            mode = os.stat(full).st_mode
            is_folder = stat.S_ISDIR(mode)
            if is_folder and self.index:
                full = os.path.join(full, self.index)
                mode = os.stat(full).st_mode
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return None
        if not stat.S_ISREG(mode) or not self._is_allowed(full):
            return None
        if is_folder and not slash:
            raise _with_slash(environ)
        return full if slash == is_folder else None

    def _is_allowed(self, path: str) -> bool:
        return self.follow_symlinks or is_inside(path, self._folder)


def _with_slash(environ: WSGIEnvironment) -> HTTPMovedPermanently:
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).strip("/")
    # One slash in front: what begins with two names another host (RFC 3986, section 4.2).
    location = quote(f"/{path}/" if path else "/", encoding="latin-1")
    if environ.get("QUERY_STRING"):
        location += "?" + quote(environ["QUERY_STRING"], safe=QUERY, encoding="latin-1")
    return HTTPMovedPermanently(location=location)
