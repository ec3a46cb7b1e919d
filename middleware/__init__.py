"""WSGI components, each usable alone around any WSGI application.

They are imported from their modules when first asked for, so that who takes one pays for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptoolkit.middleware.lazy import exports

if TYPE_CHECKING:
    from cptoolkit.middleware.accept import Accept as Accept
    from cptoolkit.middleware.at import At as At
    from cptoolkit.middleware.auth.basic import BasicAuth as BasicAuth
    from cptoolkit.middleware.auth.digest import DigestAuth as DigestAuth
    from cptoolkit.middleware.auth.session_auth import SessionAuth as SessionAuth
    from cptoolkit.middleware.body_limit import BodyLimit as BodyLimit
    from cptoolkit.middleware.caching.cache import Cache as Cache
    from cptoolkit.middleware.caching.expires import Expires as Expires
    from cptoolkit.middleware.compression.compress import Compress as Compress
    from cptoolkit.middleware.compression.compress import Gzip as Gzip
    from cptoolkit.middleware.cors import CORS as CORS
    from cptoolkit.middleware.errors.error_pages import ErrorPages as ErrorPages
    from cptoolkit.middleware.etags import ETags as ETags
    from cptoolkit.middleware.files.static import StaticDir as StaticDir
    from cptoolkit.middleware.files.static import StaticFile as StaticFile
    from cptoolkit.middleware.forwarding.proxy import Proxy as Proxy
    from cptoolkit.middleware.ignore_headers import IgnoreHeaders as IgnoreHeaders
    from cptoolkit.middleware.layer import Layer as Layer
    from cptoolkit.middleware.observing.access_log import AccessLog as AccessLog
    from cptoolkit.middleware.observing.stats import Stats as Stats
    from cptoolkit.middleware.rate_limit import RateLimit as RateLimit
    from cptoolkit.middleware.referer import Referer as Referer
    from cptoolkit.middleware.request_id import RequestID as RequestID
    from cptoolkit.middleware.request_id import RequestIDFilter as RequestIDFilter
    from cptoolkit.middleware.response_headers import ResponseHeaders as ResponseHeaders
    from cptoolkit.middleware.secure_headers import SecureHeaders as SecureHeaders
    from cptoolkit.middleware.sessions.layer import Sessions as Sessions
    from cptoolkit.middleware.timeout import Timeout as Timeout
    from cptoolkit.middleware.virtual_host import VirtualHost as VirtualHost
    from cptoolkit.middleware.websocket import WebSocket as WebSocket

HOMES = {
    "Accept": "accept",
    "AccessLog": "observing.access_log",
    "At": "at",
    "BasicAuth": "auth.basic",
    "BodyLimit": "body_limit",
    "CORS": "cors",
    "Cache": "caching.cache",
    "Compress": "compression.compress",
    "DigestAuth": "auth.digest",
    "ETags": "etags",
    "ErrorPages": "errors.error_pages",
    "Expires": "caching.expires",
    "Gzip": "compression.compress",
    "IgnoreHeaders": "ignore_headers",
    "Layer": "layer",
    "Proxy": "forwarding.proxy",
    "RateLimit": "rate_limit",
    "Referer": "referer",
    "RequestID": "request_id",
    "RequestIDFilter": "request_id",
    "ResponseHeaders": "response_headers",
    "SecureHeaders": "secure_headers",
    "SessionAuth": "auth.session_auth",
    "Sessions": "sessions.layer",
    "StaticDir": "files.static",
    "StaticFile": "files.static",
    "Stats": "observing.stats",
    "Timeout": "timeout",
    "VirtualHost": "virtual_host",
    "WebSocket": "websocket",
}
"""The module of each component."""

if not TYPE_CHECKING:  # type checkers would take any name at all
    __all__ = [*HOMES]
    __getattr__ = exports(__name__, HOMES)
