"""CGI variables as web servers send them, and the environ that they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers.cgi import paths, variables
from cptoolkit.servers.errors import BadRequest


def found(*pairs):
    given = [("REQUEST_METHOD", "GET"), *pairs]
    return variables((name.encode("latin-1"), value.encode("latin-1")) for name, value in given)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param([("X", "1"), ("X", "2")], {"X": "2"}, id="the last one counts"),
        pytest.param([("X", "1"), ("X", "")], {"X": "1"}, id="an empty one is not set"),
        pytest.param(
            [("HTTP_X", "1"), ("HTTP_X", "2")], {"HTTP_X": "1, 2"}, id="fields are joined"
        ),
        pytest.param(
            [("HTTP_COOKIE", "a=1"), ("HTTP_COOKIE", "b=2")],
            {"HTTP_COOKIE": "a=1; b=2"},
            id="cookies are joined",
        ),
        pytest.param([("HTTP_X", "")], {"HTTP_X": ""}, id="an empty field"),
        pytest.param([("CONTENT_TYPE", "")], {}, id="no content type"),
        pytest.param([("QUERY_STRING", "")], {"QUERY_STRING": ""}, id="an empty query"),
        pytest.param([("X", "\xe9")], {"X": "\xe9"}, id="bytes as latin-1"),
        pytest.param([("HTTP_PROXY", "http://evil")], {}, id="httpoxy"),
        pytest.param([("HTTP_CONTENT_TYPE", "a/b")], {}, id="a variable of its own"),
        pytest.param([("wsgi.errors", "1"), ("X.Y", "1"), ("", "1")], {}, id="no such names"),
        pytest.param(
            [("HTTP_TRANSFER_ENCODING", "chunked")],
            {"HTTP_TRANSFER_ENCODING": "chunked"},
            id="a coding without a length",
        ),
        pytest.param(
            [("HTTP_TRANSFER_ENCODING", "chunked"), ("CONTENT_LENGTH", "3")],
            {"CONTENT_LENGTH": "3"},
            id="a coding that is undone",
        ),
        pytest.param(
            [("HTTP_CONTENT_LENGTH", "03"), ("CONTENT_LENGTH", "3")],
            {"CONTENT_LENGTH": "3"},
            id="the length as the client has sent it",
        ),
    ],
)
def test_variables(pairs, expected):
    assert found(*pairs) == {"REQUEST_METHOD": "GET", **expected}


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([("REQUEST_METHOD", "A B")], id="method"),
        pytest.param([("CONTENT_LENGTH", "+1")], id="sign"),
        pytest.param([("CONTENT_LENGTH", "\xb2")], id="a digit that is none"),
        pytest.param([("CONTENT_LENGTH", "1" * 19)], id="more than a number"),
        pytest.param([("CONTENT_LENGTH", "1"), ("CONTENT_LENGTH", "2")], id="two lengths"),
        pytest.param([("CONTENT_LENGTH", "1"), ("HTTP_CONTENT_LENGTH", "2")], id="client's length"),
        pytest.param([("CONTENT_LENGTH", "1"), ("HTTP_CONTENT_LENGTH", "\xb9")], id="no length"),
    ],
)
def test_bad_variables_are_refused(pairs):
    with pytest.raises(BadRequest):
        found(*pairs)


@pytest.mark.parametrize(
    ("given", "script_name", "path"),
    [
        pytest.param({"SCRIPT_NAME": "/a", "PATH_INFO": "/b"}, "/a", "/b", id="as PEP 3333 has it"),
        pytest.param({"SCRIPT_NAME": "/a", "PATH_INFO": ""}, "/a", "", id="at the mount point"),
        pytest.param({"SCRIPT_NAME": "/a/b"}, "", "/a/b", id="nginx: fastcgi_params"),
        pytest.param(
            {"SCRIPT_NAME": "/a/b", "PATH_INFO": "/a/b", "DOCUMENT_URI": "/a/b"},
            "",
            "/a/b",
            id="nginx: fastcgi_params and PATH_INFO",
        ),
        pytest.param(
            {"SCRIPT_NAME": "/a", "PATH_INFO": "/a", "DOCUMENT_URI": "/a/a"},
            "/a",
            "/a",
            id="a path that is called like its mount point",
        ),
        pytest.param(
            {"DOCUMENT_URI": "/a b", "REQUEST_URI": "/./a%20b?c"},
            "",
            "/a b",
            id="nginx: scgi_params",
        ),
        pytest.param({"REQUEST_URI": "/a%20b%c3?c=%20"}, "", "/a b\xc3", id="nothing but a URI"),
        pytest.param({"SCRIPT_NAME": "/", "PATH_INFO": "a"}, "", "/a", id="lighttpd at the root"),
        pytest.param({"SCRIPT_NAME": "/a/", "PATH_INFO": "/b"}, "/a", "/b", id="a slash too many"),
        pytest.param({}, "", "", id="nothing"),
    ],
)
def test_mount_point_and_path(given, script_name, path):
    assert paths(given) == (script_name, path)


@given(
    st.dictionaries(
        st.sampled_from(["SCRIPT_NAME", "PATH_INFO", "DOCUMENT_URI", "REQUEST_URI"]),
        st.text("/ab%?.", max_size=8),
    )
)
def test_mount_point_and_path_are_as_pep_3333_wants_them(given):
    script_name, path = paths(given)
    assert not script_name.endswith("/")
    assert path == "" or path.startswith("/")


def environ_of(serve_app, *pairs):
    """What an application is told by an SCGI request with these variables."""
    seen = []

    def app(environ, start_response):
        seen.append(environ)
        start_response("204 No Content", [])
        return []

    served = serve_app(app, protocol="scgi")
    named = [("CONTENT_LENGTH", "0"), ("SCGI", "1"), ("REQUEST_METHOD", "GET"), *pairs]
    head = b"".join(f"{name}\0{value}\0".encode("latin-1") for name, value in named)
    served.talk(b"%d:%b," % (len(head), head))
    return seen[0] | {"test.port": served.server.bound_addr[1]}


def test_variables_win_over_what_the_server_knows(serve_app):
    environ = environ_of(
        serve_app,
        ("SERVER_NAME", "a.test"),
        ("SERVER_PORT", "443"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
        ("SERVER_SOFTWARE", "nginx"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("REMOTE_PORT", "5"),
        ("REQUEST_URI", "/a%2fb?c"),
        ("QUERY_STRING", "c"),
        ("SSL_CLIENT_S_DN_Email", "x@a.test"),
    )
    expected = {
        "SERVER_NAME": "a.test",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/2.0",
        "SERVER_SOFTWARE": "nginx",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "5",
        "REQUEST_URI": "/a%2fb?c",
        "RAW_URI": "/a%2fb?c",
        "QUERY_STRING": "c",
        "SSL_CLIENT_S_DN_Email": "x@a.test",
    }
    assert {name: environ[name] for name in expected} == expected


def test_what_the_web_server_does_not_tell_is_made_up(serve_app):
    environ = environ_of(serve_app, ("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b \xe9"))
    expected = {
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(environ["test.port"]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "",
        "QUERY_STRING": "",
        "REQUEST_URI": "/a/b%20%E9",
        "wsgi.url_scheme": "http",
    }
    assert {name: environ[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("pair", "scheme"),
    [
        (("HTTPS", "on"), "https"),
        (("HTTPS", "ON"), "https"),
        (("HTTPS", "1"), "https"),
        (("HTTPS", "off"), "http"),
        (("HTTPS", ""), "http"),
        (("REQUEST_SCHEME", "https"), "https"),
        (("REQUEST_SCHEME", "http"), "http"),
        (("HTTP_X_FORWARDED_PROTO", "https"), "http"),
    ],
    ids="=".join,
)
def test_scheme_is_the_web_servers(serve_app, pair, scheme):
    assert environ_of(serve_app, pair)["wsgi.url_scheme"] == scheme


def test_status_field_of_an_application_does_not_get_out(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [("Status", "500"), ("X", "1")])
        return [b"hi"]

    served = serve_app(app, protocol="scgi")
    head = b"CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0"
    answer = served.talk(b"%d:%b," % (len(head), head))
    assert answer == b"Status: 200 OK\r\nX: 1\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("HEAD", "200 OK", b"Status: 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("GET", "204 No Content", b"Status: 204 No Content\r\n\r\n"),
        ("GET", "304 Not Modified", b"Status: 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
    ],
    ids=["HEAD", "204", "304"],
)
def test_no_body_where_none_belongs(serve_app, method, status, expected):
    def app(environ, start_response):
        start_response(status, [("Content-Length", "2")])
        return [b"hi"]

    served = serve_app(app, protocol="scgi")
    head = b"CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0%b\0" % method.encode()
    assert served.talk(b"%d:%b," % (len(head), head)) == expected


def test_line_ends_in_a_field_are_a_500(serve_app):
    def app(environ, start_response):
        start_response("200 OK", [("X", "a\r\nStatus: 201")])
        return []

    served = serve_app(app, protocol="scgi")
    head = b"CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0"
    answer = served.talk(b"%d:%b," % (len(head), head))
    assert answer.startswith(b"Status: 500 Internal Server Error\r\n")
    assert b"201" not in answer
