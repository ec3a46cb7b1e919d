"""Two instances behind nginx are one site to whoever visits it."""

from __future__ import annotations

import http.client
import itertools
import re
import ssl
import time

import pytest

ANEW = {"Cache_Control": "no-cache"}  # the cache asks the application, and keeps what it says


@pytest.fixture(scope="module", params=["bundled", "gunicorn"])
def site(request, running_site, tmp_path_factory):
    with running_site(tmp_path_factory.mktemp("site"), request.param) as site:
        yield site


def cookie_of(answer):
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_login_made_through_one_instance_is_honoured_by_the_other(site):
    site.call("ann", text="correct horse")
    first, second = site.ports
    form = {"username": "ann", "password": "correct horse", "from_page": "/mine/"}
    answer = site.ask(first, "/mine/do_login", "POST", form)
    assert answer.status == 303
    cookie = cookie_of(answer)
    assert "You are ann" in site.ask(second, "/mine/", cookie=cookie).text
    assert site.ask(second, "/mine/add", "POST", {"text": "by ann"}, cookie).status == 303
    assert "<li>by ann</li>" in site.ask(first, "/mine/", cookie=cookie).text
    assert site.ask(second, "/mine/do_logout", "POST", {}, cookie).status == 303
    assert "You are ann" not in site.ask(first, "/mine/", cookie=cookie).text


def test_form_with_two_texts_is_refused(site):
    site.add_user("lou")
    cookie = cookie_of(site.log_in("lou", address="127.0.2.6"))
    twice = [("text", "one"), ("text", "two")]
    answer = site.visit("/mine/add", "POST", twice, cookie)
    assert answer.status == 400
    assert "Send one text." in answer.text


def test_who_has_not_logged_in_is_asked_to(site):
    answer = site.visit("/mine/")
    assert 'name="password"' in answer.text
    assert site.visit("/mine/add", "POST", {"text": "by nobody"}).status != 303
    assert "by nobody" not in site.visit("/", **ANEW).text


def test_attempts_to_log_in_are_counted_over_both_instances(site):
    site.add_user("kim")
    form = {"username": "kim", "password": "a guess"}
    begun = time.monotonic()
    attempts = 0
    for port in itertools.cycle(site.ports):
        path = f"/mine/{attempts}/do_login"  # the form is there below any path
        answer = site.ask(port, path, "POST", form, X_Forwarded_For="127.0.2.1")
        if answer.status == 429:
            break
        attempts += 1
        assert attempts < 40, "nobody counts"
    assert attempts >= 10
    assert attempts <= 10 + 1 + (time.monotonic() - begun) / 6  # and one more every six seconds
    assert site.log_in("kim", address="127.0.2.2").status == 303


def test_page_cached_by_one_instance_is_sent_by_the_other(site):
    first, second = site.ports
    made = site.ask(first, "/", **ANEW)
    assert (made.status, made.headers["Age"]) == (200, None)
    kept = site.ask(second, "/")
    assert (kept.status, kept.text) == (200, made.text)
    assert kept.headers["Age"] is not None


def test_pages_know_the_name_of_the_site(site):
    canonical = '<link rel="canonical" href="https://notes.example.org/">'
    assert canonical in site.visit("/", **ANEW).text
    site.add_user("bob")
    answer = site.log_in("bob", address="127.0.2.3")
    assert "; Secure" in answer.headers["Set-Cookie"]
    written = site.visit("/mine/add", "POST", {"text": "by bob"}, cookie_of(answer))
    assert written.headers["Location"] == "https://notes.example.org/mine/"


def test_client_is_who_nginx_has_seen(site):
    """Whatever it tells about itself."""
    site.add_user("eve")
    form = {"username": "eve", "password": "correct horse"}
    forged = {"X_Forwarded_For": "10.1.2.3", "X_Forwarded_Host": "evil", "Forwarded": "for=1.1.1.1"}
    answer = site.visit("/mine/do_login", "POST", form, address="127.0.2.4", **forged)
    text = site.visit("/mine/", cookie=cookie_of(answer)).text
    assert "logged in from 127.0.2.4." in text


def test_nobody_but_nginx_is_believed(site):
    """A neighbour that reaches an instance itself, from an address that is not nginx's."""
    site.add_user("mallory")
    form = {"username": "mallory", "password": "correct horse"}
    port = site.ports[0]
    answer = site.ask(
        port, "/mine/do_login", "POST", form, address="127.0.2.5", X_Forwarded_For="10.1.2.3"
    )
    text = site.ask(port, "/mine/", cookie=cookie_of(answer)).text
    assert "logged in from 127.0.2.5." in text
    assert 'href="https://notes.example.org/mine/"' in text


def test_files_come_from_nginx_and_may_be_kept(site):
    [path] = re.findall(r'href="(/static/[^"]+)"', site.visit("/").text)
    answer = site.visit(path)
    assert answer.status == 200
    assert answer.text == (site.folder / "static" / "notes.css").read_text()
    assert answer.headers["Server"].startswith("nginx")
    assert answer.headers["Content-Type"] == "text/css"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    fresh = site.visit(path, If_None_Match=answer.headers["ETag"])
    assert (fresh.status, fresh.text) == (304, "")
    assert all(site.ask(port, path).status == 404 for port in site.ports)


def test_health_is_not_for_the_world(site):
    assert site.visit("/health").status == 404


@pytest.mark.parametrize("name", ["other.example", "notes.example.org"], ids=["TLS", "Host"])
def test_other_names_are_not_served(site, name):
    with pytest.raises((ssl.SSLError, http.client.RemoteDisconnected)):
        site.visit("/", name=name, Host="other.example")
