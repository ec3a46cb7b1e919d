"""The site that a test case sets up, and what is left of it; run as unittest runs it."""

import logging
import socket
import sys
import wsgiref.simple_server
from unittest import mock

import pytest
from beside import free_port

import cptoolkit
from cptoolkit import site
from cptoolkit.process.wspbus import State
from cptoolkit.testing import CPWebCase, WebCase


@pytest.fixture
def case_of(pages):
    """Make a class of tests: ``case_of(test, ...attributes)``, with ``pages`` as its site."""

    def setup_server():
        cptoolkit.tree.mount(pages())

    def make(*tests, **attributes):
        named = {f"test_{number}": test for number, test in enumerate(tests)}
        given = {"setup_server": staticmethod(setup_server), **named, **attributes}
        return type("Case", (CPWebCase,), given)

    return make


def hello(self):
    self.getPage("/")
    self.assertBody("Hello")


def test_site_is_served_to_each_test(case_of, run_case):
    assert run_case(case_of(hello, hello)).count == 2


def test_site_of_a_class_method_is_served(run_case):
    class Case(CPWebCase):
        greeting = "Good day"

        @classmethod
        def setup_server(cls):
            class Root:
                @cptoolkit.expose
                def index(self):
                    return cls.greeting

            cptoolkit.tree.mount(Root())

        def test_greeting(self):
            self.getPage("/")
            self.assertBody("Good day")

    run_case(Case)


def test_each_class_begins_with_an_empty_tree(case_of, run_case):
    def setup_server():
        assert cptoolkit.tree.apps == {}
        assert cptoolkit.config["environment"] == "test_suite"
        cptoolkit.tree.mount(None, "/own")

    cptoolkit.tree.mount(None, "/outside")
    for _ in range(2):
        run_case(case_of(hello_from_nowhere, setup_server=staticmethod(setup_server)))
    assert list(cptoolkit.tree.apps) == ["/outside"]


def hello_from_nowhere(self):
    self.getPage("/")
    self.assertStatus(404)


def test_engine_runs_with_its_plugins_and_has_stopped_afterwards(case_of, run_case, pages):
    heard = []

    def setup_server():
        cptoolkit.tree.mount(pages())
        for channel in ("start", "stop", "exit"):
            cptoolkit.engine.subscribe(channel, lambda channel=channel: heard.append(channel))

    def test(self):
        assert cptoolkit.engine.state is State.STARTED
        hello(self)
        assert heard == ["start"]

    before = {name: set(found) for name, found in cptoolkit.engine.listeners.items()}
    run_case(case_of(test, setup_server=staticmethod(setup_server)))
    assert heard == ["start", "stop", "exit"]
    assert cptoolkit.engine.state is State.EXITING
    assert cptoolkit.engine.listeners == before


@pytest.fixture(name="free_port")
def free_port_fixture():
    return free_port()


def test_port_is_free_and_known_everywhere(case_of, run_case):
    ports, servers = [], []

    def test(self):
        ports.append(self.PORT)
        servers.append(cptoolkit.server.httpserver)
        assert servers[0].bound_addr == ("127.0.0.1", self.PORT)
        assert cptoolkit.server.socket_port == cptoolkit.config["server.socket_port"] == self.PORT
        assert self.base() == cptoolkit.server.base() == f"http://127.0.0.1:{self.PORT}"
        hello(self)

    case = case_of(test)
    run_case(case)
    assert ports[0] > 0
    assert not servers[0].ready
    assert (case.PORT, cptoolkit.server.socket_port) == (0, 8080)
    assert "PORT" not in vars(case)


def test_port_set_by_hand_on_the_class_is_used(case_of, run_case, free_port):
    def test(self):
        assert free_port == self.PORT
        hello(self)

    case = case_of(test, PORT=free_port)
    run_case(case)
    assert free_port == case.PORT


def test_port_set_by_hand_in_config_is_used(case_of, run_case, free_port, pages):
    def setup_server():
        cptoolkit.config.update({"server.socket_port": free_port})
        cptoolkit.tree.mount(pages())

    def test(self):
        assert free_port == self.PORT
        hello(self)

    run_case(case_of(test, setup_server=staticmethod(setup_server), PORT=8080))


