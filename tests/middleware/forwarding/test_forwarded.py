"""The grammar of Forwarded (RFC 7239), and of what its like tell."""

import contextlib
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.middleware.forwarding.addresses import parse_address
from cptoolkit.middleware.forwarding.forwarded import (
    dump_forwarded,
    parse_forwarded,
    parse_node,
    parse_origin,
    parse_port,
    parse_prefix,
    parse_scheme,
)


@pytest.mark.parametrize(
    ("field", "elements"),
    [
        # The examples of RFC 7239, sections 4 and 7.1
        ('for="_gazonk"', [{"for": "_gazonk"}]),
        ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
        (
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}],
        ),
        ("for=192.0.2.43, for=198.51.100.17", [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        (
            'for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown',
            [{"for": "192.0.2.43"}, {"for": "[2001:db8:cafe::17]"}, {"for": "unknown"}],
        ),
        # Its corners
        ("", []),
        (" , ;, ", []),
        ("for=a;", [{"for": "a"}]),
        ("for=a ; proto=http", [{"for": "a", "proto": "http"}]),
        (r'host="a\"b\\c"', [{"host": r"a\"b\c".replace("\\", "", 1)}]),
        ('for="a, for=b"', [{"for": "a, for=b"}]),
        ('for=""', [{"for": ""}]),
    ],
)
def test_field_is_read_by_its_grammar(field, elements):
    assert parse_forwarded(field) == elements


@pytest.mark.parametrize(
    "field",
    [
        pytest.param('for="a', id="a quote that does not end"),
        pytest.param('for="x, for="192.0.2.1"', id="a quote that a client has opened"),
        pytest.param("for=192.0.2.1:80", id="a port without quotes"),
        pytest.param("for=[::1]", id="brackets without quotes"),
        pytest.param("for=a;for=b", id="a parameter twice"),
        pytest.param("for=a;For=b", id="a parameter twice in another case"),
        pytest.param("for", id="a name alone"),
        pytest.param("for =a", id="a blank before the equals sign"),
        pytest.param("for=a b", id="two values"),
        pytest.param("=a", id="no name"),
        pytest.param("for=a\n", id="a line end"),
        pytest.param('for="\x00"', id="a control character"),
    ],
)
def test_malformed_field_is_refused(field):
    with pytest.raises(ValueError, match=r"RFC 7239|twice"):
        parse_forwarded(field)


TOKENS = st.text(st.sampled_from("abcXYZ019!#$%&'*+-.^_`|~"), min_size=1)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(TOKENS.map(str.lower), TEXTS, min_size=1)))
def test_what_is_written_reads_the_same(elements):
    assert parse_forwarded(dump_forwarded(elements)) == elements


@settings(deadline=None)
@given(st.text(st.sampled_from('for=proto;,"\\ \tab_[]:12')))
def test_any_field_is_read_or_refused(field):
    try:
        elements = parse_forwarded(field)
    except ValueError:
        return
    assert parse_forwarded(dump_forwarded(elements)) == elements


@pytest.mark.parametrize("piece", [",", ";", " ", "\t", '"', 'a="', "a=b,", '\\"', "a"])
def test_huge_field_is_read_in_no_time(piece):
    start = time.process_time()
    with contextlib.suppress(ValueError):
        parse_forwarded(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 20  # quadratic would be hours


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("192.0.2.1", ("192.0.2.1", "")),
        ("192.0.2.1:4711", ("192.0.2.1", "4711")),
        ("[2001:DB8::1]", ("2001:db8::1", "")),
        ("[2001:db8::1]:80", ("2001:db8::1", "80")),
        ("2001:db8::1", ("2001:db8::1", "")),
        ("[::ffff:192.0.2.1]:80", ("192.0.2.1", "80")),
        ("192.0.2.1:_hidden", ("192.0.2.1", "")),
        ("unknown", ("", "")),
        ("Unknown", ("", "")),
        ("_SEVKISEK", ("", "")),
        ("_hidden:80", ("", "80")),
    ],
)
def test_node_is_read(text, node):
    assert parse_node(text) == node


@pytest.mark.parametrize(
    "text",
    [
        "", "<script>", "example.org", "192.0.2.1:", "192.0.2.1:99999", "192.0.2.256", "[192.0.2.1",
        "[::1", "[::1]x", "_", "192.0.2.1\n", "fe80::1%eth0", "[fe80::1%eth0]", "_a b", "[v1.x]",
    ],
)  # fmt: skip
def test_what_is_no_node_is_refused(text):
    with pytest.raises(ValueError, match="no "):
        parse_node(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("example.org", (None, "example.org")),
        ("example.org:8080", (None, "example.org:8080")),
        ("https://example.org", ("https", "example.org")),
        ("http://[::1]:80", ("http", "[::1]:80")),
        ("my_host", (None, "my_host")),
    ],
)
def test_origin_is_read(text, origin):
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "", "a b", "a/b", "a@b", "javascript://a", "https://", "a:99999", "a:b", "a\r\nb", "a?b",
        "a#b", "a,b", "<a>", "::1", "ä",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(ValueError, match=r"no host|no port"):
        parse_origin(text)


@pytest.mark.parametrize(
    ("text", "scheme"),
    [("http", "http"), ("HTTPS", "https"), ("on", "https"), ("off", "http"), ("wss", "https")],
)
def test_scheme_is_read(text, scheme):
    assert parse_scheme(text) == scheme


@pytest.mark.parametrize("text", ["", "javascript", "http:", "https,http", "ftp"])
def test_other_schemes_are_refused(text):
    with pytest.raises(ValueError, match="no scheme"):
        parse_scheme(text)


@pytest.mark.parametrize("text", ["", "65536", "-1", "+1", "1_0", "\u0663", "8080 ", "0" * 5000])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(ValueError, match="no port"):
        parse_port(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("", ""), ("/", ""), ("/a", "/a"), ("/a/b/", "/a/b"), ("/caf%C3%A9", "/caf\xc3\xa9")],
)
def test_prefix_is_read(text, path):
    assert parse_prefix(text) == path


@pytest.mark.parametrize(
    "text", ["a", "//a", "//", "/a//b", "/a?b", "/%zz", "/a,b", "/<a>", "/a\n"]
)
def test_what_is_no_prefix_is_refused(text):
    with pytest.raises(ValueError, match="no path"):
        parse_prefix(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param(parse_address, "{}", id="address"),
        pytest.param(parse_node, "{}", id="node"),
        pytest.param(parse_node, "_{}", id="hidden node"),
        pytest.param(parse_node, "192.0.2.1:_{}", id="hidden port"),
        pytest.param(parse_origin, "{}.example", id="host"),
        pytest.param(parse_origin, "https://{}", id="origin"),
    ],
)
def test_long_text_is_not_kept_in_memory(parse, text):
    text = text.format("a" * 5000)
    before = sys.getrefcount(text)
    with contextlib.suppress(ValueError):
        parse(text)
    assert sys.getrefcount(text) == before
