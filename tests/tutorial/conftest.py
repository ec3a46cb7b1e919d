"""Programs in processes of their own, and visitors who use them as people with a browser do."""

import http.client
import shutil
import sys
from contextlib import ExitStack
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
from beside import PATIENCE, Program

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


class Site(Program):
    """A program that serves."""

    def __init__(self, name, folder):
        super().__init__([sys.executable, "-c", START, name], folder)
        try:
            self.port = int(self.wait_for("Serving on http://127.0.0.1:").rpartition(":")[2])
            self.wait_for("ENGINE Bus STARTED")
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def visitor(self):
        return Visitor(self.port)


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
        return Site(f"cptoolkit.tutorial.{name}", folder)
    shutil.copytree(PROGRAMS, folder, dirs_exist_ok=True)
    shutil.copyfile(PROGRAMS / page, folder / "index.html")
    return Site(name, folder)


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
