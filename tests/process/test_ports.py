import socket
import threading

import pytest
from beside import free_port

from cptoolkit.process import servers


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


@pytest.fixture
def free():
    return free_port()


@pytest.mark.parametrize(
    ("server", "client"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("::", "::1"),
        ("::0.0.0.0", "::1"),
        ("10.0.0.7", "10.0.0.7"),
    ],
)
def test_client_host_can_be_connected_to(server, client):
    assert servers.client_host(server) == client


def test_port_in_use_is_told(listening):
    with pytest.raises(OSError, match=f"Port {listening} is in use on 127.0.0.1"):
        servers.check_port("0.0.0.0", listening)


def test_free_port_passes(free):
    servers.check_port("127.0.0.1", free)
    servers.wait_for_free_port("127.0.0.1", free)


def test_check_needs_a_host():
    with pytest.raises(ValueError, match="host must be an address or a name"):
        servers.check_port("", 80)


def test_waiting_has_an_end(listening, free):
    with pytest.raises(OSError, match=f"Port {listening} is not free on 127.0.0.1 after 0.01 s"):
        servers.wait_for_free_port("127.0.0.1", listening, timeout=0.01)
    with pytest.raises(OSError, match=f"Port {free} is not bound on 127.0.0.1 after 0.01 s"):
        servers.wait_for_occupied_port("127.0.0.1", free, timeout=0.01)


def test_port_that_gets_occupied_is_noticed():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    timer = threading.Timer(0.02, sock.listen)
    timer.start()
    try:
        servers.wait_for_occupied_port("127.0.0.1", sock.getsockname()[1], timeout=20)
    finally:
        timer.join()
        sock.close()
