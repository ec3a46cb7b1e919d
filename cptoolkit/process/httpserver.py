"""The bundled HTTP server as a service of the bus (reference, chapter 6.3.1, ``server``)."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from cptoolkit.process import handover, wspbus
from cptoolkit.process.activation import passed_descriptors
from cptoolkit.process.adapter import CannotServe
from cptoolkit.process.prefork import divide
from cptoolkit.process.server_settings import ServerSettings, wrong
from cptoolkit.servers.errors import TLSError
from cptoolkit.servers.options import Options
from cptoolkit.servers.sockets import Listeners, SocketFile, check_listening, listen

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus
    from cptoolkit.servers.handshake import Library

_descriptors_taken: set[int] = set()  # each of systemd's sockets serves one Server


class Server(ServerSettings):
    """The bundled server, made from its settings each time it starts.

    On :meth:`restart`, and when the bus restarts, its sockets go on listening: connections wait for
    its successor.
    """

    def __init__(self, bus: Bus | None = None, app: Callable[..., Any] | None = None) -> None:
        """Make a server that has yet to be subscribed.

        :param bus: None is the bus of this process.
        :param app: see :attr:`app`.
        """
        self._built: Any = None
        self._descriptors: list[int] = []
        self._share: Listeners | None = None
        self._library: Library | None = None  # of the parent of several processes
        self._divided = False
        self._restarting = False
        self._name = ""  # of the address that it listens on, whatever is asked for meanwhile
        super().__init__(wspbus.bus if bus is None else bus, None, ("127.0.0.1", 8080))
        if app is not None:
            self.app = app

    # -- the server -------------------------------------------------------------------------------

    def httpserver_from_self(self, httpserver: Any = None) -> tuple[Any, Any]:
        """Make the server that the attributes ask for.

        :param httpserver: see :attr:`instance`, which it overrides.
        :returns: the server and the address to bind.
        :raises CannotServe: if the settings make no sense.
        """
        chosen = self.instance if httpserver is None else httpserver
        if isinstance(chosen, str):
            chosen = _named(chosen)(self)
        return (self._bundled() if chosen is None else chosen), self.bind_addr

    def _bundled(self) -> Any:
        from cptoolkit.servers import Server as BundledServer  # importing the bus stays cheap

        if self.app is None:
            raise CannotServe("There is no application to serve: set the server's app.")
        if self.bind_addr is None:
            raise CannotServe("There is no address to serve on: set server.socket_port.")
        if self.wsgi_version != (1, 0):
            raise CannotServe(f"server.wsgi_version must be (1, 0), got {self.wsgi_version!r}")
        options = self.options()
        try:
            return BundledServer(
                self.app, **{one.name: getattr(options, one.name) for one in fields(Options)}
            )
        except ValueError as error:  # what only the server itself can judge
            raise wrong(error) from error

    # -- its life ---------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Start and stop with the bus, in several processes if :attr:`processes` says so."""
        super().subscribe()
        self.bus.subscribe("start", self.fork)
        self.bus.subscribe("start", self.tidy)

    def unsubscribe(self) -> None:
        """Start and stop with the bus no longer."""
        super().unsubscribe()
        self.bus.unsubscribe("start", self.fork)
        self.bus.unsubscribe("start", self.tidy)

    def fork(self) -> None:
        """Go on in several processes if this server is to have them, with all servers of the bus.

        :raises StartFailure: if an address cannot be had.
        """
        if not self._divided and self.processes not in (None, 1):
            divide(self.bus, self._servers_of_bus())

    # Before anything else: threads and connections do not survive it.
    fork.priority = 1  # type: ignore[attr-defined]

    def tidy(self) -> None:
        """Close what the program has listened on before it restarted, and does no longer."""
        handover.discard()

    tidy.priority = 90  # type: ignore[attr-defined]

    def bind(self) -> bool:
        """Make the server, and take its address now, for :meth:`start` to serve on.

        :returns: whether it is taken; foreign servers may only bind and serve at once.
        :raises CannotServe: if its address cannot be had, or the settings make no sense.
        """
        self._make()
        return super().bind()

    def _make(self) -> None:
        if not self.running and not self._bound and self.httpserver in (None, self._built):
            self.httpserver, bind_addr = self.httpserver_from_self()
            if bind_addr != self.bind_addr:  # a subclass has chosen another one
                self.bind_addr = bind_addr
            self._built = self.httpserver

    def start(self) -> None:
        """Start the server, and return once it accepts connections.

        :raises CannotServe: if its address cannot be had, or the settings make no sense.
        """
        self._make()
        super().start()

    start.priority = 75  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Stop the server: it lets requests under way finish, for ``shutdown_timeout`` seconds."""
        if self.running and (self._restarting or self.bus.execv) and not self._own_descriptors():
            detach = getattr(self.httpserver, "detach", None)
            listeners = detach() if detach is not None else None
            if listeners is not None:
                self.leave(listeners)
        super().stop()

    stop.priority = 25  # type: ignore[attr-defined]

    def restart(self) -> None:
        """Stop and start, and refuse no connection meanwhile if the address stays the same."""
        self._restarting = True
        try:
            super().restart()
        finally:
            self._restarting = False
            handover.discard()

    def quickstart(self, server: Any = None) -> None:
        """Serve at once, and until the bus stops.

        :param server: taken as :attr:`instance` if given.
        """
        if server is not None:
            self.instance = server
        self.subscribe()
        self.start()

    # -- its sockets ------------------------------------------------------------------------------

    def open(self, processes: int) -> Listeners:
        """Listen, before the server is made and for that many processes.

        :raises CannotServe: if the address cannot be had, or the server is a foreign one.
        """
        chosen = self.httpserver if self.instance is None else self.instance
        if isinstance(chosen, str):
            chosen = _named(chosen)
        if chosen is not None and not hasattr(chosen, "adopt"):
            raise CannotServe(f"server.processes needs the bundled server, but it is {chosen!r}.")
        self.processes = processes
        from cptoolkit.servers.server import tls_library  # importing the bus stays cheap

        try:
            if chosen is None:
                self._library = tls_library(self.options(), self.bus.log)
            return self._listening() or listen(self.options())
        except OSError as error:
            raise self._failure(error) from error

    def share(self, listeners: Listeners) -> None:
        """Serve on these sockets, as one of several processes."""
        self._share = listeners
        self._divided = True

    def leave(self, listeners: Listeners) -> None:
        """Leave sockets to the successor of this server, if that is to have the same address."""
        handover.leave(self._name, listeners.sockets)

    def _bind(self) -> None:
        if hasattr(self.httpserver, "adopt"):
            listeners, self._share = self._share or self._listening(), None
            library, self._library = self._library, None
            if listeners is not None and library is not None:
                self.httpserver.adopt(listeners, library)
            elif listeners is not None:
                self.httpserver.adopt(listeners)
            elif self.processes not in (None, 1):
                raise CannotServe(
                    "server.processes begin with the bus: call engine.start(), or set it to 1."
                )
        super()._bind()

    def _failure(self, error: OSError) -> CannotServe:
        if isinstance(error, TLSError):
            return wrong(error)
        return super()._failure(error)

    def _listening(self) -> Listeners | None:
        """What listens already for this server."""
        self._name = self.socket_file or f"{self.socket_host}:{self.socket_port}"
        passed = self._passed_sockets()
        if passed:
            return Listeners(check_listening(passed))
        left = handover.claim(self._name)
        if not left:
            return None
        return Listeners(left, SocketFile(self.socket_file) if self.socket_file else None)

    def _passed_sockets(self) -> list[socket.socket]:
        """Systemd's sockets for this server: all of them, or its own if it shares the bus."""
        if not self._descriptors:
            free = [one for one in passed_descriptors() if one not in _descriptors_taken]
            self._descriptors = free if len(self._servers_of_bus()) == 1 else free[:1]
            _descriptors_taken.update(self._descriptors)
        # In a child they would be its parent's. The server closes its sockets when it stops, but
        # may start again: hence copies.
        return [_copy(number) for number in self._own_descriptors()]

    def _own_descriptors(self) -> list[int]:
        passed = passed_descriptors()
        return [number for number in self._descriptors if number in passed]

    def _servers_of_bus(self) -> list[Server]:
        owners = [getattr(one, "__self__", None) for one in self.bus.listeners["start"]]
        servers = {owner for owner in owners if isinstance(owner, Server)} | {self}
        return sorted(servers, key=lambda server: server is not self)


def _named(path: str) -> Any:
    """The server that a setting names, or what makes it."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CannotServe(
            f"Wrong setting of the server: server.instance cannot be {path!r}: {error}"
        ) from error


def _copy(descriptor: int) -> socket.socket:
    try:
        return socket.socket(fileno=os.dup(descriptor))
    except OSError as error:
        raise CannotServe(
            f"LISTEN_PID promises a socket as descriptor {descriptor}: {error.strerror}."
        ) from error
