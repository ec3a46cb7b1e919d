"""``python -X dev -W error -X warn_default_encoding`` has nothing to say."""

import subprocess
import sys
from pathlib import Path

import pytest

import cptoolkit
from cptoolkit import middleware, servers

STRICT = ["-X", "dev", "-X", "warn_default_encoding", "-W", "error"]

STARTED_BY_THEM = {
    "cptoolkit.__main__": "is the command",
    "cptoolkit.child_processes.sitecustomize": "is for interpreters that CherryPy's programs start",
    "cptoolkit.servers.gunicorn": "is loaded by gunicorn",
    "cptoolkit.servers.uwsgi": "is loaded by uWSGI",
}
"""Modules that are for other programs to load, and why."""

IMPORTS = """
import importlib
for name in {names!r}:
    importlib.import_module(name)
"""

SERVES = """
import http.client
import cptoolkit


class Root:
    _cp_config = {"tools.sessions.on": True}

    @cptoolkit.expose
    def index(self, name=""):
        cptoolkit.session["name"] = name
        return f"hello {name}"

    @cptoolkit.expose
    def stream(self):
        yield "a"
    stream._cp_config = {"response.stream": True}

    @cptoolkit.expose
    def crash(self):
        raise ValueError("on purpose")

    @cptoolkit.expose
    def upload(self, file):
        return file.file.read()


cptoolkit.config.update({
    "server.socket_port": 0, "server.socket_host": "127.0.0.1", "log.screen": False,
    "log.access_file": "access.log", "log.error_file": "error.log",
})
cptoolkit.tree.mount(Root(), "", {"/": {"tools.gzip.on": True}})
cptoolkit.engine.signals.subscribe()
cptoolkit.engine.start()
host, port = cptoolkit.server.bound_addr
client = http.client.HTTPConnection(host, port, timeout=60)
head = "Content-Disposition: form-data; name=file; filename=a"
part = f"--x\\r\\n{head}\\r\\n\\r\\nb\\r\\n--x--\\r\\n"
form = {"Content-Type": "multipart/form-data; boundary=x"}
asked = [("GET", "/?name=a"), ("GET", "/stream"), ("GET", "/crash"), ("GET", "/nowhere"),
         ("HEAD", "/"), ("POST", "/upload", part, form), ("POST", "/upload", "x", form)]
for request in asked:
    client.request(*request)
    answer = client.getresponse()
    print(answer.status, len(answer.read()) > 0)
client.close()
cptoolkit.engine.publish("graceful")
cptoolkit.engine.exit()
cptoolkit.engine.block()
"""

LAYERS_ALONE = """
from cptoolkit import Pipeline, use
from cptoolkit.middleware import Cache, ErrorPages, Gzip, Proxy, Sessions
import flask
import webob

app = flask.Flask("site")


@app.route("/")
def index():
    visits = flask.request.environ["cptoolkit.session"]
    visits["count"] = visits.get("count", 0) + 1
    return f"visit {visits['count']}"


layers = [use(ErrorPages), use(Proxy, hops=1), use(Gzip), use(Cache), use(Sessions)]
app.wsgi_app = Pipeline(*layers)(app.wsgi_app)
with app.test_client() as client:
    for _ in range(2):
        print(client.get("/").text)
"""


def modules():
    """The modules of the package, but for those that start something."""
    for package in (cptoolkit, middleware, servers):
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join((package.__name__, *parts)).removesuffix(".__init__")
            if name not in STARTED_BY_THEM:
                yield name


def run(source, folder, *options):
    program = folder / "program.py"
    program.write_text(source, encoding="utf-8")
    return subprocess.run(
        [sys.executable, *STRICT, *options, str(program)],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )


def test_every_module_is_imported_quietly(tmp_path):
    ended = run(IMPORTS.format(names=list(modules())), tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_serving_and_stopping_is_quiet(tmp_path):
    ended = run(SERVES, tmp_path)
    assert ended.stderr == ""
    assert ended.returncode == 0
    statuses = [line.split()[0] for line in ended.stdout.splitlines()]
    assert statuses == ["200", "200", "500", "404", "200", "200", "400"]
    assert "Warning" not in (tmp_path / "error.log").read_text("utf-8")


def test_layers_alone_around_an_application_of_flask_are_quiet(tmp_path):
    pytest.importorskip("flask", reason="needs flask")
    ended = run(LAYERS_ALONE, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "visit 1\nvisit 2\n"
