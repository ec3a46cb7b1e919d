"""What the reference says of sessions, tried with programs like its own."""

import random
import string

import pytest

import cptoolkit as cherrypy
from cptoolkit.lib import sessions

ON = {"tools.sessions.on": True}


class Letters:
    """A variant of the fifth tutorial: a string that each visitor has for himself."""

    @cherrypy.expose
    def draw(self, length=8):
        cherrypy.session["letters"] = "".join(random.choices(string.ascii_letters, k=int(length)))
        return cherrypy.session["letters"]

    @cherrypy.expose
    def show(self):
        return cherrypy.session["letters"]

    @cherrypy.expose
    def about(self):
        return "Letters, drawn for you."


class Visits:
    """A variant of the counter."""

    @cherrypy.expose
    def index(self):
        if "visits" not in cherrypy.session:
            cherrypy.session["visits"] = 0
        cherrypy.session["visits"] += 1
        return str(cherrypy.session["visits"])


def visits(client, times=3):
    return [client.get("/").text for _ in range(times)]


def test_session_keeps_what_a_page_has_put_in_it(app_of):
    """3.5, and its listing."""
    client = app_of(Letters(), {"/": ON})
    drawn = client.get("/draw?length=12").text
    assert len(drawn) == 12
    assert client.get("/show").text == drawn


def test_value_that_was_never_set_is_a_key_error(app_of):
    """3.5: asked for before anything was drawn."""
    answer = app_of(Letters(), {"/": ON}).get("/show", status=500)
    assert "KeyError: &#39;letters&#39;" in answer or "KeyError: 'letters'" in answer


def test_visitors_do_not_see_each_others_session(app_of):
    """4.6: the cookie tells which session is meant."""
    client = app_of(Letters(), {"/": ON})
    client.get("/draw")
    client.reset()
    assert client.get("/show", status=500)


def test_id_stays_once_the_session_is_used(app_of):
    """3.5: of a page that leaves the session alone nothing is kept."""
    client = app_of(Letters(), {"/": ON})
    client.get("/about")
    assert not client.cookies
    client.get("/draw")
    id = client.cookies["session_id"]
    client.get("/show")
    assert client.cookies["session_id"] == id


def test_there_is_no_session_unless_config_says_so(app_of):
    """4.6: they are off by default."""
    assert app_of(Visits()).get("/", status=500)


@cherrypy.expose
class Note:
    """A variant of the seventh tutorial: one resource, a method of HTTP each."""

    @cherrypy.tools.accept(media="text/plain")
    def GET(self):
        return cherrypy.session["note"]

    def POST(self, words=2):
        cherrypy.session["note"] = " ".join(["word"] * int(words))
        return cherrypy.session["note"]

    def PUT(self, text):
        cherrypy.session["note"] = text

    def DELETE(self):
        cherrypy.session.pop("note", None)


@pytest.fixture
def note(app_of):
    return app_of(
        Note(),
        {
            "/": {
                **ON,
                "request.dispatch": cherrypy.dispatch.MethodDispatcher(),
                "tools.response_headers.on": True,
                "tools.response_headers.headers": [("Content-Type", "text/plain")],
            }
        },
    )


def test_dialogue_with_a_resource_in_the_session(note):
    """3.7, and the session with requests that follows its listing."""
    assert note.get("/", status=500)
    assert note.post("/", {"words": "3"}).text == "word word word"
    answer = note.get("/")
    assert answer.text == "word word word"
    assert answer.headers["Content-Type"] == "text/plain;charset=utf-8"
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, POST, PUT"
    assert note.get("/", headers={"Accept": "application/json"}, status=406)
    assert note.put("/?text=hello").body == b""
    assert note.get("/").text == "hello"
    assert note.delete("/").body == b""
    assert note.get("/", status=500)


def test_method_that_the_resource_lacks_is_not_allowed(note):
    """3.7: methods are matched to the names of functions."""
    assert note.options("/", status=405).headers["Allow"] == "DELETE, GET, HEAD, POST, PUT"


def test_counter_counts(app_of):
    """4.6, and its listing."""
    assert visits(app_of(Visits(), {"/": ON})) == ["1", "2", "3"]


def test_config_file_turns_sessions_on(app_of, tmp_path):
    """4.6: the entry as it stands in a file."""
    file = tmp_path / "app.conf"
    file.write_text("[/]\ntools.sessions.on: True\n")
    assert visits(app_of(Visits(), str(file))) == ["1", "2", "3"]


