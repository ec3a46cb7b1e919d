"""Functions that make the current response a file, or a 304 (reference, 4.7.4).

They are what CherryPy has in ``lib.static`` and, of conditional requests, in ``lib.cptools``.
"""

from __future__ import annotations

import io
import mimetypes
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cptoolkit.context import serving
from cptoolkit.http.errors import HTTPError, HTTPRedirect, NotFound
from cptoolkit.http.response import FileIterator
from cptoolkit.middleware import bodies
from cptoolkit.middleware.conditional import precondition
from cptoolkit.middleware.etags import DONE, tag_of
from cptoolkit.middleware.fields import Fields
from cptoolkit.middleware.files.answers import (
    etag_of,
    last_modified_of,
    open_regular,
    select,
)
from cptoolkit.middleware.files.media_types import media_type
from cptoolkit.middleware.files.ranges import FileParts, partial
from cptoolkit.middleware.files.static import StaticDir, StaticFile
from cptoolkit.static_tool import StaticTool

if TYPE_CHECKING:
    from _typeshed import StrPath

__all__ = [
    "mimetypes",
    "serve_download",
    "serve_file",
    "serve_fileobj",
    "staticdir",
    "staticfile",
    "validate_etags",
    "validate_since",
]

ATTRIBUTE = "!#$&+-.^_`|~"
"""What an extended parameter may have beside letters and digits (RFC 8187, section 3.2.1)."""

DOWNLOAD = "application/x-download"
"""A type that browsers do not show but save."""


def serve_file(
    path: StrPath,
    content_type: str | None = None,
    disposition: str | None = None,
    name: str | None = None,
    debug: bool = False,
) -> Iterable[bytes]:
    """Make the current response a file, or what a condition or range of the request asks for.

    :param path: absolute.
    :param content_type: by default that of the extension.
    :param disposition: how the client takes it: "attachment" to save it, "inline" to show it.
    :param name: the name to save it under; by default its own.
    :param debug: whether to log what is sent.
    :returns: the body, which the response has got already.
    :raises ValueError: if the path is not absolute.
    :raises NotFound: if there is no such file, or it is a directory or a device.
    """
    path = os.fspath(path)
    if not os.path.isabs(path):
        raise ValueError(f"the path of a file to be served must be absolute, got {path!r}")
    try:
        file, found = open_regular(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError) as error:
        _log(debug, f"{path!r} is not there: {error}")
        raise NotFound() from None
    if disposition is not None and name is None:
        name = os.path.basename(path)
    _log(debug, f"{path!r} is sent")
    return _send(file, found, content_type or media_type(path), disposition, name)


def serve_fileobj(
    fileobj: Any,
    content_type: str | None = None,
    disposition: str | None = None,
    name: str | None = None,
    debug: bool = False,
) -> Iterable[bytes]:
    """Make the current response what is left of an open file, which is closed in the end.

    It is sent in parts where asked for, if the file is binary and can be sought in.

    :param content_type: by default what the response has, text/html if nothing else was set.
    :param disposition: as for :func:`serve_file`.
    :param name: without one the client takes its own.
    :param debug: whether to log what is sent.
    :returns: the body, which the response has got already.
    """
    _log(debug, f"{fileobj!r} is sent")
    try:
        found = os.fstat(fileobj.fileno())
    except (AttributeError, OSError):  # io.UnsupportedOperation, as of BytesIO, is an OSError
        found = None
    return _send(fileobj, found, content_type, disposition, name)


def serve_download(path: StrPath, name: str | None = None) -> Iterable[bytes]:
    """Make the current response a file to be saved (reference, 4.7.4); as :func:`serve_file`."""
    return serve_file(path, DOWNLOAD, "attachment", name)


def _send(
    file: Any,
    found: os.stat_result | None,
    content_type: str | None,
    disposition: str | None,
    name: str | None,
) -> Iterable[bytes]:
    response = serving.response
    headers, environ = response.headers, serving.request.environ
    try:
        start, size = _extent(file)
        if found is not None and size is not None:
            if not start:
                headers.setdefault("ETag", etag_of(found))
            if last_modified := last_modified_of(found):
                headers.setdefault("Last-Modified", last_modified)
        etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
        status, ranges = select(environ, size, etag, last_modified)
        _refuse(status, size)
        if content_type is not None:
            headers["Content-Type"] = content_type
        if disposition is not None:
            headers["Content-Disposition"] = content_disposition(disposition, name)
        if size is None:
            response.app_iter = FileIterator(file)
            return response.app_iter
        headers["Accept-Ranges"] = "bytes"
        # Header fields after the body, for setting that takes the length away.
        if status == 206:
            response.status = 206
            parts: Fields = list(response.headerlist)
            response.app_iter = partial(file, ranges, size, parts, start)
            response.headerlist[:] = parts
        else:
            response.app_iter = FileParts(file, [(b"", start, start + size)])
            headers["Content-Length"] = str(size)
        return response.app_iter
    except BaseException:
        bodies.close(file)
        raise


