"""The access log: a line for each request that an application answers."""

import io
import re

import pytest
from webob import Request

import cptoolkit

LINE = r'{h} - {u} \[\d\d/[A-Z][a-z][a-z]/\d{{4}}:\d\d:\d\d:\d\d\] "{r}" {s} {b} "{f}" "{a}"'
"""Apache's combined format, with the local time and no time zone."""


class Root:
    @cptoolkit.expose
    def index(self, **params):
        return "Hello world!"

    @cptoolkit.expose
    def crash(self):
        raise ValueError

    @cptoolkit.expose
    def away(self):
        raise cptoolkit.HTTPRedirect("/")

    @cptoolkit.expose
    def inside(self):
        raise cptoolkit.InternalRedirect("/")

    @cptoolkit.expose
    def who(self):
        cptoolkit.request.login = "jon"

    @cptoolkit.expose
    def stream(self):
        yield "a"

    stream._cp_config = {"response.stream": True}


@pytest.fixture
def site(app_of, tmp_path):
    """A client, and a function that gives the lines of the log."""
    path = tmp_path / "access.log"
    client = app_of(Root())
    client.app.log.access_file = str(path)
    yield client, lambda: path.read_text(encoding="utf-8").splitlines()
    client.app.log.access_file = None


def pattern(h="127.0.0.1", u="-", r="GET / HTTP/1.1", s=200, b=12, f="", a=""):
    texts = {name: re.escape(str(value)) for name, value in locals().items()}
    return LINE.format(**texts)


def ask(client, path="/", method="GET", **environ):
    environ = {"REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1", **environ}
    answer = Request.blank(path, environ=environ, method=method).get_response(client.app)
    assert answer.body is not None


def test_line_has_the_documented_format(site):
    client, lines = site
    ask(client, "/?a=1", HTTP_REFERER="http://r/", HTTP_USER_AGENT="agent")
    [line] = lines()
    assert re.fullmatch(pattern(r="GET /?a=1 HTTP/1.1", f="http://r/", a="agent"), line)


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/crash", 500), ("/nowhere", 404), ("/away", 303)]
)
def test_each_request_has_one_line_with_its_status(site, path, status):
    client, lines = site
    ask(client, path)
    [line] = lines()
    assert f'"GET {path} HTTP/1.1" {status} ' in line


def test_internal_redirect_has_one_line(site):
    client, lines = site
    ask(client, "/inside")
    assert len(lines()) == 1


def test_lines_stand_in_the_order_of_the_requests(site):
    client, lines = site
    for path in ("/", "/nowhere", "/"):
        ask(client, path)
    assert [line.split('"')[1].split()[1] for line in lines()] == ["/", "/nowhere", "/"]


def test_line_names_the_user(site):
    client, lines = site
    ask(client, "/who")
    assert lines()[0].startswith("127.0.0.1 - jon [")


def test_stream_has_no_size(site):
    client, lines = site
    ask(client, "/stream")
    assert re.fullmatch(pattern(r="GET /stream HTTP/1.1", b="-"), lines()[0])


def test_head_is_logged_as_such(site):
    client, lines = site
    ask(client, "/", "HEAD")
    assert '"HEAD / HTTP/1.1" 200 12' in lines()[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("HTTP_USER_AGENT", 'a" 200 12 "forged" "'),
        ("HTTP_USER_AGENT", "a\r\n127.0.0.1 - - forged"),
        ("HTTP_REFERER", "\x1b]0;title\x07\x1b[2J"),
        ("HTTP_REFERER", "caf\xe9 \x85 \x9b2J"),
        ("REMOTE_HOST", 'x" "\n'),
        ("REQUEST_URI", '/a" 200 0 "b\n'),
        ("HTTP_USER_AGENT", "back\\slash"),
    ],
)
def test_nothing_that_a_client_sends_forges_a_line(site, field, value):
    client, lines = site
    ask(client, "/", **{field: value})
    [line] = lines()
    assert line.isascii()
    assert line.isprintable()
    assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) == 6


def test_user_cannot_forge_a_line_by_a_name(app_of, tmp_path):
    class Named:
        @cptoolkit.expose
        def index(self):
            cptoolkit.request.login = 'jon" \n'

    client = app_of(Named())
    client.app.log.access_file = str(tmp_path / "access.log")
    ask(client)
    client.app.log.access_file = None
    assert '- jon\\" \\n [' in (tmp_path / "access.log").read_text()


def test_format_is_set_by_config(app_of, tmp_path):
    path = tmp_path / "access.log"
    config = {"/": {"log.access_file": str(path), "log.access_log_format": "{s} {o} {i}"}}
    client = app_of(Root(), config)
    ask(client)
    client.app.log.access_file = None
    assert re.fullmatch(r"200 localhost:80 [0-9a-f-]{36}\n", path.read_text())


def test_applications_have_logs_of_their_own(app_of, tmp_path):
    clients = {}
    for name in ("one", "two"):
        config = {"/": {"log.access_file": str(tmp_path / name)}}
        clients[name] = app_of(Root(), config)
    ask(clients["one"], "/?one")
    ask(clients["two"], "/?two")
    for client in clients.values():
        client.app.log.access_file = None
    assert "GET /?one " in (tmp_path / "one").read_text()
    assert "GET /?two " in (tmp_path / "two").read_text()
    assert "two" not in (tmp_path / "one").read_text()


def test_log_of_the_site_has_the_lines_of_all_applications(app_of, tmp_path):
    path = tmp_path / "access.log"
    cptoolkit.log.access_file = str(path)
    for name in ("one", "two"):
        ask(app_of(Root()), f"/?{name}")
    cptoolkit.log.access_file = None
    assert [line.split('"')[1] for line in path.read_text().splitlines()] == [
        "GET /?one HTTP/1.1",
        "GET /?two HTTP/1.1",
    ]


def test_error_log_goes_to_the_host_where_asked(app_of):
    client = app_of(Root(), {"/": {"log.wsgi": True}})
    errors = io.StringIO()
    ask(client, "/crash", **{"wsgi.errors": errors})
    client.app.log.wsgi = False
    assert "ValueError" in errors.getvalue()


def test_message_of_a_handler_goes_to_the_log_of_its_application(app_of, tmp_path):
    class Talking:
        @cptoolkit.expose
        def index(self):
            cptoolkit.log("hello there")

    client = app_of(Talking(), {"/": {"log.error_file": str(tmp_path / "error.log")}})
    ask(client)
    client.app.log.error_file = None
    assert re.search(r"\]  hello there\n", (tmp_path / "error.log").read_text())


def test_request_is_answered_although_its_line_cannot_be_made(site, caplog):
    client, _ = site

    class Unreadable:
        def __str__(self):
            raise RuntimeError("no name")

    class Odd(Root):
        @cptoolkit.expose
        def index(self):
            cptoolkit.request.login = Unreadable()
            return "fine"

    client.app.root = Odd()
    assert client.get("/").text == "fine"
    assert "The access log line could not be made" in caplog.text
