"""Instances die, are replaced and rotate their logs, and visitors are none the wiser."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from beside import wait_until


@pytest.fixture(params=["bundled", "gunicorn"])
def site(request, running_site, tmp_path):
    with running_site(tmp_path, request.param) as site:
        yield site


def wait_for_rounds(visitors, count):
    """Let each of them go round so many more times."""
    goals = [visitor.rounds + count for visitor in visitors]

    def reached():
        assert not any(visitor.problems for visitor in visitors), problems(visitors)
        return all(one.rounds >= goal for one, goal in zip(visitors, goals, strict=True))

    wait_until(reached)


def problems(visitors):
    return [problem for visitor in visitors for problem in visitor.problems]


def test_death_of_an_instance_costs_no_session_and_no_acknowledged_write(site, visitors):
    crowd = visitors(site)
    wait_for_rounds(crowd, 3)
    victim = site.ports[0]
    site.instances[victim].kill()
    wait_for_rounds(crowd, 5)
    site.start(victim)  # as systemd does
    site.wait_until_it_serves(victim)
    wait_for_rounds(crowd, 3)
    for visitor in crowd:
        visitor.leave()
    assert problems(crowd) == []
    for visitor in crowd:
        stored = Counter(visitor.notes())
        assert set(visitor.acknowledged) <= set(stored)
        assert set(stored) <= {*visitor.acknowledged, *visitor.unanswered}
        # A request that writes is not sent to the other instance: the first may have obeyed it.
        assert max(stored.values()) == 1
    # No more than were under way when it died.
    assert sum(len(visitor.unanswered) for visitor in crowd) <= len(crowd)


def test_new_version_comes_while_requests_are_served(site, visitors):
    crowd = visitors(site)
    wait_for_rounds(crowd, 3)
    finished = site.deploy("2")
    assert finished.returncode == 0, finished.stderr
    wait_for_rounds(crowd, 3)
    for visitor in crowd:
        visitor.leave()
    assert problems(crowd) == []
    assert [visitor.unanswered for visitor in crowd] == [[], [], []]
    assert {site.ask(port, "/health").text for port in site.ports} == {"2"}
    for visitor in crowd:
        assert visitor.notes() == visitor.acknowledged


def open_files(group):
    """What the processes of a group have open, one set of paths for each process."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if os.getpgid(int(process.name)) == group:
                found.append({os.readlink(link) for link in (process / "fd").iterdir()})
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only /proc tells who has a file")
def test_signal_has_every_process_open_its_log_anew(site):
    log = site.folder / "notes.log"
    groups = [instance.pid for instance in site.instances.values()]
    wait_until(lambda: all(holders(group, log) >= 2 for group in groups))
    before = [holders(group, log) for group in groups]
    moved = log.rename(site.folder / "notes.log.1")
    for instance in site.instances.values():
        instance.send(signal.SIGUSR1)  # as logrotate.conf does
    wait_until(lambda: not any(holders(group, moved) for group in groups))
    # Of both kinds one may have had no line to write until now.
    assert all(holders(group, log) >= had for group, had in zip(groups, before, strict=True))


def holders(group, path):
    """How many processes of a group have the file open."""
    return sum(str(path) in paths for paths in open_files(group))
