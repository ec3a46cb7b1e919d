"""SCGI and FastCGI with a real web server in front."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from wsgiref.validate import validator

import pytest
from beside import PATIENCE, free_port, wait_until

from cptoolkit.servers import Server

"""Seconds after which a test gives up waiting."""

BIG = 3_000_000

CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    client_max_body_size 0;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    upstream app {{ server {upstream}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        include {params};
        {extra}
        location / {{ {protocol}_pass app; }}
        location /streamed {{
            {protocol}_pass app;
            {protocol}_request_buffering off;
            {protocol}_buffering off;
        }}
        location /mounted {{
            {protocol}_pass app;
            include {params};
            {protocol}_param SCRIPT_NAME /mounted;
            {protocol}_param PATH_INFO /below;
        }}
    }}
}}
"""

KINDS = list(itertools.product(("scgi", "fastcgi"), ("tcp", "unix")))


def app(environ, start_response):
    """Do what the path says."""
    name = environ["PATH_INFO"].rpartition("/")[2]
    return PAGES.get(name, tell)(environ, start_response)


def tell(environ, start_response):
    wanted = environ["QUERY_STRING"].split(",")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"\n".join(str(environ.get(name)).encode() for name in wanted)]


def digest(environ, start_response):
    found = hashlib.sha256()
    size = 0
    while block := environ["wsgi.input"].read(50_000):
        found.update(block)
        size += len(block)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{size} {found.hexdigest()}".encode()]


