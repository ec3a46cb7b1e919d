"""The servers that are compared, and how each of them is run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from applications import certificate

THREADS = 10
HERE = os.path.dirname(os.path.abspath(__file__))

Run = Callable[[str, int, bool], list[str]]
"""From the name of an application, a port, and whether TLS is spoken: arguments for Python."""


def run_cptoolkit(app: str, port: int, tls: bool) -> list[str]:
    options = ""
    if tls:
        options = ", ssl_certificate={!r}, ssl_private_key={!r}".format(*certificate())
    serve = f"from cptoolkit.servers import serve; serve(applications.{app}, port={port}{options})"
    return ["-c", f"import applications; {serve}"]


def run_waitress(app: str, port: int, tls: bool) -> list[str]:
    return ["-m", "waitress", f"--port={port}", f"--threads={THREADS}", f"applications:{app}"]


CHEROOT = """
import applications
from cheroot.wsgi import Server
server = Server(("127.0.0.1", {port}), applications.{app}, numthreads={threads})
if {tls}:
    from cheroot.ssl.builtin import BuiltinSSLAdapter
    server.ssl_adapter = BuiltinSSLAdapter(*applications.certificate())
server.start()
"""


def run_cheroot(app: str, port: int, tls: bool) -> list[str]:
    return ["-c", CHEROOT.format(app=app, port=port, tls=tls, threads=THREADS)]


def run_gunicorn(app: str, port: int, tls: bool) -> list[str]:
    options = ["--worker-class=gthread", f"--threads={THREADS}", "--keep-alive=30"]
    if tls:
        cert, key = certificate()
        options += [f"--certfile={cert}", f"--keyfile={key}"]
    return ["-m", "gunicorn", *options, f"--bind=127.0.0.1:{port}", f"applications:{app}"]


def run_granian(threads: int) -> Run:
    def run(app: str, port: int, tls: bool) -> list[str]:
        options = ["--interface=wsgi", "--workers=1", "--no-access-log", "--log-level=warning"]
        options.append(f"--blocking-threads={threads}")
        if tls:
            options += [
                f"--ssl-certificate={certificate()[0]}",
                f"--ssl-keyfile={certificate()[1]}",
            ]
        return ["-m", "granian", *options, f"--port={port}", f"applications:{app}"]

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


def run_tree(module: str) -> Run:
    return lambda app, port, tls: ["-c", TREE.format(module=module, port=port, threads=THREADS)]


@dataclass
class Contestant:
    """A server, how it is run, and what was measured."""

    name: str
    module: str
    run: Run
    speaks_tls: bool = True
    rates: list[float] = field(default_factory=list)
    """Requests a second, one of each round."""
    delays: list[float] = field(default_factory=list)
    """The 99th percentile of the delay in milliseconds."""
    costs: list[float] = field(default_factory=list)
    """Microseconds of CPU time for a request."""

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def delay(self) -> float:
        return statistics.median(self.delays)

    @property
    def cost(self) -> float:
        return statistics.median(self.costs)


def servers(tls: bool = False) -> list[Contestant]:
    """Return the servers that are installed, ours first."""
    known = [
        Contestant("cptoolkit", "cptoolkit", run_cptoolkit),
        Contestant("granian, 1 thread", "granian", run_granian(1)),
        Contestant(f"granian, {THREADS} threads", "granian", run_granian(THREADS)),
        Contestant("gunicorn gthread", "gunicorn", run_gunicorn),
        Contestant("waitress", "waitress", run_waitress, speaks_tls=False),
        Contestant("cheroot", "cheroot", run_cheroot),
    ]
    return [one for one in known if importlib.util.find_spec(one.module) and one.speaks_tls >= tls]


def trees(tls: bool = False) -> list[Contestant]:
    """Return the frameworks with object trees that are installed, ours first."""
    known = [
        Contestant("cptoolkit", "cptoolkit", run_tree("cptoolkit")),
        Contestant("CherryPy on cheroot", "cherrypy", run_tree("cherrypy")),
    ]
    return [one for one in known if importlib.util.find_spec(one.module)]


@contextlib.contextmanager
def running(arguments: list[str], port: int) -> Iterator[int]:
    """Run a server in a session of its own, and yield its id from when it accepts connections."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=HERE,  # where "applications" is
        env={**os.environ, "PYTHONPATH": os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"does not start: {' '.join(arguments)}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cpu_time(session: int) -> float:
    """Return the seconds of CPU time that the processes of a session have used."""
    ticks = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
