"""Gzip and Compress: smaller where the client takes it, and the same to everyone else."""

import logging
import random
import zlib

import pytest
from webob import Request, Response

import cptoolkit
from cptoolkit.middleware.compression.compress import Compress, Gzip
from cptoolkit.middleware.compression.encoders import ZSTD_MODULE, library

PAGE = b"<p>All work and no play makes Jack a dull boy.</p>\n" * 20
GZIP = {"Accept-Encoding": "gzip"}


def decoded(answer):
    coding = answer.headers.get("Content-Encoding")
    if coding is None:
        return answer.body
    if coding == "gzip":
        return zlib.decompress(answer.body, 31)
    if coding == "br":
        return library("brotli", "brotli").decompress(answer.body)
    return library(ZSTD_MODULE, "zstd").decompress(answer.body)


def page(body=PAGE, status="200 OK", content_type="text/html", **fields):
    """A view that answers with these header fields; a body that is no bytes is streamed."""
    headers = [("Content-Type", content_type)] if content_type else []
    headers += [(name.replace("_", "-"), value) for name, value in fields.items()]

    def view(request):
        whole = isinstance(body, bytes)
        length = [("Content-Length", str(len(body)))] if whole else []
        app_iter = [body] if whole else body()
        return Response(status=status, headerlist=headers + length, app_iter=app_iter)

    return view


def is_left_alone(answer, body=PAGE):
    return "Content-Encoding" not in answer.headers and answer.body == body


# -- everywhere -----------------------------------------------------------------------------


def test_page_is_compressed_for_a_client_that_takes_it(host):
    answer = host(page(), Gzip).fetch(headers=GZIP)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert decoded(answer) == PAGE
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert len(answer.body) < 120
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_page_is_left_to_a_client_that_does_not_but_caches_are_told(host):
    answer = host(page(), Gzip).fetch()
    assert is_left_alone(answer)
    assert answer.headers["Content-Length"] == str(len(PAGE))
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_picture_is_left_alone(host):
    answer = host(page(content_type="image/png"), Gzip).fetch(headers=GZIP)
    assert is_left_alone(answer)
    assert "Vary" not in answer.headers


def test_stream_stays_a_stream(host):
    drawn = []

    def ticks():
        for tick in (b"one", b"two", b"three"):
            drawn.append(tick)
            yield tick

    site = host(page(ticks, content_type="text/event-stream"), Gzip, mime_types=["text/*"])
    _, fields, body = Request.blank("/", headers=GZIP).call_application(site.app)
    assert "Content-Length" not in dict(fields)
    client = zlib.decompressobj(31)
    blocks = iter(body)
    assert client.decompress(next(blocks)) == b"one"
    assert drawn == [b"one"]  # what came out of it is on its way before there is more
    assert client.decompress(next(blocks)) == b"two"
    assert client.decompress(b"".join(blocks)) == b"three"
    assert client.eof
    body.close()


def test_stream_is_closed_with_the_body_also_when_the_client_goes_away(host):
    closed = []

    class Ticks:
        def __iter__(self):
            yield from (b"one", b"two")

        def close(self):
            closed.append("closed")

    site = host(page(Ticks), Gzip)
    _, _, body = Request.blank("/", headers=GZIP).call_application(site.app)
    assert next(iter(body))
    assert closed == []
    body.close()
    assert closed == ["closed"]


def test_strong_etag_becomes_weak_only_where_the_bytes_are_others(host):
    site = host(page(ETag='"one"'), Gzip)
    assert site.fetch(headers=GZIP).headers["ETag"] == 'W/"one"'
    assert site.fetch().headers["ETag"] == '"one"'


def test_head_has_the_fields_of_get(host):
    site = host(page(ETag='"one"'), Gzip)
    for headers in (GZIP, {}):
        head = site.fetch(method="HEAD", headers=headers)
        get = site.fetch(headers=headers)
        assert head.body == b""
        for name in ("Content-Type", "Content-Encoding", "Vary", "ETag"):
            assert head.headers.get(name) == get.headers.get(name)
        # A framework may drop the body of HEAD before it could be measured.
        assert head.headers.get("Content-Length") in (None, get.headers["Content-Length"])


def test_part_of_a_page_is_left_alone(host):
    view = page(b"p>All", "206 Partial Content", Content_Range="bytes 1-5/1040")
    answer = host(view, Gzip, min_size=0).fetch(headers={**GZIP, "Range": "bytes=1-5"})
    assert is_left_alone(answer, b"p>All")
    assert answer.headers["Content-Range"] == "bytes 1-5/1040"


