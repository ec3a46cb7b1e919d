"""In a container whose disk is read-only, and as a user without rights, nothing is missed."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from beside import PATIENCE, free_port

# Nothing at all may be written, by a user who may read what there is and has no home.
CONTAINER = """
mount -o remount,bind,ro / || exit 99
for place in /dev/shm /tmp /run; do
    mountpoint -q "$place" && { mount -o remount,bind,ro "$place" || exit 99; }
done
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
    --inh-caps=+dac_read_search --ambient-caps=+dac_read_search \
    env -i PATH="$PATH" PYTHONDONTWRITEBYTECODE=1 "$@"
"""

WRITES = """
import sys, tempfile
try:
    tempfile.gettempdir()
except FileNotFoundError:
    sys.exit(0)
sys.exit("there is a place to write to")
"""

START = """
import runpy, sys
import cptoolkit
port, processes, module = sys.argv[1:]
cptoolkit.config.update({"server.socket_port": int(port), "server.processes": int(processes)})
runpy.run_module(module, run_name="__main__")
"""


def contained(*words):
    return ["unshare", "-m", "sh", "-c", CONTAINER, "sh", *words]


@pytest.fixture(scope="module", autouse=True)
def _container():
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can make a disk read-only")
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("no unshare and setpriv here")
    tried = subprocess.run(
        contained(sys.executable, "-c", WRITES), capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no read-only disk can be had here: {tried.stderr}")


@pytest.fixture
def serve(tmp_path):
    """``serve(module, processes)``: the port on which a module of the tutorial serves there."""
    log = tmp_path / "log"
    started = []

    def start(module, processes):
        port = free_port()
        words = contained(sys.executable, "-c", START, str(port), str(processes), module)
        with log.open("wb") as output:
            started.append(
                subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            assert started[0].poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    try:
        yield start
        for process in started:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)


def get(port, path, cookie="", form=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Cookie": cookie} if cookie else {}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request("GET" if form is None else "POST", path, form, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), (answer.headers["Set-Cookie"] or "").split(";")[0]
    finally:
        connection.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_program_serves(serve, processes):
    port = serve("cptoolkit.tutorial.tut01_helloworld", processes)
    assert get(port, "/")[:2] == (200, b"Hello world!")
    assert get(port, "/favicon.ico")[0] == 200
    assert get(port, "/none")[0] == 404


def test_sessions_are_kept(serve):
    port = serve("cptoolkit.tutorial.tut07_sessions", 1)
    status, _, cookie = get(port, "/add", form="wish=a+pony")
    assert status == 303
    assert b"a pony" in get(port, "/", cookie)[1]
    assert b"a pony" not in get(port, "/")[1]
