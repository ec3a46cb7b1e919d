"""Where the body of a request ends (RFC 9112, section 6): after its length or its last chunk."""

from __future__ import annotations

import re

from cptoolkit.servers.body import Body
from cptoolkit.servers.errors import BadRequest

# RFC 9110, section 5.6
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_BWS = rb"[ \t]*"

# RFC 9112, section 7.1 and 7.1.1; the sizes of 64 bits are more than enough:
#   chunk-size CRLF, or with chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS value ] ) in between
_EXTENSION = rb"%b;%b%b(?:%b=%b(?:%b|%b))?" % (_BWS, _BWS, _TOKEN, _BWS, _BWS, _TOKEN, _QUOTED)
_SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,16})(?:%b)*\r\n" % _EXTENSION)
_NEXT_SIZE = re.compile(rb"\r\n" + _SIZE.pattern)
# RFC 9112, section 5
_FIELD = re.compile(rb"(%b):[\t -~\x80-\xff]*\r\n" % _TOKEN)

_NEVER_LAST = {b"content-length", b"host", b"transfer-encoding"}
"""Fields that say where the message ends and goes: too late in a trailer (RFC 9110, 6.5.1)."""

SIZE = 0  # in the line before a chunk
END = 1  # in the line end after it
TRAILER = 2  # after the last chunk


class Sized:
    """A body of known length."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left = length
        """Bytes that are still to come."""

    def feed(self, data: bytes, start: int, body: Body) -> int:
        """Take from ``data`` what belongs to ``body``, and return where that ends."""
        end = min(start + self.left, len(data))
        body.put(memoryview(data)[start:end])
        self.left -= end - start
        if not self.left:
            body.end()
        return end


class Chunked:
    """A body in chunks. Extensions and trailer fields are checked and dropped.

    :param longest: bytes that a chunk's size and extensions may have, and the whole trailer.
    """

    __slots__ = ("_line", "_longest", "_state", "_trailer", "left")

    def __init__(self, longest: int) -> None:
        self.left = 0
        """Bytes of this chunk that are still to come."""
        self._longest = longest
        self._line = b""  # what has come of a line
        self._trailer = 0  # bytes of the trailer before that
        self._state = SIZE

    def feed(self, data: bytes, start: int, body: Body) -> int:
        """Take from ``data`` what belongs to ``body``, and return where that ends.

        :raises BadRequest: if these are no chunks.
        """
        view = memoryview(data)
        while start < len(data) and not body.complete:
            if self.left:
                end = min(start + self.left, len(data))
                body.put(view[start:end])
                self.left -= end - start
            else:
                end = self._whole_line(data, start) or self._part_of_line(data, start, body)
            start = end
        return start

    def _whole_line(self, data: bytes, start: int) -> int:
        """Take what is between two chunks at once, if it is all there; this is but for speed."""
        if self._line or self._state == TRAILER:
            return 0
        match = (_SIZE if self._state == SIZE else _NEXT_SIZE).match(data, start)
        if match is None or match.end() - start > self._longest:
            return 0
        self._begin(match[1])
        return match.end()

    def _part_of_line(self, data: bytes, start: int, body: Body) -> int:
        found = data.find(b"\n", start)
        end = found + 1 if found >= 0 else len(data)
        self._line += data[start:end]
        if self._trailer + len(self._line) > self._longest:
            raise BadRequest("Chunk extension or trailer is too long.")
        if found >= 0:
            line, self._line = self._line, b""
            self._understand(line, body)
        return end

    def _begin(self, size: bytes) -> None:
        self.left = int(size, 16)
        self._state = END if self.left else TRAILER

    def _understand(self, line: bytes, body: Body) -> None:
        if self._state == SIZE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise BadRequest("A chunk's size is malformed.")
            self._begin(match[1])
        elif self._state == END:
            if line != b"\r\n":
                raise BadRequest("A chunk does not end after its size.")
            self._state = SIZE
        elif line == b"\r\n":
            body.end()
        else:
            self._trailer += len(line)
            match = _FIELD.fullmatch(line)
            if match is None or match[1].lower() in _NEVER_LAST:
                raise BadRequest("A field of the trailer is malformed or forbidden.")
