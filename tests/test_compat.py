import importlib
import subprocess
import sys

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
        ("_cpnative_server", "CPHTTPServer"),
        ("_cpwsgi_server", "CPWSGIServer"),
        ("_cptools", "SessionTool"),
        ("_cptools", "SessionAuthTool"),
        ("_cptools", "CachingTool"),
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
        ("lib", "file_generator"),
        ("lib", "set_vary_header"),
        ("lib.gctools", "GCRoot"),
        ("lib.locking", "LockTimeout"),
        ("lib.profiler", "ProfileAggregator"),
        ("test.helper", "CPWebCase"),
        ("test.webtest", "WebCase"),
        ("wsgiserver", "CherryPyWSGIServer"),
        ("wsgiserver.ssl_builtin", "BuiltinSSLAdapter"),
        ("wsgiserver.ssl_pyopenssl", "pyOpenSSLAdapter"),
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
    import cptoolkit._cpchecker
    from cptoolkit import checks

    assert cptoolkit._cpchecker is checks
    assert checks.__spec__.name == "cptoolkit.checks"


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


def python(*words):
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout
