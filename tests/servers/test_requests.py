"""Raw requests and what becomes of them (RFC 9112 unless another one is named)."""

from __future__ import annotations

from typing import NamedTuple

import pytest

G = b"GET / HTTP/1.1\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
H = b"Host: a\r\n"
C = b"Connection: close\r\n"
E = b"\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = P + C + TE + E
X171 = b"x" * 0xAB


def case(name, data, status=400):
    return pytest.param(data, status, id=name)


def line(text):
    return text + b"\r\n" + H + E


def target(text):
    return line(b"GET " + text + b" HTTP/1.1")


def options(text):
    return line(b"OPTIONS " + text + b" HTTP/1.1")


def field(text):
    return G + H + text + E + E


def length(text):
    return P + b"Content-Length:" + text + E + E + b"hello"


def coding(text):
    return P + b"Transfer-Encoding:" + text + E + E


BAD_LINES = [
    case("3: lower-case method", line(b"get / HTTP/1.1"), 501),
    case("3.1: unknown method", line(b"BREW / HTTP/1.1"), 501),
    case("3.1: unknown method with a known beginning", line(b"GETS / HTTP/1.1"), 501),
    case("3.1: very long method", line(b"A" * 1000 + b" / HTTP/1.1"), 501),
    case("3.1: method is no token", line(b"G{T / HTTP/1.1")),
    case("3.1: colon in the method", line(b"GET: / HTTP/1.1")),
    case("3.1: non-ASCII method", line(b"G\xc3\x8bT / HTTP/1.1")),
    case("3.1: NUL in the method", line(b"G\0T / HTTP/1.1")),
    case("3.1: no method", line(b"/ HTTP/1.1")),
    case("3.1: CONNECT", line(b"CONNECT a:80 HTTP/1.1"), 501),
    case("3: two spaces", line(b"GET  / HTTP/1.1")),
    case("3: two spaces before the version", line(b"GET /  HTTP/1.1")),
    case("3: two spaces, well-formed below", line(b"GET  / HTTP/1.1\r\nX: GET / HTTP/1.1")),
    case("3: tab", line(b"GET\t/ HTTP/1.1")),
    case("3: tab before the version", line(b"GET /\tHTTP/1.1")),
    case("3: vertical tab", line(b"GET /\x0bHTTP/1.1")),
    case("3: leading space", line(b" GET / HTTP/1.1")),
    case("3: leading tab", line(b"\tGET / HTTP/1.1")),
    case("3: trailing space", line(b"GET / HTTP/1.1 ")),
    case("3: trailing word", line(b"GET / HTTP/1.1 x")),
    case("3: no version", line(b"GET /")),
    case("3: no version, but a space", line(b"GET / ")),
    case("3: only a method", line(b"GET")),
    case("3: only a method and a space", line(b"GET ")),
    case("3: a response", b"HTTP/1.1 200 OK\r\n\r\n"),
    case("2.2: lone CR first", b"\r" + G + H + E),
    case("2.2: lone LF first", b"\n" + G + H + E),
    case("2.2: space before the empty line", b" \r\n" + G + H + E),
    case("2.2: bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    case("2.2: bare CR after the request line", b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    case("2.2: byte order mark", b"\xef\xbb\xbf" + G + H + E),
    case("2.3: version in lower case", line(b"GET / http/1.1")),
    case("2.3: two-digit version", line(b"GET / HTTP/1.10")),
    case("2.3: no dot", line(b"GET / HTTP/11")),
    case("2.3: no minor version", line(b"GET / HTTP/1.")),
    case("2.3: signed version", line(b"GET / HTTP/+1.1")),
    case("2.3: space in the version", line(b"GET / HTTP/1. 1")),
    case("2.3: comma in the version", line(b"GET / HTTP/1,1")),
    case("2.3: HTTP/1.2", line(b"GET / HTTP/1.2")),
    case("2.3: HTTP/2.0", line(b"GET / HTTP/2.0"), 505),
    case("2.3: HTTP/0.9", line(b"GET / HTTP/0.9"), 505),
    case("2.3: HTTP/3.0", line(b"GET / HTTP/3.0")),
    case("2.3: another protocol", line(b"GET / RTSP/1.0")),
    case("2.3: method of another protocol", line(b"DESCRIBE / RTSP/1.0")),
    case("2.3: HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    case("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)),
    case("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
    case("PROXY header nobody asked for", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + G + H + E, 501),
]

BAD_TARGETS = [
    case("3.2: space", target(b"/a b")),
    case("3.2: non-ASCII", target(b"/\xe9")),
    case("3.2: UTF-8", target(b"/\xc3\xa9")),
    case("3.2: control", target(b"/\x01")),
    case("3.2: DEL", target(b"/\x7f")),
    case("3.2: NUL", target(b"/\0")),
    case("3.2: tab", target(b"/a\tb")),
    case("3.2: bare CR", target(b"/a\rb")),
    case("3.2: fragment", target(b"/a#b")),
    case("3.2: empty fragment", target(b"/a#")),
    case("3.2: fragment in the query", target(b"/a?b#c")),
    case("3.2: relative", target(b"a")),
    case("3.2: dots", target(b"../a")),
    case("3.2: query alone", target(b"?a")),
    case("3.2: empty", target(b"")),
    case("3.2: backslash first", target(b"\\a")),
    case("3.2: encoded slash first", target(b"%2Fa")),
    case("3.2.2: other scheme", target(b"ftp://a/")),
    case("3.2.2: no scheme", target(b"://a/")),
    case("3.2.2: one slash", target(b"http:/a")),
    case("3.2.2: userinfo (9110, 4.2.4)", target(b"http://u:p@a/")),
    case("3.2.2: no authority", target(b"http:///a")),
    case("3.2.2: nothing but a scheme", target(b"http://")),
    case("3.2.2: port without host", target(b"http://:80/a")),
    case("3.2.2: odd port", target(b"http://a:b/")),
    case("3.2.2: half an address", target(b"http://[::1/")),
    case("3.2.2: fragment", target(b"http://a/#b")),
    case("3.2.2: bad Host beside it", b"GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"),
    case("3.2.2: no Host beside it", b"GET http://a/ HTTP/1.1\r\n\r\n"),
    case("3.2.3: authority for GET", target(b"a:80")),
    case("3.2.3: address for GET", target(b"[::1]:80")),
    case("3.2.4: * for GET", target(b"*")),
    case("3.2.4: * and more", line(b"OPTIONS *a HTTP/1.1")),
]

BAD_HOSTS = [
    case("3.2: no Host", G + E),
    case("3.2: no Host but others", G + b"X-Host: a\r\n\r\n"),
    case("3.2: Host twice", G + H + H + E),
    case("3.2: Host twice, one empty", G + H + b"host:\r\n\r\n"),
    *[
        case(f"3.2: Host {host.decode('latin-1')!r}", G + b"Host: " + host + E + E)
        for host in [
            *[b"a/b", b"u@a", b"a b", b"a, b", b"a:x", b"a:-1", b"a:80:80", b"a:123456", b":80"],
            *[b"http://a", b"a?b", b"a#b", b"a\\b", b'"a"', b"<a>", b"{a}", b"a%", b"a%zz"],
            *[
                b"[::1",
                b"::1",
                b"[a b]",
                b"[]",
                b"[::1]a",
                b"[fe80::1%25eth0]",
                b"\xc3\xa9",
                b"a|b",
            ],
        ]
    ],
]

BAD_FIELDS = [
    case("5: bare LF after a field", G + b"Host: a\nX: b\r\n\r\n"),
    case("5: bare LF at the end", G + H + b"\n"),
    case("5: two bare LFs at the end", G + b"Host: a\n\n"),
    case("2.2: bare CR in a value", field(b"X: a\rb")),
    case("2.2: bare CR at the end of a value", field(b"X: a\r")),
    case("2.2: CR for the last line end", G + H + b"\r" + G + H + E),
    case("5.1: space before the colon", field(b"X : a")),
    case("5.1: tab before the colon", field(b"X\t: a")),
    case("5.1: space before the colon of Host", G + b"Host : a\r\n\r\n"),
    case("5.1: no colon", field(b"abc")),
    case("5.1: empty name", field(b": a")),
    case("5.1: name with space", field(b"X y: a")),
    *[
        case(f"5.1: name with {byte!r}", field(b"X" + byte + b"y: a"))
        for byte in [
            b"(",
            b",",
            b"/",
            b";",
            b"<",
            b"=",
            b"@",
            b"[",
            b"{",
            b'"',
            b"\\",
            b"\0",
            b"\x7f",
        ]
    ],
    case("5.1: non-ASCII name", field(b"\xe9x: a")),
    case("5.2: folded line", field(b"X: a\r\n b")),
    case("5.2: folded with tab", field(b"X: a\r\n\tb")),
    case("5.2: fold before the first field", G + b" Host: a\r\n\r\n"),
    case("5.2: fold of Host", G + b"Host:\r\n a\r\n\r\n"),
    case("5.2: fold of a length", P + b"Content-Length:\r\n 5\r\n\r\nhello"),
    case("5.2: empty fold", field(b"X: a\r\n ")),
    *[
        case(f"9110, 5.5: {byte!r} in a value", field(b"X: a" + byte + b"b"))
        for byte in [b"\0", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1f", b"\x7f"]
    ],
    case("9110, 5.3: two types", field(b"Content-Type: a/b\r\nContent-Type: c/d")),
    case("9110, 10.1.1: other expectation", field(b"Expect: 200-ok"), 417),
    case("9110, 10.1.1: two expectations", field(b"Expect: 100-continue, x"), 417),
]

BAD_LENGTHS = [
    *[
        case(f"6.2: Content-Length{text.decode('latin-1')!r}", length(b" " + text))
        for text in [
            *[b"+5", b"-5", b"-0", b"1_0", b"0x5", b"5,5", b"5, 5", b"5 5", b"5;a", b"", b"1e1"],
            *[b"5.0", b"'5'", b'"5"', b"5h", b"NaN", b"\xd9\xa5", b"\xb2", b"5\x0b", b"\x0c5"],
            *[b"9" * 20, b"9" * 400, b"18446744073709551616"],
        ]
    ],
    case("6.3: same length twice", P + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    case("6.3: two lengths", P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    case("6.3: two lengths of zero", P + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    case("6.3: length, then coding", P + b"Content-Length: 5\r\n" + TE + E),
    case("6.3: coding, then length", P + TE + b"Content-Length: 5\r\n\r\n"),
    case("6.3: coding and length of zero", P + TE + b"Content-Length: 0\r\n\r\n0\r\n\r\n"),
    case("6.1: chunked twice", P + TE * 2 + E),
    *[
        case(f"6.1: coding{text.decode('latin-1')!r}", coding(b" " + text), status)
        for text, status in [
            (b"gzip, chunked", 501),
            (b"chunked, gzip", 400),
            (b"chunked, chunked", 400),
            (b"identity", 501),
            (b"identity, chunked", 501),
            (b"gzip", 501),
            (b"xchunked", 501),
            (b"chunkedx", 501),
            (b"chunke", 501),
            (b",chunked", 501),
            (b"chunked,", 400),
            (b"chunked;q=1", 501),
            (b'"chunked"', 501),
            (b"\x0bchunked", 400),
            (b"chunked\x0c", 400),
            (b"chunked\0", 400),
            (b"ch\xc3\xbcnked", 501),
            (b"", 400),
        ]
    ],
    case("6.1: two codings, chunked last", P + b"Transfer-Encoding: gzip\r\n" + TE + E, 501),
    case("6.1: two codings, chunked first", P + TE + b"Transfer-Encoding: gzip\r\n\r\n"),
    # Section 5.1 would let it pass. llhttp does not, and nobody sends it but to smuggle.
    case("6.1: space behind the coding", coding(b" chunked ")),
    case("6.1: coding with space before the colon", P + b"Transfer-Encoding : chunked\r\n\r\n"),
    case("6.1: coding in HTTP/1.0", b"POST / HTTP/1.0\r\n" + TE + E + b"0\r\n\r\n"),
]

BAD_CHUNKS = [
    case(f"7.1: {data!r}", CHUNKED + data)
    for data in (
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"1_0\r\nhello\r\n0\r\n\r\n",
        b"5.\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5\thello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\rXhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5;a\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\x00\r\nhello\r\n0\r\n\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5;;a\r\nhello\r\n0\r\n\r\n",
        b"5;a=\r\nhello\r\n0\r\n\r\n",
        b"5;=a\r\nhello\r\n0\r\n\r\n",
        b'5;a="b\r\nhello\r\n0\r\n\r\n',
        b'5;a="b"c\r\nhello\r\n0\r\n\r\n',
        b"5;a \r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n00x\r\n\r\n",
        b"5\r\nhello\r\n-0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nT : x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nT\r\n\r\n",
        b"5\r\nhello\r\n0\r\n: x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nT: x\n\r\n",
        b"5\r\nhello\r\n0\r\nT: x\r\n y\r\n\r\n",
        b"5\r\nhello\r\n0\r\n T: x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nT: \0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nT: x\ry\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
        b"5\r\nhello\r\n0\r\ntransfer-encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n0\r\nHOST: b\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    )
]

BAD = [
    *BAD_LINES,
    *BAD_TARGETS,
    *BAD_HOSTS,
    *BAD_FIELDS,
    *BAD_LENGTHS,
    *BAD_CHUNKS,
]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(("data", "status"), BAD)
def test_bad_request_is_refused_and_the_connection_ends(feed, answers, data, status):
    assert feed([data + SMUGGLED]) == []
    assert len(answers) == 1
    assert answers[0].startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answers[0]
    assert b"Traceback" not in answers[0]


@pytest.mark.parametrize(("data", "status"), BAD[:: len(BAD) // 20])
def test_server_goes_on_after_a_bad_request(serve_app, app, calls, data, status):
    served = serve_app(app)
    answer = served.talk(data + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert served.get("/after").status == 200
    assert [path for _, path, _ in calls] == ["/after"]


@pytest.mark.parametrize(("data", "status"), BAD)
def test_bad_request_that_comes_byte_by_byte_is_refused_alike(feed, answers, data, status):
    assert feed([bytes([byte]) for byte in data + SMUGGLED]) == []
    assert [answer.split(b" ")[1] for answer in answers] == [b"%d" % status]


class Seen(NamedTuple):
    """What an application is told of a request."""

    method: str = "GET"
    path: str = "/"
    query: str = ""
    host: str | None = "a"
    body: bytes = b""


def good(name, data, **seen):
    return pytest.param(data, Seen(**seen), id=name)


def path(name, uri, path, query=""):
    return good(f"3.2.1: {name}", target(uri), path=path, query=query)


def post(name, data, body=b"hello"):
    return good(name, data, method="POST", body=body)


GOOD = [
    good("2.2: empty lines before the request", E + E + G + H + E),
    good("3.2: Host may be empty", G + b"Host:\r\n\r\n", host=""),
    *[
        good(f"3.2: Host {host!r}", G + b"Host: " + host.encode() + E + E, host=host)
        for host in ["a.b:80", "a:", "[::1]:80", "[::ffff:1.2.3.4]", "1.2.3.4", "a_b", "%c3%a9"]
    ],
    good("3.2: no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", host=None),
    path("escapes are undone", b"/a%20b%C3%A9", "/a b\xc3\xa9"),
    path("an escaped slash, too", b"/a%2Fb%2f", "/a/b/"),
    path("escapes are undone once", b"/%2541", "/%41"),
    path("what is no escape stays", b"/%zz%4%", "/%zz%4%"),
    path("escapes of the query stay", b"/a?b=%20&c=%zz", "/a", "b=%20&c=%zz"),
    path("plus is a plus", b"/a+b", "/a+b"),
    path("question marks in the query", b"/a?b?c", "/a", "b?c"),
    path("escaped question mark", b"/a%3Fb?c", "/a?b", "c"),
    path("escaped fragment", b"/a%23b", "/a#b"),
    path("empty query", b"/?", "/"),
    path("slashes are kept", b"//a//b/", "//a//b/"),
    path("dots are kept", b"/a/../b/.", "/a/../b/."),
    path("parameters are part of the path", b"/a;b=c", "/a;b=c"),
    path("what browsers do not escape", b'/"<>\\^`{|}?"<>^`|', '/"<>\\^`{|}', '"<>^`|'),
    path("a URL as query", b"/a?http://b/c", "/a", "http://b/c"),
    path("an asterisk is an asterisk", b"/*", "/*"),
    good("3.2.2: absolute-form", target(b"http://b/x?y"), path="/x", query="y", host="b"),
    good("3.2.2: https", target(b"https://b:1/x"), path="/x", host="b:1"),
    good("3.2.2: capitals", target(b"HTTP://B/X"), path="/X", host="B"),
    good("3.2.2: no path", target(b"http://b"), host="b"),
    good("3.2.2: no path but a query", target(b"http://b?y"), query="y", host="b"),
    good("3.2.2: IPv6", target(b"http://[::1]:8/x"), path="/x", host="[::1]:8"),
    good("3.2.2: HTTP/1.0", b"GET http://b/ HTTP/1.0\r\n\r\n", host="b"),
    good("3.2.4: *", line(b"OPTIONS * HTTP/1.1"), method="OPTIONS", path=""),
    good("3.2.4: * by a proxy", options(b"http://b"), method="OPTIONS", path="", host="b"),
    good("3.2.4: a path", options(b"http://b/"), method="OPTIONS", host="b"),
    good("5: space around a value", G + b"Host: \t a \t \r\n\r\n"),
    good("5: no space before a value", G + b"Host:a\r\n\r\n"),
    good("5: name in capitals", G + b"HOST: a\r\n\r\n"),
    good("5.1: every character of a token", field(b"!#$%&'*+-.^`|~09az: b")),
    good("9110, 5.5: obs-text", field(b"X: \xe9\xff")),
    good("9110, 5.5: tab in a value", field(b"X: a\tb")),
    good("9110, 5.5: empty value", field(b"X:")),
    good("9110, 5.5: colons in a value", field(b"X: a:b: c")),
    post("6.2: zeros before the length", length(b" 005")),
    post("6.2: space around the length", length(b" \t 5 \t")),
    good("6.3: body of a GET", G + H + b"Content-Length: 5\r\n\r\nhello", body=b"hello"),
    good("6.3: length of zero", field(b"Content-Length: 0")),
    post("6.3: POST without a body", P + E, b""),
    post("6.1: coding in capitals", P + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n", b""),
    post("6.1: space before the coding", coding(b" \t chunked") + b"0\r\n\r\n", b""),
    post("7.1: chunks", CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    post("7.1: hexadecimal", CHUNKED + b"0aB\r\n%b\r\n000\r\n\r\n" % X171, X171),
    post("7.1: line ends are data", CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    post("7.1.1: extension", CHUNKED + b'5;a=b;c="d"\r\nhello\r\n00\r\n\r\n'),
    post("7.1.1: quoted", CHUNKED + b'5;a="\\";\t\xe9\\\\"\r\nhello\r\n0;b\r\n\r\n'),
    post("7.1.1: bad white space", CHUNKED + b"5 ; a \t= b; c\r\nhello\r\n0\r\n\r\n"),
    post("7.1.2: trailers", CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n"),
    good("9110, 9: registered method", line(b"PROPFIND / HTTP/1.1"), method="PROPFIND"),
    good(
        "9110, 10.1.1: no 100 for HTTP/1.0",
        b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        method="PUT",
        host=None,
        body=b"hi",
    ),
]


@pytest.mark.parametrize(("data", "seen"), GOOD)
def test_good_request_reaches_the_application(serve_app, data, seen):
    calls = []

    def app(environ, start_response):
        keys = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_HOST")
        calls.append(Seen(*map(environ.get, keys), environ["wsgi.input"].read()))
        start_response("204 No Content", [])
        return []

    assert serve_app(app).connect().send(data).answer().status == 204
    assert calls == [seen]
