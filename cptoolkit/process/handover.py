"""Listening sockets that outlive their server: for its successor, in this program or the next run.

While nobody serves them, connections wait in the kernel. The next run of the program, in the same
process, inherits the descriptors; which ones they are it finds in its environment.
"""

from __future__ import annotations

import json
import os
import socket

VARIABLE = "CPTOOLKIT_SOCKETS"
"""JSON: a list of (name, descriptor, what ``getsockname`` gives, as text)."""

_waiting: list[tuple[str, socket.socket]] = []


def leave(name: str, sockets: list[socket.socket]) -> None:
    """Leave sockets to the server that will :func:`claim` them under that name."""
    _waiting.extend((name, sock) for sock in sockets)


def claim(name: str) -> list[socket.socket]:
    """Take the sockets that were left under that name; an empty list if there are none."""
    _accept_inheritance()
    found = [sock for left_as, sock in _waiting if left_as == name]
    _waiting[:] = [pair for pair in _waiting if pair[0] != name]
    return found


def discard() -> None:
    """Close what nobody has claimed."""
    _accept_inheritance()
    while _waiting:
        _waiting.pop()[1].close()


def bequeath() -> None:
    """Make the program that this process is about to run inherit what is left."""
    heritage = []
    for name, sock in _waiting:
        sock.set_inheritable(True)
        heritage.append((name, sock.fileno(), repr(sock.getsockname())))
    if heritage:
        os.environ[VARIABLE] = json.dumps(heritage)


def _accept_inheritance() -> None:
    # Not for our own children: they inherit the environment, but no descriptors.
    heritage = os.environ.pop(VARIABLE, None)
    for name, descriptor, address in json.loads(heritage) if heritage else ():
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError:
            continue
        if _listens(sock) and repr(sock.getsockname()) == address:
            sock.set_inheritable(False)
            _waiting.append((name, sock))
        else:
            sock.detach()  # something else's


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
