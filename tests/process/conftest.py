import contextlib
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from cptoolkit.process.wspbus import Bus, State

DEADLINE = 20  # seconds; generous, as it is only used up by a failure

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


class Script:
    """A program in another process, whose output can be waited for."""

    def __init__(self, command, cwd, env=None):
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self.process.pid
        self.output = []
        self._arriving = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))
        self._arriving.put(None)

    def wait_for(self, text):
        """Return the next line that contains ``text``."""
        while True:
            line = self._arriving.get(timeout=DEADLINE)
            assert line is not None, f"{text!r} never came; output was {self.output}"
            self.output.append(line)
            if text in line:
                return line

    def send(self, signum):
        self.process.send_signal(signum)

    def end(self):
        """Return the exit status, once the process has ended."""
        status = self.process.wait(DEADLINE)
        while (line := self._arriving.get(timeout=DEADLINE)) is not None:
            self.output.append(line)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)
        # A daemon that the program has left behind may hold the other end, and is not waited for.
        self._reader.join(1)
        if not self._reader.is_alive():
            self.process.stdout.close()


@pytest.fixture
def run(tmp_path):
    """Run a script that has the bus at hand: ``run(source, *interpreter_options)``."""
    scripts = []

    def start(source, *options, env=None, prelude=PRELUDE):
        path = tmp_path / f"program{len(scripts)}.py"
        path.write_text(prelude + textwrap.dedent(source))
        script = Script([sys.executable, *options, str(path)], tmp_path, env)
        scripts.append(script)
        return script

    def command(*words, env=None):
        script = Script([sys.executable, *words], tmp_path, env)
        scripts.append(script)
        return script

    start.command = command
    yield start
    for script in scripts:
        script.kill()


def eventually(condition):
    """Return once ``condition()`` is true; fail after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        threading.Event().wait(0.005)


@pytest.fixture
def wait_until():
    return eventually


@pytest.fixture
def kill_later():
    """Processes, by number, to end with the test."""
    pids = []
    yield pids.append
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
