"""Layers in any order: every stack gives valid responses (PEP 3333), and HEAD as it gives GET."""

from pathlib import Path
from wsgiref.validate import validator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request, Response

from cptoolkit import Pipeline, use
from cptoolkit.middleware import (
    CORS,
    Accept,
    AccessLog,
    BasicAuth,
    BodyLimit,
    Cache,
    Compress,
    ErrorPages,
    ETags,
    Expires,
    Gzip,
    IgnoreHeaders,
    Proxy,
    RateLimit,
    Referer,
    RequestID,
    ResponseHeaders,
    SecureHeaders,
    Sessions,
    StaticDir,
    Stats,
)
from cptoolkit.middleware.sessions import RamStore

TEXT = b"A page that is long enough to be worth compressing, and says so. " * 20
CREDENTIALS = "Basic am9uOnNlY3JldA=="  # jon:secret

LAYERS = [
    use(Accept, media=["text/plain", "text/html"]),
    use(AccessLog),
    use(BasicAuth, realm="r", checkpassword=lambda realm, user, password: password == "secret"),
    use(BodyLimit, max_size=1000),
    use(CORS, allow_origins=["https://other.example"]),
    use(Cache),
    use(Compress, encodings=["gzip"]),
    use(ETags, autotags=True),
    use(ErrorPages),
    use(Expires, secs=60, force=True),
    use(Gzip, mime_types=["text/*"]),
    use(IgnoreHeaders),
    use(Proxy),
    use(RateLimit, limit="1000000/second"),
    use(Referer, pattern=".*", accept_missing=True),
    use(RequestID),
    use(ResponseHeaders, headers=[("X-More", "yes")]),
    use(SecureHeaders),
    use(Sessions, storage=RamStore()),
    use(StaticDir, dir=str(Path(__file__).parent), section="/static"),
    use(Stats, path="/_stats"),
]

CLIENTS = st.fixed_dictionaries(
    {},
    optional={
        "Accept-Encoding": st.sampled_from(["gzip", "identity", "gzip;q=0, br", "*"]),
        "If-None-Match": st.sampled_from(["*", '"x"', 'W/"page"', '"page"']),
        "Range": st.sampled_from(["bytes=0-9", "bytes=-1", "bytes=99999-", "lines=1-2"]),
        "Origin": st.sampled_from(["https://other.example", "https://evil.example"]),
        "X-Forwarded-For": st.just("192.0.2.1"),
    },
)
PATHS = st.sampled_from(
    ["/", "/stream", "/session", "/tagged", "/missing", "/static/conftest.py", "/_stats", "/lazy"]
)


def site(environ, start_response):
    """Pages of several kinds."""
    path = environ["PATH_INFO"]
    plain = ("Content-Type", "text/plain")
    if path == "/lazy":
        return lazy(start_response, b"" if environ["REQUEST_METHOD"] == "HEAD" else TEXT)
    if path == "/stream":
        answer = Response(app_iter=iter([b"one ", b"two "]), headerlist=[plain])
    elif path == "/missing":
        answer = Response(b"", 404, [("Content-Type", "text/html"), ("Content-Length", "0")])
    else:
        answer = Response(TEXT, content_type="text/plain")
        if path == "/session" and "cptoolkit.session" in environ:
            environ["cptoolkit.session"]["seen"] = True
        if path == "/tagged":
            answer.etag = "page"
    start_response(answer.status, answer.headerlist)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else answer.app_iter


def lazy(start_response, text):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield text


def ask(app, path, method, headers):
    environ = {"REMOTE_ADDR": "127.0.0.1"}
    request = Request.blank(path, environ, method=method, headers=headers)
    request.headers["Authorization"] = CREDENTIALS
    started = []

    def start_response(status, headers, exc_info=None):
        started[:] = [status, headers]
        return b"".join  # no layer writes

    body = validator(app)(request.environ, start_response)
    try:
        whole = b"".join(body)
    finally:
        body.close()
    return Response(status=started[0], headerlist=started[1], app_iter=[whole])


def comparable(answer):
    # HEAD may leave out what only making the body would tell (RFC 9110, section 9.3.2).
    made_of_the_body = {"accept-ranges", "content-encoding", "content-length", "etag"}
    return answer.status_int, {name.lower() for name in answer.headers} - made_of_the_body


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(LAYERS), max_size=6, unique_by=id), PATHS, CLIENTS)
def test_any_stack_of_layers_gives_valid_responses(stack, path, headers):
    app = Pipeline(*[part for layer in stack for part in (layer, validator)])(site)
    answer = ask(app, path, "GET", headers)
    assert answer.status_int < 500
    lengths = answer.headers.getall("Content-Length")
    assert len(lengths) <= 1
    if lengths and answer.status_int not in (204, 304):
        assert len(answer.body) == int(lengths[0])
    if answer.status_int in (204, 304):
        assert answer.body == b""
    for name in ("Content-Type", "Content-Encoding", "ETag", "Vary", "Cache-Control"):
        assert len(answer.headers.getall(name)) <= 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(LAYERS), max_size=5, unique_by=id), PATHS, CLIENTS)
def test_head_has_the_status_and_the_fields_of_get(stack, path, headers):
    # A tag that is made of the body is unknown to HEAD, and Range means GET alone (RFC 9110, 14.2).
    headers = {name: headers[name] for name in headers if name not in ("If-None-Match", "Range")}
    app = Pipeline(*stack)(site)
    get = ask(app, path, "GET", headers)
    app = Pipeline(*stack)(site)  # what the first request has left behind is gone
    head = ask(app, path, "HEAD", headers)
    assert head.body == b""
    assert comparable(head) == comparable(get)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_deep_stack_stays_a_stream(count):
    drawn = []

    def ticks(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        for tick in (b"one", b"two"):
            drawn.append(tick)
            yield tick

    layers = [layer for layer in LAYERS if layer.factory not in (Accept, ErrorPages)]
    app = Pipeline(*(layers * 2)[:count])(ticks)
    request = Request.blank("/", headers={"Authorization": CREDENTIALS})
    _, _, body = request.call_application(app)
    assert next(iter(body)) == b"one"
    assert drawn == [b"one"]
    body.close()
