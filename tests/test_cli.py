"""The command, run in processes of its own; those that serve are asked over HTTP."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from beside import PATIENCE, wait_until
from serving import COMMAND, Serving

from cptoolkit.cli import main
from cptoolkit.version import __version__

HELLO = '''
import cptoolkit

class Root:
    """A page, and the config it sees."""

    @cptoolkit.expose
    def index(self):
        return "hello"

    @cptoolkit.expose
    def setting(self, key):
        return repr(cptoolkit.request.config.get(key))

    @cptoolkit.expose
    def server(self, name):
        return repr(getattr(cptoolkit.server.httpserver.options, name))

class Empty:
    def index(self):
        return "not exposed"

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"raw"]

class WSGIClass:
    def __init__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])

    def __iter__(self):
        yield b"class"

class Callable:
    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"instance"]

class Needs:
    def __init__(self, database):
        pass

@cptoolkit.expose
def page(name="page"):
    return name

def create():
    return Root()

def create_wsgi():
    return wsgi

def failing():
    raise LookupError("no database")

def odd(x):
    pass

instance = Root()
mounted = cptoolkit.Application(Root(), "/below")
site = cptoolkit.Tree()
site.mount(Root(), "/other")
number = 42

class namespace:
    inner = Root()
'''


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "zero.py").write_text("import os\n\n1 / 0\n")
    (tmp_path / "syntax.py").write_text("x = 1\ndef (\n")
    (tmp_path / "needy.py").write_text("import not_installed_anywhere\n")
    (tmp_path / "leaver.py").write_text("raise SystemExit('bye')\n")
    (tmp_path / "starter.py").write_text("import cptoolkit\n\ncptoolkit.quickstart()\n")
    (tmp_path / "nothing.py").write_text("x = 1\n")
    (tmp_path / "single.py").write_text(HELLO.partition("class Empty")[0])
    (tmp_path / "named.py").write_text("from hello import instance as root, Root, Empty\n")
    (tmp_path / "twofold.py").write_text("from hello import instance as root, mounted as app\n")
    (tmp_path / "mounter.py").write_text(
        "import cptoolkit, hello\ncptoolkit.tree.mount(hello.Root(), '/m')\n"
    )
    return tmp_path


@pytest.fixture
def fails(folder, monkeypatch, capsys):
    """Return a function that gives the one line that the command says before it ends with 2."""
    monkeypatch.chdir(folder)
    path, modules = list(sys.path), set(sys.modules)

    def run(*words):
        with pytest.raises(SystemExit) as leaving:
            sys.exit(main(words))
        assert leaving.value.code == 2
        out, error = capsys.readouterr()
        assert out == ""
        [line] = error.splitlines()
        return line

    yield run
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def serve(folder):
    running = []

    def start(*words):
        running.append(Serving([*COMMAND, *words], folder))
        return running[-1]

    yield start
    for one in running:
        one.close()


# What can be served


@pytest.mark.parametrize(
    ("target", "path", "answer"),
    [
        pytest.param("hello:Root", "/", "hello", id="a class"),
        pytest.param("hello:instance", "/", "hello", id="an instance"),
        pytest.param("hello:namespace.inner", "/", "hello", id="a dotted name"),
        pytest.param("hello:page", "/?name=x", "x", id="an exposed function"),
        pytest.param("hello:mounted", "/below/", "hello", id="an Application"),
        pytest.param("hello:site", "/other/", "hello", id="a Tree"),
        pytest.param("hello:wsgi", "/any", "raw", id="a WSGI function"),
        pytest.param("hello:WSGIClass", "/any", "class", id="a WSGI class"),
        pytest.param("hello:Callable", "/any", "instance", id="a class of WSGI objects"),
        pytest.param("hello:create", "/", "hello", id="a factory of a root"),
        pytest.param("hello:create_wsgi", "/any", "raw", id="a factory of a WSGI function"),
        pytest.param("hello.py:Root", "/", "hello", id="a file"),
        pytest.param("single", "/", "hello", id="the only one in a module"),
        pytest.param("./single.py", "/", "hello", id="the only one in a file"),
        pytest.param("named", "/", "hello", id="the one with a usual name"),
        pytest.param("mounter", "/m/", "hello", id="what a module mounts"),
    ],
)
def test_target_is_served(serve, target, path, answer):
    assert serve("run", target, "--port", "0").get(path) == (200, answer)


# What cannot


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param("helo", "there is no module 'helo'; did you mean 'hello'?", id="module"),
        pytest.param("os.pth", "there is no module 'os.pth'", id="submodule"),
        pytest.param("helo.py", "there is no file 'helo.py'; did you mean 'hello.py'?", id="file"),
        pytest.param("a b", "'a b' is no module name", id="no name at all"),
        pytest.param("hello:", "'hello:' names nothing after the colon", id="no name after it"),
        pytest.param("hello:Rot", "hello has no 'Rot'; did you mean 'Root'?", id="name"),
        pytest.param("single:zzz", "single has no 'zzz'; it has Root", id="name like no other"),
        pytest.param(
            "hello:Empty",
            "hello:Empty cannot be served: it is a Empty object without any exposed handler",
            id="root without handlers",
        ),
        pytest.param("hello:number", "hello:number cannot be served: it is int, 42", id="number"),
        pytest.param("hello:odd", "hello:odd cannot be served: it is a function", id="function"),
        pytest.param("hello:cptoolkit", "it is a module; did you mean", id="a module in it"),
        pytest.param("hello:Needs", "hello:Needs takes arguments, (database)", id="arguments"),
        pytest.param("hello:failing", "hello:failing() failed: LookupError: no data", id="factory"),
        pytest.param("nothing", "nothing has nothing to serve: no application", id="nothing"),
        pytest.param(
            "twofold", "several applications: say twofold:app or twofold:root", id="several"
        ),
        pytest.param("zero", "cannot import zero: ZeroDivisionError: division by", id="error"),
        pytest.param("zero.py", "cannot import zero.py: ZeroDivisionError", id="error in a file"),
        pytest.param("syntax", "cannot import syntax: SyntaxError: ", id="syntax"),
        pytest.param(
            "needy",
            "cannot import needy: ModuleNotFoundError: No module named 'not_installed_anywhere'",
            id="missing import",
        ),
        pytest.param("leaver", "cannot import leaver: SystemExit: bye", id="exit"),
    ],
)
def test_wrong_target_is_told_in_a_line(fails, target, message):
    assert message in fails("run", target)


@pytest.mark.parametrize(
    ("module", "line"),
    [("zero", 3), ("syntax", 2), ("needy", 1)],
    ids=["error", "syntax", "import"],
)
def test_place_of_an_import_error_is_told(fails, folder, module, line):
    assert f"({folder}/{module}.py:{line})" in fails("run", module)


def test_module_that_serves_when_imported_is_refused(folder):
    done = subprocess.run(
        [*COMMAND, "run", "starter", "--port", "0"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Serving on" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "cptoolkit: cannot import starter: SystemExit: the server is started there; keep that from"
        f" an import with: if __name__ == '__main__': ({folder}/starter.py:3)"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["--prot", "1"], "unknown argument '--prot'; did you mean '--port'?", id="name"
        ),
        pytest.param(["--port", "x"], "argument --port: invalid int value: 'x'", id="type"),
        pytest.param(["--thread-pool", "0"], "thread_pool must be 1 or more, got 0", id="range"),
        pytest.param(["--port", "70000"], "port must be 0 to 65535, got 70000", id="port"),
        pytest.param(["-c", "no.conf"], "there is no config file", id="config file"),
        pytest.param(["-c", "hello.py"], "hello.py", id="a file that is no config"),
        pytest.param(["-e", "prodction"], "did you mean 'production'?", id="environment"),
    ],
)
def test_wrong_option_is_told_in_a_line(fails, words, message):
    assert message in fails("run", "hello:Root", *words)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        pytest.param("server.soket_port: 1", "did you mean 'server.socket_port'?", id="name"),
        pytest.param("log.error_file: 'no/folder/x.log'", "No such file", id="log file"),
    ],
)
def test_config_file_with_a_wrong_setting_is_named(fails, folder, setting, message):
    (folder / "wrong.conf").write_text(f"[global]\n{setting}\n")
    line = fails("run", "hello:Root", "-c", "wrong.conf")
    assert line.startswith("cptoolkit: wrong.conf: ")
    assert message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param([], "nothing to serve", id="nothing at all"),
        pytest.param(["-e", "production"], "nothing to serve", id="nothing to serve"),
        pytest.param(["run"], "the following arguments are required: TARGET", id="no target"),
        pytest.param(["-d", "run", "hello"], "'run' comes first", id="run is not first"),
        pytest.param(
            ["hello:Root", "--port", "9000"], "to serve it: cptoolkit run hello:Root", id="no run"
        ),
        pytest.param(["--port", "1", "run", "hello"], "'run' comes first", id="run after flags"),
        pytest.param(["-i", "helo"], "there is no module 'helo'; did you mean 'hello'?", id="-i"),
        pytest.param(["-x"], "unknown argument '-x'", id="unknown"),
    ],
)
def test_wrong_command_is_told_in_a_line(fails, words, message):
    assert message in fails(*words)


@pytest.mark.parametrize("words", [[], ["-e", "production"]], ids=["with a log", "without"])
def test_port_in_use_is_told(folder, words):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "run", "hello:Root", "--port", port, *words],
            cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("cptoolkit: Cannot serve on http://127.0.0.1:")
    assert "address already in use" in last


def test_certificate_that_is_not_there_is_told(folder):
    done = subprocess.run(
        [*COMMAND, "run", "hello:Root", "--port", "0", "--ssl-certificate", "none.pem"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("cptoolkit: Wrong setting of the server: server.ssl_certificate: cannot")


def test_several_processes_serve(serve):
    serving = serve("run", "hello:Root", "--port", "0", "--processes", "2")
    assert serving.get("/server?name=processes") == (200, "2")
    assert serving.stop() == 0


# Options


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (["--host", "127.0.0.1"], "host", "127.0.0.1"),
        (["--thread-pool", "3"], "thread_pool", 3),
        (["--thread-pool-max", "30"], "thread_pool_max", 30),
        (["--socket-queue-size", "7"], "socket_queue_size", 7),
        (["--keep-alive-timeout", "1.5"], "keep_alive_timeout", 1.5),
        (["--socket-timeout", "2.5"], "socket_timeout", 2.5),
        (["--header-timeout", "3.5"], "header_timeout", 3.5),
        (["--shutdown-timeout", "0.5"], "shutdown_timeout", 0.5),
        (["--max-request-line-size", "1000"], "max_request_line_size", 1000),
        (["--max-request-header-size", "2000"], "max_request_header_size", 2000),
        (["--max-request-body-size", "3000"], "max_request_body_size", 3000),
        (["--request-body-buffer", "4000"], "request_body_buffer", 4000),
        (["--server-name", "mine"], "server_name", "mine"),
        (["--protocol-version", "HTTP/1.0"], "protocol_version", "HTTP/1.0"),
        (["--no-nodelay"], "nodelay", False),
        (["--reuse-port"], "reuse_port", True),
    ],
)
def test_server_flags(flag_server, flags, name, value):
    assert flag_server[name] == repr(value), flags


@pytest.fixture(scope="module")
def flag_server(tmp_path_factory):
    """What the server's options are, when all flags are given at once."""
    folder = tmp_path_factory.mktemp("flags")
    (folder / "hello.py").write_text(HELLO)
    [table] = [mark for mark in test_server_flags.pytestmark if mark.name == "parametrize"]
    words = [word for flags, _, _ in table.args[1] for word in flags]
    serving = Serving([*COMMAND, "run", "hello:Root", "--port", "0", *words], folder)
    try:
        yield {name: serving.get(f"/server?name={name}")[1] for _, name, _ in table.args[1]}
    finally:
        serving.close()


