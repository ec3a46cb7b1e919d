"""TLS: what clients see of it, with either library."""

from __future__ import annotations

import contextlib
import errno
import http.client
import importlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings

import pytest
import trustme
from beside import PATIENCE, in_threads

from cptoolkit.servers import Options, Server, TLSError, certificates
from cptoolkit.servers.connection import CLOSED, Connection
from cptoolkit.servers.engine import Engine

LIBRARIES = ["builtin", "pyopenssl"]


class Authority:
    """A certificate authority, and a folder for what it issues."""

    def __init__(self, folder):
        self.ca = trustme.CA()
        self.folder = folder
        self.pem = self.path("ca.pem", self.ca.cert_pem)

    def path(self, name, *blobs):
        (self.folder / name).write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(self.folder / name)

    def issue(self, name, *hosts, ca=None, **options):
        """Return the options that name a new certificate and its key."""
        made = (ca or self.ca).issue_cert(*(hosts or ["localhost", "127.0.0.1"]), **options)
        chain = made.cert_chain_pems
        found = {
            "ssl_certificate": self.path(f"{name}.pem", chain[0]),
            "ssl_private_key": self.path(f"{name}.key", made.private_key_pem),
        }
        if chain[1:]:
            found["ssl_certificate_chain"] = self.path(f"{name}.chain", *chain[1:])
        return found


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def localhost(authority):
    return authority.issue("localhost")


@pytest.fixture(scope="module")
def joe(authority):
    """The certificate of a client."""
    return authority.issue(
        "joe",
        "joe@example.com",
        common_name='Joe, the "first"',
        organization_name="Łódź + Söhne",
    )


@pytest.fixture(params=LIBRARIES)
def library(request):
    return {"ssl_module": request.param}


class Client:
    """A TLS connection, from the client's side."""

    def __init__(self, address, authority, host="localhost", certificate=None, **settings):
        context = ssl.create_default_context(cafile=authority.pem)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # so that a missing goodbye is seen
        if certificate:
            context.load_cert_chain(*certificate.values())
        receive_buffer = settings.pop("receive_buffer", 0)
        if "alpn" in settings:
            context.set_alpn_protocols(settings.pop("alpn"))
        if "ciphers" in settings:
            context.set_ciphers(settings.pop("ciphers"))
        for name, value in settings.items():
            setattr(context, name, value)
        plain = socket.socket()
        try:
            plain.settimeout(PATIENCE)
            if receive_buffer:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            plain.connect(address)
            self.sock = context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)
        finally:
            plain.close()  # what has been wrapped is another object's by now
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def get(self, path="/", version="1.1", connection="keep-alive"):
        head = f"GET {path} HTTP/{version}\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
        return self.send(head.encode())

    def answer(self):
        """Read one answer, and return status and body."""
        status = int(self.file.readline().split()[1])
        fields = http.client.parse_headers(self.file)
        return status, self.file.read(int(fields["Content-Length"]))

    def rest(self):
        """Read until the server has said goodbye."""
        return self.file.read()


@pytest.fixture
def site(serve_app, library, localhost, authority):
    """Return a function that serves an application over TLS, and one that connects to it."""

    def serve(app, **options):
        running = serve_app(app, **{**library, **localhost, **options})

        def connect(**settings):
            return Client(running.server.bound_addr, authority, **settings)

        running.tls = connect
        return running

    return serve


