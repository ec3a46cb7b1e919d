import pytest

from cptoolkit import native_text as text


def test_ntob_encodes_latin_1_unless_told_otherwise():
    assert text.ntob("\xe9") == b"\xe9"
    assert text.ntob("\xe9", "utf-8") == b"\xc3\xa9"


@pytest.mark.parametrize("function", [text.ntob, text.ntou])
def test_bytes_are_refused_where_text_is_due(function):
    with pytest.raises(TypeError, match="must be a str, got b'x'"):
        function(b"x")


def test_ntou_and_tonative_give_text():
    assert text.ntou("a") == text.tonative(b"a") == text.tonative("a") == "a"


def test_json_goes_out_in_bytes_and_comes_back():
    value = {"name": "Jos\xe9", "list": [1, None]}
    assert text.json_decode(b"".join(text.json_encode(value))) == value
