from __future__ import annotations

import socket
import struct

import pytest

from cptoolkit.servers import uwsgi

UWSGI = "pyuwsgi", "uwsgi", "--need-app", "--die-on-term"
VARIABLES = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "example.com",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "example.com",
}


def ask_over_scgi() -> bytes:
    """A request (SCGI specification)."""
    fields = {"CONTENT_LENGTH": "0", "SCGI": "1", **VARIABLES}
    head = "".join(f"{name}\0{value}\0" for name, value in fields.items()).encode()
    return b"%d:%s," % (len(head), head)


def ask_over_fastcgi() -> bytes:
    """A request (FastCGI specification, sections 3.3 and 6.2)."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content

    pairs = b"".join(
        bytes([len(name), len(value)]) + f"{name}{value}".encode()
        for name, value in VARIABLES.items()
    )
    begin = struct.pack(">HB5x", 1, 0)  # as a responder, for one request
    return record(1, begin) + record(4, pairs) + record(4, b"") + record(5, b"")


@pytest.mark.parametrize(
    ("mode", "question"),
    [
        pytest.param("--scgi-socket", ask_over_scgi(), id="SCGI"),
        pytest.param("--fastcgi-socket", ask_over_fastcgi(), id="FastCGI"),
    ],
)
def test_application_is_served_over(host, mode, question):
    served = host(*UWSGI, "--enable-threads", mode, "127.0.0.1:{port}", "-w", "with_uwsgi")
    served.wait_for_rounds(1)
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(question)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"200 OK" in answer
    assert b"http://example.com/page" in answer


def test_application_is_served_without_the_adapter(host):
    served = host(*UWSGI, "--http-socket", "127.0.0.1:{port}", "--wsgi-file", "hosted.py")
    assert served.wait_until_it_answers()[0] == 200
    assert served.trace == []


def test_threads_are_asked_for(host):
    served = host(*UWSGI, "--http-socket", "127.0.0.1:{port}", "-w", "with_uwsgi")
    assert served.wait() != 0
    assert "add enable-threads to its options" in served.log


def test_adapter_is_for_use_inside_of_uwsgi():
    with pytest.raises(ImportError, match="uwsgi"):
        uwsgi.attach()
