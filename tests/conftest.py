"""What every test has at hand: a site as it is after import, and clients of applications."""

from __future__ import annotations

import contextlib
import copy
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from webtest import TestApp

import cptoolkit
from cptoolkit.config_origins import Origin, Origins
from cptoolkit.configuration import environments, generation
from cptoolkit.context import current
from cptoolkit.http.request import Request
from cptoolkit.process import handover

sys.path.append(str(Path(__file__).parent / "support"))  # what tests import from one another

# How long something takes says nothing on a busy machine; hypothesis has its own profile for CI.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

# A shell in whose background the tests run has them ignore Ctrl-C, and all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["no_proxy"] = "*"  # what tests ask is on this machine


@pytest.fixture(autouse=True)
def fresh_site() -> Iterator[None]:
    """Put back what a test may change in the site of this process: config, tree, bus, log."""
    site, engine = cptoolkit.config, cptoolkit.engine
    state = engine.state
    dicts = [site, site.namespaces, Request.namespaces, vars(cptoolkit.tools)]
    before = [dict(entries) for entries in dicts]
    configured = [cptoolkit.checker, cptoolkit.server, engine.autoreload, engine.timeout_monitor]
    attributes = [dict(vars(thing)) for thing in configured]
    named_environments = copy.deepcopy(environments)
    contained_paths = site.contained_paths
    apps, cptoolkit.tree.apps = cptoolkit.tree.apps, {}
    listeners = {channel: set(found) for channel, found in engine.listeners.items()}
    origins, site.origins = site.origins, Origins()
    site.origins.note(site.defaults, Origin("default"))
    exchange = current.get(None)
    loggers = [cptoolkit.log.error_log, cptoolkit.log.access_log]
    logging_state = [(logger.level, list(logger.handlers)) for logger in loggers]
    cptoolkit.log.screen = False
    try:
        yield
    finally:
        if engine.state is not state:
            if engine.state is engine.states.STARTED:  # the test has failed before its end
                engine.stop()
            engine.state = state
        for entries, was in zip(dicts, before, strict=True):
            dict.clear(entries)
            dict.update(entries, was)
        for thing, had in zip(configured, attributes, strict=True):
            for name in vars(thing).keys() - had.keys():
                del vars(thing)[name]
            vars(thing).update(had)  # a thread of its own lacks nothing meanwhile
        environments.clear()
        environments.update(named_environments)
        site.contained_paths = contained_paths
        site.origins = origins
        cptoolkit.tree.apps = apps
        engine.listeners.clear()
        engine.listeners.update(listeners)
        if exchange is None and current.get(None) is not None:
            cptoolkit.serving.clear()
        for logger, (level, handlers) in zip(loggers, logging_state, strict=True):
            logger.setLevel(level)
            for handler in logger.handlers:
                if handler not in handlers:
                    handler.close()
            logger.handlers[:] = handlers
        handover.discard()  # or a later server would serve on what was left for another
        generation.bump()


def client_of(root: Any, config: Any = None, script_name: str = "") -> TestApp:
    """A client of an object tree, or of any WSGI application; both sides of it are linted.

    The application itself is its ``app``.
    """
    if isinstance(root, cptoolkit.Application):
        return TestApp(root)
    app = cptoolkit.Application(root, script_name, config)
    if not script_name:
        return TestApp(app)
    tree = cptoolkit.Tree()
    tree.mount(app)
    return TestApp(tree)


@pytest.fixture(scope="session")
def app_of() -> Callable[..., TestApp]:
    """:func:`client_of`: ``app_of(root, config=None, script_name="") -> webtest.TestApp``."""
    return client_of


