"""The files of docs/deployment, started as they are but for ports, paths and addresses."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from beside import PATIENCE, free_port, wait_until
from werkzeug.security import generate_password_hash

FILES = Path(__file__).parents[2] / "docs" / "deployment"
NAME = "notes.example.org"
PASSWORD = "correct horse"
QUICK_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    types {{ text/css css; }}
    access_log {folder}/nginx-access.log;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    include {folder}/nginx.conf;
}}
"""


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()


class Process:
    """A command in a process group of its own, which ends with it."""

    def __init__(self, command, folder, environment, log) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self._log.read_text(errors="replace")

    def kill(self):
        """End all of its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def send(self, signum):
        self.process.send_signal(signum)


class Site:
    """nginx, two instances, and a client of them.

    :param host: "bundled" or "gunicorn".
    """

    def __init__(self, folder, host, redis, redis_url, authority):
        self.folder = folder
        self.host = host
        self.redis = redis
        self.front = free_port()
        self.ports = free_port(), free_port()
        self.instances = {}
        self._nginx = None
        shutil.copytree(FILES, folder, dirs_exist_ok=True)
        certificate = authority.issue_cert(NAME)
        certificate.private_key_pem.write_to_path(str(folder / "privkey.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / "fullchain.pem"))
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        for file in folder.glob("*"):
            if file.is_file() and file.suffix not in (".py", ".pem"):
                self._fill_in(file, redis_url)
        (folder / "main.conf").write_text(NGINX.format(folder=folder))
        self.unit = self._read_unit()

    def _fill_in(self, file, redis_url):
        first, second = map(str, self.ports)
        places = {
            "/srv/notes/venv/bin": str(Path(sys.executable).parent),
            "/var/log/notes": str(self.folder),
            "/etc/ssl/notes": str(self.folder),
            "/srv/notes": str(self.folder),
            "redis://127.0.0.1:6379/0": redis_url,
            "8001": first,
            "8002": second,
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ": f"listen 127.0.0.1:{self.front} ",
        }
        text = re.sub(
            "|".join(map(re.escape, places)), lambda found: places[found[0]], file.read_text()
        )
        file.write_text(text)

    def _read_unit(self):
        """The lines of the unit's service: for each name what it was set to last."""
        unit = {}
        files = ["notes@.service"] + ["gunicorn.override.conf"] * (self.host == "gunicorn")
        for name in files:
            for line in (self.folder / name).read_text().splitlines():
                key, separator, value = line.partition("=")
                if separator and not line.startswith("#"):
                    unit.setdefault(key, []).append(value)
        return unit

    # -- what systemd does -------------------------------------------------------------------------

    def start_nginx(self):
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
        nginx = shutil.which("nginx", path=path) or pytest.skip("needs nginx")
        command = nginx, "-p", self.folder, "-c", self.folder / "main.conf"
        log = self.folder / "nginx.log"
        self._nginx = Process([*command, "-e", log], self.folder, None, log)
        self._wait_until_it_listens(self._nginx, self.front)

    def start(self, port):
        """``systemctl start notes@PORT``."""
        words = shlex.split(self.unit["ExecStart"][-1].replace("%i", str(port)))
        [folder] = self.unit["WorkingDirectory"]
        self.instances[port] = Process(
            words, folder, self.environment(), self.folder / f"{port}.log"
        )

    def environment(self):
        given = dict(line.split("=", 1) for line in self.unit["Environment"])
        return {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **given}

    def wait_until_it_serves(self, port):
        instance = self.instances[port]
        self._wait_until_it_listens(instance, port)
        assert self.ask(port, "/health").status == 200, instance.log

    def _wait_until_it_listens(self, process, port):
        def listens():
            assert process.process.poll() is None, process.log
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens)

    def close(self):
        for process in [*self.instances.values(), self._nginx]:
            if process is not None:
                process.kill()

    # -- what an administrator does ----------------------------------------------------------------

    def deploy(self, version):
        """Bring another version of the program, and have ``deploy.sh`` see to the rest."""
        program = self.folder / "notes.py"
        text = re.sub('^VERSION = ".*"$', f'VERSION = "{version}"', program.read_text(), flags=re.M)
        program.write_text(text)
        [reload] = self.unit["ExecReload"]
        stand_in = self.folder / "bin" / "systemctl"
        stand_in.parent.mkdir(exist_ok=True)
        cases = "".join(
            f"notes@{port}) MAINPID={instance.pid} ;;\n"
            for port, instance in self.instances.items()
        )
        stand_in.write_text(f'#!/bin/sh\ncase "$2" in\n{cases}esac\n{reload}\n')
        stand_in.chmod(0o755)
        path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["sh", self.folder / "deploy.sh", version],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def call(self, *words, text):
        """Run ``notes.py``, which is told that text when it asks."""
        subprocess.run(
            [sys.executable, "-W", "ignore", "notes.py", *words],
            cwd=self.folder,
            env=self.environment(),
            input=text,
            text=True,
            check=True,
            capture_output=True,
            start_new_session=True,  # without a terminal, on which it would ask
            timeout=PATIENCE,
        )

    def add_user(self, name):
        """What ``notes.py NAME`` does, but with a hash that takes no time."""
        self.redis.hset("notes:passwords", name, QUICK_HASH)

    # -- what clients do ---------------------------------------------------------------------------

    def visit(
        self, path, method="GET", form=None, cookie=None, address="127.0.0.1", name=NAME, **fields
    ):
        """Ask nginx, from an address of this machine."""
        connection = http.client.HTTPSConnection(name, timeout=PATIENCE)
        plain = socket.create_connection(("127.0.0.1", self.front), PATIENCE, (address, 0))
        with plain:
            connection.sock = self.trust.wrap_socket(plain, server_hostname=name)
            return self._exchange(connection, path, method, form, cookie, fields)

    def ask(self, port, path, method="GET", form=None, cookie=None, address="127.0.0.1", **fields):
        """Ask an instance itself."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=PATIENCE, source_address=(address, 0)
        )
        return self._exchange(connection, path, method, form, cookie, fields)

    def _exchange(self, connection, path, method, form, cookie, fields):
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if cookie:
            headers["Cookie"] = cookie
        body = None
        if form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def log_in(self, name, password=PASSWORD, address="127.0.0.1"):
        form = {"username": name, "password": password, "from_page": "/mine/"}
        return self.visit("/mine/do_login", "POST", form, address=address)


def cookie_of(answer):
    return answer.headers["Set-Cookie"].partition(";")[0]


class Visitor:
    """Somebody who logs in, and then reads and writes without a pause until told to leave."""

    def __init__(self, site, name, address):
        self.site, self.name, self.address = site, name, address
        self.acknowledged = []
        self.unanswered = []
        """Notes of which nobody knows whether they have been stored."""
        self.problems = []
        self.rounds = 0
        self.cookie = ""
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"visitor {name}")

    def start(self):
        self.site.add_user(self.name)
        answer = self.site.log_in(self.name, address=self.address)
        assert answer.status == 303, answer.text
        self.cookie = cookie_of(answer)
        self._thread.start()

    def leave(self):
        self._leave.set()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)

    def _run(self):
        try:
            while not self._leave.is_set():
                self._read("/")
                self._read("/mine/", f"You are {self.name}, logged in from {self.address}.")
                self._write(f"{self.name} {self.rounds}")
                self.rounds += 1
        except Exception as problem:  # or the test would not be told
            self.problems.append(repr(problem))

    def _read(self, path, text=""):
        answer = self._ask(path)
        if answer is None:  # cut off amid the body, which no server in front can mend: as browsers
            answer = self._ask(path)
        if answer is None or answer.status != 200 or text not in answer.text:
            self.problems.append(f"{path}: {answer and (answer.status, answer.text)}")

    def _write(self, note):
        answer = self._ask("/mine/add", "POST", {"text": note})
        if answer is not None and answer.status == 303:
            self.acknowledged.append(note)
        else:
            self.unanswered.append(note)
            if answer is not None and answer.status != 502:
                self.problems.append(f"{note}: {answer.status}")

    def _ask(self, path, method="GET", form=None):
        try:
            return self.site.visit(path, method, form, self.cookie, self.address)
        except (OSError, http.client.HTTPException):
            return None

    def notes(self):
        """What is stored of hers."""
        answer = self.site.visit("/mine/", cookie=self.cookie, address=self.address)
        assert answer.status == 200, "the session is lost"
        return re.findall("<li>(.*)</li>", answer.text)


@pytest.fixture(scope="session")
def notes_redis(redis_server):
    """The URL of a Redis with the settings of the deployment, and a database of its own."""
    redis = pytest.importorskip("redis", reason="needs redis")
    lines = (FILES / "redis.conf").read_text().splitlines()
    settings = dict(line.split() for line in lines if line and not line.startswith("#"))
    with redis.Redis.from_url(redis_server.url) as client:
        before = {name: client.config_get(name)[name] for name in settings}
        client.config_set(*(word for setting in settings.items() for word in setting))
        yield redis_server.url.removesuffix("/0") + "/9"
        client.config_set(*(word for setting in before.items() for word in setting))


@pytest.fixture(scope="session")
def running_site(notes_redis):
    """``with running_site(folder, host) as site``: nginx in front of two instances."""
    redis = pytest.importorskip("redis", reason="needs redis")
    trustme = pytest.importorskip("trustme", reason="needs trustme")
    authority = trustme.CA()

    client = redis.Redis.from_url(notes_redis)

    @contextmanager
    def running(folder, host):
        if host == "gunicorn":
            pytest.importorskip("gunicorn", reason="needs gunicorn")
        client.flushdb()
        site = Site(folder, host, client, notes_redis, authority)
        try:
            site.start_nginx()
            for port in site.ports:
                site.start(port)
            for port in site.ports:
                site.wait_until_it_serves(port)
            yield site
        finally:
            site.close()

    with client:
        yield running


@pytest.fixture
def visitors():
    """``visitors(site)``: three of them, who leave with the test."""
    with ExitStack() as stack:

        def come(site):
            found = [Visitor(site, f"visitor{n}", f"127.0.1.{n}") for n in (1, 2, 3)]
            for visitor in found:
                stack.callback(visitor.leave)
                visitor.start()
            return found

        yield come
