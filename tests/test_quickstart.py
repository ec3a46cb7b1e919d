"""quickstart and what leads up to it, without the server (reference, 4.2)."""

import pytest
from webtest import TestApp

import cptoolkit
from cptoolkit import site


class Hello:
    @cptoolkit.expose
    def index(self):
        return "Hello World!"


@pytest.fixture
def engine(monkeypatch):
    """What is done with the engine, in place of doing it."""
    done = []
    for name in ("start", "block"):
        monkeypatch.setattr(site.engine, name, lambda name=name: done.append(name))
    monkeypatch.setattr(site.engine.signals, "subscribe", lambda: done.append("signals"))
    return done


def get(path, **options):
    return TestApp(cptoolkit.tree).get(path, **options)


def test_root_is_served_at_the_root_of_the_site(engine):
    cptoolkit.quickstart(Hello())
    assert get("/").text == "Hello World!"
    get("/blog", status=404)


def test_signals_are_heard_before_the_engine_starts_and_blocks(engine):
    cptoolkit.quickstart(Hello())
    assert engine == ["signals", "start", "block"]


def test_mount_point_may_be_another(engine):
    cptoolkit.quickstart(Hello(), "/blog")
    assert get("/blog/").text == "Hello World!"
    assert get("/blog", status=301).location == "http://localhost:80/blog/"
    get("/", status=404)


def test_slash_is_the_root(engine):
    cptoolkit.quickstart(Hello(), "/")
    assert list(cptoolkit.tree.apps) == [""]


def test_config_is_for_the_application_and_the_site(engine):
    config = {"global": {"my.site": 1}, "/": {"response.headers.X-A": "a"}}
    cptoolkit.quickstart(Hello(), "", config)
    assert get("/").headers["X-A"] == "a"
    assert cptoolkit.config["my.site"] == 1
    assert "response.headers.X-A" not in cptoolkit.config


@pytest.mark.parametrize("kind", ["path", "file"])
def test_config_may_be_a_file(engine, tmp_path, kind):
    path = tmp_path / "app.conf"
    path.write_text('[global]\nmy.site = 1 + 1\n[/]\nresponse.headers.X-A = "a"\n')
    if kind == "path":
        cptoolkit.quickstart(Hello(), "", str(path))
    else:
        with path.open() as file:
            cptoolkit.quickstart(Hello(), "", file)
    assert get("/").headers["X-A"] == "a"
    assert cptoolkit.config["my.site"] == 2


def test_applications_mounted_before_are_served_too(engine):
    cptoolkit.tree.mount(Hello(), "/forum", {"/": {"response.headers.X-App": "forum"}})
    cptoolkit.quickstart(Hello(), "/blog")
    assert get("/forum/").headers["X-App"] == "forum"
    assert "X-App" not in get("/blog/").headers


def test_application_may_be_given_in_place_of_its_root(engine):
    cptoolkit.quickstart(cptoolkit.Application(Hello(), "/blog"))
    assert get("/blog/").text == "Hello World!"


def test_nothing_needs_a_root(engine):
    cptoolkit.tree.mount(Hello(), "/blog")
    cptoolkit.quickstart()
    assert get("/blog/").text == "Hello World!"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((Hello(), "blog"), ValueError),
        ((Hello(), "", "no such file.conf"), FileNotFoundError),
        ((Hello(), "", {"tools.encode.on": True}), ValueError),
        ((Hello, "", 5), TypeError),
    ],
)
def test_mistake_is_told_before_anything_starts(engine, arguments, error):
    with pytest.raises(error):
        cptoolkit.quickstart(*arguments)
    assert engine == []


def test_root_without_a_handler_is_told_at_the_start(engine, capsys):
    class Forgotten:
        def index(self):
            return "not exposed"

    cptoolkit.quickstart(Forgotten())
    cptoolkit.checker()
    assert "has no page handler" in capsys.readouterr().err
    get("/", status=404)
