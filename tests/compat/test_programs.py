"""Programs for CherryPy, run in processes of their own, as the alias cannot be taken back."""

from __future__ import annotations

import os
import py_compile
import signal
import subprocess
import sys
import textwrap
import zipfile
from http.client import HTTPConnection

import pytest

from cptoolkit.compat import CHERRYPY_VERSION
from cptoolkit.version import __version__

WRONG_ONE = "raise SystemExit('the wrong cherrypy')"


@pytest.fixture
def python(tmp_path):
    """Runs Python in a folder of the test's own, and gives what has been printed."""

    def run(*words, status=0, env=None):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + (done.stderr if status else "")

    return run


@pytest.fixture
def write(tmp_path):
    def to(name, source):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return to


@pytest.fixture
def run(python, write):
    """Runs the source of a program under the runner."""

    def run(source, *arguments, status=0, name="program.py"):
        write(name, source)
        return python("-m", "cptoolkit.compat", name, *arguments, status=status)

    return run


# What is imported


def test_program_gets_cptoolkit_for_cherrypy(run):
    source = """
        import sys
        import cherrypy, cptoolkit
        import cherrypy._cptools
        import cherrypy.lib.httputil
        import cherrypy.process.plugins
        import cherrypy.wsgiserver.ssl_builtin
        from cherrypy import dispatch
        from cherrypy._cpserver import Server
        from cherrypy.test import helper, webtest

        assert cherrypy is cptoolkit
        for name, module in list(sys.modules.items()):
            package, _, rest = name.partition(".")
            if package == "cherrypy":
                assert module is sys.modules["cptoolkit." + rest if rest else "cptoolkit"], name
        assert Server is cptoolkit.process.servers.Server
        print("all the same")
    """
    assert run(source) == "all the same\n"


def test_copy_of_cherrypy_next_to_the_program_is_not_taken(run, write):
    write("cherrypy/__init__.py", WRONG_ONE)
    assert run("import cherrypy; print(cherrypy.__name__)") == "cptoolkit\n"


def test_copy_that_the_program_puts_in_front_of_the_path_is_not_taken(run, write):
    write("lib/cherrypy/__init__.py", WRONG_ONE)
    write("lib/cherrypy/_cptools.py", WRONG_ONE)
    write("lib/cherrypy/own.py", WRONG_ONE)
    source = """
        import sys
        sys.path.insert(0, "lib")
        import cherrypy, cherrypy._cptools
        print(cherrypy._cptools.__name__)
        import cherrypy.own
    """
    out = run(source, status=1)
    assert out.startswith("cptoolkit._cptools\n")
    assert "No module named 'cherrypy.own'" in out


def test_cherrypy_that_is_installed_is_not_taken(python, write):
    # As on a path of the interpreter's own, and not one of the program's.
    write("installed/cherrypy/__init__.py", WRONG_ONE)
    write("program.py", "import cherrypy; print(cherrypy.__name__)")
    path = {"PYTHONPATH": "installed"}
    assert python("-m", "cptoolkit.compat", "program.py", env=path) == "cptoolkit\n"


def test_import_after_removal_gives_the_same_again(run):
    source = """
        import sys, cherrypy
        first = sys.modules.pop("cherrypy")
        import cherrypy
        print(cherrypy is first, cherrypy.__spec__.name)
    """
    assert run(source) == "True cptoolkit\n"


def test_version_is_that_of_the_cherrypy_it_goes_by(run):
    source = """
        import cherrypy, cptoolkit.version
        print(tuple(int(part) for part in cherrypy.__version__.split(".")) >= (3, 2, 2))
        print(cherrypy.__version__, cptoolkit.version.__version__)
    """
    assert run(source) == f"True\n{CHERRYPY_VERSION} {__version__}\n"


def test_assignment_is_seen_by_the_framework(run):
    source = """
        import cherrypy, cherrypy._cplogging
        cherrypy._cplogging.LogManager.access_log_format = "{r}"
        print(cherrypy.Application(None).log.access_log_format)
    """
    assert run(source) == "{r}\n"


