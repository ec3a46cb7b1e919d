"""The cache: as a tool, and around the applications of frameworks."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from webob import Request, Response

import cptoolkit
from cptoolkit.middleware.caching.cache import Cache
from cptoolkit.middleware.caching.stores import RAMStore
from cptoolkit.middleware.layer import Layer

PATIENCE = 30
"""Seconds after which a test has failed; a wait that is not ended at once is longer."""


class Page:
    """A page that counts how often it is made.

    :param fields: added to its header fields.
    :param make: makes its body, from the request and the number of this time.
    """

    def __init__(self, *fields, status="200 OK", make=None):
        self.fields, self.status, self.make = fields, status, make
        self.runs = 0
        self.lock = threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.runs += 1
            number = self.runs
        body = self.make(request, number) if self.make else b"page %d" % number
        fields = [("Content-Type", "text/plain"), *self.fields]
        whole = isinstance(body, bytes)
        if whole:
            fields.append(("Content-Length", str(len(body))))
        return Response(status=self.status, headerlist=fields, app_iter=[body] if whole else body)


class Clock:
    now = 1_767_268_800.0

    def __call__(self):
        return self.now


# -- what is kept --------------------------------------------------------------------------


def test_second_request_gets_the_kept_answer(host):
    page, clock = Page(("X-Own", "1")), Clock()
    site = host(page, Cache, clock=clock)
    first = site.fetch("/a?b=1")
    clock.now += 9.5
    second = site.fetch("/a?b=1")
    assert page.runs == 1
    assert second.status == first.status == "200 OK"
    assert second.body == first.body == b"page 1"
    assert second.headers["X-Own"] == "1"
    assert second.headers["Content-Type"].startswith("text/plain")
    assert second.headers["Content-Length"] == "6"
    assert second.headers["Age"] == "9"
    assert second.headers["Date"] == "Thu, 01 Jan 2026 12:00:00 GMT"


def test_head_gets_what_get_has_kept(host):
    page = Page()
    site = host(page, Cache)
    site.fetch(method="HEAD")
    assert site.fetch().body == b"page 2"  # what HEAD got was not the whole
    answer = site.fetch(method="HEAD")
    assert page.runs == 2
    assert (answer.headers["Content-Length"], answer.body) == ("6", b"")
    assert "Age" in answer.headers


def test_answer_ends_after_the_delay(host):
    page, clock = Page(), Clock()
    site = host(page, Cache, delay=60, clock=clock)
    site.fetch()
    clock.now += 59
    assert site.fetch().body == b"page 1"
    clock.now += 1
    assert site.fetch().body == b"page 2"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("Cache-Control", "private")], id="private"),
        pytest.param([("Cache-Control", "no-store")], id="no-store"),
        pytest.param([("Set-Cookie", "user=joe")], id="sets a cookie"),
        pytest.param([("Cache-Control", "public, max-age=60"), ("Set-Cookie", "a=1")], id="both"),
        pytest.param([("Vary", "*")], id="varies by all"),
        pytest.param([("Vary", "Cookie")], id="by cookie without saying how long"),
    ],
)
def test_private_pages_are_never_kept(host, fields):
    page = Page(*fields)
    site = host(page, Cache)
    assert [site.fetch().body, site.fetch().body] == [b"page 1", b"page 2"]


def test_request_with_authorization_is_neither_kept_nor_answered(host):
    page = Page()
    site = host(page, Cache)
    login = {"Authorization": "Basic am9lOmpvZQ=="}
    assert site.fetch(headers=login).body == b"page 1"
    assert site.fetch().body == b"page 2"
    assert site.fetch(headers=login).body == b"page 3"
    assert site.fetch().body == b"page 2"


def test_answer_to_a_known_user_is_for_the_others_only_if_public(alone):
    page = Page()
    site = alone(page, Cache)
    assert site.fetch(REMOTE_USER="joe").body == b"page 1"
    assert site.fetch().body == b"page 2"
    public = alone(Page(("Cache-Control", "public, max-age=60")), Cache)
    public.fetch(REMOTE_USER="joe")
    assert public.fetch().body == public.fetch(REMOTE_USER="ann").body == b"page 1"


def test_user_whom_the_application_finds_out_is_known_too(alone):
    def log_in(request, number):
        request.environ["REMOTE_USER"] = "joe"
        return b"joe's page"

    page = Page(make=log_in)
    site = alone(page, Cache)
    site.fetch()
    site.fetch()
    assert page.runs == 2


@pytest.mark.parametrize("status", ["404 Not Found", "301 Moved", "410 Gone", "203 Hm"])
def test_status_is_kept_with_the_answer(alone, status):
    page = Page(status=status)
    site = alone(page, Cache)
    site.fetch()
    assert (site.fetch().status, page.runs) == (status, 1)


@pytest.mark.parametrize("status", ["500 Oops", "302 Found", "403 No", "206 Partial Content"])
def test_status_that_is_not_kept_unasked(alone, status):
    page = Page(status=status)
    site = alone(page, Cache)
    site.fetch()
    site.fetch()
    assert page.runs == 2


def test_force_has_the_delay_count_whatever_the_answer_says(alone):
    clock = Clock()
    page = Page(("Cache-Control", "max-age=5"))
    site = alone(page, Cache, delay=60, force=True, clock=clock)
    site.fetch()
    clock.now += 30
    site.fetch()
    assert page.runs == 1
    never = Page(("Cache-Control", "max-age=3600"))
    site = alone(never, Cache, delay=0, force=True)
    site.fetch()
    site.fetch()
    assert never.runs == 2


def test_answer_that_is_old_already_is_kept_for_what_is_left(alone):
    page, clock = Page(("Cache-Control", "max-age=60"), ("Age", "50")), Clock()
    site = alone(page, Cache, clock=clock)
    site.fetch()
    clock.now += 9
    assert site.fetch().headers.getall("Age") == ["59"]
    clock.now += 1
    assert site.fetch().body == b"page 2"


def test_fields_of_one_connection_are_not_kept():
    def app(environ, start_response):
        start_response("200 OK", [("Connection", "X-Hop"), ("X-Hop", "1"), ("X-End", "1")])
        return [b"x"]

    layer = Cache(app)
    names = [{name for name, _ in fetch(layer).headerlist} for _ in range(2)]
    assert names[0] == {"Connection", "X-Hop", "X-End"}
    assert names[1] == {"X-End", "Date", "Age", "Content-Length"}


def test_body_over_the_limit_is_not_kept(host):
    page = Page(make=lambda request, number: b"x" * int(request.GET["size"]))
    site = host(page, Cache, maxobj_size=10)
    for path, runs in [("/?size=10", 1), ("/?size=11", 3)]:
        site.fetch(path)
        site.fetch(path)
        assert page.runs == runs


def test_body_that_is_not_as_long_as_it_says_is_not_kept():
    runs = []

    def cut(environ, start_response):
        runs.append(1)
        start_response("200 OK", [("Content-Length", "10")])
        return iter([b"12345"]) if environ["PATH_INFO"] == "/stream" else [b"12345"]

    layer = Cache(cut)
    for path in ("/whole", "/stream"):
        for _ in range(2):
            _, _, body = Request.blank(path).call_application(layer)
            assert b"".join(body) == b"12345"
            body.close() if hasattr(body, "close") else None
    assert len(runs) == 4


# -- under what ----------------------------------------------------------------------------


def test_uris_have_their_own_answers(host):
    page = Page()
    site = host(page, Cache)
    paths = ["/a", "/b", "/a?", "/a?x", "/a?x=1", "/a%3Fx", "/A"]
    bodies = [site.fetch(path).body for path in paths]
    assert page.runs == 6  # an empty query is none
    assert [site.fetch(path).body for path in paths] == bodies


def test_line_ends_in_a_path_make_it_no_other(alone):
    page = Page()
    site = alone(page, Cache)
    assert len({site.fetch(path).body for path in ("/a?x", "/a%0Ax", "/x%0A/a", "/a%0A?x")}) == 4


def test_scheme_and_host_are_part_of_the_key(host):
    page = Page()
    site = host(page, Cache)
    assert site.fetch().body == b"page 1"
    assert site.fetch(**{"wsgi.url_scheme": "https"}).body == b"page 2"
    assert site.fetch(headers={"Host": "other.example"}).body == b"page 3"
    assert site.fetch(headers={"Host": "OTHER.example"}).body == b"page 3"


def test_only_answers_of_listed_hosts_are_kept(host):
    page = Page()
    site = host(page, Cache, hosts=["Here.example", "there.example:81"])

    def runs(name):
        before = page.runs
        site.fetch(headers={"Host": name})
        site.fetch(headers={"Host": name})
        return page.runs - before

    assert runs("here.example:8080") == runs("there.example:81") == 1
    assert runs("there.example") == runs("forged.example") == 2


def test_uri_without_end_is_not_kept(alone):
    page = Page()
    site = alone(page, Cache)
    site.fetch("/?" + "x" * 5000)
    site.fetch("/?" + "x" * 5000)
    assert page.runs == 2


def test_variants_are_told_apart_by_name_and_value(host):
    page = Page(("Vary", "X-First, X-Second"))
    site = host(page, Cache)
    requests = [
        {"X-First": "en", "X-Second": "fr"},
        {"X-First": "fr", "X-Second": "en"},
        {"X-First": "en"},
        {"X-Second": "en"},
        {"X-Second": "en", "X-First": ""},
        {},
    ]
    bodies = [site.fetch(headers=headers).body for headers in requests]
    assert len(set(bodies)) == 6
    assert [site.fetch(headers=headers).body for headers in requests] == bodies


def test_variant_is_chosen_by_what_the_client_sent_not_what_the_page_made_of_it(alone):
    def spoil(request, number):
        request.environ["HTTP_X_COLOUR"] = "red"
        return b"page %d" % number

    site = alone(Page(("Vary", "X-Colour"), make=spoil), Cache)
    assert site.fetch(headers={"X-Colour": "blue"}).body == b"page 1"
    assert site.fetch(headers={"X-Colour": "red"}).body == b"page 2"
    assert site.fetch(headers={"X-Colour": "blue"}).body == b"page 1"


def test_variants_with_other_names_do_not_hide_each_other(alone):
    class Choosy(Page):
        def __call__(self, request):
            more = ", Accept-Language" if request.headers.get("Accept") == "text/html" else ""
            self.fields = (("Vary", "Accept" + more),)
            return super().__call__(request)

    page = Choosy()
    site = alone(page, Cache)
    html, png = {"Accept": "text/html", "Accept-Language": "en"}, {"Accept": "image/png"}
    for headers in [html, png] * 3:
        site.fetch(headers=headers)
    assert page.runs == 2


def test_variants_end_with_their_time(alone):
    page, clock = Page(("Vary", "X-A"), ("Cache-Control", "max-age=10")), Clock()
    store = RAMStore(clock=clock)
    site = alone(page, Cache, clock=clock, store=store)
    site.fetch(headers={"X-A": "1"})
    clock.now += 5
    site.fetch(headers={"X-A": "2"})
    assert page.runs == 2
    clock.now += 5
    site.fetch(headers={"X-A": "1"})
    site.fetch(headers={"X-A": "2"})
    assert page.runs == 3
    clock.now += 20
    site.fetch("/other")
    site.fetch("/other", headers={"Authorization": "x"})
    assert len(store) == 2  # of the other page
    store.clear()
    assert (len(store), store.size) == (0, 0)


def test_store_with_a_slow_clock_gives_nothing_stale(alone):
    page, clock = Page(), Clock()
    store = RAMStore(clock=Clock())
    site = alone(page, Cache, delay=60, store=store, clock=clock)
    site.fetch()
    clock.now += 60
    assert site.fetch().body == b"page 2"


# -- what requests ask for -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        pytest.param({"Cache-Control": "no-cache"}, False, id="no-cache"),
        pytest.param({"Pragma": "no-cache"}, False, id="Pragma"),
        pytest.param({"Cache-Control": "max-age=9"}, False, id="younger"),
        pytest.param({"Cache-Control": "max-age=10"}, True, id="young enough"),
        pytest.param({"Cache-Control": "min-fresh=51"}, False, id="fresh for longer"),
        pytest.param({"Cache-Control": "only-if-cached"}, True, id="only if kept"),
        pytest.param({"Cache-Control": "no-store"}, True, id="no-store"),
    ],
)
def test_directives_of_the_request_count(host, headers, kept):
    page, clock = Page(), Clock()
    site = host(page, Cache, delay=60, clock=clock)
    site.fetch()
    clock.now += 10
    assert site.fetch(headers=headers).body == (b"page 1" if kept else b"page 2")


def test_answer_that_was_asked_for_anew_takes_the_place_of_the_old(alone):
    site = alone(Page(), Cache)
    site.fetch()
    site.fetch(headers={"Cache-Control": "no-cache"})
    assert site.fetch().body == b"page 2"


def test_request_with_no_store_leaves_nothing_behind(alone):
    page = Page()
    site = alone(page, Cache)
    site.fetch(headers={"Cache-Control": "no-store"})
    assert site.fetch().body == b"page 2"


def test_only_if_cached_is_504_where_nothing_is_kept(host):
    page = Page()
    answer = host(page, Cache).fetch(headers={"Cache-Control": "only-if-cached"})
    assert (answer.status_int, page.runs) == (504, 0)


def test_malformed_max_age_is_400(host):
    site = host(Page(), Cache)
    site.fetch()
    answer = site.fetch(headers={"Cache-Control": "max-age=soon"})
    assert answer.status_int == 400
    assert b"Invalid Cache-Control header" in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1"},
        {"If-Match": '"x"'},
        {"If-Unmodified-Since": "Thu, 01 Jan 2026 12:00:00 GMT"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_request_that_is_for_the_application_is_passed_on(host, headers):
    page = Page()
    site = host(page, Cache)
    site.fetch()
    site.fetch(headers=headers)
    assert page.runs == 2
    assert site.fetch().body == b"page 1"


@pytest.mark.parametrize(
    "fields", [{"CONTENT_LENGTH": "6"}, {"HTTP_TRANSFER_ENCODING": "chunked"}], ids=str
)
def test_answer_to_a_get_with_content_is_not_for_those_without(fields):
    page = Page()
    layer = Cache(lambda *call: page(None)(*call))
    evil = Request.blank("/", fields, body=b"evil=1").environ | fields
    list(layer(evil, lambda *head: None))
    assert Request.blank("/").get_response(layer).body == b"page 2"
    assert Request.blank("/").get_response(layer).body == b"page 2"


VALIDATORS = [("ETag", '"v1"'), ("Last-Modified", "Thu, 01 Jan 2026 12:00:00 GMT")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"If-None-Match": 'W/"v1"'}, 304, id="tag"),
        pytest.param({"If-None-Match": "*"}, 304, id="any tag"),
        pytest.param({"If-None-Match": '"v2", "v3"'}, 200, id="other tags"),
        pytest.param({"If-Modified-Since": "Thu, 01 Jan 2026 12:00:00 GMT"}, 304, id="date"),
        pytest.param({"If-Modified-Since": "Thu, 01 Jan 2026 11:59:59 GMT"}, 200, id="before"),
        pytest.param({"If-Modified-Since": "whenever"}, 200, id="no date"),
        pytest.param(
            {"If-None-Match": '"x"', "If-Modified-Since": "Thu, 01 Jan 2026 12:00:00 GMT"},
            200,
            id="tag before date",
        ),
    ],
)
@pytest.mark.parametrize("kept", [False, True], ids=["cold", "kept"])
def test_client_that_has_the_answer_is_told_so(host, headers, status, kept):
    page = Page(*VALIDATORS)
    site = host(page, Cache)
    if kept:
        site.fetch()
    answer = site.fetch(headers=headers)
    assert answer.status_int == status
    assert answer.headers["ETag"] == '"v1"'
    if status == 304:
        assert answer.body == b""
        assert "Content-Length" not in answer.headers
    assert site.fetch().body == b"page 1"  # it was kept, whoever has asked first
    assert page.runs == 1


@pytest.mark.parametrize("kept", [False, True], ids=["cold", "kept"])
def test_error_page_is_no_answer_that_the_client_has(alone, kept):
    site = alone(Page(*VALIDATORS, status="404 Not Found"), Cache)
    if kept:
        site.fetch()
    assert site.fetch(headers={"If-None-Match": '"v1"'}).status_int == 404


def test_conditions_are_back_in_the_environ_when_the_page_has_been_made(alone):
    seen = []

    def outer(app):
        def wrapped(environ, start_response):
            body = app(environ, start_response)
            seen.append(environ.get("HTTP_IF_NONE_MATCH"))
            return body

        return wrapped

    def look(request, number):
        seen.append(request.environ.get("HTTP_IF_NONE_MATCH"))
        return b"page"

    site = alone(Page(make=look), Cache, outer)
    site.fetch(headers={"If-None-Match": '"x"'})
    assert seen == [None, '"x"']


def test_stream_that_the_client_has_is_closed_unread(alone):
    body = Body([b"a"])
    site = alone(Page(*VALIDATORS, make=lambda request, number: body), Cache)
    assert site.fetch(headers={"If-None-Match": '"v1"'}).status_int == 304
    assert (body.drawn, body.closed) == (0, 1)


# -- what makes it forget ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_method_that_is_not_safe_makes_it_forget_the_uri(host, method):
    page = Page(("Vary", "X-A"))
    site = host(page, Cache)
    headers = [{"X-A": "1"}, {"X-A": "2"}]
    for sent in headers:
        site.fetch("/a", headers=sent)
    site.fetch("/b")
    site.fetch("/a", method)
    assert [site.fetch("/a", headers=sent).body for sent in headers] == [b"page 5", b"page 6"]
    assert site.fetch("/b").body == b"page 3"


def test_failed_or_safe_method_makes_it_forget_nothing(alone):
    page = Page()
    site = alone(page, Cache)
    site.fetch()
    site.fetch(method="OPTIONS")
    page.status = "403 No"
    site.fetch(method="POST")
    assert site.fetch().body == b"page 1"


def test_methods_that_make_it_forget_can_be_named(alone):
    site = alone(Page(), Cache, invalid_methods=("PUT", "DELETE"))
    site.fetch()
    site.fetch(method="POST")
    assert site.fetch().body == b"page 1"
    site.fetch(method="PUT")
    assert site.fetch().body == b"page 4"


@pytest.mark.parametrize(
    ("location", "forgotten"),
    [
        pytest.param("/list", True, id="path"),
        pytest.param("list", True, id="relative"),
        pytest.param("http://localhost/li%73t", True, id="whole URL"),
        pytest.param("http://localhost:81/list", False, id="other port"),
        pytest.param("http://other.example/list", False, id="other host"),
        pytest.param("http://[/list", False, id="malformed"),
    ],
)
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_uri_that_the_answer_leads_to_is_forgotten_too(alone, name, location, forgotten):
    page = Page()
    site = alone(page, Cache)
    local = {"Host": "localhost"}
    site.fetch("/list", headers=local)
    page.fields = ((name, location),)
    site.fetch("/add", "POST", headers=local)
    assert site.fetch("/list", headers=local).body == (b"page 3" if forgotten else b"page 1")


def test_answer_that_was_being_made_when_the_uri_changed_is_not_kept(alone):
    def change(request, number):
        if number == 1:
            site.fetch(method="POST")
        return b"page %d" % number

    site = alone(Page(make=change), Cache)
    assert site.fetch().body == b"page 1"
    assert site.fetch().body == b"page 3"
    assert site.fetch().body == b"page 3"


# -- streams -------------------------------------------------------------------------------


class Body:
    """Blocks of a body, drawn one by one; counts what is drawn, and how often it is closed."""

    def __init__(self, blocks):
        self.blocks = iter(blocks)
        self.drawn = self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self.blocks)
        if isinstance(block, Exception):
            raise block
        self.drawn += 1
        return block

    def close(self):
        self.closed += 1


def test_stream_stays_one_and_is_kept_when_it_has_ended(host):
    bodies = []

    def make(request, number):
        bodies.append(Body([b"one, ", b"two"]))
        return bodies[-1]

    page = Page(make=make)
    site = host(page, Cache)
    _, _, sent = Request.blank("/", environ={"REMOTE_ADDR": "::1"}).call_application(site.app)
    blocks = iter(sent)
    assert next(blocks) == b"one, "
    assert bodies[0].drawn == 1
    assert list(blocks) == [b"two"]
    sent.close()
    answer = site.fetch()
    assert (answer.body, answer.headers["Content-Length"], page.runs) == (b"one, two", "8", 1)
    assert bodies[0].closed == 1


def test_stream_that_the_client_leaves_is_not_kept(host):
    body = Body([b"one, ", b"two"])
    page = Page(make=lambda request, number: body if number == 1 else b"whole")
    site = host(page, Cache, antistampede_timeout=10 * PATIENCE)
    _, _, sent = Request.blank("/", environ={"REMOTE_ADDR": "::1"}).call_application(site.app)
    next(iter(sent))
    sent.close()
    assert body.closed == 1
    assert (site.fetch().body, page.runs) == (b"whole", 2)


@pytest.mark.parametrize("fields", [[], [("Content-Length", "9")]], ids=["", "of known length"])
@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([b"x" * 8, b"x" * 8], id="too large"),
        pytest.param([b"x", RuntimeError("out of ink")], id="fails"),
    ],
)
def test_body_that_does_not_end_well_is_not_kept(blocks, fields):
    bodies = []

    def make(request, number):
        bodies.append(Body(blocks))
        return bodies[-1]

    page = Page(*fields, make=make)
    layer = Cache(lambda environ, start: page(Request(environ))(environ, start), maxobj_size=10)
    for _ in range(2):
        if isinstance(blocks[-1], Exception):
            with pytest.raises(RuntimeError, match="out of ink"):
                read(layer)
        else:
            assert read(layer) == b"".join(blocks)
    assert [body.closed for body in bodies] == [1, 1]


def test_stream_that_says_it_is_too_large_is_not_copied(alone):
    body = Body([b"x" * 11])
    page = Page(("Content-Length", "11"), make=lambda request, number: body)
    site = alone(page, Cache, maxobj_size=10)
    answer = site.fetch()
    assert (answer.body, answer.headers["Content-Length"]) == (b"x" * 11, "11")


def test_what_layers_further_out_add_is_not_kept(alone):
    """For they may add it to the very same response while the body is on its way."""

    class Outer(Layer):
        def after(self, request, response):
            response.headerlist.append(("Set-Cookie", "session=of-joe"))

    page = Page(make=lambda request, number: Body([b"a"]))
    layer = Outer(Cache(lambda environ, start: page(Request(environ))(environ, start)))
    for _ in range(2):
        _, fields, body = Request.blank("/").call_application(layer)
        assert b"".join(body) == b"a"
        body.close() if hasattr(body, "close") else None
    assert [value for name, value in fields if name == "Set-Cookie"] == ["session=of-joe"]
    assert page.runs == 1


# -- many at once --------------------------------------------------------------------------


def read(app, **headers):
    _, _, body = Request.blank("/", headers=headers).call_application(app)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


class Crowd:
    """Eight requests at once. ``around`` lets a page wait until all of them are on the way."""

    size = 8

    def __init__(self):
        self.entered = 0
        self.changed = threading.Condition()

    def around(self, app):
        def counted(environ, start_response):
            with self.changed:
                self.entered += 1
                self.changed.notify_all()
            return app(environ, start_response)

        return counted

    def wait_for_all(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.entered >= self.size, PATIENCE)

    def fetch(self, site, headers=({},) * size):
        began = time.monotonic()
        with ThreadPoolExecutor(self.size) as pool:
            answers = list(pool.map(lambda sent: ask(site, sent), headers))
        assert time.monotonic() - began < PATIENCE
        return answers


def ask(site, headers):
    try:
        return site.fetch(headers=headers).body
    except RuntimeError as error:
        return str(error)


def test_eight_cold_requests_run_the_page_once(host):
    crowd = Crowd()

    def make(request, number):
        crowd.wait_for_all()
        return b"page %d" % number

    page = Page(make=make)
    site = host(page, Cache, crowd.around, antistampede_timeout=10 * PATIENCE)
    assert crowd.fetch(site) == [b"page 1"] * 8
    assert page.runs == 1


def test_eight_cold_requests_for_two_variants_run_the_page_twice(alone):
    crowd = Crowd()

    def make(request, number):
        crowd.wait_for_all()
        return request.headers["X-A"].encode()

    page = Page(("Vary", "X-A"), make=make)
    site = alone(page, Cache, crowd.around, antistampede_timeout=10 * PATIENCE)
    assert crowd.fetch(site, [{"X-A": "12"[i % 2]} for i in range(8)]) == [b"1", b"2"] * 4
    assert page.runs == 2


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        pytest.param([("Cache-Control", "no-store")], b"x", id="not to be kept"),
        pytest.param([], b"x" * 101, id="too large"),
        pytest.param([("Content-Length", "500")], Body, id="says it is too large"),
        pytest.param([], Body, id="stream too large"),
    ],
)
def test_who_waits_for_what_is_not_kept_goes_on_at_once(host, fields, body):
    crowd = Crowd()

    def make(request, number):
        crowd.wait_for_all()
        return Body([b"x" * 250] * 2) if body is Body else body

    page = Page(*fields, make=make)
    site = host(page, Cache, crowd.around, maxobj_size=100, antistampede_timeout=10 * PATIENCE)
    assert {len(answer) for answer in crowd.fetch(site)} == {500 if body is Body else len(body)}
    assert page.runs == 8


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        pytest.param([("Cache-Control", "private")], b"x", id="private"),
        pytest.param([], b"x" * 101, id="too large"),
    ],
)
def test_nobody_waits_again_for_what_was_not_kept(fields, body):
    """Slow private pages must not be served one after another."""
    together = threading.Barrier(8)
    runs = []

    def app(environ, start_response):
        runs.append(1)
        if len(runs) > 1:
            together.wait(PATIENCE)
        start_response("200 OK", fields)
        return [body]

    layer = Cache(app, maxobj_size=100, antistampede_timeout=10 * PATIENCE)
    read(layer)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: read(layer), range(8))) == [body] * 8


def test_who_waits_for_what_fails_goes_on_at_once(alone):
    crowd = Crowd()

    def make(request, number):
        crowd.wait_for_all()
        if number == 1:
            raise RuntimeError("out of ink")
        return b"page"

    page = Page(make=make)
    site = alone(page, Cache, crowd.around, antistampede_timeout=10 * PATIENCE)
    assert sorted(map(str, crowd.fetch(site))) == ["b'page'"] * 7 + ["out of ink"]


def test_tool_lets_go_on_who_waits_for_what_fails():
    crowd = Crowd()

    class Root:
        runs = 0

        @cptoolkit.expose
        @cptoolkit.tools.caching(antistampede_timeout=10 * PATIENCE)
        def index(self):
            Root.runs += 1
            number = Root.runs
            crowd.wait_for_all()
            if number == 1:
                raise RuntimeError("out of ink")
            return "page"

    app = crowd.around(cptoolkit.Application(Root(), "", {"/": {"log.screen": False}}))

    def fetch(_):
        return Request.blank("/").get_response(app).status_int

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(fetch, range(8))) == [200] * 7 + [500]


def test_nobody_waits_longer_than_the_timeout(alone):
    done = threading.Event()

    def make(request, number):
        if number == 1:
            assert done.wait(PATIENCE)
        return b"page %d" % number

    page = Page(make=make)
    site = alone(page, Cache, antistampede_timeout=0.02)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(site.fetch)
        while page.runs == 0:
            pass
        assert site.fetch().body == b"page 2"
        assert site.fetch().body == b"page 2"  # the second one was kept
        done.set()
        assert slow.result(PATIENCE).body == b"page 1"


@pytest.mark.parametrize("timeout", [None, 0])
def test_without_a_timeout_nobody_waits(alone, timeout):
    together = threading.Barrier(8)

    def make(request, number):
        together.wait(PATIENCE)
        return b"x"

    page = Page(make=make)
    Crowd().fetch(alone(page, Cache, antistampede_timeout=timeout))
    assert page.runs == 8


@pytest.mark.parametrize(
    ("said", "runs"),
    [pytest.param(True, 1, id="of a known length"), pytest.param(False, 2, id="without end")],
)
def test_nobody_waits_for_a_client_that_does_not_read(alone, said, runs):
    fields = [("Content-Length", "6")] if said else []
    page = Page(*fields, make=lambda request, number: Body([b"page", b" 1"]))
    site = alone(page, Cache, antistampede_timeout=10 * PATIENCE)
    _, _, unread = Request.blank("/", environ={"REMOTE_ADDR": "::1"}).call_application(site.app)
    assert site.fetch().body == b"page 1"
    assert page.runs == runs
    unread.close()


# -- among others --------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", ["outer", "inner"])
def test_caches_stack(alone, keeps):
    none = {"delay": 0, "force": True}
    page = Page()
    inner, outer = (none, {}) if keeps == "outer" else ({}, none)
    site = alone(page, Cache, lambda app: Cache(app, **outer), **inner)
    assert site.fetch().body == site.fetch().body == b"page 1"
    site.fetch(method="POST")
    assert site.fetch().body == b"page 3"


def test_cache_status_tells_what_was_done(host):
    page, clock = Page(("Vary", "X-A")), Clock()
    site = host(page, Cache, debug=True, clock=clock)

    def status(**headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return site.fetch(headers=sent).headers["Cache-Status"]

    assert status() == "cptoolkit; fwd=uri-miss"
    clock.now += 10
    assert status() == "cptoolkit; hit; ttl=590"
    assert status(X_A="1") == "cptoolkit; fwd=vary-miss"
    assert status(Cache_Control="max-age=0") == "cptoolkit; fwd=request"
    assert status(Authorization="x") == "cptoolkit; fwd=bypass"
    page.fields = (("Cache-Control", "private"), ("Cache-Status", "inner; fwd=miss"))
    assert site.fetch("/b").headers["Cache-Status"] == "inner; fwd=miss, cptoolkit; fwd=uri-miss"


def test_without_debug_nothing_is_told(alone):
    site = alone(Page(), Cache)
    assert "Cache-Status" not in site.fetch().headers
    assert "Cache-Status" not in site.fetch().headers


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"delay": -1}, ValueError, "delay must be 0 or more, got -1"),
        ({"delay": "60"}, TypeError, "delay must be a number, got '60'"),
        ({"maxobjects": True}, TypeError, "maxobjects must be a number, got True"),
        ({"antistampede_timeout": -5}, ValueError, "antistampede_timeout must be 0 or more"),
        ({"hosts": 5}, TypeError, "hosts must be a list of texts, got 5"),
        ({"invalid_methods": [1]}, TypeError, "invalid_methods must be a list of texts"),
        ({"store": 5}, TypeError, "store must be a CacheStore, a URL of Redis or None, got 5"),
        ({"store": "ram"}, ValueError, "such as 'redis://localhost/0', got one of 'ram'"),
        ({"max_objects": 5}, TypeError, "did you mean 'maxobjects'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_wrong_option_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Cache(**options)


# -- in an object tree ---------------------------------------------------------------------


def tree(root, **config):
    return cptoolkit.Application(root, "", {"/": {"tools.caching.on": True, **config}})


def fetch(app, path="/", **environ):
    return Request.blank(path, environ).get_response(app)


def test_hook_that_refuses_comes_before_the_cache(app_of):
    allowed = [True]

    def check():
        if not allowed[0]:
            raise cptoolkit.HTTPError(403)

    cptoolkit.tools.check = cptoolkit.Tool("before_handler", check)

    class Root:
        @cptoolkit.expose
        def index(self):
            return "secret"

    client = app_of(Root(), {"/": {"tools.caching.on": True, "tools.check.on": True}})
    client.get("/")
    assert "Age" in client.get("/").headers
    allowed[0] = False
    assert client.get("/", status=403).status_int == 403


def test_answer_of_another_tool_is_not_replaced_and_not_kept():
    known = [True]

    def login():
        if not known[0]:
            cptoolkit.response.body = "who are you?"
        return not known[0]

    cptoolkit.tools.login = cptoolkit._cptools.HandlerTool(login)

    class Root:
        runs = 0

        @cptoolkit.expose
        def index(self):
            Root.runs += 1
            return "secret"

    app = tree(Root(), **{"tools.login.on": True})
    assert fetch(app).text == "secret"
    known[0] = False
    assert fetch(app).text == fetch(app, "/?").text == "who are you?"
    known[0] = True
    assert fetch(app).text == "secret"
    assert Root.runs == 1


def test_page_that_sets_a_cookie_on_the_response_is_not_kept():
    class Root:
        runs = 0

        @cptoolkit.expose
        def index(self):
            Root.runs += 1
            cptoolkit.response.cookie["user"] = str(Root.runs)
            return "hello"

    app = tree(Root())
    assert "user=1" in fetch(app).headers["Set-Cookie"]
    assert "user=2" in fetch(app).headers["Set-Cookie"]


def test_request_tells_whether_it_was_answered_from_the_cache():
    seen = []

    def look():
        request = cptoolkit.request
        seen.append((request.cached, request.cacheable))

    cptoolkit.tools.look = cptoolkit.Tool("before_finalize", look)

    class Root:
        @cptoolkit.expose
        def index(self):
            return "hello"

    app = tree(Root(), **{"tools.look.on": True})
    for method in ("GET", "GET", "POST"):
        Request.blank("/", method=method).get_response(app)
    assert seen == [(False, True), (True, False), (False, False)]


def test_generator_may_set_header_fields_and_is_kept_with_them():
    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.response.headers["Content-Type"] = "text/css"
            yield "a"
            yield "ü"

    app = tree(Root())
    first, second = fetch(app), fetch(app)
    assert first.body == second.body == "aü".encode()
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    assert "Age" in second.headers


def test_error_that_the_handler_raises_is_kept_as_it_was_sent():
    class Root:
        runs = 0

        @cptoolkit.expose
        def default(self, *path):
            Root.runs += 1
            raise cptoolkit.HTTPError(404, "no such thing")

    app = tree(Root())
    first, second = fetch(app, "/x"), fetch(app, "/x")
    assert first.status == second.status
    assert first.body == second.body
    assert Root.runs == 1


def test_internal_redirect_has_its_own_answer():
    class Root:
        runs = 0

        @cptoolkit.expose
        def index(self):
            Root.runs += 1
            raise cptoolkit.InternalRedirect("/other")

        @cptoolkit.expose
        def other(self):
            return "other"

    app = tree(Root(), **{"tools.caching.antistampede_timeout": 10 * PATIENCE})
    assert fetch(app).text == fetch(app).text == fetch(app, "/other").text == "other"
    assert Root.runs == 2


def test_each_application_has_a_cache_of_its_own():
    class Root:
        def __init__(self, text):
            self.text = text

        @cptoolkit.expose
        def index(self):
            return self.text

    one, two = tree(Root("one")), tree(Root("two"))
    assert [fetch(app).text for app in (one, two, one, two)] == ["one", "two"] * 2


def test_streamed_page_is_streamed_and_kept():
    class Root:
        runs = 0

        @cptoolkit.expose
        def index(self):
            Root.runs += 1
            yield "one"
            yield "two"

        index._cp_config = {"response.stream": True}

    app = tree(Root())
    assert fetch(app).body == fetch(app).body == b"onetwo"
    assert Root.runs == 1
