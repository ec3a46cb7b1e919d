"""Files as answers: sent by the kernel, in turns, without a thread."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import tempfile
import time
from functools import partial

import pytest
from beside import PATIENCE, in_threads

pytestmark = pytest.mark.usefixtures("each_poller")

SIZE = 5_000_000
LARGE = 50_000_000

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SHORT = b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def content():
    return os.urandom(50_000) * (SIZE // 50_000)


@pytest.fixture
def path(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


@pytest.fixture
def large(tmp_path):
    """A file that takes no room, and takes its time."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


def sender(open_file, headers=()):
    """An application that sends a file, but for /short."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/short":
            start_response("200 OK", [("Content-Length", "5")])
            return [b"short"]
        start_response("200 OK", list(headers))
        return environ["wsgi.file_wrapper"](open_file())

    return app


def descriptors_of(path):
    """How often this process has a file open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}").removesuffix(" (deleted)"))
    return found.count(str(path))


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", id="kept alive"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", id="closed"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="HTTP 1.0"),
        pytest.param(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", id="HTTP 1.0 kept alive"),
    ],
)
def test_file_arrives_whole_with_its_length(serve_app, path, content, head, wait_until):
    served = serve_app(sender(lambda: path.open("rb")))
    answer = served.connect().send(head).answer()
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.body == content
    wait_until(lambda: descriptors_of(path) == 0)  # the client may be quicker than the server
    assert served.logged == []


def test_many_clients_get_the_same_file(serve_app, path, content):
    served = serve_app(sender(lambda: path.open("rb")), thread_pool=3)
    clients = [served.connect().send(GET * 2) for _ in range(8)]
    assert all(c.answer().body == content for c in clients for _ in range(2))


@pytest.mark.parametrize(
    ("start", "size"),
    [
        pytest.param(0, 100, id="its beginning"),
        pytest.param(1_000_000, 100, id="some bytes in the middle"),
        pytest.param(1_000_000, 3_000_000, id="a long part"),
        pytest.param(SIZE - 70_000, 70_000, id="its end"),
        pytest.param(SIZE, 0, id="nothing"),
    ],
)
def test_part_of_a_file_is_what_follows_its_position(serve_app, path, content, start, size):
    def opened():
        file = path.open("rb")
        file.seek(start)
        return file

    app = sender(opened, [("Content-Length", str(size))])
    client = serve_app(app).connect().send(GET)
    assert client.answer().body == content[start : start + size]
    assert client.send(SHORT).answer().body == b"short"


def test_head_has_no_bytes_of_the_file(serve_app, path):
    client = serve_app(sender(lambda: path.open("rb"))).connect()
    answer = client.send(GET.replace(b"GET", b"HEAD")).answer("HEAD")
    assert answer.headers["Content-Length"] == str(SIZE)
    assert client.send(SHORT).answer().body == b"short"
    assert descriptors_of(path) == 0


@pytest.mark.parametrize("size", [100_000, 1000], ids=["long", "short"])
def test_file_longer_than_promised_is_cut_there(serve_app, path, content, size):
    os.truncate(path, 2 * size)
    served = serve_app(sender(lambda: path.open("rb"), [("Content-Length", str(size))]))
    client = served.connect().send(GET)
    assert client.answer().body == content[:size]
    assert client.send(SHORT).answer().body == b"short"
    assert served.logged == []  # as in a range


def test_file_shorter_than_promised_ends_the_connection(serve_app, path, content):
    served = serve_app(sender(lambda: path.open("rb"), [("Content-Length", str(SIZE + 1))]))
    answer = served.talk(GET)
    assert answer.endswith(content[-100:])
    assert "shorter than its Content-Length" in served.logged[0][1]


