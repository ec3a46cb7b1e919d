"""What a client is told of an error: browsers, programs, curl; over a connection, too."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

import cptoolkit
from cptoolkit.testing.site import fresh_site, place, served_site

PROBLEM = "application/problem+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HOSTILE = "<script>alert('é')</script>\"&%(status)s%d\u2028\x07"


class Root:
    @cptoolkit.expose
    def refuse(self, message="no"):
        raise cptoolkit.HTTPError(403, message)

    @cptoolkit.expose
    def hostile(self):
        raise cptoolkit.HTTPError(403, HOSTILE)

    @cptoolkit.expose
    def crash(self):
        raise ValueError("secret detail")

    @cptoolkit.expose
    def long(self):
        raise cptoolkit.HTTPError(400, "é" * 300_000)

    @cptoolkit.expose
    @cptoolkit.config(**{"response.stream": True})
    def early(self):
        def body():
            raise ValueError("before the first byte")
            yield b""

        return body()

    @cptoolkit.expose
    @cptoolkit.config(**{"response.stream": True})
    def late(self):
        def body():
            yield b"first"
            raise ValueError("after the first byte")

        return body()


def get(client, path, accept=None, **options):
    headers = {} if accept is None else {"Accept": accept}
    return client.get(path, headers=headers, status="*", **options)


# -- pages and documents of an object tree ----------------------------------------------------


@pytest.mark.parametrize("accept", [None, "", "*/*", BROWSER, "text/plain", "image/png"])
def test_whoever_does_not_ask_for_json_gets_the_page(app_of, accept):
    answer = get(app_of(Root()), "/refuse", accept)
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
    assert "<h2>403 Forbidden</h2>" in answer.text
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    "accept",
    ["application/json", PROBLEM, "application/json, text/html;q=0.5", "Application/JSON, */*"],
)
def test_whoever_likes_json_better_gets_a_problem_document(app_of, accept):
    answer = get(app_of(Root(), {"/": {"request.show_tracebacks": False}}), "/refuse", accept)
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.headers["Vary"] == "Accept"
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "no",
    }


def test_problem_document_of_an_unexpected_exception_tells_its_traceback_to_this_machine(app_of):
    client = app_of(Root())
    document = json.loads(get(client, "/crash", PROBLEM).body)
    assert document["traceback"][-1] == "ValueError: secret detail"
    away = get(client, "/crash", PROBLEM, extra_environ={"REMOTE_ADDR": "192.0.2.1"})
    assert "secret" not in away.text
    assert json.loads(away.body)["status"] == 500


def test_problem_document_names_the_request(app_of):
    client = app_of(Root(), {"/": {"tools.request_id.on": True}})
    answer = get(client, "/nowhere", PROBLEM)
    document = json.loads(answer.body)
    assert document["detail"] == "The path '/nowhere' was not found."
    assert document["request_id"] == answer.headers["X-Request-ID"]


def test_template_is_for_pages_and_not_for_documents(app_of, tmp_path):
    page = tmp_path / "403.html"
    page.write_text("own %(message)s")
    client = app_of(Root(), {"/": {"error_page.403": str(page)}})
    assert get(client, "/refuse", BROWSER).text == "own no"
    assert get(client, "/refuse", PROBLEM).content_type == PROBLEM


def test_function_decides_by_itself_what_clients_get(app_of):
    client = app_of(Root(), {"/": {"error_page.default": lambda **texts: "own"}})
    answer = get(client, "/refuse", PROBLEM)
    assert (answer.text, answer.content_type) == ("own", "text/html")
    assert "Vary" not in answer.headers


def test_page_that_is_asked_for_by_name_stays_a_page(app_of):
    class Pages:
        @cptoolkit.expose
        def index(self):
            return cptoolkit.HTTPError(404).get_error_page()

    assert "<h2>404 Not Found</h2>" in get(app_of(Pages()), "/", PROBLEM).text


def broken(**texts):
    raise LookupError(HOSTILE)


@pytest.mark.parametrize("accept", [BROWSER, PROBLEM])
@pytest.mark.parametrize("path", ["/refuse", "/crash", "/hostile", "/long", "/nowhere"])
@pytest.mark.parametrize("page", [None, broken], ids=["ours", "broken"])
def test_head_has_the_headers_of_get(app_of, accept, path, page):
    config = {"error_page.default": page} if page else {}
    client = app_of(Root(), {"/": config})
    answer = get(client, path, accept)
    head = client.head(path, headers={"Accept": accept}, status="*")
    assert head.body == b""
    assert head.status == answer.status
    wanted, got = dict(answer.headers), dict(head.headers)
    if path == "/crash":  # the traceback to HEAD may be of another length
        wanted.pop("Content-Length"), got.pop("Content-Length")
    assert got == wanted


@pytest.mark.parametrize("page", [None, broken], ids=["ours", "broken"])
def test_hostile_characters_are_escaped_on_a_page(app_of, page):
    config = {"error_page.403": page} if page else {}
    answer = get(app_of(Root(), {"/": config}), "/hostile", BROWSER)
    assert "<script>" not in answer.text
    assert "&lt;script&gt;alert('é')&lt;/script&gt;" in answer.text
    assert "%(status)s%d" in answer.text


def test_hostile_characters_are_themselves_in_a_document(app_of):
    answer = get(app_of(Root()), "/hostile", PROBLEM)
    assert json.loads(answer.body)["detail"] == HOSTILE
    assert answer.body.isascii()


def test_very_long_message_is_told_in_full(app_of):
    client = app_of(Root())
    assert "é" * 300_000 in get(client, "/long").text
    assert json.loads(get(client, "/long", PROBLEM).body)["detail"] == "é" * 300_000


# -- over a connection ------------------------------------------------------------------------


@pytest.fixture
def site():
    with fresh_site():
        cptoolkit.config.update({"log.screen": False, "engine.autoreload.on": False})
        place(Root)
        with served_site() as url:
            yield urlsplit(url)


@pytest.fixture
def connection(site):
    client = http.client.HTTPConnection(site.hostname, site.port, timeout=30)
    yield client
    client.close()


def ask(connection, path, method="GET", **headers):
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("path", ["/crash", "/refuse", "/nowhere", "/long"])
def test_connection_goes_on_after_an_error(connection, path):
    for _ in range(2):
        answer, body = ask(connection, path)
        assert answer.status >= 400
        assert len(body) == int(answer.headers["Content-Length"])
        head, nothing = ask(connection, path, "HEAD")
        assert (head.status, nothing) == (answer.status, b"")


def test_stream_that_fails_before_its_first_byte_is_an_error_of_the_server(connection):
    answer, body = ask(connection, "/early")
    assert answer.status == 500
    assert b"before the first byte" not in body


def test_stream_that_fails_later_is_never_taken_for_a_whole_answer(connection):
    connection.request("GET", "/late")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()


def test_next_client_is_served_after_a_stream_has_failed(site):
    for path, status in (("/late", 0), ("/early", 0), ("/refuse", 403)):
        client = http.client.HTTPConnection(site.hostname, site.port, timeout=30)
        try:
            client.request("GET", path)
            if status:
                assert client.getresponse().status == status
        finally:
            client.close()
