"""What people expect of a command: help, version, exit statuses, colours, and no noise."""

import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from beside import PATIENCE, free_port

from cptoolkit.cli import COMMANDS
from cptoolkit.version import __version__

COMMAND = [sys.executable, "-m", "cptoolkit"]


def output(*words, **options):
    done = subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=60, check=True, **options
    )
    assert done.stderr == ""
    return done.stdout


def test_help_lists_all_commands_with_what_they_do():
    shown = output("--help")
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z].*[A-Za-z]$", shown, re.MULTILINE)
    for status in (0, 1, 2, 70, 130):
        assert re.search(rf"^  {status} +\w", shown, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples(name):
    shown = output(name, "--help")
    examples = shown.partition("examples:\n")[2]
    assert f"cptoolkit {name}" in examples


def test_version_is_told():
    assert output("--version").startswith(f"cptoolkit {__version__} on Python 3.")


def on_terminal(*words, **env):
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **env},
        )  # fmt: skip
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:  # how the end of a terminal is told
            pass
        process.wait(PATIENCE)
        return text
    finally:
        os.close(ours)


@pytest.mark.parametrize("words", [["--help"], ["run", "nope"]], ids=["help", "error"])
def test_no_color_is_heeded(words):
    text = on_terminal(*words, NO_COLOR="1")
    assert b"cptoolkit" in text
    assert b"\x1b[" not in text


def test_pipe_gets_no_colours():
    env = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    assert "\x1b[" not in output("--help", env={**env, "TERM": "xterm"})


def test_log_has_no_colours(serve):
    serving = serve(env={"FORCE_COLOR": "1"})
    assert serving.get() == (200, "hello")
    serving.stop()
    assert not any("\x1b[" in line for line in serving.rest())


STRICT = [sys.executable, "-X", "dev", "-W", "error"]

SAYS = """
cptoolkit.engine.subscribe("main", lambda: print("in block()", flush=True))
"""
"""More of the program: when Ctrl-C is no longer one at the start, which has a status of its own."""

PLAIN = """
import sys
import cptoolkit
from hello import Root

cptoolkit.config.update({"server.socket_port": int(sys.argv[-1])})
cptoolkit.quickstart(Root())
"""


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-m", "cptoolkit", "run", "hello"], id="run"),
        pytest.param(["-m", "cptoolkit", "run", "hello", "-e", "production"], id="production"),
        pytest.param(
            ["-m", "cptoolkit", "run", "hello", "--no-reload", "--processes", "2"], id="processes"
        ),
        pytest.param(["plain.py"], id="quickstart"),
    ],
)
def test_nothing_is_warned_of_from_start_to_ctrl_c(serve, folder, words):
    (folder / "plain.py").write_text(PLAIN)
    with (folder / "hello.py").open("a") as program:
        program.write(SAYS)
    port = free_port()
    serving = serve("--port", str(port), command=[*STRICT, *words])
    serving.port = port
    for _ in range(2 if "--processes" in words else 0):
        serving.wait_for("Bus STARTED")
    serving.wait_for("in block()")
    assert serving.get() == (200, "hello")
    assert serving.stop(signal.SIGINT) == 0
    for line in serving.rest():
        ours = r"\[\d\d/\w+/\d{4}:[\d:]+\] ENGINE |127\.0\.0\.1 - - |in block\(\)$|$"
        assert re.match(ours, line) or (
            line in ("CherryPy Checker:", "The Application mounted at '' has an empty config.")
        )


@pytest.mark.parametrize(
    "words", [["routes", "hello"], ["explain", "hello", "/slow"], ["check", "hello"]],
    ids=["routes", "explain", "check"],
)  # fmt: skip
def test_nothing_is_warned_of_by_a_command_that_looks_at_a_site(folder, words):
    done = subprocess.run(
        [*STRICT, "-m", "cptoolkit", *words], cwd=folder,
        capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
