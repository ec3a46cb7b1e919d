"""The WSGI applications that servers are compared with, and the certificate for TLS."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from wsgiref.util import FileWrapper

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

FILE_SIZE = 1024 * 1024
BODY_SIZE = 64 * 1024


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer 12 bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello world!"]


def sleepy(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer 12 bytes after 10 ms."""
    time.sleep(0.010)
    return hello(environ, start_response)


_chance = Random(1)


def mixed(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer 12 bytes, once in a hundred times after 20 ms."""
    if _chance.random() < 0.01:
        time.sleep(0.020)
    return hello(environ, start_response)


_ROWS = [(n, f"Article <{n}>", n * 1.25) for n in range(1150)]


def page(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Make a table of 1150 rows, which takes about 1 ms of pure Python, and answer 12 bytes."""
    lines = []
    for row in _ROWS:
        texts = [str(cell).replace("&", "&amp;").replace("<", "&lt;") for cell in row]
        lines.append(f"<tr class={'odd' if row[0] % 2 else 'even'}>{'<td>'.join(texts)}</tr>")
    "\n".join(lines).encode()
    return hello(environ, start_response)


def busy(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer 12 bytes after about 1 ms in one loop of pure Python.

    How fast such a loop is depends on where the interpreter's objects happen to lie, by up to a
    third, and so may differ between servers: compare :func:`page`.
    """
    total = 0
    for n in range(40_000):
        total += n
    return hello(environ, start_response)


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a file of 1 MiB."""
    headers = [("Content-Type", "video/mp4"), ("Content-Length", str(FILE_SIZE))]
    start_response("200 OK", headers)
    wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
    wrapped: Iterable[bytes] = wrapper(open(_path(), "rb"), BODY_SIZE)  # noqa: SIM115
    return wrapped


def upload(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Read a body of 64 KiB, and answer 12 bytes."""
    assert len(environ["wsgi.input"].read(BODY_SIZE)) == BODY_SIZE
    return hello(environ, start_response)


UPLOAD = f"""
wrk.method = "POST"
wrk.body = string.rep("x", {BODY_SIZE})
wrk.headers["Content-Type"] = "application/octet-stream"
"""
"""What makes wrk send such a body."""


@cache
def _path() -> Path:
    path = Path(tempfile.gettempdir(), f"cptoolkit-benchmark-{FILE_SIZE}")
    path.write_bytes(b"x" * FILE_SIZE)
    return path


@cache
def certificate() -> tuple[str, str]:
    """Return the paths of a certificate for this machine and its key, made by openssl."""
    folder = Path(tempfile.gettempdir(), "cptoolkit-benchmark-tls")
    folder.mkdir(mode=0o700, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=localhost"]
    command = ["openssl", "req", "-x509", *kind, "-out", str(cert), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return str(cert), str(key)
