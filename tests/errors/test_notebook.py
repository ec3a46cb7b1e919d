"""The engine in a notebook: started in one cell, changed and stopped from others."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "cells.py"

START = """
import signal
import urllib.request

before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

import cptoolkit

cptoolkit.config.update({"server.socket_port": 0, "engine.autoreload.on": False})


def ask(path="/"):
    host, port = cptoolkit.server.bound_addr[:2]
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


class Root:
    @cptoolkit.expose
    def index(self):
        return "one"


cptoolkit.tree.mount(Root())
cptoolkit.engine.start()
"""

CHANGE = """
class Root:
    @cptoolkit.expose
    def index(self):
        return "two"


cptoolkit.tree.mount(Root())
"""

QUICKSTART = """
import threading

import cptoolkit

cptoolkit.config.update({"server.socket_port": 0, "engine.autoreload.on": False})


def end():
    states = cptoolkit.engine.states
    cptoolkit.engine.wait([states.STARTED, states.EXITING])  # the cell is run twice
    cptoolkit.engine.exit()


cptoolkit.engine.subscribe("start", lambda: threading.Thread(target=end).start(), 90)


class Root:
    @cptoolkit.expose
    def index(self):
        return "quick"


cptoolkit.quickstart(Root())
"""


@pytest.fixture(params=["loop", "thread", "kernel"])
def notebook(request):
    """What runs cells: returns what each has said, and the error it ended with."""
    if request.param == "kernel" and not all(
        map(importlib.util.find_spec, ("ipykernel", "jupyter_client"))
    ):
        pytest.skip("ipykernel is not installed")

    def run(*cells):
        ended = subprocess.run(
            [sys.executable, str(PROGRAM), request.param],
            input=json.dumps(cells),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run


def texts(told):
    for cell in told:
        assert cell["error"] == ""
    return [cell["text"] for cell in told]


def test_cells_serve_change_and_stop(notebook):
    started, one, _, two, stopped, again, last = texts(
        notebook(
            START,
            "print(ask())",
            CHANGE,
            "print(ask())",
            "cptoolkit.engine.stop()",
            "cptoolkit.engine.start()\nprint(ask())",
            "cptoolkit.engine.exit()\nprint(cptoolkit.engine.state)",
        )
    )
    assert "Bus STARTED" in started  # the log is in the cell
    assert "one" in one
    assert "two" in two
    assert "Bus STOPPED" in stopped
    assert "two" in again
    assert "EXITING" in last


def test_starting_cell_that_is_run_twice_goes_on_serving(notebook):
    told = texts(notebook(START, START, "print(ask())", "cptoolkit.engine.exit()"))
    assert "one" in told[2]


def test_signals_stay_the_notebooks_own(notebook):
    now = "print(before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)])"
    told = texts(notebook(START, now, "cptoolkit.engine.exit()", now))
    assert "True" in told[1]
    assert "True" in told[3]


def test_port_in_use_is_told_in_the_cell_and_the_next_one_may_try_another(notebook):
    taken = """
import socket
taken = socket.create_server(("127.0.0.1", 0))
port = taken.getsockname()[1]
cptoolkit.server.socket_host = "127.0.0.1"
cptoolkit.engine.stop()
cptoolkit.server.socket_port = port
"""
    told = notebook(
        START,
        taken,
        "cptoolkit.engine.start()",
        "taken.close()\ncptoolkit.server.socket_port = 0\ncptoolkit.engine.start()\nprint(ask())",
        "cptoolkit.engine.exit()",
    )
    assert "in use" in told[2]["error"]
    assert told[3]["error"] == ""
    assert "one" in told[3]["text"]


def test_quickstart_can_be_run_twice(notebook):
    told = texts(notebook(QUICKSTART, QUICKSTART, "print(cptoolkit.engine.state)"))
    assert "Bus EXITED" in told[1]
    assert "EXITING" in told[2]
