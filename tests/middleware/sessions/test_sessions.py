"""Sessions: the layer, as a tool and around the applications of frameworks."""

import logging
import threading

import pytest
from beside import at_once
from webob import Request, Response

from cptoolkit.middleware.sessions import Sessions, SessionUnavailable
from cptoolkit.middleware.sessions.ram import RamStore
from cptoolkit.middleware.sessions.store import StoreUnavailable

STALE = "0123456789abcdef0123456789abcdef01234567"
"""A well-formed id that nobody has."""


def session_of(request):
    return request.environ["cptoolkit.session"]


def count(request):
    session = session_of(request)
    session["n"] = session.get("n", 0) + 1
    return Response(str(session["n"]))


def peek(request):
    return Response(str(session_of(request).get("n", "nothing")))


def by_path(**views):
    return lambda request: views[request.path_info.strip("/") or "index"](request)


def untouched(request):
    return Response("hello")


def cookie_in(answer):
    """name=value of the cookie that an answer sets."""
    return answer.headers["Set-Cookie"].partition(";")[0]


def id_in(answer):
    return cookie_in(answer).partition("=")[2]


def fetch(site, path="/", cookie=None, **options):
    return site.fetch(path, headers={"Cookie": cookie} if cookie else {}, **options)


# -- what a session costs those who do not use it ----------------------------------------------


def test_anonymous_requests_that_touch_nothing_leave_nothing(host):
    store = RamStore()
    site = host(untouched, Sessions, storage=store)
    for _ in range(20):
        answer = fetch(site)
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers
        assert "Cache-Control" not in answer.headers
    assert store.records == {}
    assert store.locks == {}


def test_thousand_anonymous_requests_leave_an_empty_store(alone):
    store = RamStore()
    site = alone(by_path(index=untouched, peek=peek), Sessions, storage=store)
    for _ in range(500):
        fetch(site)
        fetch(site, "/peek")
    assert store.records == {}
    assert store.locks == {}


def test_known_session_that_is_not_touched_is_not_even_looked_for(alone):
    class Untouchable(RamStore):
        def load(self, id):
            raise AssertionError("loaded")

    answer = fetch(alone(untouched, Sessions, storage=Untouchable()), cookie="session_id=" + STALE)
    assert "Set-Cookie" not in answer.headers


def test_new_session_that_is_only_read_is_not_created(host):
    store = RamStore()
    answer = fetch(host(peek, Sessions, storage=store))
    assert answer.text == "nothing"
    assert answer.headers["Vary"] == "Cookie"
    assert "Set-Cookie" not in answer.headers
    assert len(store) == 0


def test_id_can_be_read_without_creating_the_session(alone):
    store = RamStore()
    answer = fetch(alone(lambda r: Response(session_of(r).id), Sessions, storage=store))
    assert len(answer.text) == 40
    assert "Set-Cookie" not in answer.headers
    assert len(store) == 0


# -- the round trip ----------------------------------------------------------------------------


def test_what_was_set_is_there_in_the_next_request(host):
    site = host(count, Sessions, storage=RamStore())
    first = fetch(site)
    cookie = cookie_in(first)
    assert [fetch(site, cookie=cookie).text for _ in range(3)] == ["2", "3", "4"]
    assert fetch(site).text == "1"


def test_change_inside_of_a_value_is_kept(host):
    def view(request):
        basket = session_of(request).setdefault("basket", {"items": []})
        basket["items"].append(len(basket["items"]))
        return Response(repr(basket["items"]))

    site = host(view, Sessions, storage=RamStore())
    cookie = cookie_in(fetch(site))
    fetch(site, cookie=cookie)
    assert fetch(site, cookie=cookie).text == "[0, 1, 2]"


def test_session_that_is_read_lives_on_and_so_does_its_cookie(host):
    store = RamStore()
    site = host(by_path(index=count, peek=peek), Sessions, storage=store)
    cookie = cookie_in(fetch(site))
    (id,) = store.records
    store.touch(id, store.records[id][1] - 1800)
    before = store.records[id][1]
    answer = fetch(site, "/peek", cookie)
    assert cookie_in(answer) == cookie
    assert store.records[id][1] > before + 1700


