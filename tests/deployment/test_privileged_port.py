"""A program that root starts serves a port below 1024 as somebody else, and goes on doing so."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest
from beside import PATIENCE

import cptoolkit

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may bind such ports"
)

PROGRAM = """
import os, sys, threading
import cptoolkit
from cptoolkit.process.plugins import DropPrivileges, PIDFile

class Root:
    @cptoolkit.expose
    def index(self):
        states = cptoolkit.engine.states
        cptoolkit.engine.wait(set(states) - {states.STARTING})
        return f"{os.getuid()} {os.getgid()} {threading.main_thread().native_id} {BORN}"

BORN = os.urandom(4).hex()
port, processes, folder = sys.argv[1:]
engine = cptoolkit.engine
PIDFile(engine, f"{folder}/program.pid").subscribe()
DropPrivileges(engine, uid=65534, gid=65534).subscribe()
engine.signals.handlers["SIGHUP"] = engine.restart
cptoolkit.config.update({"server.socket_port": int(port), "server.processes": int(processes)})
cptoolkit.config.update({"engine.autoreload.on": False, "log.error_file": f"{folder}/site.log"})
cptoolkit.quickstart(Root())
"""

# Other users cannot get at what lies in root's home. In a namespace of their own, this Python and
# cptoolkit take the place of all that is there otherwise.
REACHABLE = """
set -e
closed=$1; shift
stash=$(mktemp -d); mount -t tmpfs none "$stash"
number=0
for path in $KEPT; do
    mkdir "$stash/$number"; mount --bind "$path" "$stash/$number"; number=$((number + 1))
done
mount -t tmpfs -o mode=755 none "$closed"
number=0
for path in $KEPT; do
    mkdir -p "$path"; mount --bind "$stash/$number" "$path"; number=$((number + 1))
done
exec "$@"
"""


def command_for_others(command):
    """A command such that other users may run its Python, too."""
    homes = [sys.base_prefix, sys.prefix, Path(cptoolkit.__file__).parents[1]]
    kept = list(dict.fromkeys(str(Path(home).resolve()) for home in homes))
    closed = [
        folder
        for home in kept
        for folder in reversed(Path(home).parents)
        if not folder.stat().st_mode & 0o001
    ]
    if not closed:
        return command, {}
    below = [home for home in kept if Path(home).is_relative_to(closed[0])]
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if tried.returncode or any(not one.is_relative_to(closed[0]) for one in closed):
        pytest.skip("only root may run this Python here")
    words = ["unshare", "-m", "sh", "-c", REACHABLE, "sh", str(closed[0])]
    return words + command, {"KEPT": " ".join(below)}


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="cptoolkit-tests-") as path:
        os.chmod(path, 0o755)  # pytest's own are for nobody else
        yield Path(path)


class Program:
    def __init__(self, folder, processes):
        self.port = privileged_port()
        self._log = folder / "log"
        (folder / "program.py").write_text(textwrap.dedent(PROGRAM))
        (folder / "site.log").touch()
        os.chown(folder / "site.log", 65534, 65534)  # or its next run could not open it
        words = [sys.executable, str(folder / "program.py")]
        words += [str(self.port), str(processes), str(folder)]
        words, environment = command_for_others(words)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                words,
                cwd=folder,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self):
        return self._log.read_text()

    def ask(self):
        """User, group, and what tells this start of the program from others."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            user, group, _, born = connection.getresponse().read().decode().split()
            return user, group, born
        finally:
            connection.close()

    def ask_when_it_serves(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ask()
            except ConnectionRefusedError:
                assert self.process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)

    def close(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


def privileged_port():
    for port in random.SystemRandom().sample(range(600, 1024), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.skip("no port below 1024 is free")


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def program(request, folder):
    program = Program(folder, request.param)
    try:
        yield program
    finally:
        program.close()


def test_port_is_bound_before_and_served_after_the_rights_have_gone(program):
    user, group, _ = program.ask_when_it_serves()
    assert (user, group) == ("65534", "65534")
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(PATIENCE) == 0, program.log


def test_restart_keeps_the_port(program, folder):
    """Its new run could not bind it; it inherits the socket, and the PID file is still right."""
    *_, born = program.ask_when_it_serves()
    program.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE
    while (now := program.ask())[2] == born:  # which raises if a connection is refused
        assert time.monotonic() < deadline, program.log
    assert now[:2] == ("65534", "65534"), program.log
    assert (folder / "program.pid").read_text() == f"{program.process.pid}\n"
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(PATIENCE) == 0, program.log


def test_logs_are_rotated_as_the_new_user(program, folder):
    """By the process that stays root, too: in that user's folder it must follow no link."""
    program.ask_when_it_serves()
    os.chown(folder, 65534, 65534)
    log = folder / "site.log"
    moved = log.rename(folder / "site.log.1")
    program.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + PATIENCE
    while not log.exists():
        assert time.monotonic() < deadline, moved.read_text()
        time.sleep(0.02)
    assert log.stat().st_uid == 65534
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(PATIENCE) == 0, program.log
    assert "Could not reopen" not in moved.read_text()
