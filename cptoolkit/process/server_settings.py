"""What can be set about a server on the bus: the options of the bundled one, under their names."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any

from cptoolkit.process.adapter import CannotServe, ServerAdapter, url
from cptoolkit.servers.options import Options

SETTINGS = {"host": "socket_host", "port": "socket_port"}
"""Options of the bundled server that have another name as a setting here."""

_DEFAULTS = {"max_request_header_size": 500 * 1024}
"""Options that have another default here, which is CherryPy's."""


class ServerSettings(ServerAdapter):
    """The settings of a server, ``server.<name>`` in config.

    Every option of :class:`cptoolkit.servers.Options` is an attribute of the same name, but for
    ``host`` and ``port``, which are ``socket_host`` and ``socket_port``, and ``socket``: sockets
    that listen already come from systemd. None leaves the choice to the server.
    """

    app: Callable[..., Any] | None = None
    """The WSGI application that it serves."""

    socket_port: int | None = 8080
    """TCP port; 0 takes a free one, see ``bound_addr``."""

    socket_file: str | None

    wsgi_version: tuple[int, int] = (1, 0)
    """Version of WSGI; there is but this one (PEP 3333)."""

    instance: Any = None
    """A server to use instead of the bundled one, or the dotted name of something that makes one:
    it is called with this object. Most of the other attributes then have no meaning."""

    if TYPE_CHECKING:
        # The options, which are declared in one place.
        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    _socket_host: str | None = "127.0.0.1"

    @property
    def socket_host(self) -> str | None:
        """Address to listen on: ``0.0.0.0`` is every IPv4 interface, ``::`` IPv6's too; None is
        any.

        :raises ValueError: on assignment of an empty string, which has meant many things.
        """
        return self._socket_host

    @socket_host.setter
    def socket_host(self, value: str | None) -> None:
        if value == "":
            raise ValueError(
                "socket_host must not be empty: use '0.0.0.0' to listen on every interface"
            )
        self._socket_host = value

    @property
    def bind_addr(self) -> Any:
        """Where to listen: (host, port), the path of a Unix socket, or None for an open question.

        :raises ValueError: on assignment of anything else.
        """
        if self.socket_file:
            return self.socket_file
        if self.socket_host is None and self.socket_port is None:
            return None
        return (self.socket_host, self.socket_port)

    @bind_addr.setter
    def bind_addr(self, value: Any) -> None:
        if isinstance(value, str):
            self.socket_file = value
        elif value is None:
            self.socket_file = self.socket_host = self.socket_port = None
        elif isinstance(value, tuple) and len(value) == 2:
            self.socket_file = None
            self.socket_host, self.socket_port = value
        else:
            raise ValueError(
                "bind_addr must be a (host, port) tuple for TCP or a path (str) for a Unix socket, "
                f"got {value!r}"
            )

    @property
    def scheme(self) -> str:
        """What is spoken; ``https`` if the server encrypts, as far as can be known."""
        if self.protocol not in (None, "http"):
            return str(self.protocol)
        encrypts = self.ssl_certificate or self.ssl_context is not None
        return "https" if encrypts else super().scheme

    def base(self) -> str:
        """The URL at which this machine reaches the server, or the path of its Unix socket."""
        if self.socket_file:
            return self.socket_file
        host, port = self.socket_host, self.socket_port
        if self.running and isinstance(self.bound_addr, tuple):
            port = self.bound_addr[1]
        if host in (None, "0.0.0.0", "::"):
            # A URL has to name one machine, and "every interface" is none.
            host = socket.gethostname()
        return url(self.scheme, host or "", port or 0)

    def options(self) -> Options:
        """The settings, as options of the bundled server.

        :raises CannotServe: if they make no sense.
        """
        given = {
            option.name: value
            for option in fields(Options)
            if (value := getattr(self, setting(option.name), None)) is not None
        }
        if self.socket_host is None:
            given["host"] = ""
        try:
            return Options(**given)
        except (TypeError, ValueError) as error:
            raise wrong(error) from error


def wrong(error: Exception) -> CannotServe:
    """What to tell of a value that an option of the bundled server cannot have."""
    option, blank, text = str(error).partition(" ")
    return CannotServe(f"Wrong setting of the server: server.{setting(option)}{blank}{text}")


def setting(option: str) -> str:
    """The name that an option of the bundled server has as a setting here."""
    return SETTINGS.get(option, option)


def _default(option: Field[Any]) -> Any:
    # What is off unless given reads as None: programs compare server.ssl_certificate with it.
    absent = option.default is MISSING or option.default == ""
    return None if absent else _DEFAULTS.get(option.name, option.default)


for _option in fields(Options):
    if _option.name not in (*SETTINGS, "socket"):
        setattr(ServerSettings, _option.name, _default(_option))
