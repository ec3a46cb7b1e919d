from __future__ import annotations

import signal
from collections import Counter

import pytest

GUNICORN = "gunicorn", "gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket"
ADAPTER = "-c", "python:cptoolkit.servers.gunicorn"


def test_application_is_served_without_the_adapter(host):
    gunicorn = host(*GUNICORN, "hosted:wsgiapp")
    assert gunicorn.wait_until_it_answers()[0] == 200
    assert gunicorn.trace == []


def test_worker_whose_bus_has_exited_is_replaced(host):
    gunicorn = host(*GUNICORN, *ADAPTER, "hosted:wsgiapp")
    _, first = gunicorn.wait_until_it_answers()
    assert gunicorn.get("/give_up") == (200, "the end")
    gunicorn.wait_for_workers(2)
    _, second = gunicorn.wait_until_it_answers()
    assert first.split()[0] != second.split()[0]


def test_bus_exits_and_starts_with_a_reload_by_gunicorn(host, tmp_path):
    watched = tmp_path / "watched"
    watched.touch()
    options = "--reload", "--reload-engine", "poll", "--reload-extra-file", str(watched)
    gunicorn = host(*GUNICORN, *ADAPTER, *options, "hosted:wsgiapp")
    gunicorn.wait_until_it_answers()
    gunicorn.wait_until(lambda: touched(watched) and gunicorn.started() >= 2)
    happenings = [what for what, _ in gunicorn.trace if what in {"start", "exit"}]
    assert happenings[:3] == ["start", "exit", "start"]


def touched(path):
    """Make a file younger; gunicorn may not have begun to watch it yet, so this is repeated."""
    path.write_text(path.read_text() + ".")
    return True


def test_bus_that_cannot_start_ends_gunicorn(host):
    gunicorn = host(*GUNICORN, *ADAPTER, "hosted:wsgiapp", OUT_OF_ORDER="yes")
    assert gunicorn.wait() == 3  # gunicorn's WORKER_BOOT_ERROR
    assert "RuntimeError: no database" in gunicorn.log
    assert "the bus has not started" in gunicorn.log


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["in the worker", "before the fork"])
def test_bus_that_the_program_has_started_runs_in_the_worker(host, preload):
    gunicorn = host(*GUNICORN, *ADAPTER, *preload, "early:wsgiapp")
    _, page = gunicorn.wait_until_it_answers()
    worker = int(page.split()[0])
    gunicorn.wait_until(lambda: {("tick", worker), ("main", worker)} <= set(gunicorn.trace))
    assert Counter(gunicorn.trace)["start", worker] == 1
    warned = "Leave engine.start() to the adapter" in gunicorn.log
    assert warned == bool(preload)
    gunicorn.end()
    assert Counter(gunicorn.trace)["exit", worker] == 1


def test_log_of_the_application_is_in_the_file_of_gunicorn(host, tmp_path):
    path = tmp_path / "gunicorn.log"
    gunicorn = host(*GUNICORN, *ADAPTER, "--error-logfile", str(path), "hosted:wsgiapp")
    gunicorn.wait_until_it_answers()
    gunicorn.get("/fail")
    written = path.read_text()
    assert "[INFO] ENGINE Bus STARTED\n" in written
    assert "LookupError: out of luck" in written
    assert gunicorn.log == ""


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_rotation_of_logs_is_published(host, kind):
    """SIGUSR1 is the signal for it, to gunicorn and to the bus."""
    if kind == "gevent":
        pytest.importorskip("gevent", reason="needs gevent")
    gunicorn = host(*GUNICORN, *ADAPTER, "-k", kind, "-w", "2", "hosted:wsgiapp")
    gunicorn.wait_for_rounds(1)
    gunicorn.wait_for_workers(2)
    gunicorn.wait_for_rounds(1)
    gunicorn.send(signal.SIGUSR1)
    workers = {pid for what, pid in gunicorn.trace if what == "start"}
    gunicorn.wait_until(lambda: {("graceful", pid) for pid in workers} <= set(gunicorn.trace))
    assert gunicorn.wait_until_it_answers()[0] == 200
    assert gunicorn.end() == 0
