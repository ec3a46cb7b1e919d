"""Serve a WSGI application over HTTP/1.1."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from cptoolkit.servers.engine import JOIN_TIME, Engine
from cptoolkit.servers.exchange import Site
from cptoolkit.servers.http1 import HTTP1
from cptoolkit.servers.options import Options
from cptoolkit.servers.protocol import ProtocolFactory
from cptoolkit.servers.sockets import listen
from cptoolkit.servers.wsgi import Application, WSGIGateway

logger = logging.getLogger("cptoolkit.server")


class Server:
    """An HTTP/1.1 server for one WSGI application. Making one starts nothing.

    ``serve`` blocks; ``stop`` ends it from any thread. A stopped server can be started again.

    :param app: the WSGI application.
    :param options: the fields of :class:`~cptoolkit.servers.Options`, by name.
    :raises TypeError: for an unknown option or a value of the wrong type.
    :raises ValueError: for a value that is out of range.
    """

    error_log: Callable[[str, int, bool], None]
    """``error_log(message, level, traceback)``; may be replaced. Logs to ``cptoolkit.server``."""

    def __init__(
        self, app: Application, host: str = "127.0.0.1", port: int = 8080, **options: Any
    ) -> None:
        if not callable(app):
            raise TypeError(f"the application must be callable, got {app!r}")
        self.app = app
        self.options = Options.of(host=host, port=port, **options)
        self.error_log = _log
        self._lock = threading.RLock()  # a signal handler may stop what its thread starts
        self._sockets: list[socket.socket] = []
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._stopped.set()
        self._interrupt: BaseException | None = None
        self._address: Any = None

    def __repr__(self) -> str:
        where = self.bound_addr or (self.options.host, self.options.port)
        return f"<{type(self).__name__} {where!r}>"

    @property
    def bound_addr(self) -> Any:
        """Where it listens: ``(host, port)``, for a unix socket its path; None before prepare()."""
        return self._address

    @property
    def ready(self) -> bool:
        """Whether connections are accepted."""
        return self._thread is not None and self._sockets != []

    @property
    def interrupt(self) -> BaseException | None:
        """Set to an exception, it stops the server, and :meth:`serve` raises it."""
        return self._interrupt

    @interrupt.setter
    def interrupt(self, exc: BaseException | None) -> None:
        self._interrupt = exc
        if exc is not None:
            self._begin_stop()

    def prepare(self) -> None:
        """Bind and listen. Connections wait until :meth:`serve` is called.

        :raises BindError: if the address cannot be had.
        """
        if self._sockets:
            return
        sockets = listen(self.options)
        try:
            name = sockets[0].getsockname()
            self._address = name[:2] if isinstance(name, tuple) else name
            self._interrupt = None
            self._engine = Engine(self.options, sockets, self._protocol(name), self._log)
        except BaseException:
            self._hang_up(sockets)
            raise
        self._sockets = sockets

    def _protocol(self, address: object) -> ProtocolFactory:
        """Return what makes the protocol of each connection, and what comes before it."""
        options = self.options
        site = Site(options=options, log=self._log)
        gateway = WSGIGateway(
            self.app,
            address,
            options.processes > 1 or options.reuse_port,
            options.server_name,
            self._log,
            self._on_exit,
        )
        site.exchange = gateway.exchange()
        return lambda conn: HTTP1(conn, site)

    def _hang_up(self, sockets: list[socket.socket]) -> None:
        if self.options.socket is None:
            for sock in sockets:
                sock.close()

    def serve(self) -> None:
        """Serve until :meth:`stop` is called; prepare first if that has not been done.

        :raises RuntimeError: if it serves already.
        :raises BaseException: what ``interrupt`` was set to.
        """
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("the server is serving already")
            self._thread = threading.current_thread()
            self._stopped.clear()
            try:
                self.prepare()
            except BaseException:
                self._thread = None
                self._stopped.set()
                raise
        engine = self._engine
        assert engine is not None
        try:
            engine.run()
        finally:
            try:
                self._close(engine)
            finally:
                self._thread = None
                self._stopped.set()
        if self._interrupt is not None:
            raise self._interrupt

    start = serve

    def stop(self) -> None:
        """Stop accepting, let requests in flight finish, and wait until that is done.

        It takes ``shutdown_timeout`` and a little more at most. Called from a handler or from a
        signal handler, which it would wait for, it returns at once.
        """
        self._begin_stop()
        if self._thread is None:
            with self._lock:  # or another thread could begin to serve, or stop, meanwhile
                if self._thread is None:
                    if self._engine is not None:
                        self._discard(self._engine)
                    return
        engine = self._engine
        if self._thread is not threading.current_thread() and not (
            engine is not None and engine.is_worker()
        ):
            self._stopped.wait(self.options.shutdown_timeout + 2 * JOIN_TIME)

    def _begin_stop(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def _close(self, engine: Engine) -> None:
        engine.deafen()
        stuck = self._discard(engine)
        if stuck:
            names = ", ".join(stuck)
            self._log(f"stopped while handlers were still running in {names}", logging.WARNING)

    def _discard(self, engine: Engine) -> list[str]:
        sockets, self._sockets = self._sockets, []
        self._hang_up(sockets)
        stuck = engine.drain()
        self._engine = None
        return stuck

    def _on_exit(self, exc: BaseException) -> None:
        self.interrupt = exc

    def _log(self, message: str, level: int = logging.ERROR, traceback: bool = False) -> None:
        # Looked up at each call, since it may be replaced at any time.
        try:
            self.error_log(message, level, traceback)
        except Exception:  # it must not end a thread of the engine
            logger.exception("error_log failed to log: %s", message)


def serve(app: Application, host: str = "127.0.0.1", port: int = 8080, **options: Any) -> None:
    """Serve ``app`` until the process is told to end.

    In the main thread, Ctrl-C and SIGTERM stop the server cleanly, and a second Ctrl-C at once.

    :param options: the fields of :class:`~cptoolkit.servers.Options`, by name.
    :raises BindError: if the address cannot be had.
    """
    server = Server(app, host, port, **options)
    server.prepare()
    with _signals(server):
        server.serve()


@contextlib.contextmanager
def _signals(server: Server) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        server.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log(message: str, level: int, traceback: bool) -> None:
    logger.log(level, message, exc_info=traceback)
