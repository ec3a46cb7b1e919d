"""TLS by pyOpenSSL, which brings an OpenSSL of its own, newer perhaps than Python's."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

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
from cptoolkit.servers.pyopenssl_transport import SAME, PyOpenSSLTransport, to_certificate

_VERIFY = {
    "": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


class PyOpenSSL:
    """The contexts that a server's options ask for.

    :raises TLSError: if certificates cannot be used.
    """

    def __init__(self, options: Options, log: Log) -> None:
        self._options = options
        self._environs: dict[SSL.Context, dict[str, str]] = {}
        """What is the same for all connections of a context."""
        paths: list[str] = []
        make: Callable[[], SSL.Context] = self._make
        if options.ssl_context is not None:
            given = options.ssl_context
            if not isinstance(given, SSL.Context):
                raise TLSError(f"ssl_context: must be one of ssl or pyOpenSSL, got {given!r}")
            make = self._given
        else:
            paths = files_of(options)
        self._contexts = Reloaded(make, paths, log)

    def wrap(self, sock: socket.socket) -> PyOpenSSLTransport:
        connection = SSL.Connection(self._contexts.current(), sock)
        connection.set_accept_state()
        return PyOpenSSLTransport(sock, connection, self._environs)

    def _given(self) -> SSL.Context:
        context: SSL.Context = self._options.ssl_context
        return context

    def _make(self) -> SSL.Context:
        options = self._options
        contexts: dict[str, SSL.Context] = {}
        environs: dict[SSL.Context, dict[str, str]] = {}
        for host, pair in key_pairs(options).items():
            certificates = _certificates(pair)
            contexts[host] = context = _make_context(options, pair, certificates)
            environs[context] = SAME | to_certificate(certificates[0]).environ("SERVER")

        def choose(connection: SSL.Connection) -> None:
            found = for_host(contexts, (connection.get_servername() or b"").decode("latin-1"))
            if found is not None:
                connection.set_context(found)

        contexts[""].set_tlsext_servername_callback(choose)
        self._environs = environs
        return contexts[""]


def _certificates(pair: KeyPair) -> list[x509.Certificate]:
    try:
        return [x509.load_pem_x509_certificate(data) for data in pair.certificates()]
    except ValueError as exc:
        raise pair.unusable(str(exc)) from exc


def _make_context(
    options: Options, pair: KeyPair, certificates: list[x509.Certificate]
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_alpn_select_callback(_select)
    context.set_session_id(b"cptoolkit")  # without it, clients with certificates cannot resume
    if options.ssl_ciphers:
        try:
            context.set_cipher_list(options.ssl_ciphers.encode())
        except SSL.Error as exc:
            raise TLSError(f"ssl_ciphers: OpenSSL knows none of {options.ssl_ciphers!r}") from exc
    _load(context, pair, certificates, options.ssl_private_key_password)
    context.set_verify(_VERIFY[options.ssl_verify_client])
    if options.ssl_client_ca:
        client_authorities(options)  # told in the same words, whichever library it is
        try:
            context.load_verify_locations(options.ssl_client_ca)
        except SSL.Error as exc:
            path = options.ssl_client_ca
            raise TLSError(f"ssl_client_ca: cannot use {path!r}: {exc}") from exc
    return context


def _load(
    context: SSL.Context, pair: KeyPair, certificates: list[x509.Certificate], password: str
) -> None:
    data = pair.private_key()
    encrypted = b"ENCRYPTED" in data
    try:
        # A password that is not needed is passed over, as ``ssl`` does.
        key = load_pem_private_key(data, password.encode() if encrypted else None)
    except (TypeError, ValueError) as exc:
        raise (pair.password_error(password) if encrypted else pair.unusable(str(exc))) from exc
    try:
        context.use_certificate(certificates[0])
        for certificate in certificates[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(key)  # type: ignore[arg-type]  # others are refused
        context.check_privatekey()
    except SSL.Error as exc:
        raise pair.mismatch() from exc


def _select(_: SSL.Connection, offered: list[bytes]) -> Any:
    # RFC 7301, section 3.2 lets a server go on without the extension, too.
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS
