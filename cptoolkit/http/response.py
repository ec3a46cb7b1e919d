"""The response that a page handler makes: a :class:`webob.Response` with the reference's names."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from http.cookies import SimpleCookie
from time import time
from typing import Any, ClassVar

import webob

from cptoolkit.http.elements import HeaderElement
from cptoolkit.http.errors import TimeoutError
from cptoolkit.http.headers import ResponseHeaders, header_name, header_value, valid_status
from cptoolkit.middleware import bodies, fields

HTML = ("Content-Type", "text/html")
HTML_UTF8 = ("Content-Type", "text/html;charset=utf-8")

NO_BODY = frozenset({"204", "205", "304"})
"""Statuses whose answer has no body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5)."""

BLOCK_SIZE = 65536
"""Bytes read from a file at a time."""


class Response(webob.Response):
    """What goes back to the client (reference, chapters 4 to 7).

    Everything that :class:`webob.Response` offers is there, except that ``body`` takes and
    gives what a page handler returns, and not only bytes; ``app_iter`` is the same body as an
    iterable of bytes. Attributes can be set by config as ``response.<name>``, header fields as
    ``response.headers.<name>``.
    """

    # What webob's constructor would set on each object.
    conditional_response: ClassVar[bool] = False  # type: ignore[misc]
    _headers: ResponseHeaders | None = None
    _cookie: SimpleCookie | None = None
    _cookie_fields: Sequence[tuple[str, str]] = ()
    _header_list_read: bool = False  # and so there may be bytes in it
    _app_iter: Iterable[bytes]

    stream: bool = False
    """Whether the body goes out as it is made, instead of whole and with its length."""
    timeout: float = 300
    """Seconds after which the response counts as timed out (reference, 5.5); 0: never."""
    timed_out: bool = False
    """Whether :meth:`check_timeout` has found the time used up."""
    encoding: str = "utf-8"
    """The encoding of text in the body; the ``encode`` tool sets it."""
    encoding_errors: str = "strict"
    """What happens to characters that the encoding does not have, as in :meth:`str.encode`."""
    text_only: bool = True
    """Whether only media types ``text/*`` get a ``charset`` parameter."""
    add_charset: bool = True
    """Whether the Content-Type gets a ``charset`` parameter at all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.time: float = time()
        """When the response began, in seconds since the epoch."""
        if args or options:
            super().__init__(*args, **options)
        else:
            self._status = "200 OK"
            self._headerlist: list[tuple[str, str]] = [HTML]
            self._app_iter = ()

    # -- status and header fields ----------------------------------------------------------

    @property
    def status(self) -> str:
        """Code and reason: "404 Not Found". May be set to a code, a text, bytes, or None for 200.

        :raises ValueError: if it is set to what is no status.
        """
        return self._status

    @status.setter
    def status(self, status: int | str | bytes | None) -> None:
        if isinstance(status, bytes):
            status = status.decode("latin-1")
        code, reason, _ = valid_status(status)
        self._status = f"{code} {header_value('Status', reason)}"

    @property  # type: ignore[override]
    def headers(self) -> ResponseHeaders:
        """The header fields by name, whatever its case."""
        if self._headers is None:
            self._headers = ResponseHeaders.view_list(self._headerlist)
        return self._headers

    @headers.setter
    def headers(self, headers: Any) -> None:
        self._headerlist = []
        self._headers = None
        self.headers.update(headers)

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """The header fields as (name, value) pairs, both str.

        As CherryPy has bytes there, programs written for it add pairs of bytes, or assign them.
        """
        self._header_list_read = True
        return self._headerlist

    @header_list.setter
    def header_list(self, pairs: Iterable[tuple[str | bytes, str | bytes]]) -> None:
        self._headerlist = [_native(pair) for pair in pairs]
        self._headers = None

    def make_header_list_native(self) -> None:
        """Make str of the bytes that programs have put into :attr:`header_list`.

        :raises ValueError: if a field holds a line break, or a name is no token.
        """
        pairs = self._headerlist
        pairs[:] = map(_native, pairs)

    def take(self, status: str, headers: list[tuple[str, str]], body: Iterable[bytes]) -> None:
        """Say what a response that is made already says.

        :param status: code and reason.
        :param headers: (name, value) pairs, of which a copy is kept.
        """
        self._status = status
        self._headerlist = list(headers)
        self._headers = None
        self._app_iter = body

    @property
    def cookie(self) -> SimpleCookie:
        """Cookies to send (reference, 4.5)."""
        if self._cookie is None:
            self._cookie = SimpleCookie()
        return self._cookie

    @cookie.setter
    def cookie(self, cookie: SimpleCookie) -> None:
        self._cookie = cookie

    # -- the body --------------------------------------------------------------------------

    @property
    def body(self) -> Any:
        """The body as an iterable of bytes. May be set to str, bytes, an iterable of either, an
        open file, or None; str is encoded in :attr:`encoding`.
        """
        return self._app_iter

    @body.setter
    def body(self, body: Any) -> None:
        if type(body) is str:
            headers = self._headerlist
            if not (headers and headers[0] is HTML):
                self._take_declared_charset()
            self._app_iter = [body.encode(self.encoding, self.encoding_errors)]
            self.mark_charset()
        elif body is None:
            self._app_iter = []
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self._app_iter = [bytes(body)] if body else []
        elif isinstance(body, str):
            self.body = str(body)
        elif hasattr(body, "read"):
            self._app_iter = FileIterator(body)
        elif isinstance(body, (list, tuple)):
            self._take_declared_charset()
            try:
                self._app_iter = [self._encoded(item) for item in body]
            except TypeError:
                if not any(_is_nested(item) for item in body):
                    raise
                self._app_iter = EncodingIterator(self, body, iter(body))  # see the flatten tool
        else:
            try:
                iterator = iter(body)
            except TypeError:
                raise TypeError(
                    "a page handler must return str, bytes, an iterable of these, an open file "
                    f"or None, not {type(body).__name__}"
                ) from None
            self._take_declared_charset()
            self._app_iter = EncodingIterator(self, body, iterator)

    @body.deleter
    def body(self) -> None:
        self._app_iter = []

    def _encoded(self, item: Any) -> bytes:
        if isinstance(item, str):
            return item.encode(self.encoding, self.encoding_errors)
        if isinstance(item, (bytes, bytearray, memoryview)):
            return bytes(item)
        raise TypeError(
            f"the body of a response must yield str or bytes, not {type(item).__name__}"
        )

    def _take_declared_charset(self) -> None:
        """Encode in the charset that the Content-Type names already, if it does."""
        for name, value in self._headerlist:
            if name.lower() == "content-type":
                if "charset=" in value.lower():
                    self.encoding = _charset(value) or self.encoding
                return

    def mark_charset(self) -> None:
        """Name the encoding in the Content-Type, if that wants one and does not have it yet."""
        headers = self._headerlist
        if headers and headers[0] is HTML and self.encoding == "utf-8" and self.add_charset:
            headers[0] = HTML_UTF8
            return
        if not self.add_charset:
            return
        for index, (name, value) in enumerate(headers):
            if name.lower() == "content-type":
                lowered = value.lower()
                if "charset=" not in lowered and (
                    not self.text_only or lowered.startswith("text/")
                ):
                    headers[index] = (name, f"{value};charset={self.encoding}")
                return

    def collapse_body(self) -> bytes:
        """Run the body to its end and keep it as one block of bytes.

        :returns: the bytes.
        """
        body, self._app_iter = self._app_iter, []
        try:
            whole = b"".join(body)
        finally:
            bodies.close(body)
        self._app_iter = [whole]
        if type(body) is EncodingIterator:  # a generator may have set the Content-Type
            self.mark_charset()
        return whole

    def gather_body(self) -> None:
        """Collapse the body, unless it is to be streamed or has said how long it is."""
        if not (self.stream or type(self._app_iter) is list) and self.content_length is None:
            self.collapse_body()

    def finalize(self) -> None:
        """Make status, header fields and body fit to be sent: the last step before sending."""
        if self._header_list_read:
            self.make_header_list_native()
        headers, body = self._headerlist, self._app_iter
        if (
            len(headers) == 1
            and headers[0] is HTML_UTF8
            and self._status == "200 OK"
            and type(body) is list
            and len(body) == 1
            and not self.stream
        ):
            # What most requests come to, and then need no more than this.
            headers.append(("Content-Length", str(len(body[0]))))
        else:
            self._settle_body()
        if self._cookie:
            # An error after this step leads here again.
            headers = self._headerlist
            headers[:] = [item for item in headers if item not in self._cookie_fields]
            self._cookie_fields = [
                ("Set-Cookie", header_value("Set-Cookie", morsel.OutputString()))
                for morsel in self._cookie.values()
            ]
            headers.extend(self._cookie_fields)

    def _settle_body(self) -> None:
        headers = self._headerlist
        if self._status[:3] in NO_BODY or self._status[0] == "1":
            self.drop_body()
            fields.remove(headers, "content-length")
            # What nobody has said is not said of content that is not there.
            if headers and (headers[0] is HTML or headers[0] is HTML_UTF8):
                del headers[0]
            return
        if self.stream:
            return
        body = self._app_iter
        said = False
        for name, _ in headers:
            if len(name) == 14 and name.lower() == "content-length":
                said = True
                break
        # A handler that says how long its body is knows better than to have it collected. But of
        # text it may have counted the characters.
        if said and not (type(body) is list and any(body)):
            return
        if type(body) is list and len(body) == 1:
            length = len(body[0])
        else:
            length = len(self.collapse_body())
        if said:
            fields.put(headers, "Content-Length", str(length))
        else:
            headers.append(("Content-Length", str(length)))

    def drop_body(self) -> None:
        """Let go of the body unsent, as for HEAD."""
        body, self._app_iter = self._app_iter, []
        bodies.close(body)

    # -- time ------------------------------------------------------------------------------

    def check_timeout(self) -> None:
        """Set :attr:`timed_out` if the response has taken longer than :attr:`timeout`."""
        if self.timeout and time() > self.time + self.timeout:
            self.timed_out = True

    def raise_timeout(self) -> None:
        """Stop here if the time is used up.

        :raises TimeoutError: if :attr:`timed_out` is set.
        """
        if self.timed_out:
            raise TimeoutError(f"the response took longer than response.timeout, {self.timeout} s")


def _native(pair: tuple[str | bytes, str | bytes]) -> tuple[str, str]:
    name = header_name(pair[0])
    return name, header_value(name, pair[1])


def _is_nested(item: Any) -> bool:
    return hasattr(item, "__iter__") and not isinstance(item, (str, bytes, dict))


@lru_cache(maxsize=64)
def _charset(content_type: str) -> str | None:
    """The charset that a Content-Type names; None for one that Python does not know."""
    charset = HeaderElement.from_str(content_type).params.get("charset", "")
    try:
        return codecs.lookup(charset).name
    except LookupError:
        return None


class EncodingIterator:
    """A body that is made while it is sent: str is encoded, and the end is passed on."""

    __slots__ = ("_iterator", "_response", "body")

    def __init__(self, response: Response, body: Any, iterator: Iterator[Any]) -> None:
        self._response = response
        self._iterator = iterator
        self.body = body

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        item = next(self._iterator)
        return item if type(item) is bytes else self._response._encoded(item)

    def close(self) -> None:
        bodies.close(self.body)


class FileIterator:
    """An open file as a body, read in blocks; text files are encoded as UTF-8."""

    __slots__ = ("block_size", "file")

    def __init__(self, file: Any, block_size: int = BLOCK_SIZE) -> None:
        self.file = file
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self.file.read(self.block_size)
        if not block:
            raise StopIteration
        return block.encode() if isinstance(block, str) else block

    def close(self) -> None:
        bodies.close(self.file)
