"""What an application is told of a request (PEP 3333, "environ Variables")."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from cptoolkit.servers import wsgi

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def hello(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]


@pytest.fixture
def environ_of(serve_app):
    """Return a function that sends a request and returns the environ it makes."""

    def environ_of(data, **options):
        seen = []

        def app(environ, start_response):
            seen.append(environ)
            start_response("204 No Content", [])
            return []

        served = serve_app(app, **options)
        served.connect().send(data).answer()
        seen[0]["test.address"] = served.server.bound_addr
        return seen[0]

    return environ_of


def test_environ_tells_the_request(environ_of):
    head = b"Host: a:1\r\nX-Y: 1\r\nx-y: 2\r\nCookie: a=1\r\nCookie: b=2\r\nContent-Type: t/p\r\n"
    environ = environ_of(
        b"POST /a%20%e9/b?c=%20&d HTTP/1.1\r\n" + head + b"Content-Length: 2\r\n\r\nhi"
    )
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a \xe9/b",
        "QUERY_STRING": "c=%20&d",
        "REQUEST_URI": "/a%20%e9/b?c=%20&d",
        "RAW_URI": "/a%20%e9/b?c=%20&d",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "a:1",
        "HTTP_X_Y": "1, 2",
        "HTTP_COOKIE": "a=1; b=2",
        "CONTENT_TYPE": "t/p",
        "CONTENT_LENGTH": "2",
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_environ_tells_the_server_and_the_client(environ_of):
    environ = environ_of(GET, server_name="here/1")
    assert environ["SERVER_SOFTWARE"] == "here/1"
    assert (environ["SERVER_NAME"], int(environ["SERVER_PORT"])) == environ["test.address"]
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert int(environ["REMOTE_PORT"]) > 0
    assert environ["wsgi.url_scheme"] == "http"
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == (True, False)
    assert environ["wsgi.input_terminated"] is True


def test_authority_of_an_absolute_target_is_the_host(environ_of):
    environ = environ_of(b"GET http://b:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n")
    assert environ["HTTP_HOST"] == "b:8"
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/x", "y")
    assert environ["REQUEST_URI"] == "http://b:8/x?y"


def test_asterisk_has_an_empty_path(environ_of):
    environ = environ_of(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (environ["PATH_INFO"], environ["REQUEST_URI"]) == ("", "*")


def test_name_with_underscore_is_dropped_and_logged_once(serve_app):
    seen = []

    def app(environ, start_response):
        seen.append(environ.get("HTTP_X_TEST_ADDRESS"))
        start_response("204 No Content", [])
        return []

    served = serve_app(app)
    fields = b"X-Test-Address: mine\r\nX_Test_Address: yours\r\nX-Test_Address: theirs\r\n"
    client = served.connect()
    for _ in range(3):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n").answer()
    assert seen == ["mine"] * 3
    assert sum("'x_test_address'" in text for _, text in served.logged) == 1


def test_repeated_fields_belong_to_their_own_request(serve_app):
    seen = []

    def app(environ, start_response):
        seen.append((environ["PATH_INFO"], environ["QUERY_STRING"], environ.get("HTTP_X")))
        environ["HTTP_X"] = "spoilt"
        start_response("204 No Content", [])
        return []

    client = serve_app(app).connect()
    for path, x in [(b"/1", b"a"), (b"/2?q", b"a"), (b"/3%41", b"b"), (b"/4", b"b"), (b"/5", b"b")]:
        client.send(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nX: " + x + b"\r\n\r\n").answer()
    assert seen == [("/1", "", "a"), ("/2", "q", "a"), ("/3A", "", "b"), ("/4", "", "b"),
                    ("/5", "", "b")]  # fmt: skip


@pytest.mark.parametrize(
    "words", [b"GET /a#b", b"GET /a b", b"GET  /", b"GET /\xe9", b"GET a", b"g /"]
)
def test_repeated_fields_do_not_excuse_the_request_line(serve_app, words):
    client = serve_app(hello).connect()
    block = b"\r\nHost: a\r\n\r\n"
    for _ in range(2):
        assert client.send(b"GET / HTTP/1.1" + block).answer().status == 200
    assert client.send(words + b" HTTP/1.1" + block).answer().status in (400, 501)


def test_long_names_are_neither_remembered_nor_logged(serve_app):
    served = serve_app(hello)
    for name in (b"a" * 65, b"a_" * 33):
        assert served.talk(GET[:-2] + b"Connection: close\r\n" + name + b": x\r\n\r\n")
        assert name not in wsgi._keys
    assert served.logged == []


@pytest.fixture
def credentials(environ_of, tmp_path):
    """Return a function that gives what the environ tells of the process that asks."""

    def ask(**options):
        environ = environ_of(GET, socket_file=str(tmp_path / "s"), **options)
        return {key: environ[key] for key in environ if "REMOTE_" in key and environ[key]}

    return ask


def test_process_at_the_other_end_of_a_unix_socket_is_told_if_that_is_asked_for(credentials):
    expected = {
        "X_REMOTE_PID": str(os.getpid()),
        "X_REMOTE_UID": str(os.getuid()),
        "X_REMOTE_GID": str(os.getgid()),
    }
    assert credentials(peercreds=True) == expected


def test_its_user_and_group_have_their_names_if_that_is_asked_for(credentials):
    told = credentials(peercreds=True, peercreds_resolve=True)
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    assert (told["X_REMOTE_USER"], told["X_REMOTE_GROUP"]) == (user, group)
    assert told["REMOTE_USER"] == user


def test_number_without_a_name_stands_for_itself(credentials, monkeypatch):
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", {}.__getitem__)
    told = credentials(peercreds=True, peercreds_resolve=True)
    assert told["REMOTE_USER"] == told["X_REMOTE_UID"] == str(os.getuid())
    assert told["X_REMOTE_GROUP"] == str(os.getgid())


def test_it_is_not_told_by_default(credentials):
    assert credentials() == {}


def test_client_of_a_port_has_no_such_credentials(environ_of):
    assert not [key for key in environ_of(GET, peercreds=True) if key.startswith("X_REMOTE")]
