"""The tools that need the page handler, or what it returned."""

from __future__ import annotations

import enum
import io
import json
import logging
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest
from webob import Request

import cptoolkit
from cptoolkit import tools

if TYPE_CHECKING:
    from somewhere import Unknown


def fetch(client, path="/", **options):
    answer = Request.blank(path, **options).get_response(client.app)
    assert answer.body is not None
    return answer


def page(function, *decorators):
    """A tree whose index is the function."""
    root = type("Root", (), {"index": staticmethod(cptoolkit.expose(function))})
    for decorate in decorators:
        root = decorate(root)
    return root()


# -- encode ----------------------------------------------------------------------------------


def test_encode_encodes_and_names_the_encoding(app_of):
    answer = fetch(app_of(page(lambda: "é", tools.encode(encoding="ISO-8859-1"))))
    assert answer.body == b"\xe9"
    assert answer.headers["Content-Type"] == "text/html;charset=ISO-8859-1"


@pytest.mark.parametrize("value", [["é"], ("é",)], ids=["list", "tuple"])
def test_encode_encodes_each_item(app_of, value):
    assert fetch(app_of(page(lambda: value, tools.encode(encoding="latin-1")))).body == b"\xe9"


def test_encode_encodes_a_stream(app_of):
    def text():
        yield "é"

    config = {"/": {"response.stream": True, "tools.encode.encoding": "utf-16-le"}}
    assert fetch(app_of(page(text), config)).body == b"\xe9\x00"


def test_character_that_the_encoding_lacks_is_a_500(app_of):
    app_of(page(lambda: "日", tools.encode(encoding="latin-1"))).get("/", status=500)


def test_encode_may_replace_what_the_encoding_lacks(app_of):
    root = page(lambda: "日", tools.encode(encoding="ascii", errors="xmlcharrefreplace"))
    assert fetch(app_of(root)).body == b"&#26085;"


def test_encode_may_mark_other_types_than_text(app_of):
    def svg():
        cptoolkit.response.headers["Content-Type"] = "image/svg+xml"
        return "é"

    answer = fetch(app_of(page(svg, tools.encode(text_only=False))))
    assert answer.headers["Content-Type"] == "image/svg+xml;charset=utf-8"


def test_encode_may_leave_the_content_type_alone(app_of):
    answer = fetch(app_of(page(lambda: "é", tools.encode(add_charset=False))))
    assert answer.headers["Content-Type"] == "text/html"


def test_without_encode_no_charset_is_named(app_of):
    client = app_of(page(lambda: b"x"), {"/": {"tools.encode.on": False}})
    assert fetch(client).headers["Content-Type"] == "text/html"


def test_encode_may_be_called_by_a_hook(app_of):
    def choose():
        tools.encode.callable(
            encoding="ascii", errors="replace", text_only=False, add_charset=False
        )

    def text():
        cptoolkit.response.headers["Content-Type"] = "image/svg+xml"
        return "é"

    answer = fetch(app_of(page(text), {"/": {"hooks.before_handler": choose}}))
    assert answer.body == b"?"
    assert answer.headers["Content-Type"] == "image/svg+xml"


def test_encoding_that_does_not_exist_is_an_error_that_names_it(app_of, caplog):
    app_of(page(lambda: "", tools.encode(encoding="utf-99"))).get("/", status=500)
    assert "unknown encoding: utf-99" in caplog.text


# -- decode ----------------------------------------------------------------------------------

FORM = "application/x-www-form-urlencoded"


def test_decode_reads_a_form_in_the_encoding_it_is_told(app_of):
    root = page(lambda a: a, tools.decode(encoding="latin-1"))
    assert app_of(root).post("/", "a=%E9", content_type=FORM).text == "é"


def test_decode_tries_several_encodings_in_turn(app_of):
    root = page(lambda a: a, tools.decode(encoding=["ascii", "utf-8"]))
    assert app_of(root).post("/", "a=%C3%A9", content_type=FORM).text == "é"


def test_decode_tries_the_default_encoding_last(app_of):
    root = page(lambda a: a, tools.decode(default_encoding="cp1251"))
    assert app_of(root).post("/", "a=%C3%A9", content_type=FORM).text == "é"
    assert app_of(root).post("/", "a=%FF", content_type=FORM).text == "я"


def test_decode_tries_several_default_encodings_last(app_of):
    root = page(lambda a: a, tools.decode(default_encoding=["ascii", "cp1251"]))
    assert app_of(root).post("/", "a=%C3%A9", content_type=FORM).text == "é"
    assert app_of(root).post("/", "a=%FF", content_type=FORM).text == "я"


