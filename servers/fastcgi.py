"""FastCGI 1.0 (fastcgi-archives.github.io, "FastCGI Specification"): requests in records.

The server is a Responder. It takes one request at a time on a connection, and tells so: others are
refused with ``FCGI_CANT_MPX_CONN``. Connections are kept if the web server wants that.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cptoolkit.servers.cgi import CGIExchange
from cptoolkit.servers.cgi_connection import BODY, DONE, HEAD, IDLE, CGIConnection
from cptoolkit.servers.errors import BadRequest, ClientError, HeadTooLong

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection
    from cptoolkit.servers.exchange import Site

Pairs = list[tuple[bytes, bytes]]

# Section 8, "Types and Constants".
VERSION = 1
BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT = 1, 2, 3, 4, 5, 6
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER = 1
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, UNKNOWN_ROLE = 0, 1, 3
MANAGEMENT = 0
"""The request id of records that belong to no request."""

RECORD_SIZE = 65528
"""Bytes of an answer in one record: the most that is a multiple of 8, so that none is padded."""

_HEADER = struct.Struct(">BBHHBx")


def dump_record(kind: int, request_id: int, content: bytes = b"") -> bytes:
    """Return a record (section 3.3)."""
    return _HEADER.pack(VERSION, kind, request_id, len(content), 0) + content


def parse_pairs(data: bytes) -> Pairs:
    """Return names and values (section 3.4).

    :raises BadRequest: if a length leads past the end.
    """
    pairs: Pairs = []
    position, end = 0, len(data)
    while position < end:
        lengths = []
        for _ in range(2):
            length = data[position] if position < end else 0
            if length & 0x80:
                length = int.from_bytes(data[position : position + 4], "big") & 0x7FFFFFFF
                position += 3
            lengths.append(length)
            position += 1
        middle = position + lengths[0]
        if middle + lengths[1] > end:
            raise BadRequest("A name or value is longer than its record.")
        pairs.append((data[position:middle], data[middle : middle + lengths[1]]))
        position = middle + lengths[1]
    if position > end:
        raise BadRequest("A length of a name or value is cut off.")
    return pairs


def dump_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the inverse of :func:`parse_pairs`."""
    return b"".join([_length(name) + _length(value) + name + value for name, value in pairs])


def _length(text: bytes) -> bytes:
    size = len(text)
    return bytes([size]) if size < 0x80 else (size | 0x80000000).to_bytes(4, "big")


def _end_request(request_id: int, status: int) -> bytes:
    return dump_record(END_REQUEST, request_id, struct.pack(">IB3x", 0, status))


class FastCGIExchange(CGIExchange):
    """An exchange whose answer goes out in records."""

    sends_files = False
    request_id: int

    _held: list[bytes] | None = None

    def respond(self, data: bytes) -> None:
        self._held = []  # so that all goes out at once
        super().respond(data)

    def send(self, data: bytes) -> None:
        if self._held is None:
            self.conn.send(b"".join(self._records(data)))
        else:
            self._held += self._records(data)

    def _records(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), RECORD_SIZE):
            yield dump_record(STDOUT, self.request_id, data[start : start + RECORD_SIZE])

    def finish(self) -> None:
        if not self.finished:
            super().finish()
            end = dump_record(STDOUT, self.request_id)
            end += _end_request(self.request_id, REQUEST_COMPLETE)
            self.conn.send(b"".join([*(self._held or ()), end]))


