import logging
import logging.config
import os
import re
from types import SimpleNamespace

import pytest

import cptoolkit
from cptoolkit import logs
from cptoolkit.context import current
from cptoolkit.logs import Gatherer, GlobalLogManager, LogManager

STAMP = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\]"


def make_request(**changes):
    request = {
        "remote": SimpleNamespace(ip="127.0.0.1", name=None),
        "login": None,
        "request_line": "GET / HTTP/1.1",
        "headers": {"User-Agent": "agent"},
        "environ": {},
        "unique_id": "a-unique-id",
        "app": None,
    }
    return SimpleNamespace(**request | changes)


@pytest.fixture
def serve():
    """Make a request the current one, for the time of the test."""
    tokens = []

    def serve(**changes):
        response = SimpleNamespace(status="200 OK", headers={"Content-Length": "12"})
        for name in ("status", "headers"):
            if f"response_{name}" in changes:
                setattr(response, name, changes.pop(f"response_{name}"))
        tokens.append(current.set((make_request(**changes), response)))

    yield serve
    for token in reversed(tokens):
        current.reset(token)


@pytest.fixture
def root():
    """Name of loggers that no other test uses, left without handlers afterwards."""
    name = "logs_under_test"
    logging.getLogger(name).parent = None  # the test runner listens above
    yield name
    logs._sites.pop(name, None)
    for known in list(logging.Logger.manager.loggerDict):
        if known.startswith(name):
            logger = logging.getLogger(known)
            logger.propagate = True
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                handler.close()


@pytest.fixture
def log(root):
    return LogManager(logger_root=root)


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


# The error log


def test_line_has_time_context_and_message(log, capsys):
    log.screen = True
    log.error("Bus STARTING", "ENGINE")
    assert re.fullmatch(f"{STAMP} ENGINE Bus STARTING\n", capsys.readouterr().err)


def test_calling_the_log_writes_with_an_empty_context(log, capsys):
    log.screen = True
    log("hello there")
    assert re.fullmatch(f"{STAMP}  hello there\n", capsys.readouterr().err)


def test_traceback_follows_the_message(log, capsys):
    log.screen = True
    try:
        raise LookupError("nothing here")
    except LookupError:
        log("kaboom!", traceback=True)
    written = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"{STAMP}  kaboom!", written[0])
    assert written[1] == "Traceback (most recent call last):"
    assert written[-1] == "LookupError: nothing here"


def test_traceback_outside_of_an_exception_adds_nothing(log, capsys):
    log.screen = True
    log("calm", traceback=True)
    assert capsys.readouterr().err.count("\n") == 1


def test_message_need_not_be_text(log, capsys):
    log.screen = True
    log(ValueError("x"))
    assert capsys.readouterr().err.endswith("  x\n")


def test_severity_below_the_level_is_not_written(log, capsys):
    log.screen = True
    log("quiet", severity=logging.DEBUG)
    assert capsys.readouterr().err == ""


def test_errors_do_not_reach_the_terminal_when_the_screen_is_off(log, capfd):
    log("secret", severity=logging.CRITICAL)
    assert capfd.readouterr() == ("", "")


# What the server and the layers log


@pytest.fixture
def part(log):
    """A logger such as the server and the layers have, gathered by the site's log."""
    family = logging.getLogger("cptoolkit_under_test")
    handler = Gatherer(log)
    family.addHandler(handler)
    yield logging.getLogger("cptoolkit_under_test.sessions")
    family.removeHandler(handler)


def test_parts_write_to_the_file_of_the_site(log, part, tmp_path):
    log.error_file = str(tmp_path / "error.log")
    part.error("no store at %s", "here\x1b[2J")
    [line] = lines(tmp_path / "error.log")
    assert re.fullmatch(STAMP + r" SESSIONS no store at here\\x1b\[2J", line)


def test_tracebacks_of_parts_follow(log, part, tmp_path):
    log.error_file = str(tmp_path / "error.log")
    try:
        raise LookupError("nothing here")
    except LookupError:
        part.exception("kaboom!")
    assert lines(tmp_path / "error.log")[-1] == "LookupError: nothing here"


