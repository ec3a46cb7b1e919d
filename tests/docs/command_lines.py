"""Command lines that are not run: programs and options in them are those that we know."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from blocks import CHECKOUT, Block

PROGRAMS = {
    "apt": {"-y"},
    "cat": set(),
    "cd": set(),
    "cp": {"-r"},
    "mkdir": {"-p"},
    "nginx": {"-s", "-t"},
    "pyinstaller": {"--collect-data", "--onefile"},
    "sh": set(),
    "sphinx-build": {"-q"},
    "systemctl": {"--now"},
    "tee": {"-a"},
    "tox": {"-e"},
    "useradd": {"--home-dir", "--system"},
}
"""The options of programs."""

DOCKER = {"--read-only", "--user", "-e", "-p"}
"""Those of ``docker run``, before the name of the image."""


def lines_of(block: Block) -> list[tuple[str, str | None]]:
    """The command lines of a block, and what the page shows that they print.

    With prompts, as ``console`` blocks have them, that is all up to the next one; else nothing is
    said of it.
    """
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        turns = [turn.partition("\n") for turn in re.split(r"^\$ ", text, flags=re.M)[1:]]
        return [(line, printed) for line, _, printed in turns]
    return [(line, None) for line in text.splitlines() if line.strip()]


def check_line(line: str, stand_ins_alone: bool = False) -> None:
    """See that a line could be given.

    :param stand_ins_alone: the line is run; only what ``stand_ins.sh`` leaves out is looked at.
    :raises AssertionError: if not, with the reason.
    """
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word not in ("&&", "|"):
            words.append(word)
            continue
        name = Path(words[0]).name
        installs = name.startswith("python") and words[1:3] in (["-m", "pip"], ["-m", "venv"])
        if not stand_ins_alone or installs or name in ("apt", "docker", "pip", "sudo"):
            check_command(words)
        words = []


def check_command(words: list[str]) -> None:
    name, rest = Path(words[0]).name, words[1:]
    if name == "sudo":
        check_command(rest)
    elif name in ("python", "python3"):
        check_python(rest)
    elif name == "pip":
        check_pip(rest)
    elif name == "docker":
        assert rest[0] == "run", rest
        check_options(name, rest[: rest.index("IMAGE")], DOCKER)
    else:
        assert name in PROGRAMS, f"{name} is unknown"
        check_options(name, rest, PROGRAMS[name])


def check_options(name: str, words: list[str], known: set[str]) -> None:
    unknown = {word for word in words if word.startswith("-")} - known
    assert not unknown, f"{name} is not known to have {unknown}"


def check_python(words: list[str]) -> None:
    if words[:2] == ["-m", "pip"]:
        check_pip(words[2:])
    elif words[:2] != ["-m", "venv"]:
        path = CHECKOUT / words[0]
        if not path.is_file():
            assert (CHECKOUT / "docs" / "deployment" / words[0]).is_file(), f"there is no {path}"
        else:  # it begins, at least
            subprocess.run([sys.executable, path, "--help"], check=True, capture_output=True)


def check_pip(words: list[str]) -> None:
    assert words[0] == "install", words
    check_options("pip", words, {"-q"})
    extras = set(metadata.metadata("cptoolkit").get_all("Provides-Extra") or ())
    for word in words:
        if found := re.fullmatch(r"(?:cptoolkit|\.|\./cptoolkit)\[(.*)\]", word):
            unknown = set(found[1].split(",")) - extras
            assert not unknown, f"cptoolkit has no extra {unknown}"
