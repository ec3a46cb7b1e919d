"""Any HTTP server as a service of the bus."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING, Any

from cptoolkit.process import ports
from cptoolkit.process.channels import ERROR, OperatorError

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

Address = tuple[str | None, int] | str
"""Host and port, or the path of a Unix socket."""

_LOOK_SECONDS = 0.005
_JOIN_SECONDS = 1.0


class CannotServe(OperatorError, OSError):
    """A server cannot listen, or not with these settings: one line that says what and where."""


class ServerAdapter:
    """Start and stop an HTTP server with the bus, in a thread of its own.

    The server needs ``start()``, which serves until ``stop()`` is called from another thread. If it
    also has ``prepare()`` and ``serve()``, the port is bound in the thread that starts the bus, so
    that a later listener may give up root's rights.
    """

    bus: Bus
    """The bus it is a service of."""

    httpserver: Any = None
    """The server, or None if there is none yet."""

    bind_addr: Any = None
    """Where it is asked to listen: host and port, path of a Unix socket, or None if unknown."""

    interrupt: BaseException | None = None
    """What ended the server's thread, if not :meth:`stop`."""

    running: bool = False
    """Whether it has been started, and not stopped."""

    def __init__(self, bus: Bus, httpserver: Any = None, bind_addr: Address | None = None) -> None:
        self.bus = bus
        self.httpserver = httpserver
        self.bind_addr = bind_addr
        self._thread: threading.Thread | None = None
        self._bound = False

    def subscribe(self) -> None:
        """Start and stop with the bus."""
        self.bus.subscribe("start", self.start)
        self.bus.subscribe("stop", self.stop)

    def unsubscribe(self) -> None:
        """Start and stop with the bus no longer."""
        self.bus.unsubscribe("start", self.start)
        self.bus.unsubscribe("stop", self.stop)

    def bind(self) -> bool:
        """Take the address now, for :meth:`start` to serve on.

        :returns: whether it is taken; some servers can only bind and serve at once.
        :raises CannotServe: if it cannot be had.
        """
        if not self.running and not self._bound:
            if not self._can_prepare():
                return False
            self._bind()
            self._bound = True
        return True

    def start(self) -> None:
        """Start the server, and return once it accepts connections.

        :raises CannotServe: if its address cannot be had.
        :raises ValueError: if there is no server.
        """
        if self.running:
            self.bus.log(f"Already serving on {self.description}")
            return
        if self.httpserver is None:
            raise ValueError("No HTTP server has been created.")
        self.interrupt = None
        if not self._bound:
            self._bind()
        self._bound = False
        thread = threading.Thread(target=self._serve)
        thread.name = f"HTTPServer {thread.name}"
        self._thread = thread
        try:
            thread.start()
            self.wait()
            self.running = True
        except BaseException:
            self.running = False
            # It would hold the process for ever. After Ctrl-C the thread may still be to begin.
            if self._can_prepare() or self._is_alive():
                self.httpserver.stop()
            raise
        self.bus.log(f"Serving on {self.description}")

    # After daemons have forked (65); before root's rights go (77).
    start.priority = 75  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Stop the server: it lets requests under way finish, as its own settings say."""
        if self._bound:  # and then the start has failed
            self._bound = False
            self.httpserver.stop()
        if not self.running:
            self.bus.log(f"HTTP Server {self.httpserver} already shut down")
            return
        self.httpserver.stop()
        if not self._can_prepare() and self._thread is not threading.current_thread():
            self._join()
        self.running = False
        self.bus.log(f"HTTP Server {self.httpserver} shut down")

    # Before the services that requests under way may need.
    stop.priority = 25  # type: ignore[attr-defined]

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def wait(self) -> None:
        """Wait until the server accepts connections.

        :raises BaseException: what has ended its thread instead.
        :raises CannotServe: if it does not listen where it should.
        """
        knows = hasattr(self.httpserver, "ready")
        while knows and not self.httpserver.ready and self._is_alive():
            time.sleep(_LOOK_SECONDS)
        if not knows and isinstance(self.bind_addr, tuple):
            host, port = self.bind_addr
            try:
                ports.wait_for_occupied_port(host or "", port)
            except OSError as error:
                raise self.interrupt or CannotServe(str(error)) from error
        if self.interrupt is not None:
            raise self.interrupt
        if knows and not self.httpserver.ready:
            raise CannotServe(f"The HTTP server {self.httpserver} has ended before it was ready.")

    @property
    def bound_addr(self) -> Any:
        """Where the server listens: as :attr:`bind_addr`, with the port that 0 turned into."""
        return getattr(self.httpserver, "bound_addr", None) or self.bind_addr

    @property
    def description(self) -> str:
        """Where the server listens, for people."""
        address = self.bound_addr
        if address is None:
            return "unknown interface (dynamic?)"
        if isinstance(address, str):
            return f"socket file: {address}"
        return url(self.scheme, address[0] or "0.0.0.0", address[1])

    @property
    def scheme(self) -> str:
        """``https`` if the server encrypts, as far as can be known."""
        return "https" if getattr(self.httpserver, "ssl_adapter", None) else "http"

    def _bind(self) -> None:
        try:
            if self._can_prepare():
                self.httpserver.prepare()
            elif isinstance(self.bind_addr, tuple) and self.bind_addr[1]:
                ports.wait_for_free_port(self.bind_addr[0] or "", self.bind_addr[1])
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> CannotServe:
        """What to tell about an address that cannot be had."""
        reason = str(error).rstrip(".")
        remedy = "Choose another address."
        if error.errno in (None, errno.EADDRINUSE):  # None: a port that ports.py found taken
            remedy = "Stop what uses this address, or choose another one."
        elif error.errno == errno.EACCES and isinstance(self.bind_addr, tuple):
            remedy = "Ports below 1024 are root's: start as root, or choose another one."
        failure = CannotServe(f"Cannot serve on {self.description}: {reason}. {remedy}")
        failure.errno = error.errno
        return failure

    def _can_prepare(self) -> bool:
        return hasattr(self.httpserver, "prepare") and hasattr(self.httpserver, "serve")

    def _join(self) -> None:
        # Who can prepare is as thorough when it stops. Waiting for its thread could mean to wait
        # for the request in which the application has called bus.exit().
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _serve(self) -> None:
        try:
            if self._can_prepare():
                self.httpserver.serve()
            else:
                self.httpserver.start()
        except BaseException as error:
            self.interrupt = error
            if isinstance(error, KeyboardInterrupt):
                self.bus.log("<Ctrl-C> hit: shutting down HTTP server")
            elif isinstance(error, SystemExit):
                self.bus.log("SystemExit raised: shutting down HTTP server")
            else:
                self.bus.log("Error in HTTP server: shutting down", ERROR, traceback=True)
            if self.running:  # or else wait() tells the one who starts it
                self.bus.exit()


def url(scheme: str, host: str, port: int) -> str:
    """The URL of a server's root; brackets around IPv6, no port that the scheme implies."""
    if ":" in host:
        host = f"[{host}]"
    default = 443 if scheme == "https" else 80
    return f"{scheme}://{host}" if port == default else f"{scheme}://{host}:{port}"
