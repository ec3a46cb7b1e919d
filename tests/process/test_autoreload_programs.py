"""The autoreloader in real programs, whatever they were started with and whatever is edited."""

import contextlib
import http.client
import re
import sys
from contextlib import closing
from pathlib import Path

import pytest
from beside import PATIENCE, Program, free_port, wait_until

PART = 'VALUE = "{}"\n'

SITE = """
import os
import sys

import cptoolkit
import part

class Root:
    @cptoolkit.expose
    def index(self):
        return " ".join([part.VALUE, *sys.argv[1:]])

    @cptoolkit.expose
    def options(self):
        return f"{sys.flags.dev_mode} {sys.warnoptions} {os.getpid()}"
"""

MAIN = """
import os

import cptoolkit
from {site} import Root

if __name__ == "__main__":
    cptoolkit.config.update({{
        "server.socket_port": int(os.environ["PORT"]), "engine.autoreload.frequency": 0.1,
    }})
    cptoolkit.quickstart(Root())
"""


class Site(Program):
    """A program that serves, and reloads itself."""

    def __init__(self, folder, *command, **env):
        self.port = free_port()
        super().__init__(command, folder, {"PORT": str(self.port), **env})

    def get(self, path="/"):
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        ) as client:
            client.request("GET", path)
            return client.getresponse().read().decode()

    def shows(self, text):
        """Wait until the page shows a text; connections are refused only before the start."""

        def look():
            try:
                return self.get() == text
            except OSError:
                return False

        try:
            wait_until(look)
        except AssertionError:
            raise AssertionError(f"never showed {text!r}: {self.said()}") from None


@pytest.fixture
def folder(tmp_path):
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "site_here.py").write_text(SITE.replace("import part", "from pkg import part"))
    (package / "main.py").write_text(MAIN.format(site="pkg.site_here"))
    (package / "part.py").write_text(PART.format("one"))
    (tmp_path / "site_here.py").write_text(SITE)
    (tmp_path / "main.py").write_text(MAIN.format(site="site_here"))
    (tmp_path / "part.py").write_text(PART.format("one"))
    (tmp_path / "quick.conf").write_text("[global]\nengine.autoreload.frequency: 0.1\n")
    return tmp_path


@pytest.fixture
def start(folder):
    running = []

    def start(*command, **env):
        running.append(Site(folder, *command, **env))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def site(start):
    """``cptoolkit run``, with ``part.py`` to be edited."""

    def run(*words):
        port = free_port()
        flags = ["-c", "quick.conf", "--port", str(port), *words]
        found = start(sys.executable, "-m", "cptoolkit", "run", "site_here:Root", *flags)
        found.port = port
        # Its own arguments are shown, too.
        found.tail = " ".join(["", "run", "site_here:Root", *flags])
        found.shows("one" + found.tail)
        return found

    return run


def edit(path, text):
    """Replace a file in one step, as careful editors do."""
    new = Path(f"{path}.new")
    new.write_text(text)
    new.replace(path)


CONSOLE_SCRIPT = Path(sys.executable).with_name("cptoolkit")


@pytest.mark.parametrize(
    ("command", "part", "shown"),
    [
        pytest.param(["-m", "pkg.main"], "pkg/part.py", "", id="python -m"),
        pytest.param(["main.py", "--flag", "a b"], "part.py", " --flag a b", id="script"),
        pytest.param(
            ["-X", "dev", "-W", "default::UserWarning", "main.py"], "part.py", "", id="options"
        ),
    ],
)
def test_program_comes_back_as_it_was_started(start, folder, command, part, shown):
    site = start(sys.executable, *command)
    site.shows("one" + shown)
    before = site.get("/options")
    edit(folder / part, PART.format("two"))
    site.shows("two" + shown)
    assert site.get("/options") == before
    assert re.fullmatch(rf"{'-X' in command} \[.*\] {site.pid}", before)


