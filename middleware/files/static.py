"""Files of a directory, or a single one, in front of an application."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from webob.exc import HTTPForbidden

from cptoolkit.middleware.files.answers import Reply, with_slash
from cptoolkit.middleware.files.base import Static, pattern, text_of
from cptoolkit.middleware.files.cache import StoredFile
from cptoolkit.middleware.files.paths import absolute, is_inside, is_plain, path_of, segments_of
from cptoolkit.middleware.files.scan import ScannedFiles, scan

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("cptoolkit.static")

METHODS = ("GET", "HEAD")
"""The methods that files know; others are for the application within."""

FOR_EVER = "max-age=31536000, immutable"

_exists = partial(
    os.access, mode=os.F_OK, effective_ids=os.access in os.supports_effective_ids
)  # which takes half as long as a stat() that fails


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

    def _concerns(self, environ: WSGIEnvironment) -> bool:
        if environ["REQUEST_METHOD"] not in METHODS:
            return False
        path = environ.get("PATH_INFO", "")
        if self._match is not None and not self._match.search(text_of(path)):
            self._log(path, "does not match %r", self.match)
            return False
        return True

    def _reply(self, environ: WSGIEnvironment) -> Reply | None:
        return self._known(environ, self._path) or self._found(
            environ, lambda: self._kept(self._path, self._path, self._freshness)
        )


@dataclass(kw_only=True, eq=False)
class StaticDir(Static):
    """Answer with files of a directory, where they are there; else with the application within.

    Nothing outside of the directory is ever sent, nor anything but files: ``..`` is answered with
    403; hidden files, links that lead out, devices, FIFOs and sockets are as if they were not
    there. Conditional requests and ranges are served as RFC 9110 has them. Small files are kept
    in memory, up to 16 MiB in all; whether they have changed is looked at each time, unless
    ``scan`` says that they do not.

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

    scan: bool = False
    """Whether to read the directory once, when the layer is made, and not to look at it again for
    any request: the fastest, and no path of a client ever reaches the disk. Files that are added
    or changed later are not seen until a restart; a large one that has changed is not there."""

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
        self._fallback = os.path.join(self._folder, self.fallback)
        if not os.path.isdir(self._folder):
            logger.warning("StaticDir: there is no directory %r", self._folder)
        self._scanned = self._scan() if self.scan else None
        if self._scanned is not None:
            self._cache = self._scanned
        # What there is an answer for, where that is known.
        self._all = None if self.fallback or self.debug else self._scanned

    def _scan(self) -> ScannedFiles:
        def make(url: str, path: str, most_kept: int) -> StoredFile | None:
            if self._match is not None and not self._match.search(text_of(url)):
                return None
            freshness = self._freshness_of(url)
            return self._stored(path, freshness, looks=False, most_kept=most_kept)

        def tell(error: OSError) -> None:
            logger.warning("StaticDir: what cannot be read is not there: %s", error)

        files = scan(
            self._folder,
            self._begins_with,
            make=make,
            is_allowed=self._is_allowed,
            tell=tell,
            index=self.index,
            dotfiles=self.dotfiles,
        )
        if self.fallback:
            try:
                files.put(None, self._stored(self._fallback, self._freshness, looks=False))
            except OSError as error:
                tell(error)
        return files

    def _concerns(self, environ: WSGIEnvironment) -> bool:
        path = environ.get("PATH_INFO", "")
        if self._all is None:
            may_be = path.startswith(self._begins_with) or "//" in path
        else:  # two slashes or a dot are in other spellings of a path, and in those to refuse
            may_be = path in self._all or "//" in path or "/." in path
        return may_be and environ["REQUEST_METHOD"] in METHODS

    def _reply(self, environ: WSGIEnvironment) -> Reply | None:
        path = environ.get("PATH_INFO", "")
        reply = self._known(environ, path)
        if reply is not None:
            return reply
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
        slash = path.endswith("/")
        if self._scanned is not None:
            stored = self._look_up(environ, self._scanned, names, slash)
        else:
            full = self._look(environ, names, slash)
            stored = None if full is None else self._kept(path, full, self._freshness_of(path))
        if stored is not None:
            return stored
        if not self.fallback:
            self._log(path, "not there")
            return None
        # Not kept under the path, where a file may turn up later.
        stored = self._cache.get(None)
        if stored is None and self._scanned is None:
            stored = self._kept(None, self._fallback, self._freshness)
        return stored

    def _freshness_of(self, path: str) -> str:
        """``Cache-Control`` for what a path means."""
        if self._immutable is not None and self._immutable.search(text_of(path)):
            return FOR_EVER
        return self._freshness

    def _look_up(
        self, environ: WSGIEnvironment, files: ScannedFiles, names: list[str], slash: bool
    ) -> StoredFile | None:
        """As :meth:`_look`, but among what was there when the directory was read."""
        key = self._begins_with + path_of(names)
        if slash:
            return files.get(f"{key}/")
        if files.is_folder(key):
            raise with_slash(environ)
        return files.get(key)

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
            if not _exists(full):
                return None
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
            raise with_slash(environ)
        return full if slash == is_folder else None

    def _is_allowed(self, path: str) -> bool:
        return self.follow_symlinks or is_inside(path, self._folder)
