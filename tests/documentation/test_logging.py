"""4.3: what the reference says of the two logs."""

import re

import pytest

import cptoolkit as cherrypy

STAMP = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\]"


class Root:
    @cherrypy.expose
    def index(self):
        return "hello world"

    @cherrypy.expose
    def fail(self):
        raise LookupError("no such thing")


@pytest.fixture
def error_file(tmp_path):
    file = tmp_path / "error.log"
    cherrypy.config.update({"log.error_file": str(file)})
    return file


def test_message_is_logged_with_an_empty_context(error_file):
    cherrypy.log("hello there")
    assert re.fullmatch(STAMP + "  hello there\n", error_file.read_text())


def test_exception_is_logged_with_its_traceback(error_file):
    try:
        raise LookupError("no such thing")
    except LookupError:
        cherrypy.log("kaboom!", traceback=True)
    first, second, *_, last = error_file.read_text().splitlines()
    assert re.fullmatch(STAMP + "  kaboom!", first)
    assert second == "Traceback (most recent call last):"
    assert last == "LookupError: no such thing"


def test_both_logs_go_to_the_files_that_config_names(app_of, tmp_path, error_file):
    """The access log is in the common format, with referrer and browser."""
    access_file = tmp_path / "access.log"
    cherrypy.config.update({"log.access_file": str(access_file)})
    client = app_of(Root())
    client.get("/", headers={"User-Agent": "tests"}, extra_environ={"REMOTE_ADDR": "10.0.0.9"})
    client.get("/fail", status=500)
    first, second = access_file.read_text().splitlines()
    assert re.fullmatch(
        r"10\.0\.0\.9 - - " + STAMP + r' "GET / HTTP/1\.\d" 200 11 "" "tests"', first
    )
    assert '"GET /fail HTTP/' in second
    assert "LookupError: no such thing" in error_file.read_text()


def test_logging_can_be_turned_off(script, free_port, tmp_path):
    """4.3.1: what is left is a warning about the missing config, if any."""
    program = script(
        f"""
        class Root:
            @cherrypy.expose
            def index(self):
                states = cherrypy.engine.states
                cherrypy.engine.wait(set(states) - {{states.STARTING}})
                return "hello"

        cherrypy.config.update({{"log.screen": False,
                                "log.access_file": "",
                                "log.error_file": "",
                                "server.socket_port": {free_port}}})
        cherrypy.quickstart(Root(), "/", {{"/": {{"tools.gzip.on": True}}}})
        """
    ).listening(free_port)
    assert program.get("/").text == "hello"
    assert program.stop() == 0
    assert program.rest() == []
    assert [file.name for file in tmp_path.iterdir()] == ["program.py"]


SEVERAL_LOGGERS = """
import logging, logging.config

logger = logging.getLogger()
db_logger = logging.getLogger("db")

def rotating(name):
    return {"class": "logging.handlers.RotatingFileHandler", "formatter": "void",
            "filename": name, "maxBytes": 10485760, "backupCount": 2, "encoding": "utf8"}

def console(formatter):
    return {"class": "logging.StreamHandler", "formatter": formatter, "stream": "ext://sys.stdout"}

def logger_with(*handlers):
    return {"handlers": handlers, "level": "INFO", "propagate": False}

LOG_CONF = {
    "version": 1,
    "formatters": {
        "void": {"format": ""},
        "standard": {"format": "%(asctime)s [%(levelname)s] %(name)s: %(message)s"},
    },
    "handlers": {
        "default": console("standard"),
        "cherrypy_console": console("void"),
        "cherrypy_access": rotating("access.log"),
        "cherrypy_error": rotating("errors.log"),
    },
    "loggers": {
        "": logger_with("default"),
        "db": logger_with("default"),
        "cherrypy.access": logger_with("cherrypy_access"),
        "cherrypy.error": logger_with("cherrypy_console", "cherrypy_error"),
    },
}

class Root:
    @cherrypy.expose
    def index(self):
        logger.info("boom")
        db_logger.info("bam")
        cherrypy.log("bang")
        return "hello world"

if __name__ == "__main__":
    cherrypy.config.update({"log.screen": False, "log.access_file": "", "log.error_file": ""})
    cherrypy.engine.unsubscribe("graceful", cherrypy.log.reopen_files)
    logging.config.dictConfig(LOG_CONF)
    cherrypy.quickstart(Root())
"""


def test_loggers_of_the_program_play_along(script, tmp_path):
    """4.3.2: one dict for all loggers, those of the framework among them."""
    program = script(SEVERAL_LOGGERS).serving()
    assert program.get("/").text == "hello world"
    assert program.stop() == 0
    console = [re.sub(r"^[\d: ,-]+", "", line) for line in program.rest()]
    said = [console.index("[INFO] root: boom"), console.index("[INFO] db: bam")]
    bang = next(n for n, line in enumerate(console) if re.fullmatch(STAMP + "  bang", line))
    assert said == sorted(said)
    assert bang > said[1]
    [access] = (tmp_path / "access.log").read_text().splitlines()
    assert '"GET / HTTP/1.1" 200 11' in access
    errors = (tmp_path / "errors.log").read_text()
    assert "ENGINE Bus STARTED" in errors
    assert "  bang\n" in errors
    assert "boom" not in errors
    assert "bam" not in errors