def test_parts_write_to_the_screen(log, part, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log.screen = True
    part.warning("careful")
    assert re.fullmatch(f"{STAMP} SESSIONS careful\n", capsys.readouterr().err)


def test_screen_leaves_parts_to_a_program_that_logs_by_itself(log, part, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler()])
    log.screen = True
    part.warning("careful")
    assert capsys.readouterr().err == "careful\n"  # once


def test_levels_of_the_log_and_its_handlers_hold_for_parts(log, part, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log.screen = True
    log.error_log.setLevel(logging.ERROR)
    part.warning("careful")
    log.error_log.setLevel(logging.INFO)
    log.error_log.handlers[-1].setLevel(logging.ERROR)
    part.warning("careful")
    assert capsys.readouterr().err == ""


def test_lines_of_the_access_layer_are_no_errors(log, tmp_path):
    log.error_file = str(tmp_path / "error.log")
    record = logging.makeLogRecord({"name": "cptoolkit.access", "msg": "GET /"})
    Gatherer(log).handle(record)
    assert lines(tmp_path / "error.log") == []


def test_message_that_does_not_fit_its_arguments_raises_nothing(log, capsys):
    log.screen = True
    Gatherer(log).handle(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    assert "Logging error" in capsys.readouterr().err


def test_site_gathers_what_the_toolkit_logs(tmp_path):
    cptoolkit.log.error_file = str(tmp_path / "error.log")
    try:
        logging.getLogger("cptoolkit.server").error("no more threads")
    finally:
        cptoolkit.log.error_file = ""
    [line] = lines(tmp_path / "error.log")
    assert line.endswith(" SERVER no more threads")


# Where lines go


def test_screen_writes_errors_to_stderr_and_requests_to_stdout(log, serve, capsys):
    log.screen = True
    serve()
    log.error("e")
    log.access()
    out, err = capsys.readouterr()
    assert "GET /" in out
    assert err.endswith(" e\n")


def test_screen_is_turned_off(log, serve, capsys):
    log.screen = True
    log.screen = False
    serve()
    log.error("e")
    log.access()
    assert log.screen is False
    assert capsys.readouterr() == ("", "")


def test_screen_turned_on_twice_writes_once(log, capsys):
    log.screen = True
    log.screen = True
    log("once")
    assert capsys.readouterr().err.count("once") == 1


def test_files_are_there_at_once_and_appended_to(log, serve, tmp_path):
    (tmp_path / "access.log").write_text("earlier\n")
    log.access_file = str(tmp_path / "access.log")
    log.error_file = tmp_path / "error.log"
    assert lines(tmp_path / "error.log") == []
    serve()
    log.access()
    log.error("Ἔρεβος")
    assert len(lines(tmp_path / "access.log")) == 2
    assert lines(tmp_path / "error.log")[0].endswith("Ἔρεβος")


def test_file_attribute_tells_the_whole_path(log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (log.error_file, log.access_file) == ("", "")
    log.error_file = "site.log"
    log.access_file = "access.log"
    assert log.error_file == str(tmp_path / "site.log")
    assert log.access_file == str(tmp_path / "access.log")


def test_same_file_set_again_stays_open(log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log.error_file = "site.log"
    handler = log._get_builtin_handler(log.error_log, "file")
    log.error_file = tmp_path / "site.log"
    assert log.error_log.handlers.count(handler) == 1


@pytest.mark.parametrize("nothing", ["", None])
def test_no_file_name_closes_the_file(log, tmp_path, nothing):
    log.error_file = tmp_path / "e.log"
    handler = log._get_builtin_handler(log.error_log, "file")
    log.error_file = nothing
    log("unheard")
    assert log.error_file == ""
    assert handler.stream is None
    assert lines(tmp_path / "e.log") == []


def test_other_file_name_moves_on(log, tmp_path):
    log.error_file = tmp_path / "one.log"
    log.error_file = tmp_path / "two.log"
    log("x")
    assert lines(tmp_path / "one.log") == []
    assert len(lines(tmp_path / "two.log")) == 1


def test_missing_folder_is_told_when_the_file_is_set(log, tmp_path):
    log.error_file = tmp_path / "good.log"
    with pytest.raises(FileNotFoundError, match=r"log.error_file cannot be opened.*none/e\.log"):
        log.error_file = tmp_path / "none" / "e.log"
    assert log.error_file == str(tmp_path / "good.log")


def test_reopened_file_is_a_new_one_after_rotation(log, serve, tmp_path):
    log.access_file = tmp_path / "access.log"
    serve()
    log.access()
    os.rename(tmp_path / "access.log", tmp_path / "access.log.1")
    log.reopen_files()
    log.access()
    assert len(lines(tmp_path / "access.log.1")) == 1
    assert len(lines(tmp_path / "access.log")) == 1


def test_file_that_cannot_be_reopened_goes_on_where_it_is(log, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    log.error_file = folder / "e.log"
    os.rename(folder, tmp_path / "moved")
    log.reopen_files()
    log("still here")
    written = lines(tmp_path / "moved" / "e.log")
    assert "Could not reopen" in written[0]
    assert written[1].endswith("still here")


def test_file_handlers_of_ones_own_are_reopened_too(log, tmp_path):
    handler = logging.FileHandler(tmp_path / "later.log", delay=True, encoding="utf-8")
    log.error_log.addHandler(handler)
    log.reopen_files()
    log("x")
    assert len(lines(tmp_path / "later.log")) == 1


def test_graceful_reopens_the_files_of_applications_too(tmp_path):
    class Root:
        pass

    app = cptoolkit.tree.mount(Root(), "/blog", {"/": {"log.error_file": str(tmp_path / "e.log")}})
    os.rename(tmp_path / "e.log", tmp_path / "e.log.1")
    cptoolkit.engine.publish("graceful")
    app.log("new")
    app.log.error_file = ""
    assert len(lines(tmp_path / "e.log")) == 1


def test_reopen_files_is_the_same_listener_each_time(log):
    assert log.reopen_files == log.reopen_files


def test_wsgi_writes_errors_to_the_stream_of_the_host(log, serve):
    written = []
    stream = SimpleNamespace(write=written.append, flush=lambda: written.append("flushed"))
    log.wsgi = True
    log.wsgi = True
    log("outside of a request")
    assert log.wsgi
    serve(environ={"wsgi.errors": stream})
    log("inside")
    log.wsgi = False
    log("after")
    assert not log.wsgi
    assert written[0].endswith("inside\n")
    assert written[1:] == ["flushed"]


def test_stream_of_the_host_that_fails_raises_nothing(log, serve, capsys):
    log.wsgi = True
    serve(environ={"wsgi.errors": None})
    log("nowhere to go")
    serve(environ={"wsgi.errors": SimpleNamespace()})
    log("x")
    assert capsys.readouterr().err.count("Logging error") == 1


def test_application_with_the_id_of_an_earlier_one_starts_without_its_files(root, tmp_path):
    earlier = LogManager(appid=7, logger_root=root)
    earlier.error_file = tmp_path / "e.log"
    earlier.screen = True
    later = LogManager(appid=7, logger_root=root)
    assert (later.error_file, later.screen) == ("", False)


def test_loggers_are_named_after_root_and_application(root):
    own = LogManager(appid=42, logger_root=root)
    assert (own.appid, own.logger_root) == (42, root)
    assert own.error_log.name == f"{root}.error.42"
    assert own.access_log.name == f"{root}.access.42"
    assert own.error_log.parent is LogManager(logger_root=root).error_log


# The access log


@pytest.fixture
def access_line(log, serve, capsys):
    def access_line(**changes):
        log.screen = True
        serve(**changes)
        log.access()
        out, err = capsys.readouterr()
        assert err == ""
        assert out.count("\n") == 1
        return out[:-1]

    return access_line


def test_line_of_a_request(access_line):
    expected = rf'127\.0\.0\.1 - - {STAMP} "GET / HTTP/1\.1" 200 12 "" "agent"'
    assert re.fullmatch(expected, access_line())


def test_name_of_the_client_login_and_referrer_are_in_the_line(access_line):
    line = access_line(
        remote=SimpleNamespace(ip="127.0.0.1", name="here"),
        login="bob",
        headers={"Referer": "http://a/", "User-Agent": "x"},
    )
    assert line.startswith("here - bob [")
    assert line.endswith('"http://a/" "x"')


def test_response_without_length_or_status_has_dashes(access_line):
    line = access_line(response_status=None, response_headers={})
    assert line.endswith(' HTTP/1.1" - - "" "agent"')


def test_format_is_settable(log, access_line):
    log.access_log_format = '{o} {i} {s:>5} "{r}"'
    line = access_line(headers={"Host": "a:80"})
    assert line == 'a:80 a-unique-id   200 "GET / HTTP/1.1"'


def test_time_in_utc_is_rfc_3339(log, access_line):
    log.access_log_format = "{z}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", access_line())


def test_only_what_is_in_the_format_is_asked_for(log, access_line):
    log.access_log_format = "{s}"
    assert access_line(unique_id=None, remote=None) == "200"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{h} {status}", "{status} is none of h, l, u"),
        ("{h} {}", "{} is none of"),
        ("{s:d}", "cannot be filled in: .*'{s:d}'"),
        ("{h:{width}}", "cannot be filled in: KeyError.'width'."),
        ('%(h)s "%(r)s"', "nothing like {h} or {r}"),
    ],
)
def test_wrong_format_is_refused_when_it_is_set(log, template, message):
    with pytest.raises(ValueError, match=message):
        log.access_log_format = template


def test_subclass_may_have_a_format_of_its_own(root, serve, capsys):
    class Short(LogManager):
        access_log_format = "{s} {r}"

    log = Short(logger_root=root)
    log.screen = True
    serve()
    log.access()
    assert capsys.readouterr().out == "200 GET / HTTP/1.1\n"


def test_failure_in_the_access_line_goes_to_the_error_log(log, serve, capsys):
    log.screen = True
    serve(remote=None)
    log.access()
    out, err = capsys.readouterr()
    assert out == ""
    assert "access log line could not be made" in err
    assert "AttributeError" in err


def test_nothing_is_written_outside_of_a_request(log, capsys):
    log.screen = True
    log.access()
    assert capsys.readouterr() == ("", "")


# Whether anyone listens


def test_access_is_unwanted_without_handlers(log):
    assert not log.wants_access()


def test_access_is_unwanted_when_a_handler_does_nothing(log):
    log.access_log.addHandler(logging.NullHandler())
    assert not log.wants_access()


def test_access_is_unwanted_above_info(log):
    log.screen = True
    log.access_log.setLevel(logging.WARNING)
    assert not log.wants_access()


def test_access_is_wanted_by_a_handler_of_the_site(log, root):
    own = LogManager(appid=1, logger_root=root)
    log.screen = True
    assert own.wants_access()
    own.access_log.propagate = False
    assert not own.wants_access()


def test_line_nobody_wants_is_not_made(log, serve):
    asked = []
    serve(headers=SimpleNamespace(get=lambda *args: asked.append(args)))
    log.access()
    assert asked == []


# Forging


@pytest.mark.parametrize("where", ["request_line", "login", "agent", "referer", "name"])
def test_client_cannot_forge_an_access_line(access_line, where):
    evil = 'x" 200 1 "" ""\n6.6.6.6 - root [22/Nov/2026:08:11:50] "GET /'
    changes = {where: evil} if where in ("request_line", "login") else {}
    if where == "name":
        changes["remote"] = SimpleNamespace(ip="1.2.3.4", name=evil)
    if where in ("agent", "referer"):
        changes["headers"] = {"User-Agent" if where == "agent" else "Referer": evil}
    assert r"\n6.6.6.6" in access_line(**changes)


def test_traceback_cannot_forge_or_escape(log, tmp_path):
    log.error_file = tmp_path / "e.log"
    try:
        raise ValueError("\x1b[2J\n[22/Nov/2026:08:11:50] ENGINE Bus EXITED")
    except ValueError:
        log("failed", traceback=True)
    written = lines(tmp_path / "e.log")
    assert sum(line.startswith("[") for line in written) == 1
    assert "\x1b" not in "".join(written)


def test_messages_of_applications_to_the_logger_itself_are_escaped(log, capsys):
    log.screen = True
    log.error_log.error("bad path %s", "\x1b[2J")
    log.error_log.info("plain %s", "text")
    assert capsys.readouterr().err == "bad path \\x1b[2J\nplain text\n"


def test_arguments_that_do_not_fit_raise_nothing(log, capsys):
    log.screen = True
    log.error_log.error("%d", "no number")
    assert "Logging error" in capsys.readouterr().err


# The log of the site


def test_call_during_a_request_goes_to_the_log_of_the_application(root, serve, tmp_path):
    site = GlobalLogManager(logger_root=root)
    own = LogManager(appid=3, logger_root=root)
    own.error_file, own.access_file = tmp_path / "own.log", tmp_path / "access.log"
    site("before")
    serve(app=SimpleNamespace(log=own))
    site("during")
    site.access()
    assert [line[-6:] for line in lines(tmp_path / "own.log")] == ["during"]
    assert len(lines(tmp_path / "access.log")) == 1


def test_lines_of_an_application_reach_the_files_of_the_site(root, serve, tmp_path):
    site = GlobalLogManager(logger_root=root)
    site.access_file = tmp_path / "site.log"
    serve(app=SimpleNamespace(log=LogManager(appid=4, logger_root=root)))
    site.access()
    assert len(lines(tmp_path / "site.log")) == 1


def test_format_of_the_site_is_that_of_applications_without_one(root, serve, capsys):
    site = GlobalLogManager(logger_root=root)
    site.screen = True
    site.access_log_format = "site {s}"
    own = LogManager(appid=6, logger_root=root)
    serve(app=SimpleNamespace(log=own))
    site.access()
    own.access_log_format = "own {s}"
    site.access()
    assert capsys.readouterr().out == "site 200\nown 200\n"


@pytest.mark.parametrize("app", [None, SimpleNamespace()], ids=["no application", "no log"])
def test_request_without_a_log_of_its_own_goes_to_the_site(root, serve, capsys, app):
    site = GlobalLogManager(logger_root=root)
    site.screen = True
    serve(app=app)
    site("here")
    site.access()
    out, err = capsys.readouterr()
    assert err.endswith("here\n")
    assert out.count("GET /") == 1


def test_application_that_logs_to_the_site_writes_once(root, serve, capsys):
    site = GlobalLogManager(logger_root=root)
    site.screen = True
    serve(app=SimpleNamespace(log=site))
    site("here")
    assert capsys.readouterr().err.count("here") == 1


# Beside other loggers (reference, chapter 4.3.2)


def test_handlers_of_dict_config_take_over(root, serve, tmp_path):
    site = GlobalLogManager(logger_root=root)
    site.screen, site.access_file, site.error_file = False, "", ""
    own = LogManager(appid=5, logger_root=root)
    to_file = {
        "level": "INFO",
        "class": "logging.handlers.RotatingFileHandler",
        "formatter": "void",
        "maxBytes": 10_485_760,
        "backupCount": 20,
        "encoding": "utf8",
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,  # those of other tests
            "formatters": {"void": {"format": ""}},
            "handlers": {
                "access": {**to_file, "filename": str(tmp_path / "access.log")},
                "error": {**to_file, "filename": str(tmp_path / "errors.log")},
            },
            "loggers": {
                f"{root}.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
                f"{root}.error": {"handlers": ["error"], "level": "INFO", "propagate": False},
            },
        }
    )
    serve(app=SimpleNamespace(log=own))
    site("\x1b bang")
    site.access()
    assert [line[-9:] for line in lines(tmp_path / "errors.log")] == ["\\x1b bang"]
    assert len(lines(tmp_path / "access.log")) == 1
