"""The tables that sessions have in a database, and all that is asked of them, ready to execute."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

UPSERTS: dict[str, Callable[[sa.Table], Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
"""The INSERT that has ON CONFLICT DO UPDATE, for the dialects that have one."""

CLOCKS: dict[str, sa.ColumnElement[float]] = {
    "postgresql": sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
}
"""Seconds since the epoch by the clock of the database, for the dialects that are asked for it."""

Attempts = tuple[sa.UpdateBase, ...]
"""Statements of which the first that changes a row has done it all. A row that one of them finds
against the rules is there already."""

KEY: sa.BindParameter[str] = sa.bindparam("key")
DATA: sa.BindParameter[bytes] = sa.bindparam("new_data", type_=sa.LargeBinary)
EXPIRES: sa.BindParameter[float] = sa.bindparam("until", type_=sa.Double)
TOKEN: sa.BindParameter[str] = sa.bindparam("holder")
NOW: sa.BindParameter[float] = sa.bindparam("now", type_=sa.Double)


class SessionTables:
    """One table of sessions and one of their locks.

    :param name: of the first; the second is called that and ``_locks``.
    :param dialect: SQLAlchemy's name of the database.
    :param lock_lease: seconds.
    """

    def __init__(self, name: str, dialect: str, lock_lease: float) -> None:
        self.metadata = sa.MetaData()
        sessions = sa.Table(
            name,
            self.metadata,
            sa.Column("id", sa.String(128), primary_key=True),
            sa.Column("data", sa.LargeBinary, nullable=False),
            sa.Column("expires", sa.Double, nullable=False, index=True),
        )
        locks = sa.Table(
            f"{name}_locks",
            self.metadata,
            sa.Column("id", sa.String(128), primary_key=True),
            sa.Column("token", sa.String(32), nullable=False),
            sa.Column("expires", sa.Double, nullable=False),
        )
        self._has_clock = dialect in CLOCKS
        now: sa.ColumnElement[float] = CLOCKS.get(dialect, NOW)
        lease = now + lock_lease
        upsert = UPSERTS.get(dialect)

        here = sessions.c.id == KEY
        self.load = sa.select(sessions.c.data, sessions.c.expires).where(here)
        self.count = sa.select(sa.func.count()).select_from(sessions)
        self.save = _put(upsert, sessions, {"data": DATA, "expires": EXPIRES})
        self.touch = (
            sa.update(sessions).where(here, sessions.c.expires > NOW).values(expires=EXPIRES)
        )
        self.delete = sa.delete(sessions).where(here)
        self.sweep = sa.delete(sessions).where(sessions.c.expires <= NOW)

        ours = (locks.c.id == KEY) & (locks.c.token == TOKEN)
        # It may be ours already, if the connection broke and the statement came twice.
        free = (locks.c.expires <= now) | (locks.c.token == TOKEN)
        self.take = _put(upsert, locks, {"token": TOKEN, "expires": lease}, free)
        self.renew = sa.update(locks).where(ours).values(expires=lease)
        self.end = sa.delete(locks).where(ours)
        self.sweep_locks = sa.delete(locks).where(locks.c.expires <= now)

    def clock(self) -> dict[str, float]:
        """What the statements about locks need to know of the time."""
        return {} if self._has_clock else {"now": time.time()}


def _put(
    upsert: Callable[[sa.Table], Any] | None,
    table: sa.Table,
    values: dict[str, sa.ColumnElement[Any]],
    condition: sa.ColumnElement[bool] | None = None,
) -> Attempts:
    """Make a row, or change the one that is there.

    :param condition: what has to hold for the one that is there.
    """
    if upsert is not None:
        insert = upsert(table).values(id=KEY, **values)
        return (insert.on_conflict_do_update(index_elements=["id"], set_=values, where=condition),)
    there = [table.c.id == KEY] if condition is None else [table.c.id == KEY, condition]
    update = sa.update(table).where(*there).values(values)
    # Once more, for another may have made the row after it was not there.
    return update, sa.insert(table).values(id=KEY, **values), update