def test_head_saves_as_get_does(host):
    site = host(count, Sessions, storage=RamStore())
    cookie = cookie_in(fetch(site, method="HEAD"))
    assert fetch(site, cookie=cookie).text == "2"


def test_client_that_posts_forms_keeps_its_session(host):
    site = host(count, Sessions, storage=RamStore())
    assert [site.client.post("/", "x=1").text for _ in range(3)] == ["1", "2", "3"]


def test_two_layers_keep_two_sessions(alone):
    def view(request):
        session_of(request)["inner"] = True
        return Response()

    outer, inner = RamStore(), RamStore()
    site = alone(
        view,
        Sessions,
        storage=inner,
        around=lambda app: Sessions(app, storage=outer, name="outer"),
    )
    answer = fetch(site)
    assert [value[:11] for value in answer.headers.getall("Set-Cookie")] == ["session_id="]
    assert len(inner) == 1
    assert len(outer) == 0


# -- fixation, expiry, and ends ----------------------------------------------------------------


def about(request):
    session = session_of(request)
    session["n"] = 1
    return Response(f"{session.originalid} {session.missing} {session.id != session.originalid}")


def test_id_that_a_client_made_up_is_not_taken_over(host):
    store = RamStore()
    answer = fetch(host(about, Sessions, storage=store), cookie="session_id=" + STALE)
    assert answer.text == f"{STALE} True True"
    assert id_in(answer) != STALE
    assert list(store.records) == [id_in(answer)]
    assert store.locks == {}


def test_whether_the_session_is_missing_can_be_the_first_question(host):
    site = host(
        by_path(index=count, missing=lambda r: Response(str(session_of(r).missing))),
        Sessions,
        storage=RamStore(),
    )
    cookie = cookie_in(fetch(site))
    answers = [fetch(site, "/missing", c) for c in (None, "session_id=" + STALE, cookie)]
    assert [answer.text for answer in answers] == ["False", "True", "False"]
    assert answers[1].headers["Vary"] == "Cookie"


@pytest.mark.parametrize(
    "id",
    [
        pytest.param("../../etc/passwd", id="a path"),
        pytest.param("x" * 40, id="another alphabet"),
        pytest.param("a" * 39, id="too short"),
        pytest.param("a" * 5000, id="too long"),
        pytest.param("%00" * 13 + "a", id="escapes"),
        pytest.param("", id="nothing"),
    ],
)
def test_id_that_no_generator_makes_never_reaches_the_store(alone, id):
    asked = []

    class Asked(RamStore):
        def load(self, id):
            asked.append(id)
            return super().load(id)

        def lock(self, id, timeout):
            asked.append(id)
            return super().lock(id, timeout)

    answer = fetch(alone(about, Sessions, storage=Asked()), cookie="session_id=" + id)
    assert answer.text == f"{id} True True"
    assert asked == []


def test_expired_session_is_missing(host):
    store = RamStore()
    site = host(by_path(index=count, about=about), Sessions, storage=store)
    cookie = cookie_in(fetch(site))
    (id,) = store.records
    store.touch(id, 1.0)
    answer = fetch(site, "/about", cookie)
    assert answer.text == f"{id} True True"
    assert id_in(answer) != id


def test_regenerated_session_has_a_new_id_and_the_same_data(host):
    def login(request):
        session_of(request).regenerate()
        session_of(request)["user"] = "ann"
        return Response()

    def who(request):
        return Response(f"{session_of(request).get('user')} {session_of(request).get('n')}")

    store = RamStore()
    site = host(by_path(index=count, login=login, who=who), Sessions, storage=store)
    old = cookie_in(fetch(site))
    new = cookie_in(fetch(site, "/login", old))
    assert new != old
    assert fetch(site, "/who", new).text == "ann 1"
    assert fetch(site, "/who", old).text == "None None"
    assert list(store.records) == [new.partition("=")[2]]


