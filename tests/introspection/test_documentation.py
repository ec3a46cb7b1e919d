"""The page docs/introspection.rst shows what the commands really print."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "introspection.rst"
BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n(?:   :caption: (\S+)\n)?\n((?:   .*\n|\n)+)", re.M)
BLOCKS = [
    (language, caption, textwrap.dedent(text).strip() + "\n")
    for language, caption, text in BLOCK.findall(PAGE.read_text("utf-8"))
]
TURNS = [
    (*turn.partition("\n")[0::2],)
    for language, _, text in BLOCKS
    if language == "console"
    for turn in re.split(r"^\$ cptoolkit ", text, flags=re.M)[1:]
]


@pytest.mark.parametrize(("line", "shown"), TURNS, ids=[line for line, _ in TURNS])
def test_commands_print_what_the_page_shows(command, tmp_path, line, shown):
    for _, caption, text in BLOCKS:
        if caption:
            (tmp_path / caption).write_text(text)
    status, out, error = command(*shlex.split(line))
    assert error == ""
    assert status == (1 if "wrong.conf" in line else 0)
    assert out.splitlines() == shown.rstrip("\n").splitlines()


def test_page_has_examples_of_every_command():
    assert {line.split()[0] for line, _ in TURNS} == {"routes", "explain", "check"}
