"""TLS by Python's own ``ssl``."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from cptoolkit.servers.certificates import (
    KeyPair,
    Reloaded,
    client_authorities,
    files_of,
    for_host,
    key_pairs,
)
from cptoolkit.servers.errors import TLSError
from cptoolkit.servers.options import Options
from cptoolkit.servers.protocol import Log
from cptoolkit.servers.tls_transport import SAME, Context, SNISocket, SSLTransport, to_certificate

_IGNORE_EXPIRY = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which ``ssl`` has no name for

_VERIFY = {"": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class BuiltinTLS:
    """The contexts that a server's options ask for.

    :raises TLSError: if certificates cannot be used.
    """

    def __init__(self, options: Options, log: Log) -> None:
        self._options = options
        if options.ssl_context is not None:
            context: ssl.SSLContext = options.ssl_context
            try:  # here, or each client would find out
                context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
            except (ssl.SSLError, ValueError) as exc:
                raise TLSError(f"ssl_context: cannot be a server's: {exc}") from exc
            self._contexts = Reloaded[ssl.SSLContext](lambda: context, [], log)
            return
        self._contexts = Reloaded[ssl.SSLContext](self._make, files_of(options), log)

    def wrap(self, sock: socket.socket) -> SSLTransport:
        context = self._contexts.current()
        return SSLTransport(
            context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        )

    def _make(self) -> Context:
        options = self._options
        contexts = {host: _make_context(options, pair) for host, pair in key_pairs(options).items()}

        def choose(sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: object) -> None:
            assert isinstance(sock, SNISocket)
            sock.asked_for = name or ""
            found = for_host(contexts, name)
            if found is not None:
                sock.context = found

        if options.ssl_hosts:
            # Only then: names that are not ASCII make Python write a traceback before it calls.
            contexts[""].sni_callback = choose
        return contexts[""]


def _make_context(options: Options, pair: KeyPair) -> Context:
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if options.ssl_ciphers:
        try:
            context.set_ciphers(options.ssl_ciphers)
        except ssl.SSLError as exc:
            raise TLSError(f"ssl_ciphers: OpenSSL knows none of {options.ssl_ciphers!r}") from exc
    certificates = pair.certificates()
    _load(context, pair, certificates, options.ssl_private_key_password)
    context.environ = _static(certificates[0], context)
    context.verify_mode = _VERIFY[options.ssl_verify_client]
    if options.ssl_client_ca:
        authorities = client_authorities(options)
        try:
            context.load_verify_locations(cadata=authorities.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError) as exc:
            path = options.ssl_client_ca
            raise TLSError(f"ssl_client_ca: cannot use {path!r}: {exc.reason}") from exc
    return context


def _load(context: Context, pair: KeyPair, certificates: list[bytes], password: str) -> None:
    pair.private_key()
    asked = False

    def tell() -> str:
        nonlocal asked
        asked = True
        if not password:  # OpenSSL would ask on the terminal
            raise pair.password_error(password)
        return password

    with _file_of(pair, certificates) as path:
        try:
            context.load_cert_chain(path, pair.key, tell)
        except TLSError:
            raise
        except ssl.SSLError as exc:
            # The second one is for keys of another kind, RSA's beside a certificate for EC's.
            if exc.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
                raise pair.mismatch() from exc
            if asked:
                raise pair.password_error(password) from exc
            raise pair.unusable(exc.reason) from exc
        except OSError as exc:
            raise pair.unusable(exc.strerror) from exc


_DESCRIPTORS = "/proc/self/fd"  # Linux has names there for files without one


@contextmanager
def _file_of(pair: KeyPair, certificates: list[bytes]) -> Iterator[str]:
    """Give a file with all certificates, which ``ssl`` wants in one."""
    if not pair.chain:
        yield pair.certificate
        return
    # The chain could also be loaded as trusted authorities, but clients would be tried on them.
    try:
        with _unnamed() as file:
            file.write(b"\n".join(certificates))
            file.flush()
            path = f"{_DESCRIPTORS}/{file.fileno()}"
            yield path if os.path.exists(path) else file.name
    except TLSError:
        raise
    except OSError as exc:
        reason = exc.strerror or exc
        raise TLSError(f"ssl_certificate_chain: cannot use a temporary file: {reason}") from exc


def _unnamed() -> IO[bytes]:
    """Return a file in memory if the system has any: nothing on the disk need be writable."""
    if os.path.isdir(_DESCRIPTORS) and hasattr(os, "memfd_create"):
        return open(os.memfd_create("certificates"), "wb")
    return tempfile.NamedTemporaryFile(prefix="cptoolkit-", suffix=".pem")


def _static(pem: bytes, context: Context) -> dict[str, str]:
    found = {**SAME, "SSL_SERVER_CERT": pem.decode() + "\n"}
    parsed = _own_certificate(pem.decode(), context)
    if parsed:
        found.update(to_certificate(parsed, found["SSL_SERVER_CERT"]).environ("SERVER"))
    return found


def _own_certificate(pem: str, context: ssl.SSLContext) -> dict[str, Any] | None:
    """Return what ``getpeercert`` tells of the certificate of ``context``.

    ``ssl`` takes apart only what a peer has sent and what it trusts: so here is one that does.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _IGNORE_EXPIRY
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asker = client.wrap_bio(back, there)
    asked = context.wrap_bio(there, back, server_side=True)
    try:
        client.load_verify_locations(cadata=pem)
        for side in (asker, asked, asker):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
        return asker.getpeercert()
    except (ssl.SSLError, ValueError):  # it may not be meant for servers
        return None
