"""The sessions tool, and sessions by function call, as the reference has them (4.6)."""

import threading

import pytest
from beside import PATIENCE, in_threads
from webtest import TestApp

import cptoolkit
from cptoolkit import session_functions
from cptoolkit.hooks import Hook
from cptoolkit.middleware.sessions import Session
from cptoolkit.middleware.sessions.ram import RamStore
from cptoolkit.middleware.sessions.stored import FileSession, RamSession

ON = {"tools.sessions.on": True}


class Counter:
    """The example of the reference, 4.6."""

    @cptoolkit.expose
    def index(self):
        if "count" not in cptoolkit.session:
            cptoolkit.session["count"] = 0
        cptoolkit.session["count"] += 1
        return str(cptoolkit.session["count"])

    @cptoolkit.expose
    def plain(self):
        return "plain"


def counts(client, times=3):
    return [client.get("/").text for _ in range(times)]


def test_counter_counts(app_of):
    client = app_of(Counter(), {"/": ON})
    assert counts(client) == ["1", "2", "3"]
    assert len(client.cookies["session_id"]) == 40


def test_page_that_uses_no_session_gets_no_cookie(app_of):
    client = app_of(Counter(), {"/": ON})
    answer = client.get("/plain")
    assert "Set-Cookie" not in answer.headers
    assert "Vary" not in answer.headers


def test_decorator_turns_it_on(app_of):
    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.sessions(name="sid", storage=RamStore())
        def index(self):
            return str(cptoolkit.session.setdefault("n", 7))

    client = app_of(Root())
    assert client.get("/").text == "7"
    assert list(client.cookies) == ["sid"]


def test_file_sessions_survive_a_restart(app_of, tmp_path):
    config = {
        "/": {
            **ON,
            "tools.sessions.storage_class": FileSession,
            "tools.sessions.storage_path": str(tmp_path),
        }
    }
    client = app_of(Counter(), config)
    assert counts(client) == ["1", "2", "3"]
    id = client.cookies["session_id"]
    assert (tmp_path / f"session-{id}").is_file()
    again = app_of(Counter(), config)
    again.set_cookie("session_id", id)
    assert counts(again, 1) == ["4"]


def test_old_name_of_the_storage_class_is_understood(app_of, tmp_path):
    client = app_of(
        Counter(),
        {
            "/": {
                **ON,
                "tools.sessions.storage_type": "File",
                "tools.sessions.storage_path": str(tmp_path),
            }
        },
    )
    assert counts(client) == ["1", "2", "3"]


class Own(Session):
    """What a program brings along; it looks for an option among all that come."""

    table = {}

    def __init__(self, id=None, **options):
        self.model = options.pop("model_class", None)
        super().__init__(id, **options)

    def _load(self):
        return self.table.get((self.model, self.id))

    def _save(self, expiration_time):
        self.table[self.model, self.id] = (dict(self._data), expiration_time)

    def _delete(self):
        self.table.pop((self.model, self.id), None)


def test_class_of_ones_own_gets_its_own_options(app_of):
    client = app_of(
        Counter(),
        {"/": {**ON, "tools.sessions.storage_class": Own, "tools.sessions.model_class": "users"}},
    )
    assert counts(client) == ["1", "2", "3"]
    ((model, _),) = Own.table
    assert model == "users"


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        pytest.param({"timeuot": 5}, "'timeuot'; did you mean 'timeout'", id="ours"),
        pytest.param({"storage_pth": "/x"}, "'storage_pth'", id="of a class that is not used"),
        pytest.param(
            {"storage_class": Own, "timeuot": 5}, "did you mean 'timeout'", id="any but near"
        ),
        pytest.param(
            {"storage_class": FileSession}, "must have the option 'storage_path'", id="missing"
        ),
        pytest.param({"timeout": "5"}, "timeout must be a number", id="wrong"),
    ],
)
def test_wrong_option_is_told_with_the_entry(entries, complaint):
    config = {f"tools.sessions.{name}": value for name, value in entries.items()}
    app = cptoolkit.Application(Counter(), "", {"/": ON})
    with pytest.raises(ValueError, match=complaint):
        cptoolkit.tools.sessions.made(app, {k.rpartition(".")[2]: v for k, v in config.items()})


