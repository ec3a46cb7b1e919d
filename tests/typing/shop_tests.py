"""The tests of the user's project, which are run as well as checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop.flask_app import app, around
from shop.pages import Api, Archive, Root, application
from shop.plugins import attach_greeter, attach_hook

import cptoolkit
from cptoolkit.testing import TestApp, fresh_site


@pytest.fixture
def client() -> TestApp:
    return TestApp(application())


def test_page_says_hello(client: TestApp) -> None:
    answer = client.get("/", {"name": "Ann"})
    assert answer.text.startswith("Hello Ann!")
    assert answer.headers["Cache-Control"] == "max-age=60"
    assert answer.headers["X-Robots-Tag"] == "all"


def test_archive_takes_segments(client: TestApp) -> None:
    assert client.get("/archive/2024/5/").text == "2024-5"
    assert isinstance(Root.archive, Archive)


def test_shop_is_closed_at_night(client: TestApp) -> None:
    assert client.get("/night").text == "Come back at nine."


def test_api_knows_methods() -> None:
    config = {"/": {"request.dispatch": cptoolkit.dispatch.MethodDispatcher()}}
    assert TestApp(Api(), config).get("/", {"id": "3"}).json == {"id": "3"}


def test_flask_counts_visits(tmp_path: Path) -> None:
    client = TestApp(around(str(tmp_path), app))
    client.get("/")
    assert client.get("/").text == "2"
    assert client.get("/staff", status=401)


def test_plugin_and_hook_are_attached() -> None:
    with fresh_site():
        greeter = attach_greeter()
        attach_hook()
        assert greeter.name == "Ann"
        greeter.unsubscribe()
