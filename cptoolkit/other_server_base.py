"""A server of another project as a service of the bus: what all of them have alike."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.wsgi import ClosingIterator

from cptoolkit.process.adapter import CannotServe
from cptoolkit.process.channels import ERROR, WARNING
from cptoolkit.process.server_settings import ServerSettings, setting
from cptoolkit.servers.options import Options
from cptoolkit.servers.sockets import Listeners, listen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from cptoolkit.process.httpserver import Server as ServerOnBus

LISTENING = (
    "host",
    "port",
    "socket_file",
    "socket_mode",
    "socket_queue_size",
    "reuse_port",
    "processes",
    "shutdown_timeout",
)
"""Options that count with every server: the sockets are ours, and so is the end."""

JOIN_SECONDS = 2.0  # what a server gets to end, beyond the requests in flight


class OtherServer:
    """What the bus asks of a server, but for what each has of its own.

    :param adapter: whose settings it takes, and whose ``app`` it serves, each time it starts;
        usually ``cptoolkit.server``.
    """

    package: ClassVar[str]
    """What has to be installed."""

    takes: ClassVar[tuple[str, ...]] = ()
    """Options of the bundled server that count with this one, besides :data:`LISTENING`."""

    several: ClassVar[bool] = False
    """Whether it can listen on several sockets."""

    ready: bool = False
    """Whether connections are accepted."""

    bound_addr: Any = None
    """Where it listens: host and port, or the path of a Unix socket."""

    def __init__(self, adapter: ServerOnBus) -> None:
        self.adapter = adapter
        self.requests = _Requests()
        self._adopted: Listeners | None = None
        self._listeners: Listeners | None = None
        self._detached = False
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._stopped = threading.Event()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.bound_addr!r}>"

    # -- what each server has of its own ----------------------------------------------------------

    def make(self, app: WSGIApplication, options: Options, sockets: list[socket.socket]) -> Any:
        """Return the server itself, for sockets that listen already."""
        raise NotImplementedError

    def run(self, server: Any) -> None:
        """Serve until :meth:`leave_loop`, or ``self.stopping``."""
        raise NotImplementedError

    def leave_loop(self, server: Any) -> None:
        """Have :meth:`run` accept no more connections, and return soon; called in any thread."""

    def close(self, server: Any) -> None:
        """Release what the server holds; its requests have ended, or had their time."""
        raise NotImplementedError

    # -- what the bus calls -----------------------------------------------------------------------

    def adopt(self, listeners: Listeners) -> None:
        """Have the next :meth:`prepare` take sockets that listen already."""
        self._adopted = listeners

    def detach(self) -> Listeners | None:
        """Let go of the sockets that listen: when the server stops, they go on listening."""
        self._detached = True
        return self._listeners

    def prepare(self) -> None:
        """Bind and listen, as the settings of the adapter say now.

        :raises CannotServe: if they make no sense, or the server is not installed.
        :raises BindError: if the address cannot be had.
        """
        if self._listeners is not None:
            return
        options = self.adapter.options()
        self._warn_of_settings()
        listeners, self._adopted = self._adopted or listen(options), None
        sockets: list[socket.socket] = []
        try:
            if len(listeners.sockets) > 1 and not self.several:
                names = ", ".join(str(one.getsockname()[0]) for one in listeners.sockets)
                raise CannotServe(
                    f"{self.package} listens on one address, but {options.host!r} is"
                    f" {names}: set server.socket_host to one of them."
                )
            # Copies: these servers close what they are given, and we may have to leave it.
            sockets = [one.dup() for one in listeners.sockets]
            self.requests = _Requests(self.adapter.app, options.processes > 1)
            self._server = self.make(self.requests, options, sockets)
        except BaseException as error:
            for one in sockets:
                one.close()
            listeners.close()
            if isinstance(error, ModuleNotFoundError):
                raise CannotServe(missing(self.package)) from error
            raise
        self.bound_addr = listeners.address
        self._listeners, self._detached = listeners, False
        self._stopping.clear()
        self._stopped.clear()

    def serve(self) -> None:
        """Serve until :meth:`stop` is called.

        If it was prepared and stopped again meanwhile, it returns at once.
        """
        if self._listeners is None and self._stopping.is_set():
            return
        self.prepare()
        self._thread = threading.current_thread()
        self.ready = True
        try:
            if not self._stopping.is_set():
                self.run(self._server)
            self.requests.wait(self.adapter.options().shutdown_timeout)
        finally:
            self.ready = False
            self._release()

    def stop(self) -> None:
        """Accept no more, and wait for requests in flight, ``shutdown_timeout`` seconds at most.

        Called by one of them, it returns at once.
        """
        self._stopping.set()
        if self._server is None:
            return
        if self._thread is None:  # prepared, never served
            self._release()
            return
        self.leave_loop(self._server)
        if not self.requests.is_one() and threading.current_thread() is not self._thread:
            self._stopped.wait(self.adapter.options().shutdown_timeout + JOIN_SECONDS)

    def log(self, message: str, level: int = ERROR, traceback: bool = False) -> None:
        """Log what the server has to tell."""
        self.adapter.bus.log(message.rstrip(), level, traceback)

    @property
    def stopping(self) -> threading.Event:
        """Set when :meth:`run` is to return."""
        return self._stopping

    def _release(self) -> None:
        server, self._server = self._server, None
        listeners, self._listeners = self._listeners, None
        self._thread = None
        try:
            if server is not None:
                self.close(server)
        finally:
            if listeners is not None and not self._detached:
                listeners.close()
            self._stopped.set()

    def _warn_of_settings(self) -> None:
        """Tell of config that has no effect; of flags the command line tells before it starts."""
        for option in fields(Options):
            name = setting(option.name)
            if option.name in (*LISTENING, *self.takes, "socket"):
                continue
            if getattr(self.adapter, name) != getattr(ServerSettings, name):
                self.log(f"server.{name} has no effect on {self.package}.", WARNING)


def missing(package: str) -> str:
    """What to tell of a package that is not installed."""
    return f"{package} is not installed: pip install {package}"


class _Requests:
    """The application, and how many of its requests are in flight."""

    def __init__(self, app: Callable[..., Any] | None = None, multiprocess: bool = False) -> None:
        self._app = app
        self._multiprocess = multiprocess
        self._changed = threading.Condition()
        self._count = 0
        self._threads: set[int] = set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert self._app is not None
        environ["wsgi.multiprocess"] = self._multiprocess
        with self._changed:
            self._count += 1
            self._threads.add(threading.get_ident())
        try:
            # With close() even the last piece has been taken.
            return ClosingIterator(self._app(environ, start_response), self._end)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        with self._changed:
            self._count -= 1
            self._threads.discard(threading.get_ident())
            self._changed.notify_all()

    def is_one(self) -> bool:
        """Whether the thread that asks is answering a request."""
        return threading.get_ident() in self._threads

    def wait(self, seconds: float) -> None:
        """Wait until there is none."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count, seconds)
