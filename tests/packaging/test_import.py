"""Importing is quick and starts nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROBE = """\
import importlib, json, signal, sys, threading

telling = ("socket.", "subprocess.", "os.fork", "os.exec", "os.kill", "os.mkdir", "os.remove")
telling += ("_thread.start_new_thread", "threading.", "sqlite3.", "shutil.", "tempfile.")
seen = []

def audit(event, arguments):
    written = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
    if event.startswith(telling) or written:
        seen.append(f"{event} {arguments[:2]}")

def handlers():
    return {number: signal.getsignal(number) for number in signal.valid_signals()}

before = handlers()
sys.dont_write_bytecode = True
sys.addaudithook(audit)
import cptoolkit
first = sorted(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({
    "modules": first,
    "seen": seen,
    "threads": [thread.name for thread in threading.enumerate()],
    "signals": [number for number, handler in handlers().items() if handler != before[number]],
}))
"""


@pytest.fixture(scope="module")
def after_import(modules, tmp_path_factory):
    """What a fresh process looks like when it has imported every part of the package."""
    names = [file.removesuffix(".py").replace("/", ".") for file in sorted(modules)]
    parts = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE, *parts],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(finished.stdout)


def test_import_opens_and_starts_nothing(after_import):
    assert after_import["seen"] == []


def test_import_leaves_one_thread(after_import):
    assert after_import["threads"] == ["MainThread"]


def test_import_leaves_signals_alone(after_import):
    assert after_import["signals"] == []


@pytest.mark.parametrize(
    "module",
    [
        "asyncio", "cptoolkit.cli", "cptoolkit.servers.engine", "multiprocessing", "pdb",
        "routes", "sqlite3", "unittest", "werkzeug", "wsgiref.simple_server", "xmlrpc.client",
        "xmlrpc.server",
    ],
)  # fmt: skip
def test_import_leaves_out_what_few_need(after_import, module):
    assert module not in after_import["modules"]
