"""Whether anything grows: ``python tests/benchmarks/endurance.py [--requests 100000]``.

Clients ask for everything there is, on connections that last and on new ones, and break off in
every way. Told are the memory and the open files of the server as it goes on.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import struct

from applications import BODY_SIZE
from contestants import free_port, running
from idle import resident

ROUNDS = 10

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET /?close HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BODY_SIZE + b"x" * BODY_SIZE
CHUNKS = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
FILE = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
STREAM = b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
ERROR = b"GET /error HTTP/1.1\r\nHost: a\r\n\r\n"
BAD = b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"

KINDS = [
    GET * 20,
    GET * 20,
    CLOSE,
    OLD,
    POST,
    CHUNKS,
    FILE,
    STREAM,
    ERROR,
    BAD,
    GET[:20],
    POST[:99],
]

RESET = struct.pack("ii", 1, 0)

SERVER = """
import applications
from cptoolkit.servers import Server

def app(environ, start_response):
    path = environ["PATH_INFO"]
    environ["wsgi.input"].read()
    if path == "/file":
        return applications.file(environ, start_response)
    if path == "/error":
        raise RuntimeError
    if path == "/stream":
        start_response("200 OK", [])
        return (b"x" * 10000 for _ in range(20))
    return applications.hello(environ, start_response)

server = Server(app, port={port})
server.error_log = lambda message, level, traceback: None
server.serve()
"""


def visit(port: int, kind: bytes, patient: bool) -> int:
    """Send something, take the answers or not, and return how many requests there were."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(kind)
        if patient:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1_000_000):
                pass
        else:
            if kind.endswith(b"\r\n\r\n"):
                sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return kind.count(b" HTTP/1.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Look for leaks in the bundled server.")
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    dice = random.Random(1)
    port = free_port()
    with running(["-c", SERVER.format(port=port)], port) as server:
        print(f"{'requests':>10}{'memory KiB':>14}{'open files':>14}{'threads':>14}")
        done = 0
        for part in range(ROUNDS + 1):
            while done < options.requests * part / ROUNDS:
                kind = dice.choice(KINDS)
                whole = kind.endswith(b"\r\n\r\n") or kind is POST
                done += visit(port, kind, patient=whole and dice.random() < 0.8)
            files = len(os.listdir(f"/proc/{server}/fd"))
            threads = len(os.listdir(f"/proc/{server}/task"))
            memory = resident(server) // 1024
            print(f"{done:>10}{memory:>14}{files:>14}{threads:>14}", flush=True)


if __name__ == "__main__":
    main()
