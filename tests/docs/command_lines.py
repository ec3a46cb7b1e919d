"""Whether a command line could be given: its program is known, and has these options."""

from __future__ import annotations

import functools
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from cptoolkit.cli import COMMANDS
from cptoolkit.commands import site

CHECKOUT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

PROGRAMS = {
    "apt": {"-y"},
    "cd": set(),
    "certbot": {"-d", "--nginx"},
    "curl": {"-s", "-i", "-X", "-d", "-H", "-u", "-o"},
    "kill": {"-HUP", "-TERM", "-USR1"},
    "mkdir": {"-p"},
    "nginx": {"-t", "-s"},
    "sphinx-build": {"-q"},
    "systemctl": {"--now"},
    "tox": {"-e"},
    "useradd": {"--system"},
}
"""Programs that need not be here for the tests, and the options of theirs that we know."""

SEVERAL_DASHES = re.compile(r"-{1,2}[A-Za-z][\w-]*")


def lines_of(text: str, prompt: bool) -> list[str]:
    """The command lines of a block; with a prompt, what does not begin with ``$`` is output."""
    text = text.replace("\\\n", " ")
    if prompt:
        return [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def check_line(line: str, shown: set[str]) -> None:
    """See that a line could be given.

    :param shown: the files that the page shows.
    :raises AssertionError: if not, with the reason.
    """
    line = re.sub(r" >>? ?\S+", "", line)  # where its output goes
    words = shlex.split(line, comments=True)
    command: list[str] = []
    for word in [*words, "&&"]:
        if word in ("&&", "|", "&", ";"):
            check_command(command, shown)
            command = []
        else:
            command.append(word)


def check_command(words: list[str], shown: set[str]) -> None:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if not words:
        return
    name, *rest = words
    if name == "sudo":
        check_command(rest, shown)
        return
    if name == "eval":  # of what a command says
        for word in rest:
            check_line(word.removeprefix("$(").removesuffix(")"), shown)
        return
    name = name.removeprefix(".venv/bin/")
    if name in ("python", "python3"):
        check_python(rest, shown)
    elif name == "pip":
        check_pip(rest)
    elif name == "cptoolkit":
        check_cptoolkit(rest)
    elif name in PROGRAMS:
        unknown = {word for word in rest if word.startswith("-")} - PROGRAMS[name]
        assert not unknown, f"{name} is not known to have {unknown}"
    else:
        check_help(name, rest)


def check_python(words: list[str], shown: set[str]) -> None:
    if words[0] == "-m":
        module, rest = words[1], words[2:]
        if module == "pip":
            check_pip(rest)
        elif module != "its.module":  # some module
            at_hand = f"{module}.py" in shown or find_spec(module)
            assert at_hand, f"there is no module {module}"
    else:
        path = words[0]
        known = path in shown or path == "program.py" or (CHECKOUT / path).is_file()
        assert known, f"there is no {path}, neither in the page nor in the checkout"


def check_pip(words: list[str]) -> None:
    assert words[0] == "install", words
    extras = set(metadata.metadata("cptoolkit").get_all("Provides-Extra") or ())
    for word in words[1:]:
        if found := re.fullmatch(r"(?:cptoolkit|\.)\[(.*)\]", word):
            unknown = set(found[1].replace("_", "-").split(",")) - {
                extra.replace("_", "-") for extra in extras
            }
            assert not unknown, f"cptoolkit has no extra {unknown}"
        elif word.startswith("-"):
            assert word in ("-q", "-e", "--upgrade"), word


def check_cptoolkit(words: list[str]) -> None:
    if words and words[0] in COMMANDS:
        parser = importlib.import_module(f"cptoolkit.commands.{words[0]}").parser()
        words = words[1:]
    else:
        parser = site.parser(COMMANDS)
    try:
        parser.parse_args(words)
    except SystemExit as refusal:
        if refusal.code:  # --help and --version end with 0
            raise AssertionError(f"cptoolkit cannot be called with {words}") from refusal


def check_help(name: str, words: list[str]) -> None:
    if not (BIN / name).exists() and not shutil.which(name):
        pytest.skip(f"needs {name}")
    known = help_of(name)
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and SEVERAL_DASHES.fullmatch(option):
            assert option in known, f"{name} has no option {option}"


@functools.cache
def help_of(name: str) -> set[str]:
    path = str(BIN / name) if (BIN / name).exists() else name
    told = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=60)
    text = told.stdout + told.stderr
    if name == "twistd":
        text += subprocess.run([path, "web", "--help"], capture_output=True, text=True).stdout
    return set(SEVERAL_DASHES.findall(text))
