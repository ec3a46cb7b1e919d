"""A connection that is encrypted by Python's ``ssl``."""

from __future__ import annotations

import select
import socket
import ssl
from datetime import datetime, timezone
from typing import Any

from cptoolkit.servers.certificate_environ import SHORT, Certificate, Name

RECORD = 16 * 1024
"""Most bytes in one record (RFC 8446, section 5.1)."""

SAME = {  # for all connections
    "HTTPS": "on",
    "SSL_CIPHER_EXPORT": "false",
    "SSL_VERSION_INTERFACE": "cptoolkit",
    "SSL_VERSION_LIBRARY": ssl.OPENSSL_VERSION,
}


class SNISocket(ssl.SSLSocket):
    """A socket that remembers what the client asked for."""

    asked_for: str = ""
    """The host that the client has named."""


class Context(ssl.SSLContext):
    """What connections with the same certificate share."""

    sslsocket_class = SNISocket
    environ: dict[str, str]
    """What an application is told of each of them alike."""


def to_certificate(parsed: dict[str, Any], pem: str) -> Certificate:
    """Take apart what ``getpeercert`` returns.

    :param pem: the same certificate as it is written in files.
    """
    alternatives = parsed.get("subjectAltName", ())
    start, end = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(parsed[key]), timezone.utc)
        for key in ("notBefore", "notAfter")
    )
    return Certificate(
        pem=pem,
        version=parsed["version"],
        serial=parsed["serialNumber"],
        subject=_name(parsed["subject"]),
        issuer=_name(parsed["issuer"]),
        start=start,
        end=end,
        dns=tuple(value for kind, value in alternatives if kind == "DNS"),
        email=tuple(value for kind, value in alternatives if kind == "email"),
    )


def _name(parts: Name) -> Name:
    return tuple(tuple((SHORT.get(kind, kind), value) for kind, value in part) for part in parts)


class SSLTransport:
    """A connection that is encrypted by an :class:`ssl.SSLSocket`."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self._read = sock.read
        self._write = sock.write
        self._over = False
        self._environ: dict[str, str] | None = None

    def handshake(self) -> int:
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return select.POLLIN
        except ssl.SSLWantWriteError:
            return select.POLLOUT
        except OSError:
            self._over = True
            raise
        return 0

    def recv(self, size: int) -> bytes:
        if self._over:  # what still comes is swallowed, whatever it is
            return socket.socket.recv(self.sock, size)
        try:
            return self._read(min(size, RECORD))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLError as exc:
            raise ConnectionAbortedError(str(exc)) from exc

    def send(self, data: bytes | bytearray | memoryview) -> int:
        sent, size = 0, len(data)
        try:
            if size <= RECORD:
                return self._write(data)
            with memoryview(data) as view:
                # One by one: a longer one tells only at its end that parts of it were taken.
                while sent < size:
                    sent += self._write(view[sent : sent + RECORD])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not sent:
                raise BlockingIOError from None
        return sent

    def end(self) -> None:
        if self._over:
            return
        try:
            self.sock.unwrap()
        except ssl.SSLWantWriteError:
            raise BlockingIOError from None
        except ssl.SSLWantReadError:
            pass  # the client need not say goodbye, too (RFC 8446, section 6.1)
        except ssl.SSLError:
            self._over = True
            raise
        self._over = True

    def environ(self) -> dict[str, str]:
        if self._environ is None:
            self._environ = self._describe()
        return self._environ

    def _describe(self) -> dict[str, str]:
        sock = self.sock
        context = sock.context
        name, _, bits = sock.cipher() or ("", "", 0)
        found = {
            **(context.environ if isinstance(context, Context) else SAME),
            "SSL_PROTOCOL": sock.version() or "",
            "SSL_CIPHER": name,
            "SSL_CIPHER_USEKEYSIZE": str(bits),
            "SSL_CIPHER_ALGKEYSIZE": str(bits),
            "SSL_SESSION_RESUMED": "Resumed" if sock.session_reused else "Initial",
            "SSL_CLIENT_VERIFY": "NONE",
        }
        if sock.session is not None:
            found["SSL_SESSION_ID"] = sock.session.id.hex()
        if isinstance(sock, SNISocket) and sock.asked_for:
            found["SSL_TLS_SNI"] = sock.asked_for
        der = sock.getpeercert(binary_form=True)
        parsed = sock.getpeercert()
        if der and parsed:
            pem = ssl.DER_cert_to_PEM_cert(der)
            found.update(to_certificate(parsed, pem).environ("CLIENT"))
            found["SSL_CLIENT_VERIFY"] = "SUCCESS"
        return found
