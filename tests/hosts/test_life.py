"""One life of an application and its plugins under each host, looked at from all sides."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

GUNICORN = "gunicorn", "gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket"
ADAPTER = "-c", "python:cptoolkit.servers.gunicorn"
UWSGI = "pyuwsgi", "uwsgi", "--http-socket", "127.0.0.1:{port}", "--need-app", "--die-on-term"
# pyuwsgi comes as a module; its reload would start the Python outside of the virtual environment.
UWSGI += "--enable-threads", "--binary-path", sys.executable, "--module", "with_uwsgi"
GRANIAN = "granian", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}"
WAITRESS = "waitress", "waitress-serve", "--listen=127.0.0.1:{port}"
TWISTD = "twisted", "twistd", "-n", "--pidfile=", "web", "--listen=tcp:{port}:interface=127.0.0.1"


@dataclass
class Case:
    words: tuple[str, ...]
    workers: int = 1
    reload: bool = False


CASES = {
    "gunicorn sync": Case((*GUNICORN, *ADAPTER, "-w", "2", "hosted:wsgiapp"), 2, reload=True),
    "gunicorn gthread": Case((*GUNICORN, *ADAPTER, "--threads", "4", "hosted:make()")),
    "gunicorn gevent": Case((*GUNICORN, "-c", "with_gevent.py", "hosted:wsgiapp")),
    "gunicorn preload": Case((*GUNICORN, *ADAPTER, "--preload", "hosted")),
    "uwsgi": Case((*UWSGI, "--master", "--processes", "2"), 2, reload=True),
    "uwsgi lazy": Case((*UWSGI, "--master", "--lazy-apps")),
    "uwsgi alone": Case(UWSGI),
    "granian": Case((*GRANIAN, "--workers", "2", "embedded:application"), 2),
    "waitress": Case((*WAITRESS, "embedded:application")),
    "cheroot": Case(("cheroot", "python", "with_cheroot.py", "{port}")),
    "wsgiref": Case(("wsgiref", "python", "with_wsgiref.py", "{port}")),
    "werkzeug": Case(("werkzeug", "python", "with_werkzeug.py", "{port}")),
    "tornado": Case(("tornado", "python", "with_tornado.py", "{port}")),
    "twisted": Case((*TWISTD, "--wsgi", "with_twisted.wsgiapp")),
}


@dataclass
class Life:
    page: tuple[int, str]
    failure: tuple[int, str]
    trace: list[tuple[str, int]]
    log: str
    status: int
    parent: int
    expected: int  # processes in which the bus starts


def live(host_class, folder, case: Case) -> Life:
    host = host_class(folder, *case.words)
    expected = case.workers
    try:
        page = host.wait_until_it_answers()
        failure = host.get("/fail")
        host.wait_for_workers(expected)
        host.wait_for_rounds(1)
        if case.reload:
            expected += case.workers
            host.send(signal.SIGHUP)
            host.wait_for_workers(expected)
            host.wait_until(lambda: Counter(what for what, _ in host.trace)["exit"] == case.workers)
            page = host.wait_until_it_answers()
        host.get("/")
        host.wait_for_rounds(4)  # by then no process is busy with a request any more
    finally:
        status = host.end()
    return Life(page, failure, host.trace, host.log, status, host.process.pid, expected)


@pytest.fixture(scope="module")
def lives(request, host_class, tmp_path_factory):
    """The lives that are asked for; three at a time, as hosts spend theirs with waiting."""
    wanted = {
        item.callspec.params["life"]
        for item in request.session.items
        if "life" in getattr(getattr(item, "callspec", None), "params", {})
    }
    with ThreadPoolExecutor(3) as pool:
        yield {
            name: pool.submit(live, host_class, tmp_path_factory.mktemp("host"), CASES[name])
            for name in CASES
            if name in wanted
        }


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.replace(" ", "-"))
def life(request, lives):
    return lives[request.param].result()


def pids(life: Life, what: str) -> list[int]:
    return [pid for happening, pid in life.trace if happening == what]


def test_pages_are_served(life):
    status, text = life.page
    assert status == 200
    assert text.split()[1].startswith("http://127.0.0.1:")


def test_failure_is_answered_without_a_traceback(life):
    status, text = life.failure
    assert status == 500
    assert "luck" not in text


def test_bus_starts_once_in_each_process_that_serves(life):
    started = pids(life, "start")
    assert len(started) == len(set(started)) == life.expected
    assert int(life.page[1].split()[0]) in started


def test_bus_starts_after_the_fork(life):
    workers = set(pids(life, "start"))
    assert life.expected == 1 or life.parent not in workers


def test_main_is_published_in_each_worker(life):
    assert set(pids(life, "main")) == set(pids(life, "start"))


def test_monitors_tick_in_each_worker(life):
    assert set(pids(life, "tick")) == set(pids(life, "start"))


def test_bus_stops_and_exits_with_each_worker(life):
    for pid in pids(life, "start"):
        happenings = [what for what, where in life.trace if where == pid]
        assert [what for what in happenings if what not in {"main", "tick"}] == [
            "start", "stop", "exit",
        ]  # fmt: skip


def test_host_ends_in_order(life):
    assert life.status in {0, 30, -signal.SIGTERM}  # 30: uWSGI without its master
    assert "RuntimeWarning" not in life.log


def test_log_goes_to_the_log_of_the_host(life):
    assert life.log.count("Bus STARTED") == life.expected
    assert life.log.count("LookupError: out of luck") == 1


def test_server_of_the_bus_stays_away(life):
    assert "Serving on http://127.0.0.1:8080" not in life.log
    assert "Autoreloader" not in life.log
