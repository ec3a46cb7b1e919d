"""``cptoolkit -f`` and ``-s``: FastCGI and SCGI from the shell (reference, 2.4.1)."""

from __future__ import annotations

import ast
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from beside import PATIENCE, Program

SITE = """
import cptoolkit

class Root:
    @cptoolkit.expose
    def index(self):
        return "hello"

    @cptoolkit.expose
    def setting(self, name):
        return repr(cptoolkit.config.get(name))

cptoolkit.tree.mount(Root())
"""


@pytest.fixture
def folder():
    # Not in pytest's folder, whose path may be too long for a socket's.
    with tempfile.TemporaryDirectory() as name:
        Path(name, "site_.py").write_text(SITE)
        Path(name, "free.conf").write_text("[global]\nserver.socket_port: 0\n")
        Path(name, "unix.conf").write_text("[global]\nserver.socket_file: 'here'\n")
        yield name


@pytest.fixture
def command(folder):
    with contextlib.ExitStack() as programs:

        def start(*words):
            program = Program([sys.executable, "-m", "cptoolkit", *words], folder)
            return programs.enter_context(contextlib.closing(program))

        yield start


def ask(address, request):
    """Every byte that comes until the server closes."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        client.sendall(request)
        with client.makefile("rb") as answer:
            return answer.read()


def scgi(path, query=""):
    head = f"CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0PATH_INFO\0{path}\0"
    head += f"QUERY_STRING\0{query}\0HTTP_HOST\0a\0"
    return f"{len(head)}:{head},".encode()


def record(kind, content):
    return bytes([1, kind, 0, 1, 0, len(content), 0, 0]) + content


def fastcgi(path):
    pairs = [("REQUEST_METHOD", "GET"), ("PATH_INFO", path), ("HTTP_HOST", "a")]
    params = b"".join(
        bytes([len(name), len(value)]) + f"{name}{value}".encode() for name, value in pairs
    )
    begin = record(1, bytes([0, 1, 0, 0, 0, 0, 0, 0]))
    return begin + record(4, params) + record(4, b"") + record(5, b"")


@pytest.mark.parametrize("flag", ["-s", "--scgi"])
def test_scgi_is_spoken(command, flag):
    served = command(flag, "-c", "free.conf", "-i", "site_")
    port = int(served.wait_for("Serving on scgi://127.0.0.1:").rpartition(":")[2])
    answer = ask(("127.0.0.1", port), scgi("/"))
    assert answer.startswith(b"Status: 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("flag", ["-f", "--fastcgi"])
def test_fastcgi_is_spoken(command, flag):
    served = command(flag, "-c", "free.conf", "-i", "site_")
    port = int(served.wait_for("Serving on fastcgi://127.0.0.1:").rpartition(":")[2])
    answer = ask(("127.0.0.1", port), fastcgi("/"))
    assert answer[8:].startswith(b"Status: 200 OK\r\n")
    assert b"\r\n\r\nhello" in answer


def test_socket_file_of_the_config_is_used(command, folder):
    command("-s", "-c", "unix.conf", "-i", "site_").wait_for("Bus STARTED")
    assert ask(os.path.join(folder, "here"), scgi("/")).endswith(b"\r\n\r\nhello")


def test_autoreloader_is_off(command):
    served = command("-s", "-c", "free.conf", "-i", "site_")
    port = int(served.wait_for("Serving on").rpartition(":")[2])
    answer = ask(("127.0.0.1", port), scgi("/setting", "name=engine.autoreload.on"))
    assert ast.literal_eval(answer.rpartition(b"\r\n")[2].decode()) is False


def test_one_protocol_has_to_be_chosen(folder):
    done = subprocess.run(
        [sys.executable, "-m", "cptoolkit", "-f", "-s", "-i", "site_"],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "argument -s/--scgi: not allowed with argument -f/--fastcgi" in line