@pytest.mark.parametrize("way", ["expire", "delete"])
def test_logout_leaves_neither_record_nor_cookie(host, way):
    def logout(request):
        getattr(session_of(request), way)()
        return Response("bye")

    store = RamStore()
    site = host(by_path(index=count, logout=logout), Sessions, storage=store)
    answer = fetch(site, "/logout", cookie_in(fetch(site)))
    assert answer.text == "bye"
    assert cookie_in(answer) == "session_id="
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert store.records == {}
    assert store.locks == {}


def test_nothing_is_kept_after_expire(alone):
    def view(request):
        session_of(request).expire()
        session_of(request)["late"] = 1
        return Response()

    store = RamStore()
    site = alone(by_path(index=count, out=view), Sessions, storage=store)
    answer = fetch(site, "/out", cookie_in(fetch(site)))
    assert cookie_in(answer) == "session_id="
    assert len(store) == 0


def test_what_is_set_after_delete_begins_another_session(alone):
    def view(request):
        session_of(request).delete()
        session_of(request)["farewell"] = 1
        return Response()

    store = RamStore()
    site = alone(by_path(index=count, out=view), Sessions, storage=store)
    old = cookie_in(fetch(site))
    answer = fetch(site, "/out", old)
    assert cookie_in(answer) not in (old, "session_id=")
    assert [record[0] for record in store.records.values()] == [{"farewell": 1}]


# -- what caches are told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        pytest.param(None, "private", id="nothing said"),
        pytest.param("max-age=60", "private, max-age=60", id="how long only"),
        pytest.param("public, max-age=60", "private, max-age=60", id="public"),
        pytest.param("max-age=1, s-maxage=60", "private, max-age=1", id="shared caches"),
        pytest.param("private, max-age=5", "private, max-age=5", id="private already"),
        pytest.param("no-store", "no-store", id="not at all"),
        pytest.param("No-Cache", "No-Cache", id="not unasked"),
    ],
)
def test_answer_with_a_cookie_is_kept_out_of_shared_caches(host, own, sent):
    def view(request):
        session_of(request)["n"] = 1
        answer = Response()
        if own:
            answer.headers["Cache-Control"] = own
        return answer

    answer = fetch(host(view, Sessions, storage=RamStore()))
    assert answer.headers["Cache-Control"] == sent
    assert answer.headers["Vary"] == "Cookie"


def test_vary_of_the_page_is_added_to(host):
    def view(request):
        session_of(request).get("n")
        return Response(headerlist=[("Vary", "Accept"), ("Content-Type", "text/plain")])

    answer = fetch(host(view, Sessions, storage=RamStore()))
    assert answer.headers["Vary"].replace(", ", ",") == "Accept,Cookie"


# -- locking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("locking", ["implicit", "early"])
def test_five_increments_at_once_give_five(alone, locking):
    site = alone(count, Sessions, storage=RamStore(), locking=locking)
    cookie = cookie_in(fetch(site))
    at_once(*[lambda: fetch(site, cookie=cookie)] * 5)
    assert fetch(site, cookie=cookie).text == "7"


def test_five_increments_at_once_with_an_explicit_lock_give_five(alone):
    def view(request):
        session_of(request).get("n")  # stale by the time that the lock is there
        session_of(request).acquire_lock()
        return count(request)

    site = alone(view, Sessions, storage=RamStore(), locking="explicit")
    cookie = cookie_in(fetch(site))
    at_once(*[lambda: fetch(site, cookie=cookie)] * 5)
    assert fetch(site, cookie=cookie).text == "7"


def test_other_requests_wait_from_the_first_touch_on(alone):
    store = RamStore()
    taken = []

    def view(request):
        taken.append(len(store.locks))
        session_of(request).get("n")
        taken.append(len(store.locks))
        return count(request)

    site = alone(view, Sessions, storage=store)
    fetch(site, cookie=cookie_in(fetch(site)))
    assert taken[2:] == [0, 1]
    assert store.locks == {}


