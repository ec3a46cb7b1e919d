"""Servers that serve the site's tree (reference, 5.8)."""

import http.client

import pytest

import cptoolkit
from cptoolkit._cpserver import Server


class Where:
    @cptoolkit.expose
    def index(self):
        return cptoolkit.request.base


@pytest.fixture
def second():
    server = Server()
    server.socket_port = 0
    cptoolkit.tree.mount(Where())
    server.start()
    yield server
    server.stop()


def test_further_server_serves_the_same_tree(second):
    host, port = second.bound_addr
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read().decode() == f"http://{host}:{port}"
    connection.close()
