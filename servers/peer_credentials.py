"""Who is at the other end of a Unix socket, as the kernel tells (unix(7), SO_PEERCRED)."""

from __future__ import annotations

import socket
import struct

_FORM = struct.Struct("3i")


def peer_credentials(sock: socket.socket, resolve: bool) -> dict[str, str]:
    """Return the environ keys that tell of the process at the other end.

    They are X_REMOTE_PID, X_REMOTE_UID and X_REMOTE_GID: what they were when it connected.

    :param sock: a connected Unix socket.
    :param resolve: whether to add the names, X_REMOTE_USER and X_REMOTE_GROUP, and REMOTE_USER
        (RFC 3875, section 4.1.11). A number without a name stands for itself.
    """
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _FORM.size)
    pid, uid, gid = _FORM.unpack(told)
    found = {"X_REMOTE_PID": str(pid), "X_REMOTE_UID": str(uid), "X_REMOTE_GID": str(gid)}
    if resolve:
        user = _user(uid)
        found |= {"X_REMOTE_USER": user, "X_REMOTE_GROUP": _group(gid), "REMOTE_USER": user}
    return found


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
