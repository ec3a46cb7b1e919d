"""The head of a request (RFC 9112, sections 2 to 6), taken apart and checked.

llhttp takes the bytes apart. What it lets pass although it is ambiguous or malformed is refused
here: request lines that are not exactly three words, ``Host`` missing, doubled or malformed,
transfer codings other than ``chunked``, and sizes above the limits.
"""

from __future__ import annotations

import re

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from cptoolkit.servers.errors import (
    BadRequest,
    BodyTooLarge,
    ClientError,
    HeadTooLong,
    URITooLong,
)
from cptoolkit.servers.options import Options

CACHED = 1000
"""Values of ``Host`` that are remembered as checked."""

CACHEABLE = 255
"""Length of the longest of them: that of a domain name (RFC 1035, section 2.3.4)."""

LONGEST_METHOD = 32
"""Bytes of a method; no registered one is that long."""

_WATCHED = {
    b"connection",
    b"content-length",
    b"content-type",
    b"expect",
    b"host",
    b"transfer-encoding",
    b"upgrade",
}

# RFC 3986, section 3.2: host [ ":" port ], without userinfo (RFC 9110, section 4.2.4). An empty
# host has no port either: no URI can have it (section 4.2.1).
_AUTHORITY = re.compile(
    rb"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?|"
)
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_LINE_ENDS = {"1.1": b" HTTP/1.1\r\n", "1.0": b" HTTP/1.0\r\n"}
_COMMON = (b"GET ", b"HEAD ", b"POST ")

# RFC 9110, section 9.1: method = token. A lone CR may belong to an empty line before it.
_METHOD = re.compile(rb"\r|[!#$%%&'*+.^_`|~0-9A-Za-z-]{0,%d}" % LONGEST_METHOD)

_known_hosts: set[bytes] = set()


MALFORMED = "The request line is malformed."
UNKNOWN_METHOD = "The request method is not known here."


class ExpectationFailed(ClientError):
    """Something other than "100-continue" is expected (RFC 9110, section 10.1.1)."""

    status = "417 Expectation Failed"


class NotImplementedHere(ClientError):
    """A method or a transfer coding that this server does not know (RFC 9112, section 6.1)."""

    status = "501 Not Implemented"


class VersionNotSupported(ClientError):
    """A version of HTTP other than 1.0 and 1.1."""

    status = "505 HTTP Version Not Supported"


