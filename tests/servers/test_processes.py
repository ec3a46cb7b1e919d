"""serve(processes=N): a parent that watches, and processes that serve."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
import trustme
from beside import PATIENCE, Program, at_once, free_port, in_threads, wait_until

from cptoolkit.servers import Server, serve
from cptoolkit.servers.http1 import FRESH_TIME
from cptoolkit.servers.options import LONGEST

SCRIPT = r"""
import ctypes, logging, os, socket, sys, threading, time
from cptoolkit.servers import Server, processes, serve

form = "log: %(message)s; at %(created)f"
logging.basicConfig(level=logging.DEBUG, format=form, stream=sys.stdout)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/die":
        os._exit(3)
    if path == "/slow":
        os.write(1, b"inside\n")  # whole, whoever else is writing
        time.sleep(float(environ["QUERY_STRING"]))
    if path == "/exit":
        raise SystemExit(int(environ["QUERY_STRING"]))
    if path == "/orphan":  # leave a child of a child behind, and tell its number
        reader, writer = os.pipe()
        if os.fork() == 0:
            pid = os.fork()
            if pid:
                os.write(writer, b"%d" % pid)
            os._exit(0)
        os.wait()
        start_response("200 OK", [])
        return [os.read(reader, 100)]
    start_response("200 OK", [("X-Parent", str(os.getppid()))])
    return [b"%d" % os.getpid()]

listening = None
port = int(sys.argv[1])
print("parent", os.getpid(), flush=True)
processes.RESPAWN_TIME = 0.05
{before}
options = {options}
serve(app, port=port, processes=2, socket=listening, **options)
print("after serve", flush=True)
"""


class Site(Program):
    """A program that serves in several processes, and what it prints."""

    def __init__(self, folder, options, before):
        self.address = ("127.0.0.1", free_port())
        self.program = folder / f"site{self.address[1]}.py"
        text = SCRIPT.replace("{before}", before).replace("{options}", repr(options))
        self.program.write_text(text)
        super().__init__([sys.executable, self.program, self.address[1]], folder)

    def connect(self, data):
        """A connection on which something has been sent."""
        client = socket.create_connection(self.address, PATIENCE)
        client.sendall(data)
        return client

    def get(self, path="/"):
        """Return the body of an answer, None if there is none."""
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        with self.connect(request.encode()) as client, client.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
        return body.decode() if head.startswith(b"HTTP/1.1 200 ") else None

    def pids(self, count=2, besides=()):
        """Return the numbers of that many processes, once they answer."""
        found = set()

        def all_answered():
            with contextlib.suppress(OSError):
                found.update({int(self.get() or 0)} - {0, *besides})
            return len(found) >= count

        wait_until(all_answered)
        return found


@pytest.fixture
def site(tmp_path):
    """Return a function that starts a site and waits until it serves."""
    with contextlib.ExitStack() as sites:

        def start(ready=True, before="", **options):
            site = sites.enter_context(contextlib.closing(Site(tmp_path, options, before)))
            site.wait_for("parent")
            if ready:
                wait_until(lambda: serves(site))
            return site

        yield start


def serves(site):
    assert site.process.poll() is None, site.rest()
    try:
        site.get()
    except ConnectionRefusedError:
        return False
    return True


def state(task):
    """The state of a process or thread as proc(5) tells it, Z if it is no more."""
    try:
        with open(f"/proc/{task}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def gone(pid):
    return state(pid) == "Z"


def stopped(pid):
    return all(state(f"{pid}/task/{thread}") == "T" for thread in os.listdir(f"/proc/{pid}/task"))


def test_processes_share_the_requests_and_the_parent_serves_none(site):
    running = site()
    pids = running.pids()
    assert len(pids) == 2
    assert running.process.pid not in pids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_parent_finishes_requests_and_ends_all(site, number):
    running = site()
    pids = running.pids()
    clients = [running.connect(b"GET /slow?0.3 HTTP/1.0\r\n\r\n") for _ in range(4)]
    for _ in clients:
        running.wait_for("inside")
    running.send(number)
    for client in clients:
        with client, client.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 200 ")
    assert running.end() == 0
    assert running.output[-1] == "after serve"
    assert running.output.count("after serve") == 1
    assert all(map(gone, pids))


def test_process_that_is_interrupted_as_it_begins_does_not_go_on_with_the_program(site):
    running = site(
        ready=False,
        before="import atexit; atexit.register(print, 'end of the program', flush=True)\n"
        "os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), 2))",
    )
    assert running.end() == 130
    assert running.output.count("end of the program") == 1
    assert "Traceback" not in "\n".join(running.output)


def test_ctrl_c_in_a_terminal_reaches_all_and_is_no_error(site):
    running = site()
    running.pids()
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.end() == 0
    assert "Traceback" not in "\n".join(running.output)


def test_process_that_dies_is_replaced(site):
    running = site()
    pids = running.pids()
    with contextlib.suppress(OSError):
        running.get("/die")
    line = running.wait_for("starting another one")
    assert " ended with status 3: " in line
    assert len(running.pids() & pids) == 1
    [other] = running.pids() & pids
    os.kill(other, signal.SIGKILL)
    assert f"process {other} was killed by signal 9: " in running.wait_for("starting another one")
    assert not running.pids() & pids


def test_connections_wait_for_the_successor_of_a_process(site):
    running = site()
    pids = running.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(map(stopped, pids)))
    clients = [running.connect(b"GET / HTTP/1.0\r\n\r\n") for _ in range(20)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for client in clients:
        with client, client.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 200 ")


def test_sigterm_to_a_process_replaces_it(site):
    running = site()
    pids = running.pids()
    os.kill(min(pids), signal.SIGTERM)
    assert " ended with status 0: " in running.wait_for("starting another one")
    assert len(running.pids()) == 2


def test_first_process_that_does_not_come_up_ends_all_and_is_told_once(site):
    running = site(ready=False, before="Server.prepare = abs")
    assert running.end() == 1
    output = "\n".join(running.output)
    assert output.count("TypeError: abs()") == 1
    assert "ended with status 1 before it was ready" in output
    assert "after serve" not in output


def test_first_process_that_cannot_be_forked_ends_the_program(site):
    before = """
