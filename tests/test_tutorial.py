"""The tutorials, each started as its reader starts it, but for the port."""

import html
import http.client
import queue
import signal
import subprocess
import sys
import threading
from urllib.parse import urlencode

import pytest

PATIENCE = 30  # seconds; only a failure uses them up

START = """
import runpy
import cptoolkit
cptoolkit.config.update({"server.socket_port": 0})
runpy.run_module("cptoolkit.tutorial." + %r, run_name="__main__")
"""


class Program:
    """A program that serves, in another process."""

    def __init__(self, name, cwd):
        self.process = subprocess.Popen(
            [sys.executable, "-c", START % name],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self._arriving = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        serving = self.wait_for("Serving on http://127.0.0.1:")
        self.port = int(serving.rpartition(":")[2])

    def _read(self):
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))
        self._arriving.put(None)

    def wait_for(self, text):
        while (line := self._arriving.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came, only {self.lines}")

    def get(self, path, form=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        if form is None:
            connection.request("GET", path)
        else:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", path, urlencode(form), kind)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """Return a function that gives the running tutorial of a name."""
    running = {}

    def start(name):
        if name not in running:
            running[name] = Program(name, tmp_path_factory.mktemp(name))
        return running[name]

    yield start
    for program in running.values():
        program.close()


def text(answer):
    response, body = answer
    assert response.status == 200
    return body.decode()


def digits(answer):
    number = text(answer)
    assert set(number) <= set("0123456789abcdef")
    assert len(set(number)) == len(number), "no digit comes twice"
    return len(number)


def test_first_greets(tutorial):
    response, body = tutorial("tut01_helloworld").get("/")
    assert (response.status, body) == (200, b"Hello world!")
    assert response.getheader("Content-Type") == "text/html;charset=utf-8"
    assert response.getheader("Content-Length") == "12"


def test_first_has_no_other_page(tutorial):
    response, body = tutorial("tut01_helloworld").get("/nope")
    assert response.status == 404
    assert "The path '/nope' was not found." in html.unescape(body.decode())


def test_first_has_an_icon(tutorial):
    response, body = tutorial("tut01_helloworld").get("/favicon.ico")
    assert (response.status, response.getheader("Content-Type")) == (200, "image/x-icon")
    assert body.startswith(b"\0\0\1\0")


@pytest.mark.parametrize("name", ["tut02_urls", "tut03_parameters", "tut04_form"])
def test_address_without_parameters_gives_eight_digits(tutorial, name):
    assert digits(tutorial(name).get("/generate")) == 8


def test_methods_that_are_not_exposed_are_not_reached(tutorial):
    assert tutorial("tut02_urls").get("/draw?length=3")[0].status == 404


@pytest.mark.parametrize(
    ("path", "length"), [("/generate?length=16", 16), ("/generate/12", 12)], ids=["query", "path"]
)
def test_third_takes_a_parameter(tutorial, path, length):
    assert digits(tutorial("tut03_parameters").get(path)) == length


def test_third_fails_over_a_value_that_is_no_number(tutorial):
    assert tutorial("tut03_parameters").get("/generate?length=x")[0].status == 500


def test_third_refuses_parameters_that_it_has_not(tutorial):
    response, body = tutorial("tut03_parameters").get("/generate?foo=1")
    assert response.status == 404
    assert b"Unexpected query string parameters: foo" in body


def test_fourth_shows_a_form(tutorial):
    page = text(tutorial("tut04_form").get("/"))
    assert '<form method="get" action="generate">' in page
    assert 'name="length"' in page


def test_fourth_takes_the_form_by_post_as_well(tutorial):
    assert digits(tutorial("tut04_form").get("/generate", form={"length": "5"})) == 5


def test_log_tells_how_it_starts_and_sigterm_ends_it(tmp_path):
    program = Program("tut01_helloworld", tmp_path)
    try:
        program.wait_for("ENGINE Bus STARTED")
        log = "\n".join(program.lines)
        at = [
            log.index(words)
            for words in (
                "ENGINE Listening for SIGTERM.",
                "ENGINE Bus STARTING",
                "The Application mounted at '' has an empty config.",
                "ENGINE Started monitor thread 'Autoreloader'.",
                "ENGINE Serving on http://127.0.0.1:",
                "ENGINE Bus STARTED",
            )
        ]
        assert at == sorted(at)
        assert program.end() == 0
    finally:
        program.close()
