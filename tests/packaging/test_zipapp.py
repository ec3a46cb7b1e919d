"""A program and cptoolkit in one file, as zipapp makes it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
import zipapp
import zipfile

import pytest
from beside import PATIENCE, free_port

PROGRAM = """
import os, sys
import cptoolkit

BORN = os.urandom(4).hex()

class Root:
    @cptoolkit.expose
    def index(self):
        states = cptoolkit.engine.states
        cptoolkit.engine.wait(set(states) - {states.STARTING})
        return BORN

    @cptoolkit.expose
    @cptoolkit.tools.sessions()
    def count(self):
        cptoolkit.session["count"] = cptoolkit.session.get("count", 0) + 1
        return str(cptoolkit.session["count"])

    @cptoolkit.expose
    def fail(self):
        raise LookupError("out of luck")

cptoolkit.config.update({"server.socket_port": int(sys.argv[1]), "engine.autoreload.on": False})
cptoolkit.engine.signals.handlers["SIGHUP"] = cptoolkit.engine.restart
cptoolkit.quickstart(Root())
"""


class Packed:
    """The program, served from its zip file."""

    def __init__(self, python, archive, log):
        self.port = free_port()
        self._log = log
        clean = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [python, archive, str(self.port)],
                cwd=archive.parent,
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def log(self):
        return self._log.read_text()

    def get(self, path, cookie=""):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            answer.content = answer.read()
            return answer
        finally:
            connection.close()

    def wait_until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def packed(wheel, environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zipapp")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "program")
    (folder / "program" / "__main__.py").write_text(PROGRAM)
    zipapp.create_archive(folder / "program", folder / "program.pyz")
    packed = Packed(environment().python, folder / "program.pyz", folder / "log")
    try:
        packed.wait_until(packed.listens)
        yield packed
    finally:
        packed.process.kill()
        packed.process.wait(PATIENCE)


def test_pages_and_their_data_are_found(packed):
    assert packed.get("/").status == 200
    icon = packed.get("/favicon.ico")
    assert (icon.status, icon.headers["Content-Type"]) == (200, "image/x-icon")
    assert b"404 Not Found" in packed.get("/none").content


def test_sessions_work(packed):
    cookie = packed.get("/count").headers["Set-Cookie"].partition(";")[0]
    assert packed.get("/count", cookie).content == b"2"


def test_traceback_tells_where_in_the_file(packed):
    failed = packed.get("/fail")
    assert failed.status == 500
    assert b"LookupError: out of luck" in failed.content


def test_program_restarts_itself(packed):
    born = packed.get("/").content
    packed.process.send_signal(signal.SIGHUP)
    packed.wait_until(lambda: packed.get("/").content != born)
