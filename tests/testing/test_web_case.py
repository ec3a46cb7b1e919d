"""Pages fetched from a server that runs somewhere else."""

import contextlib
import http.server
import socket
import ssl
import subprocess
import threading
import time
from functools import partial

import pytest
from beside import PATIENCE, in_threads

from cptoolkit.testing import WebCase, fresh_site, served_site
from cptoolkit.testing import web_case as module
from cptoolkit.testing.site import place


@pytest.fixture
def port(pages):
    """The port of a server that serves ``pages``."""
    with fresh_site():
        place(pages)
        with served_site() as url:
            yield int(url.rpartition(":")[2])


@pytest.fixture
def case(port):
    case = WebCase()
    case.PORT = port
    yield case
    case.doCleanups()


def test_page_is_in_the_attributes_and_returned(case):
    page = case.getPage("/")
    assert page == (case.status, case.headers, case.body)
    assert (case.status, case.status_code, case.body) == ("200 OK", 200, b"Hello")
    assert ("Content-Type", "text/html;charset=utf-8") in case.headers
    assert case.url == "/"
    assert case.time > 0


def test_request_has_no_more_fields_than_it_must(case):
    case.getPage("/seen")
    assert case.body.decode().splitlines() == [
        "GET /seen HTTP/1.1",
        f"Host: 127.0.0.1:{case.PORT}",
        "Remote-Addr: 127.0.0.1",
    ]


def test_fields_and_method_are_sent(case):
    case.getPage("/seen", [("X-Mine", "1"), ("X-Mine", "2")], method="delete")
    case.assertInBody("DELETE /seen HTTP/1.1")
    case.assertInBody("X-Mine: 1, 2")


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("body", "length"), [(None, 0), ("a=ü", 4), (b"a=b", 3)], ids=["none", "text", "bytes"]
)
def test_body_is_taken_for_a_form(case, method, body, length):
    case.getPage("/seen", method=method, body=body)
    case.assertInBody(f"Content-Length: {length}\n")
    case.assertInBody("Content-Type: application/x-www-form-urlencoded")


def test_form_reaches_the_page(case):
    case.getPage("/echo", method="POST", body="message=Gr%C3%BC%C3%9Fe")
    case.assertBody("Grüße")


def test_fields_that_are_given_win(case):
    fields = [("host", "a.example"), ("content-type", "text/plain"), ("Content-Length", "2")]
    case.getPage("/seen", fields, "POST", "hi")
    case.assertInBody("Host: a.example")
    case.assertInBody("Content-Type: text/plain")
    case.assertInBody("Content-Length: 2")


def test_body_can_be_sent_in_chunks(case):
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    fields = [*form, ("Transfer-Encoding", "chunked")]
    case.getPage("/echo", fields, "POST", b"9\r\nmessage=x\r\n0\r\n\r\n")
    case.assertBody("x")


def test_head_has_no_body(case):
    case.getPage("/", method="HEAD")
    case.assertStatus(200)
    case.assertHeader("Content-Length", 5)
    case.assertBody("")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("/echo?message=ä b".replace(" ", "%20"), id="text"),
        pytest.param("/echo?message=%C3%A4%20b", id="percent-encoded"),
        pytest.param("/echo?message=ä+b".encode(), id="bytes"),
    ],
)
def test_url_may_have_any_character(case, url):
    case.getPage(url)
    case.assertBody("ä b")


def test_another_version_of_http_can_be_named(case):
    case.getPage("/seen", protocol="HTTP/1.0")
    case.assertInBody("GET /seen HTTP/1.0")
    case.PROTOCOL = "HTTP/1.0"
    case.getPage("/seen")
    case.assertInBody("GET /seen HTTP/1.0")


def test_cookies_are_kept_and_sent_where_they_are_given(case):
    assert case.cookies == []
    case.cookies = [("Cookie", "a=1"), ("Cookie", "b=2")]
    case.getPage("/seen", case.cookies)
    case.assertInBody("Cookie: a=1; b=2")
    assert case.cookies == [("Cookie", "a=1"), ("Cookie", "b=2")]
    case.getPage("/seen")
    case.assertNotInBody("Cookie")


