"""Programs in processes of their own, and visitors who use them as people with a browser do."""

import http.client
import queue
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest

PATIENCE = 30  # seconds; only a failure uses them up
PROGRAMS = Path(__file__).parent / "programs"

# As ``python -m MODULE`` or ``python SCRIPT`` would, but on any port that is free.
START = """
import runpy, sys
import cptoolkit
cptoolkit.config.update({"server.socket_port": 0})
name = sys.argv.pop(1)
if name.endswith(".py"):
    sys.path.insert(0, ".")
    runpy.run_path(name, run_name="__main__")
else:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


class Program:
    """A program that serves, in another process."""

    def __init__(self, name, folder):
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, name],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self._arriving = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = int(self.wait_for("Serving on http://127.0.0.1:").rpartition(":")[2])
            self.wait_for("ENGINE Bus STARTED")
        except BaseException:
            self.close()
            raise

    def _read(self):
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))
        self._arriving.put(None)

    def wait_for(self, text):
        """The next line of the log that has the text."""
        while (line := self._arriving.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came, only {self.lines}")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def visitor(self):
        return Visitor(self.port)

    def end(self):
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()


class Visitor:
    """A client that keeps its cookies, and follows no redirect."""

    def __init__(self, port):
        self.port = port
        self.cookies = SimpleCookie()

    def ask(self, method, path, form=None, body=None, headers=()):
        headers = dict(headers)
        if form is not None:
            body = urlencode(form, doseq=True)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self.cookies:
            crumbs = (f"{name}={crumb.coded_value}" for name, crumb in self.cookies.items())
            headers["Cookie"] = "; ".join(crumbs)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        for field in answer.headers.get_all("Set-Cookie", []):
            self.cookies.load(field)
        return answer

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, form=None, **options):
        return self.ask("POST", path, form, **options)


class Answer:
    """What a client got: ``status``, ``headers``, ``body`` as bytes and ``text``."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()


def start(name, folder, page):
    if not name.endswith(".py"):
        return Program(f"cptoolkit.tutorial.{name}", folder)
    shutil.copytree(PROGRAMS, folder, dirs_exist_ok=True)
    shutil.copyfile(PROGRAMS / page, folder / "index.html")
    return Program(name, folder)


@pytest.fixture
def started(tmp_path):
    """``started(name)``: a tutorial, or a program of the folder, of this test's own.

    ``page`` is the file that takes the place of the program's ``index.html``.
    """
    with ExitStack() as programs:

        def start_for_this_test(name, page="index.html"):
            program = start(name, tmp_path, page)
            programs.callback(program.close)
            return program

        yield start_for_this_test


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """``running(name)``: as ``started``, but the tests of a module share it. None may end it."""
    with ExitStack() as programs:

        @cache
        def start_once(name):
            program = start(name, tmp_path_factory.mktemp("program"), "index.html")
            programs.callback(program.close)
            return program

        yield start_once
