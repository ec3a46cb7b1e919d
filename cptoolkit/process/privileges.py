"""Give up root's rights once they are not needed any more."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from cptoolkit.process.adapter import ServerAdapter
from cptoolkit.process.channels import ERROR, WARNING, ChannelFailures, OperatorError
from cptoolkit.process.simple import SimplePlugin
from cptoolkit.process.wspbus import StartFailure

if TYPE_CHECKING:
    from cptoolkit.process.wspbus import Bus

grp: ModuleType | None
pwd: ModuleType | None
try:
    import grp
    import pwd
except ImportError:  # no Unix
    grp = pwd = None


class DropPrivileges(SimplePlugin):
    """Become another user when the bus starts, after the server has got its port (reference,
    chapter 8.2), and before it serves the first request.

    A server that cannot bind without serving serves as root for a moment. The new user's
    supplementary groups take the place of root's.
    """

    def __init__(
        self,
        bus: Bus,
        umask: int | None = None,
        uid: int | str | None = None,
        gid: int | str | None = None,
    ) -> None:
        """Say what to become; nothing changes before the bus starts.

        :param umask: permission bits that new files do not get, such as ``0o077``; None leaves
            them.
        :param uid: number or name of the user to become; None stays the same.
        :param gid: number or name of the group to change to; None stays the same.
        :raises ValueError: if there is no user or group of that name, or no such umask.
        """
        super().__init__(bus)
        self._uid: int | None = None
        self._gid: int | None = None
        self._early = False
        self.finalized = False
        self.umask = umask
        self.uid = uid
        self.gid = gid

    @property
    def uid(self) -> int | None:
        """Number of the user to become; may be set by name."""
        return self._uid

    @uid.setter
    def uid(self, value: int | str | None) -> None:
        if isinstance(value, str):
            try:
                self._uid = int(_unix(pwd).getpwnam(value).pw_uid)
            except KeyError:
                raise ValueError(f"uid: there is no user named {value!r}") from None
        else:
            self._uid = value

    @property
    def gid(self) -> int | None:
        """Number of the group to change to; may be set by name."""
        return self._gid

    @gid.setter
    def gid(self, value: int | str | None) -> None:
        if isinstance(value, str):
            try:
                self._gid = int(_unix(grp).getgrnam(value).gr_gid)
            except KeyError:
                raise ValueError(f"gid: there is no group named {value!r}") from None
        else:
            self._gid = value

    @property
    def umask(self) -> int | None:
        """Permission bits that new files do not get."""
        return self._umask

    @umask.setter
    def umask(self, value: int | None) -> None:
        if value is not None and not 0 <= value <= 0o777:
            raise ValueError(f"umask must be from 0 to 0o777, got {value!r}")
        self._umask = value

    def subscribe(self) -> None:
        """Change with the start of the bus."""
        super().subscribe()
        self.bus.subscribe("start", self.start_before_servers)

    def unsubscribe(self) -> None:
        """Change with the start of the bus no longer."""
        super().unsubscribe()
        self.bus.unsubscribe("start", self.start_before_servers)

    def start_before_servers(self) -> None:
        """Have all servers of the bus bind their addresses, and change before they serve.

        :raises StartFailure: if that cannot be done; no server starts then.
        """
        if self.finalized or (self.uid is None and self.gid is None):
            return
        owners = {getattr(one, "__self__", None) for one in self.bus.listeners["start"]}
        servers = [owner for owner in owners if isinstance(owner, ServerAdapter)]
        try:
            bound = [server.bind() for server in servers]
            if bound and all(bound):
                self.start()
                self._early = True
        except Exception as error:
            self.bus.log(str(error), ERROR, traceback=not isinstance(error, OperatorError))
            failures = ChannelFailures()
            failures.add(error)
            raise StartFailure(failures) from error

    # Before the servers (75), and after the PID file (70).
    start_before_servers.priority = 74  # type: ignore[attr-defined]

    def start(self) -> None:
        """Change user, group and umask; once only, as there is no way back.

        :raises OperatorError: if this process may not do so.
        """
        if self._early:
            self._early = False
            return
        if self.uid is None and self.gid is None:
            self.bus.log("uid/gid not set", WARNING)
        elif self.finalized:
            self.bus.log(f"Already running as {_current()}")
        else:
            self.bus.log(f"Started as {_current()}")
            self._change()
            self.bus.log(f"Running as {_current()}")
            if sys.executable and not os.access(sys.executable, os.X_OK):
                self.bus.log(
                    f"This user may not run {sys.executable}: the program cannot restart itself.",
                    WARNING,
                )
        if self.umask is None:
            self.bus.log("umask not set", WARNING)
        elif self.finalized:
            self.bus.log(f"umask already set to: {self.umask:03o}")
        else:
            self.bus.log(f"umask old: {os.umask(self.umask):03o}, new: {self.umask:03o}")
        self.finalized = True

    # After a server (75) that has to serve to get a port below 1024.
    start.priority = 77  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def for_files(self) -> Iterator[None]:
        """Have a process without other threads that stays root open files as the new user does.

        In a folder of that user's, root would follow links that lead anywhere.
        """
        if os.geteuid() != 0:
            yield
            return
        group, groups = os.getegid(), os.getgroups()
        umask = None if self.umask is None else os.umask(self.umask)
        try:
            if self.gid is not None:
                os.setegid(self.gid)
            self._set_groups()
            if self.uid is not None:
                os.seteuid(self.uid)
            yield
        finally:
            os.seteuid(0)
            os.setegid(group)
            os.setgroups(groups)
            if umask is not None:
                os.umask(umask)

    def _change(self) -> None:
        try:
            # Groups first: without root's rights they could not be changed any more.
            if self.gid is not None:
                os.setgid(self.gid)
            if os.geteuid() == 0:
                self._set_groups()
            if self.uid is not None:
                os.setuid(self.uid)
        except OSError as error:
            raise OperatorError(
                f"Cannot change to uid {self.uid} gid {self.gid}: {error.strerror}. "
                "Start as root, or leave out DropPrivileges."
            ) from error

    def _set_groups(self) -> None:
        group = os.getgid() if self.gid is None else self.gid
        try:
            name = _unix(pwd).getpwuid(os.getuid() if self.uid is None else self.uid).pw_name
        except KeyError:  # a bare number, as containers use them
            os.setgroups([group])
        else:
            os.initgroups(name, group)


def _unix(database: ModuleType | None) -> ModuleType:
    if database is None:
        raise ValueError("users and groups have names on Unix only: give numbers")
    return database


def _current() -> str:
    """This process's user and group, by name where they have one."""
    user: int | str = os.getuid()
    group: int | str = os.getgid()
    try:
        user = _unix(pwd).getpwuid(user).pw_name
        group = _unix(grp).getgrgid(group).gr_name
    except KeyError:
        pass
    return f"uid: {user!r} gid: {group!r}"
