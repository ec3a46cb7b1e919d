"""Servers of other projects as services of the bus: ``cptoolkit run --server``.

Each stands behind the same few methods as the bundled one, so that the bus, sockets of systemd and
restarts that refuse no connection work alike. In config one is named as
``server.instance: "cptoolkit.other_servers.Waitress"``.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from cptoolkit.other_server_base import JOIN_SECONDS, OtherServer
from cptoolkit.process.channels import ERROR
from cptoolkit.servers.handshake import library
from cptoolkit.servers.options import Options

if TYPE_CHECKING:
    import socket

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

LOOK_SECONDS = 0.1  # between looks at whether to stop
FIRST_REQUEST_SECONDS = 0.5  # what a connection accepted just before the end gets to ask


class Waitress(OtherServer):
    """Waitress: one thread for all connections, and a pool for the application."""

    package = "waitress"
    takes = ("thread_pool", "max_request_header_size", "max_request_body_size")
    several = True

    def make(self, app: WSGIApplication, options: Options, sockets: list[socket.socket]) -> Any:
        from waitress.server import create_server

        self._map: dict[int, Any] = {}
        return create_server(
            app,
            map=self._map,
            sockets=sockets,
            threads=options.thread_pool,
            backlog=options.socket_queue_size,
            max_request_header_size=options.max_request_header_size,
            max_request_body_size=options.max_request_body_size or sys.maxsize,
            clear_untrusted_proxy_headers=False,
        )

    def run(self, server: Any) -> None:
        while not self.stopping.is_set():
            self._turn()
        for one in list(self._map.values()):
            if hasattr(one, "active_channels"):  # it listens
                one.accepting = False
                one.del_channel()
        deadline = time.monotonic() + self.adapter.options().shutdown_timeout
        while self._busy() and time.monotonic() < deadline:
            self._turn()

    def close(self, server: Any) -> None:
        from waitress import wasyncore

        server.task_dispatcher.shutdown(timeout=1)
        server.close()
        wasyncore.close_all(self._map)

    def _turn(self) -> None:
        from waitress import wasyncore

        wasyncore.loop(LOOK_SECONDS, use_poll=True, map=self._map, count=1)

    def _busy(self) -> bool:
        channels = [one for one in self._map.values() if hasattr(one, "total_outbufs_len")]
        return any(
            one.requests
            or one.total_outbufs_len
            or time.time() - one.creation_time < FIRST_REQUEST_SECONDS
            for one in channels
        )


class Cheroot(OtherServer):
    """Cheroot, the server of CherryPy."""

    package = "cheroot"
    takes = (
        "thread_pool",
        "thread_pool_max",
        "socket_timeout",
        "accepted_queue_size",
        "accepted_queue_timeout",
        "max_request_header_size",
        "max_request_body_size",
        "ssl_certificate",
        "ssl_private_key",
        "ssl_private_key_password",
        "ssl_certificate_chain",
        "ssl_ciphers",
    )

    def make(self, app: WSGIApplication, options: Options, sockets: list[socket.socket]) -> Any:
        from cheroot import wsgi
        from cheroot.ssl.builtin import BuiltinSSLAdapter

        if options.ssl_certificate:
            library(options, self.log)  # which says in our words what is wrong with the files
        [listening] = sockets
        name = listening.getsockname()

        class OnSocket(wsgi.Server):  # type: ignore[misc, unused-ignore]  # cheroot may be missing
            def bind(self, *kind: Any) -> Any:
                self.socket = listening
                return listening

            bind_unix_socket = bind

            def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
                log(msg, level, traceback)

        log = self.log
        chosen: dict[str, Any] = {
            "numthreads": options.thread_pool,
            "max": options.thread_pool_max,
            "request_queue_size": options.socket_queue_size,
            "timeout": options.socket_timeout or None,
            "shutdown_timeout": options.shutdown_timeout,
            "accepted_queue_size": options.accepted_queue_size,
            "accepted_queue_timeout": options.accepted_queue_timeout,
        }
        server = OnSocket(name if isinstance(name, str) else name[:2], app, **chosen)
        server.max_request_header_size = options.max_request_header_size
        server.max_request_body_size = options.max_request_body_size
        if options.ssl_certificate:
            server.ssl_adapter = BuiltinSSLAdapter(
                options.ssl_certificate,
                options.ssl_private_key or options.ssl_certificate,
                options.ssl_certificate_chain or None,
                options.ssl_ciphers or None,
                private_key_password=options.ssl_private_key_password or None,
            )
        server.prepare()
        self._end: threading.Thread | None = None
        return server

    def run(self, server: Any) -> None:
        server.serve()

    def leave_loop(self, server: Any) -> None:
        self._end_of(server).start()

    def close(self, server: Any) -> None:
        end = self._end_of(server)
        if end.ident is None:  # something else has ended it
            end.start()
        end.join(self.adapter.options().shutdown_timeout + JOIN_SECONDS)

    def _end_of(self, server: Any) -> threading.Thread:
        # Its stop() waits for all requests, of which the caller may be one.
        if self._end is None:
            self._end = threading.Thread(target=server.stop, name="end of cheroot")
        return self._end


class _OfSocketserver(OtherServer):
    """A server that is one of Python's ``socketserver``."""

    takes = ("socket_timeout",)

    def run(self, server: Any) -> None:
        server.serve_forever(LOOK_SECONDS)

    def leave_loop(self, server: Any) -> None:
        # In a thread, as it waits until the loop has ended, which may be waiting for the caller.
        threading.Thread(target=server.shutdown, name="shutdown", daemon=True).start()

    def close(self, server: Any) -> None:
        server.server_close()

    def tell_error(self, client: Any) -> None:
        """Log the exception in hand, unless it says that the client has gone."""
        if not isinstance(sys.exc_info()[1], (OSError, TimeoutError)):
            self.log(f"Error while serving {client}", ERROR, True)


