"""``cptoolkit completion``: what shells offer for a command line that is being typed."""

import contextlib
import fcntl
import io
import os
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios

import pytest
from beside import PATIENCE

from cptoolkit.cli import COMMANDS, main
from cptoolkit.commands.parser import parser_of
from cptoolkit.commands.shells import SHELLS

# Each shell shows "ready> " when it can be typed to, and at ^T the line, which it then forgets.
BASH = r"""
PS1='ready> '
bind 'set show-all-if-ambiguous on'
bind 'set completion-query-items 0'
bind 'set enable-bracketed-paste off'
told() { echo "<$READLINE_LINE>"; READLINE_LINE=; }
bind -x '"\C-t": told'
source ./completion
"""
ZSH = """
PROMPT='ready> '
LISTMAX=1000
unset zle_bracketed_paste
setopt no_always_last_prompt no_prompt_sp no_auto_menu
told() { zle -I; print -r -- "<$BUFFER>"; BUFFER= }
zle -N told
bindkey '^T' told
fpath+=$PWD/functions
autoload -Uz compinit
compinit -u -D
[[ ! -e completion ]] || source ./completion
"""
COMMAND_LINES = {"bash": ["bash", "--rcfile", ".bashrc", "-i"], "zsh": ["zsh", "-d", "-i"]}

ON_TERMINAL = 'exec "$@" < "$0" > "$0" 2>&1'
"""What a shell gets a terminal by, as it leads a session and has none."""

FISH = "source completion; complete -C $argv[1]"
"""What TAB asks, as fish has a way to see."""


class Typist:
    """Types to a shell at a terminal."""

    def __init__(self, folder, shell):
        self._ours, self._theirs = os.openpty()
        size = struct.pack("HHHH", 200, 200, 0, 0)
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, size)
        words = ["sh", "-c", ON_TERMINAL, os.ttyname(self._theirs), *COMMAND_LINES[shell]]
        env = {**os.environ, "HOME": str(folder), "ZDOTDIR": str(folder)}
        self._process = subprocess.Popen(
            words, cwd=folder, start_new_session=True, env={**env, "TERM": "dumb", "LC_ALL": "C"}
        )
        self._shown = ""

    def offers(self, line):
        """What TAB lists at the end of a line, or has typed by itself."""
        self._until("ready> ")
        os.write(self._ours, f"{line}\t\x14".encode())
        shown = self._until("<")
        after = self._until(">\r\n")
        listed = [one for one in re.split(r"[\r\n]+", shown)[1:] if line not in one]
        names = [name for one in listed for name in one.partition(" -- ")[0].split("  ")]
        if any(names):
            return [name.strip() for name in names if name.strip()]
        return [shlex.split(after)[-1]] if after != line else []

    def _until(self, text):
        while text not in self._shown:
            assert select.select([self._ours], [], [], PATIENCE)[0], self._shown
            self._shown += os.read(self._ours, 4096).decode()
        before, _, self._shown = self._shown.partition(text)
        return before

    def close(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        os.close(self._theirs)
        os.close(self._ours)


class Fish:
    """Asks fish what it would offer."""

    def __init__(self, folder):
        self._folder = folder

    def offers(self, line):
        done = subprocess.run(
            ["fish", "--no-config", "-c", FISH, line], cwd=self._folder,
            capture_output=True, text=True, timeout=PATIENCE, check=True,
            env={**os.environ, "HOME": str(self._folder), "LC_ALL": "C"},
        )  # fmt: skip
        assert done.stderr == ""
        offered = [one.partition("\t")[0] for one in done.stdout.splitlines()]
        return [one.replace("\\ ", " ") for one in offered]

    def close(self):
        """It has ended."""


@pytest.fixture(scope="module", params=[*SHELLS, "zsh's function path"])
def shell(request, tmp_path_factory):
    """A shell that has read the script, or will find it, in a folder with some files."""
    name = request.param.partition("'")[0]
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    folder = tmp_path_factory.mktemp("completion")
    for file in ("site.conf", "hello.py", "with space.py"):
        (folder / file).touch()
    (folder / "functions").mkdir()
    (folder / ".bashrc").write_text(BASH)
    (folder / ".zshrc").write_text(ZSH)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["completion", name]) == 0
    script = "completion" if name == request.param else "functions/_cptoolkit"
    (folder / script).write_text(printed.getvalue())
    shell = Fish(folder) if name == "fish" else Typist(folder, name)
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("ru", ["run"], id="a command"),
        pytest.param("r", ["routes", "run"], id="commands"),
        pytest.param("run --server", ["--server", "--server-name"], id="flags"),
        pytest.param("run --server wa", ["waitress"], id="a value"),
        pytest.param("run -e prod", ["production"], id="an environment"),
        pytest.param("run --config s", ["site.conf"], id="a file"),
        pytest.param("-c s", ["site.conf"], id="a file without a command"),
        pytest.param("run h", ["hello.py"], id="a target"),
        pytest.param("run w", ["with space.py"], id="a target with a space"),
        pytest.param("run -P ", ["functions/"], id="a folder"),
        pytest.param("run --port ", [], id="a number"),
        pytest.param("completion b", ["bash"], id="a shell"),
    ],
)
def test_tab_completes(shell, words, expected):
    assert shell.offers(f"cptoolkit {words}") == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_tab_lists_all_flags_of_a_command(shell, name):
    flags = {flag for action in parser_of(name).actions() for flag in action.option_strings}
    assert set(shell.offers(f"cptoolkit {name} -")) == flags


def test_unknown_shell_is_told():
    done = subprocess.run(
        [sys.executable, "-m", "cptoolkit", "completion", "tcsh"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "SHELL: invalid choice: 'tcsh'" in done.stderr
