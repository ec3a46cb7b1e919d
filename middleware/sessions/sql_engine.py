"""Connections to a database of sessions: with limits on waiting, and no more open than need be."""

from __future__ import annotations

import os
from functools import partial
from sqlite3 import OperationalError
from time import monotonic, sleep
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc


def engine_of(url: str | sa.URL, timeout: float) -> sa.Engine:
    """An engine that neither waits for ever nor tells what is stored in its errors.

    Each of its statements is a transaction, which saves asking for its begin and end.

    :param timeout: seconds.
    :raises ValueError: if the URL is none, or one of SQLite that could not be shared.
    """
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise ValueError(f"url must be one of a database: {error}") from error
    require_sharable(parsed)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, timeout)
    arguments: dict[str, Any] = {}
    if parsed.get_driver_name() in ("psycopg", "psycopg2"):
        milliseconds = max(1, round(timeout * 1000))
        arguments = {
            "connect_timeout": max(2, round(timeout)),  # the least that libpq takes
            "tcp_user_timeout": milliseconds,
            "options": f"-c statement_timeout={milliseconds}",
        }
    return _engine(parsed, timeout, arguments)


def _sqlite_engine(url: sa.URL, timeout: float) -> sa.Engine:
    path = url.database
    assert path is not None
    if path.startswith("file:"):  # a URI, with which come the wishes of someone who knows
        return _engine(url, timeout, {"timeout": timeout})
    path = os.path.abspath(path)  # for a daemon goes to another folder
    if not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"url must name a file in a folder that is there, got {path!r}")
    engine = _engine(url.set(database=path), timeout, {"timeout": timeout})
    event.listen(engine, "do_connect", lambda *_: _make_private(path))
    event.listen(engine, "connect", partial(_use_write_ahead_log, timeout))
    return engine


def _engine(url: sa.URL, timeout: float, arguments: dict[str, Any]) -> sa.Engine:
    return sa.create_engine(
        url,
        connect_args={name: arguments[name] for name in arguments if name not in url.query},
        pool_timeout=timeout,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
    )


def require_sharable(url: sa.URL) -> None:
    """Refuse an SQLite in memory, of which each connection has one of its own."""
    in_memory = ":memory:" in (url.database or ":memory:") or url.query.get("mode") == "memory"
    if url.get_backend_name() == "sqlite" and in_memory:
        raise ValueError("url must name a file: in memory, SQLite shares nothing with others")


def _make_private(path: str) -> None:
    """Make a file that only its owner can read, unless it is there."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _use_write_ahead_log(timeout: float, connection: Any, record: object) -> None:
    """Let readers not wait for a writer, and writers not for the disk (sqlite.org/wal.html)."""
    cursor = connection.cursor()
    last_try = monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except OperationalError:
            # While another process is changing the mode, SQLite does not wait by itself.
            if monotonic() > last_try:
                raise
            sleep(0.01)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
