import os
import pwd
import sys
import threading

import pytest

from cptoolkit.process.channels import OperatorError
from cptoolkit.process.plugins import DropPrivileges
from cptoolkit.process.servers import ServerAdapter
from cptoolkit.process.wspbus import StartFailure


def test_users_and_groups_are_known_by_name(bus):
    root = pwd.getpwuid(0).pw_name
    plugin = DropPrivileges(bus, uid=root, gid=0)
    assert (plugin.uid, plugin.gid) == (0, 0)


@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_unknown_name_is_refused(bus, kind):
    with pytest.raises(ValueError, match=f"{kind}: there is no .* named 'nobody-at-all'"):
        DropPrivileges(bus, **{kind: "nobody-at-all"})


@pytest.mark.parametrize("umask", [-1, 0o1000])
def test_wrong_umask_is_refused(bus, umask):
    with pytest.raises(ValueError, match="umask must be from 0 to 0o777"):
        DropPrivileges(bus, umask=umask)


def test_nothing_asked_for_is_told(bus):
    DropPrivileges(bus).start()
    assert bus.lines == ["uid/gid not set", "umask not set"]
    assert bus.levels == [30, 30]


def test_umask_is_set_once(bus):
    before = os.umask(0o022)
    try:
        plugin = DropPrivileges(bus, umask=0o077)
        plugin.start()
        plugin.start()
        assert bus.lines[1] == "umask old: 022, new: 077"
        assert bus.lines[3] == "umask already set to: 077"
    finally:
        os.umask(before)


def test_lack_of_rights_is_told_as_one_line(bus, monkeypatch):
    def refuse(number):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setgid", refuse)
    DropPrivileges(bus, uid=1000, gid=1000).subscribe()
    with pytest.raises(StartFailure):
        bus.start()
    assert (
        "Cannot change to uid 1000 gid 1000: Operation not permitted. "
        "Start as root, or leave out DropPrivileges."
    ) in bus.lines


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_becomes_another_user_for_good(run):
    script = run("""
        plugins.DropPrivileges(bus, uid=65534, gid=65534).subscribe()
        bus.start()
        print("now", os.getuid(), os.getgid(), os.getgroups(), flush=True)
        try:
            os.setuid(0)
        except PermissionError:
            print("no way back", flush=True)
        bus.stop()
        bus.start()
        bus.exit()
    """)
    assert script.end() == 0, script.output
    assert "now 65534 65534 [65534]" in script.output
    assert "no way back" in script.output
    assert any(line.startswith("Started as uid: 'root' gid: 'root'") for line in script.output)
    assert any(line.startswith("Running as uid: ") for line in script.output)
    assert any(line.startswith("Already running as uid: ") for line in script.output)


class Recorder:
    """A server that binds first and serves later, and tells when."""

    ready = False

    def __init__(self, happened):
        self.happened = happened
        self._over = threading.Event()

    def prepare(self):
        self.happened.append("bound")

    def serve(self):
        self.happened.append("serving")
        self.ready = True
        self._over.wait(20)

    def stop(self):
        self.happened.append("closed")
        self._over.set()


def test_servers_bind_before_and_serve_after_the_change(bus, monkeypatch):
    happened = []
    monkeypatch.setattr(DropPrivileges, "_change", lambda self: happened.append("changed"))
    for server in (Recorder(happened), Recorder(happened)):
        ServerAdapter(bus, server).subscribe()
    DropPrivileges(bus, uid=os.getuid()).subscribe()
    bus.start()
    bus.exit()
    assert happened == ["bound", "bound", "changed", "serving", "serving", "closed", "closed"]
    assert sum(line.startswith("Already running") for line in bus.lines) == 0


def test_nothing_is_served_if_the_change_fails(bus, monkeypatch):
    def refuse(self):
        raise OperatorError("Cannot change.")

    happened = []
    monkeypatch.setattr(DropPrivileges, "_change", refuse)
    ServerAdapter(bus, Recorder(happened)).subscribe()
    DropPrivileges(bus, uid=os.getuid()).subscribe()
    with pytest.raises(StartFailure):
        bus.start()
    assert happened == ["bound", "closed"]
    assert bus.lines.count("Cannot change.") == 1


def test_user_who_may_not_run_the_program_again_is_told(bus, monkeypatch):
    monkeypatch.setattr(DropPrivileges, "_change", lambda self: None)
    monkeypatch.setattr(sys, "executable", "/none/python")
    DropPrivileges(bus, uid=os.getuid()).start()
    assert "This user may not run /none/python: the program cannot restart itself." in bus.lines
