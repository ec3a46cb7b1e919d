"""Sessions in Redis: shared by processes and machines, and expired by Redis itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from cptoolkit.middleware.sessions.lease import LeaseStore
from cptoolkit.middleware.sessions.serializers import Format, Secrets, serializer_of_shared
from cptoolkit.middleware.sessions.store import Record, StoreUnavailable

try:
    from redis import Redis, RedisError
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.retry import Retry
except ImportError as error:
    raise ImportError("RedisStore needs redis: pip install 'cptoolkit[redis]'") from error

TAKE = """
if redis.call("set", KEYS[1], ARGV[1], "NX", "PX", ARGV[2]) then return 1 end
return redis.call("get", KEYS[1]) == ARGV[1]
"""
"""Take a lease. It may be our own already, if the connection broke and the command came twice."""

RENEW = """
return redis.call("get", KEYS[1]) == ARGV[1] and redis.call("pexpire", KEYS[1], ARGV[2])
"""

END = """
return redis.call("get", KEYS[1]) == ARGV[1] and redis.call("del", KEYS[1])
"""

Answer = TypeVar("Answer")


class RedisStore(LeaseStore):
    """Sessions in a Redis, or in what speaks its protocol.

    :param url: as redis-py takes it: ``redis://[user:password@]host:port/database``,
        ``rediss://`` for TLS, ``unix://`` for a socket, and its options in the query.
    :param serializer: ``"json"``, ``"pickle"``, or an object with ``dumps`` and ``loads``.
    :param secret: signs what is stored; of several, the first signs and all are accepted.
    :param prefix: what all keys begin with.
    :param lock_lease: seconds after which the lock of a process that has died is free.
    :param server_timeout: seconds to wait for a connection, and for an answer.
    :raises ValueError: if an option cannot be used.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        *,
        serializer: str | Format = "json",
        secret: Secrets = None,
        prefix: str = "cptoolkit:session:",
        lock_lease: float = 60,
        server_timeout: float = 3,
    ) -> None:
        super().__init__(lock_lease, server_timeout)
        if not re.fullmatch(r"[\w:.-]*", prefix, re.ASCII):
            raise ValueError(
                f"prefix must be of letters, digits and the characters _:.-, got {prefix!r}"
            )
        self._serializer = serializer_of_shared(type(self).__name__, serializer, secret)
        self._prefix = prefix
        # It looks after forks itself, and throws connections away that a restart has cut.
        self._redis = Redis.from_url(
            url,
            socket_timeout=server_timeout,
            socket_connect_timeout=server_timeout,
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._prefix!r})"

    def load(self, id: str) -> Record | None:
        key = self._key(id)

        def get(redis: Redis) -> list[Any]:
            with redis.pipeline() as both:  # a transaction, so that it does not expire between
                both.get(key)
                both.pttl(key)
                answers: list[Any] = both.execute()
            return answers

        stored, left = self._ask(get)
        if stored is None:
            return None
        return self._serializer.loads(stored), time.time() + left / 1000

    def save(self, id: str, data: dict[str, Any], expires: float) -> None:
        raw, left = self._serializer.dumps(data), _milliseconds_to(expires)
        if left > 0:
            self._ask(lambda redis: redis.set(self._key(id), raw, px=left))
        else:
            self.delete(id)

    def touch(self, id: str, expires: float) -> None:
        # With a time that is over this deletes.
        self._ask(lambda redis: redis.pexpire(self._key(id), _milliseconds_to(expires)))

    def delete(self, id: str) -> None:
        self._ask(lambda redis: redis.delete(self._key(id)))

    def take_lease(self, id: str, token: str) -> bool:
        return self._run(TAKE, id, token, round(self.lock_lease * 1000))

    def renew_lease(self, id: str, token: str) -> bool:
        return self._run(RENEW, id, token, round(self.lock_lease * 1000))

    def end_lease(self, id: str, token: str) -> None:
        self._run(END, id, token)

    def __len__(self) -> int:
        """How many sessions there are. Redis is asked for all its keys, a thousand at a time."""
        pattern = f"{self._prefix}*"
        keys = self._ask(lambda redis: set(redis.scan_iter(pattern, 1000)))
        return sum(not key.endswith(b":lock") for key in keys)

    def close(self) -> None:
        """Close all connections that nobody uses; others are made when they are needed."""
        # A thread whose connection is closed meanwhile fails with anything but a RedisError.
        self._redis.connection_pool.disconnect(inuse_connections=False)

    def _key(self, id: str) -> str:
        return self._prefix + id

    def _run(self, script: str, id: str, *arguments: str | int) -> bool:
        key = f"{self._prefix}{id}:lock"
        return bool(self._ask(lambda redis: redis.eval(script, 1, key, *arguments)))

    def _ask(self, question: Callable[[Redis], Answer]) -> Answer:
        """Let Redis answer.

        :raises StoreUnavailable: if it does not, or refuses.
        """
        try:
            return question(self._redis)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"Redis: {error}") from error


def _milliseconds_to(expires: float) -> int:
    return round((expires - time.time()) * 1000)
