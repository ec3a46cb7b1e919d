"""Layers from the text of an INI file, as Paste Deploy makes them."""

import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest
from webob import Response

from cptoolkit.middleware import (
    AccessLog,
    BasicAuth,
    DigestAuth,
    RateLimit,
    RequestID,
    SessionAuth,
    Sessions,
    Stats,
)
from cptoolkit.middleware.layer import Layer
from cptoolkit.middleware.paste import option_from_text

Form = Callable[[str], str]


@dataclass(kw_only=True, eq=False)
class Sample(Layer):
    flag: "bool" = False
    text: "str" = ""
    count: "int | None" = None
    names: "str | list[str]" = ""
    check: "Callable[..., object] | None" = None
    form: "str | Form" = ""
    where: "str | os.PathLike[str]" = ""
    key: "str | bytes | None" = None
    mode: "Literal['Callable', 'b']" = "b"
    lax: "bool | None" = None
    real: str = ""
    real_flag: bool = False


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
        pytest.param("check", "posixpath:join", posixpath.join, id="imported"),
        pytest.param("form", "posixpath:join", posixpath.join, id="imported by another name"),
        pytest.param("form", "{h} {s}", "{h} {s}", id="a text where a function might be"),
        pytest.param("form", "redis://host:1/0", "redis://host:1/0", id="a URL"),
        pytest.param("where", "some:where", "some:where", id="a path"),
        pytest.param("names", "a:b", "a:b", id="a text with a colon"),
        pytest.param("key", "0123456789", "0123456789", id="digits where no number fits"),
        pytest.param("key", "42", "42", id="a number where none fits"),
        pytest.param("key", "None", None, id="nothing"),
        pytest.param("mode", "Callable:x", "Callable:x", id="a word like a type"),
        pytest.param("lax", "on", True, id="a flag that may be left open"),
        pytest.param("lax", "None", None, id="left open"),
        pytest.param("flag", "0", False, id="zero for no"),
        pytest.param("names", "{[]: 1}", "{[]: 1}", id="what only looks like a literal"),
        pytest.param("real", "60", "60", id="a text by a type that is no string"),
        pytest.param("real_flag", "off", False, id="a flag by a type that is no string"),
    ],
)
def test_text_becomes_what_the_option_wants(option, text, value):
    made = Sample.filter_app_factory(Response(), {"debug": "true"}, **{option: text})
    assert getattr(made, option) == value


@pytest.mark.parametrize("text", ["no_such_module:x", "posixpath:no_such_name"])
def test_what_cannot_be_imported_is_told(text):
    with pytest.raises(ValueError, match=f"Sample: check = {text}: .*no_such"):
        option_from_text(Sample, "check", text)


def test_flag_that_is_neither_yes_nor_no_is_told():
    with pytest.raises(ValueError, match="Sample: flag must be yes or no, got 'maybe'"):
        Sample.filter_app_factory(Response(), {}, flag="maybe")


@pytest.mark.parametrize(
    ("layer", "option"),
    [
        (AccessLog, "format"),
        (AccessLog, "file"),
        (BasicAuth, "checkpassword"),
        (DigestAuth, "get_ha1"),
        (RateLimit, "key"),
        (RequestID, "generate"),
        (SessionAuth, "on_login"),
        (Sessions, "storage"),
        (Stats, "allow"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_options_of_layers_that_take_objects_take_their_names(layer, option):
    assert option_from_text(layer, option, "posixpath:join") is posixpath.join


def test_unknown_option_is_told_with_the_nearest():
    with pytest.raises(TypeError, match="Sample has no option 'flga'; did you mean 'flag'"):
        Sample.filter_app_factory(Response(), {}, flga="yes")
