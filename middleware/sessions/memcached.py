"""Sessions in memcached: shared by processes and machines, lost when it restarts."""

from __future__ import annotations

import math
import os
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from cptoolkit.middleware.sessions.lease import LeaseStore
from cptoolkit.middleware.sessions.serializers import Format, Secrets, serializer_of_shared
from cptoolkit.middleware.sessions.store import BrokenRecord, Record, StoreUnavailable

try:
    from pymemcache.client.base import (  # type: ignore[import-untyped]
        Client,
        normalize_server_spec,
    )
    from pymemcache.client.rendezvous import RendezvousHash  # type: ignore[import-untyped]
    from pymemcache.exceptions import (  # type: ignore[import-untyped]
        MemcacheError,
        MemcacheUnexpectedCloseError,
    )
except ImportError as error:
    raise ImportError(
        "MemcachedStore needs pymemcache: pip install 'cptoolkit[memcached]'"
    ) from error

LONGEST_RELATIVE = 60 * 60 * 24 * 30
"""Seconds; a greater number is a time since the epoch to memcached (its doc/protocol.txt)."""

ALREADY_OVER = -1
"""The expiry with which memcached keeps nothing (its doc/protocol.txt)."""

EXPIRES_LENGTH = 17
"""Bytes of the time that stands before the data, for memcached does not give its own back."""

CUT = (ConnectionError, MemcacheUnexpectedCloseError)
"""What a connection that the server has closed gives."""


