"""The TLS handshake, which comes before HTTP on a connection; a library does the work."""

from __future__ import annotations

import logging
import select
import socket
import ssl
from typing import TYPE_CHECKING, Protocol

from cptoolkit.servers.body import EMPTY
from cptoolkit.servers.errors import TLSError
from cptoolkit.servers.exchange import Exchange, Site
from cptoolkit.servers.options import Options
from cptoolkit.servers.protocol import Log, Transport
from cptoolkit.servers.tls import BuiltinTLS

if TYPE_CHECKING:
    from cptoolkit.servers.connection import Connection

HANDSHAKE_RECORD = b"\x16"
"""What a client that speaks TLS begins with (RFC 8446, section 5.1)."""

NO_TLS = "This port speaks TLS: ask with https:// instead of http://."


class TLSTransport(Transport, Protocol):
    """A connection that is, or is going to be, encrypted."""

    @property
    def sock(self) -> socket.socket:
        """The socket to use from now on."""
        ...

    def handshake(self) -> int:
        """Go on with the handshake.

        :returns: 0 when it is over, ``select.POLLIN`` or ``POLLOUT`` if it waits for the client.
        :raises OSError: if it failed.
        """
        ...


class Library(Protocol):
    """A TLS library with the certificates of a server."""

    def wrap(self, sock: socket.socket) -> TLSTransport:
        """Begin to encrypt a connection, whose socket then belongs to the transport.

        :raises OSError: if the connection is broken; the socket may be closed then.
        """
        ...


def library(options: Options, log: Log) -> Library:
    """Return what ``options`` ask for.

    :raises TLSError: if certificates cannot be used, or the library is missing.
    """
    if isinstance(options.ssl_context, ssl.SSLContext) or (
        options.ssl_context is None and options.ssl_module == "builtin"
    ):
        return BuiltinTLS(options, log)
    try:
        from cptoolkit.servers.pyopenssl import PyOpenSSL
    except ImportError as exc:
        raise TLSError("pyOpenSSL is missing: pip install 'cptoolkit[pyopenssl]'") from exc
    return PyOpenSSL(options, log)


class Handshake:
    """The handshake of one connection, as a :data:`~cptoolkit.servers.protocol.Prelude`.

    A client that speaks something else, HTTP most likely, gets a readable 400.
    """

    __slots__ = ("_library", "_site", "_transport")

    def __init__(self, library: Library, site: Site) -> None:
        self._library = library
        self._site = site
        self._transport: TLSTransport | None = None

    def __call__(self, conn: Connection) -> None:
        transport = self._transport
        if transport is None:
            first = conn.sock.recv(1, socket.MSG_PEEK)
            if first and first != HANDSHAKE_RECORD:
                self._refuse(conn)
                return
            transport = self._transport = self._begin(conn)
        conn.unsent = False
        try:
            event = transport.handshake()
        except OSError as exc:
            self._site.log(f"TLS handshake with {conn.peer} failed: {exc}", logging.DEBUG, False)
            conn.finish(linger=True)  # or a reset may overtake the alert that tells the reason
            return
        if event:
            conn.unsent = event == select.POLLOUT
            raise BlockingIOError

    def _begin(self, conn: Connection) -> TLSTransport:
        # A socket that cannot be wrapped may be closed, and its number another connection's.
        conn.engine.forget(conn)
        transport = self._library.wrap(conn.sock)
        conn.sock = transport.sock
        conn.engine.adopt(conn)
        conn.encrypt(transport)
        return transport

    def _refuse(self, conn: Connection) -> None:
        refusal = Exchange(conn, self._site, "GET", b"*", "1.1", [], EMPTY, False)
        refusal.refuse("400 Bad Request", NO_TLS)
        conn.finish(linger=True)
