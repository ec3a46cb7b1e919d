"""The options of the storage classes, for type checkers.

They stand in the constructors of the stores, which no type can put together. A test compares the
names and types here with those.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.sessions.serializers import Format, Secrets

if TYPE_CHECKING:
    import sqlalchemy as sa

OF_THE_STORE: Any = None
"""The default, which each store has for itself."""


@dataclass(kw_only=True, eq=False)
class StorageOptions(Layer):
    """What the session layer takes beside its own options; see the stores for what they mean."""

    storage_path: str | os.PathLike[str] = OF_THE_STORE
    """file: the folder."""
    servers: str | Sequence[str] = OF_THE_STORE
    """memcached: the servers as host:port."""
    url: str | sa.URL | sa.Engine = OF_THE_STORE
    """redis, sql: the database."""
    table: str = OF_THE_STORE
    """sql: the name of the table."""
    serializer: str | Format = OF_THE_STORE
    """All but ram and cookie: what makes bytes of the data."""
    secret: Secrets = OF_THE_STORE
    """All but ram: what signs them."""
    prefix: str = OF_THE_STORE
    """file, memcached, redis: what keys begin with."""
    lock_suffix: str = OF_THE_STORE
    """file: what the names of locks end in."""
    lock_lease: float = OF_THE_STORE
    """memcached, redis, sql: seconds after which the lock of a dead process is free."""
    server_timeout: float = OF_THE_STORE
    """memcached, redis, sql: seconds to wait for the server."""