@pytest.fixture
def narrow():
    """A socket to listen on, whose connections take few bytes at once."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield sock


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def tell_environ(environ, start_response):
    lines = [f"{key}={value}\n" for key, value in environ.items() if isinstance(value, str)]
    body = "".join(lines).encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def environ_of(client):
    _, body = client.get().answer()
    text = body.decode()  # in UTF-8, see PEP 3333
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


# -- versions, ciphers, extensions ----------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_versions_that_are_safe_are_spoken(site, version):
    running = site(tell_environ)
    limit = getattr(ssl.TLSVersion, version.replace(".", "_"))
    with running.tls(maximum_version=limit, minimum_version=limit) as client:
        found = environ_of(client)
        assert client.sock.version() == version
        assert client.sock.compression() is None
        cipher, _, bits = client.sock.cipher()
    assert found["wsgi.url_scheme"] == "https"
    assert found["HTTPS"] == "on"
    assert found["SSL_PROTOCOL"] == version
    assert found["SSL_CIPHER"] == cipher
    assert found["SSL_CIPHER_USEKEYSIZE"] == str(bits)


def test_older_versions_are_refused(site, wait_until):
    running = site(hello)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            running.tls(minimum_version=old, maximum_version=old, ciphers="ALL:@SECLEVEL=0")
    wait_until(lambda: running.logged)
    assert [level for level, _ in running.logged] == ["DEBUG"]


def test_ciphers_can_be_chosen(site):
    cipher = "ECDHE-ECDSA-AES128-GCM-SHA256"
    running = site(hello, ssl_ciphers=cipher)
    with running.tls(maximum_version=ssl.TLSVersion.TLSv1_2) as client:
        assert client.sock.cipher()[0] == cipher


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        pytest.param(["h2", "http/1.1"], "http/1.1", id="both"),
        pytest.param(["h2"], None, id="only what is not spoken"),
    ],
)
def test_http_1_1_is_chosen_by_alpn(site, offered, chosen):
    running = site(hello)
    with running.tls(alpn=offered) as client:
        assert client.sock.selected_alpn_protocol() == chosen
        assert client.get().answer() == (200, b"hello")


def test_renegotiation_is_refused(site, authority):
    openssl = shutil.which("openssl") or pytest.skip("needs openssl")
    host, port = site(hello).server.bound_addr
    process = subprocess.run(
        [openssl, "s_client", "-connect", f"{host}:{port}", "-tls1_2", "-CAfile", authority.pem],
        input=b"R\n",
        capture_output=True,
        timeout=PATIENCE,
    )
    assert b"no renegotiation" in process.stderr


# -- certificates ---------------------------------------------------------------------------------


def test_curl_trusts_certificate_and_chain(site, authority, tmp_path):
    curl = shutil.which("curl") or pytest.skip("needs curl")
    between = authority.ca.create_child_ca()
    running = site(hello, **authority.issue("chained", ca=between))
    process = subprocess.run(
        [
            curl,
            "-sS",
            "--cacert",
            authority.pem,
            f"https://localhost:{running.server.bound_addr[1]}/",
        ],
        capture_output=True,
        timeout=PATIENCE,
    )
    assert (process.stdout, process.stderr) == (b"hello", b"")


def test_certificate_chain_and_key_may_be_in_one_file(site, authority):
    options = authority.issue("parts", ca=authority.ca.create_child_ca())
    together = authority.folder / "together.pem"
    with together.open("wb") as file:
        for name in ("ssl_private_key", "ssl_certificate", "ssl_certificate_chain"):
            with open(options[name], "rb") as part:
                shutil.copyfileobj(part, file)
    running = site(hello, ssl_certificate=str(together), ssl_private_key="")
    with running.tls() as client:
        assert client.get().answer() == (200, b"hello")


def encrypted(authority, localhost, password):
    openssl = shutil.which("openssl") or pytest.skip("needs openssl")
    path = authority.folder / "encrypted.key"
    command = [openssl, "pkcs8", "-topk8", "-in", localhost["ssl_private_key"]]
    subprocess.run([*command, "-out", path, "-passout", f"pass:{password}"], check=True)
    return str(path)


def test_key_may_be_encrypted(site, authority, localhost):
    key = encrypted(authority, localhost, "pässword")
    running = site(hello, ssl_private_key=key, ssl_private_key_password="pässword")
    with running.tls() as client:
        assert client.get().answer() == (200, b"hello")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"ssl_certificate": "absent.pem"},
            "ssl_certificate: cannot read 'absent.pem': no such file or directory",
            id="no certificate file",
        ),
        pytest.param(
            {"ssl_private_key": "absent.key"},
            "ssl_private_key: cannot read 'absent.key': no such file or directory",
            id="no key file",
        ),
        pytest.param(
            {"ssl_certificate": "other.key"},
            "ssl_certificate: there is no certificate (PEM) in 'other.key'",
            id="a key for a certificate",
        ),
        pytest.param(
            {"ssl_private_key": "other.pem"},
            "ssl_private_key: there is no private key (PEM) in 'other.pem'",
            id="a certificate for a key",
        ),
        pytest.param(
            {"ssl_private_key": ""},
            "ssl_certificate: there is no private key (PEM) in 'localhost.pem'",
            id="no key",
        ),
        pytest.param(
            {"ssl_private_key": "other.key"},
            "ssl_private_key: the key in 'other.key' is not that of the certificate in"
            " 'localhost.pem'",
            id="another's key",
        ),
        pytest.param(
            {"ssl_private_key": "encrypted.key"},
            "ssl_private_key_password is needed: 'encrypted.key' is encrypted",
            id="no password",
        ),
        pytest.param(
            {"ssl_private_key": "encrypted.key", "ssl_private_key_password": "wrong"},
            "ssl_private_key_password is wrong: 'encrypted.key' is encrypted",
            id="wrong password",
        ),
        pytest.param(
            {"ssl_certificate": "broken.pem"},
            "ssl_certificate: cannot use 'broken.pem' with the key in 'localhost.key'",
            id="broken certificate",
        ),
        pytest.param(
            {"ssl_certificate_chain": "absent.pem"},
            "ssl_certificate_chain: cannot read 'absent.pem'",
            id="no chain file",
        ),
        pytest.param(
            {"ssl_ciphers": "ROT13"}, "ssl_ciphers: OpenSSL knows none of 'ROT13'", id="ciphers"
        ),
        pytest.param(
            {"ssl_client_ca": "other.key", "ssl_verify_client": "optional"},
            "ssl_client_ca: there is no certificate (PEM) in 'other.key'",
            id="no authority",
        ),
        pytest.param(
            {"ssl_client_ca": "broken.pem", "ssl_verify_client": "optional"},
            "ssl_client_ca: cannot use 'broken.pem'",
            id="broken authority",
        ),
        pytest.param(
            {"ssl_client_ca": "mangled.pem", "ssl_verify_client": "optional"},
            "ssl_client_ca: cannot use 'mangled.pem'",
            id="authority that is not ASCII",
        ),
        pytest.param(
            {"ssl_hosts": {"a.example": ("absent.pem", "absent.key")}},
            "ssl_hosts['a.example']: cannot read 'absent.pem'",
            id="no file of a host",
        ),
    ],
)
def test_wrong_file_is_one_clear_line_before_serving(
    library, authority, localhost, monkeypatch, change, message
):
    monkeypatch.chdir(authority.folder)
    authority.issue("other")
    encrypted(authority, localhost, "password")
    text = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
    (authority.folder / "broken.pem").write_text(text)
    (authority.folder / "mangled.pem").write_bytes(text.encode().replace(b"bm", b"\xff\xff"))
    options = {"ssl_certificate": "localhost.pem", "ssl_private_key": "localhost.key"}
    server = Server(hello, port=0, **{**library, **options, **change})
    with pytest.raises(TLSError) as info:
        server.prepare()
    assert str(info.value).startswith(message)
    assert "\n" not in str(info.value)
    assert not server.ready


def test_certificate_that_vanishes_while_it_is_read_is_one_clear_line(tmp_path, monkeypatch):
    read = certificates.KeyPair.private_key

    def read_and_remove(pair):
        os.unlink(pair.certificate)
        return read(pair)

    monkeypatch.setattr(certificates.KeyPair, "private_key", read_and_remove)
    server = Server(hello, port=0, **Authority(tmp_path).issue("site"))
    with pytest.raises(TLSError, match=r"^ssl_certificate: cannot use '.*/site.pem' .*: No such f"):
        server.prepare()
    assert not server.ready


def no_room(name):
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def test_chain_needs_nothing_that_can_be_written_to(site, tmp_path, monkeypatch):
    """The library wants it in one file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    authority = Authority(tmp_path)
    options = authority.issue("site", ca=authority.ca.create_child_ca())
    server = Server(hello, port=0, **options)
    server.prepare()
    server.stop()


