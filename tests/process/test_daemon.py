import os

import pytest

from cptoolkit.process.plugins import Daemonizer
from cptoolkit.process.wspbus import OperatorError, StartFailure

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

DAEMON = """
    terminal = os.getpgrp()
    plugins.Daemonizer(bus, stdout="out.txt", stderr="err.txt").subscribe()
    plugins.PIDFile(bus, "daemon.pid").subscribe()
    bus.start()
    print("terminal left", os.getpgrp() != terminal, "leads", os.getsid(0) == os.getpid())
    print("problem", file=sys.stderr)
    plugins.SignalHandler(bus).subscribe()
    bus.log("ready")
    bus.block()
"""


def test_program_goes_on_in_the_background(run, tmp_path, wait_until, kill_later):
    script = run(DAEMON)
    assert script.end() == 0
    out = tmp_path / "out.txt"
    wait_until(lambda: out.exists() and "ready" in out.read_text())
    pid = int((tmp_path / "daemon.pid").read_text())
    kill_later(pid)
    assert pid != script.pid
    assert f"Daemonized to PID: {pid}" in out.read_text()
    assert "terminal left True leads False" in out.read_text()
    assert "problem" in (tmp_path / "err.txt").read_text()
    os.kill(pid, 15)
    wait_until(lambda: "Bus EXITED" in out.read_text())
    wait_until(lambda: not (tmp_path / "daemon.pid").exists())


def test_output_before_the_fork_is_written_once(run, tmp_path, wait_until):
    script = run(
        """
        bus.subscribe("start", lambda: sys.stdout.write("unflushed "), priority=64)
        plugins.Daemonizer(bus, stdout="out.txt").subscribe()
        bus.start()
        bus.exit()
    """,
        env={"PYTHONUNBUFFERED": ""},
    )
    assert script.end() == 0
    wait_until(lambda: "Bus EXITED" in (tmp_path / "out.txt").read_text())
    assert "unflushed" not in (tmp_path / "out.txt").read_text()
    assert sum("unflushed" in line for line in script.output) == 1


def test_file_that_cannot_be_opened_gives_an_error_status(run):
    script = run("""
        plugins.Daemonizer(bus, stdout="/no/such/folder/out.txt").subscribe()
        bus.start()
    """)
    assert script.end() == 70
    assert any(
        line.startswith("Cannot daemonize: ") and "/no/such/folder/out.txt" in line
        for line in script.output
    )
    assert not any("Traceback" in line for line in script.output)


def test_running_threads_give_a_warning_that_names_them(run, tmp_path, wait_until):
    script = run("""
        threading.Thread(target=threading.Event().wait, name="too early", daemon=True).start()
        plugins.Daemonizer(bus, stdout="out.txt").subscribe()
        bus.start()
        bus.exit()
    """)
    assert script.end() == 0
    line = next(line for line in script.output if line.startswith("There are 2 active threads."))
    assert line.endswith("too early will be missing.")
    wait_until(lambda: "Bus EXITED" in (tmp_path / "out.txt").read_text())


def test_second_start_stays_where_it_is(bus):
    daemonizer = Daemonizer(bus)
    daemonizer.finalized = True
    daemonizer.start()
    assert bus.lines == ["Already daemonized."]


def test_fork_that_fails_is_told(bus, monkeypatch):
    def fork():
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(OperatorError, match=r"Cannot daemonize: .*unavailable"):
        Daemonizer.daemonize()
    Daemonizer(bus).subscribe()
    with pytest.raises(StartFailure):
        bus.start()
