"""The bundled HTTP server as a service of the bus (reference, chapter 6.3.1, ``server``)."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from cptoolkit.process import wspbus
from cptoolkit.process.activation import passed_descriptors
from cptoolkit.process.adapter import CannotServe, ServerAdapter, url
from cptoolkit.process.channels import WARNING

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

_ADDRESS = frozenset({"host", "port", "socket"})
"""Options of the bundled server that are called otherwise here; all others are attributes."""

_FOREIGN = {
    "accepted_queue_size": -1,
    "accepted_queue_timeout": 10,
    "peercreds": False,
    "peercreds_resolve": False,
    "statistics": False,
}
"""Settings that other servers have and the bundled one has not, with the values that ask for
nothing."""

_descriptors_taken: set[int] = set()  # each of systemd's sockets serves one Server


class Server(ServerAdapter):
    """The bundled server, made from these attributes each time it starts.

    Sizes are bytes, times are seconds. None leaves the choice to :class:`cptoolkit.servers.Server`.
    """

    app: Callable[..., Any] | None = None
    """The WSGI application that it serves."""

    socket_port: int | None = 8080
    """TCP port; 0 takes a free one, see ``bound_addr``."""

    socket_file: str | None = None
    """Path of a Unix socket to listen on, instead of host and port."""

    socket_queue_size: int | None = None
    """Connections that the kernel keeps until they are accepted."""

    socket_timeout: float = 10
    """How long a client may be silent in the middle of a request or an answer; 0 is for ever."""

    keep_alive_timeout: float | None = None
    """How long an idle connection stays open."""

    header_timeout: float | None = None
    """How long a client may take for the head of a request."""

    shutdown_timeout: float = 5
    """How long requests under way may take to finish when the server stops."""

    protocol_version: str = "HTTP/1.1"
    """Highest version spoken, ``HTTP/1.1`` or ``HTTP/1.0``."""

    thread_pool: int = 10
    """Handlers that can run at the same time."""

    thread_pool_max: int = -1
    """Threads to grow to under load; -1 never grows."""

    max_request_line_size: int | None = None
    """Longest request target; longer ones get 414."""

    max_request_header_size: int = 500 * 1024
    """Longest request head; longer ones get 431."""

    max_request_body_size: int = 100 * 1024 * 1024
    """Longest request body; longer ones get 413; 0 is without limit."""

    request_body_buffer: int | None = None
    """How much of a body is read before the application is called."""

    server_name: str | None = None
    """What the ``Server`` field says."""

    nodelay: bool = True
    """Whether TCP sends small answers at once."""

    reuse_port: bool = False
    """Whether several processes may listen on the same port."""

    wsgi_version: tuple[int, int] = (1, 0)
    """Version of WSGI; there is but this one (PEP 3333)."""

    instance: Any = None
    """A server to use instead of the bundled one, or the dotted name of something that makes one:
    it is called with this object. Most of the other attributes then have no meaning."""

    ssl_context: Any = None
    """An ``ssl.SSLContext``."""

    ssl_certificate: str | None = None
    """Path of the certificate, PEM."""

    ssl_certificate_chain: str | None = None
    """Path of further certificates, PEM."""

    ssl_private_key: str | None = None
    """Path of the certificate's key, PEM."""

    ssl_ciphers: str | None = None
    """Ciphers to offer, in OpenSSL's notation."""

    ssl_module: str = "builtin"
    """The TLS library: ``builtin`` is Python's."""

    accepted_queue_size: int = -1
    """Foreign servers only: connections that may wait for a thread. The bundled server has no such
    queue."""

    accepted_queue_timeout: float = 10
    """Foreign servers only: how long to wait for room in that queue."""

    peercreds: bool = False
    """Foreign servers only: whether to ask for the process at the other end of a Unix socket."""

    peercreds_resolve: bool = False
    """Foreign servers only: whether to look up its user's name."""

    statistics: bool = False
    """Foreign servers only: whether to count requests."""

    def __init__(self, bus: Bus | None = None, app: Callable[..., Any] | None = None) -> None:
        """Make a server that has yet to be subscribed.

        :param bus: None is the bus of this process.
        :param app: see :attr:`app`.
        """
        self._socket_host: str | None = "127.0.0.1"
        self._built: Any = None
        self._descriptor: int | None = None
        self._listening: socket.socket | None = None
        super().__init__(wspbus.bus if bus is None else bus, None, ("127.0.0.1", 8080))
        if app is not None:
            self.app = app

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
        scheme = "https" if self.ssl_certificate or self.ssl_context else self.scheme
        return url(scheme, host or "", port or 0)

    def httpserver_from_self(self, httpserver: Any = None) -> tuple[Any, Any]:
        """Make the server that the attributes ask for.

        :param httpserver: see :attr:`instance`, which it overrides.
        :returns: the server and the address to bind.
        :raises CannotServe: if the settings make no sense.
        """
        chosen = self.instance if httpserver is None else httpserver
        if isinstance(chosen, str):
            module, _, name = chosen.rpartition(".")
            chosen = getattr(importlib.import_module(module), name)(self)
        return (self._bundled() if chosen is None else chosen), self.bind_addr

    def start(self) -> None:
        """Start the server, and return once it accepts connections.

        :raises CannotServe: if its address cannot be had, or the settings make no sense.
        """
        if not self.running and self.httpserver in (None, self._built):
            self.httpserver, bind_addr = self.httpserver_from_self()
            if bind_addr != self.bind_addr:  # a subclass has chosen another one
                self.bind_addr = bind_addr
            self._built = self.httpserver
        super().start()

    start.priority = 75  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Stop the server: it lets requests under way finish, for ``shutdown_timeout`` seconds."""
        was_running = self.running
        super().stop()
        if was_running and self.socket_file and self._descriptor is None:
            with contextlib.suppress(OSError):
                os.unlink(self.socket_file)

    stop.priority = 25  # type: ignore[attr-defined]

    def quickstart(self, server: Any = None) -> None:
        """Serve at once, and until the bus stops.

        :param server: taken as :attr:`instance` if given.
        """
        if server is not None:
            self.instance = server
        self.subscribe()
        self.start()

    def _serve(self) -> None:
        listening = self._listening
        try:
            super()._serve()
        finally:
            if listening is not None:  # the server closes only what it has opened itself
                listening.close()

    def _bundled(self) -> Any:
        # Here, as importing the bus must stay cheap.
        from cptoolkit.servers import Options
        from cptoolkit.servers import Server as BundledServer

        app = self._checked_app()
        own = [field.name for field in fields(Options) if field.name not in _ADDRESS]
        options: dict[str, Any] = {
            name: getattr(self, name) for name in own if getattr(self, name, None) not in (None, "")
        }
        listening = self._listening = self._passed_socket() or self._unix_socket()
        if listening is not None:
            options["socket"] = listening
        else:
            options.update(host=self.socket_host or "", port=self.socket_port)
        try:
            return BundledServer(app, **options)
        except (TypeError, ValueError) as error:
            if listening is not None:
                listening.close()
            raise CannotServe(f"Wrong setting of the server: server.{error}") from error

    def _checked_app(self) -> Callable[..., Any]:
        """The application, once the settings have been found to make sense."""
        if self.app is None:
            raise CannotServe("There is no application to serve: set the server's app.")
        if self.bind_addr is None:
            raise CannotServe("There is no address to serve on: set server.socket_port.")
        if self.wsgi_version != (1, 0):
            raise CannotServe(f"server.wsgi_version must be (1, 0), got {self.wsgi_version!r}")
        for name in ("ssl_context", "ssl_certificate", "ssl_certificate_chain", "ssl_private_key"):
            if getattr(self, name) is not None:
                raise CannotServe(
                    f"server.{name} is set, but the bundled server does not encrypt, and will not "
                    "serve in the clear instead. Use a proxy, or a server.instance, that does."
                )
        for name, nothing in _FOREIGN.items():
            if getattr(self, name) != nothing:
                self.bus.log(f"server.{name} has no effect on the bundled server.", WARNING)
        return self.app

    def _passed_socket(self) -> socket.socket | None:
        """One of systemd's sockets: this server's own, or the first that no other server has."""
        passed = passed_descriptors()
        if self._descriptor is None:
            free = [number for number in passed if number not in _descriptors_taken]
            if not free:
                return None
            self._descriptor = free[0]
            _descriptors_taken.add(free[0])
        if self._descriptor not in passed:  # this is a child, and the socket its parent's
            return None
        try:
            # A copy: the server closes its socket when it stops, but may start again.
            return socket.socket(fileno=os.dup(self._descriptor))
        except OSError as error:
            raise CannotServe(
                f"LISTEN_PID promises a socket as descriptor {self._descriptor}: {error.strerror}."
            ) from error

    def _unix_socket(self) -> socket.socket | None:
        if not self.socket_file:
            return None
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_stale(self.socket_file)
            listening.bind(self.socket_file)
            listening.listen(self.socket_queue_size or 1024)
        except OSError as error:
            listening.close()
            raise CannotServe(
                f"Cannot serve on socket file: {self.socket_file}: {error.strerror}."
            ) from error
        return listening


def _remove_stale(path: str) -> None:
    """Remove the socket of a server that is no more; one that answers makes binding fail."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            pass  # no such file, or no socket