def test_chain_without_room_for_a_temporary_file_is_one_clear_line(tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    options = authority.issue("site", ca=authority.ca.create_child_ca())
    monkeypatch.setattr(os, "memfd_create", no_room)
    server = Server(hello, port=0, **options)
    with pytest.raises(TLSError, match=r"^ssl_certificate_chain: cannot use a temporary file: "):
        server.prepare()
    assert not server.ready


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ssl_private_key": "a"}, "ssl_private_key needs ssl_certificate"),
        ({"ssl_hosts": {"a": ("b", "c")}}, "ssl_hosts needs ssl_certificate"),
        (
            {"ssl_certificate": "a", "ssl_verify_client": "required"},
            "ssl_verify_client needs ssl_client_ca",
        ),
        ({"ssl_certificate": "a", "ssl_client_ca": "b"}, "ssl_client_ca needs ssl_verify_client"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_option_that_would_have_no_effect_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Server(hello, **options)


def test_hosts_without_a_key_are_refused():
    with pytest.raises(TypeError, match=r"^ssl_hosts\['a'\] must be the paths .*, got 'b.pem'$"):
        Server(hello, ssl_certificate="a", ssl_hosts={"a": "b.pem"})


def test_without_pyopenssl_the_extra_is_named(localhost, monkeypatch):
    for name in ("pyopenssl", "pyopenssl_transport"):
        monkeypatch.delitem(sys.modules, f"cptoolkit.servers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    server = Server(hello, port=0, ssl_module="pyopenssl", **localhost)
    with pytest.raises(TLSError, match=r"pip install 'cptoolkit\[pyopenssl\]'$"):
        server.prepare()


# -- ready contexts -------------------------------------------------------------------------------


def builtin_context(options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.values())
    return context


def pyopenssl_context(options):
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(options["ssl_certificate"])
    context.use_privatekey_file(options["ssl_private_key"])
    return context


@pytest.mark.parametrize("make", [builtin_context, pyopenssl_context])
def test_ready_context_is_used(serve_app, localhost, authority, make):
    running = serve_app(tell_environ, ssl_context=make(localhost))
    with Client(running.server.bound_addr, authority) as client:
        assert environ_of(client)["HTTPS"] == "on"


@pytest.mark.parametrize(
    ("context", "message"),
    [
        pytest.param(
            ssl.create_default_context(), "ssl_context: cannot be a server's", id="client"
        ),
        pytest.param("adhoc", "ssl_context: must be one of ssl or pyOpenSSL", id="text"),
    ],
)
def test_context_that_is_no_servers_is_told_before_serving(context, message):
    with pytest.raises(TLSError, match=f"^{message}"):
        Server(hello, port=0, ssl_context=context).prepare()


# -- certificates of clients ----------------------------------------------------------------------


def alert(running, **settings):
    """Return the reason for which a client is refused.

    In TLS 1.3 it learns of it only after its first request (RFC 8446, section 4.4.2.4).
    """
    with pytest.raises(ssl.SSLError) as info, running.tls(**settings) as client:
        client.get().answer()
    return info.value.reason.lower()


def test_client_certificate_is_told_by_the_names_of_mod_ssl(site, authority, joe):
    running = site(tell_environ, ssl_client_ca=authority.pem, ssl_verify_client="optional")
    with running.tls(certificate=joe) as client:
        found = environ_of(client)
    with open(joe["ssl_certificate"]) as file:
        pem = file.read()
    assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert found["SSL_CLIENT_S_DN_CN"] == 'Joe, the "first"'
    assert found["SSL_CLIENT_S_DN_O"] == "Łódź + Söhne"
    assert found["SSL_CLIENT_S_DN"].startswith('CN=Joe\\, the \\"first\\",OU=')
    assert found["SSL_CLIENT_S_DN"].endswith(",O=Łódź \\+ Söhne")
    assert found["SSL_CLIENT_I_DN_O"].startswith("trustme")
    assert found["SSL_CLIENT_SAN_Email_0"] == "joe@example.com"
    assert found["SSL_CLIENT_M_VERSION"] == "3"
    assert found["SSL_CLIENT_M_SERIAL"] == serial_of(pem)
    assert found["SSL_CLIENT_V_START"] == "Jan  1 00:00:00 2000 GMT"
    assert found["SSL_CLIENT_V_END"] == "Jan  1 00:00:00 3000 GMT"
    assert int(found["SSL_CLIENT_V_REMAIN"]) > 300_000
    assert found["SSL_CLIENT_CERT"] == "-----BEGIN CERTIFICATE-----"  # and more lines
    assert found["SSL_SERVER_SAN_DNS_0"] == "localhost"
    assert found["SSL_SERVER_S_DN"].startswith("OU=")


def serial_of(pem):
    from cryptography import x509

    digits = f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


@pytest.mark.parametrize("policy", ["", "optional"])
def test_client_needs_no_certificate_unless_it_is_required(site, authority, joe, policy):
    options = {"ssl_client_ca": authority.pem, "ssl_verify_client": policy} if policy else {}
    running = site(tell_environ, **options)
    with running.tls(certificate=None if policy else joe) as client:
        found = environ_of(client)
    assert found["SSL_CLIENT_VERIFY"] == "NONE"
    assert not [name for name in found if name.startswith("SSL_CLIENT_S_DN")]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_client_without_required_certificate_is_told_so(site, authority, version):
    running = site(hello, ssl_client_ca=authority.pem, ssl_verify_client="required")
    # In TLS 1.3 a client learns of it only after its first request (RFC 8446, section 4.4.2.4).
    with (
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake.failure"),
        running.tls(maximum_version=getattr(ssl.TLSVersion, version)) as client,
    ):
        client.get().answer()


def test_client_certificate_of_a_stranger_is_refused(site, authority, tmp_path):
    running = site(hello, ssl_client_ca=authority.pem, ssl_verify_client="optional")
    stranger = Authority(tmp_path).issue("joe", "joe@example.com")
    with (
        pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"),
        running.tls(certificate=stranger) as client,
    ):
        client.get().answer()


def test_authority_of_the_chain_is_not_trusted_with_clients(site, authority, joe, tmp_path):
    others = Authority(tmp_path)
    running = site(
        hello,
        ssl_certificate_chain=authority.pem,
        ssl_client_ca=others.pem,
        ssl_verify_client="optional",
    )
    with (
        pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"),
        running.tls(certificate=joe) as client,
    ):
        client.get().answer()


def test_client_with_certificate_can_resume_its_session(site, authority, joe):
    running = site(tell_environ, ssl_client_ca=authority.pem, ssl_verify_client="required")
    context = ssl.create_default_context(cafile=authority.pem)
    context.load_cert_chain(*joe.values())
    session = None
    for resumed in (False, True):
        with (
            socket.create_connection(running.server.bound_addr, PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            with sock.makefile("rb") as file:
                answer = file.read()
            session = sock.session
            assert sock.session_reused is resumed
        assert b"SSL_CLIENT_S_DN_CN=Joe" in answer


# -- hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_for", "shown"),
    [
        ("localhost", "localhost"),
        ("a.example", "a.example"),
        ("A.Example", "a.example"),
        ("www.b.example", "*.b.example"),
        ("x.www.b.example", "localhost"),
        ("b.example", "localhost"),
        ("c.example", "localhost"),
    ],
)
def test_certificate_is_that_of_the_host_asked_for(site, authority, asked_for, shown):
    hosts = {}
    for host in ("a.example", "*.B.example"):
        hosts[host] = tuple(authority.issue(host, host.lower()).values())
    running = site(tell_environ, ssl_hosts=hosts)
    with running.tls(host=asked_for, check_hostname=False) as client:
        names = [value for kind, value in client.sock.getpeercert()["subjectAltName"]]
        assert names[0] == shown
        found = environ_of(client)
    assert found["SSL_TLS_SNI"].lower() == asked_for.lower()
    assert found["SSL_SERVER_SAN_DNS_0"] == shown


def test_clients_of_every_host_are_verified(site, authority):
    other = tuple(authority.issue("a.example", "a.example").values())
    options = {"ssl_client_ca": authority.pem, "ssl_verify_client": "required"}
    running = site(hello, ssl_hosts={"a.example": other}, **options)
    with (
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"),
        running.tls(host="a.example") as client,
    ):
        client.get().answer()


# -- new certificates -----------------------------------------------------------------------------


def test_new_certificate_is_used_without_restart(site, authority, tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.0)
    here = Authority(tmp_path)
    here.ca = authority.ca
    options = here.issue("site")
    running = site(hello, **options)

    def shown():
        with running.tls() as client:
            assert client.get().answer() == (200, b"hello")
            return client.sock.getpeercert(binary_form=True)

    with running.tls() as before:
        first = shown()
        (tmp_path / "site.pem").write_bytes(b"half of i")
        assert shown() == shown() == first
        assert [level for level, _ in running.logged] == ["ERROR"]
        assert "new certificates are not used: ssl_certificate: there is no" in running.logged[0][1]
        for path, new in zip(options.values(), here.issue("new").values(), strict=True):
            os.replace(new, path)
        second = shown()
        assert second != first
        assert running.logged[-1] == ("INFO", "new certificates are used from now on")
        assert before.get().answer() == (200, b"hello")  # an old connection stays


def test_new_chain_is_used_as_soon_as_there_is_room_for_it(
    serve_app, authority, tmp_path, monkeypatch
):
    monkeypatch.setattr(certificates, "LOOK_EVERY", 0.0)
    here = Authority(tmp_path)
    here.ca = authority.ca.create_child_ca()
    here.pem = authority.pem
    options = here.issue("site")
    running = serve_app(hello, **options)

    def shown():
        with Client(running.server.bound_addr, here) as client:
            assert client.get().answer() == (200, b"hello")
            return client.sock.getpeercert(binary_form=True)

    first = shown()
    for path, new in zip(options.values(), here.issue("new").values(), strict=True):
        os.replace(new, path)
    with monkeypatch.context() as full:
        full.setattr(os, "memfd_create", no_room)
        assert shown() == shown() == first
    assert shown() != first
    assert [level for level, _ in running.logged] == ["ERROR", "INFO"]
    assert "ssl_certificate_chain: cannot use a temporary file: " in running.logged[0][1]


# -- the handshake --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n" + b"x" * 100_000, b"\0"],
    ids=["GET", "POST", "something else"],
)
def test_plain_text_gets_a_readable_400(site, sent):
    answer = site(hello).talk(sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nContent-Type: text/plain" in head
    assert b"\r\nConnection: close\r\n" in head
    assert body == b"400 Bad Request\n%b\n" % (
        b"This port speaks TLS: ask with https:// instead of http://."
    )


def test_silent_clients_keep_nobody_waiting(site):
    running = site(hello, thread_pool=1, header_timeout=10 * PATIENCE)
    for beginning in [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"] * 7:
        running.connect().send(beginning)
    with running.tls() as client:
        assert client.get().answer() == (200, b"hello")


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "a part"])
def test_handshake_has_to_be_over_in_time(site, sent):
    began = time.perf_counter()
    client = site(hello, header_timeout=0.2).connect().send(sent)
    with contextlib.suppress(ConnectionResetError):
        assert client.rest() == b""
    assert time.perf_counter() - began > 0.1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x00\x05hello", id="no hello"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"x" * 70_000, id="too long a record"),
        pytest.param(b"\x16GET / HTTP/1.1", id="no record"),
    ],
)
def test_malformed_handshake_is_one_line_for_the_curious(site, sent, wait_until):
    running = site(hello)
    with contextlib.suppress(OSError):
        running.talk(sent)
    wait_until(lambda: running.logged)
    ((level, message),) = running.logged
    assert level == "DEBUG"
    assert message.startswith("TLS handshake with ('127.0.0.1', ")
    assert "\n" not in message
    with running.tls() as client:
        assert client.get().answer() == (200, b"hello")


def test_clients_that_vanish_in_the_handshake_leave_nothing_behind(site, wait_until):
    running = site(hello)
    reset = struct.pack("ii", 1, 0)
    for beginning in [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"] * 10:
        for how in ("end", "reset"):
            client = running.connect().send(beginning)
            if how == "reset":
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.close()
    with running.tls() as client:
        assert client.get().answer() == (200, b"hello")
        wait_until(lambda: len(running.server._engine.connections) == 1)
    assert {level for level, _ in running.logged} <= {"DEBUG"}


def test_socket_that_cannot_be_wrapped_hurts_no_other(site, library, monkeypatch, wait_until):
    module = importlib.import_module("cptoolkit.servers.tls")
    name = "BuiltinTLS"
    if library["ssl_module"] == "pyopenssl":
        module = importlib.import_module("cptoolkit.servers.pyopenssl")
        name = "PyOpenSSL"
    kind = getattr(module, name)
    wrap = kind.wrap
    failures = []

    def fail_once(self, sock):
        if not failures:
            failures.append(sock.detach())
            os.close(failures[0])  # as ``ssl`` does when the client has reset the connection
            raise ConnectionResetError("too late")
        return wrap(self, sock)

    monkeypatch.setattr(kind, "wrap", fail_once)
    running = site(hello)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        running.tls()
    for _ in range(3):  # the number of the socket is free, and is used again
        with running.tls() as client:
            assert client.get().answer() == (200, b"hello")
    wait_until(lambda: not running.server._engine.connections)
    assert not running.logged


def test_hello_may_come_in_pieces(site, authority):
    running = site(hello)
    by_hand = ByHand(running.connect().sock, authority)
    by_hand.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    by_hand.exchange(by_hand.tls.do_handshake, pieces=1)
    by_hand.tls.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert by_hand.exchange(lambda: by_hand.tls.read(1000), pieces=1).endswith(b"hello")


class ByHand:
    """A client that decides which bytes are sent when."""

    def __init__(self, sock, authority):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=authority.pem)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def exchange(self, act, pieces=1 << 20):
        """Call ``act`` until it needs nothing from the server, and return what it does."""
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                while data := self.outgoing.read(pieces):
                    self.sock.send(data)
                if data := self.sock.recv(65536):
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()


def test_handshake_waits_for_room(site, authority, narrow, wait_until):
    with open(authority.pem, "rb") as file:
        long = authority.folder / "long.pem"
        long.write_bytes(file.read() * 80)
    running = site(hello, socket=narrow, ssl_certificate_chain=str(long))
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(running.server.bound_addr)
        by_hand = ByHand(sock, authority)
        with contextlib.suppress(ssl.SSLWantReadError):
            by_hand.tls.do_handshake()
        sock.send(by_hand.outgoing.read())
        wait_until(lambda: [c for c in running.server._engine.connections.values() if c.unsent])
        by_hand.exchange(by_hand.tls.do_handshake)
        by_hand.tls.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert by_hand.exchange(lambda: by_hand.tls.read(1000)).endswith(b"hello")


def test_second_farewell_of_a_socket_does_not_concern_its_successor():
    engine = Engine(Options(), [], lambda conn: None, print)
    ends = []
    try:
        for _ in range(2):
            near, far = socket.socketpair()
            ends.append(far)
            conn = Connection(near, "", engine)
            engine.adopt(conn)
            if len(ends) == 1:
                first = conn
                engine.forget(first)
                near.close()
        assert conn.fd == first.fd  # the number is used again
        engine.forget(first)
        assert engine.connections == {conn.fd: conn}
        ends[1].send(b"!")
        busy, _ = engine._poller.wait(1)
        assert conn in busy
        near.close()
    finally:
        engine._poller.close()
        for end in ends:
            end.close()


# -- requests and answers -------------------------------------------------------------------------


def test_requests_in_one_record_are_all_answered(site):
    running = site(tell_environ)
    heads = [f"GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(3)]
    with running.tls() as client:
        client.send("".join(heads).encode())
        for number in range(3):
            _, body = client.answer()
            assert f"PATH_INFO=/{number}\n".encode() in body


def test_environ_stays_the_same_on_a_connection(site):
    running = site(tell_environ)
    with running.tls() as client:
        first, second = environ_of(client), environ_of(client)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Other: 1\r\n\r\n")
        _, body = client.answer()
    assert first == second
    assert f"SSL_CIPHER={first['SSL_CIPHER']}\n".encode() in body


def test_big_bodies_go_both_ways(site):
    running = site(echo, socket_timeout=PATIENCE)
    body = os.urandom(1_000_000) * 5
    with running.tls(receive_buffer=8192) as client:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n"
        assert client.send(head + body).answer() == (200, body)


def test_slow_reader_holds_no_thread(site, wait_until):
    body = os.urandom(100_000) * 50

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body] if environ["PATH_INFO"] == "/big" else [body[:0]]

    running = site(app, thread_pool=1)
    with running.tls(receive_buffer=8192) as slow, running.tls() as other:
        slow.get("/big")
        wait_until(lambda: [c for c in running.server._engine.connections.values() if c.unsent])
        assert other.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").file.readline()
        assert slow.answer() == (200, body)


def test_slow_but_steady_reader_is_kept(site, narrow, clock, wait_until):
    body = os.urandom(1_000_000)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    running = site(app, socket=narrow, socket_timeout=60)
    with running.tls(receive_buffer=4096) as client:
        client.get()
        assert client.file.readline() == b"HTTP/1.1 200 OK\r\n"
        http.client.parse_headers(client.file)
        [conn] = running.server._engine.connections.values()
        wait_until(lambda: conn.unsent)
        for start in range(0, len(body), 50_000):
            kept = len(conn.out)
            assert client.file.read(50_000) == body[start : start + 50_000]
            wait_until(lambda: len(conn.out) < kept or not conn.unsent)  # noqa: B023
            clock.ahead += 40


def test_reader_that_stops_is_given_up(site, wait_until):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "10000000")])
        return [bytes(10_000_000)]

    running = site(app, socket_timeout=0.3)
    with running.tls(receive_buffer=8192) as client:
        client.get()
        wait_until(lambda: [c for c in running.server._engine.connections.values() if c.unsent])
        wait_until(lambda: not running.server._engine.connections)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            client.answer()


