"""Compare the bundled server with others: ``python tests/benchmarks/servers.py [--seconds 5]``.

Each server runs two WSGI applications, a 12-byte answer and a handler that sleeps 10 ms, with ten
threads, under ``wrk`` with 32 keep-alive connections on the same machine; a third table has an
object tree end to end, ours beside CherryPy's. Rounds are interleaved, so that what else the
machine does falls on all alike; of each server the median round is shown. Servers that are not
installed are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

THREADS = 10
CLIENTS = 32
IDEAL = THREADS / 0.010
"""Requests a second that ten threads can sleep through, 10 ms each."""

HERE = os.path.dirname(os.path.abspath(__file__))


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer 12 bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello world!"]


def sleepy(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer 12 bytes after 10 ms."""
    time.sleep(0.010)
    return hello(environ, start_response)


def _run_cptoolkit(app: str, port: int) -> list[str]:
    code = f"import servers; from cptoolkit.servers import serve; serve(servers.{app}, port={port})"
    return ["-c", code]


def _run_waitress(app: str, port: int) -> list[str]:
    return ["-m", "waitress", f"--port={port}", f"--threads={THREADS}", f"servers:{app}"]


def _run_cheroot(app: str, port: int) -> list[str]:
    return ["-m", "cheroot", f"--bind=127.0.0.1:{port}", f"--threads={THREADS}", f"servers:{app}"]


def _run_gunicorn(app: str, port: int) -> list[str]:
    worker = ["--worker-class=gthread", f"--threads={THREADS}", "--keep-alive=30"]
    return ["-m", "gunicorn", *worker, f"--bind=127.0.0.1:{port}", f"servers:{app}"]


def _run_granian(threads: int) -> Callable[[str, int], list[str]]:
    def run(app: str, port: int) -> list[str]:
        options = ["--interface=wsgi", "--workers=1", "--no-access-log", "--log-level=warning"]
        pool = f"--blocking-threads={threads}"
        return ["-m", "granian", *options, pool, f"--port={port}", f"servers:{app}"]

    return run


TREE = """
import {module} as cherrypy

class Hello:
    @cherrypy.expose
    def index(self):
        return "Hello world!"

settings = {{"server.socket_port": {port}, "server.thread_pool": {threads}, "log.screen": False,
            "engine.autoreload.on": False, "checker.on": False}}
cherrypy.config.update(settings)
cherrypy.quickstart(Hello())
"""
"""The same program for both, on its own server."""


def _run_tree(module: str) -> Callable[[str, int], list[str]]:
    return lambda app, port: ["-c", TREE.format(module=module, port=port, threads=THREADS)]


@dataclass
class Contestant:
    """A server, how it is run, and what was measured."""

    name: str
    module: str
    run: Callable[[str, int], list[str]]
    rates: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def delay(self) -> float:
        return statistics.median(self.delays)


def contestants() -> list[Contestant]:
    """Return those that are installed."""
    known = [
        Contestant("cptoolkit", "cptoolkit", _run_cptoolkit),
        Contestant("granian, 1 thread", "granian", _run_granian(1)),
        Contestant(f"granian, {THREADS} threads", "granian", _run_granian(THREADS)),
        Contestant("gunicorn gthread", "gunicorn", _run_gunicorn),
        Contestant("waitress", "waitress", _run_waitress),
        Contestant("cheroot", "cheroot", _run_cheroot),
    ]
    return [one for one in known if importlib.util.find_spec(one.module)]


def trees() -> list[Contestant]:
    """Return the frameworks with object trees that are installed."""
    known = [
        Contestant("cptoolkit", "cptoolkit", _run_tree("cptoolkit")),
        Contestant("CherryPy on cheroot", "cherrypy", _run_tree("cherrypy")),
    ]
    return [one for one in known if importlib.util.find_spec(one.module)]


@contextlib.contextmanager
def running(arguments: list[str], port: int) -> Iterator[None]:
    """Run a server, from the moment it accepts connections."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=HERE,  # where "servers" is this file
        env={**os.environ, "PYTHONPATH": HERE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"does not start: {' '.join(arguments)}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def measure(port: int, seconds: int) -> tuple[float, float]:
    """Return requests a second and the 99th percentile of the delay in milliseconds."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", "--latency", f"-d{seconds}s"]
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    delay = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    if rate is None or delay is None or "Non-2xx" in out:
        raise SystemExit(f"wrk says:\n{out}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[delay[2]]
    return float(rate[1]), float(delay[1]) * unit


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def compare(field_: list[Contestant], app: str, seconds: int, rounds: int) -> list[Contestant]:
    """Measure everybody, in turn, ``rounds`` times."""
    for _ in range(rounds):
        for one in field_:
            port = free_port()
            with running(one.run(app, port), port):
                measure(port, 1)
                rate, delay = measure(port, seconds)
            one.rates.append(rate)
            one.delays.append(delay)
    return field_


def show(title: str, field_: list[Contestant], ideal: float | None = None) -> None:
    ours = field_[0].rate
    last = "of ideal" if ideal else "range"
    print(f"\n{title}\n{'server':<22}{'req/s':>10}{'p99 ms':>10}{'ours is':>10}{last:>18}")
    for one in field_:
        note = f"{min(one.rates):.0f} to {max(one.rates):.0f}"
        if ideal:
            note = f"{one.rate / ideal:.1%}"
        print(
            f"{one.name:<22}{one.rate:>10.0f}{one.delay:>10.2f}{ours / one.rate:>9.2f}x{note:>18}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare WSGI servers under wrk.")
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: https://github.com/wg/wrk, or the package of that name")
    length = (options.seconds, options.rounds)
    show("12-byte answer", compare(contestants(), "hello", *length))
    show("handler that sleeps 10 ms", compare(contestants(), "sleepy", *length), IDEAL)
    show("object tree, end to end", compare(trees(), "", *length))


if __name__ == "__main__":
    main()