class MemcachedStore(LeaseStore):
    """Sessions in one or more memcached servers.

    With several, each session lives on the one that its id chooses, and is unavailable while that
    is. It does not move to another meanwhile: there it could be locked a second time.

    :param servers: ``"host:port"`` or ``"unix:/path"``, or several.
    :param serializer: ``"pickle"``, ``"json"``, or an object with ``dumps`` and ``loads``.
    :param secret: signs what is stored; of several, the first signs and all are accepted.
    :param prefix: what all keys begin with.
    :param lock_lease: seconds after which the lock of a process that has died is free.
    :param server_timeout: seconds to wait for a connection, and for an answer.
    :raises ValueError: if an option cannot be used.
    """

    def __init__(
        self,
        servers: str | Sequence[str] = ("127.0.0.1:11211",),
        *,
        serializer: str | Format = "pickle",
        secret: Secrets = None,
        prefix: str = "cptoolkit:session:",
        lock_lease: float = 60,
        server_timeout: float = 3,
    ) -> None:
        super().__init__(lock_lease, server_timeout)
        self.servers = [servers] if isinstance(servers, str) else list(servers)
        if not self.servers:
            raise ValueError("servers must name a memcached at least, got none")
        # With an id of 128 and ":lock" a key stays below the 250 bytes that memcached takes.
        if not re.fullmatch(r"[!-~]{0,100}", prefix):
            raise ValueError(f"prefix must be up to 100 visible ASCII characters, got {prefix!r}")
        self._addresses = {server: normalize_server_spec(server) for server in self.servers}
        self._choice = RendezvousHash(self.servers)
        self._serializer = serializer_of_shared(type(self).__name__, serializer, secret)
        self._prefix = prefix
        self._forget_connections()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.servers!r})"

    def load(self, id: str) -> Record | None:
        stored = self._ask(id, "get", self._key(id))
        if stored is None:
            return None
        expires = _parse_expires(stored)
        if expires <= time.time():
            return None
        return self._serializer.loads(stored[EXPIRES_LENGTH:]), expires

    def save(self, id: str, data: dict[str, Any], expires: float) -> None:
        """Keep data until a time.

        :raises ValueError: if they are more than the server takes in one item.
        """
        raw = self._serializer.dumps(data)
        try:
            self._ask(id, "set", self._key(id), _dump_expires(expires) + raw, _life(expires))
        except StoreUnavailable as error:
            if "too large" in str(error.__cause__):
                raise ValueError(
                    f"a session of {len(raw)} bytes is more than memcached takes (its option -I)"
                ) from error.__cause__
            raise

    def touch(self, id: str, expires: float) -> None:
        key = self._key(id)
        stored, version = self._ask(id, "gets", key)
        if stored is None or _is_over(stored):
            return
        # If it has changed meanwhile, then it was saved, and expires later anyway.
        value = _dump_expires(expires) + stored[EXPIRES_LENGTH:]
        self._ask(id, "cas", key, value, version, _life(expires))

    def delete(self, id: str) -> None:
        self._ask(id, "delete", self._key(id))

    def take_lease(self, id: str, token: str) -> bool:
        key = self._lock_key(id)
        if self._ask(id, "add", key, token, self._lease()):
            return True
        # It may be our own, if the connection broke after it was left, and it was left again.
        return bool(self._ask(id, "get", key) == token.encode())

    def renew_lease(self, id: str, token: str) -> bool:
        return self._exchange_lease(id, token, self._lease())

    def end_lease(self, id: str, token: str) -> None:
        # There is no command that deletes a value only as long as it is the one that was seen.
        self._exchange_lease(id, token, ALREADY_OVER)

    def _exchange_lease(self, id: str, token: str, life: int) -> bool:
        key = self._lock_key(id)
        while True:
            found, version = self._ask(id, "gets", key)
            if found != token.encode():
                return False
            if self._ask(id, "cas", key, token, version, life):
                return True

    def _lease(self) -> int:
        # Its clock ticks once a second: a life of 1 could be over at once.
        return math.ceil(self.lock_lease) + 1

    def __len__(self) -> int:
        raise NotImplementedError("memcached cannot tell which of its items are sessions")

    def close(self) -> None:
        """Close the connections that are not in use; others are made when they are needed."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):  # else an option has been refused
            self.close()

    def _key(self, id: str) -> str:
        return self._prefix + id

    def _lock_key(self, id: str) -> str:
        return f"{self._prefix}{id}:lock"

    def _forget_connections(self) -> None:
        self._idle: dict[str, deque[Any]] = {server: deque() for server in self.servers}
        self._pid = os.getpid()

    def _ask(self, id: str, command: str, *arguments: Any) -> Any:
        """Give a command to the server of a session.

        :raises StoreUnavailable: if it does not answer, or refuses.
        """
        if self._pid != os.getpid():
            self.close()  # they are the parent's; this closes our ends only
            self._forget_connections()
        server: Any = self._choice.get_node(id)
        idle = self._idle[server]
        while True:
            try:
                client, used_before = idle.pop(), True
            except IndexError:
                client, used_before = self._client(server), False
            try:
                answer = getattr(client, command)(*arguments)
            except BaseException as error:
                client.close()  # whatever it was, an answer may still be on its way here
                if used_before and isinstance(error, CUT):
                    continue  # the server has been restarted since
                if not isinstance(error, (OSError, MemcacheError)):
                    raise
                raise StoreUnavailable(f"memcached at {server}: {error}") from error
            idle.append(client)
            return answer

    def _client(self, server: str) -> Any:
        return Client(
            self._addresses[server],
            connect_timeout=self.server_timeout,
            timeout=self.server_timeout,
            no_delay=True,
            default_noreply=False,
        )


def _dump_expires(expires: float) -> bytes:
    return b"%0*.3f" % (EXPIRES_LENGTH, expires)


def _parse_expires(stored: bytes) -> float:
    try:
        return float(stored[:EXPIRES_LENGTH])
    except ValueError as error:
        raise BrokenRecord("it does not begin with a time") from error


def _is_over(stored: bytes) -> bool:
    try:
        return _parse_expires(stored) <= time.time()
    except BrokenRecord:
        return True


def _life(expires: float) -> int:
    """How long memcached is to keep an item, in its own terms."""
    left = expires - time.time()
    if left <= 0:
        return ALREADY_OVER
    # At least as long: load() is the one that is exact.
    return math.ceil(left) + 1 if left < LONGEST_RELATIVE - 1 else math.ceil(expires)
