"""The WSGI gateway: an exchange answered by a WSGI application (PEP 3333)."""

from __future__ import annotations

import io
import logging
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

from cptoolkit.servers.errors import ClientError, Disconnected
from cptoolkit.servers.exchange import Exchange
from cptoolkit.servers.protocol import Log

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

BLOCK_SIZE = 64 * 1024

_keys: dict[bytes, str] = {}
CACHED = 1000
"""Field names whose environ key is remembered."""

CACHEABLE = 64
"""Length of the longest of them, as clients choose them."""


_PLAIN = (io.FileIO, io.BufferedReader, io.BufferedRandom)  # whose heirs may read otherwise


class FileWrapper:
    """``wsgi.file_wrapper``: a file as an iterable of blocks, closed with the answer."""

    def __init__(self, file: BinaryIO, block_size: int = BLOCK_SIZE) -> None:
        self._file = file
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._file.read(self._block_size), b"")

    def close(self) -> None:
        close = getattr(self._file, "close", None)
        if close is not None:
            close()

    def span(self) -> tuple[int, int, int] | None:
        """Return descriptor, position and bytes left of a plain file, None for anything else.

        Other objects may have a descriptor and yet read something else, a ``GzipFile`` for example.
        """
        file: Any = self._file
        if type(file).__module__ == "tempfile":
            file = getattr(file, "file", file)
        if type(file) not in _PLAIN or type(getattr(file, "raw", file)) is not io.FileIO:
            return None
        try:
            descriptor = file.fileno()
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            position = file.tell()
        except (OSError, ValueError):
            return None
        left = status.st_size - position
        return (descriptor, position, left) if left > 0 else None  # files in /proc claim none


class WSGIGateway:
    """What is the same for all requests to ``app``.

    :param address: where the server listens, as a socket tells it.
    :param multiprocess: whether other processes serve the same application.
    :param software: what ``SERVER_SOFTWARE`` says.
    :param on_exit: is told when the application raises KeyboardInterrupt or SystemExit.
    """

    about_peer: Callable[[socket.socket], dict[str, str]] | None = None
    """What tells more of the client of a Unix socket, in environ keys."""

    def __init__(
        self,
        app: Application,
        address: object,
        multiprocess: bool,
        software: str,
        log: Log,
        on_exit: Callable[[BaseException], None],
    ) -> None:
        self.app = app
        self.log = log
        self.on_exit = on_exit
        host, port = address[:2] if isinstance(address, tuple) else ("", 80)
        if host in ("", "0.0.0.0", "::"):
            host = socket.gethostname()
        self.template: Environ = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_SOFTWARE": software,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }

    def exchange(self, *framing: type[Exchange]) -> type[Exchange]:
        """Return the class of the exchanges that this gateway answers.

        :param framing: how requests and answers look on the wire, if not as in HTTP.
        """
        # Any, since pyright finds no order for bases whose number it does not know.
        bases: Any = (*framing, WSGIExchange)
        return type("WSGIExchange", bases, {"gateway": self})

    def with_fields(self, exchange: Exchange) -> Environ:
        """Return what of the environ is the same while a client repeats its fields."""
        environ = self.template.copy()
        peer = exchange.conn.peer
        host, port = peer[:2] if isinstance(peer, tuple) else ("", "")
        environ["REMOTE_ADDR"] = host
        environ["REMOTE_PORT"] = str(port)
        local = exchange.conn.local
        if isinstance(local, tuple):
            environ["SERVER_NAME"], environ["SERVER_PORT"] = local[0], str(local[1])
        if self.about_peer is not None and not isinstance(peer, tuple):
            environ.update(self.about_peer(exchange.conn.sock))
        if exchange.conn.transport is not None:
            environ["wsgi.url_scheme"] = "https"
            environ.update(exchange.conn.transport.environ())
        environ["SERVER_PROTOCOL"] = f"HTTP/{exchange.version}"
        keys = _keys
        for name, value in exchange.headers:
            key = keys.get(name)
            if key is None:
                key = self._key(name)
            if key in environ:
                self._join(environ, key, value.decode("latin-1"))
            elif key:
                environ[key] = value.decode("latin-1")
        return environ

    def _join(self, environ: Environ, key: str, value: str) -> None:
        # RFC 6265, section 5.4 for cookies; RFC 9110, section 5.3 for the rest.
        separator = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] += separator + value

    def _key(self, name: bytes) -> str:
        """Return the environ key of a field in lower case, "" for one that must not get in."""
        cacheable = len(_keys) < CACHED and len(name) <= CACHEABLE
        if b"_" in name:
            # It would be taken for the one with a hyphen, which a proxy in front may have removed.
            key = ""
            if cacheable:
                text = f"request fields named {name.decode()!r} are dropped: '_' poses as '-'"
                self.log(text, logging.WARNING, False)
        else:
            key = name.decode().upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = "HTTP_" + key
        if cacheable:
            _keys[name] = key
        return key


