"""What CI runs is what the README promises, and it misses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TESTS = {
    "module": "import pytest; pytest.importorskip('no_such_module')",
    "test": "import pytest\ndef test_it(): pytest.importorskip('no_such_module')",
    "mark": "import pytest\n@pytest.mark.skipif(True, reason='needs wings')\ndef test_it(): pass",
}


def run_tests(folder, text, **environ):
    (folder / "conftest.py").write_text((CHECKOUT / "tests" / "conftest.py").read_text())
    (folder / "test_it.py").write_text(text)
    clean = {k: v for k, v in os.environ.items() if k != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout


@pytest.mark.parametrize("text", TESTS.values(), ids=TESTS)
def test_missing_part_fails_in_ci(tmp_path, text):
    shown = run_tests(tmp_path, text, CI="true")
    assert "(skipped outside of CI)" in shown
    assert "1 skipped" not in shown


@pytest.mark.parametrize("text", TESTS.values(), ids=TESTS)
def test_missing_part_is_skipped_elsewhere(tmp_path, text):
    assert "1 skipped" in run_tests(tmp_path, text)


def test_other_reasons_to_skip_stand_in_ci(tmp_path):
    text = "import pytest\n@pytest.mark.skip(reason='slow')\ndef test_it(): pass"
    assert "1 skipped" in run_tests(tmp_path, text, CI="true")


def test_ci_runs_the_command_of_the_readme():
    readme = (CHECKOUT / "README.md").read_text()
    [command] = [line for line in readme.splitlines() if "tox -e" in line]
    assert command in (CHECKOUT / ".ci" / "run").read_text()
