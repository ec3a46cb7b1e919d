"""Programs of the documentation, in processes of their own."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest

PATIENCE = 60  # seconds; only a failure uses them up

# As ``python SCRIPT``, on another port than 8080 and without looking for changed files.
START = """
import runpy, sys
import cptoolkit
cptoolkit.config.update({"server.socket_port": int(sys.argv.pop(1)), "engine.autoreload.on": False})
sys.path.insert(0, ".")
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


class Served:
    """A program that serves on a port, and an HTTP client of it."""

    def __init__(self, command, folder, port):
        self.port = port
        self._client = build_opener(HTTPCookieProcessor(), ProxyHandler({}))
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def said(self):
        found = []
        while not self.lines.empty():
            found.append(self.lines.get())
        return "".join(found)

    def listening(self):
        """This program, once it accepts connections."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def get(self, path, form=""):
        """The text of the answer, after redirects; a form is sent by POST. Cookies are kept."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with self._client.open(url, form.encode() or None, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def served(tmp_path):
    """``served(name)``: run a script of the test's folder until the test is over."""
    running = []

    def run(name):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        path = tmp_path / name
        path.write_text(path.read_text(encoding="utf-8").replace("8080", str(port)))
        command = [sys.executable, "-c", START, str(port), name]
        running.append(Served(command, tmp_path, port))
        return running[-1].listening()

    yield run
    for program in running:
        program.close()
