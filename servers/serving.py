"""Serve a WSGI application until the process is told to end, in this process or in several."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from cptoolkit.servers.engine import JOIN_TIME
from cptoolkit.servers.processes import Supervisor
from cptoolkit.servers.server import Server, tls_library
from cptoolkit.servers.sockets import Listeners, listen
from cptoolkit.servers.worker import Worker, leave
from cptoolkit.servers.wsgi import Application

if TYPE_CHECKING:
    from cptoolkit.servers.handshake import Library


def serve(app: Application, host: str = "127.0.0.1", port: int = 8080, **options: Any) -> None:
    """Serve ``app`` until the process is told to end.

    In the main thread, Ctrl-C and SIGTERM stop the server cleanly, and a second Ctrl-C at once.

    With the option ``processes`` it works in several processes, forked from this one, which only
    watches them: it replaces those that die, passes on the end, and on SIGHUP replaces all of them,
    each when its successor is ready. New code needs a new start of the program.

    :param options: the fields of :class:`~cptoolkit.servers.Options`, by name.
    :raises BindError: if the address cannot be had.
    :raises TLSError: if certificates cannot be used.
    :raises RuntimeError: if several processes are asked for outside of the main thread.
    :raises SystemExit: with the status of the first process, if that did not come up.
    """
    server = Server(app, host, port, **options)
    if server.options.processes > 1:
        _serve_in_processes(server)
    else:
        server.prepare()
        with _signals(server):
            server.serve()


def _serve_in_processes(server: Server) -> None:
    options = server.options
    library = tls_library(options, server.log)
    listeners = listen(options)
    try:
        patience = options.shutdown_timeout + 2 * JOIN_TIME
        supervisor = Supervisor(options.processes, patience, listeners.close, server.log)
        outcome = supervisor.run()
        if isinstance(outcome, Worker):
            worker = outcome
            leave(lambda: _work(worker, server, listeners, library))
    finally:
        listeners.close()
    if outcome.status:
        raise SystemExit(outcome.status)


def _work(worker: Worker, server: Server, listeners: Listeners, library: Library | None) -> None:
    worker.heed_signals()
    listeners.keep_share(worker.number, server.options.processes)
    server.adopt(listeners, library)
    server.prepare()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent's to see to
    with _signals(server):
        worker.ready()
        try:
            server.serve()
        except (SystemExit, KeyboardInterrupt):  # from the application
            worker.end_all()
            raise


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
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
