"""``cptoolkit run --server``: each server is a real one, and lives with the bus."""

import os
import signal
import socket
from contextlib import closing

import pytest
from beside import PATIENCE, free_port, in_threads

from cptoolkit.commands.server_names import NAMES, OTHERS

CLASSES = {
    "bundled": "Server",
    "native": "CPHTTPServer",
    "waitress": "Waitress",
    "cheroot": "Cheroot",
    "werkzeug": "Werkzeug",
    "wsgiref": "Wsgiref",
}

every_server = pytest.mark.parametrize("name", NAMES)
every_other = pytest.mark.parametrize("name", OTHERS)


@pytest.fixture(autouse=True)
def installed(request):
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if name in ("waitress", "cheroot"):
        pytest.importorskip(name, reason=f"needs {name}")


def test_the_table_of_this_test_is_whole():
    assert set(CLASSES) == set(NAMES)


@every_server
def test_server_answers_and_lets_requests_finish(serve, name):
    serving = serve("--server", name)
    assert serving.get() == (200, "hello")
    assert serving.get("/server") == (200, CLASSES[name])
    assert serving.get("/stream") == (200, "ab")
    assert serving.get("/echo", "POST", b"x" * 100_000) == (200, "x" * 100_000)
    assert serving.get("/nope")[0] == 404
    assert serving.get("/environ?key=REMOTE_ADDR") == (200, "'127.0.0.1'")
    with closing(serving.connection()) as client:
        client.request("GET", "/slow")
        serving.wait_for("slow begins")
        serving.send(signal.SIGTERM)
        assert client.getresponse().read() == b"slow"
    assert serving.end() == 0
    assert any(f"HTTP Server <{CLASSES[name]} " in line for line in serving.output)


@every_other
def test_restart_refuses_nobody_and_pages_can_end_the_server(serve, name):
    """Its sockets go on listening meanwhile, as those of the bundled server do."""
    serving = serve("--server", name, "--no-reload")
    assert serving.get() == (200, "hello")
    assert serving.get("/again") == (200, "again")
    serving.wait_for("Re-spawning")
    assert serving.get() == (200, "hello")
    assert serving.get("/server") == (200, CLASSES[name])
    assert serving.get("/leave") == (200, "bye")
    assert serving.end() == 0


@every_other
def test_several_processes_serve(serve, name):
    serving = serve("--server", name, "--processes", "2")
    assert serving.get("/environ?key=wsgi.multiprocess") == (200, "True")
    for _ in range(2):
        serving.wait_for("Bus STARTED")
    assert serving.stop() == 0
    assert sum("Bus EXITED" in line for line in serving.rest()) == 2


