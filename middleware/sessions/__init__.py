"""Sessions: what a server remembers of each of its users, around any WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptoolkit.middleware.lazy import exports

if TYPE_CHECKING:
    from cptoolkit.middleware.sessions.cookie import CookieSession as CookieSession
    from cptoolkit.middleware.sessions.failures import SessionUnavailable as SessionUnavailable
    from cptoolkit.middleware.sessions.files import FileStore as FileStore
    from cptoolkit.middleware.sessions.layer import Sessions as Sessions
    from cptoolkit.middleware.sessions.memcached import MemcachedStore as MemcachedStore
    from cptoolkit.middleware.sessions.ram import RamStore as RamStore
    from cptoolkit.middleware.sessions.redis import RedisStore as RedisStore
    from cptoolkit.middleware.sessions.session import Session as Session
    from cptoolkit.middleware.sessions.sql import SQLStore as SQLStore
    from cptoolkit.middleware.sessions.stored import FileSession as FileSession
    from cptoolkit.middleware.sessions.stored import MemcachedSession as MemcachedSession
    from cptoolkit.middleware.sessions.stored import RamSession as RamSession
    from cptoolkit.middleware.sessions.stored import RedisSession as RedisSession
    from cptoolkit.middleware.sessions.stored import SQLSession as SQLSession

HOMES = {
    "CookieSession": "cookie",
    "FileSession": "stored",
    "FileStore": "files",
    "MemcachedSession": "stored",
    "MemcachedStore": "memcached",
    "RamSession": "stored",
    "RamStore": "ram",
    "RedisSession": "stored",
    "RedisStore": "redis",
    "SQLSession": "stored",
    "SQLStore": "sql",
    "Session": "session",
    "SessionUnavailable": "failures",
    "Sessions": "layer",
}
"""The module of each name."""

if not TYPE_CHECKING:  # type checkers would take any name at all
    __all__ = [*HOMES]
    __getattr__ = exports(__name__, HOMES)
