from __future__ import annotations

import http.client
import ssl

import pytest
import trustme

import cptoolkit
from cptoolkit import wsgiserver
from cptoolkit.process.wspbus import Bus
from cptoolkit.servers import BindError
from cptoolkit.wsgi_server import CherryPyWSGIServer, CPWSGIServer, WSGIPathInfoDispatcher

ANY_PORT = ("127.0.0.1", 0)


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("SCRIPT_NAME", "PATH_INFO", "SERVER_NAME", "wsgi.url_scheme")
    return [" ".join(environ[name] for name in names).encode()]


def test_server_answers_and_can_start_again(started, fetch):
    server = CherryPyWSGIServer(ANY_PORT, app)
    for _ in range(2):
        assert fetch(started(server), "/a") == (200, " /a 127.0.0.1 http")
        server.stop()
        assert server.bind_addr[0] == "127.0.0.1"


def test_name_of_the_server_is_what_the_application_is_told(started, fetch):
    server = CherryPyWSGIServer(ANY_PORT, app, server_name="example.org")
    assert fetch(started(server))[1] == " / example.org http"


def test_pairs_of_mount_point_and_application_are_served_by_the_longest(started, fetch):
    address = started(CherryPyWSGIServer(ANY_PORT, [("/", app), ("/blog/", app)]))
    assert fetch(address, "/blog/new")[1].startswith("/blog /new ")
    assert fetch(address, "/blogs")[1].startswith(" /blogs ")


def test_path_of_no_application_is_404(started, fetch):
    address = started(CherryPyWSGIServer(ANY_PORT, WSGIPathInfoDispatcher({"/blog": app})))
    assert fetch(address, "/")[0] == 404


def test_attributes_count_when_the_server_starts(started, fetch):
    server = CherryPyWSGIServer(ANY_PORT, app, numthreads=3, request_queue_size=7)
    server.max_request_header_size = 500
    server.timeout = 3
    address = started(server)
    assert fetch(address, headers={"X-Long": "x" * 600})[0] == 431
    options = server.options
    assert (options.thread_pool, options.socket_queue_size, options.socket_timeout) == (3, 7, 3)


@pytest.mark.parametrize("name", ["builtin", "pyopenssl"])
def test_adapter_makes_it_speak_tls(started, fetch, tmp_path, name):
    if name == "pyopenssl":
        pytest.importorskip("OpenSSL")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    paths = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    issued.cert_chain_pems[0].write_to_path(paths[0])
    issued.private_key_pem.write_to_path(paths[1])
    server = CherryPyWSGIServer(ANY_PORT, app)
    server.ssl_adapter = wsgiserver.get_ssl_adapter_class(name)(*map(str, paths))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    address = started(server)
    assert fetch(address, connect=http.client.HTTPSConnection, context=trust)[1].endswith("https")


def test_context_of_an_adapter_counts_over_its_files(started, fetch):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = CherryPyWSGIServer(ANY_PORT, app)
    server.ssl_adapter = wsgiserver.ssl_builtin.BuiltinSSLAdapter("none.pem", "none.key")
    server.ssl_adapter.context = context
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    address = started(server)
    assert fetch(address, connect=http.client.HTTPSConnection, context=trust)[0] == 200


def test_unknown_adapter_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="no SSL adapter 'pyOpenSS'; did you mean 'pyopenssl'"):
        wsgiserver.get_ssl_adapter_class("pyOpenSS")


def test_address_that_is_taken_is_refused(started):
    address = started(CherryPyWSGIServer(ANY_PORT, app))
    with pytest.raises(BindError):
        CherryPyWSGIServer(address, app).prepare()


def test_server_of_the_site_takes_its_settings_when_it_starts(started, fetch):
    class Root:
        @cptoolkit.expose
        def index(self):
            return "the site"

    adapter = cptoolkit.process.servers.Server(Bus())
    server = CPWSGIServer(adapter)
    adapter.socket_port = 0
    adapter.app = cptoolkit.Application(Root())
    adapter.thread_pool = 2
    started(server)
    assert fetch(server.bound_addr)[1] == "the site"
    assert server.options.thread_pool == 2


def test_bus_starts_what_is_assigned_as_its_server(fetch):
    adapter = cptoolkit.process.servers.Server(Bus())
    adapter.app = app
    adapter.socket_port = 0
    adapter.httpserver = CPWSGIServer(adapter)
    adapter.start()
    try:
        assert fetch(adapter.bound_addr)[0] == 200
    finally:
        adapter.stop()
