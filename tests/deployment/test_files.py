"""What systemd says about the units, and what has to agree from one file to another."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "docs" / "deployment"


@pytest.mark.parametrize("gunicorn", [False, True], ids=["bundled", "gunicorn"])
def test_systemd_understands_the_unit(tmp_path, gunicorn):
    systemd = shutil.which("systemd-analyze") or pytest.skip("no systemd here")
    text = (FILES / "notes@.service").read_text()
    if gunicorn:
        text += (FILES / "gunicorn.override.conf").read_text()
    for program in ("cptoolkit", "gunicorn"):  # which have to be there
        text = text.replace(f"/srv/notes/venv/bin/{program}", sys.executable)
    unit = tmp_path / "notes@8001.service"
    unit.write_text(text)
    told = subprocess.run(
        [systemd, "verify", unit], capture_output=True, text=True, check=False, timeout=45
    )
    assert (told.returncode, [line for line in told.stderr.splitlines() if str(unit) in line]) == (
        0,
        [],
    ), told.stderr


def test_every_file_is_told_of():
    page = (FILES.parent / "deployment.rst").read_text()
    names = [path.relative_to(FILES).as_posix() for path in FILES.rglob("*") if path.is_file()]
    untold = [name for name in names if "__pycache__" not in name and name not in page]
    assert untold == []