def test_early_lock_is_there_before_the_page(alone):
    store = RamStore()
    held = []

    def view(request):
        held.append(session_of(request).locked)
        return count(request)

    site = alone(view, Sessions, storage=store, locking="early")
    fetch(site, cookie=cookie_in(fetch(site)))
    assert held == [False, True]


@pytest.mark.parametrize("locking", ["optimistic", "explicit"])
def test_requests_without_a_lock_keep_each_others_changes(host, locking):
    inside = threading.Barrier(3)

    def view(request):
        session = session_of(request)
        key = request.query_string
        if key:
            session.get("n")
            inside.wait(10)  # all of them have loaded, none has saved
            session[key] = 1
            session["shared"].append(key)
            inside.wait(10)
        else:
            session["shared"] = []
            session["gone"] = 1
        return Response()

    def drop(request):
        session_of(request).pop("gone")
        inside.wait(10)
        inside.wait(10)
        return Response()

    store = RamStore()
    site = host(by_path(index=view, drop=drop), Sessions, storage=store, locking=locking)
    cookie = cookie_in(fetch(site))
    at_once(
        lambda: fetch(site, "/?a", cookie),
        lambda: fetch(site, "/?b", cookie),
        lambda: fetch(site, "/drop", cookie),
    )
    ((data, _),) = store.records.values()
    assert (data["a"], data["b"], "gone" in data) == (1, 1, False)
    assert store.locks == {}


def test_requests_of_one_session_run_side_by_side_under_optimistic(alone):
    inside = threading.Barrier(4)

    def view(request):
        session_of(request).get("n")
        inside.wait(10)  # breaks unless all four are in here at once
        return Response()

    site = alone(
        by_path(index=count, wait=view), Sessions, storage=RamStore(), locking="optimistic"
    )
    cookie = cookie_in(fetch(site))
    at_once(*[lambda: fetch(site, "/wait", cookie)] * 4)
    assert not inside.broken


def test_session_that_ended_meanwhile_is_not_brought_back(alone):
    store = RamStore()

    def view(request):
        session_of(request)["late"] = 1
        store.records.clear()  # another request has logged out
        return Response()

    site = alone(by_path(index=count, late=view), Sessions, storage=store, locking="optimistic")
    answer = fetch(site, "/late", cookie_in(fetch(site)))
    assert "Set-Cookie" not in answer.headers
    assert store.records == {}


def test_lock_that_was_lost_before_the_end_overwrites_nothing(alone):
    store = RamStore()

    def view(request):
        session = session_of(request)
        session["mine"] = 1
        session._lock.release()  # its lease has run out, and another request has had its turn
        (id,) = store.records
        store.save(id, {**store.load(id)[0], "theirs": 1}, store.records[id][1])
        return Response()

    site = alone(by_path(index=count, slow=view), Sessions, storage=store)
    fetch(site, "/slow", cookie_in(fetch(site)))
    ((data, _),) = store.records.values()
    assert data == {"n": 1, "mine": 1, "theirs": 1}


def test_who_waits_too_long_for_the_lock_gets_503(host, caplog):
    store = RamStore()
    site = host(count, Sessions, storage=store, lock_timeout=0.01)
    cookie = cookie_in(fetch(site))
    lock = store.lock(cookie.partition("=")[2], 0)
    answer = fetch(site, cookie=cookie)
    lock.release()
    assert answer.status_int == 503
    assert answer.headers["Retry-After"] == "10"
    assert fetch(site, cookie=cookie).text == "2"


def test_released_lock_lets_others_go_on_and_loses_nothing(alone):
    store = RamStore()

    def view(request):
        session = session_of(request)
        session["first"] = 1
        session.release_lock()
        (id,) = store.records
        assert store.locks == {}
        store.save(id, {**store.load(id)[0], "theirs": 1}, store.records[id][1])
        session["second"] = 1
        return Response()

    site = alone(by_path(index=count, free=view), Sessions, storage=store)
    fetch(site, "/free", cookie_in(fetch(site)))
    ((data, _),) = store.records.values()
    assert data == {"n": 1, "first": 1, "theirs": 1, "second": 1}