class WSGIExchange(Exchange):
    """An exchange that is answered by calling the application."""

    gateway: WSGIGateway
    _written: bool = False

    def answer(self) -> None:
        gateway = self.gateway
        try:
            result = gateway.app(self.environ(), self._start_response)
            kind = type(result)
            if (kind is list or kind is tuple) and not self._written:
                self._send_all(result)  # type: ignore[arg-type]  # it is one of the two
            else:
                self._send_each(result)
        except BaseException as exc:
            self.fail(exc)

    def fail(self, exc: BaseException) -> None:
        """Make the best of an application that has raised an exception, or cannot be called.

        :raises Disconnected: if that is what it was.
        """
        if self.taken_over is not None:
            self.taken_over.fail(exc)
            return
        if isinstance(exc, Disconnected):
            self.abort()
            raise exc
        if isinstance(exc, ClientError):
            self._give_up(exc.status, str(exc))
        elif isinstance(exc, (KeyboardInterrupt, SystemExit)):
            self.gateway.on_exit(exc)
            self._give_up("503 Service Unavailable", "The server is stopping.")
        else:
            what = f"{self.method} {self.target.decode('latin-1')!r}"
            text = f"error in the application while it answered {what}"
            self.gateway.log(text, logging.ERROR, True)
            self._give_up("500 Internal Server Error", "The application failed.")

    def _give_up(self, status: str, reason: str) -> None:
        if not self.head_sent:
            self.refuse(status, reason)
        elif not self.finished:
            self.abort()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # or this frame would be part of a cycle
        elif self.started:
            if self.taken_over is not None:
                return self._write
            raise RuntimeError("start_response was called twice, the second time without exc_info")
        self.start(status, headers)
        return self._write

    def _write(self, data: bytes) -> None:
        """Send ``data`` now; for applications that cannot return an iterable."""
        _check_block(data)
        if self.finished:
            raise RuntimeError("write was called after the answer was complete")
        self._written = True
        if data:
            self.write(data)

    def _send_all(self, blocks: list[bytes] | tuple[bytes, ...]) -> None:
        if not self.started:
            raise RuntimeError("start_response was not called before the body was returned")
        if len(blocks) == 1:
            data = blocks[0]
            if type(data) is not bytes:
                _check_block(data)
        else:
            # All blocks are there already, so sending them as one delays none (PEP 3333,
            # "Buffering and Streaming").
            data = b"".join(blocks)
        self.respond(data)

    def _send_each(self, blocks: Iterable[bytes]) -> None:
        try:
            if isinstance(blocks, FileWrapper) and self.started and self.sends_files:
                span = blocks.span()
                if span is not None and not self.head_sent:
                    self.send_file(*span)
                    return
            for block in blocks:
                _check_block(block)
                if not self.started:
                    raise RuntimeError("start_response was not called before the first block")
                if block:
                    self.write(block)
            if not self.started:
                raise RuntimeError("start_response was not called at all")
            self.finish()
        finally:
            close = getattr(blocks, "close", None)
            if close is not None:
                close()

    def environ(self) -> Environ:
        """Return what an application is told of the request (PEP 3333)."""
        conn, headers, target = self.conn, self.headers, self.target
        memo = conn.memo
        if memo is None or memo[0] is not headers:
            # The protocol hands out the same list when a client repeats its fields.
            conn.memo = memo = (headers, self.gateway.with_fields(self))
        environ: Environ = memo[1].copy()
        path, _, query = target.partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        environ["REQUEST_METHOD"] = self.method
        # "*" is no path: an application gets the empty one, and the target in REQUEST_URI.
        environ["PATH_INFO"] = path.decode("latin-1") if target != b"*" else ""
        environ["QUERY_STRING"] = query.decode("latin-1")
        environ["REQUEST_URI"] = environ["RAW_URI"] = (self.uri or target).decode("latin-1")
        environ["wsgi.input"] = self.body
        if self.upgrade:
            from cptoolkit.servers.upgrade import offer  # few servers see such a request

            offer(self, environ)
        return environ


def _check_block(block: object) -> None:
    if not isinstance(block, bytes):
        raise TypeError(f"a response body is made of bytes, got {type(block).__name__}")