def test_listener_of_the_log_can_be_taken_off_under_its_name(run):
    source = """
        import cherrypy
        cherrypy.engine.unsubscribe("log", cherrypy._buslog)
        print(cherrypy.engine.listeners["log"])
    """
    assert run(source) == "set()\n"


def test_session_that_is_deleted_is_there_again(run):
    assert run("import cherrypy as c; s = c.session; del c.session; print(c.session is s)") == (
        "True\n"
    )


def test_module_that_is_not_there_keeps_its_name(run):
    assert "No module named 'cherrypy.nope'" in run("import cherrypy.nope", status=1)
    assert "did you mean '_cptools'" in run("import cherrypy._cptoolz", status=1)


def test_cherrypy_that_is_imported_already_is_refused(python, write):
    write("cherrypy.py", "")
    code = "import cherrypy, cptoolkit.compat as c; c.install_as_cherrypy()"
    assert "cherrypy has been imported already, from " in python("-c", code, status=1)


def test_installing_twice_changes_nothing(python):
    code = """
import sys, cptoolkit.compat as c
c.install_as_cherrypy()
before = list(sys.meta_path)
c.install_as_cherrypy()
print(sys.meta_path == before)
"""
    assert python("-c", code) == "True\n"


# How it is run


MAIN = """
    import sys
    import __main__
    print(__name__, sys.argv, sys.path[0], __main__.__file__, __main__.__dict__ is globals())
"""


@pytest.mark.parametrize("name", ["program.py", "program", "program.cgi"])
def test_script_of_any_name_is_the_main_module_as_under_python(run, python, name):
    out = run(MAIN, "a", "-b", name=name)
    assert out == python(name, "a", "-b")
    assert out.startswith(f"__main__ ['{name}', 'a', '-b'] ")


def test_compiled_script_is_run(python, write, tmp_path):
    write("program.py", MAIN + "    import cherrypy; print(cherrypy.__name__)")
    py_compile.compile(str(tmp_path / "program.py"), cfile=str(tmp_path / "program.pyc"))
    out = python("-m", "cptoolkit.compat", "program.pyc", "a")
    assert out.startswith("__main__ ['program.pyc', 'a'] ")
    assert out.endswith("cptoolkit\n")


def test_script_in_another_folder_imports_from_there(run, write, tmp_path):
    write("bin/sibling.py", "NAME = 'sibling'")
    assert run("import sibling; print(sibling.NAME)", name="bin/program") == "sibling\n"


def test_link_to_a_script_imports_from_where_that_is(python, write, tmp_path):
    write("real/sibling.py", "NAME = 'sibling'")
    write("real/program.py", "import sibling; print(sibling.NAME)")
    (tmp_path / "link").symlink_to("real/program.py")
    assert python("-m", "cptoolkit.compat", "link") == "sibling\n"


def test_module_is_run_as_under_python(python, write):
    write("package/__init__.py", "")
    write("package/tool.py", MAIN + "\n    print(__spec__.name, __package__)")
    out = python("-m", "cptoolkit.compat", "-m", "package.tool", "-x")
    assert out == python("-m", "package.tool", "-x")


def test_package_is_run_by_its_main_module(python, write):
    write("package/__init__.py", "")
    write("package/__main__.py", "import sys; from . import __name__ as n; print(n, sys.argv[1:])")
    assert python("-m", "cptoolkit.compat", "-m", "package", "1") == "package ['1']\n"


def test_folder_is_run_by_its_main_module(python, write):
    write("site/__main__.py", "import cherrypy, other, sys; print(other.NAME, sys.argv)")
    write("site/other.py", "NAME = 'other'")
    assert python("-m", "cptoolkit.compat", "site", "1") == "other ['site', '1']\n"


def test_archive_is_run_by_its_main_module(python, tmp_path):
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.writestr("__main__.py", "import cherrypy; print(cherrypy.__name__)")
    assert python("-m", "cptoolkit.compat", "site.zip") == "cptoolkit\n"


def test_future_imports_of_the_runner_are_not_those_of_the_program(run):
    assert run("def f(x: 1 + 1): pass\nprint(f.__annotations__)") == "{'x': 2}\n"


