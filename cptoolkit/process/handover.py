"""Listening sockets that outlive their server: for its successor, in this program or the next run.

While nobody serves them, connections wait in the kernel. The next run of the program, in the same
process, inherits the descriptors; which ones they are it finds in its environment.
"""

from __future__ import annotations

import json
import os
import socket

VARIABLE = "CPTOOLKIT_SOCKETS"
"""JSON: a list of (name, list of (descriptor, what ``getsockname`` gives, as text))."""

_waiting: list[tuple[str, list[socket.socket]]] = []


def leave(name: str, sockets: list[socket.socket]) -> None:
    """Leave sockets to the server that will :func:`claim` them under that name.

    Servers on port 0 may have the same name: the first to leave has the first to claim as its
    successor.
    """
    _waiting.append((name, sockets))


def claim(name: str) -> list[socket.socket]:
    """Take the sockets that a server has left under that name; an empty list if there are none."""
    _accept_inheritance()
    for index, (left_as, sockets) in enumerate(_waiting):
        if left_as == name:
            del _waiting[index]
            return sockets
    return []


def discard() -> None:
    """Close what nobody has claimed."""
    _accept_inheritance()
    while _waiting:
        for sock in _waiting.pop()[1]:
            sock.close()


def bequeath() -> None:
    """Make the program that this process is about to run inherit what is left."""
    heritage = []
    for name, sockets in _waiting:
        for sock in sockets:
            sock.set_inheritable(True)
        heritage.append((name, [(sock.fileno(), repr(sock.getsockname())) for sock in sockets]))
    if heritage:
        os.environ[VARIABLE] = json.dumps(heritage)


def _accept_inheritance() -> None:
    # Not for our own children: they inherit the environment, but no descriptors.
    heritage = os.environ.pop(VARIABLE, None)
    for name, entries in json.loads(heritage) if heritage else ():
        sockets = [sock for entry in entries if (sock := _inherited(*entry)) is not None]
        if sockets:
            _waiting.append((name, sockets))


def _inherited(descriptor: int, address: str) -> socket.socket | None:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return None
    if _listens(sock) and repr(sock.getsockname()) == address:
        sock.set_inheritable(False)
        return sock
    sock.detach()  # something else's
    return None


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
