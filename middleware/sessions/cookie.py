"""Sessions that live in the client's cookie, signed: the server keeps nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer, want_bytes

from cptoolkit.middleware.sessions.failures import logger
from cptoolkit.middleware.sessions.serializers import serializer_of
from cptoolkit.middleware.sessions.session import Session
from cptoolkit.middleware.sessions.store import BrokenRecord

LARGEST = 3800
"""The longest cookie value: clients have to take 4096 bytes for the cookie with its name and
attributes (RFC 6265, section 6.1), and many take no more."""

ID_KEY = "cptoolkit.id"
"""Where among the data the id travels."""

_is_token = re.compile(rf"[A-Za-z0-9_.-]{{1,{LARGEST}}}").fullmatch


def signer(secret: str | bytes | Sequence[str | bytes]) -> URLSafeTimedSerializer:
    """What signs, and checks signatures.

    :param secret: of several, the first signs, and all are accepted.
    :raises ValueError: if it is empty.
    """
    secrets = [secret] if isinstance(secret, (str, bytes)) else list(secret)
    if not secrets or not all(secrets):
        raise ValueError("secret must not be empty: who knows it can make any session")
    keys = [one.encode() if isinstance(one, str) else one for one in secrets]
    return URLSafeTimedSerializer(
        keys[::-1],  # the last one signs there
        salt=b"cptoolkit.session",
        serializer=serializer_of("json"),
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


class CookieSession(Session):
    """A session whose data are in its cookie, as JSON with a signature and the time.

    The client can read them, but not change them. As the server keeps nothing, there are no
    locks: of several requests at once the last answer wins. Nor can a session be called back: a
    copy of the cookie made before a logout is good until its :attr:`timeout` ends.
    """

    storage: URLSafeTimedSerializer

    def __init__(
        self,
        id: str | None = None,
        storage: URLSafeTimedSerializer | None = None,
        secret: str | bytes | Sequence[str | bytes] = "",
        **options: Any,
    ) -> None:
        super().__init__(id, **options)
        self.storage = signer(secret) if storage is None else storage
        self._token = id or ""

    @classmethod
    def opener(cls) -> Callable[..., URLSafeTimedSerializer]:
        """What makes what signs; its parameters are options of the sessions."""
        return signer

    is_id = staticmethod(_is_token)

    @property
    def cookie_value(self) -> str:
        return self._token

    def _load(self) -> tuple[dict[Any, Any], datetime] | None:
        try:
            data, signed = self.storage.loads(self._token, return_timestamp=True)
        except (BadData, BrokenRecord):
            return None
        self.originalid = self._id = data.pop(ID_KEY)
        return data, signed + timedelta(minutes=self.timeout)

    def _save(self, expiration_time: datetime) -> None:
        self._token = want_bytes(self.storage.dumps({**self._data, ID_KEY: self.id})).decode()
        if len(self._token) > LARGEST:
            raise ValueError(
                f"the session makes a cookie of {len(self._token)} bytes, and browsers take "
                f"{LARGEST}: keep less in it, or keep it in another storage"
            )

    def _delete(self) -> None:
        self._token = ""

    def _exists(self) -> bool:
        return False

    def close(self) -> None:
        if self.answered and self._changed_keys():
            logger.warning("what a streamed body has changed in the session is lost: it is sent")
        self._unlock()
