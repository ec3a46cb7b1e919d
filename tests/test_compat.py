import importlib
import subprocess
import sys
import textwrap

import pytest

import cptoolkit
from cptoolkit import compat


@pytest.mark.parametrize("name", sorted(compat.ALIASES))
def test_every_historic_name_can_be_imported(name):
    assert importlib.import_module(f"cptoolkit.{name}") is sys.modules[f"cptoolkit.{name}"]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("_cptools", "Toolbox"),
        ("_cptools", "HandlerTool"),
        ("_cptools", "XMLRPCController"),
        ("_cpdispatch", "Dispatcher"),
        ("_cpconfig", "environments"),
        ("_cperror", "HTTPError"),
        ("_cperror", "format_exc"),
        ("_cperror", "get_error_page"),
        ("_cpreqbody", "Part"),
        ("_cpreqbody", "process_urlencoded"),
        ("_cprequest", "Request"),
        ("_cprequest", "Response"),
        ("_cprequest", "HookMap"),
        ("_cpserver", "Server"),
        ("_cptree", "Tree"),
        ("_cptree", "Application"),
        ("_cpwsgi", "VirtualHost"),
        ("_cplogging", "LogManager"),
        ("_cplogging", "logfmt"),
        ("_cpchecker", "Checker"),
        ("_cpcompat", "tonative"),
        ("lib.httputil", "parse_query_string"),
        ("lib.httputil", "HTTPDate"),
        ("lib.httputil", "Host"),
        ("lib.httputil", "get_ranges"),
        ("lib.httputil", "HeaderMap"),
        ("lib.httputil", "header_elements"),
        ("lib.jsontools", "json_handler"),
        ("lib.xmlrpcutil", "respond"),
        ("lib.reprconf", "unrepr"),
        ("lib.cptools", "allow"),
    ],
)
def test_name_that_programs_use_is_where_they_look(module, name):
    assert hasattr(importlib.import_module(f"cptoolkit.{module}"), name)


def test_alias_is_the_very_same_module():
    from cptoolkit._cpserver import Server
    from cptoolkit.process import httpserver

    assert cptoolkit._cpserver is httpserver
    assert Server is httpserver.Server


def test_alias_leaves_the_module_its_own_spec():
    import cptoolkit._cptree
    from cptoolkit import application

    assert cptoolkit._cptree is application
    assert application.__spec__.name == "cptoolkit.application"


def test_historic_names_are_attributes_without_an_import():
    code = "import cptoolkit as c; print(c.lib.httputil.HTTPDate(0), c._cpcompat.ntob('a'))"
    assert python("-c", code) == "Thu, 01 Jan 1970 00:00:00 GMT b'a'\n"


def test_setting_a_gathered_name_sets_it_where_it_lives():
    code = """
import cptoolkit._cperror
from cptoolkit.http import error_pages
cptoolkit._cperror.format_exc = "patched"
cptoolkit._cperror.new = "new"
print(error_pages.format_exc, cptoolkit._cperror.new, hasattr(error_pages, "new"))
"""
    assert python("-c", code) == "patched new False\n"


def test_star_import_of_a_gathered_module_brings_all_of_it():
    code = "from cptoolkit.lib.httputil import *; print(valid_status(404)[1], HeaderMap.__name__)"
    assert python("-c", code) == "Not Found HeaderMap\n"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import cptoolkit._cptoolz", "there is no module cptoolkit._cptoolz; did you mean '_cpto"),
        ("import cptoolkit.nope", "No module named 'cptoolkit.nope'"),
        ("cptoolkit.confg", "has no attribute 'confg'; did you mean 'config'"),
        ("cptoolkit.lib.htputil", "cptoolkit.lib has no 'htputil'"),
        ("cptoolkit._cperror.get_eror_page", "has no 'get_eror_page'; did you mean 'get_error_p"),
    ],
)
def test_name_that_is_not_there_is_told(statement, message):
    with pytest.raises((ImportError, AttributeError), match=message):
        exec(statement, {"cptoolkit": cptoolkit})


def test_finder_is_there_once():
    before = list(sys.meta_path)
    cptoolkit.module_aliases.install()
    assert sys.meta_path == before