def fail_instead_of_skipping(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where ``CI`` is set, everything that tests need has to be there."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    missing = re.match("(Skipped: )?(needs|could not import) ", reason)
    if report.skipped and missing and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"{reason.removeprefix('Skipped: ')} (skipped outside of CI)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    fail_instead_of_skipping(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    fail_instead_of_skipping(report)
    return report


class Service:
    """A real server on a free port of this machine, with data in a folder of its own.

    :param command: makes the command line, given the folder and the port.
    :param url: the server's address, in which ``{port}`` stands for the port.
    :param ready: whether the server on a port does what it is there for.
    :param end: the signal that ends it at once, without time to tidy up.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        command: Callable[[Path, int], list[str]],
        url: str,
        ready: Callable[[int], bool],
        end: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cptoolkit-tests-"))
        self.user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to be root, and no other server has to be
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._command, self._ready, self._end = command, ready, end
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._url = url
        self.port = 0

    @property
    def url(self) -> str:
        return self._url.format(port=self.port)

    def start(self) -> None:
        """Start it, on the port and with the data it has had before; return when it answers."""
        if self._process is not None:
            return
        from beside import free_port

        deadline = time.monotonic() + 30
        while not self._starts(self.port or free_port()):
            assert time.monotonic() < deadline, (self.folder / "log").read_text()

    def _starts(self, port: int) -> bool:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self._command(self.folder, port),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.user,
            )
        # Before it is ready: the tests may be killed, or interrupted, while they wait for that.
        self._process, self._guard = process, self._guard_of(process)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if self._ready(port):
                self.port = port
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def _guard_of(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """What ends the server, and its folder, if the tests are killed."""
        # Its input ends when this process does, whatever the reason.
        script = 'read -r _; kill -s "$1" "$2"; kill -s CONT "$2"; sleep 1; rm -rf "$3"'
        names = [self._end.name.removeprefix("SIG"), str(process.pid), str(self.folder)]
        return subprocess.Popen(
            ["sh", "-c", script, "guard", *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End it as a crash does."""
        if self._process is None or self._guard is None:
            return
        self._guard.kill()
        self._guard.communicate()
        self._process.send_signal(self._end)
        self._process.wait()
        self._process = self._guard = None

    def freeze(self) -> None:
        """Let it hang: it keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # until all of its threads have stopped

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def run(self, command: list[str]) -> None:
        """Run a program as the user who the server runs as."""
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **self.user)


def answers(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection((Service.host, port), timeout=5) as connection:
            connection.sendall(question)
            return connection.recv(100).startswith(answer)
    except OSError:
        return False


@contextlib.contextmanager
def running(service: Service, *preparations: list[str]) -> Iterator[Service]:
    try:
        for command in preparations:
            service.run(command)
        service.start()
        yield service
    finally:
        service.stop()
        shutil.rmtree(service.folder)


def program(name: str, *places: str) -> str:
    """The path of a program; without it the test is skipped."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *places]))
    if found is None:
        pytest.skip(f"needs {name}")
    return found


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[Service]:
    """A memcached for this process. Its url is ``host:port``."""
    binary = program("memcached")

    def command(folder: Path, port: int) -> list[str]:
        return [binary, "-l", Service.host, "-p", str(port), "-U", "0", "-t", "1"]

    def ready(port: int) -> bool:
        return answers(port, b"version\r\n", b"VERSION")

    with running(Service(command, "127.0.0.1:{port}", ready)) as service:
        yield service


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Service]:
    """A Redis for this process, which keeps its data when it is stopped."""
    binary = program("redis-server")

    def command(folder: Path, port: int) -> list[str]:
        options = {"--bind": Service.host, "--port": str(port), "--dir": str(folder)}
        options |= {"--save": "", "--appendonly": "yes", "--appendfsync": "no"}
        return [binary, *(text for option in options.items() for text in option)]

    def ready(port: int) -> bool:
        return answers(port, b"PING\r\n", b"+PONG")

    with running(Service(command, "redis://127.0.0.1:{port}/0", ready)) as service:
        yield service


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Service]:
    """A PostgreSQL for this process. Its url is one for SQLAlchemy with psycopg."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    binary, initdb, pg_isready = (
        program(name, *folders) for name in ("postgres", "initdb", "pg_isready")
    )

    def command(folder: Path, port: int) -> list[str]:
        settings = [f"listen_addresses={Service.host}", "unix_socket_directories=", "fsync=off"]
        options = [text for setting in settings for text in ("-c", setting)]
        return [binary, "-D", str(folder / "data"), "-p", str(port), *options]

    def ready(port: int) -> bool:
        asked = [pg_isready, "-q", "-h", Service.host, "-p", str(port)]
        return subprocess.run(asked, check=False).returncode == 0

    url = "postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    # SIGQUIT ends the servers of the connections too; SIGKILL would leave them to find out.
    service = Service(command, url, ready, signal.SIGQUIT)
    options = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale"]
    with running(service, [initdb, "-D", str(service.folder / "data"), *options]):
        yield service
