"""Header fields as mappings."""

from __future__ import annotations

import sys
import timeit

import pytest

from cptoolkit.http import headers as module
from cptoolkit.http.headers import (
    CaseInsensitiveDict,
    HeaderMap,
    RequestHeaders,
    ResponseHeaders,
)


def request_headers(**environ):
    return RequestHeaders(environ)


class TestRequestHeaders:
    def test_name_is_found_in_any_case(self):
        headers = request_headers(HTTP_X_FORWARDED_FOR="1.2.3.4")
        assert headers["x-forwarded-for"] == headers["X-Forwarded-For"] == "1.2.3.4"

    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("Content-Type", "CONTENT_TYPE"),
            ("content-length", "CONTENT_LENGTH"),
            ("Remote-Addr", "REMOTE_ADDR"),
            ("Remote-Host", "REMOTE_HOST"),
        ],
    )
    def test_what_cgi_keeps_elsewhere_is_a_header_too(self, name, key):
        headers = RequestHeaders({key: "7"})
        assert headers[name] == "7"
        assert list(headers) == [name.title()]

    def test_client_cannot_send_what_the_server_tells(self):
        headers = request_headers(REMOTE_ADDR="1.2.3.4", HTTP_REMOTE_ADDR="6.6.6.6")
        assert headers.items() == {("Remote-Addr", "1.2.3.4")}

    def test_empty_content_type_counts_as_absent(self):
        headers = request_headers(CONTENT_TYPE="", HTTP_ACCEPT="")
        assert "Content-Type" not in headers
        assert headers.get("Content-Type", "none") == "none"
        assert dict(headers) == {"Accept": ""}

    def test_absent_field_is_a_key_error_with_its_name(self):
        with pytest.raises(KeyError, match="X-None"):
            request_headers()["X-None"]
        with pytest.raises(KeyError, match="X-None"):
            del request_headers()["X-None"]

    def test_view_is_live_in_both_directions(self):
        environ = {}
        headers = RequestHeaders(environ)
        headers["X-Number"] = 5
        environ["HTTP_X_OTHER"] = "6"
        assert (environ["HTTP_X_NUMBER"], headers["X-Other"]) == ("5", "6")
        del headers["x-number"]
        assert list(environ) == ["HTTP_X_OTHER"]

    def test_what_is_no_header_is_not_shown(self):
        headers = RequestHeaders({"wsgi.input": 1, "PATH_INFO": "/", "HTTP_HOST": "a"})
        assert (list(headers), len(headers)) == (["Host"], 1)
        assert list(headers.keys()) == ["Host"]

    def test_encoded_words_are_not_decoded(self):
        assert request_headers(HTTP_X="=?utf-8?q?=0D=0A?=")["X"] == "=?utf-8?q?=0D=0A?="

    def test_values_of_one_field_are_those_of_its_elements(self):
        headers = request_headers(HTTP_ACCEPT="a/b;q=0.1, c/d")
        assert headers.values("Accept") == ["c/d", "a/b"]
        assert list(headers.values()) == ["a/b;q=0.1, c/d"]
        assert headers.elements("X-None") == []

    def test_copy_is_independent(self):
        headers = request_headers(HTTP_HOST="a")
        copy = headers.copy()
        headers["Host"] = "b"
        assert (copy, copy.has_key("host")) == ({"Host": "a"}, True)
        assert headers.output() == [(b"Host", b"b")]

    def test_names_from_clients_do_not_fill_the_memory(self):
        headers = request_headers()
        for number in range(3000):
            headers.get(f"X-{number}")
        assert len(module._environ_keys) <= 1000

    def test_repr_shows_the_fields(self):
        assert repr(request_headers(HTTP_HOST="a")) == "RequestHeaders({'Host': 'a'})"

    @pytest.mark.skipif(sys.gettrace() is not None, reason="timing under a tracer says nothing")
    def test_looking_up_costs_little(self):
        headers = request_headers(HTTP_HOST="a")
        best = min(timeit.repeat(lambda: headers.get("Host"), number=1000, repeat=5))
        assert best < 0.005  # 5 microseconds each; about 0.15 on the machine this was written on


