import datetime
import os
import sys
import xml.dom.minidom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cptoolkit
from cptoolkit.python_values import MAX_BITS, attributes, modules, unrepr

LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(LITERALS)
@settings(max_examples=60, deadline=None)
def test_is_the_inverse_of_repr_for_literals(value):
    assert unrepr(repr(value)) == value


@given(st.text())
@settings(max_examples=60, deadline=None)
def test_any_other_text_is_a_value_error(text):
    with pytest.raises(ValueError, match="is not a Python value"):
        unrepr("?" + text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("-1234", -1234),
        ("60 * 60", 3600),
        ("1 - 3 // 2 + 7 % 4", 3),
        ("2 ** 10 | 1", 1025),
        ("not True", False),
        ("1 << 4", 16),
        ("3 + 2j", 3 + 2j),
        ("1, 2", (1, 2)),
        ("{1, 2}", {1, 2}),
        ("[*'ab', 'c']", ["a", "b", "c"]),
        ("{**{'a': 1}, 'b': 2}", {"a": 1, "b": 2}),
        ("'abc'[1:]", "bc"),
        ("{'a': 5}['a']", 5),
        ("'%s-%02d' % ('a', 3)", "a-03"),
        ("'11' + '22' * 2", "112222"),
        ("8080  # the usual port", 8080),
        ("'a'\n'b'", "ab"),
        ("'a',\n'b'", ("a", "b")),
        ("1,", (1,)),
        ("[\n1,\n2,\n]", [1, 2]),
        ("dict(a=1, **{'b': 2})", {"a": 1, "b": 2}),
        ("dict(a=1, **{'a': 2, 'b': 3})", {"a": 1, "b": 3}),
        ("max(*[1, 5], 3)", 5),
        ("datetime.timedelta(days=1, hours=2)", datetime.timedelta(days=1, hours=2)),
        ("os.path.join('a', 'b')", os.path.join("a", "b")),
        ("str", str),
    ],
)
def test_value_of_python_syntax(text, value):
    assert unrepr(text) == value


def test_submodule_is_imported_when_it_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "xml.dom.pulldom", raising=False)
    monkeypatch.delattr(xml.dom, "pulldom", raising=False)
    assert unrepr("xml.dom.pulldom.START_ELEMENT") == "START_ELEMENT"


def test_cherrypy_means_cptoolkit_even_where_cherrypy_is_installed():
    assert unrepr("cherrypy") is cptoolkit
    assert unrepr("cherrypy.hooks.Hook").__module__ == "cptoolkit.hooks"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("1 +", "not a Python value", id="syntax"),
        pytest.param("hello world", "not a Python value", id="unquoted text"),
        pytest.param("x = 1", "not a Python value", id="statement"),
        pytest.param("# 1", "not a Python value", id="comment"),
        pytest.param("# 1\n# 2", "the lines are no value", id="comments"),
        pytest.param("1)(2", "not a Python value", id="brackets the wrong way round"),
        pytest.param("1][\n2", "the lines are no value", id="brackets over two lines"),
        pytest.param("'\0'", "not a Python value: .*null", id="NUL"),
        pytest.param("'\ud800'", "not a Python value", id="surrogate"),
        pytest.param("lambda: 1", "more than a config value may say", id="lambda"),
        pytest.param("[x for x in 'ab']", "more than a config value may say", id="comprehension"),
        pytest.param("dattetime.date", "did you mean 'datetime'", id="module misspelt"),
        pytest.param("Ture", "did you mean 'True'", id="builtin misspelt"),
        pytest.param("os.path.jion('a')", "os.path.jion.* did you mean 'join'", id="attribute"),
        pytest.param("eval('1')", "may not be used", id="eval"),
        pytest.param("9**9**9", f"larger than {MAX_BITS} bits", id="power"),
        pytest.param("1 << 10**9", f"larger than {MAX_BITS} bits", id="shift"),
        pytest.param("[0] * 10**9", "repetitions", id="repetition"),
        pytest.param("10**9 * 'ab'", "repetitions", id="repetition reversed"),
        pytest.param("'%999999999d' % 1", "width", id="width"),
        pytest.param("'%*d' % (999999999, 1)", "width", id="width as argument"),
        pytest.param("'%.999999999f' % 1", "width", id="precision"),
        pytest.param("(" * 5000 + ")" * 5000, "nested too deep|not a Python value", id="nesting"),
        pytest.param("-" * 3000 + "1", "nested too deep|not a Python value", id="minuses"),
    ],
)
def test_what_is_no_value_is_refused_with_the_reason(text, message):
    with pytest.raises(ValueError, match=message):
        unrepr(text)


def test_long_value_is_shortened_in_the_message():
    with pytest.raises(ValueError, match=r"^\?a{76}\.\.\. is not a Python value"):
        unrepr("?" + "a" * 200)


def test_error_inside_an_imported_module_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import a_module_that_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        unrepr("half_installed.thing")


def test_module_beside_the_script_can_be_named(tmp_path, monkeypatch):
    (tmp_path / "beside_me.py").write_text("def hook():\n    return 'called'")
    monkeypatch.syspath_prepend(tmp_path)
    assert unrepr("beside_me.hook()") == "called"


def test_modules_imports_a_dotted_path():
    assert modules("xml.dom.minidom") is xml.dom.minidom


def test_attributes_imports_and_gets_the_last_name():
    assert attributes("os.path.join") is os.path.join
