import os
import socket
import sys

import pytest

from cptoolkit.process import reexec

# A program that restarts once: the environment survives, and tells the second life from the first.
ONCE = """
import os, sys
from cptoolkit.process.wspbus import Bus

bus = Bus()
print("life", os.environ.get("LIFE", "first"), os.getpid(), sys.argv[1:], os.getcwd(), flush=True)
if "LIFE" in os.environ:
    sys.exit()
os.environ["LIFE"] = "second"
os.chdir("/")
bus.subscribe("main", bus.restart)
bus.start()
bus.block()
"""


def lives(script):
    assert script.end() == 0, script.output
    first, second = (line for line in script.output if line.startswith("life"))
    assert second == first.replace("first", "second")  # same process, arguments and folder


def test_script_restarts_with_its_arguments(run, tmp_path):
    (tmp_path / "once.py").write_text(ONCE)
    lives(run.command("once.py", "-m", "a b"))


def test_module_restarts(run, tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "once.py").write_text("from . import __name__ as name\n" + ONCE)
    lives(run.command("-m", "pack.once", "--port", "80"))


def test_command_restarts(run):
    lives(run.command("-c", ONCE, "x"))


def test_options_of_the_interpreter_survive(run, tmp_path):
    shown = "print('flags', sys.flags.dev_mode, sys.warnoptions, sys._xoptions, flush=True)\n"
    (tmp_path / "once.py").write_text("import sys\n" + shown + ONCE)
    script = run.command("-X", "dev", "-W", "ignore::UserWarning", "once.py")
    lives(script)
    first, second = (line for line in script.output if line.startswith("flags"))
    assert first == second
    assert "True" in first
    assert "ignore::UserWarning" in first


def test_modules_of_pythonpath_are_found_again(run, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "mine.py").touch()
    (tmp_path / "once.py").write_text("import mine\n" + ONCE)
    lives(run.command("once.py", env={"PYTHONPATH": "lib"}))


def test_restart_is_logged_and_done_in_order(run):
    script = run("""
        if "LIFE" in os.environ:
            sys.exit()
        os.environ["LIFE"] = "second"
        bus.start()
        threading.Thread(target=bus.restart).start()
        bus.block()
    """)
    assert script.end() == 0
    assert "Bus EXITED" in script.output
    assert script.output[-1].startswith(f"Re-spawning {sys.executable}")


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        ("sys.executable = '/no/python'", "/no/python: No such file or directory."),
        ("reexec.STARTUP_FOLDER = '/no'", "/no: No such file or directory."),
    ],
    ids=["Python is gone", "its folder is gone"],
)
def test_restart_that_the_system_refuses_is_told_in_one_line(run, breaks, reason):
    script = run(f"""
        from cptoolkit.process import reexec
        bus.start()
        {breaks}
        threading.Thread(target=bus.restart).start()
        bus.block()
    """)
    assert script.end() == 70
    assert script.output[-1] == f"Cannot start anew: {reason}"


def test_open_files_are_kept_from_the_new_program(tmp_path):
    with (tmp_path / "f").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        reexec.close_on_exec(file.fileno() + 1)
        assert not os.get_inheritable(file.fileno())


def test_open_files_above_the_limit_are_left_alone(tmp_path):
    with (tmp_path / "f").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        reexec.close_on_exec(file.fileno())
        assert os.get_inheritable(file.fileno())


def test_sockets_of_systemd_go_on_to_the_new_program(monkeypatch):
    with socket.socket() as passed:
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", str(passed.fileno() - 2))
        os.set_inheritable(passed.fileno(), True)
        reexec.close_on_exec(passed.fileno() + 1)
        assert os.get_inheritable(passed.fileno())


@pytest.mark.parametrize("name", ["", "-"])
def test_program_from_a_pipe_cannot_restart(monkeypatch, name):
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(RuntimeError, match="read from the terminal or from a pipe"):
        reexec.command_line()


def test_embedded_interpreter_cannot_restart(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(RuntimeError, match="embedded"):
        reexec.command_line()