def test_form_that_no_encoding_fits_is_400(app_of):
    app_of(page(lambda a: a)).post("/", "a=%FF", content_type=FORM, status=400)


# -- flatten ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: (part for part in ["a", (p for p in ["b", ["c", b"d"]])]),
        lambda: ["a", ["b", "c"], "d"],
        lambda: ["a", "b", "cd"],
    ],
    ids=["generators", "lists", "flat already"],
)
def test_flatten_makes_one_row_of_nested_bodies(app_of, make, stream):
    client = app_of(page(make, tools.flatten()), {"/": {"response.stream": stream}})
    assert fetch(client).body == b"abcd"


def test_flatten_closes_what_it_flattens(app_of):
    class Body:
        closed = 0

        def __iter__(self):
            return iter(["a", ["b"]])

        def close(self):
            self.closed += 1

    body = Body()
    assert fetch(app_of(page(lambda: body, tools.flatten()))).body == b"ab"
    assert body.closed == 1


def test_nested_body_without_flatten_is_a_500(app_of):
    app_of(page(lambda: ["a", ["b"]])).get("/", status=500)


# -- json_in ---------------------------------------------------------------------------------


def show_json():
    return repr(cptoolkit.request.json)


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "é"]}, [], "text", 0, None], ids=repr)
def test_json_in_decodes_the_document(app_of, value):
    client = app_of(page(show_json, tools.json_in()))
    assert client.post_json("/", value).text == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1',
        "",
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "[" * 100_000,
        '{"a":' * 100_000,
        b"\xff\xfe\xfa",
    ],
    ids=["cut", "empty", "NaN", "Infinity", "-Infinity", "deep list", "deep dict", "bytes"],
)
def test_what_is_not_json_is_400(app_of, text):
    client = app_of(page(show_json, tools.json_in()))
    answer = client.post("/", text, content_type="application/json", status=400)
    assert "Invalid JSON document" in answer.text


def test_json_in_refuses_other_types(app_of):
    client = app_of(page(show_json, tools.json_in()))
    answer = client.post("/", "{}", content_type="text/plain", status=415)
    assert "Expected an entity of content type application/json, text/javascript" in answer.text


def test_json_in_without_force_leaves_other_types_alone(app_of):
    root = page(lambda **form: repr(form), tools.json_in(force=False))
    assert app_of(root).post("/", {"a": "1"}).text == "{'a': '1'}"


def test_json_in_takes_the_types_it_is_told(app_of):
    client = app_of(page(show_json, tools.json_in(content_type="application/vnd.own+json")))
    assert client.post("/", "[1]", content_type="application/vnd.own+json").text == "[1]"
    client.post("/", "[1]", content_type="application/json", status=415)


def test_json_in_takes_a_processor_of_ones_own(app_of):
    def count(entity):
        cptoolkit.request.json = len(entity.read())

    client = app_of(page(show_json, tools.json_in(processor=count)))
    assert client.post("/", "[1, 2]", content_type="application/json").text == "6"


def test_json_of_a_get_is_400(app_of):
    app_of(page(show_json, tools.json_in())).get("/", status=400)


def test_json_without_length_is_read_to_the_end(app_of):
    client = app_of(page(show_json, tools.json_in()))
    request = Request.blank("/", method="POST", content_type="application/json")
    request.body_file = io.BytesIO(b'{"a": 1}')
    request.environ.pop("CONTENT_LENGTH", None)
    request.environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert request.get_response(client.app).text == "{'a': 1}"


# -- json_out --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [{"key": "value"}, [1, None, "é"], "text", 5, None], ids=repr)
def test_json_out_encodes_what_the_handler_returns(app_of, value):
    answer = fetch(app_of(page(lambda: value, tools.json_out())))
    assert json.loads(answer.body) == value
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], Ellipsis, {1: {2}}], ids=repr)
def test_value_that_json_has_not_is_a_500(app_of, value):
    app_of(page(lambda: value, tools.json_out())).get("/", status=500)


def test_json_out_takes_a_handler_of_ones_own(app_of):
    def handler(*args, **kwargs):
        value = cptoolkit.serving.request._json_inner_handler(*args, **kwargs)
        return json.dumps({"data": value}).encode()

    client = app_of(page(lambda: [1], tools.json_out(handler=handler)))
    assert client.get("/").json == {"data": [1]}


def test_json_out_may_declare_another_type(app_of):
    client = app_of(page(lambda: {}, tools.json_out(content_type="application/problem+json")))
    assert client.get("/").headers["Content-Type"] == "application/problem+json"