@pytest.mark.parametrize("start", [0, 12_345])
def test_file_is_sent_whole(site, tmp_path, start):
    data = os.urandom(100_000) * 30
    (tmp_path / "file").write_bytes(data)

    def app(environ, start_response):
        file = open(tmp_path / "file", "rb")  # noqa: SIM115  # the wrapper closes it
        file.seek(start)
        start_response("200 OK", [("Content-Length", str(len(data) - start))])
        return environ["wsgi.file_wrapper"](file)

    running = site(app)
    with running.tls(receive_buffer=8192) as client:
        for _ in range(2):
            assert client.get().answer() == (200, data[start:])


def test_streamed_answer_waits_for_its_reader(site):
    def app(environ, start_response):
        start_response("200 OK", [])
        return (bytes([number]) * 50_000 for number in range(60))

    running = site(app, response_buffer=65536)
    with running.tls(receive_buffer=8192) as client:
        answer = client.get(version="1.0", connection="close").rest()
    assert answer.partition(b"\r\n\r\n")[2] == b"".join(bytes([n]) * 50_000 for n in range(60))


def test_refusal_reaches_a_client_that_is_still_sending(site):
    running = site(echo, max_request_body_size=10)
    with running.tls() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        client.send(bytes(1_000_000))
        assert client.answer()[0] == 413


