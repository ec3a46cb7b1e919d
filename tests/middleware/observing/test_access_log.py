"""AccessLog: a line for each request, of what was really sent."""

import gc
import io
import json
import logging
import weakref

import pytest
from webob import Request, Response, exc

import cptoolkit
from cptoolkit.middleware.observing.access_log import AccessLog


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def logger():
    log = logging.Logger("lines")
    log.addHandler(Lines())
    log.lines = log.handlers[0].lines
    return log


def page(request):
    return Response("Hello world!", content_type="text/plain")


def stream(*blocks):
    def view(request):
        return Response(app_iter=iter(blocks), content_type="text/plain")

    return view


def ask(layer, url="/", **headers):
    """The response, read to its end and closed."""
    status, fields, body = Request.blank(url, headers=headers).call_application(layer)
    whole = b"".join(body)
    body.close()
    return Response(status=status, headerlist=fields, app_iter=[whole])


def entry(logger):
    [line] = logger.lines
    return json.loads(line)


# -- everywhere -----------------------------------------------------------------------------


def test_line_tells_of_request_and_response(host, logger):
    site = host(page, AccessLog, logger=logger, format='{h} "{r}" {s} {b} "{f}" "{a}" {x}')
    headers = {"Referer": "http://r/", "User-Agent": "agent"}
    site.fetch("/a?b=1", headers=headers, REMOTE_ADDR="192.0.2.1", SERVER_PROTOCOL="HTTP/1.1")
    assert logger.lines == ['192.0.2.1 "GET /a?b=1 HTTP/1.1" 200 12 "http://r/" "agent" -']


def test_response_is_left_as_it_is(host, logger):
    answer = host(page, AccessLog, logger=logger).fetch()
    assert answer.body == b"Hello world!"
    assert answer.headers["Content-Length"] == "12"


def test_bytes_of_a_stream_are_counted(host, logger):
    site = host(stream(b"one", b"three"), AccessLog, logger=logger, format="json")
    assert site.fetch().body == b"onethree"
    assert (entry(logger)["bytes"], entry(logger)["aborted"]) == (8, False)


def test_line_comes_after_the_last_byte(host, logger):
    site = host(stream(b"one", b"three"), AccessLog, logger=logger)
    _, _, body = Request.blank("/").call_application(site.app)
    blocks = iter(body)
    assert next(blocks) == b"one"
    assert logger.lines == []
    body.close()
    assert len(logger.lines) == 1


def test_client_that_left_in_mid_stream_shows(host, logger):
    site = host(stream(b"one", b"three", b"seven"), AccessLog, logger=logger, format="json")
    _, _, body = Request.blank("/").call_application(site.app)
    assert next(iter(body)) == b"one"
    body.close()
    line = entry(logger)
    assert line["aborted"] is True
    assert line["bytes"] < 13
    assert line["error"] is None


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_response_without_body_has_no_bytes(alone, logger, status):
    site = alone(
        lambda request: Response(status=status, headerlist=[], app_iter=[]),
        AccessLog,
        logger=logger,
        format="{s} {b} {x}",
    )
    site.fetch()
    assert logger.lines == [f"{status[:3]} - -"]


def test_head_sends_no_bytes(host, logger):
    host(page, AccessLog, logger=logger, format="{s} {b} {x}").fetch(method="HEAD")
    assert logger.lines == ["200 - -"]


def test_error_status_is_logged(host, logger):
    site = host(
        lambda request: Response("gone", status=410), AccessLog, logger=logger, format="{s} {b}"
    )
    assert site.fetch().status_int == 410
    assert logger.lines == ["410 4"]


def test_user_of_within_is_named(host, logger):
    def login(request):
        request.environ["REMOTE_USER"] = 'jon "x'
        return Response("")

    host(login, AccessLog, logger=logger, format="{u}").fetch()
    if host.name == "pyramid":  # it hands on a copy of the environ
        assert logger.lines in (["-"], [r"jon\x20\"x"])
    else:
        assert logger.lines == [r"jon\x20\"x"]


def test_request_id_is_in_the_line(host, logger):
    site = host(page, AccessLog, logger=logger, format="{i}")
    site.fetch(**{"cptoolkit.request_id": "abc"})
    assert logger.lines == ["abc"]


def test_nothing_is_done_for_a_logger_that_listens_to_nothing(host, logger):
    logger.setLevel(logging.ERROR)
    assert host(page, AccessLog, logger=logger).fetch().body == b"Hello world!"
    assert logger.lines == []


# -- around an application ------------------------------------------------------------------


