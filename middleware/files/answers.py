"""Answers made of files: whole, in parts, or none where the client has the file already."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from urllib.parse import quote

from webob.exc import (
    HTTPMovedPermanently,
    HTTPPreconditionFailed,
    HTTPRequestRangeNotSatisfiable,
)

from cptoolkit.middleware.bodies import FILE, SentFile
from cptoolkit.middleware.conditional import (
    is_conditional,
    not_modified_fields,
    precondition,
    range_is_current,
)
from cptoolkit.middleware.fields import Fields
from cptoolkit.middleware.files.ranges import BLOCK_SIZE, FileParts, Range, parse_ranges, partial

if TYPE_CHECKING:
    from _typeshed import StrPath
    from _typeshed.wsgi import WSGIEnvironment

SMALL = 65536
"""Bytes up to which a file is read at once, and may be kept in memory."""

UNSETTLED_SECONDS = 2.0
"""How long after a change a file may change again and have the same time: the coarsest clock of a
file system, that of FAT, has steps of two seconds."""

QUERY = "%!$&'()*+,;=:@/?~"
"""What a query may have beside letters and digits (RFC 3986, section 3.4), and is quoted with."""

_OPEN_FLAGS = os.O_RDONLY
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NOINHERIT", "O_NONBLOCK"):
    _OPEN_FLAGS |= getattr(os, _name, 0)


class FileChanged(OSError):
    """A file is no longer what it was a moment ago, and may be all right when looked at anew."""


def open_regular(path: StrPath) -> tuple[BinaryIO, os.stat_result]:
    """Open a file to be read, and nothing else than a file: opening never waits.

    :returns: the file, unbuffered, and what the system tells of it.
    :raises OSError: if it cannot be read, or is a directory, a FIFO, a socket or a device.
    :raises ValueError: if there is a NUL in the path.
    """
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", os.fspath(path))
        return SentFile(descriptor), found
    except BaseException:
        os.close(descriptor)
        raise


def etag_of(found: os.stat_result, coding: str = "") -> str:
    """A strong entity tag for a file (RFC 9110, section 8.8.3), the same on every machine that
    has the file with the same time.

    :param coding: of a form that is sent in place of the file itself.
    """
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}{coding and "-"}{coding}"'


def last_modified_of(found: os.stat_result) -> str | None:
    """``Last-Modified`` for a file; None if its time is in the future (section 8.8.2.1)."""
    second = int(found.st_mtime)
    return _http_date(second) if 0 <= second <= time() else None


@lru_cache(maxsize=256)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def select(
    environ: Mapping[str, Any], size: int | None, etag: str | None, last_modified: str | None
) -> tuple[Literal[200, 206, 304, 412, 416], list[Range]]:
    """What a request that would be answered with a 200 is answered with.

    Preconditions come first (section 13.2.2), then the range, which only counts for GET.

    :param size: of the whole in bytes; None if it cannot be sent in parts.
    :returns: the status, and the parts for a 206.
    """
    if is_conditional(environ):
        status = precondition(environ, etag, last_modified)
        if status is not None:
            return status, []
    field = environ.get("HTTP_RANGE")
    if field and size is not None and environ["REQUEST_METHOD"] == "GET":
        ranges = parse_ranges(field, size)
        if ranges is not None and range_is_current(environ, etag, last_modified):
            return (206, ranges) if ranges else (416, ranges)
    return 200, []


Reply = tuple[str, Fields, Iterable[bytes]]
"""Status, header fields and body, as a WSGI host takes them."""

Signature = tuple[int, ...]


def signature_of(found: os.stat_result) -> Signature:
    """What changes whenever a file does, or another one takes its place."""
    return (found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class FileForm:
    """A file in one of the forms in which it can be sent: as it is, or compressed beforehand.

    :param fields: header fields for it, beside those that this adds.
    :param coding: the content coding of its bytes; "" for none.
    :param most_kept: the most bytes that it may have to be kept in memory.
    :raises FileChanged: if it does so while it is read.
    :raises OSError: if it cannot be read.
    """

    __slots__ = ("_data", "_not_modified", "etag", "fields", "last_modified", "mtime", "path",
                 "signature", "size")  # fmt: skip

    def __init__(self, path: str, fields: Fields, coding: str = "", most_kept: int = SMALL) -> None:
        file, found = open_regular(path)
        with file:
            data = file.read() if found.st_size <= most_kept else None
        if data is not None and len(data) != found.st_size:
            raise FileChanged(errno.EAGAIN, "the file changes just now", path)
        self.path = path
        self.signature = signature_of(found)
        self.size = found.st_size
        self.mtime = found.st_mtime
        self.etag = etag_of(found, coding)
        self.last_modified = last_modified_of(found)
        self.fields = [*fields, ("ETag", self.etag), ("Accept-Ranges", "bytes")]
        if self.last_modified:
            self.fields.append(("Last-Modified", self.last_modified))
        if coding:
            self.fields.append(("Content-Encoding", coding))
        self._not_modified = not_modified_fields(self.fields)
        self.fields.append(("Content-Length", str(self.size)))
        self._data = data

    @property
    def weight(self) -> int:
        """The bytes of it that are held in memory."""
        return len(self._data or b"")

    def is_current(self) -> bool:
        """Whether the file is the same, and has not changed since."""
        try:
            return signature_of(os.stat(self.path)) == self.signature
        except OSError:
            return False

    def reply(self, environ: WSGIEnvironment) -> Reply:
        """The answer to a GET or HEAD.

        :raises webob.exc.HTTPException: 412 or 416.
        :raises FileChanged: if it has.
        :raises OSError: if it can no longer be read.
        """
        if (
            environ.get("HTTP_IF_NONE_MATCH") == self.etag  # as most conditional requests have it
            and "HTTP_IF_MATCH" not in environ
            and "HTTP_IF_UNMODIFIED_SINCE" not in environ
        ):
            return "304 Not Modified", self._not_modified.copy(), []
        status, ranges = select(environ, self.size, self.etag, self.last_modified)
        if status == 304:
            return "304 Not Modified", self._not_modified.copy(), []
        if status == 412:
            raise HTTPPreconditionFailed()
        if status == 416:
            raise range_not_satisfiable(self.size)
        fields = self.fields.copy()
        if status == 206:
            body: Iterable[bytes] = partial(self._open(), ranges, self.size, fields)
            return "206 Partial Content", fields, body
        if environ["REQUEST_METHOD"] == "HEAD":
            body = []
        elif self._data is not None:
            body = [self._data]
        elif "wsgi.file_wrapper" in environ:
            file = self._open()
            body = environ["wsgi.file_wrapper"](file, BLOCK_SIZE)
            environ[FILE] = (file, body)
        else:
            body = FileParts(self._open(), [(b"", 0, self.size)])
        return "200 OK", fields, body

    def _open(self) -> BinaryIO:
        if self._data is not None:
            return io.BytesIO(self._data)
        file, found = open_regular(self.path)
        if signature_of(found) != self.signature:
            file.close()
            raise FileChanged(errno.EAGAIN, "the file has changed just now", self.path)
        return file


def range_not_satisfiable(size: int) -> HTTPRequestRangeNotSatisfiable:
    """The 416 for a representation of this size (section 15.5.17)."""
    refusal = HTTPRequestRangeNotSatisfiable(f"The representation has {size} bytes.")
    refusal.headers["Content-Range"] = f"bytes */{size}"
    return refusal


def with_slash(environ: WSGIEnvironment) -> HTTPMovedPermanently:
    """The redirect to the same URL with a slash at the end of its path."""
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).strip("/")
    # One slash in front: what begins with two names another host (RFC 3986, section 4.2).
    location = quote(f"/{path}/" if path else "/", encoding="latin-1")
    if environ.get("QUERY_STRING"):
        location += "?" + quote(environ["QUERY_STRING"], safe=QUERY, encoding="latin-1")
    return HTTPMovedPermanently(location=location)
