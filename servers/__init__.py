"""The bundled HTTP server.

Names are imported from their modules when first asked for: what only wants to know the options need
not load the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cptoolkit.servers.errors import BadRequest as BadRequest
    from cptoolkit.servers.errors import BindError as BindError
    from cptoolkit.servers.errors import BodyTimeout as BodyTimeout
    from cptoolkit.servers.errors import BodyTooLarge as BodyTooLarge
    from cptoolkit.servers.errors import ClientError as ClientError
    from cptoolkit.servers.errors import Disconnected as Disconnected
    from cptoolkit.servers.errors import TLSError as TLSError
    from cptoolkit.servers.options import Options as Options
    from cptoolkit.servers.server import Server as Server
    from cptoolkit.servers.serving import serve as serve

_HOMES = {
    "BadRequest": "errors",
    "BindError": "errors",
    "BodyTimeout": "errors",
    "BodyTooLarge": "errors",
    "ClientError": "errors",
    "Disconnected": "errors",
    "Options": "options",
    "Server": "server",
    "TLSError": "errors",
    "serve": "serving",
}
"""The module of each name."""

if not TYPE_CHECKING:  # type checkers would take any name at all
    __all__ = [*_HOMES]

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
