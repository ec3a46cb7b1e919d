from __future__ import annotations

import pytest

import cptoolkit
from cptoolkit.foreign_settings import keep_unknown_settings


@pytest.fixture
def told():
    """What the engine logs."""
    lines = []

    def listen(message, level):
        lines.append(message)

    cptoolkit.engine.subscribe("log", listen)
    keep_unknown_settings()
    yield lines
    cptoolkit.tools.sessions.leave_out = None


def test_unknown_setting_is_kept_and_told(told):
    cptoolkit.config.update({"server.socket_prot": 1})
    assert cptoolkit.server.socket_prot == 1
    assert told == [
        "server.socket_prot has no effect: there is no such setting; did you mean 'socket_port'?"
    ]


def test_known_setting_is_set_and_nothing_told(told):
    cptoolkit.config.update(
        {"server.socket_port": 1, "engine.autoreload.frequency": 9, "server.other.socket_port": 2}
    )
    assert cptoolkit.server.socket_port == 1
    assert cptoolkit.engine.autoreload.frequency == 9
    assert told == []


def test_wrong_value_stays_an_error(told):
    with pytest.raises(ValueError, match="socket_host must not be empty"):
        cptoolkit.config.update({"server.socket_host": ""})


def test_method_is_not_overwritten(told):
    with pytest.raises(ValueError, match=r"there is no setting server\.start"):
        cptoolkit.config.update({"server.start": 1})


def test_engine_keeps_what_it_does_not_know(told, monkeypatch):
    monkeypatch.setattr(cptoolkit.engine, "__dict__", dict(vars(cptoolkit.engine)))
    cptoolkit.config.update({"engine.autoreload_on": True})
    assert cptoolkit.engine.autoreload_on is True
    assert told[0].startswith("engine.autoreload_on has no effect")


def test_option_of_another_session_storage_has_no_effect(told, app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            return str(cptoolkit.session.setdefault("n", 7))

    settings = {
        "tools.sessions.on": True,
        "tools.sessions.storage_type": "ram",
        "tools.sessions.storage_path": "/srv/sessions",
    }
    assert app_of(Root(), {"/": settings}).get("/").text == "7"
    assert told == [
        "tools.sessions.storage_path has no effect: Sessions with RamSession has no option "
        "'storage_path'; did you mean 'storage_type'?"
    ]


def test_options_that_the_session_storage_has_are_kept(told, app_of, tmp_path):
    class Root:
        @cptoolkit.expose
        def index(self):
            return str(cptoolkit.session.setdefault("n", 7))

    settings = {
        "tools.sessions.on": True,
        "tools.sessions.storage_class": cptoolkit.lib.sessions.FileSession,
        "tools.sessions.storage_path": str(tmp_path),
        "tools.sessions.locking": "explicit",
    }
    assert app_of(Root(), {"/": settings}).get("/").text == "7"
    assert [path.name[:8] for path in tmp_path.iterdir()] == ["session-"]
    assert told == []


def test_misspelt_session_option_of_a_decorator_has_no_effect(told, app_of):
    class Root:
        @cptoolkit.expose
        @cptoolkit.tools.sessions(clean_thread=True)
        def index(self):
            return str(cptoolkit.session.setdefault("n", 7))

    assert app_of(Root()).get("/").text == "7"
    assert told[0].startswith("tools.sessions.clean_thread has no effect")


def test_session_class_that_a_program_adds_has_its_options(told, app_of, monkeypatch):
    class MineSession(cptoolkit.lib.sessions.RamSession):
        flavour = "none"

    class Root:
        @cptoolkit.expose
        def index(self):
            return cptoolkit.serving.session.flavour

    monkeypatch.setattr(cptoolkit.lib.sessions, "MineSession", MineSession, raising=False)
    settings = {
        "tools.sessions.on": True,
        "tools.sessions.storage_type": "mine",
        "tools.sessions.flavour": "vanilla",
    }
    assert app_of(Root(), {"/": settings}).get("/").text == "vanilla"
    assert told == []
