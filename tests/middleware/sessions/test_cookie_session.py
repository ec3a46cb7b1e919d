"""Sessions in a signed cookie."""

import time

import pytest
from itsdangerous import TimestampSigner
from webob import Response

from cptoolkit.middleware.sessions import Sessions
from cptoolkit.middleware.sessions.cookie import CookieSession
from cptoolkit.middleware.sessions.session import LOCKINGS


def count(request):
    session = request.environ["cptoolkit.session"]
    if request.path_info == "/logout":
        session.expire()
    elif request.path_info == "/big":
        session["big"] = list(range(5000))
    elif request.path_info == "/peek":
        return Response(f"{session.get('n')} {session.missing}")
    else:
        session["n"] = session.get("n", 0) + 1
    return Response(str(session.get("n")))


def cookie_in(answer):
    return answer.headers["Set-Cookie"].partition(";")[0]


def fetch(site, path="/", cookie=None):
    return site.fetch(path, headers={"Cookie": cookie} if cookie else {})


def test_data_travel_in_the_cookie(host):
    site = host(count, Sessions, storage_class=CookieSession, storage_options={"secret": "s"})
    cookie = cookie_in(fetch(site))
    cookie = cookie_in(fetch(site, "/", cookie))
    assert fetch(site, "/peek", cookie).text == "2 False"


@pytest.mark.parametrize("locking", LOCKINGS)
def test_changes_are_kept_whatever_the_locking(alone, locking):
    site = alone(count, Sessions, storage_type="cookie", secret="s", locking=locking)
    cookie = cookie_in(fetch(site))
    for path in ("/", "/peek", "/"):
        cookie = cookie_in(fetch(site, path, cookie))
    assert fetch(site, "/peek", cookie).text == "3 False"


@pytest.mark.parametrize("locking", LOCKINGS)
def test_lock_that_a_page_takes_and_releases_loses_nothing(alone, locking):
    def view(request):
        session = request.environ["cptoolkit.session"]
        session["same"] = 1
        session.acquire_lock()
        session["n"] = session.get("n", 0) + 1
        session.release_lock()
        session.regenerate()
        return Response(f"{session['same']} {session['n']}")

    site = alone(view, Sessions, storage_type="cookie", secret="s", locking=locking)
    cookie = None
    for n in (1, 2, 3):
        answer = fetch(site, "/", cookie)
        assert answer.text == f"1 {n}"
        cookie = cookie_in(answer)


def test_anonymous_reader_gets_no_cookie(alone):
    site = alone(count, Sessions, storage_type="cookie", secret="s")
    assert "Set-Cookie" not in fetch(site, "/peek").headers


def test_logout_takes_the_cookie_away(alone):
    site = alone(count, Sessions, storage_type="cookie", secret="s")
    answer = fetch(site, "/logout", cookie_in(fetch(site)))
    assert cookie_in(answer) == "session_id="


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda cookie: cookie[:-9] + cookie[-9:].swapcase(), id="changed"),
        pytest.param(lambda cookie: "session_id=" + "a" * 40, id="an id"),
        pytest.param(lambda cookie: "session_id=..", id="empty parts"),
        pytest.param(lambda cookie: cookie[:20], id="cut"),
        pytest.param(lambda cookie: cookie + "." * 5000, id="endless"),
    ],
)
def test_forged_cookie_is_no_session(alone, forge):
    site = alone(count, Sessions, storage_type="cookie", secret="s")
    cookie = cookie_in(fetch(site))
    assert fetch(site, "/peek", forge(cookie)).text == "None True"


def test_secrets_can_be_replaced_one_after_the_other(alone):
    old = alone(count, Sessions, storage_type="cookie", secret="old")
    both = alone(count, Sessions, storage_type="cookie", secret=["new", "old"])
    new = alone(count, Sessions, storage_type="cookie", secret="new")
    cookie = cookie_in(fetch(old))
    assert fetch(new, "/peek", cookie).text == "None True"
    moved = cookie_in(fetch(both, "/", cookie))
    assert fetch(new, "/peek", moved).text == "2 False"


def test_cookie_is_good_until_the_timeout_after_its_last_use(alone, monkeypatch):
    site = alone(count, Sessions, storage_type="cookie", secret="s", timeout=10)
    long_ago = time.time() - 601
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: int(long_ago))
    stale = cookie_in(fetch(site))
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: int(long_ago) + 60)
    fresh = cookie_in(fetch(site))
    monkeypatch.undo()
    assert fetch(site, "/peek", stale).text == "None True"
    answer = fetch(site, "/peek", fresh)
    assert answer.text == "1 False"
    assert cookie_in(answer) != fresh


def test_id_stays_the_same(alone):
    def view(request):
        session = request.environ["cptoolkit.session"]
        session["n"] = 1
        return Response(session.id)

    site = alone(view, Sessions, storage_type="cookie", secret="s")
    first = fetch(site)
    assert fetch(site, "/", cookie_in(first)).text == first.text


def test_more_than_a_cookie_holds_is_told(alone):
    site = alone(count, Sessions, storage_type="cookie", secret="s")
    with pytest.raises(ValueError, match=r"makes a cookie of .* and browsers take 3800: keep less"):
        fetch(site, "/big")


def test_value_that_json_lacks_is_told_with_its_key():
    session = CookieSession(secret="s")
    session["when"] = object()
    with pytest.raises(TypeError, match="'when' cannot be stored"):
        session.save()


@pytest.mark.parametrize("options", [{}, {"secret": ""}, {"secret": []}, {"secret": ["a", ""]}])
def test_secret_is_needed(options):
    with pytest.raises((TypeError, ValueError), match="secret"):
        Sessions(None, storage_type="cookie", **options)


def test_change_by_a_streamed_body_is_told_to_be_lost(alone, caplog):
    def view(request):
        session = request.environ["cptoolkit.session"]
        session["n"] = 1

        def ticks():
            yield b"tick"
            session["n"] = 2

        return Response(app_iter=ticks())

    fetch(alone(view, Sessions, storage_type="cookie", secret="s"))
    assert "lost: it is sent" in caplog.text
