"""SessionAuth: those who have logged in are let through, all others see a form."""

import logging
import re
from http.cookies import SimpleCookie
from io import BytesIO
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from webob import Request, Response
from webtest import TestApp

import cptoolkit
from cptoolkit.layer_tool import LayerTool
from cptoolkit.middleware.auth.local_paths import local_path
from cptoolkit.middleware.auth.login_page import login_page
from cptoolkit.middleware.auth.session_auth import LARGEST_FORM, SessionAuth

PASSWORDS = {"jon": "secret", "ann": "other", "jörg": "pässwort"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def check(username, password):
    return None if PASSWORDS.get(username) == password else "Wrong name or <password>"


OPTIONS = {"check_username_and_password": check}


def view(request):
    return Response(f"hello {request.environ.get('REMOTE_USER')}", content_type="text/plain")


class Session(dict):
    """As much of a session as the layer needs."""

    id = None
    count = 0

    def regenerate(self):
        Session.count += 1
        self.id = f"id{Session.count}"


class Remembering:
    """Gives each client a session; what is in it stays in memory, and only if there is any."""

    def __init__(self, app):
        self.app = app
        self.stored = {}

    def __call__(self, environ, start_response):
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("sid")
        session = Session(self.stored.get(cookie.value, {}) if cookie else {})
        if session:
            session.id = cookie.value
        environ["cptoolkit.session"] = session

        def start(status, fields, exc_info=None):
            if cookie:
                self.stored.pop(cookie.value, None)
            if session:
                self.stored[session.id] = dict(session)
                fields = [*fields, ("Set-Cookie", f"sid={session.id}")]
            return start_response(status, fields, exc_info)

        return self.app(environ, start)


class Sites:
    """Makes sites with sessions, and has those of the last."""

    def __init__(self, make):
        self.make = make

    def __call__(self, page=view, layer=SessionAuth, **options):
        return self.make(page, layer, self.around, **{**OPTIONS, **options})

    def around(self, app):
        self.sessions = Remembering(app)
        return self.sessions


@pytest.fixture
def sites(alone):
    return Sites(alone)


@pytest.fixture
def everywhere(host):
    return Sites(host)


def post(site, path, headers=None, body=None, **fields):
    data = urlencode(fields).encode() if body is None else body
    return site.fetch(path, "POST", headers={**FORM, **(headers or {})}, body=data)


def logged_in(site, username="jon", password="secret"):
    answer = post(site, "/do_login", username=username, password=password)
    assert answer.status_int == 303
    return {"Cookie": answer.headers["Set-Cookie"]}


# -- logging in and out -----------------------------------------------------------------------


def test_user_logs_in_by_the_form_and_goes_on_to_the_page(everywhere):
    client = everywhere().client
    page = client.get("/some/page?a=1&b=%C3%A9")
    form = page.form
    assert (form.method, form.action) == ("post", "/some/page/do_login")
    form["username"], form["password"] = "jörg", "pässwort"
    answer = form.submit()
    assert answer.status == "303 See Other"
    assert answer.headers["Location"].endswith("/some/page?a=1&b=%C3%A9")
    # WebTest sends it on as it is; a browser resolves it against the address of the form.
    assert answer.follow().text == "hello jörg"


def test_wrong_password_shows_the_form_again(everywhere):
    form = everywhere().client.get("/x").form
    form["username"], form["password"] = '"><b>', "wrong"
    page = form.submit()
    assert page.status_int == 200
    assert '<p role="alert">Wrong name or &lt;password&gt;</p>' in page
    assert page.form["username"].value == '"><b>'
    assert "<b>" not in page
    assert page.form["password"].value == ""
    assert page.form["from_page"].value == "/x"
    assert everywhere.sessions.stored == {}


def test_user_logs_out(everywhere):
    site = everywhere()
    cookie = logged_in(site)
    assert site.fetch("/x", headers=cookie).text == "hello jon"
    answer = post(site, "/x/do_logout", cookie, from_page="/bye")
    assert (answer.status_int, answer.headers["Location"]) == (303, "/bye")
    assert "<form" in site.fetch("/x", headers=cookie).text
    assert everywhere.sessions.stored == {}


def test_page_is_not_reached_without_login(everywhere):
    reached = []

    def page(request):
        reached.append(request.method)
        return Response("in")

    site = everywhere(page)
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert site.fetch("/", method).status_int == 200
    assert reached == []


@pytest.mark.parametrize("path", ["/do_login", "/a/do_login", "/do_logout"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_login_and_logout_are_posts(sites, path, method):
    answer = sites().fetch(path + "?username=jon&password=secret", method)
    assert answer.status_int == 405
    assert answer.headers["Allow"] == "POST"


def test_login_screen_may_be_asked_for(sites):
    page = sites().client.get("/a/login_screen?from_page=/b")
    assert (page.form.action, page.form["from_page"].value) == ("/a/do_login", "/b")
    page = sites().client.get("/a/login_screen?from_page=//evil/")
    assert page.form["from_page"].value == "/a/"


def test_name_of_a_path_must_be_whole(sites):
    site = sites()
    assert "<form" in site.fetch("/redo_login").text
    assert site.fetch("/redo_login", headers=logged_in(site)).text == "hello jon"


def test_crawler_leaves_no_session(sites):
    site = sites()
    for _ in range(3):
        assert "Set-Cookie" not in site.fetch("/").headers
        assert "Set-Cookie" not in post(site, "/do_logout").headers
    assert sites.sessions.stored == {}


def test_without_a_session_the_program_is_told_what_is_missing():
    with pytest.raises(RuntimeError, match="SessionAuth needs a session: put Sessions around it"):
        Request.blank("/").get_response(SessionAuth(Response("in"), **OPTIONS))


# -- fixed sessions, forged forms, open redirects --------------------------------------


def test_id_of_the_session_changes_at_login_and_what_is_in_it_stays_until_logout(sites):
    site = sites()
    sites.sessions.stored["chosen"] = {"cart": 1}
    answer = post(site, "/do_login", {"Cookie": "sid=chosen"}, username="jon", password="secret")
    [(first, data)] = sites.sessions.stored.items()
    assert answer.headers["Set-Cookie"] == f"sid={first}"
    assert first != "chosen"
    assert data == {"cart": 1, "username": "jon"}
    post(site, "/do_logout", {"Cookie": f"sid={first}"})
    assert sites.sessions.stored == {}


def test_another_user_does_not_inherit_the_session(sites):
    site = sites()
    sites.sessions.stored["a"] = {"username": "jon", "letters": "private"}
    post(site, "/do_login", {"Cookie": "sid=a"}, username="ann", password="other")
    assert list(sites.sessions.stored.values()) == [{"username": "ann"}]


def test_hook_for_logout_still_sees_the_session():
    seen = []
    request = Request.blank("/do_logout", method="POST")
    request.environ["cptoolkit.session"] = session = Session(username="jon", letters="private")
    hook = {"on_logout": lambda user: seen.append((user, dict(session)))}
    answer = request.get_response(SessionAuth(Response("in"), **hook, **OPTIONS))
    assert answer.status_int == 303
    assert seen == [("jon", {"username": "jon", "letters": "private"})]
    assert session == {}


SOURCES = [
    pytest.param({}, True, id="no browser"),
    pytest.param({"Sec-Fetch-Site": "same-origin"}, True, id="this site"),
    pytest.param({"Sec-Fetch-Site": "none"}, True, id="the user"),
    pytest.param({"Sec-Fetch-Site": "cross-site"}, False, id="another site"),
    pytest.param({"Sec-Fetch-Site": "same-site"}, False, id="another host of the domain"),
    pytest.param(
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False, id="first decides"
    ),
    pytest.param({"Origin": "http://localhost"}, True, id="this origin"),
    pytest.param({"Origin": "http://localhost:80"}, True, id="this origin with its port"),
    pytest.param({"Origin": "http://LOCALHOST"}, True, id="this origin in capitals"),
    pytest.param({"Origin": "https://localhost"}, False, id="the port of another scheme"),
    pytest.param({"Origin": "https://localhost", "Host": "localhost"}, True, id="TLS at a proxy"),
    pytest.param({"Origin": "http://localhost:8080"}, False, id="another port"),
    pytest.param({"Origin": "http://evil.example"}, False, id="another origin"),
    pytest.param({"Origin": "http://localhost.evil.example"}, False, id="beginning like this"),
    pytest.param({"Origin": "http://localhost@evil.example"}, False, id="user of another"),
    pytest.param({"Origin": "null"}, False, id="hidden origin"),
    pytest.param({"Origin": ""}, False, id="empty origin"),
    pytest.param({"Origin": "http://["}, False, id="no origin at all"),
    pytest.param({"Origin": "null", "Referer": "http://localhost/"}, False, id="origin decides"),
    pytest.param({"Referer": "http://localhost/form"}, True, id="page of this site"),
    pytest.param({"Referer": "http://evil.example/localhost"}, False, id="page of another site"),
]


@pytest.mark.parametrize(("headers", "meant"), SOURCES)
@pytest.mark.parametrize("path", ["/do_login", "/do_logout"])
def test_form_of_another_site_is_refused(sites, path, headers, meant):
    answer = post(sites(), path, headers, username="jon", password="secret")
    assert answer.status_int == (303 if meant else 403)
    assert "Set-Cookie" not in answer.headers or meant


def test_form_over_plain_http_is_refused_where_there_is_tls(sites):
    body = urlencode({"username": "jon", "password": "secret"}).encode()
    for origin, status in (("http://localhost", 403), ("https://localhost", 303)):
        headers = {**FORM, "Origin": origin, "Host": "localhost"}
        environ = {"wsgi.url_scheme": "https"}
        answer = sites().fetch("/do_login", "POST", headers=headers, body=body, **environ)
        assert answer.status_int == status


TARGETS = [
    pytest.param("/x?y=z#t", "/x?y=z#t", id="path"),
    pytest.param("/a%20b/é", "/a%20b/%C3%A9", id="path that is escaped in part"),
    pytest.param("..", "/", id="folder above"),
    pytest.param("x", "/app/x", id="relative path"),
    pytest.param("?a=b:c", "/app/do_login?a=b:c", id="query"),
    pytest.param("", "/app/", id="empty"),
    pytest.param(None, "/app/", id="none"),
    pytest.param("http://evil.example/", "/app/", id="another site"),
    pytest.param("//evil.example/", "/app/", id="another site by the same scheme"),
    pytest.param("///evil.example/", "/app/", id="three slashes"),
    pytest.param("/\\evil.example/", "/app/", id="backslash"),
    pytest.param("\\\\evil.example/", "/app/", id="backslashes"),
    pytest.param("/\t/evil.example/", "/app/", id="tab"),
    pytest.param("\n//evil.example/", "/app/", id="line break"),
    pytest.param(" //evil.example/", "/app/", id="space"),
    pytest.param("/x\r\nSet-Cookie: a=b", "/app/", id="another header field"),
    pytest.param("javascript:alert(1)", "/app/", id="script"),
    pytest.param("/x/..//evil.example", "/app/", id="another site after resolving"),
    pytest.param("http://localhost:80/x?y", "/x?y", id="URL of this site"),
    pytest.param("http://localhost:80//evil.example", "/app/", id="two slashes after this site"),
    pytest.param("http://localhost:80@evil.example/", "/app/", id="this site as a user of another"),
    pytest.param("http://localhost:80.evil.example/", "/app/", id="beginning like this site"),
    pytest.param("https://localhost:80/x", "/app/", id="this site by another scheme"),
    pytest.param("..//evil.example", "/evil.example", id="relative path with two slashes"),
]


@pytest.mark.parametrize(("target", "path"), TARGETS)
def test_browser_is_sent_on_to_this_host_only(sites, target, path):
    fields = {} if target is None else {"from_page": target}
    answer = post(sites(), "/app/do_login", username="jon", password="secret", **fields)
    assert answer.headers["Location"] == path


@settings(deadline=None)
@given(st.text())
@example("/x/..//evil")
@example("//[")
@example("/.//evil")
@example("./\\/evil")
def test_no_target_leads_away(target):
    path = local_path(target, "/app/do_login", "/default")
    assert re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", path)
    assert urlsplit(urljoin("http://here/", path)).netloc == "here"


def test_path_with_two_slashes_is_no_link_to_another_host(sites):
    environ = {"PATH_INFO": "//evil.example/x"}
    page = sites().fetch("/", **environ)
    assert 'action="/evil.example/x/do_login"' in page.text
    assert 'name="from_page" value="/evil.example/x"' in page.text


# -- forms ------------------------------------------------------------------------------------

BAD_FORMS = [
    pytest.param(b"", FORM, 400, id="empty"),
    pytest.param(b"username=jon", FORM, 400, id="no password"),
    pytest.param(b"password=x", FORM, 400, id="no name"),
    pytest.param(b"username=a%00b&password=x", FORM, 400, id="NUL in the name"),
    pytest.param(b'{"username": "jon"}', {"Content-Type": "application/json"}, 400, id="JSON"),
    pytest.param(b"--", {"Content-Type": "multipart/form-data; boundary=x"}, 400, id="no parts"),
    pytest.param(b"x", {"Content-Type": "multipart/form-data"}, 400, id="no boundary"),
    pytest.param(b"a=" + b"x" * LARGEST_FORM, FORM, 413, id="too large"),
]


@pytest.mark.parametrize(("body", "headers", "status"), BAD_FORMS)
def test_bad_form_is_refused(sites, body, headers, status):
    assert post(sites(), "/do_login", headers, body).status_int == status


def test_large_form_without_a_length_is_refused(sites):
    body = BytesIO(b"username=jon&password=" + b"x" * LARGEST_FORM)
    environ = {
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": FORM["Content-Type"],
    }
    status, _, page = Request.blank("/do_login", environ).call_application(sites().app)
    page.close()
    assert status == "413 Request Entity Too Large"


def test_form_may_be_multipart(sites):
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % field
        for field in [(b"username", b"jon"), (b"password", b"secret")]
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert post(sites(), "/do_login", headers, body + b"--x--\r\n").status_int == 303


# -- hooks ------------------------------------------------------------------------------------


def test_hooks_are_called(everywhere):
    calls = []
    hooks = {
        name: lambda user, name=name: calls.append((name, user))
        for name in ("on_login", "on_check", "on_logout")
    }
    site = everywhere(**hooks)
    cookie = logged_in(site)
    site.fetch("/", headers=cookie)
    post(site, "/do_logout", cookie)
    post(site, "/do_logout", cookie)
    site.fetch("/")
    assert calls == [("on_login", "jon"), ("on_check", "jon"), ("on_logout", "jon")]


def test_anonymous_user_is_let_through_without_a_session(everywhere):
    checked = []
    site = everywhere(anonymous=lambda: "guest", on_check=checked.append)
    assert site.fetch("/").text == "hello guest"
    assert site.fetch("/", headers=logged_in(site)).text == "hello jon"
    assert checked == ["guest", "jon"]
    assert len(everywhere.sessions.stored) == 1


def test_anonymous_may_name_nobody(sites):
    assert "<form" in sites(anonymous=lambda: None).fetch("/").text


def test_form_may_be_ones_own(everywhere):
    def login_screen(page, name, error):
        return f"{page}|{name}|{error}"

    site = everywhere(login_screen=login_screen)
    answer = site.fetch("/x?y")
    assert (answer.text, answer.content_type) == ("/x?y||", "text/html")
    assert answer.headers["Cache-Control"] == "no-store"
    answer = post(site, "/do_login", username="j", password="x", from_page="//evil")
    assert answer.text == "/|j|Wrong name or <password>"


class Own(SessionAuth):
    """A layer with the hooks as methods."""

    def anonymous(self):
        return "method's guest"

    def check_username_and_password(self, username, password):
        return None if password == "method's" else "no"

    def login_screen(self, from_page="..", username="", error_msg="", **more):
        return f"method's screen: {error_msg}".encode()


def test_hooks_may_be_methods_of_a_subclass(alone):
    sites = Sites(lambda page, layer, around, **_: alone(page, layer, around))
    site = sites(layer=Own)
    assert site.fetch("/").text == "hello method's guest"
    assert post(site, "/do_login", username="a", password="x").text == "method's screen: no"
    assert site.fetch("/", headers=logged_in(site, "a", "method's")).text == "hello a"


def test_option_wins_over_a_method(alone):
    sites = Sites(lambda page, layer, around, **_: alone(page, layer, around, anonymous=str))
    assert sites(layer=Own).fetch("/").text.startswith("method's screen")


def test_key_in_the_session_is_an_option(sites):
    logged_in(sites(session_key="user"))
    assert list(sites.sessions.stored.values()) == [{"user": "jon"}]


def test_debug_logs_who_logs_in_but_no_password(sites, caplog):
    caplog.set_level(logging.INFO, "cptoolkit.auth")
    site = sites(debug=True)
    cookie = logged_in(site)
    post(site, "/do_login", username="ann", password="hunter2")
    post(site, "/do_logout", cookie)
    post(site, "/do_logout", {"Origin": "null"})
    assert [record.getMessage() for record in caplog.records] == [
        "login of 'jon': right",
        "login of 'ann': Wrong name or <password>",
        "logout of 'jon'",
        "a form of another site was refused",
    ]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "check_username_and_password must be a function, got None"),
        ({"check_username_and_password": "x"}, "check_username_and_password must be a function"),
        ({**OPTIONS, "anonymous": "guest"}, "anonymous must be a function, got 'guest'"),
        ({**OPTIONS, "on_logon": print}, "no option 'on_logon'; did you mean 'on_login'"),
    ],
    ids=["no check", "check", "anonymous", "unknown"],
)
def test_wrong_option_is_refused(options, error):
    with pytest.raises(TypeError, match=error):
        SessionAuth(**options)


