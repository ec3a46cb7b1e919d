"""The native gateway: applications that return their answer."""

from __future__ import annotations

import pytest

from cptoolkit.servers.errors import BodyTimeout
from cptoolkit.servers.native import NativeGateway
from cptoolkit.servers.wsgi import FileWrapper

GET = b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def serve_native(serve_app, monkeypatch):
    """Return a function that serves an application natively."""

    def serve(app, **options):
        monkeypatch.setattr("cptoolkit.servers.Server.gateway_class", NativeGateway)
        return serve_app(app, **options)

    return serve


class Blocks:
    """A body that knows whether it was closed."""

    def __init__(self, *blocks):
        self.blocks = iter(blocks)
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self.blocks)
        if isinstance(block, Exception):
            raise block
        return block

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([b"abc"], id="one block"),
        pytest.param([b"a", b"bc"], id="two blocks"),
        pytest.param((b"abc",), id="tuple"),
        pytest.param(Blocks(b"a", b"", b"bc"), id="iterator"),
    ],
)
def test_what_is_returned_is_sent(serve_native, body):
    client = serve_native(lambda environ: ("200 Fine", [("X", "1")], body)).connect()
    answer = client.send(GET).answer()
    assert (answer.status, answer.reason, answer.body) == (200, "Fine", b"abc")
    assert answer.headers["X"] == "1"


def test_environ_is_that_of_pep_3333(serve_native):
    def app(environ):
        words = [environ[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING")]
        return "200 OK", [], [" ".join(words).encode() + environ["wsgi.input"].read()]

    data = b"PUT /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n!!"
    assert serve_native(app).connect().send(data).answer().body == b"PUT /a b!!"


def test_files_are_sent_whole_and_closed(serve_native, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(200_000))
    opened = []

    def app(environ):
        opened.append(path.open("rb"))
        return "200 OK", [("Content-Length", "200000")], FileWrapper(opened[-1])

    client = serve_native(app).connect().send(GET)
    assert client.answer().body == bytes(200_000)
    assert client.send(GET).answer().status == 200
    assert opened[0].closed


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ValueError("so it goes"), id="raises"),
        pytest.param(None, id="returns nothing"),
        pytest.param(("200 OK", [("X", "a\r\nb")], Blocks()), id="a field with line ends"),
        pytest.param(("200 OK", [], ["text"]), id="text"),
        pytest.param(("200 OK", [], Blocks(ValueError("so it goes"))), id="fails at once"),
    ],
)
def test_application_that_fails_gets_a_500(serve_native, answer):
    def app(environ):
        if isinstance(answer, Exception):
            raise answer
        return answer

    served = serve_native(app)
    assert served.get().status == 500
    assert served.logged == [("ERROR", "error in the application while it answered GET '/'")]
    if answer and not isinstance(answer, Exception) and isinstance(answer[2], Blocks):
        assert answer[2].closed == 1


def test_clients_mistake_is_its_own(serve_native):
    def app(environ):
        raise BodyTimeout("too slow")

    served = serve_native(app)
    assert served.get().status == 408
    assert served.logged == []


def test_body_is_closed_when_its_client_has_gone(serve_native, wait_until):
    body = Blocks(*[b"x" * 100_000] * 1000)
    served = serve_native(lambda environ: ("200 OK", [], body))
    served.connect().send(GET).close()
    wait_until(lambda: body.closed == 1)


def test_scgi_can_be_served_natively_too(serve_native):
    served = serve_native(lambda environ: ("200 OK", [], [b"hi"]), protocol="scgi")
    head = b"CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0"
    assert served.talk(b"%d:%b," % (len(head), head)).endswith(b"\r\n\r\nhi")
