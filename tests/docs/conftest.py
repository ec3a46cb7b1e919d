"""Programs of the documentation, in processes of their own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from beside import PATIENCE, Program, free_port, wait_until

HERE = Path(__file__).parent
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])

NGINX = """
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path nginx/bodies;
    fastcgi_temp_path nginx/fastcgi;
    proxy_temp_path nginx/proxy;
    scgi_temp_path nginx/scgi;
    uwsgi_temp_path nginx/uwsgi;
    include nginx/sites-enabled/*;
}
"""


class Served(Program):
    """A program that may serve on a port, and an HTTP client of it."""

    def __init__(self, command, folder, port):
        environment = {
            "BASH_ENV": HERE / "stand_ins.sh",
            "COLUMNS": "",  # whatever the terminal of the tests
            "HOME": folder,
            "LC_ALL": "C",  # bash warns of locales that are not there
            "PATH": PATH,
            "PORT": port,  # gunicorn looks there, too
            "PYTHON": sys.executable,
            "PYTHONPATH": HERE / "customized",
            "PYTHONUNBUFFERED": "1",
            "ZDOTDIR": folder,
        }
        super().__init__(command, folder, {name: str(environment[name]) for name in environment})
        self.port = port
        self._client = build_opener(HTTPCookieProcessor())

    def serves(self):
        """Whether it accepts connections, once it does or has ended."""
        wait_until(lambda: self.process.poll() is not None or accepts(self.port))
        return self.process.poll() is None

    def get(self, path, form=""):
        """The text of the answer, after redirects; a form is sent by POST. Cookies are kept."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with self._client.open(url, form.encode() or None, timeout=PATIENCE) as answer:
            return answer.read().decode()


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def moved(text, port):
    """The text with this port, instead of those that the documentation serves on."""
    return re.sub(r"\b(4000|8000|8080|9000)\b", str(port), text)


@pytest.fixture
def served(tmp_path):
    """``served(name)``: run a script of the test's folder until the test is over."""
    running = []

    def run(name):
        port = free_port()
        path = tmp_path / name
        path.write_text(moved(path.read_text(encoding="utf-8"), port), encoding="utf-8")
        program = Served([sys.executable, name], tmp_path, port)
        running.append(program)
        assert program.serves(), program.said()
        return program

    yield run
    for program in running:
        program.close()


class Terminal:
    """Where the lines of a page are given, one after another.

    :param folder: the working folder, and the user's home.
    """

    def __init__(self, folder):
        self.folder = folder
        self.serving = None
        """The program that serves."""
        self._port, self._front = free_port(), free_port()
        self._nginx = None
        (folder / ".curlrc").write_text("fail\nsilent\nshow-error\n")
        (folder / ".zshenv").write_text("autoload -U compinit; compinit -u\n")

    def moved(self, text):
        """The text with the ports of this test, instead of those of the documentation."""
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self._front};")
        text = text.replace("http://127.0.0.1/", f"http://127.0.0.1:{self._front}/")
        return moved(text, self._port)

    def give(self, line, shell="bash"):
        """What the line has started, once it has ended or serves.

        A line ends what has served until then, but for those of curl and sudo.
        """
        if shutil.which(shell) is None:
            pytest.skip(f"needs {shell}")
        if not line.startswith(("curl ", "sudo ")):
            self._end()
        line = self.moved(line.replace(".venv/bin/", ""))
        given = Served([shell, "-e", "-c", line], self.folder, self._port)
        try:
            if not self.serving and given.serves():
                self.serving = given
            else:
                given.end()
            if "nginx -s reload" in line:
                wait_until(lambda: accepts(self._front))
        finally:
            if self.serving is not given:
                given.close()
        return given

    def start_nginx(self):
        """Start an nginx, which has no sites yet."""
        nginx = shutil.which("nginx", path=PATH) or pytest.skip("needs nginx")
        (self.folder / "nginx" / "sites-enabled").mkdir(parents=True)
        (self.folder / "main.conf").write_text(NGINX)
        command = [nginx, "-p", ".", "-c", "main.conf", "-e", "nginx.log", "-g", "daemon off;"]
        self._nginx = Program(command, self.folder)
        wait_until((self.folder / "nginx.pid").exists)

    def add_site(self, text):
        """Give nginx a file, which it takes when it is told so."""
        path = self.folder / "nginx" / "sites-enabled" / "site"
        path.write_text(self.moved(text), encoding="utf-8")

    def _end(self):
        if self.serving is not None:
            self.serving.close()
            self.serving = None
            wait_until(lambda: not accepts(self._port))

    def close(self):
        """End all that has been started."""
        self._end()
        if self._nginx is not None:
            self._nginx.close()


@pytest.fixture
def terminal(tmp_path):
    """A terminal in the test's folder; what it has started ends with the test."""
    opened = Terminal(tmp_path)
    yield opened
    opened.close()