def test_file_that_shrinks_on_the_way_ends_the_connection(serve_app, large, wait_until):
    served = serve_app(sender(lambda: large.open("rb")), thread_pool=1)
    client = served.connect().send(GET)
    client.sock.recv(1)
    os.truncate(large, 0)
    assert len(client.rest()) < LARGE
    wait_until(lambda: descriptors_of(large) == 0)
    assert [level for level, _ in served.logged] == ["ERROR"]
    assert "the file ends" in served.logged[0][1]
    assert served.get("/short").body == b"short"


def test_slow_readers_of_files_hold_no_thread(serve_app, large):
    served = serve_app(
        sender(lambda: large.open("rb")), thread_pool=2, socket_timeout=0, shutdown_timeout=0.1
    )
    slow = [served.connect().send(GET) for _ in range(8)]
    for client in slow:
        assert client.sock.recv(12) == b"HTTP/1.1 200"
    assert [served.get("/short").body for _ in range(10)] == [b"short"] * 10


def test_fast_reader_of_a_file_leaves_others_their_turn(serve_app, large, monkeypatch):
    os.truncate(large, 1 << 40)
    taken = 0

    def insatiable(fd, descriptor, offset, count):
        """A client that takes some 100 MB a second, and never has enough for now."""
        nonlocal taken
        time.sleep(0.0005)
        taken += min(count, 65536)
        return min(count, 65536)

    served = serve_app(sender(lambda: large.open("rb")), thread_pool=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "sendfile", insatiable)
        fast = served.connect().send(GET)
        fast.sock.recv(1)
        assert served.get("/short").body == b"short"
        assert taken
    fast.close()


def test_requests_behind_a_file_are_answered_in_order(serve_app, path, content):
    served = serve_app(sender(lambda: path.open("rb")), thread_pool=4)
    client = served.connect().send(SHORT + GET + SHORT + GET + SHORT)
    answers = [client.answer().body for _ in range(5)]
    assert answers == [b"short", content, b"short", content, b"short"]


def test_file_is_closed_when_its_reader_has_gone(serve_app, large, wait_until):
    served = serve_app(sender(lambda: large.open("rb")))
    client = served.connect().send(GET)
    client.sock.recv(1)
    assert descriptors_of(large) >= 1
    client.close()
    wait_until(lambda: descriptors_of(large) == 0 and not served.server._engine.connections)
    assert served.logged == []


def test_file_is_closed_when_its_reader_takes_nothing(serve_app, large, wait_until):
    served = serve_app(sender(lambda: large.open("rb")), socket_timeout=0.1)
    served.connect().send(GET).sock.recv(1)
    wait_until(lambda: descriptors_of(large) == 0 and not served.server._engine.connections)


def test_file_is_closed_when_the_server_stops(serve_app, large):
    served = serve_app(sender(lambda: large.open("rb")), shutdown_timeout=0.1)
    served.connect().send(GET).sock.recv(1)
    served.close()
    assert descriptors_of(large) == 0


def test_download_under_way_is_finished_when_the_server_stops(serve_app, large, wait_until):
    served = serve_app(sender(lambda: large.open("rb")), shutdown_timeout=PATIENCE)
    client = served.connect().send(GET)
    client.sock.recv(1)
    total = 1
    with in_threads(served.server.stop):
        wait_until(lambda: served.server._engine is None or served.server._engine.draining)
        while block := client.sock.recv(1_000_000):
            total += len(block)
    assert total > LARGE


class Plain:
    """What only has ``read``."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(size)


def zipped(path):
    with gzip.open(f"{path}.gz", "wb", compresslevel=1) as file:
        file.write(path.read_bytes())
    return gzip.open(f"{path}.gz")


def filled(make):
    def opened(path):
        file = make()
        file.write(path.read_bytes())
        file.seek(0)
        return file

    return opened


class UpperFile(io.FileIO):
    """What reads, at any of its layers, other bytes than the file has."""

    def read(self, size=-1):
        return super().read(size).upper()

    def readinto(self, buffer):
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class UpperReader(io.BufferedReader):
    def read(self, size=-1):
        return super().read(size).upper()


class UpperRandom(io.BufferedRandom):
    def read(self, size=-1):
        return super().read(size).upper()


class UpperTemporary(tempfile._TemporaryFileWrapper):
    def read(self, size=-1):
        return self.file.read(size).upper()


class UpperFrom:
    """What keeps the file it reads from, as tempfile's wrapper does."""

    def __init__(self, file):
        self.file, self.fileno, self.tell, self.close = file, file.fileno, file.tell, file.close

    def read(self, size=-1):
        return self.file.read(size).upper()


