"""The options of the bundled server: one documented field each, checked when they are made."""

from __future__ import annotations

import math
import re
import socket as socket_module
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

LONGEST = 1_000_000
"""Seconds that something may take at most, more than eleven days. poll(2) takes twice as much."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that can be chosen about a :class:`~cptoolkit.servers.Server`.

    Sizes are bytes, times are seconds.

    :raises TypeError: if a value is of the wrong type.
    :raises ValueError: if a value is out of range.
    """

    host: str = "127.0.0.1"
    """Address to listen on: a name, an IPv4 or an IPv6 address; "" is every interface."""

    port: int = 8080
    """TCP port to listen on; 0 takes a free one, to be read from ``bound_addr``."""

    socket: socket_module.socket | Sequence[socket_module.socket] | None = None
    """A socket that is listening already, or several of them; host, port, ``socket_file`` and
    ``socket_queue_size`` are then ignored."""

    socket_file: str = ""
    """Path of a Unix socket to listen on instead of host and port. What a dead server has left
    there is removed; a socket that answers, or another file, is not."""

    socket_mode: str = "0600"
    """Who may connect to ``socket_file``, as octal permissions."""

    peercreds: bool = False
    """Whether the environ tells of the process at the other end of a Unix socket, on Linux:
    X_REMOTE_PID, X_REMOTE_UID, X_REMOTE_GID. Not through FastCGI and SCGI, which have a web server
    at the other end."""

    peercreds_resolve: bool = False
    """Whether its user and group have their names there, too: X_REMOTE_USER, X_REMOTE_GROUP, and
    REMOTE_USER."""

    thread_pool: int = 10
    """Threads, and so handlers that can run at the same time; but see ``max_upgrades``."""

    thread_pool_max: int = -1
    """Threads to grow to while all of them are blocked and requests wait; -1 never grows."""

    socket_queue_size: int = 1024
    """Connections that the kernel keeps until they are accepted, the backlog of ``listen(2)``."""

    accepted_queue_size: int = -1
    """Connections whose requests may wait for a thread while all are at work; -1 is without limit.
    One of which something else has come, its end for example, counts until a thread has looked."""

    accepted_queue_timeout: float = 10.0
    """How long requests beyond ``accepted_queue_size`` wait for a place among those, before they
    are refused with 503."""

    max_connections: int = 0
    """Connections open at the same time; more wait in the kernel. 0 leaves a quarter of the file
    descriptors that the process may open to the application."""

    max_upgrades: int = 1000
    """Connections that applications may take over at the same time, WebSockets for example; more
    are refused with 503. Each has a thread of its own beside ``thread_pool``, and so has a request
    whose application has to wait for a slow client, from then on: up to this number of threads
    together. 0 keeps all to ``thread_pool``."""

    keep_alive_timeout: float = 10.0
    """How long an idle connection stays open after an answer; 0 closes it with the answer."""

    socket_timeout: float = 10.0
    """How long a client may neither send of its body nor take of its answer; 0 is for ever."""

    header_timeout: float = 10.0
    """How long a client may take from connecting, or its first byte, to the end of a head; 0 is
    for ever."""

    body_rate: int = 240
    """Bytes per second that a client has to send of a body on average, after the first
    ``socket_timeout``; a slower one is refused with 408. Time in which the application works does
    not count. 0 is any, as it is with ``socket_timeout`` 0."""

    max_request_line_size: int = 16 * 1024
    """Longest request target; a longer one is refused with 414."""

    max_request_header_size: int = 64 * 1024
    """Longest fields of a request together, their line ends included; more is refused with 431.
    Chunk extensions, and a trailer, have the same limit."""

    max_request_body_size: int = 100 * 1024 * 1024
    """Longest request body; a longer one is refused with 413; 0 is without limit."""

    request_body_buffer: int = 64 * 1024
    """How much of a body is read before the application is called, so that slow senders of
    shorter ones hold no thread; what comes after it is streamed. 0 calls it at once."""

    stream_rate: int = 256 * 1024
    """Bytes per second from which on a longer body is streamed to the application. A slower one is
    first collected in a temporary file, so that it holds no thread; a full disk refuses it with
    507. 0 streams all."""

    response_buffer: int = 1024 * 1024
    """How much of an answer is kept for a client that takes it slowly. Applications that produce
    more wait; whole bodies and files do not count, they hold no thread."""

    shutdown_timeout: float = 5.0
    """How long requests in flight may take to finish when the server stops."""

    server_name: str = "cptoolkit"
    """What the ``Server`` field and ``SERVER_SOFTWARE`` say; with "" no such field is sent."""

    protocol_version: str = "HTTP/1.1"
    """Highest version that is spoken: "HTTP/1.1" or "HTTP/1.0"."""

    nodelay: bool = True
    """Whether TCP sends small answers at once (``TCP_NODELAY``)."""

    reuse_port: bool = False
    """Whether several processes may listen on the same port (``SO_REUSEPORT``)."""

    protocol: str = "http"
    """What is spoken: "http", or with a web server in front "scgi" or "fastcgi"."""

    proxy_protocol: str = ""
    """Proxies whose connections begin with a PROXY header, version 1 or 2, which tells the client's
    address: addresses and networks with commas between them, "unix" for those on a Unix socket,
    "*" for all. From others such a header is refused."""

    ssl_certificate: str = ""
    """Path of the certificate (PEM); with it, TLS is spoken. The file is read anew when it changes.
    """

    ssl_private_key: str = ""
    """Path of the certificate's key (PEM), if it is not in the certificate's file."""

    ssl_private_key_password: str = ""
    """What the key is encrypted with."""

    ssl_certificate_chain: str = ""
    """Path of the certificates between the server's and the root (PEM)."""

    ssl_ciphers: str = ""
    """Ciphers for TLS 1.2, in OpenSSL's notation; "" is the library's choice."""

    ssl_client_ca: str = ""
    """Path of the authorities (PEM) whose client certificates are accepted."""

    ssl_verify_client: str = ""
    """Whether clients are asked for a certificate: "" no, "optional", "required"."""

    ssl_hosts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Certificate and key by the name of the host that the client asks for (SNI, RFC 6066); names
    may begin with ``*.``. For all others it is ``ssl_certificate``."""

    ssl_context: Any = None
    """A ready context instead of all that: an :class:`ssl.SSLContext`, or one of pyOpenSSL."""

    ssl_module: str = "builtin"
    """The TLS library: "builtin" is Python's, "pyopenssl" the package of that name.
    A ready context decides by itself."""

    processes: int = 1
    """Processes that serve the same address. More than one are forked when the server starts; one
    that dies is replaced. Threads, connections and queues are counted in each by itself."""

    statistics: bool = False
    """Whether requests, bytes and connections are counted, see :attr:`Server.statistics`."""

    def __post_init__(self) -> None:
        for one in fields(self):
            _check(one.name, getattr(self, one.name))
        _check_sockets(self.socket)
        if self.port > 65535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}")
        if self.thread_pool_max != -1 and self.thread_pool_max < self.thread_pool:
            raise ValueError(
                f"thread_pool_max must be -1 or at least thread_pool ({self.thread_pool}),"
                f" got {self.thread_pool_max}"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                known = ", ".join(map(repr, choices[:-1]))
                raise ValueError(
                    f"{name} must be {known} or {choices[-1]!r}, got {getattr(self, name)!r}"
                )
        if not re.fullmatch("0?[0-7]{3}", self.socket_mode):
            raise ValueError(f"socket_mode must be like '0600', got {self.socket_mode!r}")
        if not self.server_name.isprintable() or not self.server_name.isascii():
            raise ValueError(f"server_name must be printable ASCII, got {self.server_name!r}")
        _check_peercreds(self)
        _check_tls(self)

    @classmethod
    def of(cls, **given: Any) -> Options:
        """Make options from keywords.

        :raises TypeError: if a keyword is no option; the message names the nearest one.
        """
        names = [one.name for one in fields(cls)]
        for name in given:
            if name not in names:
                from difflib import get_close_matches  # not above: only a mistake needs it

                near = get_close_matches(name, names, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"the server has no option {name!r}{hint}")
        return cls(**given)


_CHOICES = {
    "protocol_version": ("HTTP/1.1", "HTTP/1.0"),
    "protocol": ("http", "scgi", "fastcgi"),
    "ssl_verify_client": ("", "optional", "required"),
    "ssl_module": ("builtin", "pyopenssl"),
}

_NEED_CERTIFICATE = (
    "ssl_private_key",
    "ssl_private_key_password",
    "ssl_certificate_chain",
    "ssl_ciphers",
    "ssl_verify_client",
    "ssl_hosts",
)

_MOST = {"socket_queue_size": 2**31 - 1}  # an int of C

_LEAST = {
    "thread_pool": 1,
    "processes": 1,
    "thread_pool_max": -1,  # never grows
    "accepted_queue_size": -1,  # is without limit
}

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool, int),
    "socket_module.socket | Sequence[socket_module.socket] | None": (
        socket_module.socket,
        list,
        tuple,
        type(None),
    ),
    "Mapping[str, tuple[str, str]]": (Mapping,),
    "Any": (object,),
}


def _check(name: str, value: object) -> None:
    declared = str(Options.__annotations__[name])
    wanted = _TYPES[declared]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        expected = " or ".join(kind.__name__ for kind in wanted).replace("NoneType", "None")
        got = f"a {type(value).__name__}" if "password" in name else repr(value)
        raise TypeError(f"{name} must be {expected}, got {got}")
    least = _LEAST.get(name, 0)
    if isinstance(value, (int, float)) and not least <= value < math.inf:
        raise ValueError(f"{name} must be {least} or more, got {value!r}")
    most = LONGEST if declared == "float" else _MOST.get(name, math.inf)
    if isinstance(value, (int, float)) and value > most:
        raise ValueError(f"{name} must be {most} at most, got {value!r}")


def _check_sockets(given: object) -> None:
    if isinstance(given, (list, tuple)):
        if not given:
            raise ValueError("socket must be one at least, got none")
        for one in given:
            if not isinstance(one, socket_module.socket):
                raise TypeError(f"socket must hold sockets, got {one!r}")


def _check_peercreds(options: Options) -> None:
    if options.peercreds_resolve and not options.peercreds:
        raise ValueError("peercreds_resolve needs peercreds")
    if options.peercreds and options.protocol != "http":
        raise ValueError(f"peercreds needs protocol 'http', got {options.protocol!r}")
    if options.peercreds and sys.platform != "linux":
        raise ValueError("peercreds needs Linux")


def _check_tls(options: Options) -> None:
    """Refuse what would have no effect, as its absence would not be noticed."""
    if options.ssl_context is not None:
        return
    if not options.ssl_certificate:
        for name in _NEED_CERTIFICATE:
            if getattr(options, name):
                raise ValueError(f"{name} needs ssl_certificate")
    if options.ssl_verify_client and not options.ssl_client_ca:
        raise ValueError("ssl_verify_client needs ssl_client_ca")
    if options.ssl_client_ca and not options.ssl_verify_client:
        raise ValueError("ssl_client_ca needs ssl_verify_client")
    pair: Any
    for host, pair in options.ssl_hosts.items():
        if not (isinstance(pair, (tuple, list)) and [type(path) for path in pair] == [str, str]):
            raise TypeError(
                f"ssl_hosts[{host!r}] must be the paths of certificate and key, got {pair!r}"
            )