def test_error_page_of_a_json_handler_is_html(app_of):
    def refuse():
        raise cptoolkit.HTTPError(403)

    answer = app_of(page(refuse, tools.json_out())).get("/", status=403)
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"


# -- params ----------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


def show(
    number: int = 0,
    flag: bool = False,
    maybe: Optional[int] = None,  # noqa: UP045 (old spelling, still met)
    union: int | None = None,
    either: int | str = 0,
    items: list[int] = [],  # noqa: B006 (never changed)
    raw: list = [],  # noqa: B006
    price: Decimal = Decimal(0),
    colour: Colour = Colour.RED,
    noted: Annotated[int, "a note"] = 0,
    text: str = "",
    anything: Any = None,
    unknown: Unknown = None,
    plain=None,
    mapping: dict[str, int] | None = None,
    word: Literal["a", "b"] = "a",
    name: str | None = None,
) -> str:
    given = locals()
    return repr({name: given[name] for name in cptoolkit.request.params})


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("number=5", {"number": 5}),
        ("flag=1", {"flag": True}),
        ("flag=off", {"flag": False}),
        ("flag=TRUE", {"flag": True}),
        ("flag=", {"flag": False}),
        ("maybe=5", {"maybe": 5}),
        ("union=5", {"union": 5}),
        ("either=5", {"either": "5"}),
        ("items=1", {"items": [1]}),
        ("items=1&items=2", {"items": [1, 2]}),
        ("raw=1", {"raw": ["1"]}),
        ("price=1.50", {"price": Decimal("1.50")}),
        ("colour=red", {"colour": Colour.RED}),
        ("noted=5", {"noted": 5}),
        ("text=5", {"text": "5"}),
        ("anything=5", {"anything": "5"}),
        ("unknown=5&number=6", {"unknown": "5", "number": 6}),
        ("plain=5", {"plain": "5"}),
        ("mapping=5", {"mapping": "5"}),
        ("word=a", {"word": "a"}),
        ("name=5", {"name": "5"}),
    ],
)
def test_params_converts_by_annotation(app_of, query, values):
    assert app_of(page(show, tools.params())).get(f"/?{query}").text == repr(values)


@pytest.mark.parametrize(
    "query",
    ["number=x", "number=", "number=1&number=2", "flag=perhaps", "items=1&items=x", "price=x",
     "colour=blue", "maybe=x", "number=" + "9" * 5000 + "x"],
)  # fmt: skip
def test_value_that_does_not_convert_is_400(app_of, query):
    app_of(page(show, tools.params())).get(f"/?{query}", status=400)


def test_refusal_says_why(app_of):
    answer = app_of(page(show, tools.params())).get("/?number=x", status=400)
    assert "invalid literal for int()" in answer.text


def test_params_may_answer_with_another_status(app_of):
    app_of(page(show, tools.params(error=404))).get("/?number=x", status=404)


def test_exception_that_params_is_not_told_of_is_a_500(app_of):
    app_of(page(show, tools.params(exception=KeyError))).get("/?number=x", status=500)


def test_params_converts_for_an_object_that_cannot_be_hashed(app_of):
    @dataclass
    class Page:
        exposed: bool = True

        def __call__(self, number: int):
            return repr(number)

    config = {"/": {"tools.params.on": True}}
    assert app_of(Page(), config).get("/?number=3").text == "3"


def test_params_converts_for_methods_and_form_fields(app_of):
    class Root:
        @cptoolkit.expose
        @tools.params()
        def resource(self, limit: int):
            return repr(limit)

    assert app_of(Root()).get("/resource?limit=5").text == "5"
    assert app_of(Root()).post("/resource", {"limit": "6"}).text == "6"
    app_of(Root()).get("/resource", status=404)


# -- trailing_slash, redirect, err_redirect --------------------------------------------------


class Tree:
    class Folder:
        @cptoolkit.expose
        def index(self, **params):
            return "index"

    def __init__(self):
        self.folder = self.Folder()

    @cptoolkit.expose
    def page(self, **params):
        return "page"

    @cptoolkit.expose
    def crash(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("path", "config", "location"),
    [
        ("/app/folder", {}, "http://localhost/app/folder/"),
        ("/app/folder?a=%C3%A9&b", {}, "http://localhost/app/folder/?a=%C3%A9&b"),
        ("/app/folder/", {}, None),
        ("/app/page/", {}, None),
        ("/app/page/?a=1", {"extra": True}, "http://localhost/app/page?a=1"),
        ("/app/folder", {"missing": False}, None),
        ("/app/folder", {"on": False}, None),
        ("/app", {}, None),
    ],
)
def test_trailing_slash(app_of, path, config, location):
    settings = {f"tools.trailing_slash.{name}": value for name, value in config.items()}
    client = app_of(Tree(), {"/": settings}, script_name="/app")
    answer = client.get(path, headers={"Host": "localhost"}, status="*")
    assert answer.headers.get("Location") == location
    if location:
        assert answer.status_int == 301