class FastCGI(CGIConnection):
    """A connection that speaks FastCGI."""

    framing = FastCGIExchange

    def __init__(self, conn: Connection, site: Site) -> None:
        super().__init__(conn, site)
        self._data = bytearray()  # not a whole record yet
        self._id = MANAGEMENT  # of the request that is being received or answered
        self._keep_conn = False
        self._params = bytearray()
        self._replies = b""

    def parse(self, data: bytes) -> None:
        self._data += data
        try:
            while self.state != DONE and (record := self._next()) is not None:
                self._take(*record)
        finally:
            replies, self._replies = self._replies, b""
            if replies:
                self.conn.send(replies)
        if self.state == DONE and not self._id:
            self.conn.finish(linger=False)

    def _next(self) -> tuple[int, int, bytes] | None:
        """Return type, request id and content of the next record; None if it has yet to come.

        :raises BadRequest: if this is no record.
        """
        if self._data and self._data[0] != VERSION:
            raise BadRequest("This server speaks FastCGI, version 1.")
        if len(self._data) < _HEADER.size:
            return None
        _, kind, request_id, size, padding = _HEADER.unpack_from(self._data)
        end = _HEADER.size + size
        if len(self._data) < end + padding:
            return None
        content = bytes(self._data[_HEADER.size : end])
        del self._data[: end + padding]
        return kind, request_id, content

    def _take(self, kind: int, request_id: int, content: bytes) -> None:
        if request_id == MANAGEMENT:
            self._manage(kind, content)
        elif kind == BEGIN_REQUEST:
            self._begin_request(request_id, content)
        elif request_id != self._id:
            pass  # section 3.3: what is left of a request that is over, or was refused
        elif kind == ABORT_REQUEST:
            self._abort_request()
        elif kind == PARAMS and self.state == HEAD:
            self._take_params(content)
        elif kind == STDIN and self.state == BODY:
            if content:
                self.put(content)
            else:
                self.end()
        else:
            raise BadRequest(f"A record of type {kind} has no place here.")

    def _manage(self, kind: int, content: bytes) -> None:
        """Answer a question about the server itself (section 4)."""
        if kind == GET_VALUES:
            values = {b"FCGI_MPXS_CONNS": b"0"}
            if self.options.max_connections:
                most = str(self.options.max_connections).encode()
                values.update({b"FCGI_MAX_CONNS": most, b"FCGI_MAX_REQS": most})
            known = [(name, values[name]) for name, _ in parse_pairs(content) if name in values]
            self._replies += dump_record(GET_VALUES_RESULT, MANAGEMENT, dump_pairs(known))
        else:
            self._replies += dump_record(UNKNOWN_TYPE, MANAGEMENT, struct.pack("B7x", kind))

    def _begin_request(self, request_id: int, content: bytes) -> None:
        if len(content) != 8 or request_id == self._id:
            raise BadRequest("A record begins a request in a way that it cannot.")
        role, flags = struct.unpack(">HB5x", content)
        if self._id:
            self._replies += _end_request(request_id, CANT_MPX_CONN)
            return
        self._keep_conn = bool(flags & KEEP_CONN) and self.options.keep_alive_timeout > 0
        if role == RESPONDER:
            self._id = request_id
            self.state = HEAD
        else:
            self._over(_end_request(request_id, UNKNOWN_ROLE))

    def _take_params(self, content: bytes) -> None:
        if content:
            self._params += content
            if len(self._params) > self.options.max_request_header_size:
                raise HeadTooLong("The variables of the request are too long.")
            return
        pairs = parse_pairs(bytes(self._params))
        self._params.clear()
        exchange = self.begin(pairs, self._keep_conn)
        assert isinstance(exchange, FastCGIExchange)
        exchange.request_id = self._id

    def _abort_request(self) -> None:
        exchange = self.exchange
        if exchange in self.requests:
            self.requests.clear()
        elif self.is_answering():
            assert exchange is not None
            exchange.body.fail(BadRequest("The web server has given the request up."))
            return
        self._params.clear()
        self._over(_end_request(self._id, REQUEST_COMPLETE))

    def _over(self, reply: bytes) -> None:
        """A request has ended before it was answered."""
        self._replies += reply
        self._id = MANAGEMENT
        self.forget()
        self.state = IDLE if self._keep_conn else DONE
        self.renew_deadline()

    def answer(self) -> None:
        super().answer()
        if self.exchange is None:  # else the body is still being collected
            self._id = MANAGEMENT

    def refused(self) -> CGIExchange:
        exchange = super().refused()
        assert isinstance(exchange, FastCGIExchange)
        exchange.request_id = self._id
        return exchange

    def refuse(self, error: ClientError) -> None:
        if self._id:
            super().refuse(error)
        else:  # there is no request that could be told
            self.site.log(f"a connection was dropped: {error}", logging.WARNING, False)
            self.state = DONE
            self.conn.finish(linger=True)
