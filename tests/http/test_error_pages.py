"""The pages that tell of an error, and who may see a traceback."""

import pytest
from webob import Request

import cptoolkit
from cptoolkit import HTTPError


class Root:
    @cptoolkit.expose
    def index(self):
        return "home"

    @cptoolkit.expose
    def refuse(self, status="403", message=None):
        raise HTTPError(int(status), message)

    @cptoolkit.expose
    def crash(self):
        raise ValueError("secret detail")


def fetch(client, path, **environ):
    return Request.blank(path, environ=environ).get_response(client.app)


# -- pages of one's own ----------------------------------------------------------------------


def test_template_file_is_filled_in(app_of, tmp_path):
    page = tmp_path / "403.html"
    page.write_text("<p>%(status)s: %(message)s é</p>", encoding="utf-8")
    client = app_of(Root(), {"/": {"error_page.403": str(page)}})
    answer = client.get("/refuse?message=a<b", status=403)
    assert answer.text == "<p>403 Forbidden: a&lt;b é</p>"
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"


def test_path_object_names_a_template_too(app_of, tmp_path):
    page = tmp_path / "403.html"
    page.write_text("own")
    assert app_of(Root(), {"/": {"error_page.403": page}}).get("/refuse", status=403).text == "own"


def test_template_is_read_each_time(app_of, tmp_path):
    page = tmp_path / "403.html"
    page.write_text("one")
    client = app_of(Root(), {"/": {"error_page.403": str(page)}})
    client.get("/refuse", status=403)
    page.write_text("two")
    assert client.get("/refuse", status=403).text == "two"


@pytest.mark.parametrize(
    "page", ["text é", "bytes é".encode(), ["a", b"b"], (c for c in "xy")], ids=type
)
def test_function_gives_the_page(app_of, page):
    client = app_of(Root(), {"/": {"error_page.403": lambda **details: page}})
    answer = client.get("/refuse", status=403)
    assert answer.text in ("text é", "bytes é", "ab", "xy")
    assert answer.content_length == len(answer.body)


def test_function_is_given_status_message_traceback_and_version(app_of):
    def page(status, message, traceback, version):
        return f"{status}|{message}|{'HTTPError' in traceback}|{version}"

    client = app_of(Root(), {"/": {"error_page.403": page}})
    answer = client.get("/refuse?message=<b>", status=403)
    assert answer.text == f"403 Forbidden|&lt;b&gt;|True|{cptoolkit.__version__}"


def test_function_may_set_the_content_type(app_of):
    def page(**details):
        cptoolkit.response.headers["Content-Type"] = "application/json"
        return '{"error": 403}'

    answer = app_of(Root(), {"/": {"error_page.403": page}}).get("/refuse", status=403)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"error": 403}


def test_default_page_is_for_statuses_without_one_of_their_own(app_of):
    config = {"error_page.default": lambda status, **details: f"default {status}"}
    config["error_page.404"] = lambda **details: "lost"
    client = app_of(Root(), {"/": config})
    assert client.get("/refuse", status=403).text == "default 403 Forbidden"
    assert client.get("/nowhere", status=404).text == "lost"
    assert client.get("/crash", status=500).text == "default 500 Internal Server Error"


def test_page_is_for_its_section_only(app_of):
    client = app_of(Root(), {"/refuse": {"error_page.default": lambda **details: "here"}})
    assert client.get("/refuse", status=403).text == "here"
    assert client.get("/nowhere", status=404).text != "here"


def test_failing_page_gives_way_to_ours_which_says_so(app_of):
    def page(**details):
        raise KeyError("<broken>")

    answer = app_of(Root(), {"/": {"error_page.403": page}}).get("/refuse", status=403)
    assert "the custom error page failed" in answer.text
    assert "KeyError" in answer.text
    assert "<broken>" not in answer.text


def test_reason_beyond_latin_1_is_readable_on_the_page_and_sent_encoded(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            raise cptoolkit.HTTPError("404 \u20ac")

    answer = app_of(Root()).get("/", status=404)
    assert answer.status == "404 =?utf-8?b?4oKs?="
    assert "404 \u20ac" in answer.text


def test_reason_of_a_failing_page_is_for_this_machine_alone_and_the_log(app_of, caplog):
    def page(**texts):
        raise LookupError("secret detail")

    client = app_of(Root(), {"/": {"error_page.default": page}})
    away = fetch(client, "/crash", REMOTE_ADDR="192.0.2.1").text
    assert "custom error page failed" in away
    assert "secret detail" not in away
    assert "the page for 500 has failed" in caplog.text
    assert "LookupError: secret detail" in fetch(client, "/crash", REMOTE_ADDR="127.0.0.1").text


@pytest.mark.parametrize("page", [None, 5])
def test_function_that_gives_no_page_counts_as_failing(app_of, page):
    client = app_of(Root(), {"/": {"error_page.403": lambda **details: page}})
    answer = client.get("/refuse", status=403)
    assert f"must return the page, got {page}" in answer.text


def test_template_with_a_wrong_placeholder_gives_way_to_ours(app_of, tmp_path):
    page = tmp_path / "403.html"
    page.write_text("%(colour)s")
    answer = app_of(Root(), {"/": {"error_page.403": str(page)}}).get("/refuse", status=403)
    assert "<h2>403 Forbidden</h2>" in answer.text


def test_head_of_a_page_of_ones_own_has_no_body(app_of):
    client = app_of(Root(), {"/": {"error_page.403": lambda **details: "own"}})
    assert client.head("/refuse", status=403).body == b""


# -- settings that cannot be right -----------------------------------------------------------


def test_missing_file_is_told_when_the_config_is_merged(app_of, tmp_path):
    (tmp_path / "404.html").write_text("")
    config = {"/a": {"error_page.404": str(tmp_path / "404.htm")}}
    with pytest.raises(ValueError, match=r"\[/a\], error_page\.404: .*did you mean '404\.html'"):
        app_of(Root(), config)


def test_missing_folder_is_told(app_of, tmp_path):
    config = {"/": {"error_page.default": str(tmp_path / "pages" / "x.html")}}
    with pytest.raises(ValueError, match="nor a folder"):
        app_of(Root(), config)


def test_missing_file_in_the_global_config_is_told():
    with pytest.raises(ValueError, match=r"global config, error_page\.404: there is no file"):
        cptoolkit.config.update({"error_page.404": "/nope/404.html"})


@pytest.mark.parametrize("name", ["200", "4xx", "", "1404"])
def test_page_for_what_is_no_error_is_refused(app_of, name):
    with pytest.raises(ValueError, match="must name a status from 400 to 599"):
        app_of(Root(), {"/": {f"error_page.{name}": str}})


def test_page_that_is_neither_path_nor_function_is_refused(app_of):
    with pytest.raises(TypeError, match="must be the path of a file or a function, got 5"):
        app_of(Root(), {"/": {"error_page.404": 5}})


# -- escaping --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/refuse?message=<script>alert(1)</script>", "/<script>", "/refuse?<script>=1", "/?<script>"],
)
def test_what_the_client_sends_is_escaped(app_of, path):
    answer = app_of(Root()).get(path, status="4*")
    assert "<script>" not in answer.text