def test_main_module_stays_when_the_last_line_has_run(run):
    source = """
        import atexit, pickle

        class Kept:
            pass

        atexit.register(lambda: print(type(pickle.loads(pickle.dumps(Kept()))) is Kept))
    """
    assert run(source) == "True\n"


def test_exit_status_of_the_program_is_that_of_the_run(run):
    run("raise SystemExit(3)", status=3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["progam.py"], "there is no file 'progam.py'; did you mean 'program.py'?", id="script"
        ),
        pytest.param(["empty"], "there is no __main__.py in 'empty'", id="folder"),
        pytest.param(
            ["old.pyc"], "'old.pyc' was compiled by another version of Python", id="compiled"
        ),
        pytest.param(["-m", "nope"], "there is no module 'nope' to run", id="module"),
        pytest.param(
            ["-m", "bare"], "bare is a package without a __main__ module to run", id="package"
        ),
        pytest.param(["-m", "no.pe"], "there is no module 'no.pe': No module named 'no'", id="in"),
        pytest.param(["-m", "itertools"], "itertools is not written in Python", id="in C"),
    ],
)
def test_missing_program_is_told_in_a_line(python, write, tmp_path, words, message):
    write("program.py", "")
    write("old.pyc", "")
    write("bare/__init__.py", "")
    (tmp_path / "empty").mkdir()
    out = python("-m", "cptoolkit.compat", *words, status=2)
    assert out == f"cptoolkit.compat: {message}\n"


@pytest.mark.parametrize("words", [[], ["-m"], ["-x", "program.py"]], ids=repr)
def test_usage_is_shown_to_who_asks_wrongly(python, words):
    out = python("-m", "cptoolkit.compat", *words, status=2)
    assert "cptoolkit.compat SCRIPT [arguments]" in out


def test_help_is_no_failure(python):
    assert "-m MODULE [arguments]" in python("-m", "cptoolkit.compat", "--help")


# Its child processes

CHILD = "import cherrypy; print(cherrypy.__name__, cherrypy.__version__)"
ANSWER = f"cptoolkit {CHERRYPY_VERSION}\n"


@pytest.mark.parametrize(
    "words", [["child.py"], ["-c", CHILD], ["-m", "child"]], ids=["script", "-c", "-m"]
)
def test_child_process_gets_cptoolkit_for_cherrypy(run, write, words):
    write("cherrypy/__init__.py", WRONG_ONE)
    write("child.py", CHILD)
    source = f"""
        import subprocess, sys
        print(subprocess.check_output([sys.executable, *{words!r}], text=True), end="")
    """
    assert run(source) == ANSWER


def test_child_of_a_child_does_too(run, write):
    write("child.py", CHILD)
    write("parent.py", "import subprocess, sys; subprocess.run([sys.executable, 'child.py'])")
    assert run("import subprocess, sys; subprocess.run([sys.executable, 'parent.py'])") == ANSWER


def test_process_of_multiprocessing_does_too(run):
    source = """
        import multiprocessing
        import cherrypy

        def name():
            return cherrypy.__name__

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.apply(name))
    """
    assert run(source) == "cptoolkit\n"


def test_child_that_wants_no_cherrypy_imports_nothing_of_ours(run):
    source = """
        import subprocess, sys
        code = "import sys; print(any(n.startswith('cptoolkit') for n in sys.modules), sys.path)"
        out = subprocess.check_output([sys.executable, "-c", code], text=True)
        print(out[:5], "child_processes" in out)
    """
    assert run(source) == "False False\n"


def test_customization_of_the_users_own_is_run_all_the_same(run, write, python):
    write("custom/sitecustomize.py", "import builtins; builtins.customized = __name__")
    write("child.py", CHILD + "; print(customized)")
    write("program.py", "import subprocess, sys; subprocess.run([sys.executable, 'child.py'])")
    path = {"PYTHONPATH": "custom"}
    out = python("-m", "cptoolkit.compat", "program.py", env=path)
    assert out == ANSWER + "sitecustomize\n"


