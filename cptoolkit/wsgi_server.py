"""The bundled server under the names of CherryPy's ``wsgiserver`` and ``_cpwsgi_server``.

New programs have more choice with :class:`cptoolkit.servers.Server`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cptoolkit import site
from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.mounts import Tree
from cptoolkit.servers import Options, Server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from cptoolkit.process.httpserver import Server as ServerOnBus

Applications = Mapping[str, "WSGIApplication"] | Iterable[tuple[str, "WSGIApplication"]]
"""WSGI applications by mount point."""


@dataclass
class BuiltinSSLAdapter:
    """TLS by Python's own library, for :attr:`CherryPyWSGIServer.ssl_adapter`."""

    certificate: str
    """Path of the certificate (PEM)."""
    private_key: str
    """Path of its key (PEM)."""
    certificate_chain: str | None = None
    """Path of the certificates between the server's and the root (PEM)."""
    ciphers: str | None = None
    """Ciphers for TLS 1.2, in OpenSSL's notation."""
    context: Any = None
    """A ready context instead of all that."""

    module = "builtin"


class pyOpenSSLAdapter(BuiltinSSLAdapter):
    """TLS by pyOpenSSL, for :attr:`CherryPyWSGIServer.ssl_adapter`."""

    module = "pyopenssl"


ssl_adapters: dict[str, type[BuiltinSSLAdapter]] = {
    "builtin": BuiltinSSLAdapter,
    "pyopenssl": pyOpenSSLAdapter,
}


def get_ssl_adapter_class(name: str = "builtin") -> type[BuiltinSSLAdapter]:
    """The class that a name stands for.

    :raises ValueError: if there is none.
    """
    if name not in ssl_adapters:
        raise ValueError(f"there is no SSL adapter {name!r}{did_you_mean(name, ssl_adapters)}")
    return ssl_adapters[name]


class WSGIPathInfoDispatcher(Tree):
    """WSGI applications by mount point, as one: the longest mount point on the path counts."""

    def __init__(self, apps: Applications) -> None:
        super().__init__()
        for path, app in dict(apps).items():
            self.graft(app, path.rstrip("/"))