# -- streams -----------------------------------------------------------------------------------


def test_open_stream_blocks_no_other_request(host):
    def stream(request):
        count(request)
        return Response(app_iter=iter([b"first", b"second"]), content_type="text/plain")

    site = host(by_path(index=count, stream=stream), Sessions, storage=RamStore(), lock_timeout=0)
    cookie = cookie_in(fetch(site))
    request = Request.blank("/stream", headers={"Cookie": cookie})
    _, _, body = request.call_application(site.app)
    assert next(iter(body)) == b"first"
    assert fetch(site, cookie=cookie).text == "3"
    body.close()


def test_what_a_stream_changes_is_kept_beside_what_others_have_changed(host):
    store = RamStore()

    def stream(request):
        session = session_of(request)
        session["before"] = 1

        def ticks():
            yield b"tick"
            assert store.locks == {}
            session["during"] = session.get("n")
            yield b"tock"

        return Response(app_iter=ticks(), content_type="text/plain")

    site = host(by_path(index=count, stream=stream), Sessions, storage=store)
    cookie = cookie_in(fetch(site))
    request = Request.blank("/stream", headers={"Cookie": cookie})
    _, _, body = request.call_application(site.app)
    blocks = iter(body)
    next(blocks)
    fetch(site, cookie=cookie)
    assert list(blocks) == [b"tock"]
    body.close()
    ((data, _),) = store.records.values()
    assert data == {"n": 2, "before": 1, "during": 1}
    assert store.locks == {}


def test_session_begun_by_a_stream_is_told_to_be_lost(host, caplog):
    store = RamStore()

    def stream(request):
        def ticks():
            yield b"tick"  # which some frameworks draw before they begin to answer
            session_of(request)["late"] = 1
            yield b"tock"

        return Response(app_iter=ticks(), content_type="text/plain")

    answer = fetch(host(stream, Sessions, storage=store))
    assert "Set-Cookie" not in answer.headers
    assert len(store) == 0
    assert "no cookie names it" in caplog.text


def test_stream_that_leaves_what_cannot_be_stored_is_told_in_the_log(host, tmp_path, caplog):
    def stream(request):
        count(request)

        def ticks():
            yield b"tick"
            session_of(request)["call"] = lambda: 1
            yield b"tock"

        return Response(app_iter=ticks(), content_type="text/plain")

    site = host(stream, Sessions, storage_type="file", storage_path=str(tmp_path))
    assert fetch(site).text == "ticktock"
    assert "the session is lost: the session's 'call' cannot be stored" in caplog.text


# -- failure -----------------------------------------------------------------------------------


class Boom(Exception):
    """What a page raises."""


@pytest.mark.parametrize("locking", ["implicit", "early", "optimistic"])
def test_page_that_fails_leaves_nothing_saved_or_locked(alone, locking):
    store = RamStore()

    def view(request):
        session_of(request)["half"] = 1
        raise Boom

    site = alone(by_path(index=count, fail=view), Sessions, storage=store, locking=locking)
    cookie = cookie_in(fetch(site))
    with pytest.raises(Boom):
        fetch(site, "/fail", cookie)
    ((data, _),) = store.records.values()
    assert data == {"n": 1}
    assert store.locks == {}


class Down(RamStore):
    """A store that stops to answer."""

    down = False

    def load(self, id):
        self._fail()
        return super().load(id)

    def save(self, id, data, expires):
        self._fail()
        super().save(id, data, expires)

    def _fail(self):
        if self.down:
            raise StoreUnavailable("nobody answers on port 1")


