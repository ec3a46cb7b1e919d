import contextlib
import os
import signal
import sys
import textwrap
from itertools import count

import pytest
from beside import Program, wait_until

from cptoolkit.process.wspbus import Bus, State

PRELUDE = """
import os, signal, sys, threading, time
from cptoolkit.process import plugins, servers
from cptoolkit.process.wspbus import Bus

def be_stuck():
    while True:  # in pieces: Python may not see a signal that comes just before it falls asleep
        time.sleep(0.1)

bus = Bus()

@bus.subscribe("log")
def show(msg, level):
    print(msg, flush=True)

@bus.subscribe("main")
def tell():
    bus.unsubscribe("main", tell)
    print("blocking", flush=True)
"""


class LoggedBus(Bus):
    """A bus that keeps its log in ``lines``, and its levels in ``levels``."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.levels = []
        self.subscribe("log", self._keep)

    def _keep(self, msg, level):
        self.lines.append(msg)
        self.levels.append(level)


@pytest.fixture
def bus():
    logged = LoggedBus()
    yield logged
    if logged.state not in (State.STOPPED, State.EXITING):
        logged.exit()


@pytest.fixture
def run(tmp_path):
    """Run a script that has the bus at hand: ``run(source, *interpreter_options)``."""
    numbers = count()
    with contextlib.ExitStack() as scripts:

        def start(source, *options, env=None, prelude=PRELUDE):
            path = tmp_path / f"program{next(numbers)}.py"
            path.write_text(prelude + textwrap.dedent(source))
            return command(*options, path, env=env)

        def command(*words, env=None):
            script = Program([sys.executable, *words], tmp_path, env)
            scripts.callback(script.close)
            return script

        start.command = command
        yield start


@pytest.fixture(name="wait_until")
def wait_until_fixture():
    return wait_until


@pytest.fixture
def kill_later():
    """Processes, by number, to end with the test."""
    pids = []
    yield pids.append
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
