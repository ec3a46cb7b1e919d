import os
import subprocess
import sys

import pytest

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