def test_ntob_encodes_latin_1():
    assert compat.ntob("\xe9") == b"\xe9"
    assert compat.ntob("\xe9", "utf-8") == b"\xc3\xa9"


def test_ntob_takes_no_bytes():
    with pytest.raises(TypeError, match="must be a str, got b'x'"):
        compat.ntob(b"x")


def test_ntou_and_tonative_give_text():
    assert compat.ntou("a") == compat.tonative(b"a") == compat.tonative("a") == "a"


# As cherrypy. In processes of their own, as it cannot be undone.


def python(*words, cwd=None, status=0):
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout + (done.stderr if status else "")


@pytest.fixture
def run_script(tmp_path):
    def run(source, *arguments, status=0, name="program.py"):
        (tmp_path / name).write_text(textwrap.dedent(source))
        return python("-m", "cptoolkit.compat", name, *arguments, cwd=tmp_path, status=status)

    return run


def test_program_gets_cptoolkit_for_cherrypy(run_script):
    source = """
        import sys
        import cherrypy, cptoolkit
        import cherrypy._cptools
        import cherrypy.lib.httputil
        import cherrypy.process.plugins
        from cherrypy import dispatch
        from cherrypy._cpserver import Server

        assert cherrypy is cptoolkit
        for name, module in list(sys.modules.items()):
            package, _, rest = name.partition(".")
            if package == "cherrypy":
                assert module is sys.modules["cptoolkit." + rest if rest else "cptoolkit"], name
        assert Server is cptoolkit.process.servers.Server
        print("all the same")
    """
    assert run_script(source) == "all the same\n"


def test_program_is_the_main_one_with_its_arguments_and_folder(run_script, tmp_path):
    source = """
        import sys
        import __main__
        print(__name__, sys.argv[1:], sys.path[0], __main__.__file__)
    """
    out = run_script(source, "a", "-b")
    assert out == f"__main__ ['a', '-b'] {tmp_path} program.py\n"


def test_copy_of_cherrypy_next_to_the_program_is_not_taken(run_script, tmp_path):
    (tmp_path / "cherrypy").mkdir()
    (tmp_path / "cherrypy" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    assert run_script("import cherrypy; print(cherrypy.__name__)") == "cptoolkit\n"


def test_assignment_is_seen_by_the_framework(run_script):
    source = """
        import cherrypy, cherrypy._cplogging
        cherrypy._cplogging.LogManager.access_log_format = "{r}"
        print(cherrypy.Application(None).log.access_log_format)
    """
    assert run_script(source) == "{r}\n"


def test_exit_status_of_the_program_is_that_of_the_run(run_script):
    run_script("raise SystemExit(3)", status=3)


def test_missing_script_is_told_in_a_line_with_the_nearest(run_script, tmp_path):
    run_script("", name="program.py")
    out = python("-m", "cptoolkit.compat", "progam.py", cwd=tmp_path, status=2)
    assert out == ("cptoolkit.compat: there is no file 'progam.py'; did you mean 'program.py'?\n")


def test_usage_is_shown_without_a_script():
    assert "SCRIPT [arguments]" in python("-m", "cptoolkit.compat", status=2)


def test_module_that_is_not_there_keeps_its_name(run_script):
    out = run_script("import cherrypy.nope", status=1)
    assert "No module named 'cherrypy.nope'" in out
    assert "did you mean '_cptools'" in run_script("import cherrypy._cptoolz", status=1)


def test_cherrypy_that_is_imported_already_is_refused(tmp_path):
    (tmp_path / "cherrypy.py").write_text("")
    code = "import cherrypy, cptoolkit.compat as c; c.install_as_cherrypy()"
    out = python("-c", code, cwd=tmp_path, status=1)
    assert "cherrypy has been imported already, from " in out


def test_installing_twice_changes_nothing():
    code = """
import sys, cptoolkit.compat as c
c.install_as_cherrypy()
before = list(sys.meta_path)
c.install_as_cherrypy()
print(sys.meta_path == before)
"""
    assert python("-c", code) == "True\n"