def fork():
    raise BlockingIOError(11, "no more processes")

os.fork = fork
"""
    running = site(ready=False, before=before)
    assert running.end() == 1
    assert "cannot start a process: [Errno 11] no more processes" in "\n".join(running.output)
    assert "after serve" not in running.output


@pytest.mark.parametrize(
    "lose_output",
    [
        pytest.param("sys.stdout.close()", id="closed"),
        pytest.param(
            "reader, writer = os.pipe(); os.close(reader)\n"
            "sys.stdout = os.fdopen(writer, 'w'); print('for nobody')",
            id="its reader has gone",
        ),
    ],
)
def test_process_that_dies_is_replaced_though_nobody_reads_the_output(site, lose_output):
    running = site(before=f"logging.getLogger().handlers[0].setStream(sys.stderr)\n{lose_output}")
    dead = min(running.pids())
    os.kill(dead, signal.SIGKILL)
    running.wait_for(f"process {dead} was killed by signal 9: starting another one")
    assert len(running.pids(besides=[dead])) == 2


def test_processes_that_die_at_once_are_not_started_all_the_time(site):
    before = (
        "import cptoolkit.servers.processes as processes, cptoolkit.servers.serving as serving;"
    )
    before += "processes.RESPAWN_TIME = 0.3; serving.Server.serve = lambda self: os._exit(1)"
    running = site(ready=False, before=before)
    # three rounds of two processes
    lines = [running.wait_for("starting another one") for _ in range(6)]
    first, last = (float(line.rpartition("; at ")[2]) for line in (lines[0], lines[-1]))
    assert last - first > 0.5


def test_successors_that_die_at_once_are_not_started_all_the_time(site):
    before = """
def fail(self, prepare=Server.prepare):
    if os.path.exists(sys.argv[0] + ".broken"):
        os._exit(1)
    prepare(self)