def test_installed_command_comes_back(start, folder):
    if not CONSOLE_SCRIPT.exists():
        pytest.skip("the distribution is not installed in this environment")
    words = ["run", "site_here:Root", "-c", "quick.conf", "--port"]
    site = start("sh", "-c", f'exec "{CONSOLE_SCRIPT}" {" ".join(words)} "$PORT"')
    tail = f" {' '.join(words)} {site.port}"
    site.shows("one" + tail)
    edit(folder / "part.py", PART.format("two"))
    site.shows("two" + tail)


@pytest.mark.parametrize(
    ("words", "reloads"),
    [
        ([], True),
        (["--no-reload"], False),
        (["-e", "staging"], False),
        (["-e", "staging", "--reload"], True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flag_decides_whether_it_reloads(site, words, reloads):
    running = site(*words)
    running.wait_for("Bus STARTED")
    assert reloads == any("monitor thread 'Autoreloader'" in line for line in running.output)


def test_program_goes_on_with_a_syntax_error_until_it_is_mended(site, folder):
    running = site()
    edit(folder / "part.py", "VALUE = (\n")
    running.wait_for(f"Not restarting, syntax error in {folder}/part.py: ")
    assert running.get() == "one" + running.tail
    (folder / "site_here.py").touch()  # nor for another file, as the program could not begin
    running.wait_for("Not restarting, syntax error in")
    assert running.get() == "one" + running.tail
    edit(folder / "part.py", PART.format("mended"))
    running.shows("mended" + running.tail)


@pytest.mark.parametrize("command", ["run", "script"])
def test_program_that_fails_at_its_start_waits_to_be_mended(site, start, folder, command):
    if command == "run":
        running = site()
    else:
        running = start(sys.executable, "main.py")
        running.tail = ""
        running.shows("one")
    edit(folder / "part.py", "VALUE = nope\n")
    running.wait_for("NameError: name 'nope' is not defined")
    running.wait_for("The program waits: it starts again when one of its files has changed.")
    edit(folder / "part.py", "VALUE = (\n")
    running.wait_for("Not restarting, syntax error in")
    edit(folder / "part.py", PART.format("mended"))
    assert running.get() == "mended" + running.tail  # it has waited, too
    assert running.process.poll() is None


def test_wrong_config_is_waited_for_as_well(site, folder):
    running = site()
    config = (folder / "quick.conf").read_text()
    edit(folder / "quick.conf", "[global]\nserver.soket_port: 1\n")
    running.wait_for("did you mean 'server.socket_port'?")
    running.wait_for("The program waits")
    edit(folder / "quick.conf", config + "[/]\n")
    running.shows("one" + running.tail)


FAILS_LATE = """
import cptoolkit

def connect():
    raise OSError("no database")

cptoolkit.engine.subscribe("start", connect, priority=90)
"""


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        pytest.param(
            "quick.conf", "[/]\ntools.sesions.on: True\n", "mean 'sessions'?", id="wrong tool"
        ),
        pytest.param("part.py", PART.format("one") + FAILS_LATE, "no database", id="wrong service"),
    ],
)
def test_start_that_fails_is_waited_for_as_well(site, folder, file, text, message):
    running = site()
    right = (folder / file).read_text()
    edit(folder / file, text)
    running.wait_for(message)
    running.wait_for("The program waits")
    edit(folder / file, right.replace("one", "mended"))
    running.shows(("mended" if file == "part.py" else "one") + running.tail)


@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, -15)], ids=["Ctrl-C", "SIGTERM"])
def test_program_that_waits_for_a_service_can_be_ended(site, folder, number, status):
    running = site()
    edit(folder / "quick.conf", "[/]\ntools.sesions.on: True\n")
    running.wait_for("The program waits")
    running.send(number)
    assert running.end() == status


def test_program_that_waits_ends_by_ctrl_c(site, folder):
    running = site()
    edit(folder / "part.py", "VALUE = nope\n")
    running.wait_for("The program waits")
    running.send(2)
    assert running.end() == 130
    assert not any("Traceback" in line for line in running.output)