def test_later_config_files_count_over_earlier_ones(serve, folder):
    (folder / "a.conf").write_text("[global]\nserver.socket_port: 0\n[/]\nmine: 1\nother: 'a'\n")
    (folder / "b.conf").write_text("[/]\nmine: 2\n")
    serving = serve("run", "hello:Root", "-c", "a.conf", "--config", "b.conf")
    assert serving.get("/setting?key=mine") == (200, "2")
    assert serving.get("/setting?key=other") == (200, "'a'")


def test_command_line_counts_over_config_files(serve, folder):
    (folder / "a.conf").write_text("[global]\nserver.socket_port: 1\nserver.thread_pool: 5\n")
    serving = serve("run", "hello:Root", "-c", "a.conf", "--port", "0")
    assert serving.get("/server?name=thread_pool") == (200, "5")


def test_command_tells_the_shell_what_happened(folder):
    done = subprocess.run(
        [*COMMAND, "run", "helo"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "cptoolkit: there is no module 'helo'; did you mean 'hello'?\n"


def test_version_is_shown():
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cptoolkit {__version__} on Python 3.")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]], ids=["all", "run"])
def test_help_has_examples(words):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
    assert "cptoolkit run hello:Root" in done.stdout


def test_installed_command_is_the_same():
    command = Path(sys.executable).with_name("cptoolkit")
    if not command.exists():
        pytest.skip("the distribution is not installed in this environment")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cptoolkit ")


# How it runs


def test_log_tells_how_it_starts_and_sigterm_ends_it(serve):
    serving = serve("run", "hello:Root", "--port", "0")
    serving.wait_for("ENGINE Bus STARTED")
    log = "\n".join(serving.output)
    steps = ("Listening for SIGTERM.", "Bus STARTING", "Started monitor thread 'Autoreloader'.",
             "Serving on http://127.0.0.1:", "Bus STARTED")  # fmt: skip
    at = [log.index(f"ENGINE {step}") for step in steps]
    assert at == sorted(at)
    assert serving.stop() == 0


def test_ctrl_c_ends_it(serve):
    serving = serve("run", "hello:Root", "--port", "0")
    assert serving.get() == (200, "hello")
    serving.send(signal.SIGINT)
    serving.wait_for("ENGINE Bus EXITED")
    assert serving.process.wait(PATIENCE) in (0, 130)


# As cherryd


def test_modules_are_imported_from_the_path_and_served_as_configured(serve, folder):
    package = folder / "pkg"
    package.mkdir()
    source = "import cptoolkit, hello\ncptoolkit.tree.mount(hello.Root(), '')\n"
    (package / "mymod.py").write_text(source)
    (folder / "g.conf").write_text("[global]\nserver.socket_port: 0\n[/]\nmine: 'yes'\n")
    serving = serve("-c", "g.conf", "-i", "mymod", "-P", "pkg", "-p", "my.pid")
    assert serving.get("/setting?key=mine") == (200, "'yes'")
    serving.wait_for("Bus STARTED")
    assert int((folder / "my.pid").read_text()) == serving.process.pid
    assert serving.stop() == 0
    assert not (folder / "my.pid").exists()


def test_environment_is_applied(serve, folder):
    (folder / "envmod.py").write_text(
        "import cptoolkit, hello\n"
        "cptoolkit.tree.mount(hello.Root(), '')\n"
        "cptoolkit.engine.subscribe('start', lambda: print("
        "cptoolkit.config['environment'], cptoolkit.server.bound_addr[1], flush=True), 80)\n"
    )
    (folder / "g.conf").write_text("[global]\nserver.socket_port: 0\n")
    serving = serve("-c", "g.conf", "-e", "production", "-i", "envmod")
    line = serving.wait_for("production")
    serving.port = int(line.split()[1])
    assert serving.get() == (200, "hello")
    assert serving.output == [line]  # the log is not on the screen


def test_modules_that_mount_nothing_are_told_of(serve, folder):
    (folder / "g.conf").write_text("[global]\nserver.socket_port: 0\n")
    serving = serve("-c", "g.conf", "-i", "nothing")
    serving.wait_for("No application is mounted: every address gives 404.")


def test_daemon_goes_to_the_background(serve, folder):
    log = folder / "log"
    (folder / "g.conf").write_text(f"[global]\nserver.socket_port: 0\nlog.error_file: '{log}'\n")
    serving = serve("-c", "g.conf", "-i", "mounter", "-d", "-p", "my.pid")
    assert serving.process.wait(PATIENCE) == 0
    pid = 0
    try:
        wait_until(lambda: log.exists() and "Bus STARTED" in log.read_text())
        pid = int((folder / "my.pid").read_text())
        assert pid != serving.process.pid
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
