"""Compare the bundled server with others: ``python tests/benchmarks/servers.py [--seconds 5]``.

Each server runs the same WSGI applications with ten threads, under ``wrk`` with 32 keep-alive
connections on the same machine: a 12-byte answer, handlers that sleep or compute, a file, an
upload, TLS; and an object tree end to end, ours beside CherryPy's. Rounds are interleaved, so that
what else the machine does falls on all alike; of each server the median round is shown, with the
CPU time that a request took, which tells more than the rate on a machine that is not idle. Servers
that are not installed are left out. Words pick cases by their names. Idle connections have a script
of their own beside this one, ``idle.py``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from applications import UPLOAD
from contestants import THREADS, Contestant, cpu_time, free_port, running, servers, trees

CLIENTS = 32


@dataclass
class Case:
    """What all servers are asked for."""

    title: str
    app: str
    field: Callable[[bool], list[Contestant]] = servers
    script: str = ""
    """A program for wrk, in Lua."""
    tls: bool = False
    ideal: float = 0.0
    """Requests a second that cannot be exceeded, if that is known."""


CASES = [
    Case("12-byte answer", "hello"),
    Case("handler that sleeps 10 ms", "sleepy", ideal=THREADS / 0.010),
    Case("one handler in a hundred sleeps 20 ms", "mixed"),
    Case("1 ms of pure Python: a page", "page"),
    Case("1 ms of pure Python: a loop", "busy"),
    Case("1 MiB file by file_wrapper", "file"),
    Case("64 KiB POST", "upload", script=UPLOAD),
    Case("12-byte answer over TLS", "hello", tls=True),
    Case("object tree, end to end", "", field=trees),
]


def measure(url: str, script: str, seconds: int) -> tuple[int, float, float]:
    """Return requests, requests a second, the 99th percentile of the delay in milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        options = ["-t1", f"-c{CLIENTS}", "--latency", f"-d{seconds}s", f"-s{file.name}"]
        out = subprocess.run(
            ["wrk", *options, url], capture_output=True, text=True, check=True
        ).stdout
    count = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    delay = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    if count is None or rate is None or delay is None or "Non-2xx" in out:
        raise SystemExit(f"wrk says:\n{out}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[delay[2]]
    return int(count[1]), float(rate[1]), float(delay[1]) * unit


def compare(case: Case, seconds: int, rounds: int) -> list[Contestant]:
    """Measure everybody, in turn, ``rounds`` times."""
    field = case.field(case.tls)
    for _ in range(rounds):
        for one in field:
            port = free_port()
            url = f"{'https' if case.tls else 'http'}://127.0.0.1:{port}/"
            with running(one.run(case.app, port, case.tls), port) as session:
                measure(url, case.script, 1)
                before = cpu_time(session)
                count, rate, delay = measure(url, case.script, seconds)
                one.costs.append((cpu_time(session) - before) / max(1, count) * 1e6)
            one.rates.append(rate)
            one.delays.append(delay)
    return field


def show(case: Case, field: list[Contestant]) -> None:
    ours = field[0].rate
    last = "of ideal" if case.ideal else "range"
    columns = f"{'req/s':>10}{'p99 ms':>10}{'CPU us':>10}{'ours is':>10}{last:>18}"
    print(f"\n{case.title}\n{'server':<22}{columns}")
    for one in field:
        note = f"{min(one.rates):.0f} to {max(one.rates):.0f}"
        if case.ideal:
            note = f"{one.rate / case.ideal:.1%}"
        figures = f"{one.rate:>10.0f}{one.delay:>10.2f}{one.cost:>10.1f}{ours / one.rate:>9.2f}x"
        print(f"{one.name:<22}{figures}{note:>18}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare WSGI servers under wrk.")
    parser.add_argument("words", nargs="*", help="what the names of cases contain; all if none")
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each server")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: https://github.com/wg/wrk, or the package of that name")
    for case in CASES:
        if not options.words or any(word in case.title for word in options.words):
            show(case, compare(case, options.seconds, options.rounds))


if __name__ == "__main__":
    main()
