"""Long bodies that come slowly: kept in a temporary file, where they hold no thread."""

from __future__ import annotations

import errno
import io
import os
import socket
import struct
import tempfile
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers.body import Body

TEXT = b"one\ntwo\n\nthree" * 1000
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
SIZED = HEAD + b"Content-Length: %d\r\n\r\n" % len(TEXT)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SLOW = {"request_body_buffer": 1000, "stream_rate": 10**15}
"""So that whoever had to be waited for is slow."""


@pytest.fixture
def files(monkeypatch):
    """The temporary files that were made."""
    made = []
    make = tempfile.TemporaryFile

    def note(*args):
        made.append(make(*args))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", note)
    return made


@pytest.fixture
def upload(serve_app, app, files, wait_until):
    """Return a function that serves ``app`` and begins a slow upload, which is on disk at last."""

    def upload(head=SIZED, app=app, **options):
        served = serve_app(app, thread_pool=1, **SLOW, **options)
        client = served.connect().send(head)
        served.get("/other")  # the head was looked at before
        client.send(TEXT[:5000] if head == SIZED else b"1388\r\n" + TEXT[:5000])
        wait_until(lambda: files)
        return served, client

    return upload


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        pytest.param(SIZED, TEXT[5000:], id="length"),
        pytest.param(
            CHUNKED, b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(TEXT) - 5000, TEXT[5000:]), id="chunks"
        ),
    ],
)
def test_slow_body_holds_no_thread_until_it_is_whole(upload, calls, files, wait_until, head, rest):
    served, client = upload(head)
    assert [served.get(f"/{n}").status for n in range(3)] == [200] * 3
    assert client.send(rest).answer().status == 200
    assert [path for _, path, _ in calls] == ["/other", "/0", "/1", "/2", "/"]
    assert calls[-1][2] == TEXT
    wait_until(lambda: files[0].closed)


def test_connection_is_kept_after_a_body_on_disk(upload, files):
    _, client = upload()
    client.send(TEXT[5000:] + SIZED + TEXT)
    assert [client.answer().status for _ in range(2)] == [200, 200]


def test_fast_body_is_not_written_to_disk(serve_app, app, calls, files):
    client = serve_app(app, request_body_buffer=1000, stream_rate=1).connect()
    for piece in (SIZED, TEXT[:5000], TEXT[5000:]):
        client.send(piece)
    assert client.answer().status == 200
    assert calls == [("POST", "/", TEXT)]
    assert files == []


def test_body_that_the_client_was_not_asked_for_is_never_collected(serve_app, app, calls, files):
    client = serve_app(app, **SLOW).connect()
    client.send(SIZED.replace(b"Host", b"Expect: 100-continue\r\nHost"))
    assert client.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert client.send(TEXT).answer().status == 200
    assert files == []


@pytest.mark.parametrize("end", ["client", "server"])
def test_file_is_closed_when_the_upload_ends_early(upload, files, wait_until, calls, end):
    served, client = upload(shutdown_timeout=0)
    client.close() if end == "client" else served.close()
    wait_until(lambda: files[0].closed)
    assert [path for _, path, _ in calls] == ["/other"]


def test_file_is_closed_when_the_upload_turns_bad(upload, files, wait_until, calls):
    _, client = upload(CHUNKED)
    assert client.send(b"no line end\r\n").answer().status == 400
    wait_until(lambda: files[0].closed)
    assert [path for _, path, _ in calls] == ["/other"]


def test_file_is_closed_when_the_upload_grows_too_long(upload, files, wait_until):
    _, client = upload(CHUNKED, max_request_body_size=6000)
    assert client.send(b"\r\n3e9\r\n").answer().status == 413
    wait_until(lambda: files[0].closed)


def test_file_is_closed_when_the_application_fails(upload, files, wait_until):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/":
            raise ValueError(environ["wsgi.input"].read(10))
        start_response("200 OK", [])
        return []

    _, client = upload(app=app)
    assert client.send(TEXT[5000:]).answer().status == 500
    wait_until(lambda: files[0].closed)


def test_file_is_closed_when_the_client_does_not_wait_for_the_answer(upload, files, wait_until):
    begun, gone = threading.Event(), threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/":
            begun.set()
            gone.wait(10)
        start_response("200 OK", [])
        return [b"too late"]

    _, client = upload(app=app)
    client.send(TEXT[5000:])
    assert begun.wait(10)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    gone.set()
    wait_until(lambda: files[0].closed)


# -- trouble with the disk ------------------------------------------------------------------------


def full(*args):
    return open("/dev/full", "w+b")


def missing(*args):
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/no/temporary/folder")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("trouble", [full, missing])
def test_full_disk_refuses_the_upload_and_is_logged_once(
    serve_app, app, calls, monkeypatch, trouble
):
    monkeypatch.setattr(tempfile, "TemporaryFile", trouble)
    served = serve_app(app, thread_pool=1, **SLOW)
    for _ in range(3):
        client = served.connect().send(SIZED)
        served.get("/other")
        answer = client.send(TEXT[:9000]).answer()
        assert (answer.status, answer.will_close) == (507, True)
    assert {path for _, path, _ in calls} == {"/other"}
    assert [level for level, _ in served.logged] == ["ERROR"]
    assert "temporary file" in served.logged[0][1]


def test_file_is_closed_when_the_disk_does_not_take_its_end(upload, files, wait_until, calls):
    _, client = upload()
    wait_until(lambda: files[0].tell() == 5000)
    files[0].writelines = missing
    assert client.send(TEXT[5000:]).answer().status == 507
    wait_until(lambda: files[0].closed)
    assert [path for _, path, _ in calls] == ["/other"]


def test_want_of_room_is_told_whatever_was_asked_behind(upload, files, wait_until):
    _, client = upload()
    wait_until(lambda: files[0].tell() == 5000)
    files[0].writelines = missing
    answer = client.send(TEXT[5000:] + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer()
    assert answer.status == 507
    assert b"no room" in answer.body


def test_disk_that_fills_up_again_is_logged_again(serve_app, app, monkeypatch, wait_until, files):
    served = serve_app(app, thread_pool=1, **SLOW)
    make = tempfile.TemporaryFile
    for make_file in (missing, make, missing):
        monkeypatch.setattr(tempfile, "TemporaryFile", make_file)
        client = served.connect().send(SIZED)
        served.get("/other")
        client.send(TEXT[:9000])
        if make_file is make:
            wait_until(lambda: files)
            client.send(TEXT[9000:])
        assert client.answer().status == (200 if make_file is make else 507)
    assert len(served.logged) == 2


# -- reading --------------------------------------------------------------------------------------

METHODS = ["read", "readline", "readlines"]


@given(
    pieces=st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\1", b"\n")), min_size=1),
    spills=st.sets(st.integers(0, 5), min_size=1),
    steps=st.lists(st.tuples(st.sampled_from(METHODS), st.none() | st.integers(-1, 9))),
)
def test_body_on_disk_reads_like_a_file(pieces, spills, steps):
    body = Body(lambda: None)
    for number, piece in enumerate(pieces):
        body.put(piece)
        if number in spills:
            body.spill()
    body.end()
    body.spill()
    file = io.BytesIO(b"".join(pieces))
    assert body.received == len(file.getvalue())
    for method, size in steps:
        assert getattr(body, method)(size) == getattr(file, method)(size)
    assert list(body) == list(file)
    body.detach()
    assert body.read() == body.readline() == b""