def test_store_that_is_down_means_503_and_one_line_in_the_log(host, caplog):
    store = Down()
    site = host(count, Sessions, storage=store)
    cookie = cookie_in(fetch(site))
    store.down = True
    caplog.set_level(logging.INFO, "cptoolkit.sessions")
    answer = fetch(site, cookie=cookie, REMOTE_ADDR="198.51.100.7")
    assert answer.status_int == 503
    assert answer.headers["Retry-After"] == "10"
    assert "Traceback" not in answer.text
    assert [r.message for r in caplog.records if r.name == "cptoolkit.sessions"] == [
        "the session cannot be had: nobody answers on port 1"
    ]
    assert store.locks == {}
    store.down = False
    assert fetch(site, cookie=cookie).text == "2"


def test_store_that_goes_down_before_the_save_means_503(host, caplog):
    store = Down()

    def view(request):
        session_of(request)["n"] = 5
        store.down = True
        return Response("all is well")

    site = host(by_path(index=count, late=view), Sessions, storage=store)
    cookie = cookie_in(fetch(site))
    answer = fetch(site, "/late", cookie)
    assert answer.status_int == 503
    assert b"all is well" not in answer.body
    assert store.locks == {}


def test_page_may_do_without_a_session_that_cannot_be_had(host, caplog):
    store = Down()
    store.down = True

    def view(request):
        try:
            return count(request)
        except SessionUnavailable:
            return Response("hello stranger")

    answer = fetch(host(view, Sessions, storage=store), cookie="session_id=" + STALE)
    assert (answer.status_int, answer.text) == (200, "hello stranger")
    assert answer.headers["Vary"] == "Cookie"  # no cache is to greet others with that


# -- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param({"timeuot": 5}, "no option 'timeuot'; did you mean 'timeout'", id="misspelt"),
        pytest.param({"xyzzy": 5}, "with RamSession has no option 'xyzzy'", id="unknown"),
        pytest.param({"timeout": "60"}, "timeout must be a number, got '60'", id="text"),
        pytest.param({"timeout": True}, "timeout must be a number, got True", id="flag"),
        pytest.param({"timeout": 0}, "timeout must be 1 minute to 100 years", id="no time"),
        pytest.param({"timeout": 1e12}, "timeout must be 1 minute to 100 years", id="for ever"),
        pytest.param({"clean_freq": -1}, "clean_freq must be 0 or more, got -1", id="negative"),
        pytest.param({"lock_timeout": "x"}, "lock_timeout must be a number", id="lock timeout"),
        pytest.param({"locking": "late"}, "locking must be one of implicit", id="locking"),
        pytest.param({"storage": 5}, "storage must be a Store, got 5", id="no store"),
        pytest.param({"storage_class": dict}, "must be a subclass of Session", id="no session"),
        pytest.param({"storage_type": "disk"}, "storage_type must be one of ram", id="type"),
        pytest.param({"name": "a b"}, "name must be the name of a cookie", id="cookie name"),
        pytest.param({"path": "/;x"}, "path must be plain text", id="path"),
        pytest.param({"domain": "a\r\nb"}, "domain must be plain text", id="domain"),
        pytest.param({"samesite": "Some"}, "samesite must be 'Lax'", id="samesite"),
        pytest.param(
            {"samesite": "None", "secure": False}, "secure must not be False", id="contradiction"
        ),
    ],
)
def test_wrong_option_is_refused_at_the_start(options, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        Sessions(untouched, **options)


def test_secret_is_not_in_the_repr(tmp_path):
    layer = Sessions(untouched, storage_type="file", storage_path=str(tmp_path), secret="hush")
    assert "hush" not in repr(layer)
    assert "storage_type='file'" in repr(layer)


def test_debug_tells_the_steps_but_no_id(alone, caplog):
    caplog.set_level(logging.INFO, "cptoolkit.sessions")
    site = alone(count, Sessions, storage=RamStore(), debug=True)
    cookie = cookie_in(fetch(site))
    fetch(site, cookie=cookie)
    for step in ("locked", "loaded", "saved"):
        assert step in caplog.text
    assert cookie.partition("=")[2] not in caplog.text