def test_port_that_is_taken_is_told(case_of, run_case):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        [failure] = run_case(case_of(hello, PORT=taken.getsockname()[1]), fails=True).failures
    assert "Address already in use" in failure


def test_site_is_put_back_if_it_cannot_be_set_up(case_of, run_case):
    def setup_server():
        cptoolkit.tree.mount(None, "/own")
        cptoolkit.config.update({"tools.gzip.on": True})
        raise LookupError("no database")

    before = dict(cptoolkit.config)
    case = case_of(hello, setup_server=staticmethod(setup_server))
    [failure] = run_case(case, fails=True).failures
    assert "LookupError: no database" in failure
    assert cptoolkit.config == before
    assert cptoolkit.tree.apps == {}


def test_what_failed_on_the_server_is_told_with_the_failure(case_of, run_case):
    def test(self):
        self.getPage("/boom")
        self.assertStatus(200)

    [failure] = run_case(case_of(test), fails=True).failures
    assert "the status is '500 Internal Server Error', expected 200" in failure
    assert 'raise ValueError("boom <here>")' in failure


def test_what_failed_for_an_earlier_page_is_not_told(case_of, run_case):
    def test(self):
        self.getPage("/boom")
        self.getPage("/")
        self.assertBody("x")

    [failure] = run_case(case_of(test), fails=True).failures
    assert "On the server" not in failure


def test_failure_that_was_expected_shows_nowhere(case_of, run_case, capfd):
    def test(self):
        self.getPage("/boom")
        self.assertErrorPage(500, pattern="ValueError: boom <here>")

    assert "boom" not in run_case(case_of(test)).output
    assert capfd.readouterr() == ("", "")


def test_failure_is_in_the_log_for_pytest_to_show(case_of, run_case, caplog):
    def test(self):
        self.getPage("/boom")

    run_case(case_of(test))
    assert [record.name for record in caplog.records if "boom <here>" in caplog.text]
    assert "ValueError: boom <here>" in caplog.text


