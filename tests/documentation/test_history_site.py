"""The history of 3.3 to 8.8: what it says of servers, the bus, config, logs and names."""

import http.client
import queue

import pytest
from beside import PATIENCE, in_threads

import cptoolkit as cherrypy

HELLO = """
class Root:
    @cherrypy.expose
    def index(self):
        return "hello"
"""


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param("'server.socket_timeout': 0", id="8.8.0, #1528: no timeout"),
        pytest.param("'server.socket_port': 0", id="8.7.0, #645: an ephemeral port"),
    ],
)
def test_zero_is_a_setting_of_the_server(script, setting):
    program = script(
        HELLO + f"cherrypy.config.update({{{setting}}})\ncherrypy.quickstart(Root())"
    ).serving()
    assert program.port
    assert program.get("/").text == "hello"
    assert program.stop() == 0


def test_builtin_library_is_the_default_for_ssl():
    """5.0.0."""
    assert cherrypy.server.ssl_module == "builtin"


def test_connections_beyond_the_queue_are_refused(script):
    """3.5.0, #1301: told so, and not left to wait for ever."""
    program = script(
        """
        import threading
        release = threading.Event()

        class Root:
            @cherrypy.expose
            def wait(self):
                print("WAITING", flush=True)
                release.wait(30)
                return "waited"

        cherrypy.engine.subscribe("stop", release.set, 10)
        cherrypy.config.update({"server.thread_pool": 1, "server.accepted_queue_size": 1,
                                "server.accepted_queue_timeout": 0.1})
        cherrypy.quickstart(Root())
        """
    ).serving()
    statuses = queue.Queue()

    def ask():
        try:
            statuses.put(program.get("/wait").status)
        except (OSError, http.client.HTTPException):
            statuses.put(None)

    with in_threads(*[ask] * 6, stop=program.stop):
        program.wait_for("WAITING")
        assert statuses.get(timeout=PATIENCE) == 503


# -- the bus and its config ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("autoreload_on", "autoreload.on"),
        ("autoreload_frequency", "autoreload.frequency"),
        ("autoreload_match", "autoreload.match"),
        ("reload_files", "autoreload.files"),
        ("deadlock_poll_frequency", "timeout_monitor.frequency"),
    ],
)
def test_old_setting_of_the_engine_is_refused(old, new):
    """7.0.0: with the one that took its place."""
    with pytest.raises(ValueError, match=f"no setting engine.{old}; did you mean 'engine.{new}'"):
        cherrypy.config.update({f"engine.{old}": True})


def test_settings_of_the_engine_are_those_of_its_plugins():
    """7.0.0: what took the place of the old ones."""
    cherrypy.config.update(
        {
            "engine.autoreload.on": False,
            "engine.autoreload.frequency": 7,
            "engine.autoreload.match": "mine",
            "engine.autoreload.files": {"settings.ini"},
            "engine.timeout_monitor.frequency": 8,
        }
    )
    assert cherrypy.engine.autoreload.frequency == 7
    assert cherrypy.engine.autoreload.match == "mine"
    assert cherrypy.engine.autoreload.files == {"settings.ini"}
    assert cherrypy.engine.timeout_monitor.frequency == 8


def test_listener_of_a_signal_may_come_from_config(script):
    """6.2.1, #1460: it is called beside the one that ends the process."""
    program = script(
        HELLO
        + """
cherrypy.config.update({"engine.SIGTERM": lambda: print("HEARD", flush=True)})
cherrypy.quickstart(Root())
"""
    ).serving()
    assert program.stop() == 0
    lines = program.rest()
    assert "HEARD" in lines
    assert not any("KeyError" in line for line in lines)


def test_values_in_config_files_take_keyword_arguments(app_of, tmp_path):
    """5.1.0, #1382: calls with keywords, and with a dict of them."""
    file = tmp_path / "app.conf"
    file.write_text(
        "[mine]\n"
        "direct = dict(foo='bar', size=3)\n"
        "spread = dict(**{'foo': 'bar'})\n"
        "hosts = cherrypy.dispatch.VirtualHost(use_x_forwarded_host=False)\n"
    )
    mine = app_of(object(), str(file)).app.config["mine"]
    assert mine["direct"] == {"foo": "bar", "size": 3}
    assert mine["spread"] == {"foo": "bar"}
    assert callable(mine["hosts"])


# -- logs ------------------------------------------------------------------------------------


def test_exception_is_handed_to_the_logger(caplog):
    """3.8.0, pull request 96: not formatted into the message, so that handlers see it."""
    cherrypy.log.error_log.addHandler(caplog.handler)
    try:
        raise LookupError("no such thing")
    except LookupError:
        cherrypy.log("kaboom!", traceback=True)
    record = caplog.records[-1]
    assert record.exc_info[0] is LookupError
    assert "Traceback" not in record.getMessage()


# -- names -----------------------------------------------------------------------------------


def test_server_of_wsgi_applications_is_one_module():
    """6.1.0."""
    from cptoolkit import wsgiserver

    server = wsgiserver.CherryPyWSGIServer(("127.0.0.1", 0), lambda environ, start_response: [])
    assert server.bind_addr == ("127.0.0.1", 0)


@pytest.mark.parametrize("name", ["unrepr", "modules", "attributes"])
def test_functions_of_config_values_are_in_reprconf(name):
    """8.0.0, #1483: and no more in ``lib`` itself."""
    assert callable(getattr(cherrypy.lib.reprconf, name))
    with pytest.raises(AttributeError, match=name):
        getattr(cherrypy.lib, name)


def test_sessions_in_postgresql_have_another_class():
    """5.4.0, #748: the old one is gone, and its error names what is there."""
    with pytest.raises(AttributeError, match="did you mean 'SQLSession'"):
        _ = cherrypy.lib.sessions.PostgresqlSession
