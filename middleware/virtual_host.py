"""Serve several host names from one address, each with an application of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cptoolkit.middleware.forwarding.addresses import Network, Peers
from cptoolkit.middleware.forwarding.forwarded import DEFAULT_PORTS, split_port

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(eq=False)
class VirtualHost:
    """A WSGI application that hands each request to the application of its host (RFC 9110,
    section 7.2).

    Case does not count, nor does a dot at the end. A name with its port wins over the bare name,
    which stands for every port. With an application that refuses as ``default``, such as
    ``webob.exc.HTTPNotFound()``, the names are the list of hosts that are served at all.

    :raises TypeError: if one of the applications cannot be called.
    :raises ValueError: if one of the names is no host name, or is there twice, or ``trusted``
        holds what is no address, or is there without ``use_x_forwarded_host``.
    """

    default: WSGIApplication
    """What answers for all other hosts, and requests without any."""

    domains: Mapping[str, WSGIApplication] = field(default_factory=dict)
    """Applications by host: ``"example.org"``, or ``"example.org:8080"`` for one port alone."""

    use_x_forwarded_host: bool = False
    """Whether ``X-Forwarded-Host``, of several the last, counts over ``Host``. Right only behind a
    proxy that sets or removes the field: anybody else's clients would choose what they reach."""

    trusted: str | Network | Sequence[str | Network] = ()
    """Addresses and networks of the proxies whose ``X-Forwarded-Host`` counts, ``"unix"`` for one
    that comes through a Unix socket; without them everybody's does."""

    def __post_init__(self) -> None:
        if not callable(self.default):
            raise TypeError(f"default must be a WSGI application, got {self.default!r}")
        apps: dict[str, WSGIApplication] = {}
        for name, app in self.domains.items():
            host = _host(name)
            if not callable(app):
                raise TypeError(f"domains[{name!r}] must be a WSGI application, got {app!r}")
            if host in apps:
                raise ValueError(f"domains has {host!r} twice, once as {name!r}")
            apps[host] = app
        self.domains = MappingProxyType(apps)
        self._peers = Peers("trusted", self.trusted)
        if self._peers and not self.use_x_forwarded_host:
            raise ValueError("trusted says whose X-Forwarded-Host counts: set use_x_forwarded_host")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        return self.find(environ)(environ, start_response)

    def find(self, environ: WSGIEnvironment) -> WSGIApplication:
        """The application that answers a request."""
        asked = environ.get("HTTP_HOST", "")
        if self.use_x_forwarded_host and (
            not self._peers or self._peers.hold(environ.get("REMOTE_ADDR", ""))
        ):
            forwarded = environ.get("HTTP_X_FORWARDED_HOST", "")
            # Proxies append. What stands before the last one's may be the client's invention.
            asked = forwarded.rpartition(",")[2].strip() or asked
        name, port = _split(asked.lower())
        port = port or DEFAULT_PORTS.get(environ["wsgi.url_scheme"], "")
        return self.domains.get(f"{name}:{port}") or self.domains.get(name) or self.default


def _split(host: str) -> tuple[str, str]:
    """The name and the port of a host, as they are compared."""
    name, port = split_port(host)
    return name.removesuffix(":").removesuffix("."), port


def _host(name: str) -> str:
    """A key of ``domains`` as it is looked up.

    :raises ValueError: if it is more or less than a host name.
    """
    if "://" in name:
        raise ValueError(
            f"domains takes host names, not URLs: {name!r}; did you mean {urlsplit(name).netloc!r}?"
        )
    host, port = _split(name.lower())
    if not host or any(character in host for character in "/,@ \t"):
        raise ValueError(f"domains takes host names such as 'example.org', got {name!r}")
    return f"{host}:{port}" if port else host