class Head:
    """The heads that come on a connection, one after the other.

    The ``on_`` methods are named and called by httptools.
    """

    method: bytes
    uri: bytes
    """The request target as it was sent."""
    target: bytes
    """Its path and query, or ``*``."""
    version: str
    """"1.0" or "1.1"."""
    headers: list[tuple[bytes, bytes]]
    """The fields in order, their names in lower case. Each head has a list of its own."""
    length: int
    """The ``Content-Length``, -1 without one."""
    chunked: bool
    """Whether the body comes in chunks."""
    expects: bool
    """Whether the client waits for "100 Continue"."""
    upgrade: bytes
    """The protocols that the client would rather speak (RFC 9110, section 7.8)."""
    keep_alive: bool
    """Whether the client can use the connection again (RFC 9112, section 9.3)."""

    def __init__(self, options: Options) -> None:
        self.parsed = 0
        """How many bytes of an incomplete head are known."""
        self._options = options
        self._parser: HttpRequestParser = HttpRequestParser(self)
        self._spent = False  # whether the parser waits for something other than a head
        self._complete = False

    def feed(self, data: bytes, start: int) -> int:
        """Take the head that begins at ``start`` of ``data``, which grows until it is complete.

        :returns: where the head ends, 0 if that is still to come.
        :raises ClientError: with the answer that it deserves.
        """
        if not self.parsed:
            if not data.startswith(_COMMON, start) and not _has_method(data, start):
                return 0
            self._begin()
        parsed = start + self.parsed
        found = data.find(b"\r\n\r\n", max(start, parsed - 3))
        end = found + 4 if found >= 0 else len(data)
        try:
            self._parser.feed_data(data[parsed:end])
        except HttpParserUpgrade:
            self._spent = True
        except HttpParserError as exc:
            raise _refusal(exc) from exc
        if self._complete is not (found >= 0):
            raise BadRequest("The request head is malformed.")
        if found < 0:
            self.parsed = end - start
            # Method, version and white space of the request line are in neither limit.
            if self.parsed > self._options.max_request_header_size + len(self.uri) + 32:
                raise HeadTooLong("The request head is too long.")
            return 0
        self.parsed = 0
        self._check(data[start:end])
        return end

    def close(self) -> None:
        """Let go of the parser, which holds this object in turn."""
        del self._parser

    def _begin(self) -> None:
        if self._spent:
            self._parser = HttpRequestParser(self)
            self._spent = False
        self._complete = False
        self.uri = self.upgrade = b""
        self.headers = []
        self._host: bytes | None = None
        self.length = -1
        self.chunked = self.expects = self._typed = self._closes = self._stays = False

    # -- what the parser calls --------------------------------------------------------------------

    def on_url(self, part: bytes) -> None:
        self.uri += part
        if len(self.uri) > self._options.max_request_line_size:
            raise URITooLong("The request target is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip(b" \t")
        if name in _WATCHED:
            self._watch(name, value)
        self.headers.append((name, value))

    def _watch(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            if self._host is not None:
                raise BadRequest("There is more than one Host field.")
            self._host = value
            if value not in _known_hosts:
                _check_authority(value)
        elif name == b"connection":
            options = [option.strip(b" \t") for option in value.lower().split(b",")]
            self._closes = self._closes or b"close" in options
            self._stays = self._stays or b"keep-alive" in options
        elif name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            if self.chunked or value.lower() != b"chunked":
                raise NotImplementedHere("Only the chunked transfer coding is known.")
            self.chunked = True
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise ExpectationFailed("Only 100-continue can be expected.")
            self.expects = True
        elif name == b"content-type":
            if self._typed:
                # RFC 9110, section 5.3 has no meaning for two of these, and readers disagree.
                raise BadRequest("There is more than one Content-Type field.")
            self._typed = True
        else:
            self.upgrade = value

    def on_headers_complete(self) -> None:
        parser = self._parser
        self.method = parser.get_method()
        self.version = parser.get_http_version()
        # RFC 9112, section 9.3. With llhttp Proxy-Connection counts, and the other order wins.
        self.keep_alive = not self._closes and (self.version == "1.1" or self._stays)
        self._spent = not parser.should_keep_alive()
        if self.upgrade and not parser.should_upgrade():
            self.upgrade = b""
        self._complete = True

    # -- what llhttp leaves to its user -----------------------------------------------------------

    def _check(self, raw: bytes) -> None:
        # llhttp lets several blanks pass between the words, other protocols' names, and none.
        end = _LINE_ENDS.get(self.version) or b" HTTP/%b\r\n" % self.version.encode()
        line = b"%b %b%b" % (self.method, self.uri, end)
        if not raw.startswith(line):
            raise BadRequest(MALFORMED)
        if self.version not in _LINE_ENDS:
            raise VersionNotSupported("This server speaks HTTP/1.1.")
        options = self._options
        if len(raw) - len(line) - 2 > options.max_request_header_size:
            raise HeadTooLong("The request head is too long.")
        if self.version == "1.1":
            if self._host is None:
                raise BadRequest("There is no Host field.")
        else:
            self.expects = False  # RFC 9110, section 10.1.1
            if self.chunked:
                raise BadRequest("HTTP/1.0 has no transfer codings.")
        if self.length > 0 or self.chunked:
            if 0 < options.max_request_body_size < self.length:
                raise BodyTooLarge("The request body is too long.")
            self._spent = True
        self.target = uri = self.uri
        if uri[0] != 47 or b"#" in uri or self.method == b"CONNECT":
            self.target = self._other_form()

    def _other_form(self) -> bytes:
        """Return path and query of a target not in origin-form (RFC 9112, section 3.2)."""
        uri = self.uri
        if self.method == b"CONNECT":
            raise NotImplementedHere("This server is no tunnel.")
        if b"#" in uri:
            raise BadRequest("A request target has no fragment.")
        if uri == b"*":
            if self.method != b"OPTIONS":
                raise BadRequest("The target * is for OPTIONS.")
            return uri
        match = _ABSOLUTE.fullmatch(uri)
        if match is None:
            raise BadRequest("The request target is malformed.")
        authority, rest = match.groups()
        _check_authority(authority)
        # The authority of the target wins over the Host field (section 3.2.2).
        self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"]
        self.headers.append((b"host", authority))
        if rest.startswith(b"/"):
            return bytes(rest)
        if self.method == b"OPTIONS" and not rest:
            return b"*"
        return b"/%b" % rest


def _check_authority(value: bytes) -> None:
    if _AUTHORITY.fullmatch(value) is None:
        raise BadRequest("The host is malformed.")
    if len(_known_hosts) < CACHED and len(value) <= CACHEABLE:
        _known_hosts.add(value)


def _has_method(data: bytes, start: int) -> bool:
    """Whether a method has come; llhttp would refuse an unknown one at its first odd letter.

    :raises ClientError: if what has come is none.
    """
    match = _METHOD.match(data, start)
    assert match is not None
    end = match.end()
    if end - start == LONGEST_METHOD:
        raise NotImplementedHere(UNKNOWN_METHOD)
    if end == len(data):
        return False
    if end == start or data[end] != 32:
        raise BadRequest(MALFORMED)
    return True


def _refusal(error: HttpParserError) -> ClientError:
    cause = error.__context__
    if isinstance(cause, ClientError):
        return cause
    if isinstance(error, HttpParserInvalidMethodError):
        return NotImplementedHere(UNKNOWN_METHOD)
    return BadRequest(f"{error}.")
