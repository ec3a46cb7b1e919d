"""The options of the bundled server: one documented field each, checked when they are made."""

from __future__ import annotations

import math
import socket as socket_module
from dataclasses import dataclass, fields
from typing import Any


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

    socket: socket_module.socket | None = None
    """A socket that is listening already; host, port and ``socket_queue_size``
    are then ignored."""

    thread_pool: int = 10
    """Threads, and so handlers that can run at the same time."""

    thread_pool_max: int = -1
    """Threads to grow to while all of them are blocked and requests wait; -1 never grows."""

    socket_queue_size: int = 1024
    """Connections that the kernel keeps until they are accepted, the backlog of ``listen(2)``."""

    keep_alive_timeout: float = 10.0
    """How long an idle connection stays open after an answer; 0 closes it with the answer."""

    socket_timeout: float = 10.0
    """How long a client may neither send of its body nor take of its answer; 0 is for ever."""

    header_timeout: float = 10.0
    """How long a client may take from connecting, or its first byte, to the end of a head; 0 is
    for ever."""

    max_request_line_size: int = 16 * 1024
    """Longest request target; a longer one is refused with 414."""

    max_request_header_size: int = 64 * 1024
    """Longest request head; a longer one is refused with 431."""

    max_request_body_size: int = 100 * 1024 * 1024
    """Longest request body; a longer one is refused with 413; 0 is without limit."""

    request_body_buffer: int = 64 * 1024
    """How much of a body is read before the application is called, so that slow senders of
    shorter ones hold no thread; what comes after it is streamed. 0 calls it at once."""

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

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        if self.port > 65535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}")
        if self.thread_pool < 1:
            raise ValueError(f"thread_pool must be 1 or more, got {self.thread_pool}")
        if self.thread_pool_max != -1 and self.thread_pool_max < self.thread_pool:
            raise ValueError(
                f"thread_pool_max must be -1 or at least thread_pool ({self.thread_pool}),"
                f" got {self.thread_pool_max}"
            )
        if self.protocol_version not in ("HTTP/1.1", "HTTP/1.0"):
            raise ValueError(
                f"protocol_version must be 'HTTP/1.1' or 'HTTP/1.0', got {self.protocol_version!r}"
            )
        if not self.server_name.isprintable() or not self.server_name.isascii():
            raise ValueError(f"server_name must be printable ASCII, got {self.server_name!r}")

    @classmethod
    def of(cls, **given: Any) -> Options:
        """Make options from keywords.

        :raises TypeError: if a keyword is no option; the message names the nearest one.
        """
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                from difflib import get_close_matches  # not above: only a mistake needs it

                near = get_close_matches(name, names, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"the server has no option {name!r}{hint}")
        return cls(**given)


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool, int),
    "socket_module.socket | None": (socket_module.socket, type(None)),
}


def _check(name: str, value: object) -> None:
    declared = str(Options.__annotations__[name])
    wanted = _TYPES[declared]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        expected = " or ".join(kind.__name__ for kind in wanted).replace("NoneType", "None")
        raise TypeError(f"{name} must be {expected}, got {value!r}")
    least = -1 if name == "thread_pool_max" else 0
    if isinstance(value, (int, float)) and not least <= value < math.inf:
        raise ValueError(f"{name} must be {least} or more, got {value!r}")
