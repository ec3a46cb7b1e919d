"""A program and cptoolkit as an executable beside its libraries, as PyInstaller makes it."""

from __future__ import annotations

import faulthandler
import http.client
import re
import signal
from contextlib import closing
from urllib.parse import urlencode

import pytest
from beside import PATIENCE, Program, free_port

PROGRAM = """
import sys
from importlib.util import find_spec

import cptoolkit as cherrypy


class Root:
    @cherrypy.expose
    @cherrypy.tools.gzip(compress_level=9)
    def index(self):
        return "Hello world!"

    @cherrypy.expose
    def count(self):
        cherrypy.session["count"] = cherrypy.session.get("count", 0) + 1
        return str(cherrypy.session["count"])

    @cherrypy.expose
    def lacks(self, names):
        return " ".join(name for name in names.split() if find_spec(name) is None)


cherrypy.quickstart(Root(), "/", sys.argv[1])
"""

CONFIG = """
[global]
server.socket_port: {port}
engine.autoreload.frequency: 0.1
[/]
tools.sessions.on: True
tools.sessions.storage_class: cherrypy.lib.sessions.FileSession
tools.sessions.storage_path: {folder!r}
[/static]
tools.staticdir.on: True
tools.staticdir.dir: {folder!r}
"""

LEFT_OUT = ("child_processes", "freezing", "testing", "tutorial")
"""Parts of the package that no program in service uses."""

FREEZE = ["-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level", "WARN", "program.py"]


@pytest.fixture(scope="module")
def frozen(environment, wheel, build_tools, freezer, tmp_path_factory):
    """The executable."""
    faulthandler.cancel_dump_traceback_later()  # pytest would end all tests after 180 s
    folder = tmp_path_factory.mktemp("frozen")
    (folder / "program.py").write_text(PROGRAM)
    made = environment().install(wheel, build_tools=build_tools)
    # Twenty seconds of work, and minutes on a busy machine.
    finished = made.run(*FREEZE, cwd=folder, env={"PYTHONPATH": str(freezer)}, timeout=600)
    assert finished.returncode == 0, finished.stderr
    return folder / "dist" / "program" / "program"


class Frozen(Program):
    """The executable, as it serves."""

    def __init__(self, executable, folder):
        self.port = free_port()
        self.config = folder / "site.conf"
        self.config.write_text(CONFIG.format(port=self.port, folder=str(folder)))
        super().__init__([executable, self.config], folder)

    def get(self, path, body=None, **headers):
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        ) as client:
            client.request("GET" if body is None else "POST", path, body, headers)
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read()


@pytest.fixture
def program(frozen, tmp_path):
    serving = Frozen(frozen, tmp_path)
    try:
        serving.wait_for("Bus STARTED")
        yield serving
    finally:
        serving.close()


def test_pages_layers_and_files_are_served_until_sigterm(program):
    status, headers, _ = program.get("/", **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert program.get("/static/site.conf")[2] == program.config.read_bytes()
    status, headers, _ = program.get("/favicon.ico")
    assert (status, headers["Content-Type"]) == (200, "image/x-icon")
    assert b"404 Not Found" in program.get("/none")[2]
    assert program.stop(signal.SIGTERM) == 0
    assert not re.search("Traceback|Warning", "\n".join(program.rest()))


def test_sessions_are_kept_in_files(program):
    cookie = program.get("/count")[1]["Set-Cookie"].partition(";")[0]
    assert program.get("/count", Cookie=cookie)[2] == b"2"


def test_modules_that_only_tables_and_config_name_are_there(program, modules):
    package = {file.removesuffix(".py") for file in modules if file.startswith("cptoolkit/")}
    served = [name.split("/") for name in package if name.split("/")[1] not in LEFT_OUT]
    names = [".".join(parts).removesuffix(".__init__") for parts in served]
    form = urlencode({"names": " ".join(names)})
    content_type = {"Content-Type": "application/x-www-form-urlencoded"}
    assert program.get("/lacks", form, **content_type)[2] == b""


def test_changed_config_restarts_the_program(program):
    with program.config.open("a") as config:
        config.write("[/none]\ntools.gzip.on: True\n")
    program.wait_for("Restarting because")
    program.wait_for("Bus STARTED")
    assert program.get("/")[0] == 200
    assert program.stop(signal.SIGTERM) == 0
