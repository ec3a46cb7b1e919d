"""Responses that take too long (reference, 5.5)."""

import time

import pytest
from webob import Request

import cptoolkit
from cptoolkit.http.response import Response


class Root:
    @cptoolkit.expose
    def index(self):
        return repr(cptoolkit.response.timeout)

    @cptoolkit.expose
    def slow(self, check="yes"):
        response = cptoolkit.response
        response.time -= 1000  # as if it had begun that long ago
        if check == "yes":
            response.check_timeout()
        return "done"

    @cptoolkit.expose
    def watched(self):
        cptoolkit.response.time -= 1000
        cptoolkit.engine.timeout_monitor.run()  # what its thread does once a minute
        return "done"


@pytest.fixture
def monitor():
    """The monitor of the site, following requests."""
    made = cptoolkit.engine.timeout_monitor
    made.start()
    yield made
    made.stop()


def test_response_may_take_300_seconds_by_default(app_of):
    assert app_of(Root()).get("/").text == "300"


def test_timeout_is_set_by_config(app_of):
    assert app_of(Root(), {"/": {"response.timeout": 6000}}).get("/").text == "6000"


def test_response_knows_when_it_began(app_of):
    before = time.time()
    assert before <= Response().time <= time.time()


@pytest.mark.parametrize(
    ("timeout", "age", "timed_out"),
    [(300, 299, False), (300, 301, True), (0, 10_000, False), (0.5, 1, True)],
)
def test_check_timeout_compares_age_and_timeout(timeout, age, timed_out):
    response = Response()
    response.timeout = timeout
    response.time -= age
    response.check_timeout()
    assert response.timed_out is timed_out


def test_response_that_timed_out_is_a_500(app_of, caplog):
    answer = app_of(Root()).get("/slow", status=500)
    assert "done" not in answer.text
    assert "TimeoutError: the response took longer than response.timeout, 300 s" in caplog.text


def test_response_that_nobody_checks_goes_out_however_late(app_of):
    assert app_of(Root()).get("/slow?check=no").text == "done"


def test_longer_timeout_leaves_the_time(app_of):
    assert app_of(Root(), {"/": {"response.timeout": 6000}}).get("/slow").text == "done"


def test_handler_is_not_called_once_the_time_is_used_up(app_of):
    def waste():
        cptoolkit.response.timed_out = True

    called = []
    root = Root()
    root.last = lambda: called.append(1)
    root.last.exposed = True
    app_of(root, {"/": {"hooks.before_handler": waste}}).get("/last", status=500)
    assert called == []


def test_time_out_can_be_told_on_the_error_page(app_of):
    config = {"error_page.500": lambda traceback, **details: traceback[-200:]}
    answer = app_of(Root(), {"/": config}).get("/slow", status=500)
    assert "TimeoutError" in answer.text


def test_monitor_checks_active_requests(app_of, monitor):
    app_of(Root()).get("/watched", status=500)


def test_monitor_forgets_finished_requests(app_of, monitor):
    app_of(Root()).get("/watched", status=500)
    app_of(Root()).get("/")
    assert not monitor._active


def test_monitor_follows_a_stream_to_its_end(app_of, monitor):
    class Stream:
        @cptoolkit.expose
        def index(self):
            yield "a"

    client = app_of(Stream(), {"/": {"response.stream": True}})
    body = client.app(Request.blank("/").environ, lambda *start: None)
    assert len(monitor._active) == 1
    body.close()
    assert not monitor._active


def test_monitor_follows_internal_redirects(app_of, monitor):
    class Redirecting(Root):
        @cptoolkit.expose
        def index(self):
            raise cptoolkit.InternalRedirect("/watched")

    app_of(Redirecting()).get("/", status=500)
    assert not monitor._active


def test_monitor_that_is_off_checks_nothing(app_of):
    assert app_of(Root()).get("/watched").text == "done"


def test_monitor_is_turned_off_and_on_by_config():
    monitor = cptoolkit.engine.timeout_monitor
    listeners = cptoolkit.engine.listeners
    assert monitor.start in listeners["start"]
    cptoolkit.config.update({"engine.timeout_monitor.on": False})
    assert monitor.start not in listeners["start"]
    cptoolkit.config.update({"engine.timeout_monitor.on": True})
    assert monitor.start in listeners["start"]


def test_frequency_of_the_monitor_is_set_by_config(monkeypatch):
    monitor = cptoolkit.engine.timeout_monitor
    monkeypatch.setattr(monitor, "frequency", monitor.frequency)
    cptoolkit.config.update({"engine.timeout_monitor.frequency": 60 * 60})
    assert monitor.frequency == 3600
