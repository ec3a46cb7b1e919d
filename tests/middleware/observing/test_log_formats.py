"""Lines of an access log: no client can forge one."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.middleware.observing import log_formats
from cptoolkit.middleware.observing.exchange import Exchange
from cptoolkit.middleware.observing.log_escapes import (
    escape_field,
    escape_line,
    escape_native,
    escape_text,
)
from cptoolkit.middleware.observing.log_formats import ATOMS, compile_format

APACHE = re.compile(
    r'(?P<h>\S+) (?P<l>\S+) (?P<u>\S+) \[(?P<t>[^]]+)\] "(?P<r>(?:[^"\\]|\\.)*)" (?P<s>\d{3}) '
    r'(?P<b>\d+|-) "(?P<f>(?:[^"\\]|\\.)*)" "(?P<a>(?:[^"\\]|\\.)*)"'
)

native = st.text(st.characters(max_codepoint=255), max_size=30)


def exchange(**environ):
    defaults = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "a:80",
    }
    made = Exchange({**defaults, **environ})
    made.status, made.sent, made.duration, made.complete = 200, 12, 0.0012345, True
    made.time = 1_700_000_000.25
    return made


@pytest.mark.parametrize(
    ("atom", "text"),
    [
        ("h", "192.0.2.1"),
        ("l", "-"),
        ("u", "-"),
        ("r", "GET /a%20b?c=1 HTTP/1.1"),
        ("s", "200"),
        ("b", "12"),
        ("f", ""),
        ("a", ""),
        ("o", "a:80"),
        ("i", "-"),
        ("z", "2023-11-14T22:13:20.250000Z"),
        ("d", "1234"),
        ("x", "-"),
    ],
)
def test_atom(atom, text):
    assert compile_format("{" + atom + "}")(exchange()) == text


def test_time_is_that_of_the_request_with_its_zone(monkeypatch):
    monkeypatch.setenv("TZ", "XXX-05:30")
    log_formats.time.tzset()
    log_formats.common_time.cache_clear()
    try:
        assert compile_format("{t}")(exchange()) == "[15/Nov/2023:03:43:20 +0530]"
    finally:
        monkeypatch.undo()
        log_formats.time.tzset()
        log_formats.common_time.cache_clear()


def test_combined_is_apaches():
    line = compile_format("combined")(
        exchange(REMOTE_USER="jon", HTTP_REFERER="http://r/", HTTP_USER_AGENT="agent")
    )
    fields = APACHE.fullmatch(line).groupdict()
    del fields["t"]
    assert fields == {
        "h": "192.0.2.1", "l": "-", "u": "jon", "r": "GET /a%20b?c=1 HTTP/1.1", "s": "200",
        "b": "12", "f": "http://r/", "a": "agent",
    }  # fmt: skip


def test_common_ends_with_the_size():
    assert compile_format("common")(exchange()).endswith('HTTP/1.1" 200 12')


def test_format_may_align_and_convert():
    line = compile_format("100% {s:>5}|{r!r:.4}|{s}{{}}|%s")(exchange())
    assert line == "100%   200|'GET|200{}|%s"


def test_target_is_told_as_the_host_got_it():
    line = compile_format("{r}")(exchange(REQUEST_URI="/%61?x"))
    assert line == "GET /%61?x HTTP/1.1"


def test_no_bytes_are_a_dash():
    made = exchange()
    made.sent = 0
    assert compile_format("{b}")(made) == "-"


CLIENTS = ["HTTP_REFERER", "HTTP_USER_AGENT", "REQUEST_URI", "QUERY_STRING", "PATH_INFO"]
CLIENTS += ["REMOTE_ADDR", "REMOTE_USER", "REQUEST_METHOD", "SERVER_PROTOCOL"]


@given(st.dictionaries(st.sampled_from(CLIENTS), native))
@settings(max_examples=80, deadline=None)
def test_nothing_that_a_client_sends_changes_the_fields_of_a_line(environ):
    line = compile_format("combined")(exchange(**environ))
    assert line.isascii()
    assert line.isprintable()
    fields = APACHE.fullmatch(line)
    assert fields["s"] == "200"
    agent = fields["a"].encode().decode("unicode_escape")
    assert agent == environ.get("HTTP_USER_AGENT", "")


@given(st.dictionaries(st.sampled_from([*CLIENTS, "HTTP_HOST"]), st.text(max_size=20)))
@settings(max_examples=80, deadline=None)
def test_json_is_one_line_of_the_same_names(environ):
    line = compile_format("json")(exchange(**environ))
    assert line.isascii()
    assert line.isprintable()
    assert list(json.loads(line)) == list(json.loads(compile_format("json")(exchange())))


def test_json_has_no_control_character():
    line = compile_format("json")(exchange(HTTP_USER_AGENT="a\x7f\x85\x1b"))
    assert r"a\u007f\u0085\u001b" in line


def test_json_tells_all():
    made = exchange(REMOTE_USER="jon", HTTP_USER_AGENT="caf\xc3\xa9")
    made.environ["cptoolkit.request_id"] = "abc"
    made.complete, made.error = False, KeyError("x")
    assert json.loads(compile_format("json")(made)) == {
        "time": "2023-11-14T22:13:20.250000Z",
        "client": "192.0.2.1",
        "user": "jon",
        "method": "GET",
        "target": "/a%20b?c=1",
        "protocol": "HTTP/1.1",
        "host": "a:80",
        "status": 200,
        "bytes": 12,
        "duration_us": 1234,
        "request_id": "abc",
        "referer": None,
        "user_agent": "café",
        "aborted": False,
        "error": "KeyError",
    }


def test_function_may_make_the_line_and_cannot_make_two():
    make = compile_format(lambda made: f"{made.method} {made.header('User-Agent')}")
    assert make(exchange(HTTP_USER_AGENT="x\nGET y")) == r"GET x\nGET y"


def test_function_may_leave_a_request_out():
    assert compile_format(lambda made: None)(exchange()) is None


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("combine", "format must be 'common', 'combined', 'json', .* got 'combine'"),
        ("{h} {status}", "format: {status} is none of h, l, u"),
        ("{h} {", "format cannot be read: .*'{h} {'"),
        ("{s:d}", "format cannot be filled in: .*'{s:d}'"),
        ("{{h}}", "format has nothing like {h}"),
    ],
)
def test_wrong_format_is_refused(template, message):
    with pytest.raises(ValueError, match=message):
        compile_format(template)


def test_every_atom_is_one_letter_of_its_own():
    assert "".join(sorted(ATOMS)) == "abdfhilorstuxz"


# Escaping


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ("caf\xc3\xa9", r"caf\xc3\xa9"),
        ("caf\xe9", r"caf\xe9"),
        ('"\\\n', r"\"\\\n"),
        ("Ἔ", r"\xe1\xbc\x9c"),
        ("plain", "plain"),
    ],
)
def test_bytes_of_the_client_are_escaped_one_by_one(sent, logged):
    assert escape_native(sent) == logged


@given(st.text(st.characters()))
@settings(max_examples=60, deadline=None)
def test_escaped_texts_are_harmless(text):
    assert escape_field(text).isprintable()
    assert len(escape_line(text).splitlines()) <= 1
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", escape_text(text))
