import os
import re
import subprocess
import sys
from fcntl import LOCK_EX, lockf
from pathlib import Path

import pytest
from beside import wait_until

from cptoolkit.process.plugins import PIDFile
from cptoolkit.process.wspbus import OperatorError, StartFailure


@pytest.fixture
def path(tmp_path):
    return tmp_path / "my.pid"


def test_file_holds_the_number_while_the_bus_runs(bus, path):
    PIDFile(bus, str(path)).subscribe()
    bus.start()
    assert path.read_text() == f"{os.getpid()}\n"
    assert f"PID {os.getpid()} written to {str(path)!r}." in bus.lines
    bus.exit()
    assert not path.exists()
    assert f"PID file removed: {str(path)!r}." in bus.lines


def test_path_objects_are_taken(bus, path):
    pidfile = PIDFile(bus, path)
    assert pidfile.pidfile == str(path)


def test_second_start_does_not_write_again(bus, path):
    pidfile = PIDFile(bus, path)
    pidfile.start()
    pidfile.start()
    assert bus.lines[-1] == f"PID {os.getpid()} already written to {str(path)!r}."


def test_file_is_written_again_after_an_exit(bus, path):
    PIDFile(bus, path).subscribe()
    bus.start()
    bus.exit()
    bus.start()
    assert path.exists()


def test_file_of_a_running_process_is_respected(bus, path):
    path.write_text(f"{os.getppid()}\n")
    PIDFile(bus, path).subscribe()
    with pytest.raises(StartFailure):
        bus.start()
    assert any(f"names process {os.getppid()}, which is running" in line for line in bus.lines)
    assert path.read_text() == f"{os.getppid()}\n"


@pytest.mark.parametrize("left", ["", "not a number", "0", "0x10", "9" * 30, "\xff"])
def test_unreadable_left_over_file_is_replaced(bus, path, left):
    path.write_bytes(left.encode("latin-1"))
    PIDFile(bus, path).start()
    assert path.read_text() == f"{os.getpid()}\n"


def test_file_of_a_dead_process_is_replaced(bus, path):
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait(20)
    path.write_text(str(dead.pid))
    PIDFile(bus, path).start()
    assert path.read_text() == f"{os.getpid()}\n"


def test_of_two_programs_that_start_at_once_one_gets_the_file(run, path):
    path.write_text("left over")
    with path.open("r+") as file:
        lockf(file, LOCK_EX)  # the other program is at it
        waiting = run(f"plugins.PIDFile(bus, {str(path)!r}).start()")
        wait_until(lambda: re.search(rf"-> .* {waiting.pid} ", Path("/proc/locks").read_text()))
        file.truncate()
        file.write(f"{os.getpid()}\n")
    assert waiting.end() != 0
    assert f"names process {os.getpid()}, which is running" in waiting.output[-1]
    assert path.read_text() == f"{os.getpid()}\n"


def test_file_that_another_program_removes_meanwhile_is_made_anew(run, path):
    path.write_text("left over")
    with path.open("r+") as file:
        lockf(file, LOCK_EX)
        waiting = run(f"plugins.PIDFile(bus, {str(path)!r}).start(); print(os.getpid())")
        wait_until(lambda: re.search(rf"-> .* {waiting.pid} ", Path("/proc/locks").read_text()))
        path.unlink()
    assert waiting.end() == 0
    assert path.read_text() == f"{waiting.output[-1]}\n"


def test_file_is_not_written_through_a_link(bus, path, tmp_path):
    path.symlink_to(tmp_path / "other")
    with pytest.raises(OperatorError, match=r"Cannot write PID file"):
        PIDFile(bus, path).start()
    assert not (tmp_path / "other").exists()


def test_file_that_root_has_left_over_is_replaced(bus, path, monkeypatch):
    path.write_text("left over")
    really_open = os.open

    def refuse(name, *args, **kwargs):
        if path.exists():
            raise PermissionError(13, "Permission denied")
        return really_open(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    PIDFile(bus, path).start()
    assert path.read_text() == f"{os.getpid()}\n"


def test_file_with_the_own_number_is_replaced(bus, path):
    # A container's first process is number 1 each time.
    path.write_text(str(os.getpid()))
    PIDFile(bus, path).start()
    assert path.exists()


def test_file_with_the_own_number_need_not_be_writable(bus, path, monkeypatch):
    """A program that has started anew has lost the right to write it."""

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    path.write_text(f"{os.getpid()}\n")
    monkeypatch.setattr(type(path), "unlink", refuse)
    PIDFile(bus, path).start()
    assert path.read_text() == f"{os.getpid()}\n"


def test_missing_folder_is_told(bus, tmp_path):
    with pytest.raises(OperatorError, match=r"Cannot write PID file '.*': No such file"):
        PIDFile(bus, tmp_path / "none" / "my.pid").start()


def test_change_of_folder_does_not_matter(bus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pidfile = PIDFile(bus, "my.pid")
    pidfile.start()
    monkeypatch.chdir("/")
    pidfile.exit()
    assert not (tmp_path / "my.pid").exists()


def test_child_leaves_the_file_of_its_parent_alone(bus, path, monkeypatch):
    pidfile = PIDFile(bus, path)
    pidfile.start()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    pidfile.exit()
    assert path.exists()


def test_file_that_cannot_be_removed_is_told(bus, path, monkeypatch):
    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    pidfile = PIDFile(bus, path)
    pidfile.start()
    monkeypatch.setattr(type(path), "unlink", refuse)
    pidfile.exit()
    assert bus.lines[-1] == f"PID file {str(path)!r} could not be removed: Permission denied."