# -- the end --------------------------------------------------------------------------------------


def test_end_of_an_answer_is_no_truncation(site):
    def app(environ, start_response):
        start_response("200 OK", [])
        return iter([b"a", b"b"])

    running = site(app)
    with running.tls() as client:
        # The client raises if the connection ends without a goodbye (RFC 8446, section 6.1).
        assert client.get(version="1.0", connection="close").rest().endswith(b"\r\n\r\nab")


def test_answer_that_fails_in_the_middle_is_a_truncation(site):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        raise RuntimeError("on purpose")

    running = site(app)
    with running.tls() as client, pytest.raises((ConnectionError, ssl.SSLError)):
        client.get(version="1.0", connection="close").rest()


def test_idle_connection_ends_with_a_goodbye(site):
    running = site(hello, keep_alive_timeout=0.1)
    with running.tls() as client:
        assert client.get().answer() == (200, b"hello")
        assert client.rest() == b""


def test_stop_finishes_what_is_under_way_and_says_goodbye(site, wait_until):
    inside, go_on = threading.Event(), threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            inside.set()
            go_on.wait(PATIENCE)
        return hello(environ, start_response)

    running = site(app)
    with running.tls() as idle, running.tls() as busy:
        assert idle.get().answer() == (200, b"hello")
        busy.get("/slow")
        assert inside.wait(PATIENCE)
        with in_threads(running.server.stop, stop=go_on.set):
            assert idle.rest() == b""
            go_on.set()
            assert busy.answer() == (200, b"hello")
            assert busy.rest() == b""


