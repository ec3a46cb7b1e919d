"""Programs of the documentation, in processes of their own."""

from __future__ import annotations

import socket
import sys
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest
from beside import PATIENCE, Program, free_port, wait_until

# As ``python SCRIPT``, on another port than 8080 and without looking for changed files.
START = """
import runpy, sys
import cptoolkit
cptoolkit.config.update({"server.socket_port": int(sys.argv.pop(1)), "engine.autoreload.on": False})
sys.path.insert(0, ".")
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


class Served(Program):
    """A program that serves on a port, and an HTTP client of it."""

    def __init__(self, command, folder, port):
        super().__init__(command, folder, {"PYTHONUNBUFFERED": "1"})
        self.port = port
        self._client = build_opener(HTTPCookieProcessor(), ProxyHandler({}))

    def listening(self):
        """This program, once it accepts connections."""

        def accepts():
            assert self.process.poll() is None, self.said()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(accepts)
        return self

    def get(self, path, form=""):
        """The text of the answer, after redirects; a form is sent by POST. Cookies are kept."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with self._client.open(url, form.encode() or None, timeout=PATIENCE) as answer:
            return answer.read().decode()


@pytest.fixture
def served(tmp_path):
    """``served(name)``: run a script of the test's folder until the test is over."""
    running = []

    def run(name):
        port = free_port()
        path = tmp_path / name
        path.write_text(path.read_text(encoding="utf-8").replace("8080", str(port)))
        command = [sys.executable, "-c", START, str(port), name]
        running.append(Served(command, tmp_path, port))
        return running[-1].listening()

    yield run
    for program in running:
        program.close()
