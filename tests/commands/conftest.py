import os
import shutil
import socket
import ssl
import subprocess
from contextlib import closing

import pytest
from beside import PATIENCE
from serving import COMMAND, Serving

HELLO = """
import os
import threading
import time

import cptoolkit

class Root:
    @cptoolkit.expose
    def index(self):
        states = cptoolkit.engine.states
        cptoolkit.engine.wait(set(states) - {states.STARTING})  # who ends it before fails its start
        return "hello"

    @cptoolkit.expose
    def slow(self):
        print("slow begins", flush=True)
        time.sleep(0.5)
        return "slow"

    @cptoolkit.expose
    def stream(self):
        yield "a"
        yield "b"
    stream._cp_config = {"response.stream": True}

    @cptoolkit.expose
    def echo(self):
        return cptoolkit.request.body.read()

    @cptoolkit.expose
    def server(self):
        return type(cptoolkit.server.httpserver).__name__

    @cptoolkit.expose
    def threads(self, name):
        return str(sum(thread.name.startswith(name) for thread in threading.enumerate()))

    @cptoolkit.expose
    def environ(self, key):
        return repr(cptoolkit.request.wsgi_environ.get(key))

    @cptoolkit.expose
    def leave(self):
        cptoolkit.engine.exit()
        return "bye"

    @cptoolkit.expose
    def again(self):
        cptoolkit.engine.restart()
        return "again"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hello.py").write_text(HELLO)
    return tmp_path


@pytest.fixture
def serve(folder):
    """Run a command that serves ``hello``; it ends with the test."""
    running = []

    def start(*words, command=(*COMMAND, "run", "hello", "--port", "0"), env=None):
        running.append(Serving([*command, *words], folder, env))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def fails(folder):
    """Run a command that cannot start; returns its exit status and the line that tells why."""

    def run(*words, command=(*COMMAND, "run", "hello"), **options):
        done = subprocess.run(
            [*command, *map(str, words)], cwd=folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE * 2, check=False, **options,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        told = [line for line in done.stderr.splitlines() if line.startswith("cptoolkit")]
        assert len(told) == 1, done.stderr
        assert told[0] == done.stderr.splitlines()[-1]
        assert done.stdout == ""
        return done.returncode, told[0]

    return run


@pytest.fixture
def certificate(tmp_path_factory):
    """Paths of a certificate and its key, and a context that trusts them."""
    trustme = pytest.importorskip("trustme", reason="needs trustme")
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return folder / "cert.pem", folder / "key.pem", context


@pytest.fixture
def nobody(folder):
    """The command, run by somebody who may read everything and write nothing."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("needs root, and setpriv to give up its rights")
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    ids = ["--reuid=65534", "--regid=65534", "--clear-groups"]
    return [setpriv, *ids, *rights, *COMMAND, "run", "hello"]


@pytest.fixture
def taken_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        yield taken.getsockname()[1]