def test_status_of_the_trailing_slash_redirect_may_be_another(app_of):
    client = app_of(Tree(), {"/": {"tools.trailing_slash.status": 307}})
    client.get("/folder", status=307)


def test_redirect_serves_another_page_unseen(app_of):
    config = {"/folder": {"tools.redirect.on": True, "tools.redirect.url": "/page"}}
    assert app_of(Tree(), config).get("/folder/").text == "page"


def test_redirect_may_be_told_to_the_client(app_of):
    redirect = tools.redirect(url="/page", internal=False)
    answer = app_of(page(lambda: "", redirect)).get("/", status=302)
    assert answer.headers["Location"].endswith("/page")


def test_err_redirect_leads_away_after_an_unexpected_exception(app_of):
    config = {"/crash": {"tools.err_redirect.on": True, "tools.err_redirect.url": "/page"}}
    assert app_of(Tree(), config).get("/crash").text == "page"
    config["/crash"]["tools.err_redirect.internal"] = False
    assert app_of(Tree(), config).get("/crash", status=302).headers["Location"].endswith("/page")


# -- allow -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "method", "status", "field"),
    [
        ({"methods": ["POST"]}, "POST", 200, "POST"),
        ({"methods": ["POST"]}, "GET", 405, "POST"),
        ({"methods": "get"}, "HEAD", 200, "GET, HEAD"),
        ({}, "PUT", 405, "GET, HEAD"),
        ({"methods": ("GET", "PUT")}, "PUT", 200, "GET, PUT, HEAD"),
    ],
)
def test_allow_refuses_other_methods(app_of, options, method, status, field):
    answer = fetch(app_of(page(lambda: "", tools.allow(**options))), method=method)
    assert (answer.status_int, answer.headers["Allow"]) == (status, field)


# -- accept ----------------------------------------------------------------------------------

ON_OFFER = ["text/plain", "application/json"]


def chosen():
    return cptoolkit.request.environ["cptoolkit.accept"]


@pytest.mark.parametrize(
    ("field", "best"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        ("application/json", "application/json"),
        ("text/plain;q=0.1, application/*;q=0.5", "application/json"),
        ("application/json;q=0, */*", "text/plain"),
        ("nonsense", "text/plain"),
    ],
)
def test_accept_chooses_what_the_client_likes_best(app_of, field, best):
    client = app_of(page(chosen, tools.accept(media=ON_OFFER)))
    headers = {} if field is None else {"Accept": field}
    assert client.get("/", headers=headers).text == best


def test_page_handler_can_choose_itself_what_the_client_likes_best(app_of):
    from cptoolkit.lib import cptools

    client = app_of(page(lambda: repr([cptools.accept(ON_OFFER), cptools.accept()])))
    answer = client.get("/", headers={"Accept": "application/json"})
    assert answer.text == "['application/json', None]"
    client.get("/", headers={"Accept": "text/html"}, status=406)


@pytest.mark.parametrize("field", ["text/html", "text/plain;q=0, application/json;q=0"])
def test_accept_answers_406_to_a_client_that_likes_nothing(app_of, field):
    client = app_of(page(chosen, tools.accept(media=ON_OFFER)))
    answer = client.get("/", headers={"Accept": field}, status=406)
    assert "text/plain, application/json" in answer.text


@pytest.mark.parametrize("separators", ["," * 100_000, "text/plain," * 10_000, ";" * 100_000])
def test_hostile_accept_costs_time_in_proportion(app_of, separators):
    client = app_of(page(chosen, tools.accept(media=ON_OFFER)))
    began = time.process_time()
    client.get("/", headers={"Accept": separators}, status="*")
    assert time.process_time() - began < 1


# -- autovary --------------------------------------------------------------------------------


def test_autovary_names_the_fields_that_were_asked_for(app_of):
    def ask():
        headers = cptoolkit.request.headers
        headers.get("X-One")
        _ = "x-two" in headers
        headers.elements("Accept")
        headers.get("Content-Type")
        with pytest.raises(KeyError):
            headers["x-three"]
        return ""

    answer = app_of(page(ask, tools.autovary())).get("/")
    assert answer.headers["Vary"] == "Accept, X-One, X-Three, X-Two"


