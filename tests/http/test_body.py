"""The body of a request as an entity."""

from __future__ import annotations

import io

import pytest

from cptoolkit.http.body import Entity, Part, RequestBody
from cptoolkit.http.errors import HTTPError
from cptoolkit.http.headers import HeaderMap, RequestHeaders

FORM = "application/x-www-form-urlencoded"


def body_of(content, media_type=None, *, length="auto", options=None, **environ):
    if media_type is not None:
        environ["CONTENT_TYPE"] = media_type
    if length == "auto":
        environ["CONTENT_LENGTH"] = str(len(content))
    elif length is not None:
        environ["CONTENT_LENGTH"] = length
    params = environ.pop("params", {})
    headers = RequestHeaders({"wsgi.input_terminated": False, **environ})
    body = RequestBody(io.BytesIO(content), headers, request_params=params)
    for name, value in (options or {}).items():
        setattr(body, name, value)
    return body


def status_of(body):
    with pytest.raises(HTTPError) as caught:
        body.process()
    return caught.value.code


class TestProcessors:
    @pytest.mark.parametrize("key", ["text/x", "text/*", "text"])
    def test_processor_is_found_by_media_type(self, key):
        seen = []
        body = body_of(b"abc", "Text/X; a=b")
        body.processors[key] = lambda entity: seen.append(entity.fp.read())
        body.process()
        assert seen == [b"abc"]

    def test_nearest_processor_wins(self):
        seen = []
        body = body_of(b"", "text/x")
        for key in ("text", "text/*", "text/x"):
            body.processors[key] = lambda entity, key=key: seen.append(key)
        body.process()
        assert seen == ["text/x"]

    def test_processors_of_one_body_are_its_own(self):
        body_of(b"").processors.clear()
        assert FORM in body_of(b"").processors

    def test_body_without_a_processor_is_left_to_the_handler(self):
        body = body_of(b"a\nb\n", "text/plain")
        body.process()
        assert (body.readline(), body.read(), body.params) == (b"a\n", b"b\n", {})

    def test_body_without_a_type_is_left_alone(self):
        body = body_of(b"a=1")
        body.process()
        assert (body.content_type.value, body.params, body.read()) == ("", {}, b"a=1")

    def test_default_processor_can_be_an_error_to_raise(self):
        body = body_of(b"", "text/plain")
        body.default_proc = HTTPError(415, "Expected JSON.")
        assert status_of(body) == 415


class TestLength:
    def test_next_request_is_not_read(self):
        body = body_of(b"body, next request", "text/plain", length="4")
        assert (body.length, list(body), body.fp.bytes_read) == (4, [b"body"], 4)

    def test_stream_that_ends_by_itself_needs_no_length(self):
        body = body_of(b"a=1", FORM, length=None, **{"wsgi.input_terminated": True})
        body.process()
        assert (body.length, body.params) == (None, {"a": "1"})

    def test_without_length_and_coding_there_is_no_body(self):
        body = body_of(b"next request", FORM, length=None)
        body.process()
        assert (body.params, body.read()) == ({}, b"")

    def test_coding_that_the_host_does_not_undo_is_a_411(self):
        assert status_of(body_of(b"", FORM, length=None, HTTP_TRANSFER_ENCODING="chunked")) == 411

    def test_coding_overrules_the_length(self):
        body = body_of(
            b"a=1&b=2", FORM, length="3",
            HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True},
        )  # fmt: skip
        body.process()
        assert body.params == {"a": "1", "b": "2"}

    @pytest.mark.parametrize("length", ["+5", "-1", "1_0", "0x1", "5 ", "5,5", "9" * 19, "٣"])
    def test_length_that_is_no_number_is_a_400(self, length):
        with pytest.raises(HTTPError, match="Content-Length must be a number") as caught:
            body_of(b"", length=length)
        assert caught.value.code == 400

    def test_client_that_is_gone_is_a_400(self):
        assert status_of(body_of(b"a=1", FORM, length="9")) == 400

    def test_body_beyond_the_limit_is_a_413_even_unread(self):
        assert status_of(body_of(b"12345", "text/plain", options={"maxbytes": 4})) == 413

    def test_limit_holds_for_a_handler_that_reads_by_itself(self):
        body = body_of(
            b"12345", "text/plain", length=None,
            options={"maxbytes": 4}, **{"wsgi.input_terminated": True},
        )  # fmt: skip
        with pytest.raises(HTTPError, match="larger than 4 bytes"):
            body.read()

    def test_body_within_the_limit_is_read(self):
        body = body_of(b"a=12", FORM, options={"maxbytes": 4})
        body.process()
        assert body.params == {"a": "12"}