class CherryPyWSGIServer(Server):
    """A server for one WSGI application.

    The attributes may be changed until it starts.

    :param bind_addr: host and port, or the path of a Unix socket.
    :param wsgi_app: the application, or several as pairs of mount point and application.
    :param numthreads: threads, and so handlers that can run at the same time.
    :param server_name: SERVER_NAME for the application, if not the host.
    :param max: threads to grow to while all of them are blocked; -1 never grows.
    :param request_queue_size: connections that the kernel keeps until they are accepted.
    :param timeout: seconds for which a client may keep the server waiting.
    :param shutdown_timeout: seconds for which requests in flight may go on when it stops.
    :param accepted_queue_size: requests that may wait for a thread; -1 is without limit.
    :param accepted_queue_timeout: seconds for which others wait for a place among those.
    """

    protocol: str = "HTTP/1.1"
    """Highest version that is spoken."""
    nodelay: bool = True
    """Whether TCP sends small answers at once."""
    max_request_header_size: int = Options.max_request_header_size
    """Longest request head, in bytes."""
    max_request_body_size: int = Options.max_request_body_size
    """Longest request body, in bytes; 0 is without limit."""
    ssl_adapter: BuiltinSSLAdapter | None = None
    """How TLS is spoken; None for plain HTTP."""

    def __init__(
        self,
        bind_addr: tuple[str | None, int] | str,
        wsgi_app: WSGIApplication | Iterable[tuple[str, WSGIApplication]],
        numthreads: int = 10,
        server_name: str | None = None,
        max: int = -1,
        request_queue_size: int = Options.socket_queue_size,
        timeout: float = 10,
        shutdown_timeout: float = 5,
        accepted_queue_size: int = -1,
        accepted_queue_timeout: float = 10,
        reuse_port: bool = False,
    ) -> None:
        self.wsgi_app = wsgi_app if callable(wsgi_app) else WSGIPathInfoDispatcher(wsgi_app)
        self.numthreads = numthreads
        self.max = max
        self.server_name = server_name
        self.request_queue_size = request_queue_size
        self.timeout = timeout
        self.shutdown_timeout = shutdown_timeout
        self.accepted_queue_size = accepted_queue_size
        self.accepted_queue_timeout = accepted_queue_timeout
        self.reuse_port = reuse_port
        self._wanted = bind_addr
        super().__init__(self.wsgi_app)
        self.configure(self._chosen())

    @property
    def bind_addr(self) -> Any:
        """Where it listens, or is asked to."""
        return self.bound_addr or self._wanted

    @bind_addr.setter
    def bind_addr(self, address: tuple[str | None, int] | str) -> None:
        self._wanted = address

    def prepare(self) -> None:
        """Bind and listen, as the attributes say now.

        :raises BindError: if the address cannot be had.
        :raises TLSError: if certificates cannot be used.
        :raises ValueError: if an attribute is out of range, TypeError if of the wrong type.
        """
        if not self.ready:
            self.app = self.wsgi_app
            if self.server_name:
                self.app = _named(self.wsgi_app, self.server_name)
            self.configure(self._chosen())
        super().prepare()

    def _chosen(self) -> Options:
        address: dict[str, Any] = {"socket_file": self._wanted}
        if not isinstance(self._wanted, str):
            host, port = self._wanted
            address = {"host": host or "", "port": port}
        tls: dict[str, Any] = {}
        if (adapter := self.ssl_adapter) is not None:
            tls = {
                "ssl_module": adapter.module,
                "ssl_context": adapter.context,
                "ssl_certificate": adapter.certificate,
                "ssl_private_key": adapter.private_key,
                "ssl_certificate_chain": adapter.certificate_chain or "",
                "ssl_ciphers": adapter.ciphers or "",
            }
            if adapter.context is not None:
                tls = {"ssl_module": adapter.module, "ssl_context": adapter.context}
        return Options(
            thread_pool=self.numthreads,
            thread_pool_max=self.max,
            socket_queue_size=self.request_queue_size,
            socket_timeout=self.timeout,
            shutdown_timeout=self.shutdown_timeout,
            accepted_queue_size=self.accepted_queue_size,
            accepted_queue_timeout=self.accepted_queue_timeout,
            reuse_port=self.reuse_port,
            protocol_version=self.protocol,
            nodelay=self.nodelay,
            max_request_header_size=self.max_request_header_size,
            max_request_body_size=self.max_request_body_size,
            **address,
            **tls,
        )


class CPWSGIServer(Server):
    """The server of the site: what ``cptoolkit.server`` makes by itself if it is given none.

    :param server_adapter: whose settings it takes, and whose ``app`` it serves, each time it
        starts.
    :raises CannotServe: if the settings make no sense.
    """

    def __init__(self, server_adapter: ServerOnBus = site.server) -> None:
        self._adapter = server_adapter
        super().__init__(server_adapter.app or site.tree)
        self.configure(server_adapter.options())

    def prepare(self) -> None:
        """Bind and listen, as the settings of the adapter say now.

        :raises CannotServe: if they make no sense.
        :raises BindError: if the address cannot be had.
        """
        if not self.ready:
            self.app = self._adapter.app or site.tree
            self.configure(self._adapter.options())
        super().prepare()


def _named(app: WSGIApplication, server_name: str) -> WSGIApplication:
    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["SERVER_NAME"] = server_name
        return app(environ, start_response)

    return call


__all__ = [
    "BuiltinSSLAdapter",
    "CPWSGIServer",
    "CherryPyWSGIServer",
    "WSGIPathInfoDispatcher",
    "get_ssl_adapter_class",
    "pyOpenSSLAdapter",
    "ssl_adapters",
]