@pytest.fixture
def by_kernel(monkeypatch):
    """The calls of ``os.sendfile``."""
    calls = []
    send = os.sendfile

    def sendfile(*args):
        calls.append(args)
        return send(*args)

    monkeypatch.setattr(os, "sendfile", sendfile)
    return calls


@pytest.mark.parametrize(
    "opened",
    [
        pytest.param(UpperFile, id="FileIO"),
        pytest.param(lambda path: io.BufferedReader(UpperFile(path)), id="BufferedReader of that"),
        pytest.param(lambda path: UpperReader(io.FileIO(path)), id="BufferedReader"),
        pytest.param(lambda path: UpperRandom(io.FileIO(path, "r+")), id="BufferedRandom"),
        pytest.param(lambda path: UpperTemporary(path.open("rb"), str(path), False), id="tempfile"),
        pytest.param(lambda path: UpperFrom(path.open("rb")), id="what has a file"),
    ],
)
def test_what_reads_otherwise_than_its_file_is_read(serve_app, path, by_kernel, opened):
    path.write_bytes(b"lower case " * 10_000)
    assert serve_app(sender(lambda: opened(path))).get().body == b"LOWER CASE " * 10_000
    assert by_kernel == []


PLAIN = [
    pytest.param(lambda path: path.open("rb"), id="a file"),
    pytest.param(lambda path: path.open("rb", buffering=0), id="an unbuffered file"),
    pytest.param(lambda path: path.open("r+b"), id="a writable file"),
    pytest.param(filled(tempfile.TemporaryFile), id="TemporaryFile"),
    pytest.param(filled(tempfile.NamedTemporaryFile), id="NamedTemporaryFile"),
]


@pytest.mark.parametrize("opened", PLAIN)
def test_files_are_sent_by_the_kernel(serve_app, path, content, by_kernel, opened):
    assert serve_app(sender(lambda: opened(path))).get().body == content
    assert by_kernel != []


@pytest.mark.parametrize(
    "opened",
    [
        *PLAIN,
        pytest.param(
            filled(partial(tempfile.SpooledTemporaryFile, 10 * SIZE)), id="SpooledTemporaryFile"
        ),
        pytest.param(zipped, id="GzipFile"),
        pytest.param(lambda path: io.BytesIO(path.read_bytes()), id="BytesIO"),
        pytest.param(lambda path: Plain(path.read_bytes()), id="something to read"),
    ],
)
def test_everything_that_can_be_read_can_be_wrapped(serve_app, path, content, opened):
    client = serve_app(sender(lambda: opened(path))).connect().send(GET)
    assert client.answer().body == content
    assert client.send(SHORT).answer().body == b"short"


def test_file_of_the_kernel_that_claims_to_be_empty_is_read(serve_app):
    served = serve_app(sender(partial(open, "/proc/self/cmdline", "rb")))
    assert served.get().body != b""


def test_file_that_the_kernel_cannot_send_is_read(serve_app, path, content, monkeypatch):
    def refused(*args):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "sendfile", refused)
    client = serve_app(sender(lambda: path.open("rb"))).connect().send(GET + SHORT)
    assert client.answer().body == content
    assert client.answer().body == b"short"


def test_wrapped_file_is_closed_once_with_the_answer(serve_app, path, wait_until):
    closed = []

    class File(io.FileIO):
        def close(self):
            if not self.closed:
                closed.append(self.name)
            super().close()

    served = serve_app(sender(lambda: File(path)))
    assert len(served.get().body) == SIZE
    assert closed == [path]
