from __future__ import annotations

import logging

import pytest
from webtest import TestApp

import cptoolkit
from cptoolkit.statistics_page import APPLICATIONS, StatsPage, StatsTool, extrapolate_statistics


@pytest.fixture
def client():
    class Root:
        stats = StatsPage()

        @cptoolkit.expose
        def index(self):
            return ""

    cptoolkit.tools.cpstats = StatsTool()  # the import has done so, for one test
    cptoolkit.tree.mount(Root(), config={"/": {"tools.cpstats.on": True}})
    return TestApp(cptoolkit.tree)


def test_data_count_the_requests_of_each_application(client):
    client.get("/")
    client.get("/missing", status=404)
    answer = client.get("/stats/data")
    assert answer.content_type == "application/json"
    assert answer.json[APPLICATIONS]["/"]["by_status"] == {"200": 1, "404": 1}


def test_page_shows_them_and_escapes_what_clients_have_sent(client, monkeypatch):
    monkeypatch.setitem(logging.statistics, "Own <b>", {"figure": "<i>", "more": [1, 2]})
    page = client.get("/stats/").text
    assert APPLICATIONS in page
    assert "<dt>Own &lt;b&gt;</dt>" in page
    assert "&lt;i&gt;" in page


def test_figures_of_other_libraries_are_shown_too(client, monkeypatch):
    own = {"hits": 3, "share": lambda scope: scope["hits"] / 4, "each": [{"n": lambda s: len(s)}]}
    monkeypatch.setitem(logging.statistics, "Own", own)
    assert client.get("/stats/data").json["Own"] == {"hits": 3, "share": 0.75, "each": [{"n": 1}]}


def test_functions_become_what_they_give():
    assert extrapolate_statistics({"a": 2, "b": lambda scope: scope["a"] * 2}) == {"a": 2, "b": 4}


def test_tool_itself_has_no_page(client):
    client.get("/_stats", status=404)
