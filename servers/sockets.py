"""Listening sockets: where a server is reached, and what is tidied up when it stops."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable, Sequence
from time import sleep
from typing import Any

from cptoolkit.servers.errors import BindError
from cptoolkit.servers.options import Options

PORT_ATTEMPTS = 10
"""How often another free port is tried, if the one found for a name's first address is taken on
another of its addresses."""

START_TIME = 0.05
"""Seconds that another server gets between binding its Unix socket and listening on it, before it
counts as dead."""

_NOT_HERE = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
"""Errors of an address that this machine does not have; a name may have others that it has."""


class Listeners:
    """Sockets that listen, and the file of a Unix one.

    Several of them may have the same address: the kernel deals out connections among those.

    :param sockets: at least one.
    :param file: see :class:`SocketFile`.
    :param owned: whether :meth:`close` closes them.
    """

    def __init__(
        self, sockets: Iterable[socket.socket], file: SocketFile | None = None, owned: bool = True
    ) -> None:
        self.sockets = list(sockets)
        self._file = file
        self._owned = owned
        for sock in self.sockets:
            sock.setblocking(False)

    @property
    def address(self) -> Any:
        """Host and port of the first socket, or the path of a Unix one."""
        name = self.sockets[0].getsockname()
        return name[:2] if isinstance(name, tuple) else name

    def keep_share(self, number: int, count: int) -> None:
        """Keep what one of ``count`` processes serves, and let go of the rest.

        Each address keeps at least one socket: where there are not enough, processes share them.

        :param number: which one of the processes, from 0.
        """
        groups: dict[Any, list[socket.socket]] = {}
        for sock in self.sockets:
            groups.setdefault(sock.getsockname(), []).append(sock)
        kept = []
        for group in groups.values():
            kept += group[number::count] if number < len(group) else [group[number % len(group)]]
        if self._owned:
            _close(sock for sock in self.sockets if sock not in kept)
        self.sockets = kept
        self._file = None  # that is for the parent to remove

    def hide(self) -> None:
        """Remove the file, so that nobody connects any more between the last accept and the end."""
        if self._owned and self._file is not None:
            self._file.remove()  # as long as its socket is open, no other has its identity

    def close(self) -> None:
        """Listen no longer: remove the file and close the sockets."""
        self.hide()
        if self._owned:
            _close(self.sockets)


class SocketFile:
    """The file that a Unix socket was bound to."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # the process may change its folder
        self._identity = self._look()

    def _look(self) -> tuple[int, int] | None:
        try:
            status = os.lstat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def is_there(self) -> bool:
        """Whether no other one has taken its place."""
        return self._identity is not None and self._look() == self._identity

    def remove(self) -> None:
        """Remove it, unless another one has taken its place."""
        if self.is_there():
            with contextlib.suppress(OSError):  # no right to it any more: the next server will
                os.unlink(self._path)


def check_listening(sockets: Sequence[socket.socket]) -> Sequence[socket.socket]:
    """Return sockets that were made elsewhere.

    :raises BindError: if one of them is not for connections, or does not listen.
    """
    for sock in sockets:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise BindError(
                f"cannot serve on the socket {sock.getsockname()!r}: it does not listen"
            )
    return sockets


def listen(options: Options) -> Listeners:
    """Return the non-blocking sockets that ``options`` ask for, bound and listening.

    With ``processes`` a TCP address gets a socket for each of them, if the system can do that.

    :raises BindError: if an address is unknown, taken or forbidden.
    """
    if options.socket is not None:
        given = options.socket
        sockets = [given] if isinstance(given, socket.socket) else given
        return Listeners(check_listening(sockets), owned=False)
    if options.socket_file:
        return _listen_on_file(options)
    addresses = _resolve(options.host, options.port)
    attempts = 1 if options.port or len(addresses) == 1 else PORT_ATTEMPTS
    while True:
        attempts -= 1
        try:
            return Listeners(_listen_on_all(addresses, options))
        except BindError as exc:
            if not attempts or exc.errno != errno.EADDRINUSE:
                raise


# -- TCP ------------------------------------------------------------------------------------------


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as exc:
        raise _bind_error(exc, _shown(host, port)) from exc
    except UnicodeError as exc:
        where = _shown(host, port)
        raise BindError(f"cannot listen on {where}: that is no name of a host") from exc
    # A name may stand in the hosts file several times.
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen_on_all(
    addresses: list[tuple[socket.AddressFamily, Any]], options: Options
) -> list[socket.socket]:
    """Bind to all addresses that this machine has; they get the same port."""
    sockets: list[socket.socket] = []
    port = options.port
    failure: BindError | None = None
    try:
        for family, (host, _, *scope) in addresses:
            try:
                sockets += _bind(family, (host, port, *scope), options)
            except OSError as exc:
                failure = _bind_error(exc, _shown(host, port))
                if exc.errno not in _NOT_HERE:
                    raise failure from exc
            else:
                port = sockets[-1].getsockname()[1]
        if not sockets:
            assert failure is not None
            raise failure
        for sock in sockets:
            _listen(sock, options)
    except BaseException:
        _close(sockets)
        raise
    return sockets


def _bind(family: socket.AddressFamily, address: Any, options: Options) -> list[socket.socket]:
    """Return a bound socket for each process, or one if the system does not let them share."""
    sockets = [_new(family, options)]
    try:
        if options.reuse_port:
            sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sockets[0].bind(address)
        if options.processes > 1:
            # Not before: the port would be shared with another server that does so, too.
            sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound = sockets[0].getsockname()
            while len(sockets) < options.processes:
                sock = _new(family, options)
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    sock.bind(bound)
                except OSError:  # a system where this has to be said before
                    sock.close()
                    break
                sockets.append(sock)
    except BaseException:
        _close(sockets)
        raise
    return sockets


def _new(family: socket.AddressFamily, options: Options) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    # Connections that have just ended must not keep the next server from its port.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        # "::" takes IPv4 along; the other names resolve to an address for each that is meant.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, options.host != "::")
    return sock


def _listen(sock: socket.socket, options: Options) -> None:
    try:
        sock.listen(options.socket_queue_size)
    except OSError as exc:
        raise _bind_error(exc, _shown(*sock.getsockname()[:2])) from exc


# -- Unix -----------------------------------------------------------------------------------------


def _listen_on_file(options: Options) -> Listeners:
    path = options.socket_file
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file = None
    try:
        _clear(path)
        sock.bind(path)
        file = SocketFile(path)
        # In time, as nobody can connect before listen(). A umask would change that of all threads.
        os.chmod(path, int(options.socket_mode, 8))
        sock.listen(options.socket_queue_size)
    except (OSError, ValueError) as exc:
        sock.close()
        if file is not None:
            file.remove()
        raise _bind_error(exc, path) from exc
    return Listeners([sock], file)


def _clear(path: str) -> None:
    """Remove the socket of a server that is no more.

    :raises OSError: if one answers there, or it is another kind of file.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
    dead = SocketFile(path)
    if not _answers(path):
        sleep(START_TIME)
        if not _answers(path):
            if dead.is_there():
                os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # though its queue is full
            pass
    return True


# -- both -----------------------------------------------------------------------------------------


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _bind_error(cause: OSError | ValueError, where: str) -> BindError:
    reason = getattr(cause, "strerror", None) or str(cause)
    error = BindError(f"cannot listen on {where}: {reason[:1].lower()}{reason[1:]}")
    error.errno = getattr(cause, "errno", None)
    return error