def test_cookies_of_several_pages_add_up(case):
    case.getPage("/cookie?name=a&value=1")
    case.getPage("/cookie?name=b&value=2")
    case.getPage("/")
    assert case.cookies == [("Cookie", "a=1"), ("Cookie", "b=2")]
    case.getPage("/cookie?name=a&value=")
    assert case.cookies == [("Cookie", "b=2")]


def test_pages_can_share_a_connection(case):
    assert not case.persistent
    case.persistent = True
    connection = case.HTTP_CONN
    case.getPage("/")
    used = connection.sock
    case.getPage("/echo?message=x")
    assert connection.sock is used is not None
    case.assertBody("x")
    case.persistent = False
    assert connection.sock is None
    case.getPage("/")
    case.assertBody("Hello")


def test_shared_connection_is_closed_with_the_test(case):
    case.persistent = True
    case.getPage("/")
    case.doCleanups()
    assert case.HTTP_CONN.sock is None


def test_connections_can_be_made_otherwise(case):
    made = []

    def connect(host, port, **options):
        made.append((host, port))
        return module.HTTPConnection(host, port, **options)

    case.HTTP_CONN = connect
    case.getPage("/")
    assert made == [("127.0.0.1", case.PORT)]


def test_address_of_all_interfaces_stands_for_this_machine(case):
    case.HOST = "0.0.0.0"
    assert case.interface() == "127.0.0.1"
    case.getPage("/")
    case.assertStatus(200)


@pytest.fixture
def closed_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        yield held.getsockname()[1], held


def test_server_is_given_time_to_listen(closed_port):
    port, held = closed_port
    case = WebCase()
    case.PORT = port

    def answer():
        held.listen()
        client, _ = held.accept()
        with client:
            client.recv(1000)
            client.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = threading.Timer(0.1, answer)
    server.start()
    case.getPage("/")
    server.join()
    case.assertStatus("204 No Content")


def test_server_that_never_listens_is_told(closed_port, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.05)
    case = WebCase()
    case.PORT = closed_port[0]
    with pytest.raises(ConnectionRefusedError):
        case.getPage("/")


@pytest.mark.parametrize("errors", [ConnectionError, (ValueError, OSError)], ids=["one", "two"])
def test_errors_can_be_had_at_once(closed_port, errors):
    case = WebCase()
    case.PORT = closed_port[0]
    started = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        case.getPage("/", raise_subcls=errors)
    assert time.monotonic() - started < module.CONNECT_SECONDS


def test_request_is_not_sent_again_when_the_connection_breaks(closed_port):
    port, held = closed_port
    held.listen()
    requests = []

    def hang_up():
        client, _ = held.accept()
        with client:
            requests.append(client.recv(1000))

    held.settimeout(PATIENCE)
    case = WebCase()
    case.PORT = port
    with in_threads(hang_up), pytest.raises(ConnectionError):
        case.getPage("/", method="POST")
    assert len(requests) == 1


@pytest.fixture
def certificate(tmp_path):
    """A certificate of this machine's address, with its key, in one file."""
    path = tmp_path / "server.pem"
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *kind, *name, "-keyout", path, "-out", "-"]
    try:
        made = subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("needs openssl")
    path.write_bytes(path.read_bytes() + made)
    return path


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_https_is_checked_as_the_context_says(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    case = WebCase()
    case.scheme = "https"
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        case.PORT = server.server_port
        with in_threads(partial(server.serve_forever, 0.01), stop=server.shutdown):
            with pytest.raises(ssl.SSLCertVerificationError):
                case.getPage("/")
            case.ssl_context = ssl.create_default_context(cafile=certificate)
            case.getPage("/")
    case.assertStatus(204)


def test_nothing_is_asked_of_the_user(case, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    case.interactive = True
    case.getPage("/")
    with contextlib.suppress(AssertionError):
        case.assertStatus(404)
    assert capsys.readouterr() == ("", "")
