"""The programs of the tutorial refuse what no form of theirs sends, and go on."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.error import HTTPError

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from blocks import saved  # noqa: E402

sys.path.remove(str(HERE))

TWICE = "text=one&text=two"


@pytest.mark.parametrize(
    ("step", "path", "form", "status"),
    [
        pytest.param("forms", "/add", TWICE, 400, id="forms, a field twice"),
        pytest.param("forms", "/add", "text=" + "x" * 81, 400, id="forms, a long note"),
        pytest.param("sessions", "/add", TWICE, 400, id="sessions, a field twice"),
        pytest.param("rest", "/api/notes/?number=1&number=2", "", 404, id="rest, a number twice"),
        pytest.param("rest", "/api/notes/one", "", 404, id="rest, no number"),
        pytest.param("rest", "/api/notes/" + "9" * 5000, "", 404, id="rest, 5000 digits"),
    ],
)
def test_program_of_the_tutorial_refuses(step, path, form, status, tmp_path, served):
    saved(f"docs/start/{step}.rst", tmp_path)
    program = served("notes.py")
    with pytest.raises(HTTPError) as refusal:
        program.get(path, form)
    refusal.value.close()
    assert refusal.value.code == status, program.said()
    assert program.get("/")