def test_several_parts_are_left_alone(alone):
    view = page(PAGE, "206 Partial Content", "multipart/byteranges; boundary=x")
    assert is_left_alone(alone(view, Gzip, mime_types="multipart/*").fetch(headers=GZIP))


def test_head_without_a_body_goes_by_the_length_that_get_would_have():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", length)])
        return []

    head = Request.blank("/", method="HEAD", headers=GZIP)
    length = "1000"
    assert head.get_response(Gzip(app)).headers["Content-Encoding"] == "gzip"
    length = "5"
    assert "Content-Encoding" not in head.get_response(Gzip(app)).headers


def test_page_that_is_encoded_already_is_left_alone(host):
    answer = host(page(Content_Encoding="br"), Gzip).fetch(headers=GZIP)
    assert answer.headers.getall("Content-Encoding") == ["br"]
    assert answer.body == PAGE


def test_best_coding_is_sent(host):
    site = host(page(), Compress)
    for accepted, coding in [("gzip, deflate, br, zstd", "zstd"), ("br;q=0.9, gzip;q=0.5", "br")]:
        answer = site.fetch(headers={"Accept-Encoding": accepted})
        assert answer.headers["Content-Encoding"] == coding
        assert decoded(answer) == PAGE
        assert answer.headers["Content-Length"] == str(len(answer.body))


# -- what the client takes ------------------------------------------------------------------


@pytest.mark.parametrize("field", ["*;q=0", "identity;q=0, br"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_client_that_takes_nothing_gets_406(host, field, method):
    answer = host(page(), Gzip).fetch(method=method, headers={"Accept-Encoding": field})
    assert answer.status_int == 406
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert method == "HEAD" or b"identity, gzip" in answer.body


@pytest.mark.parametrize(
    ("view", "method"),
    [
        pytest.param(page(status="404 Not Found"), "GET", id="an error"),
        pytest.param(page(), "POST", id="what has been done already"),
        pytest.param(page(content_type="image/png"), "GET", id="what is never compressed"),
    ],
)
def test_what_is_not_refused_is_sent_as_it_is(alone, view, method):
    answer = alone(view, Gzip).fetch(method=method, headers={"Accept-Encoding": "*;q=0"})
    assert answer.status_int in (200, 404)
    assert is_left_alone(answer)


def test_client_that_refuses_the_page_as_it_is_gets_a_short_one_compressed(alone):
    headers = {"Accept-Encoding": "gzip, identity;q=0"}
    answer = alone(page(b"short"), Gzip).fetch(headers=headers)
    assert decoded(answer) == b"short"
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("field", ["," * 1_000_000, "gzip," * 200_000, "gzip;q=" + "1" * 1_000_000])
def test_huge_field_counts_as_none(alone, field):
    assert is_left_alone(alone(page(), Gzip).fetch(headers={"Accept-Encoding": field}))


# -- what is compressed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "content_type", "matches"),
    [
        ("text/html", "text/html", True),
        ("text/html", "Text/HTML ; charset=utf-8", True),
        ("Text/Html", "text/html;charset=utf-8", True),
        ("text/html", "text/htmlx", False),
        ("text/html", "application/text/html", False),
        ("text/*", "text/event-stream", True),
        ("text/*", "text/", False),
        ("text/*", "application/json", False),
        ("application/*+xml", "application/atom+xml; type=feed", True),
        ("application/*+xml", "application/xml", False),
        ("application/*+xml", "application/atom+xmlx", False),
        ("application/vnd.ms-excel", "application/vndXms-excel", False),
    ],
)
def test_media_types_are_named_or_patterns(alone, pattern, content_type, matches):
    site = alone(page(content_type=content_type), Gzip, mime_types=[pattern])
    assert ("Content-Encoding" in site.fetch(headers=GZIP).headers) is matches


def test_several_media_types(alone):
    site = alone(page(content_type="text/plain"), Gzip)
    assert site.fetch(headers=GZIP).headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/css",
        "application/json",
        "application/problem+json",
        "image/svg+xml",
        "text/javascript",
    ],
)
def test_compress_takes_what_is_made_of_text(alone, content_type):
    answer = alone(page(content_type=content_type), Compress).fetch(headers=GZIP)
    assert decoded(answer) == PAGE
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "content_type", ["image/png", "video/mp4", "application/zip", "font/woff2"]
)
def test_compress_leaves_alone_what_is_compressed_in_itself(alone, content_type):
    assert is_left_alone(alone(page(content_type=content_type), Compress).fetch(headers=GZIP))


