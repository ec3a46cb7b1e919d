"""A server for one WSGI application, in this process."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cptoolkit.servers.connection import Connection
from cptoolkit.servers.crew import END_TIME
from cptoolkit.servers.engine import JOIN_TIME, Engine
from cptoolkit.servers.exchange import Exchange, Site
from cptoolkit.servers.http1 import HTTP1
from cptoolkit.servers.options import Options
from cptoolkit.servers.protocol import ConnectionProtocol, Log, Prelude, ProtocolFactory
from cptoolkit.servers.proxy_protocol import Proxies
from cptoolkit.servers.sockets import Listeners, listen
from cptoolkit.servers.wsgi import Application, WSGIGateway

if TYPE_CHECKING:
    from cptoolkit.servers.handshake import Library
    from cptoolkit.servers.statistics import Statistics

Framing = tuple[type[Exchange], ...]

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

    gateway_class: type[WSGIGateway] = WSGIGateway
    """How ``app`` is called."""

    def __init__(
        self, app: Application, host: str = "127.0.0.1", port: int = 8080, **options: Any
    ) -> None:
        if not callable(app):
            raise TypeError(f"the application must be callable, got {app!r}")
        self.app = app
        self.error_log = _log
        self._lock = threading.RLock()  # a signal handler may stop what its thread starts
        self.configure(Options.of(host=host, port=port, **options))
        self._adopted: Listeners | None = None
        self._library: Library | None = None
        self._listeners: Listeners | None = None
        self._detached = False
        self._called_off = False
        self._stopping = False
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._stopped.set()
        self._interrupt: BaseException | None = None
        self._address: Any = None
        self._statistics: Statistics | None = None

    def configure(self, options: Options) -> None:
        """Choose other options: they count from the next :meth:`prepare`.

        :raises ValueError: for a value that is out of range.
        """
        self.options = options
        self._proxies = Proxies(options.proxy_protocol, self.log)

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
        return self._thread is not None and self._listeners is not None

    @property
    def interrupt(self) -> BaseException | None:
        """Set to an exception, it stops the server, and :meth:`serve` raises it."""
        return self._interrupt

    @interrupt.setter
    def interrupt(self, exc: BaseException | None) -> None:
        self._interrupt = exc
        if exc is not None:
            self._begin_stop()

    @property
    def statistics(self) -> dict[str, Any]:
        """What was counted since :meth:`prepare`, if the option ``statistics`` asks for it.

        The names are those of cheroot's statistics; sizes are bytes, times seconds. Each process
        counts for itself.
        """
        return {"Enabled": False} if self._statistics is None else self._statistics.snapshot()

    def prepare(self) -> None:
        """Bind and listen. Connections wait until :meth:`serve` is called.

        :raises BindError: if the address cannot be had.
        :raises TLSError: if certificates cannot be used.
        :raises RuntimeError: if the option ``processes`` asks for several, which :func:`serve`
            starts.
        """
        if self._listeners is not None:
            return
        listeners = self._adopted
        if listeners is None:
            if self.options.processes > 1:
                raise RuntimeError("a Server is one process: call serve() for several of them")
            listeners = listen(self.options)
        try:
            self._address = listeners.address
            self._interrupt = None
            self._engine = self._engine_for(listeners)
        except BaseException:
            listeners.close()
            raise
        finally:
            self._adopted = None
        self._detached = self._called_off = False
        self._listeners = listeners

    def _engine_for(self, listeners: Listeners) -> Engine:
        self._statistics = None
        if self.options.statistics:
            from cptoolkit.servers.statistics import Statistics  # few want them

            self._statistics = Statistics(self._address)
        protocol = self._proxies.before(self._protocol(self._address))
        if self._statistics is None:
            return Engine(self.options, listeners.sockets, protocol, self.log)
        count = self._statistics.connection
        engine = Engine(self.options, listeners.sockets, protocol, self.log, connection=count)
        self._statistics.begin(engine)
        return engine

    def adopt(self, listeners: Listeners, library: Library | None = None) -> None:
        """Have the next :meth:`prepare` take sockets that listen already, instead of binding some.

        The server closes them when it stops.

        :param library: certificates that were read already, by :func:`tls_library`.
        """
        self._adopted, self._library = listeners, library

    def detach(self) -> Listeners | None:
        """Let go of the sockets that listen: when the server stops, they go on listening.

        Connections then wait in the kernel for the one who is given them by :meth:`adopt`.

        :returns: None if there are none, as before :meth:`prepare`.
        """
        self._detached = True
        return self._listeners

    def _protocol(self, address: object) -> ProtocolFactory:
        """Return what makes the protocol of each connection, and what comes before it."""
        options = self.options
        site = Site(options=options, log=self.log)
        gateway = self.gateway_class(
            self.app,
            address,
            options.processes > 1 or options.reuse_port,
            options.server_name,
            self.log,
            self._on_exit,
        )
        if options.peercreds:
            from cptoolkit.servers.peer_credentials import peer_credentials

            gateway.about_peer = partial(peer_credentials, resolve=options.peercreds_resolve)
        protocol, framing = _spoken(options.protocol)
        if self._statistics is not None:
            framing = (self._statistics.framing(), *framing)
        site.exchange = gateway.exchange(*framing)
        begin_tls = self._tls(site)

        def begin(conn: Connection) -> ConnectionProtocol:
            if begin_tls is not None:
                conn.preludes.append(begin_tls())
            return protocol(conn, site)

        return begin

    def _tls(self, site: Site) -> Callable[[], Prelude] | None:
        """Return what makes the TLS handshake of each connection, if there is one."""
        library, self._library = self._library or tls_library(self.options, self.log), None
        if library is None:
            return None
        from cptoolkit.servers.handshake import Handshake  # it takes a while

        return partial(Handshake, library, site)

    def serve(self) -> None:
        """Serve until :meth:`stop` is called; prepare first if that has not been done.

        If it was prepared and stopped again meanwhile, it returns at once.

        :raises BindError, TLSError: what :meth:`prepare` raises.
        :raises RuntimeError: if it serves already.
        :raises BaseException: what ``interrupt`` was set to.
        """
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("the server is serving already")
            self._stopping = False
            # From here on a signal stops it; one that came before has called it off.
            self._thread = threading.current_thread()
            self._stopped.clear()
            try:
                called_off, self._called_off = self._called_off, False
                if not called_off:
                    self.prepare()
            except BaseException:
                self._leave()
                raise
            if called_off:
                self._leave()
                return
        engine = self._engine
        assert engine is not None
        try:
            if self._stopping:  # it was to stop before there was an engine
                engine.stop()
            engine.run()
        finally:
            try:
                self._close(engine)
            finally:
                self._leave()
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
                        self._called_off = True
                        self._discard(self._engine)
                    return
        self._begin_stop()  # again, as it may have begun to serve meanwhile
        engine = self._engine
        if self._thread is not threading.current_thread() and not (
            engine is not None and engine.is_worker()
        ):
            self._stopped.wait(self.options.shutdown_timeout + JOIN_TIME + END_TIME)

    def _leave(self) -> None:
        """Take note that nobody serves any more."""
        self._thread = None
        self._stopped.set()

    def _begin_stop(self) -> None:
        self._stopping = True
        engine = self._engine  # which another thread may take away
        if engine is not None:
            engine.stop()

    def _close(self, engine: Engine) -> None:
        if self._listeners is not None and not self._detached:
            self._listeners.hide()
        stuck = self._discard(engine, engine.deafen())
        if stuck:
            names = ", ".join(stuck)
            self.log(f"stopped while handlers were still running in {names}", logging.WARNING)

    def _discard(self, engine: Engine, deaf: bool = True) -> list[str]:
        listeners, self._listeners = self._listeners, None
        close = None if listeners is None or self._detached else listeners.close
        if deaf and close is not None:
            close()
            close = None
        stuck = engine.drain(close)
        if self._statistics is not None:
            self._statistics.end()
        self._engine = None
        return stuck

    def _on_exit(self, exc: BaseException) -> None:
        self.interrupt = exc

    def log(self, message: str, level: int = logging.ERROR, traceback: bool = False) -> None:
        """Hand a message to :attr:`error_log`, whatever that does with it."""
        # Looked up at each call, since it may be replaced at any time.
        try:
            self.error_log(message, level, traceback)
        except Exception:  # it must not end a thread of the engine
            with contextlib.suppress(Exception):
                logger.exception("error_log failed to log: %s", message)


def tls_library(options: Options, log: Log) -> Library | None:
    """Read the certificates that ``options`` ask for, if they do.

    Several processes that have inherited them from their parent go on with these when the files
    cannot be used any more, and resume each other's sessions.

    :raises TLSError: if certificates cannot be used, or the library is missing.
    """
    if options.ssl_context is None and not options.ssl_certificate:
        return None
    from cptoolkit.servers.handshake import library  # it takes a while

    return library(options, log)


def _spoken(name: str) -> tuple[Callable[[Connection, Site], ConnectionProtocol], Framing]:
    """Return a protocol, and how requests and answers look on its wire if not as in HTTP."""
    # Imported here, as most servers speak HTTP alone.
    if name == "scgi":
        from cptoolkit.servers.cgi import CGIExchange
        from cptoolkit.servers.scgi import SCGI

        return SCGI, (CGIExchange,)
    if name == "fastcgi":
        from cptoolkit.servers.fastcgi import FastCGI, FastCGIExchange

        return FastCGI, (FastCGIExchange,)
    return HTTP1, ()


def _log(message: str, level: int, traceback: bool) -> None:
    logger.log(level, message, exc_info=traceback)