def test_streams_of_the_process_are_left_alone(case_of, run_case, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    streams = sys.stdin, sys.stdout, sys.stderr

    def test(self):
        assert (sys.stdin, sys.stdout, sys.stderr) == streams
        hello(self)

    run_case(case_of(test))


def test_mount_point_goes_before_urls(case_of, run_case, pages):
    def setup_server():
        cptoolkit.tree.mount(pages(), "/shop")

    def test(self):
        hello(self)
        self.getPage(b"/echo?message=x")
        self.assertBody("x")
        assert self.prefix() == "/shop"
        assert self.base() == f"http://127.0.0.1:{self.PORT}/shop"

    setup = staticmethod(setup_server)
    run_case(case_of(test, setup_server=setup, script_name="/shop/"))


def test_kind_of_the_server_can_be_asked_for(case_of, run_case):
    def test(self):
        assert cptoolkit.server.using_wsgi
        assert not cptoolkit.server.using_apache

    run_case(case_of(test))
    assert not hasattr(cptoolkit.server, "using_wsgi")


def test_test_can_be_skipped_from_within(case_of, run_case):
    def test(self):
        hello(self)
        self.skip("no printer")

    assert run_case(case_of(test)).skipped == ["no printer"]


def test_test_can_be_ended_from_within(case_of, run_case):
    [failure] = run_case(case_of(lambda self: self.exit()), fails=True).failures
    assert "SystemExit" in failure


def test_class_without_a_site_fetches_from_the_server_that_runs(case_of, run_case):
    inner = type("Inner", (CPWebCase,), {"test": hello})

    def test(self):
        run_case(inner)
        assert cptoolkit.engine.state is State.STARTED

    run_case(case_of(test))


def test_second_site_cannot_start_while_one_runs(case_of, run_case):
    def test(self):
        [failure] = run_case(case_of(hello), fails=True).failures
        assert "the engine, in states.STARTED, serves something else already" in failure
        hello(self)

    run_case(case_of(test))


class Plain:
    """Another server: that of the standard library."""

    ready = False

    def start(self):
        class Silent(wsgiref.simple_server.WSGIRequestHandler):
            def log_message(self, *args):
                pass

        address = (site.server.socket_host, site.server.socket_port)
        make = wsgiref.simple_server.make_server
        with make(*address, site.server.app, handler_class=Silent) as self.server:
            self.ready = True
            self.server.serve_forever(0.01)

    def stop(self):
        self.server.shutdown()


def test_another_server_can_be_used(case_of, run_case):
    def test(self):
        hello(self)
        assert "WSGIServer" in self.assertHeader("Server")

    servers = {"wsgi": None, "plain": Plain()}
    run_case(case_of(test, available_servers=servers, default_server="plain"))


def test_server_that_config_has_chosen_is_used(case_of, run_case):
    def test(self):
        hello(self)
        assert "WSGIServer" in self.assertHeader("Server")

    cptoolkit.server.instance = Plain()
    run_case(case_of(test))


# -- how programs call it, and what they do to it ----------------------------------------------


def counted(name, log):
    """A class method that calls that of the class above, as programs have them."""

    def method(cls):
        log.append(name)
        getattr(super(cls, cls), name)()

    return classmethod(method)


def test_setup_of_ones_own_runs_once_however_it_is_called(case_of, run_case):
    log = []
    own = {name: counted(name, log) for name in ("setup_class", "teardown_class")}
    case = case_of(hello, **own)
    case.setup_class()  # as pytest does beside setUpClass()
    run_case(case)
    case.teardown_class()
    assert log == ["setup_class", "teardown_class"]
    run_case(case)
    assert log == ["setup_class", "teardown_class"] * 2


def test_site_is_stopped_also_if_the_program_forgets_to(case_of, run_case):
    nothing = classmethod(lambda cls: None)
    for forgotten in ({"tearDownClass": nothing}, {"teardown_class": nothing}):
        run_case(case_of(hello, **forgotten))
        assert cptoolkit.engine.state is State.EXITING


def test_site_can_be_started_anew_for_each_test(case_of, run_case):
    starts = []

    def set_up(self):
        self.setup_class()

    def tear_down(self):
        self.teardown_class()

    def test(self):
        starts.append(cptoolkit.engine.state)
        hello(self)

    case = case_of(test, test, setUp=set_up, tearDown=tear_down)
    assert run_case(case).count == 2
    assert starts == [State.STARTED] * 2


def test_check_for_leaks_can_be_removed(case_of, run_case):
    assert CPWebCase.test_gc is None
    with mock.patch.object(CPWebCase, "test_gc"):
        del CPWebCase.test_gc
        assert run_case(case_of(hello)).count == 1
        CPWebCase.test_gc = None


def test_requests_that_stay_in_memory_are_told_if_wanted(case_of, run_case, monkeypatch):
    monkeypatch.setattr("cptoolkit.testing.failures.RELEASE_SECONDS", 0.05)
    kept = []

    def setup_server():
        class Root:
            @cptoolkit.expose
            def keep(self):
                kept.append(cptoolkit.serving.request)

        cptoolkit.tree.mount(Root())

    def test(self):
        self.getPage("/keep")
        self.assertStatus(200)

    setup = staticmethod(setup_server)
    [failure] = run_case(case_of(test, setup_server=setup, do_gc_test=True), fails=True).failures
    assert "1 requests are in memory after the site has stopped: GET /keep" in failure
    run_case(case_of(test, setup_server=setup))


def test_failing_page_is_no_leak(case_of, run_case, caplog):
    """A log that keeps the traceback would keep the request with it."""

    def test(self):
        hello(self)
        self.getPage("/boom")

    run_case(case_of(test, do_gc_test=True))
    assert "boom" in caplog.text


def test_log_files_of_the_site_are_closed(case_of, run_case, tmp_path, pages):
    def setup_server():
        cptoolkit.config.update({"log.error_file": str(tmp_path / "error.log")})
        cptoolkit.tree.mount(pages())

    handlers = list(logging.getLogger("cherrypy.error").handlers)
    run_case(case_of(hello, setup_server=staticmethod(setup_server)))
    assert "Bus STARTED" in (tmp_path / "error.log").read_text()
    assert logging.getLogger("cherrypy.error").handlers == handlers


def test_plain_web_case_starts_nothing():
    assert not hasattr(WebCase, "setup_class")
