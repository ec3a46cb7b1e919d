"""Tests of a web site by unittest: fetch a page, then assert something of it (reference, 5.13)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from string import printable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cptoolkit.process.ports import client_host
from cptoolkit.testing.assertions import PageAssertions
from cptoolkit.testing.cookies import joined, kept

if TYPE_CHECKING:
    import ssl

Fields = Iterable[tuple[str, str]]
Page = tuple[str, list[tuple[str, str]], bytes]
"""Status, header fields and body."""
Connect = Callable[..., HTTPConnection]
Errors = type[BaseException] | tuple[type[BaseException], ...]

CONNECT_SECONDS = 5.0
"""How long a server may take until it listens."""
ANSWER_SECONDS = 60.0
"""How long a server may be silent; then TimeoutError."""

_LOOK_SECONDS = 0.02


class WebCase(PageAssertions):
    """Tests of a site that is served somewhere else already. Nothing is ever asked of the user."""

    HOST: str = "127.0.0.1"
    """Where the server is; an address of all interfaces stands for this machine."""
    PORT: int = 8000
    """Its port."""
    PROTOCOL: str = "HTTP/1.1"
    """The version of HTTP that requests name, if :meth:`getPage` is not given another one."""
    scheme: str = "http"
    """``http`` or ``https``."""
    ssl_context: ssl.SSLContext | None = None
    """How to check the server's certificate with ``https``; None trusts what the system does."""
    HTTP_CONN: Connect | HTTPConnection = HTTPConnection
    """What makes a connection to (host, port), or a connection to use for all pages."""
    interactive: bool = False
    """A setting that programs make. False or true, a failure is only reported."""

    url: str | bytes | None = None
    """The URL of the last page, as it was asked for."""
    time: float | None = None
    """Seconds until the last page was there."""

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        self.cookies: list[tuple[str, str]] = []
        """The cookies that are set, one ``("Cookie", "name=value")`` field for each. Requests bring
        them along if they are among their ``headers``."""

    def getPage(
        self,
        url: str | bytes,
        headers: Fields | None = None,
        method: str = "GET",
        body: str | bytes | None = None,
        protocol: str | None = None,
        raise_subcls: Errors | None = None,
    ) -> Page:
        """Fetch a page, for the assertions.

        :param url: a path, with a query string if need be; characters beyond ASCII are sent as
            UTF-8, percent-encoded.
        :param headers: (name, value) pairs in addition to Host, Content-Length and, for POST and
            PUT, the Content-Type of a form; one given here wins.
        :param protocol: the version that the request names, ``"HTTP/1.0"`` for instance.
        :param raise_subcls: see :func:`openURL`.
        :returns: status, header fields and body, which are also in attributes of these names.
        """
        self.url = url
        started = time.perf_counter()
        page = openURL(
            url,
            headers,
            method,
            body,
            self.HOST,
            self.port(),
            self._connect(),
            protocol or self.PROTOCOL,
            raise_subcls,
        )
        self.time = time.perf_counter() - started
        self.status, self.headers, self.body = page
        self.cookies = kept(self.cookies, self.headers)
        return page

    def interface(self) -> str:
        """The address that a client connects to."""
        return client_host(self.HOST)

    def port(self) -> int:
        """The port that a client connects to."""
        return self.PORT

    @property
    def persistent(self) -> bool:
        """Whether all pages are fetched over one connection; can be set."""
        return isinstance(self.HTTP_CONN, HTTPConnection)

    @persistent.setter
    def persistent(self, on: bool) -> None:
        if isinstance(self.HTTP_CONN, HTTPConnection):
            self.HTTP_CONN.close()
            del self.HTTP_CONN
        if on:
            connect = self._connect()
            assert not isinstance(connect, HTTPConnection)
            self.HTTP_CONN = connect(self.interface(), self.port(), timeout=ANSWER_SECONDS)
            self.addCleanup(self.HTTP_CONN.close)

    def _connect(self) -> Connect | HTTPConnection:
        if self.HTTP_CONN is HTTPConnection and self.scheme == "https":
            return partial(HTTPSConnection, context=self.ssl_context)
        return self.HTTP_CONN


def openURL(
    url: str | bytes,
    headers: Fields | None = None,
    method: str = "GET",
    body: str | bytes | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    http_conn: Connect | HTTPConnection = HTTPConnection,
    protocol: str = "HTTP/1.1",
    raise_subcls: Errors | None = None,
) -> Page:
    """Fetch a page, with the parameters of :meth:`WebCase.getPage` and the attributes of its class.

    A server that does not listen yet is given five seconds.

    :param raise_subcls: exceptions that are raised at once instead, ConnectionError for instance.
    """
    data = body.encode() if isinstance(body, str) else body
    if isinstance(http_conn, HTTPConnection):
        return _fetch(http_conn, url, headers, method, data, protocol, raise_subcls)
    connection = http_conn(client_host(host), port, timeout=ANSWER_SECONDS)
    try:
        return _fetch(connection, url, headers, method, data, protocol, raise_subcls)
    finally:
        connection.close()


def _fetch(
    connection: HTTPConnection,
    url: str | bytes,
    headers: Fields | None,
    method: str,
    body: bytes | None,
    protocol: str,
    raise_subcls: Errors | None,
) -> Page:
    _open(connection, raise_subcls or ())
    # There is no other way to have it send another version than its own.
    line: Any = connection
    line._http_vsn_str = protocol
    method = method.upper()
    target = quote(url, safe=printable)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    for name, value in _header(headers or (), method, body, f"{host}:{connection.port}"):
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    try:
        content = response.read()
    finally:
        response.close()
    return f"{response.status} {response.reason}", response.getheaders(), content


def _open(connection: HTTPConnection, raised: Errors) -> None:
    deadline = time.monotonic() + CONNECT_SECONDS
    while connection.sock is None:
        try:
            connection.connect()
        except ConnectionRefusedError as error:
            if isinstance(error, raised) or time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _header(fields: Fields, method: str, body: bytes | None, host: str) -> list[tuple[str, str]]:
    given = joined(fields)
    names = {name.lower() for name, _ in given}
    usual = [("Host", host)]
    if method in ("POST", "PUT"):
        usual.append(("Content-Type", "application/x-www-form-urlencoded"))
    if (body or method in ("POST", "PUT")) and "transfer-encoding" not in names:
        usual.append(("Content-Length", str(len(body or b""))))
    return [field for field in usual if field[0].lower() not in names] + given