processes.RESPAWN_TIME, Server.prepare = 0.3, fail
"""
    running = site(before=before)
    old = running.pids()
    running.program.with_suffix(".py.broken").touch()
    began = time.monotonic()
    running.send(signal.SIGHUP)
    for _ in range(6):  # three rounds of two processes
        assert " ended with status 1: " in running.wait_for("starting another one")
    assert time.monotonic() - began > 0.6
    running.program.with_suffix(".py.broken").unlink()
    wait_until(lambda: all(map(gone, old)))  # and these have served all the time
    assert len(running.pids(besides=old)) == 2


@pytest.mark.parametrize("status", [0, 5])
def test_exit_of_the_application_ends_all(site, status):
    running = site()
    pids = running.pids()
    running.get(f"/exit?{status}")
    assert running.end() == status
    assert all(map(gone, pids))


def test_handler_that_never_returns_does_not_keep_the_site_from_its_end(site):
    running = site(shutdown_timeout=0.1)
    client = running.connect(b"GET /slow?100 HTTP/1.0\r\n\r\n")
    running.wait_for("inside")
    running.send(signal.SIGTERM)
    assert running.end() == 0
    client.close()


def test_process_that_does_not_end_is_killed(site):
    before = "Server.stop = lambda self: None; processes.GRACE = 0"
    running = site(before=before, shutdown_timeout=0)
    running.pids()
    running.send(signal.SIGTERM)
    assert running.end() == 0
    killed = [line for line in running.output if "did not end in time and was killed" in line]
    assert len(killed) == 2


def test_old_process_that_does_not_end_is_killed(site):
    running = site(
        before="Server.stop = lambda self: None; processes.GRACE = 0", shutdown_timeout=0
    )
    old = running.pids()
    running.send(signal.SIGHUP)
    for _ in old:
        running.wait_for("did not end in time and was killed")
    wait_until(lambda: all(map(gone, old)))
    assert not running.pids() & old


def test_longest_patience_of_all_can_be_waited_for(site):
    running = site(shutdown_timeout=LONGEST)
    running.pids()
    running.send(signal.SIGTERM)
    assert running.end() == 0
    assert "Traceback" not in "\n".join(running.output)


def test_certificates_that_are_broken_later_do_not_keep_processes_from_being_replaced(
    site, tmp_path
):
    """They inherit what their parent has read."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate = tmp_path / "site.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    running = site(ready=False, ssl_certificate=str(certificate))

    def pid():
        with contextlib.suppress(ConnectionRefusedError):
            tcp = socket.create_connection(running.address, PATIENCE)
            with context.wrap_socket(tcp, server_hostname="127.0.0.1") as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return int(client.makefile("rb").read().rpartition(b"\r\n")[2])

    first = set()
    wait_until(lambda: first.update({pid()} - {None}) or len(first) == 2)
    certificate.write_text("broken")
    for number in first:
        os.kill(number, signal.SIGKILL)
    second = set()
    wait_until(lambda: second.update({pid()} - first - {None}) or len(second) == 2)


def test_second_ctrl_c_ends_all_at_once(site):
    running = site(shutdown_timeout=100)
    client = running.connect(b"GET /slow?100 HTTP/1.0\r\n\r\n")
    running.wait_for("inside")
    running.send(signal.SIGINT)
    wait_until(lambda: refuses(running.address))
    running.send(signal.SIGINT)
    assert running.end() == 128 + signal.SIGINT
    client.close()


def refuses(address):
    try:
        socket.create_connection(address, PATIENCE).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was closed while we waited in its queue
    return False


@contextlib.contextmanager
def clients_of(running):
    """Ask without a pause from three threads; gives what was answered, and what failed.

    Who connects and then says nothing for a while, as on a machine that stalls, may be left alone.
    """
    answered, failed, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            began, said = time.monotonic(), math.inf
            try:
                with running.connect(b"GET / HTTP/1.0\r\n\r\n") as client:
                    said = time.monotonic()
                    answer = client.makefile("rb").read()
            except OSError as exc:
                answer = repr(exc).encode()
            if answer.startswith(b"HTTP/1.1 200 "):
                answered.append(answer)
            elif min(said, time.monotonic()) - began < FRESH_TIME / 2:
                failed.append(answer)

    with in_threads(*[ask] * 3, stop=stop.set):
        yield answered, failed


