"""Programs as the reference lists them, in processes of their own, and what a client gets there."""

import http.client
import socket
import sys
import textwrap
from contextlib import ExitStack

import pytest
from beside import PATIENCE, Program, free_port, wait_until

# As ``python SCRIPT`` would, but on any port that is free unless the program says which.
START = """
import runpy, sys
import cptoolkit
cptoolkit.config.update({"server.socket_port": 0})
sys.path.insert(0, ".")
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


class Site(Program):
    """A program that serves, and an HTTP client of it."""

    port = 0

    def serving(self):
        """This program, once its log has told the port."""
        self.port = int(self.wait_for("Serving on http").rpartition(":")[2])
        self.wait_for("ENGINE Bus STARTED")
        return self

    def listening(self, port):
        """This program, once it accepts connections on the port; it may still be starting."""
        self.port = port

        def accepts():
            assert self.process.poll() is None, self.rest()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(accepts)
        return self

    def get(self, path="/", method="GET", body=None, port=None, **headers):
        """The answer, read whole: ``status``, ``headers`` and ``text``."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            answer.text = answer.read().decode("latin-1")
        finally:
            connection.close()
        return answer


@pytest.fixture
def command(tmp_path):
    """``command(*words, env=..., keep=...)``: run one in the folder of the test.

    ``keep`` is a descriptor that it inherits.
    """
    with ExitStack() as programs:

        def run(*words, env=(), keep=None):
            kept = () if keep is None else (keep,)
            env = {"PYTHONUNBUFFERED": "1", **dict(env)}  # print and log in order
            site = Site(words, tmp_path, env, pass_fds=kept)
            programs.callback(site.close)
            return site

        yield run


@pytest.fixture
def script(command, tmp_path):
    """``script(source, name="program.py")``: run it as a script, with ``cherrypy`` imported."""

    def run(source, name="program.py", env=()):
        text = "import cptoolkit as cherrypy\n" + textwrap.dedent(source)
        (tmp_path / name).write_text(text)
        return command(sys.executable, "-c", START, name, env=env)

    return run


@pytest.fixture(name="free_port")
def free_port_fixture():
    """A port that nobody listens on."""
    return free_port()
