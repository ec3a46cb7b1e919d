"""Sessions in an SQL database: a file of SQLite, PostgreSQL, or what else SQLAlchemy knows."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from cptoolkit.middleware.sessions.lease import LeaseStore
from cptoolkit.middleware.sessions.serializers import Format, Secrets, serializer_of_shared
from cptoolkit.middleware.sessions.store import Record, StoreUnavailable

try:
    import sqlalchemy as sa
    from sqlalchemy import exc

    from cptoolkit.middleware.sessions.sql_engine import engine_of, require_sharable
    from cptoolkit.middleware.sessions.sql_tables import Attempts, SessionTables
except ImportError as error:
    raise ImportError("SQLStore needs SQLAlchemy: pip install 'cptoolkit[sql]'") from error

CREATIONS = 5
"""Attempts to make the tables, which other processes may be making at the same time."""

Answer = TypeVar("Answer")


class SQLStore(LeaseStore):
    """Sessions in two tables of a database, which are made on first use.

    The second has the locks. Whether one has run out is told by the clock of a PostgreSQL, and
    by those of the processes elsewhere: machines that share such a database have to agree on
    the time to within a third of a lease.

    :param url: of the database, or an engine of SQLAlchemy's, which keeps its own timeouts.
    :param serializer: ``"json"``, ``"pickle"``, or an object with ``dumps`` and ``loads``.
    :param secret: signs what is stored; of several, the first signs and all are accepted.
    :param table: the name of the first table; the second is called that and ``_locks``.
    :param lock_lease: seconds after which the lock of a process that has died is free.
    :param server_timeout: seconds to wait for a connection, and for an answer, of SQLite and of
        PostgreSQL through psycopg. The latter counts them itself once it has got a question. Of
        other databases, the drivers have words for it to be put into the url.
    :raises ValueError: if an option cannot be used.
    """

    def __init__(
        self,
        url: str | sa.URL | sa.Engine,
        *,
        serializer: str | Format = "json",
        secret: Secrets = None,
        table: str = "cptoolkit_sessions",
        lock_lease: float = 60,
        server_timeout: float = 3,
    ) -> None:
        super().__init__(lock_lease, server_timeout)
        if not re.fullmatch(r"[A-Za-z_]\w{0,39}", table, re.ASCII):
            raise ValueError(
                f"table must be a name of up to 40 letters, digits and _, got {table!r}"
            )
        self._serializer = serializer_of_shared(type(self).__name__, serializer, secret)
        self._owns_engine = not isinstance(url, sa.Engine)
        engine = url if isinstance(url, sa.Engine) else engine_of(url, server_timeout)
        require_sharable(engine.url)
        # An INSERT has to tell whether it has done anything.
        self.engine = engine.execution_options(preserve_rowcount=True)
        if not self._owns_engine:
            self.engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._tables = SessionTables(table, engine.dialect.name, lock_lease)
        self._made_tables = False
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.engine.url!r})"

    def load(self, id: str) -> Record | None:
        query = self._tables.load
        row = self._ask(lambda connection: connection.execute(query, {"key": id}).one_or_none())
        if row is None or row.expires <= time.time():
            return None
        return self._serializer.loads(row.data), row.expires

    def save(self, id: str, data: dict[str, Any], expires: float) -> None:
        raw = self._serializer.dumps(data)
        self._change(*self._tables.save, key=id, new_data=raw, until=expires)

    def touch(self, id: str, expires: float) -> None:
        self._change(self._tables.touch, key=id, until=expires, now=time.time())

    def delete(self, id: str) -> None:
        self._change(self._tables.delete, key=id)

    def take_lease(self, id: str, token: str) -> bool:
        return self._change(*self._tables.take, key=id, holder=token, **self._tables.clock())

    def renew_lease(self, id: str, token: str) -> bool:
        return self._change(self._tables.renew, key=id, holder=token, **self._tables.clock())

    def end_lease(self, id: str, token: str) -> None:
        self._change(self._tables.end, key=id, holder=token)

    def clean_up(self, now: float) -> None:
        self._change(self._tables.sweep, now=now)
        self._change(self._tables.sweep_locks, **self._tables.clock())

    def __len__(self) -> int:
        return self._ask(lambda connection: connection.scalar(self._tables.count)) or 0

    def close(self) -> None:
        """Close the connections that are not in use; others are made when they are needed.

        Nothing is done to an engine that was given.
        """
        if self._owns_engine:
            self.engine.dispose()

    def _change(self, *attempts: sa.UpdateBase, **parameters: Any) -> bool:
        """Whether any of the statements has changed a row."""
        return self._ask(lambda connection: _first_change(connection, attempts, parameters))

    def _ask(self, question: Callable[[sa.Connection], Answer]) -> Answer:
        """Let the database answer.

        :raises StoreUnavailable: if it does not, or refuses.
        """
        if self._pid != os.getpid():
            self._leave_parent()
        try:
            if not self._made_tables:
                self._make_tables()
            try:
                with self.engine.connect() as connection:
                    return question(connection)
            except exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # The database has been restarted since, and the whole pool has been renewed now.
            with self.engine.connect() as connection:
                return question(connection)
        except (exc.SQLAlchemyError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise StoreUnavailable(f"{self.engine.dialect.name}: {reason}") from error

    def _make_tables(self) -> None:
        with self.engine.connect() as connection:
            for attempt in range(CREATIONS):
                try:
                    self._tables.metadata.create_all(connection)
                    break
                except exc.DBAPIError as error:
                    if error.connection_invalidated or attempt == CREATIONS - 1:
                        raise
        self._made_tables = True

    def _leave_parent(self) -> None:
        """Leave connections that were made before a fork to the process that has made them."""
        # Kept, for SQLite must not even close a connection of the parent's
        # (https://sqlite.org/howtocorrupt.html, section 2.6).
        self._pool_of_parent = self.engine.pool
        self.engine.dispose(close=False)
        self._pid = os.getpid()


def _first_change(connection: sa.Connection, attempts: Attempts, parameters: Any) -> bool:
    for attempt in attempts:
        try:
            if connection.execute(attempt, parameters).rowcount > 0:
                return True
        except exc.IntegrityError:
            pass
    return False