def _extent(file: Any) -> tuple[int, int | None]:
    """Where a file stands, and how many bytes it has from there; None if that cannot be told."""
    if isinstance(file, io.TextIOBase):
        return 0, None  # its positions are no numbers of bytes
    try:
        start = file.tell()
        file.seek(0, os.SEEK_END)
        end = file.tell()
        file.seek(start)
    except (AttributeError, OSError, ValueError):
        return 0, None
    return start, max(end - start, 0)


def _refuse(status: int | None, size: int | None = None) -> None:
    """Leave the page handler with a 304, a 412 or a 416, if that is the status."""
    if status == 304:
        raise HTTPRedirect([], 304)
    if status == 412:
        raise HTTPError(412)
    if status == 416:
        message = f"The representation has {size} bytes."
        raise HTTPError(416, message, headers=[("Content-Range", f"bytes */{size}")])


def content_disposition(disposition: str, name: str | None = None) -> str:
    """A ``Content-Disposition`` (RFC 6266), with the name as plain as all clients understand it,
    and besides as it is (RFC 8187) where that is another.

    :param name: the name of a file; None to leave it to the client.
    """
    if name is None:
        return disposition
    printable = "".join(char if char.isprintable() else "_" for char in name)
    plain = unicodedata.normalize("NFKD", printable).encode("ascii", "ignore").decode()
    quoted = re.sub(r'(["\\])', r"\\\1", plain)
    field = f'{disposition}; filename="{quoted}"'
    if plain != printable:
        field += f"; filename*=UTF-8''{quote(printable, safe=ATTRIBUTE)}"
    return field


# -- the tools as functions ----------------------------------------------------------------

_staticdir = StaticTool(StaticDir)
_staticfile = StaticTool(StaticFile)


def staticdir(
    section: str,
    dir: StrPath,
    root: StrPath | None = "",
    match: str = "",
    content_types: Mapping[str, str] | None = None,
    index: str = "",
    debug: bool = False,
) -> bool:
    """Make the current response a file of a directory.

    The parameters are the options of :class:`~cptoolkit.middleware.files.static.StaticDir`.

    :returns: whether there is such a file.
    """
    return _staticdir.act(
        section=section,
        dir=dir,
        root=root,
        match=match,
        content_types=content_types,
        index=index,
        debug=debug,
    )


def staticfile(
    filename: StrPath,
    root: StrPath | None = None,
    match: str = "",
    content_types: Mapping[str, str] | None = None,
    debug: bool = False,
) -> bool:
    """Make the current response a file.

    The parameters are the options of :class:`~cptoolkit.middleware.files.static.StaticFile`.

    :returns: whether there is such a file.
    """
    return _staticfile.act(
        filename=filename, root=root, match=match, content_types=content_types, debug=debug
    )


# -- conditional requests ------------------------------------------------------------------


def validate_etags(autotags: bool = False, debug: bool = False) -> None:
    """Compare the ``ETag`` of the current response with what the client wants.

    A page handler calls it once it has set the tag, and before it changes anything: a PUT from
    somebody who has seen another version goes no further then. The tool ``etags`` leaves
    requests alone for which this has been called.

    :param autotags: whether a response without a tag gets one made of its body.
    :param debug: whether to log what comes of it.
    :raises HTTPRedirect: with status 304, where the client has the representation already.
    :raises HTTPError: 412, where it has another than the one it means to change.
    """
    environ, response = serving.request.environ, serving.response
    if DONE in environ:
        return
    environ[DONE] = True
    etag = response.headers.get("ETag")
    if (
        etag is None
        and autotags
        and response.status_int == 200
        and (body := response.collapse_body())
    ):
        etag = response.headers["ETag"] = tag_of(body)
    if response.status_int // 100 == 2:
        status = precondition(_only(environ, "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"), etag, None)
        _log(debug, f"ETag {etag}: {status or 'go on'}", "TOOLS.ETAGS")
        _refuse(status)


def validate_since() -> None:
    """Compare the ``Last-Modified`` of the current response with what the client wants.

    Dates do not count where the request has entity tags to compare (RFC 9110, section 13.2.2).

    :raises HTTPRedirect: with status 304, where nothing has changed since the client's copy.
    :raises HTTPError: 412, where something has changed, and must not have.
    """
    environ, response = serving.request.environ, serving.response
    names = []
    if "HTTP_IF_MATCH" not in environ:
        names.append("HTTP_IF_UNMODIFIED_SINCE")
    if "HTTP_IF_NONE_MATCH" not in environ:
        names.append("HTTP_IF_MODIFIED_SINCE")
    if response.status_int // 100 == 2:
        last_modified = response.headers.get("Last-Modified")
        _refuse(precondition(_only(environ, *names), None, last_modified))


def _only(environ: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What an environ would be with these preconditions alone."""
    return {name: environ[name] for name in ("REQUEST_METHOD", *names) if name in environ}


def _log(debug: bool, message: str, context: str = "TOOLS.STATIC") -> None:
    app = serving.request.app
    if debug and app is not None:
        app.log(message, context)
