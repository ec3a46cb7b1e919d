"""Where a server listens: names, ports, Unix sockets, and what it leaves behind."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

import pytest
from beside import PATIENCE
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers import BindError, Options, sockets
from cptoolkit.servers.acceptor import Acceptor
from cptoolkit.servers.sockets import Listeners, listen

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SERVER_NAME"].encode()]


@pytest.fixture
def listening():
    """Return a function that listens as options say; all is closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            listeners = listen(Options(**{"port": 0, **options}))
            stack.callback(listeners.close)
            return listeners

        yield start


@pytest.fixture
def resolve(monkeypatch):
    """Make every name resolve to the addresses given, or to an error."""

    def to(*addresses):
        def found(host, port, **options):
            if isinstance(addresses[0], Exception):
                raise addresses[0]
            families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
            return [
                (family, socket.SOCK_STREAM, 6, "", (one, port))
                for family, one in zip(families, addresses, strict=True)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return to


def names(listeners):
    return [sock.getsockname()[:2] for sock in listeners.sockets]


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


def reaches(address, family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        try:
            client.connect(address)
        except OSError:
            return False
    return True


# -- TCP ------------------------------------------------------------------------------------------


@ipv6
def test_all_addresses_of_a_name_are_served_on_one_port(listening, resolve):
    resolve("127.0.0.1", "::1")
    listeners = listening(host="both")
    (first, port), second = names(listeners)
    assert (first, second) == ("127.0.0.1", ("::1", port))
    assert listeners.address == ("127.0.0.1", port)


def test_address_of_a_name_that_this_machine_has_not_is_left_out(listening, resolve):
    resolve("203.0.113.1", "127.0.0.1")
    assert [host for host, _ in names(listening(host="some"))] == ["127.0.0.1"]


def test_name_that_stands_in_the_hosts_file_twice_is_bound_once(listening, resolve):
    resolve("127.0.0.1", "127.0.0.1")
    assert len(listening(host="twice").sockets) == 1


def test_name_without_any_address_of_this_machine_is_refused(listening, resolve):
    resolve("203.0.113.1", "203.0.113.2")
    with pytest.raises(BindError, match=r"^cannot listen on 203\.0\.113\.2:0: cannot assign"):
        listening(host="elsewhere")


def test_port_taken_on_one_address_of_a_name_is_refused(listening, resolve):
    resolve("127.0.0.1", "127.0.0.2")
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BindError, match=rf"127\.0\.0\.2:{port}: address already in use"):
            listening(host="both", port=port)
    assert not reaches(("127.0.0.1", port))


def test_free_port_is_free_on_all_addresses_of_a_name(listening, resolve, monkeypatch):
    resolve("127.0.0.1", "127.0.0.2")
    bind, tries = sockets._bind, []

    def unlucky(family, address, options):
        tries.append(address)
        if len(tries) == 2:
            raise OSError(errno.EADDRINUSE, "in use")
        return bind(family, address, options)

    monkeypatch.setattr(sockets, "_bind", unlucky)
    (_, port), second = names(listening(host="both"))
    assert second == ("127.0.0.2", port)
    assert len(tries) == 4


@pytest.mark.parametrize(
    ("host", "failure", "message"),
    [
        ("no.such", socket.gaierror(-2, "Name or service not known"), "name or service not known"),
        ("a" * 70, None, "that is no name of a host"),
    ],
    ids=["unknown", "too long"],
)
def test_name_that_is_none_is_one_line(listening, resolve, host, failure, message):
    if failure:
        resolve(failure)
    with pytest.raises(BindError, match=f"^cannot listen on {host}:0: {message}$"):
        listening(host=host)


@ipv6
@pytest.mark.parametrize(
    ("host", "ipv4", "ipv6"),
    [("", True, True), ("::", True, True), ("0.0.0.0", True, False), ("::1", False, True)],
)
def test_what_every_interface_means(listening, host, ipv4, ipv6):
    port = listening(host=host).address[1]
    assert reaches(("127.0.0.1", port)) is ipv4
    assert reaches(("::1", port), socket.AF_INET6) is ipv6


def test_queue_is_as_long_as_asked_for(listening):
    address = listening(socket_queue_size=0).address
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(address)
        states = [client.getsockopt(socket.SOL_TCP, socket.TCP_INFO) for client in clients]
    assert 2 in states  # TCP_SYN_SENT: the kernel does not let it in


# -- given sockets --------------------------------------------------------------------------------


def test_several_given_sockets_are_served_and_left_open(serve_app):
    one, two = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with one, two:
        served = serve_app(hello, socket=[one, two])
        assert served.server.bound_addr == one.getsockname()
        for sock in (one, two):
            with socket.create_connection(sock.getsockname(), PATIENCE) as client:
                client.sendall(GET)
                assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        served.close()
        assert reaches(one.getsockname())


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_socket_that_does_not_listen_is_refused(kind):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(BindError, match=r"^cannot serve on the socket .*: it does not listen$"):
            listen(Options(socket=sock))


def test_environ_tells_the_port_that_was_asked(serve_app):
    def port(environ, start_response):
        start_response("200 OK", [])
        return [environ["SERVER_PORT"].encode()]

    one, two = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with one, two:
        serve_app(port, socket=[one, two])
        for sock in (one, two):
            with socket.create_connection(sock.getsockname(), PATIENCE) as client:
                client.sendall(GET)
                _, _, told = client.makefile("rb").read().partition(b"\r\n\r\n")
            assert int(told) == sock.getsockname()[1]


# -- several processes ----------------------------------------------------------------------------


def test_each_process_gets_a_socket_of_the_same_address(listening):
    listeners = listening(processes=3)
    assert len(set(names(listeners))) == 1
    assert len(listeners.sockets) == 3


def test_sockets_of_one_address_share_the_connections(listening):
    listeners = listening(processes=2)
    clients = [socket.create_connection(listeners.address, PATIENCE) for _ in range(40)]
    shares = []
    for sock in listeners.sockets:
        accepted = []
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted.append(sock.accept()[0])
        shares.append(len(accepted))
        for one in accepted:
            one.close()
    for client in clients:
        client.close()
    assert sum(shares) == 40
    assert min(shares) > 0


@pytest.mark.parametrize("processes", [1, 2])
def test_second_server_is_refused_though_processes_share_the_port(listening, processes):
    port = listening(processes=2).address[1]
    with pytest.raises(BindError, match="in use"):
        listening(processes=processes, port=port)


def test_where_ports_cannot_be_shared_processes_share_a_socket(listening, monkeypatch):
    class Strict(socket.socket):
        def bind(self, address):
            if self.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
                raise OSError(errno.EADDRINUSE, "in use")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", Strict)
    listeners = listening(processes=3)
    assert len(listeners.sockets) == 1
    assert reaches(listeners.address)


def test_want_of_descriptors_for_the_socket_of_a_second_process_is_one_line(listening, monkeypatch):
    made = []

    class Scarce(socket.socket):
        def __init__(self, *args, **options):
            if made:
                raise OSError(errno.EMFILE, "Too many open files")
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(socket, "socket", Scarce)
    with pytest.raises(BindError, match=r"^cannot listen on 127\.0\.0\.1:0: too many open files$"):
        listening(processes=2)
    assert made[0].fileno() == -1


class Fake:
    def __init__(self, name):
        self.name = name
        self.closed = False

    def setblocking(self, flag):
        """Nothing to do."""

    def getsockname(self):
        return self.name

    def close(self):
        self.closed = True


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 6))
def test_every_socket_is_served_and_every_process_serves_every_address(sizes, count):
    served = set()
    for number in range(count):
        fakes = [Fake(name) for name, size in enumerate(sizes) for _ in range(size)]
        listeners = Listeners(fakes)
        listeners.keep_share(number, count)
        kept = listeners.sockets
        assert {one.name for one in kept} == set(range(len(sizes)))
        assert all(one.closed is (one not in kept) for one in fakes)
        served |= {index for index, one in enumerate(fakes) if one in kept}
    # With fewer sockets than processes, each has several; with more, a process has several.
    assert len(served) == sum(sizes)