@every_other
def test_unix_socket_is_served(serve, folder, name):
    serving = serve("--server", name, "--socket-file", "s.sock", "--socket-mode", "0660")
    serving.wait_for("Serving on socket file: ")
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(PATIENCE)
        client.connect(str(folder / "s.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.")
    assert answer.endswith(b"hello")
    assert (folder / "s.sock").stat().st_mode & 0o777 == 0o660
    assert serving.stop() == 0
    assert not (folder / "s.sock").exists()


@pytest.mark.parametrize(
    ("name", "flags", "threads", "count"),
    [
        ("waitress", ["--thread-pool", "3"], "waitress-", 3),
        ("cheroot", ["--thread-pool", "3"], "CP Server Thread-", 3),
    ],
    ids=["waitress", "cheroot"],
)
def test_flag_reaches_the_server(serve, name, flags, threads, count):
    serving = serve("--server", name, *flags)
    assert serving.get(f"/threads?name={threads.replace(' ', '%20')}") == (200, str(count))


@pytest.mark.parametrize("name", ["waitress", "cheroot"])
def test_too_long_a_body_is_refused(serve, name):
    serving = serve("--server", name, "--max-request-body-size", "10")
    assert serving.get("/echo", "POST", b"x" * 100)[0] == 413


def test_cheroot_speaks_tls(serve, certificate):
    pytest.importorskip("cheroot", reason="needs cheroot")
    cert, key, context = certificate
    serving = serve("--server", "cheroot", "--ssl-certificate", cert, "--ssl-private-key", key)
    serving.tls = context
    assert serving.get() == (200, "hello")
    assert any("Serving on https://" in line for line in serving.output)


@pytest.mark.parametrize("name", ["werkzeug", "wsgiref"])
def test_client_that_leaves_is_no_error(serve, name):
    serving = serve("--server", name)
    with closing(serving.connection()) as client:
        client.connect()
        client.sock.sendall(b"GET / HT")
    assert serving.get() == (200, "hello")
    serving.stop()
    assert not any("Traceback" in line for line in serving.rest())


def test_waitress_serves_others_while_one_waits(serve):
    pytest.importorskip("waitress", reason="needs waitress")
    serving = serve("--server", "waitress")
    assert serving.get() == (200, "hello")
    answers = []
    with in_threads(*[lambda: answers.append(serving.get("/slow"))] * 3):
        assert serving.get() == (200, "hello")
    assert answers == [(200, "slow")] * 3


@pytest.mark.parametrize("name", ["cheroot", "werkzeug", "wsgiref"])
def test_several_addresses_are_told_where_one_is_served(fails, folder, name):
    (folder / "sitecustomize.py").write_text(
        "import socket\n"
        "real = socket.getaddrinfo\n"
        "def both(host, *args, **more):\n"
        "    hosts = ['127.0.0.1', '127.0.0.2'] if host == 'two.test' else [host]\n"
        "    return [found for one in hosts for found in real(one, *args, **more)]\n"
        "socket.getaddrinfo = both\n"
    )
    status, line = fails(
        "--server", name, "--host", "two.test", "--port", "0",
        env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    assert status == 1
    assert f"{name} listens on one address, but 'two.test' is 127.0.0.1, 127.0.0.2" in line


def test_setting_without_effect_is_told(serve, folder):
    (folder / "a.conf").write_text("[global]\nserver.thread_pool: 3\n")
    serving = serve("--server", "wsgiref", "-c", "a.conf")
    assert serving.get() == (200, "hello")
    assert any("server.thread_pool has no effect on wsgiref." in line for line in serving.output)


# Servers of one's own

OWN = """
from wsgiref.simple_server import WSGIServer, make_server

class Own:
    def __init__(self, adapter):
        self.adapter = adapter

    def start(self):
        self.server = make_server("127.0.0.1", self.adapter.socket_port, self.adapter.app)
        self.server.serve_forever()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

def nothing(adapter):
    return 42

def failing(adapter):
    raise LookupError("no socket")

number = 42
"""


def test_server_of_a_factory_is_used(serve, folder):
    (folder / "own.py").write_text(OWN)
    serving = serve("--server", "own:Own", "--port", str(free_port()))
    assert serving.get() == (200, "hello")
    assert serving.get("/server") == (200, "Own")
    assert "WSGIServer" in serving.headers["Server"]
    assert serving.stop() == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("own:Owns", "own has no 'Owns'; did you mean 'Own'?", id="name"),
        pytest.param("owns:Own", "there is no module 'owns'; did you mean 'own'?", id="module"),
        pytest.param("own:number", "that is 42, which makes no server", id="not callable"),
        pytest.param("own:nothing", "makes 42, which is no server: it needs start()", id="result"),
        pytest.param("own:failing", "failed: LookupError('no socket')", id="error"),
        pytest.param("watress", "there is no such server; did you mean 'waitress'?", id="unknown"),
        pytest.param("zzz", "there are bundled, native, waitress, cheroot, ", id="like no other"),
        pytest.param("gunicorn", "with: gunicorn -c python:cptoolkit.servers.gunicorn", id="host"),
        pytest.param("gunicrn", "gunicorn has the process for itself", id="host misspelt"),
    ],
)
def test_wrong_server_is_told(fails, folder, name, message):
    (folder / "own.py").write_text(OWN)
    status, line = fails("--server", name)
    assert status == 2
    assert message in line


def test_server_that_is_not_installed_is_told(fails, folder):
    (folder / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "real = importlib.util.find_spec\n"
        "def hide(name, package=None):\n"
        "    return None if name == 'waitress' else real(name, package)\n"
        "importlib.util.find_spec = hide\n"
    )
    status, line = fails("--server", "waitress", env={**os.environ, "PYTHONPATH": str(folder)})
    assert (status, line) == (
        2, "cptoolkit: --server waitress: waitress is not installed: pip install waitress"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("waitress", ["--no-nodelay", "--processes", "2"], "waitress does not take --nodelay,"),
        ("wsgiref", ["--thread-pool", "3", "--ssl-certificate", "a"],
         "wsgiref does not take --thread-pool, --ssl-certificate, only --host, --port, "),
        ("cheroot", ["--keep-alive-timeout", "3"], "cheroot does not take --keep-alive-timeout"),
        ("werkzeug", ["--protocol", "scgi"], "werkzeug does not take --protocol, only"),
    ],
    ids=["waitress", "wsgiref", "cheroot", "werkzeug"],
)  # fmt: skip
def test_flag_that_a_server_does_not_take_is_told(fails, name, flags, message):
    status, line = fails("--server", name, *flags)
    assert status == 2
    assert message in line
