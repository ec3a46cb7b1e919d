"""5.3 to 5.5: errors, streams and time, as the reference shows them."""

import http.client
import time

import pytest

import cptoolkit as cherrypy


class Files:
    """The page of 5.3, twice: with its own except clauses, and with the context manager."""

    allowed = True

    @cherrypy.expose
    def thing(self, path):
        if not self.allowed:
            raise cherrypy.HTTPError(401, "Unauthorized")
        try:
            with open(path) as file:
                return file.read()
        except FileNotFoundError:
            raise cherrypy.HTTPError(404) from None

    @cherrypy.expose
    def handled(self, path):
        with cherrypy.HTTPError.handle(FileNotFoundError, 404), open(path) as file:
            return file.read()


@pytest.fixture
def files(app_of):
    return app_of(Files())


def test_error_is_raised_and_answered(files, tmp_path):
    """5.3."""
    (tmp_path / "note").write_text("words")
    assert files.get("/thing", {"path": str(tmp_path / "note")}).text == "words"
    missing = files.get("/thing", {"path": "/nope"}, status=404)
    assert "Nothing matches the given URI" in missing.text


def test_error_has_the_message_that_it_was_given(app_of):
    """5.3."""
    root = Files()
    root.allowed = False
    answer = app_of(root).get("/thing?path=/nope", status=401)
    assert "<p>Unauthorized</p>" in answer.text


def test_exception_is_translated_by_the_context_manager(files, tmp_path):
    """5.3: the message is that of the exception."""
    (tmp_path / "note").write_text("words")
    assert files.get("/handled", {"path": str(tmp_path / "note")}).text == "words"
    answer = files.get("/handled", {"path": "/nope"}, status=404)
    assert "No such file or directory" in answer.text


STREAMS = """
class Root:
    _cp_config = {"response.stream": True}

    @cherrypy.expose
    def thing(self, allowed=""):
        cherrypy.response.headers["Content-Type"] = "text/plain"
        if not allowed:
            raise cherrypy.NotFound()
        def content():
            yield "Hello, "
            yield "world"
        return content()

    @cherrypy.expose
    def broken(self):
        yield "Hello, "
        raise LookupError("too late for a page")

cherrypy.quickstart(Root())
"""


def test_stream_is_separate_from_the_function_that_sets_headers(script):
    """5.4.2: what is raised before the stream begins is an answer like any other."""
    program = script(STREAMS).serving()
    answer = program.get("/thing?allowed=1")
    assert (answer.status, answer.text) == (200, "Hello, world")
    assert answer.headers["Content-Type"] == "text/plain;charset=utf-8"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    refused = program.get("/thing")
    assert refused.status == 404
    assert int(refused.headers["Content-Length"]) == len(refused.text)


def test_error_within_a_stream_closes_the_connection(script):
    """5.4.2: status and fields have gone, so that nothing else is left to do; the log tells."""
    program = script(STREAMS).serving()
    with pytest.raises(http.client.IncompleteRead):
        program.get("/broken")
    assert program.wait_for("LookupError: too late for a page")
    assert program.get("/thing?allowed=1").status == 200


class Slow:
    @cherrypy.expose
    def index(self):
        response = cherrypy.response
        assert response.timed_out is False
        return f"{time.time() - response.time < 60} {response.timeout}"

    @cherrypy.expose
    @cherrypy.config(**{"response.timeout": 0.5})
    def late(self):
        cherrypy.response.time -= 1
        cherrypy.response.check_timeout()
        return "never"


def test_response_knows_its_time(app_of):
    """5.5: when it began, and the 300 seconds that it has."""
    assert app_of(Slow()).get("/").text == "True 300"


def test_response_whose_time_is_up_is_an_error(app_of):
    """5.5: ``check_timeout`` tells, ``TimeoutError`` follows."""
    assert issubclass(cherrypy.TimeoutError, cherrypy.CherryPyException)
    answer = app_of(Slow()).get("/late", status=500)
    assert "never" not in answer.text


@pytest.mark.parametrize(
    ("settings", "monitored"),
    [
        ("", True),
        ("cherrypy.config.update('monitor.conf')", False),
        ("cherrypy.engine.timeout_monitor.unsubscribe()", False),
    ],
    ids=["by default", "turned off in config", "unsubscribed"],
)
def test_timeout_monitor_can_be_turned_off(script, tmp_path, settings, monitored):
    """5.5.1."""
    (tmp_path / "monitor.conf").write_text("[global]\nengine.timeout_monitor.on: False\n")
    program = script(f"{settings}\ncherrypy.engine.start()\ncherrypy.engine.exit()")
    assert program.process.wait(30) == 0
    assert any("'_TimeoutMonitor'" in line for line in program.rest()) is monitored


def test_interval_of_the_monitor_is_arithmetic_in_a_file(tmp_path):
    """5.5.1: 60 * 60 seconds in place of a minute."""
    assert cherrypy.engine.timeout_monitor.frequency == 60
    file = tmp_path / "monitor.conf"
    file.write_text("[global]\nengine.timeout_monitor.frequency: 60 * 60\n")
    cherrypy.config.update(str(file))
    assert cherrypy.engine.timeout_monitor.frequency == 3600
