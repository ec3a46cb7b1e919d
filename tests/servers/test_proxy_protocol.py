"""The PROXY protocol: clients' addresses as a proxy in front tells them."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import textwrap
import time

import pytest
import trustme
from beside import PATIENCE, free_port
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers import Disconnected, Server
from cptoolkit.servers.proxy_protocol import (
    SIGNATURE,
    Header,
    Proxies,
    _Reading,
    header_size,
    parse_header,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LINE = b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n"
TOLD = Header(("203.0.113.7", 56324), ("198.51.100.1", 443))


def whence(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme")
    return [" ".join(environ[name] for name in names).encode()]


def line(header):
    """Version 1 of ``header``."""
    (source, source_port), (destination, destination_port) = header.source, header.destination
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def binary(header, extensions=b""):
    """Version 2 of ``header``."""
    (source, source_port), (destination, destination_port) = header.source, header.destination
    addresses = b"".join(ipaddress.ip_address(one).packed for one in (source, destination))
    block = addresses + struct.pack("!HH", source_port, destination_port) + extensions
    return block_of(0x21, 0x21 if ":" in source else 0x11, block)


def block_of(command, family, block=b""):
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def addresses(strategy):
    return st.tuples(strategy.map(str), st.integers(0, 65535))


headers = st.one_of(
    st.builds(Header, addresses(st.ip_addresses(v=4)), addresses(st.ip_addresses(v=4))),
    st.builds(Header, addresses(st.ip_addresses(v=6)), addresses(st.ip_addresses(v=6))),
)


class Pieces:
    """A socket on which bytes come in pieces."""

    def __init__(self, pieces):
        self.pieces = [piece for piece in pieces if piece]
        self.waiting = b""

    def arrive(self):
        self.waiting += self.pieces.pop(0)

    def recv(self, size, flags=0):
        if not self.waiting:
            raise BlockingIOError
        data = self.waiting[:size]
        if not flags & socket.MSG_PEEK:
            self.waiting = self.waiting[size:]
        return data


class Conn:
    peer = ("127.0.0.1", 1)
    local = None

    def __init__(self, pieces):
        self.sock = Pieces(pieces)


def read(pieces):
    """Feed pieces to the prelude; return the connection and what is left of the bytes."""
    conn, reading = Conn(pieces), _Reading(Proxies("*", print))
    while True:
        conn.sock.arrive()
        with contextlib.suppress(BlockingIOError):
            reading.read(conn)
            break
        assert conn.sock.pieces, "the header was not seen to be complete"
    return conn, conn.sock.waiting + b"".join(conn.sock.pieces)


# -- headers --------------------------------------------------------------------------------------


@given(headers, st.binary(max_size=300))
def test_what_was_written_is_read(header, extensions):
    for data in (line(header), binary(header, extensions)):
        assert header_size(data + b"GET") == len(data)
        read = parse_header(data)
        for told, meant in ((read.source, header.source), (read.destination, header.destination)):
            assert ipaddress.ip_address(told[0]) == ipaddress.ip_address(meant[0])
            assert told[1] == meant[1]


@pytest.mark.parametrize("data", [LINE, binary(TOLD, b"\x04\0\0")], ids=["v1", "v2"])
def test_header_may_come_in_any_two_pieces_and_nothing_else_is_taken(data):
    for cut in range(len(data) + 1):
        conn, rest = read([data[:cut], data[cut:] + GET])
        assert (conn.peer, conn.local, rest) == (TOLD.source, TOLD.destination, GET), cut


@pytest.mark.parametrize("data", [LINE, binary(TOLD)], ids=["v1", "v2"])
def test_header_may_come_byte_by_byte(data):
    conn, rest = read([bytes([byte]) for byte in data + GET])
    assert (conn.peer, rest) == (TOLD.source, GET)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(SIGNATURE.__add__),
                 st.binary(max_size=120).map(lambda end: b"PROXY " + end + b"\r\n")))  # fmt: skip
def test_any_bytes_are_a_header_or_a_value_error(data):
    with contextlib.suppress(ValueError):
        size = header_size(data)
        if size is not None and size <= len(data):
            assert isinstance(parse_header(data[:size]), Header)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PROXY UNKNOWN\r\n", id="v1 UNKNOWN"),
        pytest.param(b"PROXY UNKNOWN ff:: any \xff thing\r\n", id="v1 UNKNOWN with more"),
        pytest.param(block_of(0x20, 0x00), id="v2 LOCAL"),
        pytest.param(block_of(0x20, 0xFF, b"x" * 50), id="v2 LOCAL whatever it says"),
        pytest.param(block_of(0x21, 0x00, b"x" * 7), id="v2 unspecified family"),
        pytest.param(block_of(0x21, 0x10, b"x" * 12), id="v2 unspecified protocol"),
        pytest.param(block_of(0x21, 0x12, b"x" * 12), id="v2 UDP"),
        pytest.param(block_of(0x21, 0x31, b"x" * 216), id="v2 Unix"),
    ],
)
def test_header_without_an_address_leaves_the_proxys_own(data):
    conn, rest = read([data + GET])
    assert (conn.peer, conn.local, rest) == (("127.0.0.1", 1), None, GET)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="no header"),
        pytest.param(b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", id="lower case"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", id="a port is missing"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", id="something more"),
        pytest.param(b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", id="two spaces"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", id="space at the end"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", id="port too large"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", id="port with a zero in front"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", id="port with a sign"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.04 1 2\r\n", id="octet with a zero in front"),
        pytest.param(b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", id="three octets"),
        pytest.param(b"PROXY TCP4 ::1 ::1 1 2\r\n", id="IPv6 as TCP4"),
        pytest.param(b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", id="IPv4 as TCP6"),
        pytest.param(b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", id="scope"),
        pytest.param(b"PROXY TCP6 1::2::3 ::1 1 2\r\n", id="two gaps"),
        pytest.param(b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", id="UDP"),
        pytest.param(b"PROXY\r\n", id="nothing told"),
        pytest.param(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", id="LF alone"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", id="108 bytes"),
        pytest.param(b"PROXY " + b"x" * 200, id="no end"),
        pytest.param(block_of(0x11, 0x11, b"x" * 12), id="version 1 in binary"),
        pytest.param(block_of(0x22, 0x11, b"x" * 12), id="unknown command"),
        pytest.param(block_of(0x21, 0x41, b"x" * 12), id="unknown family"),
        pytest.param(block_of(0x21, 0x13, b"x" * 12), id="unknown protocol"),
        pytest.param(block_of(0x21, 0x11, b"x" * 11), id="IPv4 cut short"),
        pytest.param(block_of(0x21, 0x21, b"x" * 35), id="IPv6 cut short"),
        pytest.param(SIGNATURE[:-1] + b"\r" + b"x" * 20, id="broken signature"),
    ],
)
def test_malformed_header_ends_the_connection(data):
    with pytest.raises(Disconnected):
        read([data + GET])


# -- who is trusted -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", 5), True),
        ("10.0.0.1", ("10.0.0.2", 5), False),
        ("192.168.0.0/16, 10.0.0.0/8", ("10.9.8.7", 5), True),
        ("10.0.0.0/8", ("::ffff:10.1.2.3", 5, 0, 0), True),
        ("2001:db8::/32", ("2001:db8::1", 5, 0, 0), True),
        ("fe80::/10", ("fe80::1%eth0", 5, 0, 2), True),
        ("10.0.0.1", "", False),
        ("unix", "", True),
        ("unix", ("127.0.0.1", 5), False),
        ("*", ("203.0.113.1", 5), True),
        ("*", "", True),
        (" , ", ("127.0.0.1", 5), False),
    ],
)
def test_trusted_peers(trusted, peer, expected):
    assert Proxies(trusted, print).trusts(peer) is expected


@pytest.mark.parametrize(
    ("trusted", "message"),
    [
        ("loadbalancer", "got 'loadbalancer'"),
        ("10.0.0.1/8", "got '10.0.0.1/8': 10.0.0.1/8 has host bits set"),
        ("10.0.0.1 10.0.0.2", "got '10.0.0.1 10.0.0.2'"),
    ],
)
def test_wrong_peers_are_told_when_the_server_is_made(trusted, message):
    with pytest.raises(ValueError, match=f"^proxy_protocol must name addresses.*{message}"):
        Server(whence, proxy_protocol=trusted)


# -- at the server --------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [LINE, binary(TOLD)], ids=["v1", "v2"])
def test_application_sees_the_client_and_where_it_has_connected_to(serve_app, data):
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    client = served.connect().send(data + GET.replace(b"close", b"keep-alive"))
    expected = b"203.0.113.7 56324 198.51.100.1 443 http"
    assert client.answer().body == expected
    assert client.send(GET).answer().body == expected


def test_connections_do_not_share_what_is_told(serve_app):
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    for number in range(1, 4):
        told = Header((f"203.0.113.{number}", number), ("198.51.100.1", 443))
        assert served.connect().send(binary(told) + GET).answer().body.split()[0] == (
            f"203.0.113.{number}".encode()
        )


def test_health_check_of_the_proxy_is_answered_as_its_own(serve_app):
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    host, port = served.server.bound_addr
    answer = served.connect().send(block_of(0x20, 0) + GET).answer()
    assert answer.body.startswith(b"127.0.0.1 ")
    assert answer.body.endswith(f" {host} {port} http".encode())


def test_header_of_a_proxy_on_a_unix_socket(serve_app, tmp_path):
    served = serve_app(whence, proxy_protocol="unix", socket_file=str(tmp_path / "s"))
    assert served.connect().send(LINE + GET).answer().body.startswith(b"203.0.113.7 56324 ")


@pytest.mark.parametrize("data", [LINE, binary(TOLD)], ids=["v1", "v2"])
@pytest.mark.parametrize("trusted", ["", "10.0.0.1", "unix"])
def test_header_of_one_who_is_not_trusted_is_a_bad_request(serve_app, trusted, data):
    served = serve_app(whence, proxy_protocol=trusted)
    status = served.talk(data + GET).split()[1]
    assert status == (b"501" if data is LINE else b"400")  # PROXY could be a method


def test_others_need_no_header(serve_app):
    served = serve_app(whence, proxy_protocol="10.0.0.1")
    assert served.get().body.startswith(b"127.0.0.1 ")


def test_missing_header_of_a_trusted_proxy_ends_the_connection_and_is_told_once(serve_app):
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    for _ in range(3):
        with contextlib.suppress(ConnectionResetError):
            assert served.talk(GET) == b""
    [(level, message)] = served.logged
    assert level == "WARNING"
    assert "no usable PROXY header from ('127.0.0.1', " in message
    assert "b'GET / HTTP/1.1" in message


def test_proxy_that_only_looks_whether_the_port_is_open_is_not_told_of(serve_app):
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    served.connect().close()
    assert served.connect().send(LINE + GET).answer().status == 200
    assert served.logged == []


@pytest.mark.parametrize("data", [b"", b"PROXY TCP4", SIGNATURE], ids=["nothing", "v1", "v2"])
def test_header_has_the_time_that_a_head_has(serve_app, clock, data):
    served = serve_app(whence, proxy_protocol="127.0.0.1", thread_pool=1)
    waiting = served.connect().send(data)
    assert served.connect().send(LINE + GET).answer().status == 200  # holds no thread
    clock.ahead += 100
    assert waiting.rest() == b""


@pytest.mark.parametrize("ssl_module", ["builtin", "pyopenssl"])
def test_header_comes_before_tls(serve_app, tmp_path, ssl_module):
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")
    served = serve_app(
        whence,
        proxy_protocol="127.0.0.1",
        ssl_certificate=str(tmp_path / "pem"),
        ssl_module=ssl_module,
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with socket.create_connection(served.server.bound_addr, PATIENCE) as plain:
        plain.sendall(LINE)
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(GET)
            assert b"203.0.113.7 56324 198.51.100.1 443 https" in client.makefile("rb").read()


# -- real proxies ---------------------------------------------------------------------------------


def program(name):
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"needs {name}")
    return found


@pytest.fixture
def proxy(tmp_path):
    """Return a function that starts a proxy; its command is given the path of its config."""
    running = []

    def start(config, port, *command):
        (tmp_path / "config").write_text(textwrap.dedent(config))
        process = subprocess.Popen(
            [*command, str(tmp_path / "config")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        running.append(process)
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
                return
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def through(port):
    """Return what the application says, and our own address as the proxy sees it."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    client.connect()
    own = client.sock.getsockname()
    client.request("GET", "/")
    said = client.getresponse().read().decode()
    client.close()
    return said, f"{own[0]} {own[1]} 127.0.0.1 {port} http"


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_haproxy_tells_who_its_client_is(serve_app, proxy, version):
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    port = free_port()
    config = f"""
        defaults
            mode tcp
            timeout connect 5s
            timeout client 5s
            timeout server 5s
        listen all
            bind 127.0.0.1:{port}
            server ours 127.0.0.1:{served.server.bound_addr[1]} {version} check inter 50ms
    """
    proxy(config, port, program("haproxy"), "-db", "-f")
    said, expected = through(port)
    assert said == expected
    assert served.logged == []


def test_nginx_tells_who_its_client_is(serve_app, proxy, tmp_path):
    nginx, module = program("nginx"), "/usr/lib/nginx/modules/ngx_stream_module.so"
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    port = free_port()
    config = f"""
        daemon off;
        master_process off;
        pid {tmp_path}/pid;
        error_log stderr;
        load_module {module};
        events {{}}
        stream {{
            server {{
                listen 127.0.0.1:{port};
                proxy_pass 127.0.0.1:{served.server.bound_addr[1]};
                proxy_protocol on;
            }}
        }}
    """
    try:
        open(module).close()
    except FileNotFoundError:
        pytest.skip("needs nginx's stream module")
    proxy(config, port, nginx, "-p", str(tmp_path), "-c")
    said, expected = through(port)
    assert said == expected


def test_curl_tells_who_it_is(serve_app):
    served = serve_app(whence, proxy_protocol="127.0.0.1")
    url = "http://{}:{}/".format(*served.server.bound_addr)
    said = subprocess.run(
        [program("curl"), "-s", "--haproxy-protocol", url],
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    ).stdout  # fmt: skip
    assert said.startswith("127.0.0.1 ")
    assert said.endswith(f" 127.0.0.1 {served.server.bound_addr[1]} http")
