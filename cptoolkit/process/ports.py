"""Find out whether somebody listens on a TCP port, and wait until that changes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

FREE_SECONDS = 1.0
"""How long a port may take to become free: the process before this one may still be closing it."""

OCCUPIED_SECONDS = 5.0
"""How long a server may take to listen."""

_LOOK_SECONDS = 0.05


def client_host(server_host: str) -> str:
    """The address at which a client on this machine reaches a server that listens on
    ``server_host``."""
    if server_host in ("", "0.0.0.0"):
        return "127.0.0.1"
    if server_host in ("::", "::0", "::0.0.0.0"):
        return "::1"
    return server_host


def check_port(host: str, port: int, timeout: float = 1.0) -> None:
    """Return if nobody listens there.

    :param timeout: seconds to wait for a connection.
    :raises ValueError: if no host is given.
    :raises OSError: if somebody does.
    """
    if not host:
        raise ValueError(
            "host must be an address or a name, got none: '0.0.0.0' stands for every interface"
        )
    if is_listening(host, port, timeout):
        raise OSError(
            f"Port {port} is in use on {client_host(host)}; perhaps a server runs already."
        )


def wait_for_free_port(host: str, port: int, timeout: float = FREE_SECONDS) -> None:
    """Wait until nobody listens there.

    :raises OSError: if somebody still does after ``timeout`` seconds.
    """
    if not _becomes(lambda: not is_listening(host, port), timeout):
        raise OSError(f"Port {port} is not free on {client_host(host)} after {timeout} s.")


def wait_for_occupied_port(host: str, port: int, timeout: float = OCCUPIED_SECONDS) -> None:
    """Wait until somebody listens there.

    :raises OSError: if nobody does after ``timeout`` seconds.
    """
    if not _becomes(lambda: is_listening(host, port), timeout):
        raise OSError(f"Port {port} is not bound on {client_host(host)} after {timeout} s.")


def is_listening(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether a connection can be made."""
    try:
        with socket.create_connection((client_host(host), port), timeout):
            return True
    except OSError:
        return False


def _becomes(wanted: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not wanted():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
