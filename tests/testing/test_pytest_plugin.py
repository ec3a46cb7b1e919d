"""What pytest knows: in this suite, and in suites of others, each run in a process of its own."""

import http.client
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import cptoolkit
from cptoolkit.process.wspbus import State


@pytest.fixture
def cptoolkit_root(pages):
    return pages


@pytest.fixture
def cptoolkit_config():
    return {"global": {"server.thread_pool": 2}, "/": {"tools.response_headers.on": True}}


def test_application_is_called_in_process(cptoolkit_app):
    assert cptoolkit_app.get("/").text == "Hello"
    assert cptoolkit.engine.state is not State.STARTED


def test_application_is_served_over_a_socket(cptoolkit_server):
    assert cptoolkit.engine.state is State.STARTED
    connection = http.client.HTTPConnection(cptoolkit_server.removeprefix("http://"))
    connection.request("GET", "/echo?message=x")
    assert connection.getresponse().read() == b"x"
    connection.close()


def test_both_serve_the_same_site(cptoolkit_app, cptoolkit_server):
    assert list(cptoolkit.tree.apps) == [""]
    assert cptoolkit_app.app is cptoolkit.server.app is cptoolkit.tree
    assert cptoolkit_app.get("/").text == "Hello"


def test_config_is_for_the_site_and_the_application(cptoolkit_app):
    assert cptoolkit.server.thread_pool == 2
    assert cptoolkit.tree.apps[""].config["/"] == {"tools.response_headers.on": True}


def test_plugin_costs_a_start_of_pytest_nothing():
    code = "import sys, pytest_cptoolkit; print('cptoolkit' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def run(command, folder, **files):
    for name, source in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )


def run_pytest(folder, *options, **files):
    """Run a suite of its own, where nothing but the entry point has to do with ours."""
    plugin = ["-p", "pytest_cptoolkit", "-p", "no:cacheprovider", "-W", "error"]
    ended = run(["pytest", "--rootdir=.", *plugin, *options], folder, **files)
    return ended.stdout + ended.stderr


def outcomes(output):
    summary = output.splitlines()[-1]
    return {kind: int(count) for count, kind in re.findall(r"(\d+) ([a-z]+)", summary)}


def test_forgotten_root_is_told(tmp_path):
    output = run_pytest(tmp_path, test_it="def test(cptoolkit_app): pass")
    assert "there is nothing to test: override the fixture cptoolkit_root" in output
    assert outcomes(output) == {"error": 1}


def test_names_and_functions_can_be_tested_too(tmp_path):
    files = {
        "shop": """
            import cptoolkit

            class Root:
                @cptoolkit.expose
                def index(self):
                    return "Shop"
        """,
        "conftest": """
            import pytest

            @pytest.fixture
            def cptoolkit_root():
                return "shop:Root"
        """,
        "test_by_name": """
            def test_in_process(cptoolkit_app):
                assert cptoolkit_app.get("/").text == "Shop"

            def test_nothing_of_it_is_left():
                import cptoolkit
                assert cptoolkit.tree.apps == {}
        """,
        "test_mounted": """
            import cptoolkit
            import pytest
            import shop

            @pytest.fixture
            def cptoolkit_root():
                cptoolkit.tree.mount(shop.Root(), "/a")
                cptoolkit.tree.mount(shop.Root(), "/b")
                return cptoolkit.tree

            def test_in_process(cptoolkit_app):
                assert cptoolkit_app.get("/b/").text == "Shop"
                cptoolkit_app.get("/", status=404)
        """,
    }
    assert outcomes(run_pytest(tmp_path, **files)) == {"passed": 3}


REFERENCE = """
    import {package}
    from {package}.test import helper

    class SimpleCPTest(helper.CPWebCase):
        def setup_server():
            class Root(object):
                @{package}.expose
                def echo(self, message):
                    return message

            {package}.tree.mount(Root())
        setup_server = staticmethod(setup_server)

        def test_message_comes_back(self):
            self.getPage("/echo?message=Hello%20world")
            self.assertStatus("200 OK")
            self.assertHeader("Content-Type", "text/html;charset=utf-8")
            self.assertBody("Hello world")

        def test_query_that_is_not_utf_8_is_not_found(self):
            fields = [
                ("Accept-Charset", "ISO-8859-1,utf-8"),
                ("Content-Type", "text/html;charset=ISO-8859-1"),
            ]
            self.getPage("/echo?message=A+bient%F4t", headers=fields)
            self.assertStatus("404 Not Found")
"""
"""The reference, 5.13, written anew."""

AS_CHERRYPY = "import cptoolkit.compat; cptoolkit.compat.install_as_cherrypy()"


def test_example_of_the_reference_runs_under_pytest(tmp_path):
    files = {
        "conftest": AS_CHERRYPY,
        "test_echo_app": REFERENCE.format(package="cherrypy"),
        "test_again": REFERENCE.format(package="cptoolkit"),
    }
    assert outcomes(run_pytest(tmp_path, **files)) == {"passed": 4}


def test_example_of_the_reference_runs_under_unittest(tmp_path):
    source = textwrap.dedent(REFERENCE.format(package="cherrypy"))
    ended = run(["unittest", "-v"], tmp_path, test_echo_app=f"{AS_CHERRYPY}\n{source}")
    assert ended.returncode == 0
    assert "Ran 2 tests" in ended.stderr
    assert "ENGINE" not in ended.stderr
    assert ended.stdout == ""


def test_programs_setup_runs_once_under_pytest(tmp_path):
    source = """
        from cptoolkit.testing import CPWebCase

        class OwnTest(CPWebCase):
            setup_server = staticmethod(lambda: None)
            log = []

            @classmethod
            def setup_class(cls):
                cls.log.append("begin")
                super().setup_class()

            @classmethod
            def teardown_class(cls):
                super().teardown_class()
                cls.log.append("end")

            def test_it(self):
                self.getPage("/")
                assert self.log == ["begin"]

        def test_afterwards():
            assert OwnTest.log == ["begin", "end"]
    """
    assert outcomes(run_pytest(tmp_path, test_own=source)) == {"passed": 2}


def test_failure_shows_the_line_of_the_test_and_what_the_server_said(tmp_path):
    source = """
        import cptoolkit
        from cptoolkit.testing import CPWebCase

        class FailingTest(CPWebCase):
            def setup_server():
                class Root:
                    @cptoolkit.expose
                    def index(self):
                        return self.missing
                cptoolkit.tree.mount(Root())

            def test_it(self):
                self.getPage("/")
                self.assertStatus(200)
    """
    output = run_pytest(tmp_path, "--show-capture=no", test_failing=source)
    assert outcomes(output) == {"failed": 1}
    assert ">       self.assertStatus(200)" in output
    assert "has no attribute 'missing'" in output
    assert "raise self.failureException" not in output


PAGE = Path(__file__).parents[2] / "docs" / "testing.rst"


def listings():
    """The Python listings of the page, by the names of the files that they are."""
    block = re.compile(r"\.\. code-block:: python\n   :caption: (\w+)\.py\n\n((?:   .*\n|\n)+)")
    return {name: textwrap.dedent(source) for name, source in block.findall(PAGE.read_text())}


def test_listings_of_the_documentation_run(tmp_path):
    files = listings()
    assert len(files) == PAGE.read_text().count("code-block:: python")
    tests = sum(source.count("def test_") for source in files.values())
    assert outcomes(run_pytest(tmp_path, **files)) == {"passed": tests}