def test_first_start_waits_for_nothing(start, folder):
    (folder / "part.py").write_text("VALUE = nope\n")
    assert start(sys.executable, "main.py").end() == 1
    assert start(sys.executable, "-m", "cptoolkit", "run", "site_here:Root").end() == 2


def test_child_of_a_restarted_program_waits_for_nothing(start, folder):
    (folder / "site_here.py").write_text(
        SITE + "import subprocess\n"
        "child = subprocess.run([sys.executable, '-c', 'import cptoolkit; nope'])\n"
        "print('child ended', child.returncode, flush=True)\n"
    )
    running = start(sys.executable, "main.py")
    running.wait_for("child ended 1")
    running.shows("one")
    edit(folder / "part.py", PART.format("two"))
    running.wait_for("child ended 1")
    running.shows("two")


def test_deleted_module_is_told_and_waited_for(site, folder):
    running = site()
    (folder / "part.py").unlink()
    running.wait_for(f"{folder}/part.py is gone. The program goes on without it")
    assert running.get() == "one" + running.tail
    (folder / "site_here.py").touch()
    running.wait_for("No module named 'part'")
    running.wait_for("The program waits")
    (folder / "part.py").write_text(PART.format("back"))
    running.shows("back" + running.tail)


def test_new_module_is_used_and_watched(site, folder):
    running = site()
    edit(folder / "part.py", "from new import VALUE\n")
    running.wait_for("No module named 'new'")
    running.wait_for("The program waits")
    (folder / "new.py").write_text(PART.format("two"))
    running.shows("two" + running.tail)
    edit(folder / "new.py", PART.format("three"))
    running.shows("three" + running.tail)


def test_last_of_many_rapid_saves_counts(site, folder):
    """All texts have the same size, and some have the same second: Python's own caches take them
    for the same."""
    running = site()
    for number in range(30):
        if number % 3:
            edit(folder / "part.py", PART.format(f"{number:03}"))
        else:
            (folder / "part.py").write_text(PART.format(f"{number:03}"))
        with contextlib.suppress(OSError):
            running.get()
    running.shows("029" + running.tail)


def test_change_while_the_program_begins_is_not_missed(start, folder):
    """Nor one while it begins anew for that reason."""
    (folder / "site_here.py").write_text(
        SITE + "print('has read', part.VALUE, flush=True)\n"
        "later = {'two': 'six', 'six': 'ten'}.get(part.VALUE)\n"
        "if later:\n"
        "    open('part.py', 'w').write(f'VALUE = \"{later}\"')\n"  # as somebody else could
    )
    running = start(sys.executable, "main.py")
    running.shows("one")
    edit(folder / "part.py", PART.format("two"))
    running.wait_for("has read two")
    running.wait_for("has read six")
    running.wait_for("has read ten")
    running.shows("ten")


def test_program_that_writes_its_own_files_does_not_restart_for_ever(start, folder):
    (folder / "site_here.py").write_text(
        SITE + "open('part.py', 'a').write('# once more\\n')\nprint('has begun', flush=True)\n"
        "look = cptoolkit.engine.autoreload.callback\n"
        "def tell():\n"
        "    look()\n"
        "    print('has looked', flush=True)\n"
        "cptoolkit.engine.autoreload.callback = tell\n"
    )
    running = start(sys.executable, "main.py")
    running.shows("one")
    edit(folder / "part.py", PART.format("two"))
    # As the file has changed since it has been read: so often that nobody's edit is missed.
    for _ in range(1 + 3):
        running.wait_for("Restarting because")
        running.wait_for("has begun")
    running.wait_for("Bus STARTED")
    since = len(running.output)
    for _ in range(3):
        running.wait_for("has looked")
    assert not any("Restarting because" in line for line in running.output[since:])
    assert running.get() == "two"
