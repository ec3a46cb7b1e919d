"""Files of certificates and keys: which there are, what is wrong with them, when they change."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from cptoolkit.servers.errors import TLSError
from cptoolkit.servers.options import Options
from cptoolkit.servers.protocol import Log

LOOK_EVERY = 1.0
"""Seconds between two looks whether files have changed; without handshakes there are none."""

# RFC 7468, sections 5.1, 10 and 11; "RSA" and "EC" are older, but what many files say.
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----")

Context = TypeVar("Context")


@dataclass(frozen=True)
class KeyPair:
    """The files of one host's certificate and key, and the options that name them."""

    certificate: str
    key: str
    chain: str = ""
    certificate_option: str = "ssl_certificate"
    key_option: str = "ssl_private_key"

    def paths(self) -> list[str]:
        """Return the files there are."""
        return [path for path in (self.certificate, self.key, self.chain) if path]

    def certificates(self) -> list[bytes]:
        """Return the certificates to send, the host's own first; all are PEM.

        :raises TLSError: if there are none.
        """
        found = _certificates(self.certificate_option, self.certificate)
        return found + (_certificates("ssl_certificate_chain", self.chain) if self.chain else [])

    def private_key(self) -> bytes:
        """Return the file that the key is in.

        :raises TLSError: if there is none in it.
        """
        data = read(self.key_option, self.key)
        if not _KEY.search(data):
            raise TLSError(f"{self.key_option}: there is no private key (PEM) in {self.key!r}")
        return data

    def password_error(self, password: str) -> TLSError:
        """Return what to raise when the key cannot be decrypted."""
        problem = "is wrong" if password else "is needed"
        return TLSError(f"ssl_private_key_password {problem}: {self.key!r} is encrypted")

    def mismatch(self) -> TLSError:
        """Return what to raise when the key is another certificate's."""
        return TLSError(
            f"{self.key_option}: the key in {self.key!r} is not that of the certificate in"
            f" {self.certificate!r}"
        )

    def unusable(self, reason: str | None) -> TLSError:
        """Return what to raise when the library refuses the files for another reason."""
        return TLSError(
            f"{self.certificate_option}: cannot use {self.certificate!r} with the key in"
            f" {self.key!r}: {reason}"
        )


def key_pairs(options: Options) -> dict[str, KeyPair]:
    """Return the pairs by the host that they are for, in lower case; "" is any other."""
    pairs = {
        "": KeyPair(
            options.ssl_certificate,
            options.ssl_private_key or options.ssl_certificate,
            options.ssl_certificate_chain,
            key_option="ssl_private_key" if options.ssl_private_key else "ssl_certificate",
        )
    }
    for host, (certificate, key) in options.ssl_hosts.items():
        option = f"ssl_hosts[{host!r}]"
        pairs[host.lower()] = KeyPair(certificate, key or certificate, "", option, option)
    return pairs


def files_of(options: Options) -> list[str]:
    """Return the files that contexts are made from."""
    paths = [path for pair in key_pairs(options).values() for path in pair.paths()]
    return [*paths, options.ssl_client_ca] if options.ssl_client_ca else paths


def client_authorities(options: Options) -> bytes:
    """Return the certificates (PEM) that those of clients are signed with.

    :raises TLSError: if there are none.
    """
    return b"\n".join(_certificates("ssl_client_ca", options.ssl_client_ca))


def for_host(contexts: dict[str, Context], name: str | None) -> Context | None:
    """Return what is for the host that a client asks for (RFC 6066, section 3).

    A name that begins with ``*.`` stands for one more label (RFC 9525, section 6.3).

    :returns: None if it is what stands under "".
    """
    if not name:
        return None
    name = name.lower()
    return contexts.get(name) or contexts.get("*." + name.partition(".")[2])


def read(option: str, path: str) -> bytes:
    """Return what is in the file that an option names.

    :raises TLSError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise TLSError(f"{option}: cannot read {path!r}: {reason}") from exc


def _certificates(option: str, path: str) -> list[bytes]:
    found: list[bytes] = _CERTIFICATE.findall(read(option, path))
    if not found:
        raise TLSError(f"{option}: there is no certificate (PEM) in {path!r}")
    return found


class Reloaded(Generic[Context]):
    """A context made from files, and made anew when they have changed.

    Files that cannot be used leave the last context in place, and are tried again at each look, as
    they may be on their way; the log tells each reason once.

    :param make: makes the context, or raises TLSError.
    :param clock: tells seconds.
    :raises TLSError: if the first one cannot be made.
    """

    def __init__(
        self,
        make: Callable[[], Context],
        paths: Iterable[str],
        log: Log,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._make = make
        self._paths = sorted(set(paths))
        self._log = log
        self._clock = clock
        self._mutex = Lock()
        # Before the files are read: what changes meanwhile is found at the next look.
        self._seen = self._look()
        self._current = make()
        self._told = ""  # why the files cannot be used
        self._next_look = clock() + LOOK_EVERY

    def current(self) -> Context:
        """Return the context for a connection that begins now."""
        if self._clock() >= self._next_look and self._mutex.acquire(blocking=False):
            try:
                self._next_look = self._clock() + LOOK_EVERY
                self._renew()
            finally:
                self._mutex.release()
        return self._current

    def _renew(self) -> None:
        seen = self._look()
        if seen == self._seen:
            self._told = ""
            return
        try:
            self._current = self._make()
        except TLSError as exc:
            if str(exc) != self._told:
                self._told = str(exc)
                self._log(f"new certificates are not used: {exc}", logging.ERROR, False)
            return
        self._seen, self._told = seen, ""
        self._log("new certificates are used from now on", logging.INFO, False)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_signature(path) for path in self._paths]


def _signature(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