def test_generator_that_is_not_streamed_may_change_the_session(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            yield "before "
            cptoolkit.session["n"] = cptoolkit.session.get("n", 0) + 1
            yield str(cptoolkit.session["n"])

    client = app_of(Root(), {"/": ON})
    first = client.get("/")
    assert first.text == "before 1"
    assert first.content_type == "text/html"
    assert first.charset == "utf-8"
    assert client.get("/").text == "before 2"


def test_streamed_generator_may_change_a_session_that_is_known(app_of):
    store = RamStore()

    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.session["begun"] = True
            return "begun"

        @cptoolkit.expose
        @cptoolkit.config(**{"response.stream": True})
        def stream(self):
            yield "tick"
            cptoolkit.session["streamed"] = True
            assert store.locks == {}
            yield "tock"

    client = app_of(Root(), {"/": {**ON, "tools.sessions.storage": store}})
    client.get("/")
    assert client.get("/stream").text == "ticktock"
    ((data, _),) = store.records.values()
    assert data == {"begun": True, "streamed": True}


def test_file_that_says_its_length_is_not_read_into_memory(app_of, tmp_path):
    (tmp_path / "page").write_text("the page")
    blocks = []

    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.session["n"] = 1
            cptoolkit.response.headers["Content-Length"] = "8"
            return open(tmp_path / "page", "rb")

    def look():
        blocks.append(type(cptoolkit.response.app_iter).__name__)

    config = {"/": {**ON, "hooks.before_finalize": Hook(look, priority=99)}}
    assert app_of(Root(), config).get("/").text == "the page"
    assert blocks == ["FileIterator"]


@pytest.mark.parametrize("error", [cptoolkit.HTTPError(403), cptoolkit.HTTPRedirect("/x")])
def test_answer_that_a_page_raises_keeps_what_it_has_changed(app_of, error):
    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.session["n"] = cptoolkit.session.get("n", 0) + 1
            cptoolkit.session["last"] = cptoolkit.session["n"]
            raise error

        @cptoolkit.expose
        def peek(self):
            return str(cptoolkit.session.get("last"))

    client = app_of(Root(), {"/": ON})
    client.get("/", status="*")
    answer = client.get("/", status="*")
    assert len(answer.headers.getall("Set-Cookie")) == 1
    assert client.get("/peek").text == "2"


def test_unexpected_error_keeps_nothing_and_holds_no_lock(app_of):
    store = RamStore()

    class Root(Counter):
        @cptoolkit.expose
        def fail(self):
            cptoolkit.session["count"] = 99
            raise OSError("boom")

    client = app_of(Root(), {"/": {**ON, "tools.sessions.storage": store}})
    counts(client)
    client.get("/fail", status=500)
    assert store.locks == {}
    assert counts(client, 1) == ["4"]


def test_hook_that_refuses_after_the_save_still_sends_the_cookie_once(app_of):
    def refuse():
        if not refused:
            refused.append(True)
            raise cptoolkit.HTTPError(418)

    refused = []
    client = app_of(Counter(), {"/": {**ON, "hooks.before_finalize": Hook(refuse, priority=95)}})
    answer = client.get("/", status=418)
    assert len(answer.headers.getall("Set-Cookie")) == 1
    assert answer.headers["Cache-Control"] == "private"
    assert counts(client, 1) == ["2"]


def test_tool_regenerates_the_session(app_of):
    class Root(Counter):
        @cptoolkit.expose
        def login(self):
            cptoolkit.tools.sessions.regenerate()
            return cptoolkit.session.id

    client = app_of(Root(), {"/": ON})
    counts(client)
    before = client.cookies["session_id"]
    after = client.get("/login").text
    assert client.cookies["session_id"] == after != before
    assert counts(client, 1) == ["4"]
    assert before not in RamSession.cache


def test_expire_ends_the_session(app_of):
    class Root(Counter):
        @cptoolkit.expose
        def logout(self):
            session_functions.expire()
            return "bye"

    client = app_of(Root(), {"/": ON})
    counts(client)
    id = client.cookies["session_id"]
    client.get("/logout")
    assert "session_id" not in client.cookies
    assert id not in RamSession.cache
    assert counts(client, 1) == ["1"]


def test_lock_can_be_released_in_the_page(app_of):
    inside, done = threading.Event(), threading.Event()

    class Root(Counter):
        @cptoolkit.expose
        def long(self):
            cptoolkit.session["count"] += 1
            cptoolkit.session.release_lock()
            inside.set()
            assert done.wait(20)
            return "done"

    client = app_of(Root(), {"/": ON})
    counts(client, 1)
    cookie = client.cookies["session_id"]

    def long():
        other = TestApp(client.app)
        other.set_cookie("session_id", cookie)
        other.get("/long")

    with in_threads(long, stop=done.set):
        assert inside.wait(PATIENCE)
        assert counts(client, 1) == ["3"]
    assert counts(client, 1) == ["4"]


def test_functions_do_what_the_tool_does(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            session_functions.init(name="sid")
            cptoolkit.session["n"] = cptoolkit.session.get("n", 0) + 1
            text = str(cptoolkit.session["n"])
            session_functions.save()
            session_functions.close()
            return text

    client = app_of(Root())
    assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]
    assert list(client.cookies) == ["sid"]


def test_close_without_a_session_does_nothing(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            session_functions.close()
            return "fine"

    assert app_of(Root()).get("/").text == "fine"


def test_cookie_that_the_page_sets_stands(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            cptoolkit.session["n"] = 1
            session_functions.set_response_cookie(path="/here", timeout=1)
            return ""

    (cookie,) = app_of(Root(), {"/": ON}).get("/").headers.getall("Set-Cookie")
    assert "Path=/here" in cookie
    assert "Max-Age=60;" in cookie


def test_session_is_not_there_without_the_tool(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            return str(hasattr(cptoolkit.serving, "session"))

    assert app_of(Root()).get("/").text == "False"


# -- the cookie that a hook has changed --------------------------------------------------------


class Token:
    """Takes the id from a header field, as APIs do for clients without cookies."""

    _cp_config = {**ON, "tools.token.on": True}

    @cptoolkit.expose
    def login(self):
        cptoolkit.session["user"] = "Ann"
        return cptoolkit.session.id

    @cptoolkit.expose
    def index(self):
        return cptoolkit.session.get("user", "nobody")


@pytest.fixture
def token_client(app_of):
    @cptoolkit.tools.register("on_start_resource")
    def token():
        jar = cptoolkit.request.cookie
        token = cptoolkit.request.headers.get("X-Token")
        if token == "none":
            del jar["session_id"]
        elif token:
            jar["session_id"] = token

    yield app_of(Token())
    del cptoolkit.tools.token


def test_id_that_a_hook_puts_into_the_jar_counts(token_client):
    id = token_client.get("/login").text
    token_client.reset()
    assert token_client.get("/").text == "nobody"
    assert token_client.get("/", headers={"X-Token": id}).text == "Ann"


def test_id_that_a_hook_takes_out_of_the_jar_is_none(token_client):
    token_client.get("/login")
    assert token_client.get("/", headers={"X-Token": "none"}).text == "nobody"


def test_look_into_the_jar_changes_nothing(token_client):
    id = token_client.get("/login").text
    token_client.reset()
    odd = f"a[b]=1; session_id={id}"  # the jar reads no further than the brackets
    assert token_client.get("/", headers={"Cookie": odd}).text == "Ann"


def test_misspelt_option_of_the_decorator_is_told_at_once():
    with pytest.raises(TypeError, match="'sessions' has no option 'timeot'; did you mean 'timeo"):
        cptoolkit.tools.sessions(timeot=3)


def test_option_of_a_storage_class_that_config_names_may_stand_in_the_decorator():
    cptoolkit.tools.sessions(flavour="vanilla")
    cptoolkit.tools.sessions(storage_class=object, timeot=3)


def test_storage_type_is_also_what_a_program_adds_to_the_module(app_of, monkeypatch):
    class MineSession(RamSession):
        timeouts = 0

    monkeypatch.setattr(cptoolkit.lib.sessions, "MineSession", MineSession, raising=False)

    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.sessions(storage_type="mine", timeouts=7)
        def index(self):
            return str(cptoolkit.serving.session.timeouts)

    assert app_of(Root()).get("/").text == "7"