class TestResponseHeaders:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            pytest.param(5, "5", id="int"),
            pytest.param(0.5, "0.5", id="float"),
            pytest.param(b"caf\xe9", "caf\xe9", id="bytes are latin-1"),
            pytest.param("caf\xe9\t", "caf\xe9\t", id="latin-1 stays"),
            pytest.param("\u20ac", "=?utf-8?b?4oKs?=", id="beyond latin-1"),
        ],
    )
    def test_value_becomes_a_native_string(self, value, stored):
        headers = ResponseHeaders()
        headers["X"] = value
        assert headers.items() == [("X", stored)]
        assert type(headers["x"]) is str

    def test_subclass_of_str_becomes_a_plain_str(self):
        class Text(str):
            __slots__ = ()

        headers = ResponseHeaders([(Text("X"), Text("y"))])
        assert [(type(n), type(v)) for n, v in headers.items()] == [(str, str)]

    @pytest.mark.parametrize("bad", ["a\r\nSet-Cookie: b", "a\n", "\r", "a\0"])
    @pytest.mark.parametrize("method", ["__setitem__", "add", "setdefault"])
    def test_line_break_in_a_value_is_refused_by_name(self, method, bad):
        headers = ResponseHeaders()
        with pytest.raises(ValueError, match="header X-Bad must not hold CR, LF or NUL"):
            getattr(headers, method)("X-Bad", bad)
        assert headers.items() == []

    @pytest.mark.parametrize("method", ["update", "extend"])
    def test_line_break_is_refused_in_bulk_too(self, method):
        headers = ResponseHeaders()
        for items in ({"X": "a\n"}, [("X", "a\n")]):
            with pytest.raises(ValueError, match="header X must"):
                getattr(headers, method)(items)

    @pytest.mark.parametrize("name", ["X:", "X Y", "X\r\nY", "", "\u00e9", "X\n"])
    def test_name_that_is_no_token_is_refused(self, name):
        with pytest.raises(ValueError, match="a header name is a token"):
            ResponseHeaders()[name] = "a"

    def test_none_is_refused_with_advice(self):
        with pytest.raises(TypeError, match="X cannot be None; delete it"):
            ResponseHeaders()["X"] = None

    def test_assigning_replaces_all_in_the_place_of_the_first(self):
        headers = ResponseHeaders([("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")])
        headers["a"] = "5"
        assert headers.items() == [("a", "5"), ("B", "2"), ("C", "4")]

    def test_adding_keeps_what_is_there(self):
        headers = ResponseHeaders()
        headers.add("Set-Cookie", "a=1")
        headers.add("Set-Cookie", "b=2")
        assert headers.getall("set-cookie") == ["a=1", "b=2"]

    def test_setdefault_gives_what_is_stored(self):
        headers = ResponseHeaders()
        assert headers.setdefault("X", 5) == "5"
        assert headers.setdefault("x", 6) == "5"
        assert headers.items() == [("X", "5")]

    def test_update_takes_mappings_pairs_and_names(self):
        headers = ResponseHeaders({"A": 1, "B": 2})
        headers.update([("a", 3)], C=4)
        headers.update(HeaderMap(B=5))
        assert headers.items() == [("a", "3"), ("B", "5"), ("C", "4")]

    def test_view_writes_to_the_list_it_was_given(self):
        fields = [("A", "1")]
        headers = ResponseHeaders.view_list(fields)
        headers["B"] = 2
        del headers["a"]
        assert fields == [("B", "2")]

    def test_missing_field_is_a_key_error(self):
        headers = ResponseHeaders()
        assert headers.get("X") is None
        assert not headers.has_key("X")
        with pytest.raises(KeyError, match="X"):
            headers["X"]

    def test_elements_are_those_of_all_fields(self):
        headers = ResponseHeaders([("Vary", "A, B"), ("vary", "C")])
        assert headers.values("Vary") == ["A", "B", "C"]
        assert headers.values() == ["A, B", "C"]

    def test_output_is_bytes(self):
        assert ResponseHeaders([("X", "caf\xe9")]).output() == [(b"X", b"caf\xe9")]


class TestHeaderMap:
    def test_keys_are_title_case_and_found_in_any_case(self):
        fields = HeaderMap({"content-TYPE": "a"}, etag="b")
        assert fields == {"Content-Type": "a", "Etag": "b"}
        assert (fields["CONTENT-type"], "eTag" in fields) == ("a", True)

    def test_dict_methods_look_in_any_case(self):
        fields = CaseInsensitiveDict(a=1)
        assert (fields.get("A"), fields.setdefault("A", 2), fields.pop("A")) == (1, 1, 1)
        fields.update({"b": 3})
        del fields["B"]
        assert fields == {}
        assert fields.pop("x", None) is None
        assert 5 not in fields

    def test_bytes_are_names_too(self):
        fields = CaseInsensitiveDict({b"a": 1})
        assert (fields, b"A" in fields) == ({"A": 1}, True)

    def test_copy_keeps_its_class(self):
        copy = HeaderMap(a="b, c").copy()
        assert copy.values("A") == ["b", "c"]
        assert list(copy.values()) == ["b, c"]

    def test_output_makes_bytes_and_refuses_line_breaks(self):
        assert HeaderMap({"x-y": 3, "z": "\u20ac"}).output() == [
            (b"X-Y", b"3"),
            (b"Z", b"=?utf-8?b?4oKs?="),
        ]
        with pytest.raises(ValueError, match="header X must not hold"):
            HeaderMap(x="a\nb").output()


@pytest.mark.parametrize(
    "name",
    [
        "AcceptElement", "CaseInsensitiveDict", "HTTPDate", "HeaderElement", "HeaderMap", "Host",
        "decode_TEXT", "get_ranges", "header_elements", "parse_query_string",
        "protocol_from_http", "response_codes", "urljoin", "urljoin_bytes", "valid_status",
    ],
)  # fmt: skip
def test_names_of_httputil_are_here(name):
    assert hasattr(module, name)


@pytest.mark.parametrize("name", ["Server", "Date", "server"])
def test_fields_that_the_server_adds_can_be_deleted_before_they_are_there(name):
    headers = ResponseHeaders()
    del headers[name]
    assert name not in headers