@pytest.mark.parametrize("how", ["end", "reset"])
def test_client_that_breaks_off_its_body_is_told_to_the_application(site, wait_until, how):
    called, raised = threading.Event(), []

    def app(environ, start_response):
        called.set()
        try:
            return echo(environ, start_response)
        except BaseException as exc:
            raised.append(type(exc).__name__)
            raise

    running = site(app, request_body_buffer=0)
    with running.tls() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        assert called.wait(PATIENCE)
        if how == "reset":
            reset = struct.pack("ii", 1, 0)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    wait_until(lambda: raised)
    assert raised == ["Disconnected"]
    with running.tls() as client:
        assert client.get().answer() == (200, b"hello"[:0])
    assert not running.logged


def test_request_before_the_goodbye_of_a_client_is_answered(site, authority):
    running = site(hello)
    by_hand = ByHand(running.connect().sock, authority)
    by_hand.exchange(by_hand.tls.do_handshake)
    by_hand.tls.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with contextlib.suppress(ssl.SSLWantReadError):
        by_hand.tls.unwrap()
    assert by_hand.exchange(lambda: by_hand.tls.read(1000)).endswith(b"hello")
    with pytest.raises(ssl.SSLZeroReturnError):  # the goodbye of the server
        by_hand.exchange(lambda: by_hand.tls.read(1000))
    assert not running.logged


class FullAtFirst:
    """A transport for which the goodbye is too much, once."""

    def __init__(self):
        self.calls = []

    def end(self):
        self.calls.append("end")
        if len(self.calls) == 1:
            raise BlockingIOError


def test_goodbye_that_cannot_be_sent_yet_is_not_forgotten():
    class Engine:
        options = Options()

        def patience(self, seconds):
            return seconds

        def forget(self, conn):
            """Nothing to do."""

    class Protocol:
        def closed(self):
            """Nothing to do."""

        renew_deadline = closed

    near, far = socket.socketpair()
    with near, far:
        conn = Connection(near, "", Engine())
        conn.protocol = Protocol()
        conn.transport = FullAtFirst()
        conn.finish(linger=False)
        assert conn.unsent  # so that the engine comes back when there is room
        assert conn.state < CLOSED
        conn.flush()
        conn.proceed()
        assert conn.transport.calls == ["end", "end"]
        assert conn.state == CLOSED
