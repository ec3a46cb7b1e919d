from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
from beside import PATIENCE, free_port

PROGRAMS = Path(__file__).parent / "programs"


class Host:
    """A real server in a process of its own, on a free port, until :meth:`end`.

    :param needs: module without which the test is skipped.
    :param words: its command line, with ``{port}`` for the port.
    :param environ: more of the environment.
    """

    def __init__(self, folder: Path, needs: str, *words: str, **environ: str) -> None:
        if find_spec(needs) is None:
            pytest.skip(f"needs {needs}")
        self.port = free_port()
        self._trace = folder / "trace"
        self._trace.touch()
        self._log = folder / "log"
        words = tuple(word.format(port=self.port) for word in words)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [script(words[0]), *words[1:]] if words[0] != "python" else python(*words[1:]),
                cwd=PROGRAMS,
                env={**os.environ, **ENVIRONMENT, "TRACE": str(self._trace), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def trace(self) -> list[tuple[str, int]]:
        """What has happened, and in which process."""
        lines = self._trace.read_text().splitlines()
        return [(what, int(pid)) for what, pid in map(str.split, lines)]

    def get(self, path: str, port: int = 0) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def wait_until_it_answers(self) -> tuple[int, str]:
        answers: list[tuple[int, str]] = []

        def try_it() -> bool:
            try:
                answers.append(self.get("/"))
            except (OSError, http.client.HTTPException):
                return False
            return True

        self.wait_until(try_it)
        return answers[0]

    def wait_until(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"ended too soon:\n{self.log}"
            assert time.monotonic() < deadline, f"never came true:\n{self.trace}\n{self.log}"
            time.sleep(0.01)

    def wait_for_rounds(self, count: int) -> None:
        """Wait until every process with a running bus has gone that often through its loops."""

        def happened() -> bool:
            times = Counter(self.trace)
            if not times:
                return False
            running = {pid for what, pid in times if what == "start"}
            running -= {pid for what, pid in times if what == "stop"}
            return all(times[what, pid] >= count for what in ("main", "tick") for pid in running)

        self.wait_until(happened)

    def wait_for_workers(self, count: int) -> None:
        """Wait until the bus has started in so many processes."""
        self.wait_until(lambda: self.started() >= count)

    def started(self) -> int:
        return len([what for what, _ in self.trace if what == "start"])

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def end(self) -> int:
        """Ask it to end, and return its status."""
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return its status once it has ended."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"did not end:\n{self.log}")
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


ENVIRONMENT = {"PYTHONPATH": str(PROGRAMS), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


def python(*words: str) -> list[str]:
    return [sys.executable, *words]


def script(name: str) -> str:
    """The path of a command that has been installed beside this Python."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"needs {name}")
    return found


@pytest.fixture
def host(tmp_path):
    """Start hosts that end with the test: ``host(needs, *words, **environ)``."""
    numbers = count()
    with ExitStack() as hosts:

        def start(needs: str, *words: str, **environ: str) -> Host:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            host = Host(folder, needs, *words, **environ)
            hosts.callback(host.end)
            return host

        yield start


@pytest.fixture(scope="session")
def host_class():
    return Host
