"""The bundled HTTP server."""

from __future__ import annotations

from cptoolkit.servers.errors import (
    BadRequest,
    BindError,
    BodyTimeout,
    BodyTooLarge,
    ClientError,
    Disconnected,
)
from cptoolkit.servers.options import Options
from cptoolkit.servers.server import Server, serve

__all__ = [
    "BadRequest",
    "BindError",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientError",
    "Disconnected",
    "Options",
    "Server",
    "serve",
]
