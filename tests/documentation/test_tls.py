"""What the reference says of SSL, tried with its own commands and settings."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import pytest

PROGRAM = """
import cptoolkit as cherrypy

cherrypy.server.socket_port = 0
cherrypy.config.update({{"checker.on": False}})
{settings}

class Root:
    @cherrypy.expose
    def index(self):
        return cherrypy.request.scheme

cherrypy.quickstart(Root())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a key and a certificate made as 8.6 says, and a chain."""
    openssl = shutil.which("openssl") or pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificates")
    for command in (
        "genrsa -out privkey.pem 2048",
        "req -new -x509 -days 365 -key privkey.pem -out cert.pem -subj /CN=localhost",
    ):
        subprocess.run([openssl, *command.split()], cwd=folder, check=True, capture_output=True)
    shutil.copy(folder / "cert.pem", folder / "certchain.pem")
    return folder


@pytest.fixture
def start(folder):
    started = []

    def start(settings):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(settings=settings)],
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        said = []
        for line in process.stderr:
            said.append(line)
            if match := re.search(r"Serving on https://127\.0\.0\.1:(\d+)$", line):
                return int(match[1])
        raise AssertionError("".join(said))

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def talk(port, folder=None):
    """Return the answer to a request, encrypted if there is a folder with a certificate."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        if folder is not None:
            context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
            sock = context.wrap_socket(sock, server_hostname="localhost")
        with sock, sock.makefile("rb") as file:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return file.read()


@pytest.mark.parametrize("library", ["builtin", "pyopenssl"])
def test_certificate_and_key_make_an_https_site(start, folder, library):
    """8.6, the settings of step 3 and 4, and of the certificate chain."""
    port = start(
        f"""
cherrypy.server.ssl_module = '{library}'
cherrypy.server.ssl_certificate = "cert.pem"
cherrypy.server.ssl_private_key = "privkey.pem"
cherrypy.server.ssl_certificate_chain = "certchain.pem"
"""
    )
    answer = talk(port, folder)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhttps")
    assert talk(port).startswith(b"HTTP/1.1 400 Bad Request\r\n")  # History, #1497


HSTS = """
@cherrypy.tools.register('before_finalize', priority=60)
def secureheaders():
    headers = cherrypy.response.headers
    if cherrypy.server.ssl_certificate != None and cherrypy.server.ssl_private_key != None:
        headers['Strict-Transport-Security'] = 'max-age=31536000'

cherrypy.config.update({'tools.secureheaders.on': True})
cherrypy.server.ssl_certificate = "cert.pem"
cherrypy.server.ssl_private_key = "privkey.pem"
"""


def test_tool_keeps_browsers_on_https_where_there_is_a_certificate(start, folder):
    """5.7, what it adds to its tool for SSL."""
    answer = talk(start(HSTS), folder)
    assert b"\r\nStrict-Transport-Security: max-age=31536000\r\n" in answer
