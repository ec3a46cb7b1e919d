"""What cannot be served is told in one line, and by the exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FREE = ("--port", "0")

REDIS = "[/]\ntools.sessions.on: True\ntools.sessions.storage_class: cptoolkit.lib.sessions.{}\n"
ENCODING = "[/]\ntools.compress.on: True\ntools.compress.encodings: {}\n"


def hide(folder, package):
    """Have a package be missing, as far as programs in that folder can see."""
    missing = f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')\n"
    (folder / f"{package}.py").write_text(missing)


@pytest.mark.parametrize(
    ("package", "config", "key", "remedy"),
    [
        ("redis", REDIS.format("RedisSession"), "storage_class", "redis"),
        ("pymemcache", REDIS.format("MemcachedSession"), "storage_class", "memcached"),
        ("sqlalchemy", REDIS.format("SQLSession"), "storage_class", "sql"),
        ("brotli", ENCODING.format("['br']"), "tools.compress.on", "brotli"),
    ],
    ids=["redis", "memcached", "sql", "brotli"],
)
def test_missing_extra_is_told_with_what_installs_it(fails, folder, package, config, key, remedy):
    hide(folder, package)
    (folder / "a.conf").write_text(config)
    status, line = fails(*FREE, "-c", "a.conf")
    assert status == 1
    assert line.startswith("cptoolkit: a.conf, section [/], tools.")
    assert key in line
    assert f"pip install 'cptoolkit[{remedy}]'" in line


@pytest.mark.parametrize(
    ("decorator", "told"),
    [
        pytest.param(
            'sessions(storage_type="redis")',
            "tools.sessions.on, tools.sessions.storage_type: RedisStore needs redis: pip install"
            " 'cptoolkit[redis]'",
            id="a package is missing",
        ),
        pytest.param(
            "gzip(compress_level=11)",
            "tools.gzip.compress_level: tools.gzip cannot be used: compress_level must be",
            id="a value is refused",
        ),
    ],
)
def test_decorator_that_would_make_its_page_fail_is_told(fails, folder, decorator, told):
    hide(folder, "redis")
    with (folder / "hello.py").open("a") as program:
        lines = ["@cptoolkit.expose", f"@cptoolkit.tools.{decorator}", "def page(self): ..."]
        program.write("\nclass Other:\n    " + "\n    ".join(lines) + "\n")
    status, line = fails(*FREE, command=(sys.executable, "-m", "cptoolkit", "run", "hello:Other"))
    place = "_cp_config of hello.Other.page at /page"
    assert (status, line.startswith(f"cptoolkit: {place}, {told}")) == (1, True)


def test_missing_extra_is_told_in_production_with_several_processes(folder):
    hide(folder, "redis")
    (folder / "a.conf").write_text(REDIS.format("RedisSession"))
    done = subprocess.run(
        [sys.executable, "-m", "cptoolkit", "run", "hello", *FREE, "-c", "a.conf",
         "-e", "production", "--processes", "2"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "pip install 'cptoolkit[redis]'" in done.stderr


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        pytest.param(
            "[global]\nserver.soket_port: 1\n", 2,
            "a.conf: there is no setting server.soket_port; did you mean 'server.socket_port'?",
            id="server"),
        pytest.param(
            "[/]\ntools.sesions.on: True\n", 1,
            "a.conf, section [/], tools.sesions.on: there is no tool 'sesions' in the toolbox"
            " 'tools'; did you mean 'sessions'?", id="tool"),
        pytest.param(
            "[/files]\ntools.gzip.on: True\ntools.gzip.compres_level: 3\n", 1,
            "a.conf, section [/files], tools.gzip.compres_level: ", id="option"),
        pytest.param(
            "[/files]\ntools.gzip.on: True\ntools.gzip.compres_level: 3\n", 1,
            "did you mean 'compress_level'?", id="nearest option"),
        pytest.param(
            "[/]\ntools.gzip.on: True\n[/a/b]\ntools.gzip.compress_level: 30\n", 1,
            "a.conf, section [/a/b], tools.gzip.compress_level: ", id="section without an object"),
        pytest.param(
            "[/]\ntools.gzip.on: True\ntools.gzip.compress_level: 30\n", 1,
            "a.conf, section [/], tools.gzip.compress_level: ", id="value"),
        pytest.param(
            "[global]\ntools.gzip.on: True\ntools.gzip.compress_level: 30\n", 1,
            "a.conf, section [global], tools.gzip.compress_level: ", id="global value"),
        pytest.param(
            "[/]\nhooks.before_handlr: 'os.getcwd'\n", 1,
            "a.conf, section [/], hooks.before_handlr: ", id="hook point"),
        pytest.param(
            "[global]\nenvironment: 'prodction'\n", 2, "did you mean 'production'?",
            id="environment"),
        pytest.param("[/]\nx: (\n", 2, "a.conf, line 2, section [/], key 'x': ", id="syntax"),
        pytest.param("x: 1\n", 2, "a.conf, line 1: 'x: 1' stands outside of any", id="section"),
    ],
)  # fmt: skip
def test_wrong_config_is_told_with_file_section_and_key(fails, folder, config, status, message):
    (folder / "a.conf").write_text(config)
    found, line = fails(*FREE, "-c", "a.conf")
    assert found == status
    assert message in line


def test_wrong_config_of_the_program_itself_is_told(fails, folder):
    (folder / "own.py").write_text(
        "import cptoolkit\nfrom hello import Root\n"
        "app = cptoolkit.Application(Root(), '/shop', {'/': {'tools.sesions.on': True}})\n"
    )
    status, line = fails("run", "own", *FREE, command=[sys.executable, "-m", "cptoolkit"])
    assert status == 1
    assert "section [/] of the application at /shop, tools.sesions.on: there is no tool" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["-c", "a.con"], "/a.con'; did you mean 'a.conf'?", id="config file"),
        pytest.param(["-c", "no/a.conf"], "there is no config file ", id="its folder"),
        pytest.param(["-c", "."], "cannot read the config file '.': is a directory", id="a folder"),
        pytest.param(["-e", "prodction"], "did you mean 'production'?", id="environment"),
    ],
)
def test_file_or_name_that_is_not_there_is_told_with_the_nearest(fails, folder, words, message):
    (folder / "a.conf").write_text("[/]\n")
    status, line = fails(*FREE, *words)
    assert status == 2
    assert message in line


@pytest.mark.parametrize("server", ["bundled", "cheroot", "werkzeug"])
def test_port_in_use_is_told(fails, taken_port, server):
    if server == "cheroot":
        pytest.importorskip("cheroot", reason="needs cheroot")
    status, line = fails("--port", taken_port, "--server", server)
    assert status == 1
    assert f"Cannot serve on http://127.0.0.1:{taken_port}: " in line
    assert "address already in use" in line


def test_port_without_the_right_to_it_is_told(fails, nobody):
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("everybody may use any port here")
    status, line = fails("--port", "80", command=nobody)
    assert status == 1
    assert "Cannot serve on http://127.0.0.1: cannot listen on 127.0.0.1:80: permission" in line


@pytest.mark.parametrize("server", ["bundled", "cheroot"])
def test_certificate_and_key_have_to_be_there_readable_and_a_pair(
    fails, folder, certificate, server
):
    trustme = pytest.importorskip("trustme", reason="needs trustme")
    cert, key, _ = certificate
    (folder / "bad.pem").write_text("no certificate\n")
    other = folder / "other.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(str(other))
    for pair, message in [
        (("none.pem", key), "server.ssl_certificate: cannot read 'none.pem': no such file"),
        (("bad.pem", key), "server.ssl_certificate: there is no certificate (PEM) in 'bad.pem'"),
        ((cert, "none.pem"), "server.ssl_private_key: cannot read 'none.pem': no such file"),
        ((cert, "bad.pem"), "server.ssl_private_key: "),
        ((cert, other), "server.ssl_private_key: the key in "),
    ]:
        words = ["--ssl-certificate", pair[0], "--ssl-private-key", pair[1]]
        status, line = fails(*FREE, "--server", server, *words)
        assert status == 1
        assert message in line


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up its rights")
def test_certificate_without_the_right_to_it_is_told(fails, folder, certificate):
    (folder / "cert.pem").write_bytes(certificate[0].read_bytes())
    (folder / "cert.pem").chmod(0)
    (folder / "dropped.py").write_text(
        "import os\nimport encodings.idna\n"
        "import cptoolkit.servers.handshake, cptoolkit.servers.certificates\n"
        "from cptoolkit.servers import Server\nfrom hello import Root\nos.setuid(65534)\n"
    )
    status, line = fails(
        "run", "dropped:Root", *FREE, "--no-reload", "--ssl-certificate", "cert.pem",
        command=[sys.executable, "-m", "cptoolkit"],
    )  # fmt: skip
    assert status == 1
    assert "server.ssl_certificate: cannot read 'cert.pem': permission denied" in line


def test_pid_file_of_a_live_process_is_told(fails, folder):
    (folder / "a.pid").write_text(f"{os.getpid()}\n")
    status, line = fails(*FREE, "-p", "a.pid")
    assert status == 1
    assert f"PID file 'a.pid' names process {os.getpid()}, which is running." in line
    assert (folder / "a.pid").read_text() == f"{os.getpid()}\n"


def test_pid_file_in_a_folder_that_is_not_there_is_told(fails):
    status, line = fails(*FREE, "-p", "no/a.pid")
    assert status == 1
    assert "Cannot write PID file 'no/a.pid': No such file or directory." in line


def test_pid_file_without_the_right_to_write_it_is_told(fails, nobody):
    status, line = fails(*FREE, "-p", "a.pid", command=nobody)
    assert status == 1
    assert "Cannot write PID file 'a.pid': Permission denied." in line


@pytest.mark.parametrize("setting", ["log.error_file", "log.access_file"])
def test_log_file_without_the_right_to_write_it_is_told(fails, folder, nobody, setting):
    (folder / "a.conf").write_text(f"[global]\n{setting}: '{folder}/a.log'\n")
    status, line = fails(*FREE, "-c", "a.conf", command=nobody)
    assert status == 2
    assert line.startswith("cptoolkit: a.conf: ")
    assert "Permission denied" in line
    assert "a.log" in line


def test_target_that_raises_on_import_is_told(fails, folder):
    (folder / "zero.py").write_text("1 / 0\n")
    status, line = fails("run", "zero", command=[sys.executable, "-m", "cptoolkit"])
    assert status == 2
    assert line == (
        f"cptoolkit: cannot import zero: ZeroDivisionError: division by zero ({folder}/zero.py:1)"
    )


def test_mistyped_command_is_told_with_the_nearest(fails):
    status, line = fails("rnu", "hello", command=[sys.executable, "-m", "cptoolkit"])
    assert status == 2
    assert "unknown argument 'rnu'; did you mean 'run'?" in line


def test_tool_that_needs_a_request_keeps_nobody_from_serving(serve, folder):
    (folder / "hello.py").write_text(
        (folder / "hello.py").read_text() + "\n"
        "class Needy(cptoolkit.Tool):\n"
        "    def __init__(self):\n"
        "        super().__init__('before_handler', lambda: None)\n"
        "    def compile(self, plan, options):\n"
        "        raise LookupError('there is no request')\n"
        "cptoolkit.tools.needy = Needy()\n"
    )
    (folder / "a.conf").write_text("[/below]\ntools.needy.on: True\n")
    assert serve("-c", "a.conf").get() == (200, "hello")
