"""``cptoolkit completion``: what shells offer for a command line that is being typed."""

import os
import shutil
import subprocess
import sys

import pytest

from cptoolkit.cli import COMMANDS, main
from cptoolkit.commands.parser import parser_of
from cptoolkit.commands.server_names import NAMES
from cptoolkit.commands.shells import SHELLS

BASH = """
source completion
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_cptoolkit
printf '%s\\n' "${COMPREPLY[@]}"
"""

FISH = "source completion; complete -C (string join ' ' -- $argv)"

# Who completes for real asks zsh's completion system, which needs a terminal. Here is what the
# script tells it: the words that _arguments and _describe get.
ZSH = """
compdef() { : }
_describe() { print -l -- $commands }
_arguments() { print -l -- "$@" }
source ./completion
words=("$@")
CURRENT=$#
_cptoolkit
"""


@pytest.fixture
def script(tmp_path, capsys):
    """Return a function that writes the script for a shell."""
    (tmp_path / "site.conf").touch()
    (tmp_path / "hello.py").touch()
    (tmp_path / "with space.py").touch()
    (tmp_path / "folder").mkdir()

    def write(shell):
        assert main(["completion", shell]) == 0
        (tmp_path / "completion").write_text(capsys.readouterr().out)

    return write


@pytest.fixture
def offers(tmp_path, script):
    """Return a function that asks a shell for what may follow."""

    def ask(shell, program, *words):
        found = shutil.which(shell)
        if found is None:
            pytest.skip(f"needs {shell}")
        script(shell)
        flags = {"bash": ["--norc", "-c"], "zsh": ["-f", "-c"], "fish": ["--no-config", "-c"]}
        first = [] if shell == "fish" else [shell]
        done = subprocess.run(
            [found, *flags[shell], program, *first, *words], cwd=tmp_path,
            capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C"},
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.splitlines()

    return ask


TABLE = [
    pytest.param(["cptoolkit", "ru"], ["run"], id="a command"),
    pytest.param(["cptoolkit", "run", "--server"], ["--server", "--server-name"], id="a flag"),
    pytest.param(["cptoolkit", "run", "--server", "wa"], ["waitress"], id="a value"),
    pytest.param(["cptoolkit", "run", "-e", "prod"], ["production"], id="an environment"),
    pytest.param(["cptoolkit", "run", "--config", "s"], ["site.conf"], id="a file"),
    pytest.param(["cptoolkit", "-c", "s"], ["site.conf"], id="a file without a command"),
    pytest.param(["cptoolkit", "run", "h"], ["hello.py"], id="a target"),
    pytest.param(["cptoolkit", "run", "--port", ""], [], id="a number"),
    pytest.param(["cptoolkit", "completion", "b"], ["bash"], id="a shell"),
]


@pytest.mark.parametrize(("words", "expected"), TABLE)
def test_bash_completes(offers, words, expected):
    assert [line for line in offers("bash", BASH, *words) if line] == expected


def test_bash_completes_folders_and_names_with_spaces(offers):
    assert offers("bash", BASH, "cptoolkit", "run", "-P", "") == ["folder"]
    assert offers("bash", BASH, "cptoolkit", "run", "w") == ["with space.py"]


@pytest.mark.parametrize(("words", "expected"), TABLE)
def test_fish_completes(offers, words, expected):
    lines = [line.partition("\t")[0] for line in offers("fish", FISH, *words)]
    assert [line for line in lines if line] == expected


def test_zsh_is_told_of_commands(offers):
    names = [line.partition(":")[0] for line in offers("zsh", ZSH, "cptoolkit", "r")]
    assert names == list(COMMANDS)


def test_zsh_is_told_of_flags_and_values(offers):
    specs = offers("zsh", ZSH, "cptoolkit", "run", "--server", "")
    assert "(--daemonize)" not in "".join(specs)
    assert "(-d --daemonize)-d[go on in the background]" in specs
    assert "*-c[read this config file]:FILE:_files" in specs
    [server] = [spec for spec in specs if spec.startswith("(--server)")]
    assert server.endswith(f":NAME:({' '.join(NAMES)})")
    assert any(spec.startswith(":TARGET:") for spec in specs)


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_read_without_complaint(script, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    script(shell)
    subprocess.run([shell, "-n", tmp_path / "completion"], check=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_script_has_all_flags_of_all_commands(script, tmp_path, shell):
    script(shell)
    text = (tmp_path / "completion").read_text()
    for name in COMMANDS:
        assert name in text
        for action in parser_of(name).actions():
            for flag in action.option_strings:
                shown = flag.lstrip("-") if shell == "fish" else flag
                assert shown in text


def test_unknown_shell_is_told():
    done = subprocess.run(
        [sys.executable, "-m", "cptoolkit", "completion", "tcsh"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "SHELL: invalid choice: 'tcsh'" in done.stderr