def test_percent_signs_in_a_message_do_no_harm(app_of):
    answer = app_of(Root()).get("/refuse?message=%25(status)s%25d", status=403)
    assert "<p>%(status)s%d</p>" in answer.text


# -- tracebacks ------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_traceback_is_shown_on_the_same_machine(app_of, address):
    assert "secret detail" in fetch(app_of(Root()), "/crash", REMOTE_ADDR=address).text


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "", "localhost"])
def test_traceback_is_not_shown_to_other_machines(app_of, address):
    text = fetch(app_of(Root()), "/crash", REMOTE_ADDR=address).text
    assert "secret detail" not in text
    assert "traceback" not in text.replace("#traceback", "").lower()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhostess:80"])
def test_traceback_is_not_shown_under_a_name_of_another_site(app_of, host):
    assert "secret detail" not in fetch(app_of(Root()), "/crash", HTTP_HOST=host).text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:80"])
def test_traceback_is_shown_under_every_name_of_this_machine(app_of, host):
    assert "secret detail" in fetch(app_of(Root()), "/crash", HTTP_HOST=host).text


@pytest.mark.parametrize(
    "field", ["X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP", "VIA", "X_FORWARDED_HOST"]
)
def test_traceback_is_not_shown_behind_a_proxy(app_of, field):
    environ = {"REMOTE_ADDR": "127.0.0.1", f"HTTP_{field}": "127.0.0.1"}
    assert "secret detail" not in fetch(app_of(Root()), "/crash", **environ).text


def test_traceback_is_shown_to_anyone_if_config_says_so(app_of):
    client = app_of(Root(), {"/": {"request.show_tracebacks": True}})
    assert "secret detail" in fetch(client, "/crash", REMOTE_ADDR="192.0.2.1").text


@pytest.mark.parametrize("word", [False, 0, None, "False", "locl", ""])
def test_traceback_is_shown_to_nobody_if_config_says_so_or_nothing_that_counts(app_of, word):
    client = app_of(Root(), {"/": {"request.show_tracebacks": word}})
    assert "secret detail" not in fetch(client, "/crash", REMOTE_ADDR="127.0.0.1").text


def test_production_shows_no_traceback(app_of):
    cptoolkit.config.update({"environment": "production"})
    assert "secret detail" not in fetch(app_of(Root()), "/crash", REMOTE_ADDR="127.0.0.1").text


def test_unexpected_exception_is_logged_with_its_traceback(app_of, caplog):
    app_of(Root()).get("/crash", status=500)
    assert "ValueError: secret detail" in caplog.text


# -- error_response, and errors while answering an error -------------------------------------


def test_error_response_makes_the_answer(app_of):
    def answer():
        cptoolkit.response.status = 503
        cptoolkit.response.body = "Sorry."

    page = app_of(Root(), {"/": {"request.error_response": answer}}).get("/crash", status=503)
    assert page.text == "Sorry."


def test_error_response_is_not_asked_about_http_errors(app_of):
    def answer():
        raise AssertionError

    app_of(Root(), {"/": {"request.error_response": answer}}).get("/refuse", status=403)


def test_error_response_may_redirect(app_of):
    def answer():
        raise cptoolkit.HTTPRedirect("/sorry", 303)

    page = app_of(Root(), {"/": {"request.error_response": answer}}).get("/crash", status=303)
    assert page.headers["Location"].endswith("/sorry")


@pytest.mark.parametrize("point", ["before_error_response", "after_error_response"])
def test_failing_error_hook_still_gives_an_answer(app_of, caplog, point):
    def fail():
        raise RuntimeError("in the hook")

    page = app_of(Root(), {"/": {f"hooks.{point}": fail}}).get("/crash", status=500)
    assert page.text == "Unrecoverable error in the server.\n"
    assert "in the hook" in caplog.text


def test_failing_error_response_still_gives_an_answer_to_head(app_of):
    def fail():
        raise RuntimeError

    client = app_of(Root(), {"/": {"request.error_response": fail}})
    assert client.head("/crash", status=500).body == b""


def test_next_request_is_served_after_any_error(app_of):
    client = app_of(Root())
    for path in ("/crash", "/refuse", "/nowhere"):
        client.get(path, status="*")
    assert client.get("/").text == "home"