def big(environ, start_response):
    start_response("200 OK", [("Content-Type", "a/b"), ("Content-Length", str(BIG))])
    return (bytes([number % 256]) * 1000 for number in range(BIG // 1000))


def file(environ, start_response):
    stored = tempfile.TemporaryFile()  # noqa: SIM115  # the server closes it
    stored.write(os.urandom(1) * BIG)
    stored.seek(0)
    start_response("200 OK", [("Content-Type", "a/b"), ("Content-Length", str(BIG))])
    return environ["wsgi.file_wrapper"](stored)


def unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"x"')])
    return []


def broken(environ, start_response):
    start_response("200 OK", [("Content-Type", "a/b")])
    yield b"x" * 1000
    raise ValueError("so it goes")


def failing(environ, start_response):
    raise ValueError("so it goes")


class Endless:
    """An answer without an end, closed when its client has gone."""

    closed = threading.Event()

    def __init__(self, environ, start_response):
        self.closed.clear()
        start_response("200 OK", [("Content-Type", "a/b")])

    def __iter__(self):
        return self

    def __next__(self):
        return b"x" * 10_000

    def close(self):
        self.closed.set()


def validated(environ, start_response):
    def inner(environ, start_response):
        body = environ["wsgi.input"].read(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    return validator(inner)(environ, start_response)


PAGES = {
    page.__name__.lower(): page
    for page in (digest, big, file, unchanged, broken, failing, Endless, validated)
}


class Site:
    """The application behind nginx."""

    def __init__(self, folder, protocol, family):
        options = {"socket_file": str(folder / "socket")} if family == "unix" else {"port": 0}
        self.server = Server(app, protocol=protocol, shutdown_timeout=0.5, **options)
        self.server.error_log = lambda message, level, traceback: None
        self.server.prepare()
        address = self.server.bound_addr
        self.thread = threading.Thread(target=self.server.serve, daemon=True)
        self.thread.start()
        self.port = free_port()
        config = CONFIG.format(
            folder=folder,
            port=self.port,
            protocol=protocol,
            upstream=f"unix:{address}" if family == "unix" else f"127.0.0.1:{address[1]}",
            params=f"/etc/nginx/{protocol}_params",
            extra="fastcgi_keep_conn on;" if protocol == "fastcgi" else "",
        )
        (folder / "nginx.conf").write_text(config)
        command = [program(), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "errors"]
        # It must not outlive tests that are killed.
        self.nginx = subprocess.Popen(["timeout", "--kill-after=1", "300", *command])
        wait_until(self.listens)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    def close(self):
        self.nginx.terminate()
        self.nginx.wait()
        self.server.stop()
        self.thread.join(PATIENCE)


def program():
    found = shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin")
    if found is None:
        pytest.skip("needs nginx")
    return found


@pytest.fixture(scope="module", params=KINDS, ids=" over ".join)
def site(request):
    program()
    # Not in pytest's folder, whose path may be too long for a socket's.
    with tempfile.TemporaryDirectory() as folder:
        served = Site(Path(folder), *request.param)
        yield served
        served.close()


def sha(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode()


# -- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "names", "values"),
    [
        pytest.param("/", "SCRIPT_NAME,PATH_INFO", ["", "/"], id="root"),
        pytest.param("/a%20b/c", "SCRIPT_NAME,PATH_INFO", ["", "/a b/c"], id="deeper"),
        pytest.param("/mounted", "SCRIPT_NAME,PATH_INFO", ["/mounted", "/below"], id="mounted"),
        pytest.param("/%C3%A9", "REQUEST_URI", ["/%C3%A9?REQUEST_URI"], id="as sent"),
        pytest.param("/", "HTTP_X_A,HTTP_COOKIE", ["1, 2", "a=1; b=2"], id="repeated fields"),
        pytest.param("/", "HTTP_PROXY", ["None"], id="the field Proxy"),
        pytest.param("/", "HTTP_X_B", ["None"], id="a field with an underscore"),
        pytest.param("/", "REMOTE_ADDR,wsgi.url_scheme", ["127.0.0.1", "http"], id="client"),
        pytest.param(
            "/", "SERVER_PROTOCOL,HTTP_HOST", ["HTTP/1.1", "a.test"], id="version and host"
        ),
    ],
)
def test_environ_tells_the_request(site, path, names, values):
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as client:
        fields = "X-A: 1\r\nX-A: 2\r\nCookie: a=1\r\nCookie: b=2\r\nProxy: evil\r\nX_B: 1\r\n"
        head = f"GET {path}?{names} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{fields}\r\n"
        client.sendall(head.encode())
        with client.makefile("rb") as file:
            text = file.read().partition(b"\r\n\r\n")[2].decode("latin-1")
    assert text.split("\n") == values


def test_long_bodies_arrive_whole(site):
    body = os.urandom(BIG)
    assert site.ask("POST", "/digest", body).body == sha(body)


def test_chunked_bodies_arrive_whole(site):
    body = [os.urandom(70_000), os.urandom(10)]
    assert site.ask("POST", "/digest", iter(body)).body == sha(b"".join(body))


def test_uploads_that_come_bit_by_bit_arrive_whole_or_not_at_all(site):
    """nginx that does not buffer a request tells SCGI the length of its beginning."""

    def bits():
        for number in range(20):
            threading.Event().wait(0.005)
            yield bytes([number]) * 7000

    body = b"".join(bytes([number]) * 7000 for number in range(20))
    response = site.ask("POST", "/streamed/digest", bits(), **{"Content-Length": str(len(body))})
    if site.server.options.protocol == "scgi":
        assert response.status == 400
        assert b"scgi_request_buffering" in response.body
    else:
        assert response.body == sha(body)


def test_chunked_uploads_that_come_bit_by_bit_arrive_whole(site):
    if site.server.options.protocol == "scgi":
        pytest.skip("SCGI has no bodies of unknown length")
    bits = (os.urandom(1) * 7000 for number in range(20))
    assert site.ask("POST", "/streamed/digest", bits).body.startswith(b"140000 ")


def test_bodies_that_nobody_reads_do_no_harm(site):
    assert site.ask("POST", "/?REQUEST_METHOD", bytes(BIG)).body == b"POST"
    assert site.ask("GET", "/?REQUEST_METHOD").body == b"GET"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_environ_and_input_conform_to_pep_3333(site, method):
    body = b"0123456789abc" if method == "POST" else None
    assert site.ask(method, "/validated", body).body == (body or b"")[:10]


# -- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/big", "/streamed/big", "/file"])
def test_long_answers_arrive_whole(site, path):
    response = site.ask("GET", path)
    assert (response.status, response.headers["Content-Length"]) == (200, str(BIG))
    assert len(response.body) == BIG


def test_slow_readers_get_all(site):
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /streamed/big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        size = 0
        while data := client.recv(50_000):
            size += len(data)
            threading.Event().wait(0.001)
    assert size > BIG


def test_head_has_the_fields_of_get_and_no_body(site):
    response = site.ask("HEAD", "/big")
    assert (response.headers["Content-Length"], response.body) == (str(BIG), b"")


def test_304_has_its_validator_and_no_body(site):
    response = site.ask("GET", "/unchanged")
    assert (response.status, response.headers["ETag"], response.body) == (304, '"x"', b"")


def test_failure_before_the_answer_is_a_500(site):
    assert site.ask("GET", "/failing").status == 500


def test_failure_in_the_answer_cuts_it_off(site):
    if site.server.options.protocol == "scgi" and isinstance(site.server.bound_addr, str):
        pytest.skip("SCGI without a length ends with the connection, and Unix sockets know no RST")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        site.ask("GET", "/broken")


def test_application_hears_of_a_client_that_has_gone(site):
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /streamed/endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert Endless.closed.wait(PATIENCE)


def test_many_clients_at_a_time_get_each_its_own_answer(site):
    def ask(number):
        text = bytes([number]) * (number * 500)
        return site.ask("POST", "/digest", text).body == sha(text)

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(ask, range(200)))
