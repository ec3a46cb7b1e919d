"""server.processes: the bus in several processes."""

import contextlib
import os
import signal
import socket
from http.client import HTTPConnection, HTTPException

import pytest
from beside import at_once, free_port, wait_until

from cptoolkit.process.servers import CannotServe, Server
from cptoolkit.process.wspbus import StartFailure

SITE = r"""
def print(*words, flush=True):  # in one piece, as several processes share the pipe
    os.write(1, (" ".join(map(str, words)) + "\n").encode())

from cptoolkit.servers import processes
processes.RESPAWN_TIME = 0.05

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/die":
        os._exit(3)
    if path != "/":
        getattr(bus, path[1:])()
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

for channel in ("start", "stop", "exit", "graceful"):
    bus.subscribe(channel, lambda c=channel: print(c, "in", os.getpid(), flush=True), priority=60)

server = servers.Server(bus, app)
server.socket_port = {port}
server.processes = 2
server.subscribe()
plugins.PIDFile(bus, "pid").subscribe()
plugins.SignalHandler(bus).subscribe()
print("parent", os.getpid(), flush=True)
"""

GO = """
bus.start()
bus.block()
print("after block in", os.getpid(), flush=True)
"""


class Site:
    def __init__(self, script, port):
        self.script = script
        self.address = ("127.0.0.1", port)
        self.parent = script.pid

    def get(self, path="/"):
        client = HTTPConnection(*self.address, timeout=20)
        try:
            client.request("GET", path)
            return int(client.getresponse().read())
        finally:
            client.close()

    def pids(self, besides=()):
        """Return the numbers of both processes, once they answer."""
        found = set()

        def both():
            with contextlib.suppress(OSError, HTTPException):
                found.update({self.get()} - set(besides))
            return len(found) == 2

        wait_until(both)
        return found

    def up(self):
        """Return the numbers of both processes, once their buses have started."""
        for _ in range(2):
            self.script.wait_for("blocking")
        return self.pids()

    def ran(self, channel):
        """Return the processes in which listeners of a channel have run."""
        lines = self.script.output
        return [int(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{channel} in")]


@pytest.fixture
def site(run):
    """Return a function that runs a site, with a line of its own before it starts."""

    def start(more="", site=SITE):
        port = free_port()
        return Site(run(site.replace("{port}", str(port)) + more + GO), port)

    return start


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_bus_starts_and_stops_in_each_process_and_never_in_the_parent(site, tmp_path):
    running = site()
    pids = running.up()
    assert (tmp_path / "pid").read_text() == f"{running.parent}\n"
    running.script.send(signal.SIGTERM)
    assert running.script.end() == 0
    for channel in ("start", "stop", "exit"):
        assert set(running.ran(channel)) == pids
        assert len(running.ran(channel)) == 2
    assert set(running.ran("after block")) == pids
    assert not (tmp_path / "pid").exists()
    assert running.script.output[-1] == "All processes have ended."


def test_process_that_dies_is_replaced(site):
    running = site()
    pids = running.pids()
    with contextlib.suppress(OSError, HTTPException):
        running.get("/die")
    assert "ended with status 3: starting another one" in running.script.wait_for("ended")
    assert len(running.pids() & pids) == 1


def test_process_that_is_told_to_end_alone_is_replaced(site):
    running = site()
    pids = running.up()
    os.kill(min(pids), signal.SIGTERM)
    assert "ended with status 0: starting another one" in running.script.wait_for("ended with")
    assert len(running.pids() & pids) == 1


def test_exit_in_a_handler_ends_all(site):
    running = site()
    pids = running.up()
    running.get("/exit")
    assert running.script.end() == 0
    assert set(running.ran("exit")) == pids


def test_restart_in_a_handler_starts_the_program_anew(site, tmp_path):
    running = site()
    pids = running.up()
    running.get("/restart")
    running.script.wait_for("Re-spawning")
    assert running.script.wait_for("parent") == f"parent {running.parent}"
    assert not running.up() & pids
    assert (tmp_path / "pid").read_text() == f"{running.parent}\n"
    running.script.send(signal.SIGTERM)
    assert running.script.end() == 0


def test_restart_that_the_system_refuses_is_told_in_one_line(site):
    running = site("from cptoolkit.process import reexec; reexec.STARTUP_FOLDER = '/no'\n")
    running.up()
    running.get("/restart")
    line = "Cannot start anew: /no: No such file or directory."
    assert running.script.wait_for("Cannot start") == line
    assert running.script.end() == 70
    assert "Traceback" not in "\n".join(running.script.output)


def test_restart_refuses_nobody(site):
    running = site()
    pids = running.up()
    os.kill(max(pids), signal.SIGUSR1)  # so that there is a line to wait for
    running.script.wait_for("graceful in")
    running.get("/restart")
    wait_until(lambda: running.get() not in pids)  # raises if a connection is refused


def test_changed_file_restarts_all(site, tmp_path):
    watched = tmp_path / "watched"
    watched.touch()
    running = site(f"""
bus.autoreload = plugins.Autoreloader(bus, frequency=0.05)
bus.autoreload.match = "nothing"
bus.autoreload.files.add({str(watched)!r})
bus.autoreload.subscribe()
""")
    pids = running.up()
    watched.write_text("changed")
    running.script.wait_for("Re-spawning")
    assert len(running.pids(besides=pids)) == 2


def test_sigusr1_is_graceful_in_each(site):
    running = site()
    pids = running.up()
    running.script.send(signal.SIGUSR1)
    found = {int(running.script.wait_for("graceful in").rpartition(" ")[2]) for _ in range(2)}
    assert found == pids
    assert running.pids() == pids


def test_sighup_ends_what_is_no_daemon(site):
    running = site()
    running.up()
    running.script.send(signal.SIGHUP)
    assert running.script.end() == 0


def test_daemon_is_the_parent_and_sighup_restarts_it(site, tmp_path, wait_until, kill_later):
    running = site("plugins.Daemonizer(bus, stdout='out', stderr='out').subscribe()\n")
    assert running.script.end() == 0
    pid_file = tmp_path / "pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip())
    parent = int(pid_file.read_text())
    kill_later(parent)
    pids = running.pids()
    assert parent not in {running.parent, *pids}
    os.kill(parent, signal.SIGHUP)
    wait_until(lambda: gone(parent))  # it becomes a daemon once more, which has another number
    after = running.pids(besides=pids)
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip())
    parent = int(pid_file.read_text())
    kill_later(parent)
    os.kill(parent, signal.SIGTERM)
    wait_until(lambda: all(map(gone, {parent, *pids, *after})))
    assert not pid_file.exists()


def test_death_of_the_parent_ends_all(site, wait_until):
    running = site()
    pids = running.up()
    running.script.send(signal.SIGKILL)
    wait_until(lambda: all(map(gone, pids)))


def test_ctrl_c_reaches_all_and_is_no_error(site):
    running = site()
    for pid in [*running.up(), running.parent]:
        os.kill(pid, signal.SIGINT)
    assert running.script.end() == 0
    assert not any("Traceback" in line for line in running.script.output)


def test_service_that_does_not_start_is_told_once(site):
    running = site("bus.subscribe('start', lambda: 1 / 0)\n")
    assert running.script.end() == 70
    output = "\n".join(running.script.output)
    assert output.count("ZeroDivisionError: division by zero\n") == 1
    assert "ended with status 70 before it was ready" in output
    assert "after block" not in output


def test_pid_file_of_a_running_program_keeps_it_from_the_fork(site, tmp_path):
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    running = site()
    assert running.script.end() == 70
    told = [line for line in running.script.output if "which is running" in line]
    assert len(told) == 1
    assert running.ran("start") == []


def test_port_in_use_is_told_once_and_before_the_fork(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        script = run(SITE.replace("{port}", str(taken.getsockname()[1])) + GO)
        assert script.end() == 70
    told = [line for line in script.output if "in use" in line]
    assert len(told) == 1
    assert told[0].startswith("Cannot serve on http://127.0.0.1:")
    assert not any(line.startswith("start in") for line in script.output)


def test_all_servers_of_the_bus_serve_in_all_processes(site):
    more = "second = servers.Server(bus, app)\nsecond.socket_port = 0\nsecond.subscribe()\n"
    running = site(more)
    pids = running.pids()
    ports = set()
    while len(ports) < 2:
        ports.add(int(running.script.wait_for("Serving on").rpartition(":")[2]))
    [port] = ports - {running.address[1]}
    assert Site(running.script, port).pids() == pids


def test_server_that_starts_without_the_bus_is_one_process(bus):
    server = Server(bus, print)
    server.socket_port = 0
    server.processes = 2
    with pytest.raises(CannotServe, match=r"server\.processes begin with the bus"):
        server.start()


def test_processes_begin_in_the_main_thread(bus):
    server = Server(bus, print)
    server.socket_port = 0
    server.processes = 2
    server.subscribe()
    raised = []

    def start():
        try:
            bus.start()
        except StartFailure as failure:
            raised.append(str(failure))

    at_once(start)
    assert "can only be started by the main thread" in raised[0]


def test_foreign_server_has_no_processes(bus):
    server = Server(bus, print)
    server.instance = "a server"
    server.processes = 2
    server.subscribe()
    with pytest.raises(StartFailure, match="cannot be 'a server'"):
        bus.start()
    server.instance = server
    with pytest.raises(StartFailure, match="needs the bundled server, but it is <"):
        bus.start()


def test_named_server_that_shares_sockets_has_processes(bus):
    server = Server(bus, print)
    server.socket_port = 0
    server.instance = "cptoolkit.other_servers.Waitress"
    server.open(2).close()


def test_wrong_number_of_processes_is_told(bus):
    server = Server(bus, print)
    server.processes = "2"
    server.subscribe()
    with pytest.raises(StartFailure, match=r"server\.processes must be int, got '2'"):
        bus.start()