@pytest.mark.parametrize("body", [b"", b"hi", b"hello world"])
def test_short_page_does_not_grow(host, body):
    assert is_left_alone(host(page(body), Gzip).fetch(headers=GZIP), body)


@pytest.mark.parametrize(("size", "is_compressed"), [(499, False), (500, True)])
def test_size_from_which_on_it_pays_is_an_option(alone, size, is_compressed):
    for options in ({}, {"min_size": 500}):
        layer = Gzip if options else Compress
        answer = alone(page(b"x" * size), layer, **options).fetch(headers=GZIP)
        assert ("Content-Encoding" in answer.headers) is is_compressed
        assert decoded(answer) == b"x" * size


def test_level_is_an_option(alone):
    noise = random.Random(1).choices(range(8), k=5000)
    sizes = [
        len(alone(page(bytes(noise)), Gzip, compress_level=level).fetch(headers=GZIP).body)
        for level in (9, 1, 0)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] < 5000 < sizes[2]


@pytest.mark.parametrize("value", ["no-transform", "public, No-Transform, max-age=5"])
def test_page_that_must_not_be_transformed_is_left_alone(alone, value):
    answer = alone(page(Cache_Control=value), Gzip).fetch(headers=GZIP)
    assert is_left_alone(answer)
    assert "Vary" not in answer.headers


def test_answer_without_a_type_is_left_alone(alone):
    view = page(b"", "204 No Content", content_type=None)
    answer = alone(view, Gzip, min_size=0).fetch(headers=GZIP)
    assert answer.headerlist == [("Content-Length", "0")]


def test_empty_stream_is_sent_as_an_empty_body(alone):
    answer = alone(page(lambda: iter(())), Gzip).fetch(headers=GZIP)
    assert decoded(answer) == b""


def test_stream_of_known_length_stays_one(alone):
    drawn = []

    def halves():
        for half in (PAGE[:500], PAGE[500:]):
            drawn.append(half)
            yield half

    site = alone(page(halves, Content_Length=str(len(PAGE))), Gzip)
    _, fields, body = Request.blank("/", headers=GZIP).call_application(site.app)
    assert "Content-Length" not in dict(fields)
    client, blocks = zlib.decompressobj(31), iter(body)
    assert client.decompress(next(blocks)) == PAGE[:500]
    assert len(drawn) == 1
    assert client.decompress(b"".join(blocks)) == PAGE[500:]
    body.close()


def test_error_of_a_stream_of_known_length_closes_it(alone):
    closed = []

    class Broken:
        def __iter__(self):
            raise OSError("the disk is gone")
            yield

        def close(self):
            closed.append("closed")

    site = alone(page(Broken, Content_Length="1000"), Gzip)
    with pytest.raises(OSError, match="the disk is gone"):
        site.fetch(headers=GZIP)
    assert closed == ["closed"]


def test_item_without_bytes_is_passed_on_as_such(alone):
    site = alone(page(lambda: iter([b"", b"one", b"", b"two"])), Gzip)
    _, _, body = Request.blank("/", headers=GZIP).call_application(site.app)
    blocks = list(body)
    body.close()
    assert [bool(block) for block in blocks] == [False, True, False, True, True]
    assert zlib.decompress(b"".join(blocks), 31) == b"onetwo"


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_stream_stays_one_in_every_coding(alone, coding):
    site = alone(page(lambda: iter([b"one", b"two"])), Compress)
    answer = site.fetch(headers={"Accept-Encoding": coding})
    assert answer.headers["Content-Encoding"] == coding
    assert decoded(answer) == b"onetwo"


# -- what else is said of it ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Cookie", "Cookie, Accept-Encoding"),
        ("cookie, accept-encoding", "cookie, accept-encoding"),
        ("*", "*"),
    ],
)
def test_vary_of_the_application_is_kept(alone, before, after):
    answer = alone(page(Vary=before), Gzip).fetch(headers=GZIP)
    assert answer.headers.getall("Vary") == [after]


def test_what_is_true_of_the_page_as_it_was_is_left_out(alone):
    view = page(
        Accept_Ranges="bytes",
        Content_MD5="x",
        Content_Digest="sha-256=:x:",
        Repr_Digest="sha-256=:x:",
        Digest="x",
        Last_Modified="Sat, 29 Oct 1994 19:43:31 GMT",
    )
    site = alone(view, Gzip)
    assert sorted(site.fetch(headers=GZIP).headers) == [
        *("Content-Encoding", "Content-Length", "Content-Type", "Last-Modified", "Vary")
    ]
    assert len(site.fetch().headers) == 9


def test_weak_etag_stays_as_it_is(alone):
    assert alone(page(ETag='W/"one"'), Gzip).fetch(headers=GZIP).headers["ETag"] == 'W/"one"'


