"""8.1 to 8.4 and 8.7.1: what the reference does to processes, done to them."""

import os
import signal
import socket
import sys
from contextlib import suppress

import pytest
from beside import wait_until

HELLO = """
import os

class Root:
    @cherrypy.expose
    def index(self):
        return "Hello World!"

    @cherrypy.expose
    def pid(self):
        return str(os.getpid())
"""


DAEMON = """
from cptoolkit.process.plugins import Daemonizer

class Streams(Root):
    @cherrypy.expose
    def streams(self):
        null = os.stat(os.devnull)
        return repr([os.path.samestat(os.fstat(number), null) for number in range(3)])

d = Daemonizer(cherrypy.engine)
d.subscribe()
cherrypy.config.update({{"server.socket_port": {port}}})
cherrypy.quickstart(Streams())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="daemons are for POSIX")
def test_daemon_serves_in_the_background(script, free_port):
    """8.1: the command has ended well, and its streams lead nowhere."""
    program = script(HELLO + DAEMON.format(port=free_port))
    assert program.process.wait(30) == 0
    pid = 0

    def answers():
        nonlocal pid
        with suppress(ConnectionError):
            pid = int(program.get("/pid", port=free_port).text)
        return pid

    wait_until(answers)
    try:
        assert pid != program.process.pid
        assert program.get("/", port=free_port).text == "Hello World!"
        assert program.get("/streams", port=free_port).text == "[True, True, True]"
    finally:
        os.kill(pid, signal.SIGTERM)

    def has_gone():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", free_port)) != 0

    wait_until(has_gone)


PRIVILEGES = """
from cptoolkit.process.plugins import DropPrivileges

class Users(Root):
    @cherrypy.expose
    def user(self):
        return f"{os.getuid()} {os.getgid()}"

DropPrivileges(cherrypy.engine, uid=65534, gid=65534).subscribe()
cherrypy.config.update({"engine.autoreload.on": False})
cherrypy.quickstart(Users())
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may do so")
def test_root_becomes_another_user_before_it_serves(script):
    """8.2: ``Started as``, then ``Running as``; the port has been bound all the same."""
    program = script(HELLO + PRIVILEGES).serving()
    assert program.get("/user").text == "65534 65534"
    log = "\n".join(program.output)
    assert log.index("Started as uid: 'root' gid: 'root'") < log.index("Running as uid: ")
    assert program.stop() == 0


PIDFILE = """
from cptoolkit.process.plugins import PIDFile

PIDFile(cherrypy.engine, {path!r}).subscribe()
cherrypy.quickstart(Root())
"""


def test_file_holds_the_process_id_until_the_end(script, tmp_path):
    """8.3."""
    file = tmp_path / "myapp.pid"
    program = script(HELLO + PIDFILE.format(path=str(file))).serving()
    assert file.read_text().strip() == program.get("/pid").text
    assert program.stop() == 0
    assert not file.exists()


# What systemd does: the socket is descriptor 3, and LISTEN_PID the process that is meant.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, sys.argv[2]])
"""

ACTIVATED = """
import cptoolkit as cherrypy

class Root:
    @cherrypy.expose
    def index(self):
        return "woken"

cherrypy.quickstart(Root())
"""


def test_socket_of_systemd_is_served(command, tmp_path):
    """8.4: whatever port is configured; clients may have come before the service."""
    (tmp_path / "server.py").write_text(ACTIVATED)
    with socket.create_server(("127.0.0.1", 0)) as passed:
        os.set_inheritable(passed.fileno(), True)
        program = command(
            sys.executable, "-c", ACTIVATE, passed.fileno(), "server.py", keep=passed.fileno()
        )
        assert program.get("/", port=passed.getsockname()[1]).text == "woken"
        assert program.stop() == 0


EMBEDDED = """
import threading

heard = []
cherrypy.engine.subscribe("start", lambda: heard.append("start"))
cherrypy.engine.subscribe("stop", lambda: heard.append("stop"))
cherrypy.server.unsubscribe()
cherrypy.config.update({{"server.socket_port": {port}}})
cherrypy.config.update({{"engine.autoreload.on": False}})
cherrypy.engine.signals.unsubscribe()
{more}
cherrypy.engine.start()
heard.append(cherrypy.engine.state.name)
print("THREADS", sorted(thread.name for thread in threading.enumerate()), flush=True)
print("SETTINGS", cherrypy.log.screen, cherrypy.checker.on, flush=True)
cherrypy.engine.stop()
heard.append(cherrypy.engine.state.name)
print("HEARD", *heard, flush=True)
cherrypy.engine.exit()
"""


@pytest.mark.parametrize(
    ("more", "screen", "checker"),
    [
        ("", True, True),
        ("cherrypy.config.update({'environment': 'embedded'})", False, False),
    ],
    ids=["by hand", "by the environment"],
)
def test_bus_runs_within_another_framework(script, free_port, more, screen, checker):
    """8.7.1: started and stopped, without a server, reloading and signals."""
    program = script(EMBEDDED.format(port=free_port, more=more))
    assert program.process.wait(30) == 0
    lines = program.rest()
    assert "HEARD start STARTED stop STOPPED" in lines
    assert f"SETTINGS {screen} {checker}" in lines
    [threads] = [line for line in lines if line.startswith("THREADS")]
    assert "Autoreloader" not in threads
    assert not any("Serving on" in line or "Listening for" in line for line in lines)
    assert any("Bus STARTED" in line for line in lines) is screen


FAILING = """
class Failing:
    @cherrypy.expose
    def index(self):
        raise LookupError("a secret")

cherrypy.config.update({"environment": "embedded"})
cherrypy.tree.mount(Failing())
cherrypy.engine.signals.unsubscribe()
from wsgiref.util import setup_testing_defaults
environ = {}
setup_testing_defaults(environ)
print(b"".join(cherrypy.tree(environ, lambda *args: print(args[0]))).decode())
"""


def test_embedded_pages_show_no_traceback(script):
    """8.7.1: what the environment turns off."""
    lines = script(FAILING).rest()
    assert lines[0] == "500 Internal Server Error"
    assert not any("LookupError" in line for line in lines)