class TestReading:
    def test_lines_one_by_one_and_all(self):
        body = body_of(b"a\nb\nc\nd\n")
        assert (next(body), body.next(), body.readlines(2), body.readlines()) == (
            b"a\n", b"b\n", [b"c\n"], [b"d\n"],
        )  # fmt: skip
        assert list(body) == []

    def test_reading_takes_a_size(self):
        body = body_of(b"ab\ncd")
        assert (body.read(1), body.readline(1), body.readline(), body.read()) == (
            b"a", b"b", b"\n", b"cd",
        )  # fmt: skip

    def test_body_is_copied_into_a_file_of_the_caller(self):
        out = io.BytesIO()
        assert body_of(b"abc").read_into_file(out) is out
        assert out.getvalue() == b"abc"

    def test_file_of_its_own_is_rewound_and_closed_with_the_body(self):
        body = body_of(b"abc")
        made = body.read_into_file()
        assert made.read() == b"abc"
        body.close()
        assert made.closed

    def test_stream_can_be_replaced(self):
        body = body_of(b"abc", FORM)
        body.fp = io.BytesIO(b"a=unpacked")
        body.process()
        assert body.params == {"a": "unpacked"}


class TestCharsets:
    def test_declared_charset_is_tried_first(self):
        entity = Entity(io.BytesIO(), HeaderMap({"Content-Type": 'a/b;charset="latin-1"'}))
        assert entity.attempt_charsets == ["latin-1", "utf-8"]
        assert (entity.decode_entity(b"\xe9"), entity.charset) == ("é", "latin-1")

    def test_declared_charset_outlives_a_list_set_by_config(self):
        entity = Entity(io.BytesIO(), {"Content-Type": "a/b;charset=latin-1"})
        entity.attempt_charsets = ["utf-16", "ascii"]
        assert entity.decode_entity(b"\xe9\xe9") == "éé"

    @pytest.mark.parametrize("charset", ["nope", "hex", "a\\0b", "x" * 9999])
    def test_charset_that_nobody_knows_is_a_400(self, charset):
        entity = Entity(io.BytesIO(), {"Content-Type": f'a/b;charset="{charset}"'})
        with pytest.raises(HTTPError, match="charset of the request body is not known") as caught:
            entity.decode_entity(b"a")
        assert caught.value.code == 400

    @pytest.mark.parametrize("charset", ["punycode", "IDNA", "unicode-escape"])
    def test_charset_that_costs_quadratic_time_is_a_400(self, charset):
        entity = Entity(io.BytesIO(), {"Content-Type": f"a/b;charset={charset}"})
        with pytest.raises(HTTPError, match="charset of the request body is not known"):
            entity.decode_entity(b"a-b\\n" * 100_000)

    def test_unknown_charset_of_a_setting_is_passed_over(self):
        entity = Entity(io.BytesIO(), {"Content-Type": "a/b"})
        entity.attempt_charsets = ["nope", "utf-8"]
        assert (entity.decode_entity(b"a"), entity.charset) == ("a", "utf-8")

    def test_text_in_none_of_the_charsets_is_a_400_that_names_them(self):
        entity = Entity(io.BytesIO(), {"Content-Type": "a/b;charset=ascii"})
        with pytest.raises(HTTPError, match=r"Charsets tried: ascii, utf-8\.") as caught:
            entity.decode_entity(b"\xff")
        assert caught.value.code == 400

    def test_text_may_be_latin_1(self):
        body = body_of(b"\xe9", "text/plain")
        assert body.decode_entity(body.read()) == "é"


class TestDescription:
    def test_disposition_gives_name_and_filename(self):
        part = Part(
            io.BytesIO(), {"Content-Disposition": "form-data; name=a; filename*=utf-8''%C3%A9"}
        )
        assert (part.name, part.filename) == ("a", "é")

    def test_types_by_default(self):
        assert str(Entity(io.BytesIO(), {}).content_type) == FORM
        assert str(Part(io.BytesIO(), {}).type) == "text/plain"

    def test_subclass_sets_its_own_defaults(self):
        class Small(RequestBody):
            maxbytes = 1

        with pytest.raises(HTTPError):
            Small(io.BytesIO(b"ab"), {"Content-Length": 2}).process()


def test_form_fields_join_those_of_the_query():
    params = {"a": "query", "c": "3"}
    body = body_of(b"a=1&a=2&b=3", FORM, params=params)
    body.process()
    assert params == {"a": ["query", "1", "2"], "b": "3", "c": "3"}
    assert body.params == {"a": ["1", "2"], "b": "3"}
    params["a"].append("x")
    assert body.params["a"] == ["1", "2"]