@pytest.mark.parametrize(("kept", "etag"), [('"one"', '"one"'), ('"two", W/"one"', 'W/"one"')])
def test_304_names_the_form_that_the_client_has(host, kept, etag):
    view = page(b"", "304 Not Modified", content_type=None, ETag='"one"')
    answer = host(view, Gzip).fetch(headers={**GZIP, "If-None-Match": kept})
    assert answer.status_int == 304
    assert answer.headers["ETag"] == etag
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_compressing_twice_is_compressing_once(alone):
    answer = alone(page(), Gzip, around=lambda app: Compress(app)).fetch(headers=GZIP)
    assert answer.headers.getall("Content-Encoding") == ["gzip"]
    assert decoded(answer) == PAGE


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_log_says_what_was_done_and_why(alone, caplog, accepted):
    caplog.set_level(logging.INFO)
    site = alone(page(), Gzip, debug=True)
    site.fetch("/some page", headers={"Accept-Encoding": accepted})
    (record,) = [r for r in caplog.records if r.name == "cptoolkit.compress"]
    outcomes = {"gzip": "compressed with gzip", "identity": "not compressed: the client takes"}
    assert record.getMessage().startswith(f"GET /some%20page: {outcomes[accepted]}")


def test_nothing_is_logged_unless_asked_for(alone, caplog):
    caplog.set_level(logging.DEBUG)
    alone(page(), Gzip).fetch(headers=GZIP)
    assert caplog.records == []


# -- in an object tree ----------------------------------------------------------------------


class Root:
    @cptoolkit.expose
    @cptoolkit.tools.gzip()
    def index(self):
        return "hello world!"

    @cptoolkit.expose
    @cptoolkit.tools.gzip()
    def lines(self):
        for number in range(3):
            yield f"line {number}\n"

    @cptoolkit.expose
    @cptoolkit.tools.gzip()
    def broken(self):
        yield "line"
        raise IndexError()

    @cptoolkit.expose
    @cptoolkit.tools.gzip()
    @cptoolkit.tools.encode(encoding="utf-16")
    def wide(self):
        return "wide enough for it"


@pytest.fixture
def fetch(app_of):
    app = app_of(Root()).app
    return lambda path: Request.blank(path, headers=GZIP).get_response(app)


def test_example_of_the_reference_is_compressed(fetch):
    answer = fetch("/")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert decoded(answer) == b"hello world!"


def test_generator_that_is_not_streamed_is_compressed_whole(fetch):
    answer = fetch("/lines")
    assert decoded(answer) == b"line 0\nline 1\nline 2\n"
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_error_in_a_generator_is_an_error_page_as_it_is(fetch):
    answer = fetch("/broken")
    assert answer.status_int == 500
    assert "Content-Encoding" not in answer.headers
    assert b"IndexError" in answer.body


def test_page_is_encoded_before_it_is_compressed(fetch):
    assert decoded(fetch("/wide")).decode("utf-16") == "wide enough for it"


# -- options --------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["text", "text/", "/html", "*/*", "text/*html", "te*/x", "", 5])
def test_media_type_of_another_form_is_refused(pattern):
    with pytest.raises(ValueError, match="mime_types must be of the form type/subtype"):
        Gzip(mime_types=[pattern])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"mime_types": []}, "mime_types must be one at least, got an empty list"),
        ({"mime_types": None}, "mime_types must be a str or several in a list, got None"),
        ({"min_size": -1}, "min_size must be 0 or more bytes, got -1"),
        ({"min_size": "1"}, "min_size must be 0 or more bytes, got '1'"),
        ({"encodings": ()}, "encodings must be one at least, got an empty list"),
        ({"encodings": ["gzip", "deflate"]}, "encodings must be some of zstd, br, gzip, got 'defl"),
        ({"br_level": 12}, "br_level must be a number from 0 to 11, got 12"),
        ({"zstd_level": 20}, "zstd_level must be a number from 1 to 19, got 20"),
        ({"gzip_level": 10}, "gzip_level must be a number from 0 to 9, got 10"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_wrong_option_is_told(options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        Compress(**options)


def test_level_of_the_gzip_tool_is_checked():
    with pytest.raises(ValueError, match="compress_level must be a number from 0 to 9, got 11"):
        Gzip(compress_level=11)


def test_encodings_are_an_option(alone):
    site = alone(page(), Compress, encodings="br")
    assert is_left_alone(site.fetch(headers=GZIP))
    assert decoded(site.fetch(headers={"Accept-Encoding": "br, gzip"})) == PAGE
