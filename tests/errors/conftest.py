"""What the catalogue of messages is made of: words to provoke them with, and what they yield."""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import logging
import os
import re
import socket
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import trustme
from beside import PATIENCE
from webob import Request

import cptoolkit
from cptoolkit import Pipeline, cli, middleware, process, servers, use
from cptoolkit.middleware import at, rate_stores
from cptoolkit.middleware.auth import ha1
from cptoolkit.middleware.caching.redis import RedisStore as RedisCacheStore
from cptoolkit.middleware.sessions.ram import RamStore
from cptoolkit.middleware.sessions.stored import FileSession
from cptoolkit.servers import Server

HERE = Path(__file__).parent


def rows(name: str) -> list[str]:
    """The expressions of a list: those lines that are neither empty nor a heading."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


class Root:
    _cp_config = {"tools.trailing_slash.on": False}

    @cptoolkit.expose
    def index(self, a="", b=""):
        return "home"

    @cptoolkit.expose
    def takes(self, a):
        return a

    @cptoolkit.expose
    @cptoolkit.tools.json_in()
    def json(self):
        return "read"

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods=["GET"])
    def only_get(self):
        return "got"

    @cptoolkit.expose
    @cptoolkit.tools.accept(media=["text/html"])
    def accepts(self):
        return "html"

    @cptoolkit.expose
    def page(self, *rest):
        return "page"

    @cptoolkit.expose
    @cptoolkit.tools.websocket()
    def websocket(self):
        return "open"

    @cptoolkit.expose
    def login(self, *rest, **form):
        return "in"

    xmlrpc = cptoolkit._cptools.XMLRPCController()

    @cptoolkit.expose
    @cptoolkit.tools.params()
    def number(self, n: int):
        return str(n)

    @cptoolkit.expose
    @cptoolkit.tools.params()
    def boolean(self, b: bool):
        return str(b)


class Textual:
    """A serializer that makes text, where bytes are wanted."""

    dumps, loads = staticmethod(str), staticmethod(dict)


class Hidden:
    """An object tree without a page."""


SETTINGS = {
    "/referred": {"tools.referer.on": True, "tools.referer.pattern": "http://a.example/"},
    "/basic": {
        "tools.auth_basic.on": True,
        "tools.auth_basic.realm": "r",
        "tools.auth_basic.checkpassword": lambda realm, name, password: False,
    },
    "/digest": {
        "tools.auth_digest.on": True,
        "tools.auth_digest.realm": "r",
        "tools.auth_digest.get_ha1": ha1.get_ha1_dict_plain({"a": "b"}),
        "tools.auth_digest.key": "k",
    },
    "/hooked": {"hooks.before_handler": "nowhere.hook"},
    "/login": {
        "tools.session_auth.on": True,
        "tools.session_auth.check_username_and_password": lambda name, password: "no",
        "tools.sessions.on": True,
    },
    "/page": {
        "tools.caching.on": True,
        "tools.proxy.on": True,
        "tools.proxy.hops": 1,
        "tools.rate_limit.on": True,
        "tools.rate_limit.limit": "1/hour",
        "tools.stats.on": True,
        "tools.stats.path": "/page/statistics",
    },
    "/body_limited": {"tools.body_limit.on": True, "tools.body_limit.max_size": 10},
    "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": "/etc"},
}


class Words:
    """The names that the expressions of the catalogue are made of.

    :param folder: for files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._undo = contextlib.ExitStack()
        authority = trustme.CA()
        pairs = [authority.issue_cert("localhost") for _ in range(2)]
        self.certificate = self.file("c.pem", pairs[0].cert_chain_pems[0].bytes())
        self.key = self.file("k.pem", pairs[0].private_key_pem.bytes())
        self.another_key = self.file("k.pem", pairs[1].private_key_pem.bytes())
        self.hello = self.file("hello_page.py", inspect.getsource(Root).replace(
            "class Root", "import cptoolkit\n\n\nclass Root", 1
        ))  # fmt: skip
        self._site = cptoolkit.Application(Root(), "", {"/": {}, **SETTINGS})

    def close(self) -> None:
        self._undo.close()

    def names(self) -> dict[str, Any]:
        """What expressions are evaluated with."""
        own = {name: getattr(self, name) for name in dir(self) if not name.startswith("_")}
        layers = {name: getattr(middleware, name) for name in middleware.__all__}
        hashes = {name: found for name, found in vars(ha1).items() if name.startswith("get_ha1")}
        return {
            **layers,
            **hashes,
            **own,
            "At": at.At,
            "FileSession": FileSession,
            "Hidden": Hidden,
            "RamStore": RamStore,
            "Textual": Textual,
            "Application": cptoolkit.Application,
            "Pipeline": Pipeline,
            "MemoryRates": rate_stores.MemoryRates,
            "RedisCacheStore": RedisCacheStore,
            "Root": Root,
            "Server": Server,
            "cptoolkit": cptoolkit,
            "engine": cptoolkit.engine,
            "folder": str(self._folder),
            "ha1": lambda realm, username: None,
            "middleware": middleware,
            "process": process,
            "servers": servers,
            "start": lambda status, headers, exc_info=None: None,
            "use": use,
        }

    @staticmethod
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    @staticmethod
    def f() -> None:
        """Anything that can be called."""

    @staticmethod
    def fail(*arguments: Any, **options: Any) -> Any:
        """What can be called, and fails."""
        raise LookupError("the reason of a failure")

    @staticmethod
    def fetch(app: Any, path: str = "/") -> None:
        with contextlib.suppress(LookupError):
            Request.blank(path).get_response(app).body  # noqa: B018

    @staticmethod
    def slow(environ: Any, start_response: Any) -> list[bytes]:
        """An application that is not there in time."""
        threading.Event().wait(0.5)
        start_response("200 OK", [])
        return []

    @staticmethod
    def answered(app: Any) -> str:
        """What a client of any application is told."""
        headers = {"HTTP_ACCEPT": "application/json"}
        answer = Request.blank("/", environ=headers).get_response(app)
        assert answer.status_int >= 400
        return " ".join(str(answer.json["message"]).split())

    @staticmethod
    def logged(act: Callable[[], Any]) -> list[str]:
        """The messages that something logs, without time and traceback."""
        lines: list[str] = []
        handler = logging.Handler()

        def emit(record: logging.LogRecord) -> None:
            lines.append(record.getMessage())
            if record.exc_info and record.exc_info[1] is not None:
                lines.append(str(record.exc_info[1]))

        handler.emit = emit  # type: ignore[method-assign]
        root, before = logging.getLogger(), logging.getLogger().level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            act()
        finally:
            root.removeHandler(handler)
            root.setLevel(before)
        told = [re.sub(r"^\[.{20}\] \S* ?", "", line).strip() for line in lines]
        return [
            line for line in told if line and '"GET ' not in line and "Request Headers" not in line
        ]

    @staticmethod
    def digest(**parameters: str) -> str:
        """Credentials, which are right but for some parameters."""
        sent = {"username": "a", "realm": "r", "nonce": "n", "uri": "/digest", "response": "0" * 32}
        sent |= {"qop": "auth", "nc": "00000001", "cnonce": "c", **parameters}
        return "Digest " + ", ".join(f'{name}="{value}"' for name, value in sent.items())

    @staticmethod
    def environ(path: str) -> dict[str, Any]:
        return dict(Request.blank(path).environ)

    @staticmethod
    def open_text(text: str) -> io.StringIO:
        return io.StringIO(text)

    def file(self, name: str, content: str | bytes) -> str:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    # The object tree

    def failed(self, handler: Callable[[], Any]) -> Any:
        """A page handler does something."""

        class Page:
            @cptoolkit.expose
            def index(self) -> Any:
                result = handler()
                if isinstance(result, Exception):
                    raise result
                return result

        app = cptoolkit.Application(Page(), "", {"/": {"request.throw_errors": True}})
        return Request.blank("/").get_response(app).body

    def asked(
        self, path: str, body: str | None = None, content_type: str = "", **environ: str
    ) -> str:
        """What a client of :class:`Root` is told."""
        words = {"HTTP_ACCEPT": "application/problem+json", "REMOTE_ADDR": "127.0.0.1"}
        if body is not None:
            words |= {"REQUEST_METHOD": "POST", "CONTENT_TYPE": content_type}
        request = Request.blank(path, environ=words)
        if body is not None:
            request.body = body.encode()
        request.environ.update(environ)
        answer = request.get_response(self._site)
        assert answer.status_int >= 400, answer.text
        if answer.content_type == "application/problem+json":
            return str(answer.json["detail"])
        return answer.text

    def checked(
        self, config: Any = None, site: dict[str, Any] | None = None, root: Any = Root
    ) -> list[str]:
        """What the checker says."""
        apps, cptoolkit.tree.apps = cptoolkit.tree.apps, {}
        settings = dict(cptoolkit.config)
        try:
            cptoolkit.tree.mount(root(), "/blog", config)
            dict.update(cptoolkit.config, site or {})
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cptoolkit.checker()
            return [str(warning.message) for warning in caught]
        finally:
            cptoolkit.tree.apps = apps
            dict.clear(cptoolkit.config)
            dict.update(cptoolkit.config, settings)

    @staticmethod
    def command(*words: str) -> str:
        """What the command says, on its one line or after its usage."""
        told = io.StringIO()
        before = list(sys.path)
        try:
            serves = mock.patch.object(cptoolkit.engine, "start", side_effect=AssertionError)
            with serves, contextlib.redirect_stderr(told), contextlib.suppress(SystemExit):
                assert cli.main(list(words)) != 0
        finally:
            cptoolkit.engine.signals.unsubscribe()
            sys.path[:] = before
        return told.getvalue().strip().splitlines()[-1]

    def kept(self, data: Any, **options: Any) -> Any:
        """A session is to keep data."""
        if "storage_type" not in options:
            options = {"storage_type": "file", "storage_path": str(self._folder), **options}

        def app(environ: Any, start_response: Any) -> Any:
            environ["cptoolkit.session"].update(data)
            return self.app(environ, start_response)

        return Request.blank("/").get_response(middleware.Sessions(app, **options)).status.split()

    # The server

    def begun(self, **options: Any) -> None:
        """A server that has to listen on its port."""
        server = Server(self.app, **{"port": 0, **options})
        try:
            server.prepare()
        finally:
            server.stop()

    @property
    def taken_port(self) -> int:
        taken = self._undo.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        return port

    def served(
        self,
        blocks: list[Any],
        status: Any = "200 OK",
        fields: Any = (),
        twice: bool = False,
    ) -> list[str]:
        """What the server's log tells of an application."""

        def app(environ: Any, start_response: Any) -> Any:
            for _ in range(1 + twice):
                if status is not None:
                    start_response(status, list(fields))
            return blocks

        with _running(app) as (port, logged):
            _talk(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return logged

    def sent(self, request: str) -> str:
        """What a client of the server is told."""
        with _running(self.app) as (port, _):
            answer = _talk(port, request.encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 4" in head[:15] or b" 5" in head[:15], answer
        return body.decode().strip().partition("\n")[2]  # the first line is the status


@contextlib.contextmanager
def _running(app: Any) -> Iterator[tuple[int, list[str]]]:
    logged: list[str] = []

    def log(message: str, level: int, traceback: bool) -> None:
        error = sys.exc_info()[1]
        if level >= logging.WARNING:
            logged.append(str(error) if traceback and error is not None else message)

    server = Server(app, host="127.0.0.1", port=0)
    server.error_log = log
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not server.ready:
            assert time.monotonic() < deadline, "the server does not begin"
            threading.Event().wait(0.002)
        assert isinstance(server.bound_addr, tuple)
        yield server.bound_addr[1], logged
    finally:
        server.stop()
        thread.join(PATIENCE)


def _talk(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while block := client.recv(65536):
                answer += block
        return answer


def provoke(expression: str, names: dict[str, Any]) -> list[str]:
    """The messages that an expression yields."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = eval(expression, {**names})
    except Exception as error:
        return [str(error)]
    assert found, "nothing was said"
    return [found] if isinstance(found, str) else list(found)


_told: dict[str, list[str] | BaseException] = {}


@pytest.fixture
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The messages by what provokes them; made once for all tests."""
    if not _told:
        modules = set(sys.modules)
        words = Words(tmp_path_factory.mktemp("catalogue"))
        folder = os.getcwd()
        names = words.names()
        try:
            for name in ("site.txt", "layers.txt", "server.txt"):
                for row in rows(name):
                    settings = dict(cptoolkit.config)
                    try:
                        _told[row] = provoke(row, names)
                    except (AssertionError, TypeError, AttributeError) as problem:
                        _told[row] = problem
                    dict.clear(cptoolkit.config)
                    dict.update(cptoolkit.config, settings)
        finally:
            words.close()
            os.chdir(folder)
            for name in set(sys.modules) - modules:
                if isinstance(sys.modules[name], types.ModuleType) and str(
                    getattr(sys.modules[name], "__file__", "")
                ).startswith(str(tmp_path_factory.getbasetemp())):
                    del sys.modules[name]
    return _told