def test_file_sessions_outlive_the_application(app_of, tmp_path):
    """4.6.1: one file for each session, named in a config file."""
    file, folder = tmp_path / "app.conf", tmp_path / "kept"
    folder.mkdir()
    file.write_text(
        "[/]\n"
        "tools.sessions.on: True\n"
        "tools.sessions.storage_class = cherrypy.lib.sessions.FileSession\n"
        f'tools.sessions.storage_path = "{folder}"\n'
    )
    first = app_of(Visits(), str(file))
    assert visits(first) == ["1", "2", "3"]
    id = first.cookies["session_id"]
    assert f"session-{id}" in [entry.name for entry in folder.iterdir()]
    second = app_of(Visits(), str(file))
    second.set_cookie("session_id", id)
    assert visits(second, 1) == ["4"]


def test_memcached_keeps_sessions(app_of, memcached_server):
    """4.6.2."""
    pytest.importorskip("pymemcache", reason="needs pymemcache")
    config = {
        **ON,
        "tools.sessions.storage_class": sessions.MemcachedSession,
        "tools.sessions.servers": [memcached_server.url],
        "tools.sessions.serializer": "json",
    }
    assert visits(app_of(Visits(), {"/": config})) == ["1", "2", "3"]


class Shelf(sessions.Session):
    """A backend as a program brings it along."""

    books = {}

    def _exists(self):
        return self.id in self.books

    def _load(self):
        return self.books.get(self.id)

    def _save(self, expiration_time):
        self.books[self.id] = (dict(self._data), expiration_time)

    def _delete(self):
        self.books.pop(self.id, None)

    def acquire_lock(self):
        self.locked = True

    def release_lock(self):
        self.locked = False


def test_subclass_of_session_is_a_backend(app_of):
    """4.6.3: it goes by as the storage class."""
    client = app_of(Visits(), {"/": {**ON, "tools.sessions.storage_class": Shelf}})
    assert visits(client) == ["1", "2", "3"]
    ((data, _),) = Shelf.books.values()
    assert data == {"visits": 3}


def test_cookie_can_be_kept_from_scripts_and_from_plain_http(app_of):
    """5.7, and its entries."""
    config = {**ON, "tools.sessions.secure": True, "tools.sessions.httponly": True}
    cookie = app_of(Visits(), {"/": config}).get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie.split("; ")
    assert "Secure" in cookie.split("; ")


def test_session_is_at_hand_in_hooks(app_of):
    """7.2.1: a tool of one's own between the session and the page handler."""

    def count():
        cherrypy.session["visits"] = cherrypy.session.get("visits", 0) + 10

    cherrypy.tools.count = cherrypy.Tool("before_handler", count)
    assert visits(app_of(Visits(), {"/": {**ON, "tools.count.on": True}}), 2) == ["11", "22"]


class Pages:
    """What a session can be asked to do."""

    @cherrypy.expose
    def login(self):
        before = cherrypy.session.id
        cherrypy.session["user"] = "jo"
        cherrypy.session.regenerate()
        return str(cherrypy.session.id == before)

    @cherrypy.expose
    def user(self):
        return cherrypy.session.get("user", "nobody")

    @cherrypy.expose
    def logout(self):
        cherrypy.lib.sessions.expire()
        return "bye"

    @cherrypy.expose
    def state(self):
        return f"{cherrypy.session.originalid} {cherrypy.session.missing}"

    @cherrypy.expose
    @cherrypy.tools.sessions(locking="explicit", timeout=5)
    def careful(self):
        cherrypy.session.acquire_lock()
        locked = cherrypy.session.locked
        cherrypy.session["user"] = "ann"
        cherrypy.session.release_lock()
        return f"{locked} {cherrypy.session.locked}"


def test_session_goes_on_under_a_new_id_at_login(app_of):
    """4.6 refers to the module: ``session.regenerate()``."""
    client = app_of(Pages(), {"/": ON})
    assert client.get("/login").text == "False"
    assert client.get("/user").text == "jo"


def test_expired_session_is_gone_with_its_cookie(app_of):
    """4.6 refers to the module: ``expire()``."""
    client = app_of(Pages(), {"/": ON})
    client.get("/login")
    assert client.get("/logout").text == "bye"
    assert "session_id" not in client.cookies
    assert client.get("/user").text == "nobody"


def test_id_that_a_client_made_up_is_missing(app_of):
    """4.6 refers to the module: ``originalid`` and ``missing``."""
    client = app_of(Pages(), {"/": ON})
    client.set_cookie("session_id", "0" * 40)
    assert client.get("/state").text == "0" * 40 + " True"


def test_decorator_sets_locking_and_timeout(app_of):
    """4.6 refers to the module: the lock is the page's to take under "explicit"."""
    answer = app_of(Pages()).get("/careful")
    assert answer.text == "True False"
    assert "Max-Age=300" in answer.headers["Set-Cookie"]
