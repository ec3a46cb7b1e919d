"""Where digest authentication finds what it compares with: HA1 (RFC 7616, section 3.4.2).

HA1 is the hash of "name:realm:password", which a server may keep in place of the password. Each
function here makes one for the option ``get_ha1`` of
:class:`~cptoolkit.middleware.auth.digest.DigestAuth`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, Protocol

logger = logging.getLogger("cptoolkit.auth")

HASHES: dict[str, Callable[[bytes], Any]] = {
    "MD5": hashlib.md5,
    "SHA-256": hashlib.sha256,
}
"""The hash functions by their names in challenges, in the order in which they are offered: MD5
first, since many clients answer the first challenge or none, and all of them know MD5. The attacks
that there are on it, collisions (RFC 6151, section 2), do not help to guess a response."""

LENGTHS = {64: "SHA-256", 32: "MD5"}
"""The algorithms by the number of hex digits of their hashes."""

_HEX = re.compile("[0-9a-f]*")


class Ha1Getter(Protocol):
    """What the functions here return."""

    algorithms: tuple[str, ...]
    """The algorithms for which every user has an HA1, in the order of :data:`HASHES`."""

    def __call__(self, realm: str, username: str, algorithm: str = "MD5") -> str | None:
        """The HA1 of a user in hex; None if there is no such user."""


def make_ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """The HA1 of a user, as :func:`get_ha1_dict` and htdigest files have it.

    :param algorithm: "MD5" or "SHA-256".
    """
    digest: str = HASHES[algorithm](f"{username}:{realm}:{password}".encode()).hexdigest()
    return digest


def get_ha1_dict_plain(user_password_dict: Mapping[str, str]) -> Ha1Getter:
    """Make HA1 from a mapping of names to plain passwords, for every algorithm.

    :param user_password_dict: may change while it is in use.
    """
    return _PlainPasswords(user_password_dict)


def get_ha1_dict(user_ha1_dict: Mapping[str, str]) -> Ha1Getter:
    """Find HA1 in a mapping of names to HA1, for users of one realm.

    :param user_ha1_dict: hashes in hex: MD5 ones if they have 32 digits, SHA-256 ones if 64. It
        may change while it is in use.
    :raises ValueError: if a hash is neither, or some are the one and some the other.
    """
    return _Hashes(user_ha1_dict)


def get_ha1_file_htdigest(filename: str | os.PathLike[str]) -> Ha1Getter:
    """Find HA1 in a file as Apache's htdigest writes it, with lines "name:realm:HA1" in UTF-8.

    The file is read again when it has changed. Beside htdigest's MD5 hashes it may have SHA-256
    ones. Those are offered if every user has one; a user with both has two lines.

    :raises OSError: if the file cannot be read.
    :raises ValueError: if a line is malformed; names file and line.
    """
    return _HtdigestFile(filename)


def algorithm_of(ha1: str) -> str:
    """The algorithm that has made an HA1.

    :raises ValueError: if it is none; does not repeat it, for it may be a password.
    """
    algorithm = LENGTHS.get(len(ha1))
    if algorithm is None or not _HEX.fullmatch(ha1.lower()):
        raise ValueError(f"an HA1 must be 32 or 64 hex digits, got {len(ha1)} characters")
    return algorithm


class _PlainPasswords:
    algorithms = tuple(HASHES)

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = passwords

    def __call__(self, realm: str, username: str, algorithm: str = "MD5") -> str | None:
        password = self._passwords.get(username)
        ha1 = make_ha1(username, realm, password or "", algorithm)  # in vain for unknown users
        return ha1 if password else None


class _Hashes:
    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = hashes
        self.algorithms = _common({algorithm_of(ha1)} for ha1 in hashes.values())

    def __call__(self, realm: str, username: str, algorithm: str = "MD5") -> str | None:
        ha1 = self._hashes.get(username)
        return ha1 if ha1 is not None and algorithm_of(ha1) == algorithm else None


class _HtdigestFile:
    def __init__(self, filename: str | os.PathLike[str]) -> None:
        self._filename = os.path.abspath(filename)
        self._lock = Lock()
        self._version: tuple[int, int, int] | None = None
        self._users = _read_htdigest(self._filename)
        self.algorithms = _common(set(hashes) for hashes in self._users.values())

    def __call__(self, realm: str, username: str, algorithm: str = "MD5") -> str | None:
        return self._current().get((username, realm), {}).get(algorithm)

    def _current(self) -> dict[tuple[str, str], dict[str, str]]:
        status = os.stat(self._filename)
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            if version != self._version:
                self._version = version
                try:
                    self._users = _read_htdigest(self._filename)
                except ValueError as error:
                    # Somebody is editing it; those who could log in until now still can.
                    logger.error("%s; its users stay those of before", error)
            return self._users


def _read_htdigest(filename: str) -> dict[tuple[str, str], dict[str, str]]:
    """The hashes of a file by (name, realm) and algorithm."""
    users: dict[tuple[str, str], dict[str, str]] = {}
    with open(filename, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            username, _, rest = line.partition(":")
            realm, colon, ha1 = rest.rpartition(":")
            try:
                if not colon:
                    raise ValueError("must be name:realm:HA1")
                users.setdefault((username, realm), {})[algorithm_of(ha1)] = ha1
            except ValueError as error:
                raise ValueError(f"{filename}, line {number}: {error}") from None
    return users


def _common(available: Iterable[set[str]]) -> tuple[str, ...]:
    """The algorithms that are in each of several sets, in the order of HASHES."""
    sets = list(available)
    if not sets:
        return ("MD5",)  # what the reference's functions stand for
    common = set.intersection(*sets)
    if not common:
        raise ValueError(
            "every user must have an HA1 of one and the same algorithm: some have MD5 hashes"
            " alone, some SHA-256 ones"
        )
    return tuple(algorithm for algorithm in HASHES if algorithm in common)