# -- the page ---------------------------------------------------------------------------------


def test_page_is_kept_by_nobody_and_framed_by_nobody(everywhere):
    answer = everywhere().fetch("/")
    assert answer.headers["Content-Type"].lower() == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_page_has_labels_and_loads_nothing():
    page = login_page("/do_login", "/x")
    fields = re.findall(r'<input id="(\w+)"', page)
    assert fields == ["username", "password"]
    assert re.findall(r'<label for="(\w+)"', page) == fields
    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert 'role="alert"' not in page.split("</style>")[1]


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_page_escapes_all_that_is_put_into_it(action, from_page, username, error):
    page = login_page(action, from_page, username, error)
    plain = login_page("", "", "x" if username else "", "x" if error else "")
    for character in "<>\"'":
        assert page.count(character) == plain.count(character)


# -- in an Application ------------------------------------------------------------------------


class Root:
    @cptoolkit.expose
    def index(self, **params):
        return f"hello {cptoolkit.request.login}"

    @cptoolkit.expose
    def page(self):
        return f"page of {cptoolkit.session['username']}"


@pytest.fixture
def client():
    cptoolkit.tools.session_auth = LayerTool("before_request_body", SessionAuth, priority=60)
    entries = {f"tools.session_auth.{name}": value for name, value in OPTIONS.items()}
    app = cptoolkit.Application(Root(), "/app", {"/": {"tools.session_auth.on": True, **entries}})
    tree = cptoolkit.Tree()
    tree.mount(app)
    return TestApp(Remembering(tree))


def test_application_reads_the_form_itself_no_more(client):
    form = client.get("/app/page").form
    assert form.action == "/app/page/do_login"
    form["username"], form["password"] = "jon", "secret"
    answer = form.submit()
    assert answer.headers["Location"].endswith("/app/page")
    assert answer.follow().text == "page of jon"
    assert client.get("/app/").text == "hello jon"
    assert client.post("/app/do_logout").headers["Location"].endswith("/app/")
    assert "<form" in client.get("/app/page")


def test_body_of_a_stranger_is_not_parsed(client):
    assert "<form" in client.post("/app/", b"\xff" * 1000, {"Content-Type": "application/json"})