def test_autovary_adds_to_what_is_there(app_of):
    def ask():
        cptoolkit.response.headers["Vary"] = "Cookie"
        cptoolkit.request.headers.get("Accept")

    assert app_of(page(ask, tools.autovary())).get("/").headers["Vary"] == "Accept, Cookie"


def test_autovary_leaves_a_star_alone(app_of):
    def ask():
        cptoolkit.response.headers["Vary"] = "*"
        cptoolkit.request.headers.get("Accept")

    assert app_of(page(ask, tools.autovary())).get("/").headers["Vary"] == "*"


def test_autovary_ignores_what_it_is_told_to(app_of):
    def ask():
        cptoolkit.request.headers.get("X-One")
        cptoolkit.request.headers.get("X-Two")

    answer = app_of(page(ask, tools.autovary(ignore=["x-one"]))).get("/")
    assert answer.headers["Vary"] == "X-Two"


def test_nothing_asked_for_means_no_vary(app_of):
    assert "Vary" not in app_of(page(lambda: "", tools.autovary())).get("/").headers


def test_form_of_an_autovary_page_adds_no_vary(app_of):
    assert "Vary" not in app_of(page(lambda a: a, tools.autovary())).post("/", {"a": "1"}).headers


# -- the log ---------------------------------------------------------------------------------


def test_unexpected_exception_logs_traceback_and_request_headers(app_of, caplog):
    app_of(Tree()).get("/crash", headers={"X-Seen": "yes"}, status=500)
    assert "ZeroDivisionError" in caplog.text
    assert "X-Seen: yes" in caplog.text


@pytest.mark.parametrize("field", ["Authorization", "Cookie", "Proxy-Authorization"])
def test_secrets_are_not_logged(app_of, caplog, field):
    app_of(Tree()).get("/crash", headers={field: "s3cret=s3cret"}, status=500)
    assert f"{field}: (not logged)" in caplog.text
    assert "s3cret" not in caplog.text


def test_headers_forge_no_line_of_the_log(app_of, caplog):
    environ = {"HTTP_X_FORGED": "a\r\n[22/Nov/2026:08:11:50] ENGINE Bus EXITED\x1b[2J"}
    fetch(app_of(Tree()), "/crash", environ=environ)
    assert "\n[22/Nov/2026:08:11:50]" not in caplog.text
    assert "\x1b" not in caplog.text


def test_log_tools_can_be_turned_off(app_of, caplog):
    config = {"/": {"tools.log_tracebacks.on": False, "tools.log_headers.on": False}}
    app_of(Tree(), config).get("/crash", status=500)
    assert "Traceback" not in caplog.text
    assert "Request Headers" not in caplog.text


def test_severity_of_a_traceback_may_be_set(app_of, caplog):
    config = {"/": {"tools.log_tracebacks.severity": logging.CRITICAL}}
    app_of(Tree(), config).get("/crash", status=500)
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


def test_log_hooks_lists_the_hooks_in_order(app_of, caplog):
    def early():
        pass

    def late():
        pass

    late.priority = 80
    config = {"hooks.before_handler.1": late, "hooks.before_handler.2": early}
    client = app_of(page(lambda: "", tools.log_hooks()), {"/": config})
    fetch(client)
    assert "before_handler:" in caplog.text
    assert caplog.text.index("early") < caplog.text.index("late")


# -- a tool of one's own ---------------------------------------------------------------------


def test_tool_of_ones_own_secures_every_page(app_of):
    @tools.register("before_finalize", priority=60)
    def secureheaders():
        headers = cptoolkit.response.headers
        headers["X-Frame-Options"] = "DENY"
        headers["Content-Security-Policy"] = "default-src='self'"

    client = app_of(Tree(), {"/": {"tools.secureheaders.on": True}})
    for path in ("/page", "/nowhere"):
        headers = client.get(path, status="*").headers
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Content-Security-Policy"] == "default-src='self'"


# -- options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "option", "hint"),
    [
        ("encode", "encodign", "encoding"),
        ("json_in", "content_typ", "content_type"),
        ("trailing_slash", "mising", "missing"),
        ("accept", "medai", "media"),
        ("xmlrpc", "allow_non", "allow_none"),
        ("log_tracebacks", "severty", "severity"),
    ],
)
def test_misspelt_option_is_told_with_the_nearest_right_one(app_of, caplog, tool, option, hint):
    config = {"/": {f"tools.{tool}.on": True, f"tools.{tool}.{option}": 1}}
    app_of(Tree(), config).get("/page", status=500)
    assert f"no option '{option}'; did you mean '{hint}'?" in caplog.text