def test_sighup_replaces_all_processes_and_refuses_nobody(site):
    running = site()
    before = running.pids()
    with clients_of(running) as (answered, failed):
        running.send(signal.SIGHUP)
        after = running.pids(besides=before)
        wait_until(lambda: all(map(gone, before)))
    assert len(after) == 2
    assert failed == []
    assert answered
    running.send(signal.SIGTERM)
    assert running.end() == 0


def test_sighup_replaces_a_process_that_serves_but_has_not_told_yet_that_it_does(site):
    before = """
def late(self, ready=processes.Worker.ready):
    def tell():
        while self.number == 1 and not os.path.exists(sys.argv[0] + ".go"):
            time.sleep(0.01)
        ready(self)
    threading.Thread(target=tell, daemon=True).start()

def obey(self, number, obey=processes.Supervisor._obey):
    obey(self, number)
    print("obeyed", flush=True)

processes.Worker.ready, processes.Supervisor._obey = late, obey
"""
    running = site(before=before)
    old = running.pids()
    running.send(signal.SIGHUP)
    running.wait_for("obeyed")
    running.program.with_suffix(".py.go").touch()
    wait_until(lambda: all(map(gone, old)))
    assert len(running.pids(besides=old)) == 2


def test_sighup_finishes_the_requests_of_old_processes(site):
    running = site()
    old = running.pids()
    client = running.connect(b"GET /slow?0.5 HTTP/1.0\r\n\r\n")
    running.wait_for("inside")
    running.send(signal.SIGHUP)
    running.pids(besides=old)
    with client, client.makefile("rb") as answer:
        assert int(answer.read().rpartition(b"\r\n")[2]) in old


def test_death_of_the_parent_ends_all(site):
    running = site()
    pids = running.pids()
    running.send(signal.SIGKILL)
    wait_until(lambda: all(map(gone, pids)))
    wait_until(lambda: refuses(running.address))
    socket.create_server(running.address).close()


def test_parent_buries_orphans_as_process_1_has_to(site):
    PR_SET_CHILD_SUBREAPER = 36  # prctl(2): what makes a process like process 1 in this
    running = site(before=f"assert ctypes.CDLL(None).prctl({PR_SET_CHILD_SUBREAPER}, 1) == 0")
    orphan = running.get("/orphan")
    wait_until(lambda: not os.path.exists(f"/proc/{orphan}"))


def test_given_socket_is_shared(site):
    before = "listening = socket.create_server(('127.0.0.1', port)); port = 0"
    assert len(site(before=before).pids()) == 2


def test_unix_socket_is_shared_and_removed_at_the_end(site, tmp_path):
    path = str(tmp_path / "s")
    running = site(ready=False, socket_file=path)
    wait_until(lambda: os.path.exists(path))
    found = set()

    def ask():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(path)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            found.add(client.makefile("rb").read().rpartition(b"\r\n")[2])
        return len(found) == 2

    wait_until(ask)
    running.send(signal.SIGTERM)
    assert running.end() == 0
    assert not os.path.exists(path)


def test_port_in_use_is_told_before_anything_is_forked(site):
    first = site()
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{first.address[1]}: .* in use"):
        serve(print, port=first.address[1], processes=2)


def test_several_processes_need_the_main_thread():
    raised = []

    def run():
        try:
            serve(print, port=0, processes=2)
        except RuntimeError as exc:
            raised.append(str(exc))

    at_once(run)
    assert raised == ["several processes can only be started by the main thread"]


@pytest.mark.parametrize("given", [False, True], ids=["port", "given socket"])
def test_server_by_itself_is_one_process(given):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(print, port=0, socket=listening if given else None, processes=2)
        with pytest.raises(RuntimeError, match=r"a Server is one process: call serve\(\)"):
            server.serve()


def test_handlers_of_signals_are_given_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD)}
    code = (
        "import os, signal\n"
        "from cptoolkit.servers import serve\n"
        "before = [signal.getsignal(n) for n in (1, 2, 15, 17)]\n"
        "os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), 15))\n"
        "serve(print, port=0, processes=2)\n"
        "assert [signal.getsignal(n) for n in (1, 2, 15, 17)] == before\n"
        "assert signal.set_wakeup_fd(-1) == -1\n"
        "assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {n: signal.getsignal(n) for n in before} == before
