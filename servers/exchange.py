"""One request and its answer: what a gateway is given, and how the answer is framed.

Framing follows RFC 9112, section 6: a length where it is known, chunks where it is not, the end of
the connection for HTTP/1.0. An answer never has more bytes than it promised.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING

from cptoolkit.servers.body import Body
from cptoolkit.servers.fields import NO_FIELDS, Fields, check
from cptoolkit.servers.options import Options
from cptoolkit.servers.protocol import Log

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection
    from cptoolkit.servers.intake import Intake
    from cptoolkit.servers.upgrade import ClientSocket

DRAINABLE = 64 * 1024
"""Unread bytes of a body of known length up to which the connection is worth keeping."""


SMALL_FILE = 64 * 1024
"""Bytes up to which it is quicker to read a file than to have the kernel send it."""

RETRY_AFTER = "1"
"""Seconds after which a client may try again what was refused with 503."""


@dataclass(kw_only=True)
class Site:
    """What all connections of a server share."""

    options: Options
    log: Log
    exchange: type[Exchange] = field(init=False)
    """What is made of each request: the class of the gateway."""
    version: str = field(init=False)
    """The version that answers begin with."""
    expires: float = 0.0
    """When :meth:`renew` is due."""
    disk_failed: bool = False
    """Whether the log has been told that request bodies cannot be kept on disk."""
    tail: str = ""
    """The end of a head: ``Date``, ``Server``, the empty line."""
    last: tuple[str, list[tuple[str, str]], Fields] = ("", [], NO_FIELDS)
    """Status and fields of the last answer, and what was found when they were checked."""
    date: str = ""
    """The ``Date`` line of this second, after a line end."""
    server: str = field(init=False)
    """The ``Server`` line, if there is one, after a line end."""

    def __post_init__(self) -> None:
        self.version = self.options.protocol_version
        name = self.options.server_name
        self.server = f"\r\nServer: {name}" if name else ""

    def renew(self, now: float) -> None:
        """Tell a new time, once a second."""
        self.date = f"\r\nDate: {formatdate(now, usegmt=True)}"
        self.tail = f"{self.date}{self.server}\r\n\r\n"
        self.expires = int(now) + 1


class Exchange:
    """A request, and the methods to answer it with: :meth:`start`, then :meth:`respond` or
    :meth:`write` any number of times and :meth:`finish`. A gateway is a subclass that has
    :meth:`answer`; it must not change ``headers``, which the next exchange may share.
    """

    uri: bytes | None = None
    """The target as sent, where it is not ``target`` (absolute-form)."""
    length: int = 0
    """Length of the request body; -1 if it is sent in chunks."""
    intake: Intake | None = None
    """How the body comes, if it has not come at once."""
    expects: bool = False
    """Whether the client waits for "100 Continue" before it sends the body."""
    upgrade: str = ""
    """The protocols that the client would rather speak (RFC 9110, section 7.8), in lower case."""
    early: bytes = b""
    """What has come behind the head of such a request already."""
    sends_files: bool = True
    """Whether the connection takes files as they are."""
    refusal: tuple[str, str] | None = None
    """Status and reason, if the server answers by itself."""
    taken_over: ClientSocket | None = None
    """What the application uses in place of an answer, if it has taken the connection over."""
    started: bool = False
    """Whether there are a status and fields."""
    head_sent: bool = False
    """Whether it is too late to change them."""
    finished: bool = False
    """Whether the answer is complete."""
    broken: bool = False
    """Whether the connection has to end at once, so that the client does not take it for whole."""

    _promised: int = -1
    _sent: int = 0
    _chunked: bool = False
    _bodyless: bool = False
    _cut: bool = False

    def __init__(
        self,
        conn: Connection,
        site: Site,
        method: str,
        target: bytes,
        version: str,
        headers: list[tuple[bytes, bytes]],
        body: Body,
        keep_alive: bool,
    ) -> None:
        self.conn = conn
        self.site = site
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive

    # -- the answer -------------------------------------------------------------------------------

    def start(self, status: str, headers: list[tuple[str, str]]) -> None:
        """Choose status and fields; may be repeated until the first byte is sent.

        :raises ValueError: if they may not be sent, with the field's name in the message.
        :raises TypeError: if they are not strings.
        """
        # Most answers of an application begin like its last one, and need not be checked again.
        last_status, last_headers, fields = self.site.last
        if headers != last_headers or status != last_status:
            # Tuples of one's own: a list in it could change, and still be equal to what it was.
            headers = [*map(tuple, headers)]  # type: ignore[list-item]  # check tells
            fields = check(status, headers)
            self.site.last = (status, headers, fields)
        self._fields = fields
        self._promised = fields.length
        self.started = True

    def answer(self) -> None:
        """Answer the request: what a gateway is there for.

        :raises Disconnected: if the client has gone.
        """
        raise NotImplementedError

    def respond(self, data: bytes) -> None:
        """Send the whole body at once, and the head with it."""
        size = len(data)
        promised = self._promised
        if promised < 0:
            if size or self.method != "HEAD":
                self._promised = size
        elif promised != size and self.method != "HEAD":
            self.write(data)
            self.finish()
            return
        head = self._head()
        self.head_sent = self.finished = True
        self.conn.send(head if self._bodyless else head + data)

    def write(self, data: bytes) -> None:
        """Send a part of the body, after the head if that is still to be sent.

        :raises Disconnected: if the client has gone.
        """
        head = b""
        if not self.head_sent:
            head = self._head()
            self.head_sent = True
        if self._bodyless:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        elif self._promised >= 0:
            room = self._promised - self._sent
            if len(data) > room:
                data = data[:room]
                if not self._cut:
                    self._cut = True
                    self._complain("longer")
            self._sent += len(data)
        if head or data:
            self.send(head + data)

    def send(self, data: bytes) -> None:
        """Put a part of the answer on the wire: for framings that wrap it once more.

        :raises Disconnected: if the client has gone.
        """
        self.conn.send(data)

    def send_file(self, descriptor: int, offset: int, size: int) -> None:
        """Send a part of an open file as the whole body, in one go and by the kernel if it is long.

        What is beyond the Content-Length is not meant (PEP 3333, "Optional Platform-Specific File
        Handling").

        :param descriptor: of a regular file, which may be closed afterwards.
        :raises Disconnected: if the client has gone.
        """
        if self._promised >= 0:
            size = min(size, self._promised)
        if size <= SMALL_FILE:
            self.respond(os.pread(descriptor, size, offset))
            return
        if self._promised < 0:
            self._promised = size
        self.write(b"")
        if not self._bodyless:
            self._sent = size
            self.conn.send_file(os.dup(descriptor), offset, self._sent)
        self.finish()

    def finish(self) -> None:
        """The body is complete.

        :raises Disconnected: if the client has gone.
        """
        if self.finished:
            return
        if not self.head_sent:
            if self._promised < 0 and self.method != "HEAD":
                self._promised = 0
            self.write(b"")
        self.finished = True
        if self._chunked:
            self.send(b"0\r\n\r\n")
        elif not self._bodyless and self._sent < self._promised:
            self.keep_alive = False
            self._complain("shorter")

    def abort(self) -> None:
        """Hang up in the middle of the body, so that the client does not take it for whole."""
        self.keep_alive = False
        if self.head_sent and self._promised < 0 and not (self._chunked or self._bodyless):
            self.broken = True
            self.conn.break_off()
        self.finished = True

    def refuse(self, status: str, reason: str) -> None:
        """Answer with an error in plain text and close the connection afterwards."""
        self.keep_alive = False
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        if status.startswith("503"):
            headers.append(("Retry-After", RETRY_AFTER))
        self.start(status, headers)
        self._promised = -1
        self.respond(f"{status}\n{reason}\n".encode())

    # -- its head ---------------------------------------------------------------------------------

    def _head(self) -> bytes:
        fields, length = self._fields, self._promised
        framing = ""
        if fields.contentless:
            self._bodyless = True
            # RFC 9110, section 8.6: no length with 204; with 304 it would be that of the 200. With
            # 205 a client expects to be told that there is nothing (section 15.3.6).
            if fields.status.startswith("205"):
                framing = "\r\nContent-Length: 0"
            elif fields.length > 0 and fields.status.startswith("304"):
                framing = f"\r\nContent-Length: {fields.length}"
        else:
            self._bodyless = self.method == "HEAD"
            if length >= 0:
                framing = f"\r\nContent-Length: {length}"
            elif self._bodyless:
                pass  # that of GET is not known
            elif self.version == "1.1":
                self._chunked = True
                framing = "\r\nTransfer-Encoding: chunked"
            else:
                self.keep_alive = False
        if (
            fields.close
            or self.conn.engine.draining
            or not (self.body.complete or self._drainable())
        ):
            self.keep_alive = False
        if not self.keep_alive:
            framing += "\r\nConnection: close"
        elif self.version == "1.0":
            framing += "\r\nConnection: keep-alive"
        site = self.site
        now = time()
        if not site.expires - 1 <= now < site.expires:  # a clock may be set back
            site.renew(now)
        tail = site.tail
        if fields.dated or fields.named:
            tail = ("" if fields.dated else site.date) + ("" if fields.named else site.server)
            tail += "\r\n\r\n"
        return f"{site.version} {fields.status}{fields.lines}{framing}{tail}".encode("latin-1")

    def _drainable(self) -> bool:
        """Whether what is unread of the body is worth swallowing to keep the connection."""
        # A client that was not told to go on may send the body or not: nobody can know.
        body = self.body
        return not (self.expects or body.failed) and self.length - body.received <= DRAINABLE

    def _complain(self, how: str) -> None:
        self.site.log(
            f"the body of the answer to {self.method} {self.target.decode('latin-1')!r} is {how}"
            f" than its Content-Length of {self._promised}",
            logging.ERROR,
            False,
        )
