"""Layers from the text of an INI file, as Paste Deploy makes them."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from webob import Response

from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.paste import option_from_text


@dataclass(kw_only=True, eq=False)
class Sample(Layer):
    flag: "bool" = False
    text: "str" = ""
    count: "int | None" = None
    names: "str | list[str]" = ""
    check: "Callable[..., object] | None" = None


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        pytest.param("flag", "yes", True, id="yes"),
        pytest.param("flag", "Off", False, id="off"),
        pytest.param("flag", "True", True, id="a literal"),
        pytest.param("text", "60", "60", id="a text stays one"),
        pytest.param("text", "true", "true", id="a word for yes in a text"),
        pytest.param("count", "60", 60, id="a number"),
        pytest.param("names", "text/html", "text/html", id="no literal"),
        pytest.param("names", "['a', 'b']", ["a", "b"], id="a list"),
        pytest.param("check", "posixpath:join", __import__("posixpath").join, id="imported"),
    ],
)
def test_text_becomes_what_the_option_wants(option, text, value):
    made = Sample.filter_app_factory(Response(), {"debug": "true"}, **{option: text})
    assert getattr(made, option) == value


@pytest.mark.parametrize("text", ["no_such_module:x", "posixpath:no_such_name"])
def test_what_cannot_be_imported_is_told(text):
    with pytest.raises(ValueError, match=f"Sample: check = {text}: .*no_such"):
        option_from_text(Sample, "check", text)


def test_unknown_option_is_told_with_the_nearest():
    with pytest.raises(TypeError, match="Sample has no option 'flga'; did you mean 'flag'"):
        Sample.filter_app_factory(Response(), {}, flga="yes")