def test_duration_lasts_until_the_last_byte(alone, logger, monkeypatch):
    now = [5.0]
    monkeypatch.setattr("cptoolkit.middleware.observing.exchange.perf_counter", lambda: now[0])

    def slow():
        now[0] += 1
        yield b"x"
        now[0] += 0.5

    site = alone(lambda request: Response(app_iter=slow()), AccessLog, logger=logger, format="{d}")
    site.fetch()
    assert logger.lines == ["1500000"]


def test_exception_is_logged_as_500_and_goes_on(logger):
    def app(environ, start_response):
        raise KeyError("x")

    with pytest.raises(KeyError):
        Request.blank("/").get_response(AccessLog(app, logger=logger, format="json"))
    line = entry(logger)
    assert (line["status"], line["error"], line["aborted"]) == (500, "KeyError", False)


def test_exception_in_mid_stream_shows(logger):
    def blocks():
        yield b"one"
        raise KeyError("x")

    layer = AccessLog(Response(app_iter=blocks()), logger=logger, format="json")
    _, _, body = Request.blank("/").call_application(layer)
    with pytest.raises(KeyError):
        b"".join(body)
    body.close()
    line = entry(logger)
    assert (line["status"], line["bytes"], line["error"]) == (200, 3, "KeyError")


def test_refusal_from_within_is_logged_with_its_status(logger):
    def app(environ, start_response):
        raise exc.HTTPTooManyRequests("slow down")

    answer = ask(AccessLog(app, logger=logger, format="{s}"))
    assert answer.status_int == 429
    assert logger.lines == ["429"]


def test_host_that_stops_at_the_promised_length_has_sent_all(logger):
    app = Response(app_iter=iter([b"four"]), content_length=4)
    _, _, body = Request.blank("/").call_application(
        AccessLog(app, logger=logger, format="{b} {x}")
    )
    next(iter(body))
    body.close()
    assert logger.lines == ["4 -"]


def test_body_is_closed_once_and_logged_once(logger):
    class Body:
        closed = 0

        def __iter__(self):
            return iter([b"x"])

        def close(self):
            self.closed += 1

    made = Body()
    _, _, body = Request.blank("/").call_application(
        AccessLog(Response(app_iter=made), logger=logger)
    )
    body.close()
    body.close()
    assert made.closed == 1
    assert len(logger.lines) == 1


def test_nothing_of_a_request_is_left_for_the_garbage_collector(logger):
    class Environ(dict):
        pass

    gc.collect()
    gc.disable()
    try:
        environ = Environ(Request.blank("/").environ)
        seen = weakref.ref(environ)
        body = AccessLog(Response("x"), logger=logger)(environ, lambda *args: None)
        list(body)
        body.close()
        del environ, body
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("blocks", [[b"four"], [b"fo", b"ur"], []])
def test_bytes_of_a_list_are_counted(logger, blocks):
    ask(AccessLog(Response(app_iter=blocks), logger=logger, format="{b} {x}"))
    assert logger.lines == [f"{len(b''.join(blocks)) or '-'} -"]


def test_line_is_written_though_closing_fails(logger):
    class Body(list):
        def close(self):
            raise OSError("close")

    _, _, body = Request.blank("/").call_application(
        AccessLog(Response(app_iter=Body([b"x"])), logger=logger)
    )
    with pytest.raises(OSError, match="close"):
        body.close()
    assert len(logger.lines) == 1


def test_what_was_asked_is_told_though_the_application_changes_it(alone, logger):
    def shift(request):
        request.environ.update(REQUEST_METHOD="PUT", PATH_INFO="/", SCRIPT_NAME="")
        return Response("")

    alone(shift, AccessLog, logger=logger, format="{r}").fetch("/a/b", SCRIPT_NAME="/mount")
    assert logger.lines == ["GET /mount/a/b HTTP/1.0"]


def test_several_logs_may_be_nested(logger):
    app = AccessLog(Response("x"), logger=logger, format="inner {s}")
    ask(AccessLog(app, logger=logger, format="outer {s}"))
    assert logger.lines == ["inner 200", "outer 200"]


def test_failing_format_does_not_break_the_response(alone, logger, caplog):
    site = alone(page, AccessLog, logger=logger, format=lambda exchange: exchange.nonsense)
    assert site.fetch().body == b"Hello world!"
    assert logger.lines == []
    assert "the access log could not be written" in caplog.text


def test_percent_signs_are_no_format_of_the_logger(logger):
    layer = AccessLog(Response(""), logger=logger, format='{r} "{a}"')
    ask(layer, "/?%s%d", **{"User-Agent": "%(x)s"})
    assert logger.lines == ['GET /?%s%d HTTP/1.0 "%(x)s"']


