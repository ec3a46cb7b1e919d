"""SCGI (python.ca/scgi/protocol.txt): a request per connection, its variables in a netstring."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cptoolkit.servers.cgi_connection import BODY, HEAD, CGIConnection
from cptoolkit.servers.errors import BadRequest, HeadTooLong

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection
    from cptoolkit.servers.exchange import Site

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,8}):")
_SIZE_PREFIX = re.compile(rb"0|[1-9][0-9]{0,8}")


class SCGI(CGIConnection):
    """A connection that speaks SCGI."""

    def __init__(self, conn: Connection, site: Site) -> None:
        super().__init__(conn, site)
        self._head = bytearray()

    def parse(self, data: bytes) -> None:
        if self.state != BODY:
            self.state = HEAD
            self._head += data
            size = self._size()
            if size is None or len(self._head) < size:
                return
            head = bytes(self._head)
            self._head.clear()
            self.begin(_pairs(head[:size]), keep_alive=False)
            data = head[size:]
        exchange = self.exchange
        assert exchange is not None
        # What follows the body is nobody's: there is one request on a connection.
        self.put(data[: max(0, exchange.length - exchange.body.received)])
        if exchange.body.received >= exchange.length:
            self.end()

    def _size(self) -> int | None:
        """Return the size of the whole netstring, None as long as it is not known.

        :raises BadRequest: if this is no netstring.
        :raises HeadTooLong: if it is longer than allowed.
        """
        match = _SIZE.match(self._head)
        if match is None:
            if _SIZE_PREFIX.fullmatch(self._head) is None:
                raise BadRequest("This server speaks SCGI, and a netstring has to come first.")
            return None
        size = int(match[1])
        if size > self.options.max_request_header_size:
            raise HeadTooLong("The variables of the request are too long.")
        return match.end() + size + 1


def _pairs(netstring: bytes) -> list[tuple[bytes, bytes]]:
    """Return the names and values in a netstring.

    :raises BadRequest: if it is not as SCGI wants it.
    """
    text = netstring.partition(b":")[2]
    if not text.endswith(b"\0,"):
        raise BadRequest("A netstring has to end with a comma, and each of its values with NUL.")
    words = text[:-2].split(b"\0")
    if len(words) % 2:
        raise BadRequest("There is a name without a value in the netstring.")
    pairs = list(zip(words[::2], words[1::2], strict=True))
    if pairs[0][0] != b"CONTENT_LENGTH" or not pairs[0][1]:
        raise BadRequest("CONTENT_LENGTH has to come first.")
    if (b"SCGI", b"1") not in pairs:
        raise BadRequest("There is no variable SCGI with the value 1.")
    return pairs
