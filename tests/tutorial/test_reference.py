"""Chapters 2.3, 2.4 and 3 of the reference, by programs like its own: started, used, ended.

The pages of 3.8 and 3.10 are in ``test_pages.py``; 3.1 is ``cptoolkit.tutorial.tut01_helloworld``.
"""

import re
import sqlite3
from contextlib import closing

import pytest


def are_letters(text, length):
    return re.fullmatch(f"[a-z]{{{length}}}", text) and len(set(text)) == length


def test_log_tells_how_it_starts_and_sigterm_ends_it(started):
    """2.3.1 and 3.1: the log that they print."""
    program = started("tut01_helloworld")
    log = "\n".join(program.output)
    at = [
        log.index(words)
        for words in (
            "ENGINE Bus STARTING",
            "The Application mounted at '' has an empty config.",
            "ENGINE Started monitor thread 'Autoreloader'.",
            f"ENGINE Serving on http://127.0.0.1:{program.port}",
            "ENGINE Bus STARTED",
        )
    ]
    assert at == sorted(at)
    for name in ("SIGHUP", "SIGTERM", "SIGUSR1"):
        assert 0 <= log.find(f"ENGINE Listening for {name}.") < at[0]
    stamp = r"\[[0-3]\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\] ENGINE "
    assert all(re.match(stamp, line) for line in program.output if "ENGINE" in line)
    assert program.stop() == 0


@pytest.fixture
def letters(running):
    return running("letters.py").visitor()


def test_urls_lead_to_functions(letters):
    """3.2."""
    assert are_letters(letters.get("/draw").text, 8)


@pytest.mark.parametrize(
    ("path", "length"),
    [("/draw?length=16", 16), ("/draw", 8), ("/draw/12", 12)],
    ids=["in the query", "by default", "in the path"],
)
def test_urls_have_parameters(letters, path, length):
    """3.3."""
    assert are_letters(letters.get(path).text, length)


def test_value_that_the_function_cannot_take_is_its_failure(letters):
    """3.3: values are text, and the function has to convert them."""
    answer = letters.get("/draw?length=x")
    assert answer.status == 500
    assert "ValueError: invalid literal for int()" in answer.text


def test_parameter_that_the_function_has_not_is_not_found(letters):
    """3.3."""
    answer = letters.get("/draw?foo=1")
    assert answer.status == 404
    assert "Unexpected query string parameters: foo" in answer.text


def test_form_is_submitted_by_get_or_by_post(letters):
    """3.4: the function does not notice."""
    assert '<form method="get" action="draw">' in letters.get("/").text
    assert are_letters(letters.get("/draw?length=5").text, 5)
    assert are_letters(letters.post("/draw", {"length": "5"}).text, 5)


def test_session_follows_the_visitor(letters):
    """3.5: nothing is known of him before; no cookie before there is something to know."""
    assert letters.get("/last").status == 500
    letters.get("/")
    assert not letters.cookies
    drawn = letters.get("/draw?length=8").text
    id = letters.cookies["session_id"].value
    assert letters.get("/last").text == drawn
    assert letters.cookies["session_id"].value == id


def test_visitors_have_sessions_of_their_own(running, letters):
    """3.5."""
    letters.get("/draw")
    assert running("letters.py").visitor().get("/last").status == 500


def test_folder_is_served_under_static(running, letters):
    """3.6."""
    assert 'href="/static/css/style.css"' in letters.get("/").text
    answer = letters.get("/static/css/style.css")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/css")
    assert answer.headers["Last-Modified"]
    assert answer.body == (running("letters.py").folder / "public/css/style.css").read_bytes()


@pytest.mark.parametrize("path", ["/static/css/none.css", "/static/", "/static/css"])
def test_only_files_are_served_under_static(letters, path):
    """3.6."""
    assert letters.get(path).status == 404


def test_service_speaks_http(running):
    """3.7, and the dialogue at its end."""
    client = running("service.py").visitor()
    assert client.get("/").status == 500
    answer = client.post("/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain;charset=utf-8")
    assert are_letters(answer.text, 8)
    assert client.get("/").text == answer.text
    assert client.get("/", headers={"Accept": "application/json"}).status == 406
    answer = client.ask("PUT", "/?letters=hello")
    assert (answer.status, answer.body) == (200, b"")
    answer = client.get("/")
    assert (answer.status, answer.text) == (200, "hello")
    assert client.ask("DELETE", "/").status == 200
    assert client.get("/").status == 500


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS"])
def test_service_has_the_methods_that_its_class_has(running, method):
    """3.7: and every answer names them."""
    client = running("service.py").visitor()
    allowed = "DELETE, GET, HEAD, POST, PUT"
    answer = client.ask(method, "/")
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert client.get("/").headers["Allow"] == allowed


def test_page_and_service_are_one_tree_with_config_by_path(running):
    """3.8: the page is a file that its handler returns open."""
    program = running("ajax.py")
    client = program.visitor()
    answer = client.get("/")
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
    assert answer.body == (program.folder / "index.html").read_bytes()
    drawn = client.post("/letters", {"length": "8"})
    assert drawn.headers["Content-Type"] == "text/plain;charset=utf-8"
    assert are_letters(drawn.text, 8)
    assert client.get("/letters").text == drawn.text
    assert client.ask("PUT", "/letters", form={"letters": "mine"}).body == b""
    assert client.get("/letters").text == "mine"
    assert client.ask("DELETE", "/letters").body == b""
    assert client.get("/letters").status == 500
    assert client.get("/static/css/style.css").status == 200


def test_database_is_there_from_start_to_stop(started):
    """3.9."""
    program = started("database.py")
    client = program.visitor()
    answer = client.get("/letters")
    assert (answer.status, answer.body) == (200, b"")
    drawn = client.post("/letters").text
    assert are_letters(drawn, 8)
    assert client.get("/letters").text == drawn
    assert program.visitor().get("/letters").text == ""
    client.ask("PUT", "/letters?letters=mine")
    assert client.get("/letters").text == "mine"
    client.ask("DELETE", "/letters")
    assert client.get("/letters").text == ""
    assert tables(program) == [("drawn",)]
    assert program.stop() == 0
    assert tables(program) == []


def tables(program):
    with closing(sqlite3.connect(program.folder / "letters.db")) as connection:
        return connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()


def test_script_of_the_single_page_is_served_as_one(started):
    """3.10."""
    client = started("database.py", "react.html").visitor()
    answer = client.get("/static/js/letters.js")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/javascript")