def test_child_without_cptoolkit_gets_what_it_has(run, write, tmp_path):
    write("other/cherrypy.py", "print('its own')")
    source = """
        import os, subprocess, sys
        # -S leaves out what is installed; what it leaves to itself, too, is done by hand.
        path = os.environ["PYTHONPATH"].split(os.pathsep)[0]
        code = f"import sys; sys.path.insert(0, {path!r}); import sitecustomize, cherrypy"
        env = {**os.environ, "PYTHONPATH": "other"}
        subprocess.run([sys.executable, "-S", "-c", code], env=env, check=True)
    """
    assert run(source) == "its own\n"


# Starting anew

RESTARTS = """
    import os, sys
    import cherrypy

    cherrypy.config.update({"log.screen": False, "server.socket_port": 0})
    times = os.environ.get("TIMES", "")
    os.environ["TIMES"] = times + "1"
    print(cherrypy.__name__, __name__, sys.argv, flush=True)
    if len(times) < 2:
        cherrypy.engine.start()
        %s()
        cherrypy.engine.block()
"""


def three_times(program):
    return f"cptoolkit __main__ ['{program}', 'a']\n" * 3


@pytest.mark.parametrize(
    "how", ["cherrypy.engine.restart", "cherrypy.engine._do_execv"], ids=["restart", "execv"]
)
def test_program_that_starts_anew_comes_back_under_the_runner(run, write, how):
    write("cherrypy/__init__.py", WRONG_ONE)
    assert run(RESTARTS % how, "a") == three_times("program.py")


def test_module_that_starts_anew_comes_back_under_the_runner(python, write, tmp_path):
    write("program.py", RESTARTS % "cherrypy.engine.restart")
    out = python("-m", "cptoolkit.compat", "-m", "program", "a")
    assert out == three_times(tmp_path / "program.py")


def test_program_that_runs_its_own_file_again_keeps_cptoolkit(run, write):
    write("cherrypy/__init__.py", WRONG_ONE)
    source = """
        import os, sys
        import cherrypy
        print(cherrypy.__name__, flush=True)
        if "again" not in sys.argv:
            os.execv(sys.executable, [sys.executable, *sys.argv, "again"])
    """
    assert run(source) == "cptoolkit\ncptoolkit\n"


# What programs do


SERVED = """
    import cherrypy

    class Root:
        @cherrypy.expose
        def index(self):
            states = cherrypy.engine.states
            cherrypy.engine.wait(set(states) - {states.STARTING})
            return f"served by {cherrypy.__name__}"

    cherrypy.config.update({"server.socket_port": 0, "log.screen": False})
    cherrypy.engine.subscribe(
        "start", lambda: print(cherrypy.server.bound_addr[1], flush=True), 100)
    cherrypy.quickstart(Root())
"""


def test_site_of_a_program_answers_and_ends_by_signal(write, tmp_path):
    write("site.py", SERVED)
    command = [sys.executable, "-m", "cptoolkit.compat", "site.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as program:
        try:
            client = HTTPConnection("127.0.0.1", int(program.stdout.readline()), timeout=30)
            client.request("GET", "/")
            assert client.getresponse().read() == b"served by cptoolkit"
            client.close()
        finally:
            program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-m", "cherrypy"], id="the module"),
        pytest.param(["cherryd"], id="the script"),
        pytest.param(["parent.py"], id="the module in a child"),
    ],
)
def test_command_of_cherrypy_is_that_of_cptoolkit(python, write, words):
    write("cherryd", "import sys; from cherrypy.__main__ import run; sys.exit(run())")
    write(
        "parent.py",
        """
        import subprocess, sys
        words = [sys.executable, "-m", "cherrypy", *sys.argv[1:]]
        sys.exit(subprocess.run(words).returncode)
        """,
    )
    write(
        "once.py",
        "import cherrypy as c; print(c.__name__); c.engine.subscribe('main', c.engine.exit)",
    )
    write("site.conf", "[global]\nserver.socket_port: 0\nlog.screen: False\n")
    assert (
        python("-m", "cptoolkit.compat", *words, "-c", "site.conf", "-i", "once") == "cptoolkit\n"
    )
