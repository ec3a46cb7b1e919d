"""Listening sockets."""

from __future__ import annotations

import os
import socket

from cptoolkit.servers.errors import BindError
from cptoolkit.servers.options import Options


def listen(options: Options) -> list[socket.socket]:
    """Return the non-blocking sockets that ``options`` ask for, bound and listening.

    :raises BindError: if the address is unknown, taken or forbidden.
    """
    if options.socket is not None:
        given = options.socket
        sockets = [given] if isinstance(given, socket.socket) else list(given)
        for sock in sockets:
            sock.setblocking(False)
        return sockets
    where = f"[{options.host}]" if ":" in options.host else options.host or "*"
    try:
        found = socket.getaddrinfo(
            options.host or None, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # With "" the resolver may put the IPv6 wildcard first: it takes IPv4 clients along.
        family, kind, proto, _, address = found[0]
        sock = socket.socket(family, kind, proto)
    except OSError as exc:
        raise _bind_error(exc, f"{where}:{options.port}") from exc
    try:
        if os.name == "posix":
            # On Windows this option would let two servers share one port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and options.host in ("", "::"):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(options.socket_queue_size)
    except OSError as exc:
        sock.close()
        raise _bind_error(exc, f"{where}:{options.port}") from exc
    sock.setblocking(False)
    return [sock]


def _bind_error(cause: OSError, where: str) -> BindError:
    reason = (cause.strerror or str(cause)).lower()
    error = BindError(f"cannot listen on {where}: {reason}")
    error.errno = cause.errno
    return error