class Wsgiref(_OfSocketserver):
    """Python's own wsgiref: one request at a time."""

    package = "wsgiref"

    def make(self, app: WSGIApplication, options: Options, sockets: list[socket.socket]) -> Any:
        from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

        class Handler(WSGIRequestHandler):
            timeout = options.socket_timeout or None

            def log_message(self, format: str, *args: Any) -> None:
                pass  # the application's own access log has it

        class OnSocket(WSGIServer):
            def get_request(self) -> Any:
                conn, address = super().get_request()
                return conn, address or ("", 0)  # of a Unix socket it is empty

            def handle_error(self, request: Any, client_address: Any) -> None:
                tell_error(client_address)

        tell_error = self.tell_error
        [listening] = sockets
        name = listening.getsockname()
        server = OnSocket(("", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listening
        server.server_name, server.server_port = (
            ("localhost", 0) if isinstance(name, str) else name[:2]
        )
        server.setup_environ()
        server.set_app(app)
        return server


class Werkzeug(_OfSocketserver):
    """Werkzeug's server for development: a thread for each connection."""

    package = "werkzeug"

    def make(self, app: WSGIApplication, options: Options, sockets: list[socket.socket]) -> Any:
        from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

        class Handler(WSGIRequestHandler):
            timeout = options.socket_timeout or None

            def log(self, type: str, message: str, *args: Any) -> None:
                pass  # the application's own access log has it

            def make_environ(self) -> WSGIEnvironment:
                environ = super().make_environ()
                environ["REMOTE_PORT"] = str(environ["REMOTE_PORT"])  # PEP 3333: no int
                return environ

        class Server(ThreadedWSGIServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                tell_error(client_address)

        tell_error = self.tell_error
        [listening] = sockets
        name = listening.getsockname()
        host, port = (f"unix://{name}", 0) if isinstance(name, str) else name[:2]
        server = Server(host, port, app, Handler, fd=listening.fileno())
        listening.close()  # it has its own copy
        return server
