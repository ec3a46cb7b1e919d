"""The body of a request as an entity: its type, its text, its form fields (reference, 7.4).

Every attribute of :class:`RequestBody` can be set by config as ``request.body.<name>``.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import IO, Any, TypeVar

from cptoolkit.http.elements import HeaderElement, header_elements
from cptoolkit.http.errors import HTTPError
from cptoolkit.http.forms import (
    FormUsage,
    process_multipart,
    process_multipart_form_data,
    process_urlencoded,
)
from cptoolkit.http.query import Params, add_param
from cptoolkit.http.reader import Readable, SizedReader, Writable

T = TypeVar("T")

Processor = Callable[[Any], object]
"""Reads an entity, and leaves in it what it has found."""

# Decoding these takes time that grows with the square of the length (17 s for 500 kB measured),
# or runs escapes that no form sends.
_REFUSED_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape"})


class Entity:
    """A body with the header fields that describe it.

    :param fp: where the bytes are read from.
    :param headers: the fields by name: Content-Type, Content-Length, Content-Disposition.
    :param params: where form fields are put.
    :param parts: where the parts of a multipart body are put that are no form fields.
    :raises HTTPError: 400 if Content-Length is no number.
    """

    attempt_charsets: list[str] = ["utf-8"]  # noqa: RUF012 (copied for each entity)
    """Charsets to try on text, in this order, after the one that the sender has declared."""

    default_content_type: str = "application/x-www-form-urlencoded"
    """What a body without Content-Type is taken for."""

    processors: dict[str, Processor] = {  # noqa: RUF012 (copied for each entity)
        "application/x-www-form-urlencoded": process_urlencoded,
        "multipart/form-data": process_multipart_form_data,
        "multipart": process_multipart,
    }
    """What reads the body, called with the entity, by media type: ``type/subtype``, or ``type/*``
    or ``type`` for all others of a type."""

    part_class: type[Part]
    """What the parts of a multipart body are made of; :class:`Part` unless set otherwise."""

    bufsize: int = 65536
    """How many bytes of a multipart body are taken at a time."""

    max_fields: int = 1000
    """More fields than this in an urlencoded form are a 413."""

    max_parts: int = 1000
    """More parts than this in a multipart body, nested ones included, are a 413."""

    # Each file may take a descriptor, of which a process often has 1024 for all its requests.
    max_files: int = 100
    """More uploaded files than this in one body are a 413."""

    max_part_header: int = 8192
    """More bytes than this in the header of one part are a 413."""

    max_form_memory: int = 500_000
    """More bytes than this in one field, other than a file, of a multipart form are a 413."""

    max_form_size: int = 10_485_760
    """More bytes than this in all fields of a form together, files not counted, are a 413."""

    charset: str | None = None
    """The charset by which text was decoded last."""

    filename: str | None = None
    """The name that the client gives the file. Never use it as a path as it is."""

    name: str | None = None
    """The name of the form field that this is the value of."""

    value: bytes | None = None
    """The content, of a part that is kept in memory."""

    file: IO[bytes] | None = None
    """The content, of a part that is a file; seekable, and at its beginning."""

    usage: FormUsage | None = None
    """How much of the limits the multipart body around this part has used."""

    def __init__(
        self,
        fp: Readable,
        headers: Mapping[str, Any],
        params: Params | None = None,
        parts: list[Part] | None = None,
    ) -> None:
        self.fp = fp
        self.headers = headers
        self.params: Params = {} if params is None else params
        self.parts: list[Part] = [] if parts is None else parts
        self.processors = dict(self.processors)
        self._files: list[IO[bytes]] = []
        self._adopted: list[Part] = []

        elements = header_elements("Content-Type", headers.get("Content-Type"))
        self.content_type = (
            elements[0] if elements else HeaderElement.from_str(self.default_content_type)
        )
        declared = self.content_type.params.get("charset")
        others = [charset for charset in self.attempt_charsets if charset != declared]
        self.attempt_charsets = [declared, *others] if declared else others

        self.length: int | None = None
        length = headers.get("Content-Length")
        # RFC 9112, section 6.3: with a transfer coding the length says nothing.
        if length is not None and not headers.get("Transfer-Encoding"):
            self.length = _length(str(length))

        disposition = headers.get("Content-Disposition")
        if disposition:
            self.name, self.filename = _disposition(disposition)

    @property
    def type(self) -> HeaderElement:
        """The same as :attr:`content_type`, under its older name."""
        return self.content_type

    def read(self, size: int | None = None, fp_out: Writable | None = None) -> bytes:
        """Read ``size`` bytes, or all that is left.

        :param fp_out: where to write them to; the returned bytes are then empty.
        """
        data = self.fp.read(-1 if size is None else size)
        if fp_out is None:
            return data
        fp_out.write(data)
        return b""

    def readline(self, size: int | None = None) -> bytes:
        """Read a line with its end, cut after ``size`` bytes; empty at the end."""
        return self.fp.readline(-1 if size is None else size)

    def readlines(self, sizehint: int | None = None) -> list[bytes]:
        """Read lines to the end, or until they have ``sizehint`` bytes together."""
        return self.fp.readlines() if sizehint is None else self.fp.readlines(sizehint)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    next = __next__

    def read_into_file(self, fp_out: IO[bytes] | None = None) -> IO[bytes]:
        """Copy what is left into a file.

        :param fp_out: an open file; without one :meth:`make_file` gives it, and it is left at
            its beginning.
        """
        if fp_out is not None:
            self.read(fp_out=fp_out)
            return fp_out
        made = self.open_file()
        self.read(fp_out=made)
        made.seek(0)
        return made

    def make_file(self) -> IO[bytes]:
        """A new file for the content; override it to choose where uploads go."""
        return TemporaryFile()

    def open_file(self) -> IO[bytes]:
        """A file of :meth:`make_file`, which :meth:`close` will close."""
        made = self.make_file()
        self._files.append(made)
        return made

    def adopt(self, part: Part) -> None:
        """Close the part, too, when this entity is closed."""
        self._adopted.append(part)

    def fullvalue(self) -> str:
        """The whole content as text, also of a file, which is left at its beginning.

        :raises HTTPError: 400 if no charset fits.
        """
        if self.file is None:
            return self.decode_entity(self.value or b"")
        self.file.seek(0)
        content = self.file.read()
        self.file.seek(0)
        return self.decode_entity(content)

    def decode_entity(self, value: bytes) -> str:
        """Decode by the first of :attr:`attempt_charsets` that fits, noted in :attr:`charset`.

        :raises HTTPError: 400 if none does.
        """
        return self.try_charsets(lambda charset: value.decode(charset))

    def try_charsets(self, decode: Callable[[str], T]) -> T:
        """What ``decode`` makes with the first charset that does not fail.

        :param decode: takes the name of a charset; a UnicodeDecodeError means the next one.
        :raises HTTPError: 400 if none does, or if the declared one is none at all.
        """
        # Once more the declared one: a setting may have replaced the list.
        declared = self.content_type.params.get("charset")
        if declared and not _is_charset(declared):
            raise HTTPError(
                400, f"The charset of the request body is not known: {declared[:40]!r}."
            )
        charsets = [*([declared] if declared else []), *self.attempt_charsets]
        for charset in dict.fromkeys(charsets):
            try:
                if not _is_charset(charset):
                    continue
                result = decode(charset)
            except (LookupError, ValueError):  # it is a codec but no charset, or it does not fit
                continue
            self.charset = charset
            return result
        tried = ", ".join(dict.fromkeys(charsets))
        raise HTTPError(400, f"The request body could not be decoded. Charsets tried: {tried}.")

    def process(self) -> None:
        """Let the processor for the media type read the body, or else :meth:`default_proc`."""
        media_type = self.content_type.value.lower()
        major = media_type.partition("/")[0]
        for key in (media_type, f"{major}/*", major):
            if key in self.processors:
                self.processors[key](self)
                return
        self.default_proc()

    def default_proc(self) -> None:
        """What becomes of a media type without processor: the bytes are left to be read."""

    def close(self) -> None:
        """Close the files that were made for this body and its parts."""
        for part in self._adopted:
            part.close()
        for made in self._files:
            made.close()


class Part(Entity):
    """One part of a multipart body.

    A part with a filename is a file, in :attr:`file`; any other is kept in :attr:`value`.
    """

    attempt_charsets: list[str] = ["us-ascii", "utf-8"]  # noqa: RUF012 (copied for each entity)

    default_content_type = "text/plain"  # RFC 7578, section 4.4

    processors: dict[str, Processor] = {  # noqa: RUF012 (copied for each entity)
        "multipart": process_multipart
    }

    maxrambytes: int = 1000
    """How many bytes of a file are kept in memory before it goes to disk; 0 for none at all."""

    def make_file(self) -> IO[bytes]:
        """A new file for the content, in memory up to :attr:`maxrambytes`."""
        return _SpooledFile(max_size=self.maxrambytes) if self.maxrambytes else TemporaryFile()

    def process(self) -> None:
        # A file stays whole if it is a multipart message, and so does what is nested deeper than
        # any form is (RFC 2388, section 4.2 had one level; RFC 7578, section 4.3 has none).
        whole = self.filename or (self.usage is not None and self.usage.depth > 1)
        if whole and self.content_type.value.lower().startswith("multipart/"):
            self.default_proc()
        else:
            super().process()

    def default_proc(self) -> None:
        """Keep the content of a part that is no file as :attr:`value`."""
        if self.file is None:
            self.value = self.fp.read()


Entity.part_class = Part


class RequestBody(Entity):
    """The body of a request.

    :param fp: the transport's stream, ``wsgi.input``. What is read of it ends where the body
        does, and is held to :attr:`maxbytes`.
    :param request_params: where form fields are put as well, next to those of the query string.
    :param terminated: whether the transport's stream ends where the body ends, so that it needs
        no length; None to go by ``wsgi.input_terminated`` in the environ of the headers.
    """

    default_content_type = ""  # a body that does not say what it is is left alone

    maxbytes: int | None = None
    """More bytes than this in the body are a 413; None for no limit but the server's."""

    def __init__(
        self,
        fp: Readable,
        headers: Mapping[str, Any],
        params: Params | None = None,
        request_params: Params | None = None,
        terminated: bool | None = None,
    ) -> None:
        super().__init__(fp, headers, params)
        self.request_params: Params = {} if request_params is None else request_params
        if terminated is None:
            terminated = bool(getattr(headers, "environ", {}).get("wsgi.input_terminated"))
        self.terminated = terminated
        # RFC 9112, section 6.3: without length and transfer coding there is no body.
        self.fp = SizedReader(fp, self.length if self.length is not None or terminated else 0)
        # What browsers and scripts send as text without naming the charset is not always UTF-8.
        if self.content_type.value.lower().startswith("text/"):
            self.attempt_charsets.append("ISO-8859-1")

    @property
    def fp(self) -> Readable:
        """The stream of the body and nothing else; its ``bytes_read`` tells how far it is."""
        if isinstance(self._fp, SizedReader):
            self._fp.maxbytes = self.maxbytes
        return self._fp

    @fp.setter
    def fp(self, fp: Readable) -> None:
        self._fp = fp

    def process(self) -> None:
        """Let the processor for the media type read the body, and spread the form fields.

        :raises HTTPError: 411 if the transport cannot tell where the body ends; 413 if the body
            or the form in it is too large; 400 if it is not what its type says.
        """
        if self.length is None and not self.terminated and self.headers.get("Transfer-Encoding"):
            raise HTTPError(411, "This server needs to know the length of the body beforehand.")
        if self.maxbytes is not None and (self.length or 0) > self.maxbytes:
            raise HTTPError(413, f"The request body is larger than {self.maxbytes} bytes.")
        super().process()
        for name, value in self.params.items():
            add_param(self.request_params, name, list(value) if type(value) is list else value)


class _SpooledFile(SpooledTemporaryFile[bytes]):
    """A file in memory that goes to disk when it grows."""

    if sys.version_info < (3, 11):  # which io.TextIOWrapper and zipfile ask for

        def readable(self) -> bool:
            return True

        def writable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True


@lru_cache(maxsize=256)
def _is_charset(name: str) -> bool:
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    # "hex" and the like are codecs, but not between text and bytes.
    is_text = getattr(codec, "_is_text_encoding", True)
    return is_text and codec.name.replace("_", "-") not in _REFUSED_CHARSETS


@lru_cache(maxsize=256)  # the same form is sent again and again
def _disposition(text: str) -> tuple[str | None, str | None]:
    from werkzeug.http import parse_options_header  # not above: see forms.py

    options = parse_options_header(text)[1]
    return options.get("name"), options.get("filename")


def _length(text: str) -> int:
    # 18 digits: no body is longer, and int() takes signs, blanks and underscores.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPError(400, f"Content-Length must be a number of bytes, got {text[:40]!r}.")
    return int(text)