# -- Unix -----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "s")


def test_socket_file_is_served_and_removed(serve_app, path):
    served = serve_app(hello, socket_file=path)
    assert served.server.bound_addr == path
    assert served.get().status == 200
    served.close()
    assert not os.path.exists(path)


def test_socket_file_is_gone_before_the_last_connection_is_accepted(serve_app, path, monkeypatch):
    found = []
    take_last = Acceptor.take_last

    def look_and_take(self):
        found.append(os.path.exists(path))
        return take_last(self)

    monkeypatch.setattr(Acceptor, "take_last", look_and_take)
    serve_app(hello, socket_file=path).close()
    assert found == [False]


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=["umask 000", "umask 077"])
@pytest.mark.parametrize("mode", ["0600", "660", "0777"])
def test_socket_file_has_the_mode_asked_for(listening, path, mode, umask):
    before = os.umask(umask)
    try:
        listening(socket_file=path, socket_mode=mode)
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE(os.stat(path).st_mode) == int(mode, 8)


def test_socket_file_is_its_owners_by_default(listening, path):
    listening(socket_file=path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_socket_file_of_a_dead_server_is_replaced(listening, path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    listening(socket_file=path)
    assert reaches(path, socket.AF_UNIX)


@pytest.mark.parametrize("full", [False, True], ids=["listening", "with a full queue"])
def test_socket_file_of_a_live_server_is_left_alone(listening, path, full):
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(socket.socket(socket.AF_UNIX))
        live.bind(path)
        live.listen(0)
        while full:
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            full = client.connect_ex(path) == 0
        with pytest.raises(BindError, match=f"^cannot listen on {path}: address already in use$"):
            listening(socket_file=path)
        assert os.path.exists(path)


def test_socket_file_of_a_server_that_is_about_to_listen_is_left_alone(
    listening, path, monkeypatch
):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        monkeypatch.setattr(sockets, "sleep", lambda seconds: other.listen())
        with pytest.raises(BindError, match=r"address already in use$"):
            listening(socket_file=path)
        assert reaches(path, socket.AF_UNIX)


def test_socket_file_that_another_server_has_replaced_meanwhile_is_left_alone(
    listening, path, monkeypatch
):
    def replace(seconds):
        os.rename(path, f"{path}.dead")
        other.bind(path)

    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as other:
        dead.bind(path)
        monkeypatch.setattr(sockets, "sleep", replace)
        with pytest.raises(BindError, match=r"address already in use$"):
            listening(socket_file=path)
        other.listen()
        assert reaches(path, socket.AF_UNIX)


def test_file_that_is_no_socket_is_left_alone(listening, tmp_path):
    file = tmp_path / "precious"
    file.write_text("data")
    with pytest.raises(BindError, match=r"precious: there is a file that is no socket$"):
        listening(socket_file=str(file))
    assert file.read_text() == "data"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/no/such/folder/s", "no such file or directory"),
        ("/tmp/" + "s" * 200, "AF_UNIX path too long"),
        ("a\0b", "null"),
    ],
    ids=["no folder", "too long", "NUL"],
)
def test_socket_file_that_cannot_be_is_one_line(listening, path, message):
    with pytest.raises(BindError, match=rf"^cannot listen on [^\n]*: [^\n]*(?i:{message})[^\n]*$"):
        listening(socket_file=path)


def test_socket_file_that_is_another_servers_by_now_is_left_alone(path):
    first = listen(Options(socket_file=path))
    os.unlink(path)
    second = listen(Options(socket_file=path))
    first.close()
    assert reaches(path, socket.AF_UNIX)
    second.close()
    assert not os.path.exists(path)


def test_socket_file_is_removed_wherever_the_process_has_gone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    listeners = listen(Options(socket_file="s"))
    monkeypatch.chdir("/")
    listeners.close()
    assert not (tmp_path / "s").exists()


def test_socket_file_that_is_gone_already_is_no_error(path):
    listeners = listen(Options(socket_file=path))
    os.unlink(path)
    listeners.close()
