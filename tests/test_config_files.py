import io
import os
import re
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.config_files import load, loaded_files

INI = """\
# for the whole site
[global]
server.socket_port: 9090
log.error_file = "/var/log/my app.log"
environment: 'production'

[/path/to/my/page]
response.stream: True
tools.response_headers.headers = [
    ("X-A", "1"),
    ; a comment in between
    ("X-B", "a: b = c"),
    ]

[Databases]
Driver: "postgres"
"""

SECTIONS = {
    "global": {
        "server.socket_port": 9090,
        "log.error_file": "/var/log/my app.log",
        "environment": "production",
    },
    "/path/to/my/page": {
        "response.stream": True,
        "tools.response_headers.headers": [("X-A", "1"), ("X-B", "a: b = c")],
    },
    "Databases": {"Driver": "postgres"},
}


@pytest.fixture
def write(tmp_path):
    def write(text, name="app.conf"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_ini_file_by_path(write):
    assert load(write(INI)) == SECTIONS
    assert load(str(write(INI))) == SECTIONS


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_open_file(write, mode):
    with open(write(INI), mode) as file:
        assert load(file) == SECTIONS


def test_file_in_memory():
    assert load(io.StringIO("[/]\na.b = 1")) == {"/": {"a.b": 1}}


def test_byte_order_mark_and_other_letters(write):
    assert load(write("\ufeff[/]\nname: 'Ἔρεβος'")) == {"/": {"name": "Ἔρεβος"}}


def test_default_section_holds_for_all_others(write):
    conf = load(write("[DEFAULT]\na: 1\n[/x]\nb: 2\n[/y]\na: 3"))
    assert conf == {"/x": {"a": 1, "b": 2}, "/y": {"a": 3}}


@pytest.mark.parametrize(
    ("value", "result"),
    [
        pytest.param("%(one)s + '2'", "12", id="another key"),
        pytest.param("'100%%'", "100%", id="doubled"),
        pytest.param("'%Y-%m-%d'", "%Y-%m-%d", id="date format"),
        pytest.param("'%(message)s'", "%(message)s", id="no such key"),
        pytest.param("'%d' % 5", "5", id="operator"),
    ],
)
def test_percent_sign_in_ini(write, value, result):
    assert load(write(f"[/]\none: '1'\nvalue: {value}"))["/"]["value"] == result


def test_file_read_by_path_is_one_to_watch(write):
    path = write("[/]")
    load(os.path.relpath(path))
    assert str(path) in loaded_files


def test_missing_file_is_named_with_the_folder_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        load("none.conf")
    assert str(tmp_path / "none.conf") in str(caught.value)
    assert f"current folder is {tmp_path}" in str(caught.value)


def test_anything_but_a_path_or_file_is_a_type_error():
    with pytest.raises(TypeError, match="a path or an open file, not as int"):
        load(42)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: 1", "line 1: 'a: 1' stands outside of any section", id="no section"),
        pytest.param("[/]\na: 1\nb", r"line 3, section \[/\]: 'b' is neither", id="no value"),
        pytest.param("[/]\na: 1\na: 2", r"line 3, section \[/\]: the key 'a'.*twice", id="key"),
        pytest.param("[/]\n[/]", r"line 2: the section \[/\] is given twice", id="section"),
        pytest.param(
            "[global]\nx: 1\n\n[/a]\nx: one two",
            r"line 5, section \[/a\], key 'x': one two is not a Python value",
            id="value",
        ),
        pytest.param(
            "[/]\nrequest.dispatch: dattetime.x()",
            "key 'request.dispatch': 'dattetime' .* did you mean 'datetime'",
            id="name",
        ),
        pytest.param("# first\n[/]\nx: ?", r"line 3, section \[/\], key 'x'", id="comment first"),
        pytest.param("  [/]\n  x: ?", r"line 2, section \[/\], key 'x'", id="indented"),
        pytest.param("[/]\nx: int('a')", "key 'x'.* invalid literal for int", id="failing call"),
        pytest.param("[/]\nx: 1 / 0", "line 2.*ZeroDivisionError: division", id="arithmetic"),
        pytest.param("[/]\nx: %(y)s\ny: %(x)s", "round in circles", id="circle"),
    ],
)
def test_mistake_in_ini_is_told_with_its_place(write, text, message):
    path = write(text)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}, line ")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("[db]\ndb.password: hunter2", "db.conf", id="a name"),
        pytest.param("[db]\napi_key: hunter2 a b", "db.conf", id="no Python"),
        pytest.param('[db]\npassword = {python = "hunter2"}', "db.toml", id="TOML"),
    ],
)
def test_secret_without_its_quotes_is_not_shown(write, text, name):
    with pytest.raises(ValueError, match="cannot be read; a text needs quotes") as caught:
        load(write(text, name))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)[1:])


def test_bytes_that_are_not_utf8_are_told(tmp_path):
    path = tmp_path / "latin.conf"
    path.write_bytes(b"[/]\na: '\xe9'")
    with pytest.raises(ValueError, match=r"latin\.conf is not UTF-8"):
        load(path)


@given(st.text("[]/:=01'%()s\n\r\x0b\u2028 #;"))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_told_with_its_line(text):
    told = ""
    try:
        load(io.StringIO("[/]\n" + text))
    except ValueError as error:
        told = str(error)
    assert told == "" or re.match(r"<config>, line [1-9]", told)


# TOML

TOML = """\
[global]
server.socket_port = 9090
"log.screen" = false

[global.engine.autoreload]
on = false

["/static"]
tools.staticdir = {on = true, dir = "static"}
request.dispatch = {python = "datetime.timedelta(1)"}

[Databases]
main = {driver = "postgres"}
"""


def test_toml_tables_are_dotted_keys_in_sections_that_are_read(write):
    conf = load(write(TOML, "app.toml"))
    assert conf["global"] == {
        "server.socket_port": 9090,
        "log.screen": False,
        "engine.autoreload.on": False,
    }
    assert conf["/static"]["tools.staticdir.dir"] == "static"
    assert conf["/static"]["tools.staticdir.on"] is True


def test_toml_section_of_ones_own_keeps_its_tables(write):
    conf = load(write(TOML, "app.toml"))
    assert conf["Databases"] == {"main": {"driver": "postgres"}}


def test_toml_value_in_python_syntax(write):
    conf = load(write(TOML, "app.toml"))
    assert conf["/static"]["request.dispatch"].days == 1


def test_open_toml_file_is_known_by_its_name(write):
    with open(write(TOML, "app.toml"), "rb") as file:
        assert load(file)["global"]["server.socket_port"] == 9090


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[global]\nx = =", "app.toml is not TOML: .*line 2", id="syntax"),
        pytest.param("a = 1", "app.toml: the key 'a' stands outside of any section", id="outside"),
        pytest.param(
            '["/"]\na.b = {python = "1 +"}', r"section \[/\], key 'a.b': .*not a Python", id="value"
        ),
    ],
)
def test_mistake_in_toml_is_told_with_its_place(write, text, message):
    with pytest.raises(ValueError, match=message):
        load(write(text, "app.toml"))


def test_toml_key_given_in_two_ways_is_refused(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text('[global]\n"a.b" = 1\n[global.a]\nb = 2\n')
    with pytest.raises(ValueError, match=r"section \[global\], key 'a.b': it is there twice"):
        load(file)
