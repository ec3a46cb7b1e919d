"""What the layers for files have in common: options, header fields, and answers from memory."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webob import Request, Response
from webob.exc import HTTPException

from cptoolkit.middleware.bodies import close
from cptoolkit.middleware.files.answers import FileChanged, Reply
from cptoolkit.middleware.files.cache import FileCache, StoredFile
from cptoolkit.middleware.files.media_types import checked_types, media_type
from cptoolkit.middleware.files.scan import ScannedFiles
from cptoolkit.middleware.layer import Answer, Layer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("cptoolkit.static")

MOST_LOOKS = 5
"""How often a file is looked at anew that has changed between the look and the opening."""


@dataclass(kw_only=True, eq=False)
class Static(Layer):
    """A layer that may answer with files."""

    root: str | os.PathLike[str] | None = ""
    """An absolute directory, if the path of the file or directory is relative to one."""

    match: str = ""
    """A regular expression that the path of the URL has to match somewhere, or the request is
    none of the layer's business."""

    content_types: Mapping[str, str] | None = None
    """Media types by extension, such as ``{"gif": "image/gif"}``, that count over those of
    :mod:`mimetypes`."""

    precompressed: bool = True
    """Whether a file beside the one asked for, with ``.br``, ``.zst`` or ``.gz`` after its name
    and not older, is sent to clients that accept its coding (RFC 9110, section 12.5.3). A new one
    is noticed within five seconds."""

    max_age: int | None = None
    """Seconds for which clients may use a file without asking; None to say nothing of it."""

    debug: bool = False
    """Whether to log what becomes of each request (level INFO)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._match = pattern("match", self.match)
        self._types = checked_types(self.content_types)
        if self.max_age is not None and (type(self.max_age) is not int or self.max_age < 0):
            raise ValueError(f"max_age must be 0 or more seconds, or None, got {self.max_age!r}")
        self._freshness = "" if self.max_age is None else f"max-age={self.max_age}"
        self._cache: FileCache | ScannedFiles = FileCache()
        self._is_direct = self._only_begins and type(self).before is Static.before

    def _stored(self, path: str, cache_control: str, **options: Any) -> StoredFile:
        """A file with its headers.

        :param options: of :class:`~cptoolkit.middleware.files.cache.StoredFile`.
        :raises OSError: if it cannot be read.
        """
        fields = [("Content-Type", media_type(path, self._types))]
        if cache_control:
            fields.append(("Cache-Control", cache_control))
        return StoredFile(path, fields, self.precompressed, self._is_allowed, **options)

    def _kept(self, key: Hashable, path: str, cache_control: str) -> StoredFile:
        """A file with its headers, which is kept under a key.

        :raises OSError: if it cannot be read.
        """
        stored = self._stored(path, cache_control)
        self._cache.put(key, stored)
        return stored

    # -- one request -----------------------------------------------------------------------

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._is_direct:
            return super().__call__(environ, start_response)
        # Most requests are for pages, and no object need be made of them to find that out.
        served: WSGIApplication = self.app  # type: ignore[assignment]
        if not self._concerns(environ):
            return served(environ, start_response)
        try:
            reply = self._reply(environ)
        except HTTPException:  # of which a response is to be made
            return super().__call__(environ, start_response)
        if reply is None:
            return served(environ, start_response)
        status, fields, body = reply
        try:
            start_response(status, fields)
        except BaseException:
            close(body)
            raise
        return body

    def before(self, request: Request) -> Response | None:
        environ = request.environ
        reply = self._reply(environ) if self._concerns(environ) else None
        return None if reply is None else Answer(*reply)

    def _concerns(self, environ: WSGIEnvironment) -> bool:
        """Whether there may be an answer to a request, by what is quickly seen of it."""
        raise NotImplementedError

    def _reply(self, environ: WSGIEnvironment) -> Reply | None:
        """The answer to such a request; None to leave it to the application within.

        :raises webob.exc.HTTPException: to refuse the request.
        """
        raise NotImplementedError

    def _known(self, environ: WSGIEnvironment, key: Hashable) -> Reply | None:
        """The answer with a file that is kept under a key; None if none is, or not as it was."""
        stored = self._cache.get(key)
        if stored is None:
            return None
        try:
            return self._answer(environ, stored)
        except (FileChanged, FileNotFoundError):
            self._cache.drop(key)
            return None
        except OSError:  # there may be too many open files, say
            return None

    def _found(
        self, environ: WSGIEnvironment, find: Callable[[], StoredFile | None]
    ) -> Reply | None:
        """The answer with the file that is found; None if none is, or it cannot be read.

        :raises webob.exc.HTTPException: 412 or 416, or what ``find`` raises.
        """
        for _ in range(MOST_LOOKS):
            try:
                stored = find()
                return None if stored is None else self._answer(environ, stored)
            except FileChanged:  # another one has taken its place meanwhile, say
                continue
            except (OSError, ValueError) as error:  # ValueError: a NUL in the path
                self._log(environ.get("PATH_INFO", ""), "cannot be sent: %s", error)
                return None
        self._log(environ.get("PATH_INFO", ""), "changes all the time")
        return None

    def _answer(self, environ: WSGIEnvironment, stored: StoredFile) -> Reply:
        """The answer with a file.

        :raises OSError: if it cannot be read, or has changed just now.
        :raises webob.exc.HTTPException: 412 or 416.
        """
        form = stored.form_for(environ)
        if self.debug:
            self._log(environ.get("PATH_INFO", ""), "answered with %r", form.path)
        return form.reply(environ)

    def _is_allowed(self, path: str) -> bool:
        """Whether a file that is there may be sent."""
        return True

    def _log(self, url_path: str, what: str, *about: object) -> None:
        if self.debug:
            logger.info(f"%s: {what}", url_path, *about)


def pattern(option: str, pattern: str) -> re.Pattern[str] | None:
    """A regular expression that an option gives; None for "".

    :raises ValueError: if it is none.
    """
    try:
        return re.compile(pattern) if pattern else None
    except (re.error, TypeError) as error:
        raise ValueError(
            f"{option} must be a regular expression, got {pattern!r}: {error}"
        ) from None


def text_of(path: str) -> str:
    """A ``PATH_INFO`` as people read it."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")
