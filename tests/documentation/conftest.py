"""Programs as the reference lists them, in processes of their own, and what a client gets there."""

import http.client
import os
import queue
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack

import pytest

PATIENCE = 30  # seconds; only a failure uses them up

# As ``python SCRIPT`` would, but on any port that is free unless the program says which.
START = """
import runpy, sys
import cptoolkit
cptoolkit.config.update({"server.socket_port": 0})
sys.path.insert(0, ".")
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


class Program:
    """A command, what it prints, and an HTTP client of what it serves."""

    def __init__(self, command, folder, env=(), keep=()):
        self.folder = folder
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **dict(env)},  # print and log in order
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=keep,
        )
        self.lines = []
        self.port = 0
        self._arriving = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))
        self._arriving.put(None)

    def wait_for(self, text):
        """The next line of the output that has the text."""
        while (line := self._arriving.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came, only {self.lines}")

    def serving(self):
        """This program, once its log has told the port."""
        self.port = int(self.wait_for("Serving on http").rpartition(":")[2])
        self.wait_for("ENGINE Bus STARTED")
        return self

    def listening(self, port):
        """This program, once it accepts connections on the port."""
        self.port = port
        deadline = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return self
            assert self.process.poll() is None, self.rest()
            assert time.monotonic() < deadline, f"nothing listens on {port}; {self.said()}"
            time.sleep(0.01)

    def said(self):
        """The lines that have come by now."""
        return [*self.lines, *self._arriving.queue]

    def get(self, path="/", method="GET", body=None, port=None, **headers):
        """The answer, read whole: ``status``, ``headers`` and ``text``."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            answer.text = answer.read().decode("latin-1")
        finally:
            connection.close()
        return answer

    def rest(self):
        """All lines, once the output has ended."""
        while (line := self._arriving.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return self.lines

    def end(self, signum=signal.SIGTERM):
        """The exit status after a signal."""
        self.process.send_signal(signum)
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        # A daemon that the program has left behind may hold the other end, and is not waited for.
        self._reader.join(1)
        if not self._reader.is_alive():
            self.process.stdout.close()


@pytest.fixture
def command(tmp_path):
    """``command(*words, env=..., keep=...)``: run one in the folder of the test.

    ``keep`` is a descriptor that it inherits.
    """
    with ExitStack() as programs:

        def run(*words, env=(), keep=None):
            kept = () if keep is None else (keep,)
            program = Program([str(word) for word in words], tmp_path, env, kept)
            programs.callback(program.close)
            return program

        yield run


@pytest.fixture
def script(command, tmp_path):
    """``script(source, name="program.py")``: run it as a script, with ``cherrypy`` imported."""

    def run(source, name="program.py", env=()):
        text = "import cptoolkit as cherrypy\n" + textwrap.dedent(source)
        (tmp_path / name).write_text(text)
        return command(sys.executable, "-c", START, name, env=env)

    return run


@pytest.fixture
def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
