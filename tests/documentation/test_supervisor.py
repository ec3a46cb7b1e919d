"""8.5: a program under supervisord, as the reference configures it."""

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from beside import wait_until

CONFIG = """
[unix_http_server]
file={folder}/supervisor.sock

[supervisord]
logfile={folder}/supervisord.log ; (main log file;default $CWD/supervisord.log)
logfile_maxbytes=50MB
logfile_backups=10
loglevel=info
pidfile={folder}/supervisord.pid
nodaemon=true
minfds=256
minprocs=20

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{folder}/supervisor.sock

[program:myapp]
command={python} server.py
environment=PYTHONPATH=.
directory={folder}
"""

SERVER = """
import cptoolkit as cherrypy

class Root:
    @cherrypy.expose
    def index(self):
        return "Hello World!"

cherrypy.config.update({{"server.socket_port": {port},
                        "engine.autoreload.on": False,
                        "log.access_file": "./access.log",
                        "log.error_file": "./error.log"}})

cherrypy.quickstart(Root())
"""


@pytest.fixture
def short_folder():
    """Not in pytest's own, whose path may be too long for that of a socket."""
    folder = Path(tempfile.mkdtemp(prefix="cptoolkit-tests-"))
    yield folder
    shutil.rmtree(folder)


def test_supervisor_starts_and_stops_a_site(command, short_folder, free_port):
    if importlib.util.find_spec("supervisor") is None:
        pytest.skip("needs supervisor")
    folder = short_folder
    config = folder / "supervisor.conf"
    config.write_text(CONFIG.format(folder=folder, python=sys.executable))
    (folder / "server.py").write_text(SERVER.format(port=free_port))

    def ctl(*words):
        tool = command(sys.executable, "-m", "supervisor.supervisorctl", "-c", config, *words)
        return "\n".join(tool.rest())

    supervisord = command(sys.executable, "-m", "supervisor.supervisord", "-c", config)
    try:
        supervisord.wait_for("spawned: 'myapp'")
        supervisord.listening(free_port)
        assert supervisord.get("/").text == "Hello World!"
        ctl("update")
        wait_until(lambda: "RUNNING" in ctl("status"))
        wait_until(lambda: "ENGINE Bus STARTED" in (folder / "error.log").read_text())
        assert '"GET / HTTP/1.1" 200 12' in (folder / "access.log").read_text()
    finally:
        assert "Shut down" in ctl("shutdown")
        supervisord.end()
    with pytest.raises(ConnectionRefusedError):
        supervisord.get("/")
    assert "ENGINE Bus EXITED" in (folder / "error.log").read_text()
