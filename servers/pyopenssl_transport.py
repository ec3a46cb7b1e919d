"""A connection that is encrypted by pyOpenSSL."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from cptoolkit.servers import tls_transport
from cptoolkit.servers.certificate_environ import Certificate, Name
from cptoolkit.servers.tls_transport import RECORD

_VERSION = SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()
SAME = {**tls_transport.SAME, "SSL_VERSION_LIBRARY": _VERSION}

# Names of mod_ssl that RFC 4514 has no short ones for.
_SHORT = {
    NameOID.EMAIL_ADDRESS: "Email",
    NameOID.GIVEN_NAME: "G",
    NameOID.INITIALS: "I",
    NameOID.SURNAME: "S",
    NameOID.TITLE: "T",
}


class PyOpenSSLTransport:
    """A connection that is encrypted by an ``OpenSSL.SSL.Connection``."""

    def __init__(
        self,
        sock: socket.socket,
        connection: SSL.Connection,
        environs: Mapping[SSL.Context, dict[str, str]],
    ) -> None:
        self.sock = sock
        self._tls = connection
        self._environs = environs
        self._over = False
        self._environ: dict[str, str] | None = None

    def handshake(self) -> int:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return select.POLLIN
        except SSL.WantWriteError:
            return select.POLLOUT
        except SSL.Error as exc:
            self._over = True
            raise ConnectionAbortedError(_reason(exc)) from exc
        return 0

    def recv(self, size: int) -> bytes:
        if self._over:  # what still comes is swallowed, whatever it is
            return self.sock.recv(size)
        with _translated():
            try:
                return self._tls.recv(min(size, RECORD))
            except SSL.ZeroReturnError:
                return b""
            except SSL.SysCallError as exc:
                if exc.args[0] == -1:  # the end without a goodbye, as most clients make it
                    return b""
                raise

    def send(self, data: bytes | bytearray | memoryview) -> int:
        sent, size = 0, len(data)
        try:
            with _translated(), memoryview(data) as view:
                while sent < size:
                    sent += self._tls.send(bytes(view[sent : sent + RECORD]))
        except BlockingIOError:
            if not sent:
                raise
        return sent

    def end(self) -> None:
        if self._over:
            return
        with _translated():
            self._tls.shutdown()
        self._over = True

    def environ(self) -> dict[str, str]:
        if self._environ is None:
            self._environ = self._describe()
        return self._environ

    def _describe(self) -> dict[str, str]:
        tls = self._tls
        bits = str(tls.get_cipher_bits() or 0)
        found = {
            **self._environs.get(tls.get_context(), SAME),
            "SSL_PROTOCOL": tls.get_protocol_version_name(),
            "SSL_CIPHER": tls.get_cipher_name() or "",
            "SSL_CIPHER_USEKEYSIZE": bits,
            "SSL_CIPHER_ALGKEYSIZE": bits,
            "SSL_CLIENT_VERIFY": "NONE",
        }
        host = tls.get_servername()
        if host:
            found["SSL_TLS_SNI"] = host.decode("latin-1")
        certificate = tls.get_peer_certificate(as_cryptography=True)
        if certificate is not None:
            found.update(to_certificate(certificate).environ("CLIENT"))
            found["SSL_CLIENT_VERIFY"] = "SUCCESS"
        return found


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what sockets raise."""
    try:
        yield
    except (SSL.WantReadError, SSL.WantWriteError):
        raise BlockingIOError from None
    except SSL.Error as exc:
        raise ConnectionAbortedError(_reason(exc)) from exc


def _reason(error: SSL.Error) -> str:
    problems = error.args[0] if error.args else ""
    if isinstance(problems, list):
        return ", ".join(str(problem[-1]) for problem in problems)
    return str(error)


def to_certificate(certificate: x509.Certificate) -> Certificate:
    """Take apart what the library has decoded."""
    alternatives = x509.SubjectAlternativeName([])
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        alternatives = found.value
    except (x509.ExtensionNotFound, ValueError):  # the latter for what cannot be read
        pass
    serial = f"{certificate.serial_number:X}"
    return Certificate(
        pem=certificate.public_bytes(Encoding.PEM).decode(),
        version=certificate.version.value + 1,
        serial=serial.zfill(len(serial) + len(serial) % 2),
        subject=_name(certificate.subject),
        issuer=_name(certificate.issuer),
        start=certificate.not_valid_before_utc,
        end=certificate.not_valid_after_utc,
        dns=tuple(alternatives.get_values_for_type(x509.DNSName)),
        email=tuple(alternatives.get_values_for_type(x509.RFC822Name)),
    )


def _name(name: x509.Name) -> Name:
    return tuple(
        tuple((_SHORT.get(one.oid, one.rfc4514_attribute_name), str(one.value)) for one in part)
        for part in name.rdns
    )
