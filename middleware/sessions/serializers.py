"""How the data of a session become bytes and back: JSON or pickle, and signed where asked for."""

from __future__ import annotations

import hmac
import json
import logging
import pickle
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from cptoolkit.middleware.sessions.store import BrokenRecord

PICKLE_PROTOCOL = 5
"""One for all Pythons that may share a store, whatever the default of each is."""

SIGNATURE_LENGTH = 32
"""Bytes of an HMAC-SHA256, which stand before the data."""

Secrets = str | bytes | Sequence[str | bytes] | None
"""What signs: nothing, a secret, or several, of which the first signs and all are accepted."""

logger = logging.getLogger("cptoolkit.sessions")


class Format(Protocol):
    """What a user may bring in place of ``"json"`` or ``"pickle"``, a module for example."""

    def dumps(self, data: dict[str, Any], /) -> bytes: ...

    def loads(self, raw: bytes, /) -> dict[str, Any]: ...


class Serializer:
    """Data to bytes and back, in a format, with a signature before them if there are secrets.

    The signature tells that the bytes come from someone who knows a secret, so that who can only
    write to the store runs no code here. It does not tell whose session they were.

    :param keys: as :func:`signing_keys` makes them.
    """

    def __init__(
        self,
        dumps: Callable[[dict[str, Any]], bytes],
        loads: Callable[[bytes], dict[str, Any]],
        keys: Sequence[bytes] = (),
    ) -> None:
        self._dumps, self._loads, self._keys = dumps, loads, keys

    def dumps(self, data: dict[str, Any]) -> bytes:
        """The data as bytes.

        :raises TypeError: if the format cannot take them; names the key.
        """
        try:
            raw = self._dumps(data)
        # A format may raise anything, the more so pickle, which runs methods of the values.
        except Exception as error:
            raise TypeError(self._complaint(data, error)) from error
        if not isinstance(raw, bytes):
            raise TypeError(f"serializer must give bytes, gave {type(raw).__name__}")
        return _sign(raw, self._keys[0]) + raw if self._keys else raw

    def loads(self, raw: bytes) -> dict[str, Any]:
        """The data that became these bytes.

        :raises BrokenRecord: if they are not signed with any of the secrets, or cannot be read.
        """
        if self._keys:
            raw = self._verified(raw)
        try:
            data = self._loads(raw)
        except Exception as error:
            raise BrokenRecord(f"{type(error).__name__}: {error}") from error
        if not isinstance(data, dict):
            raise BrokenRecord(f"a {type(data).__name__} in place of a dict")
        return data

    def _verified(self, signed: bytes) -> bytes:
        signature, raw = signed[:SIGNATURE_LENGTH], signed[SIGNATURE_LENGTH:]
        for key in self._keys:
            if hmac.compare_digest(signature, _sign(raw, key)):
                return raw
        raise BrokenRecord("not signed with any of the secrets")

    def _complaint(self, data: dict[str, Any], error: Exception) -> str:
        for key, value in data.items():
            try:
                self._dumps({key: value})
            except Exception as reason:
                return f"the session's {key!r} cannot be stored: {reason}"
        return f"the session cannot be stored: {error}"


def serializer_of(format: str | Format, secret: Secrets = None) -> Serializer:
    """The serializer of a name and what signs.

    :param format: ``"json"``, ``"pickle"``, or an object with ``dumps`` and ``loads``.
    :param secret: of several, the first signs and all are accepted, so that one can be replaced
        without losing sessions.
    :raises ValueError: if there is no such format, or a secret is empty.
    """
    keys = signing_keys(secret)
    if isinstance(format, str):
        if format not in _FORMATS:
            known = " or ".join(repr(name) for name in _FORMATS)
            raise ValueError(
                f"serializer must be {known}, or an object with dumps and loads, got {format!r}"
            )
        return Serializer(*_FORMATS[format], keys)
    if not (callable(getattr(format, "dumps", None)) and callable(getattr(format, "loads", None))):
        raise TypeError(f"serializer must have dumps and loads, got {format!r}")
    return Serializer(format.dumps, format.loads, keys)


def serializer_of_shared(store: str, format: str | Format, secret: Secrets) -> Serializer:
    """As :func:`serializer_of`, for a store that others than this program may write to.

    Unsigned pickles are told about in the log, once for each kind of store.
    """
    serializer = serializer_of(format, secret)
    if secret is None and format in ("pickle", pickle):
        _warn_of_pickle(store)
    return serializer


@lru_cache
def _warn_of_pickle(store: str) -> None:
    logger.warning(
        "%s keeps pickled sessions unsigned: whoever can write to the store can run code here; "
        "give it a secret, or serializer='json'",
        store,
    )


def signing_keys(secret: Secrets) -> tuple[bytes, ...]:
    """The keys that secrets stand for, made so that they serve for nothing else.

    :raises ValueError: if there is an empty one, or a sequence without any.
    """
    if secret is None:
        return ()
    secrets = [secret] if isinstance(secret, (str, bytes)) else list(secret)
    for one in secrets:
        if not isinstance(one, (str, bytes)):
            raise TypeError(f"secret must be str or bytes, or several, got {type(one).__name__}")
    if not secrets or not all(secrets):
        raise ValueError("secret must not be empty")
    as_bytes = [one.encode() if isinstance(one, str) else one for one in secrets]
    return tuple(_sign(b"cptoolkit.sessions record", one) for one in as_bytes)


def _sign(raw: bytes, key: bytes) -> bytes:
    return hmac.digest(key, raw, "sha256")


def _to_json(data: dict[str, Any]) -> bytes:
    _require_str_keys(data)
    # RFC 8259, section 6: there are no numbers like NaN, and other readers would stumble.
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode("ascii")


def _require_str_keys(value: Any) -> None:
    """Refuse what json would turn into a str in silence, so that it came back as another key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"JSON has only str as keys, got {key!r}")
            _require_str_keys(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _require_str_keys(inner)


def _to_pickle(data: dict[str, Any]) -> bytes:
    return pickle.dumps(data, PICKLE_PROTOCOL)


_FORMATS: dict[str, tuple[Callable[[dict[str, Any]], bytes], Callable[[bytes], Any]]] = {
    "json": (_to_json, json.loads),
    "pickle": (_to_pickle, pickle.loads),
}