# -- where lines go -------------------------------------------------------------------------


def test_lines_go_to_the_logger_cptoolkit_access(caplog):
    ask(AccessLog(Response("x"), format="{s}"))
    [record] = caplog.records
    assert (record.name, record.levelname, record.message) == ("cptoolkit.access", "INFO", "200")


def test_lines_go_to_the_hosts_log_while_nothing_else_listens():
    errors = io.StringIO()
    layer = AccessLog(Response("x"), logger=logging.Logger("deaf"), format="{s}")
    _, _, body = Request.blank("/", {"wsgi.errors": errors}).call_application(layer)
    body.close()
    assert errors.getvalue() == "200\n"


def test_level_of_a_logger_that_has_one_is_left_alone(logger):
    logger.setLevel(logging.WARNING)
    AccessLog(Response("x"), logger=logger)
    assert logger.level == logging.WARNING


def test_lines_go_to_an_open_stream():
    file = io.StringIO()
    ask(AccessLog(Response("x"), file=file, format="{s}"))
    assert file.getvalue() == "200\n"


def test_lines_go_to_a_file_also_after_it_was_moved_away(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("old\n")
    layer = AccessLog(Response("x"), file=path, format="{r}")
    ask(layer, "/1")
    path.rename(tmp_path / "access.log.1")
    ask(layer, "/2")
    assert (tmp_path / "access.log.1").read_text() == "old\nGET /1 HTTP/1.0\n"
    assert path.read_text() == "GET /2 HTTP/1.0\n"


def test_file_that_cannot_be_opened_is_told_at_once(tmp_path):
    with pytest.raises(OSError, match=r"no/access\.log"):
        AccessLog(Response("x"), file=tmp_path / "no" / "access.log")


def test_file_that_is_none_is_told_at_once():
    with pytest.raises(TypeError, match="file must be a path or an open stream, got 5"):
        AccessLog(file=5)


def test_logger_and_file_exclude_each_other():
    with pytest.raises(ValueError, match="lines go to a logger or to a file"):
        AccessLog(Response("x"), file=io.StringIO(), logger="x")


# -- as a tool ------------------------------------------------------------------------------


class Root:
    @cptoolkit.expose
    def index(self):
        return "Hello world!"

    @cptoolkit.expose
    def crash(self):
        raise KeyError("x")

    @cptoolkit.expose
    def inside(self):
        raise cptoolkit.InternalRedirect("/")

    @cptoolkit.expose
    def made(self):
        yield "Hello "
        yield "world!"

    @cptoolkit.expose
    def file(self):
        cptoolkit.response.headers["Content-Length"] = "4"
        return io.BytesIO(b"file")


def client(app_of, logger, **config):
    entries = {"tools.log.on": True, "tools.log.logger": logger, "tools.log.format": "{s} {b} {x}"}
    return app_of(Root(), {"/": {**entries, **config}})


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/", "200 12 -"),
        ("/made", "200 12 -"),
        ("/file", "200 4 -"),
        ("/inside", "200 12 -"),
    ],
)
def test_tool_counts_what_the_application_sends(app_of, logger, path, line):
    client(app_of, logger).get(path)
    assert logger.lines == [line]


@pytest.mark.parametrize(("path", "status"), [("/crash", 500), ("/nowhere", 404)])
def test_tool_logs_error_pages(app_of, logger, path, status):
    answer = client(app_of, logger).get(path, status=status)
    assert logger.lines == [f"{status} {len(answer.body)} -"]


def test_tool_leaves_the_charset_of_made_bodies_alone(app_of, logger):
    answer = client(app_of, logger).get("/made")
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"


def test_tool_logs_what_another_tool_made_of_the_response(app_of, logger):
    def shorten():
        cptoolkit.response.body = b"short"

    client(app_of, logger, **{"hooks.before_finalize": shorten}).get("/")
    assert logger.lines == ["200 5 -"]


def test_tool_logs_the_answer_of_a_hook_that_refuses_at_the_end(app_of, logger):
    def refuse():
        raise cptoolkit.HTTPError(403)

    answer = client(app_of, logger, **{"hooks.before_finalize": refuse}).get("/", status=403)
    assert logger.lines == [f"403 {len(answer.body)} -"]


def test_tool_sees_a_client_that_leaves_a_file(app_of, logger):
    client_ = client(app_of, logger)
    _, _, body = Request.blank("/file").call_application(client_.app)
    body.close()
    assert logger.lines == ["200 - X"]
