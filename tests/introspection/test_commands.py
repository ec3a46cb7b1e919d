"""The commands routes, explain and check, as people and programs see them."""

import json
import os
import subprocess
import sys

import pytest

SHOP = """
import cptoolkit

class Shop:
    _cp_config = {"tools.gzip.on": True}

    @cptoolkit.expose
    def index(self):
        raise RuntimeError("called")

    @cptoolkit.expose
    def article(self, number, *rest):
        raise RuntimeError("called")

mounted = cptoolkit.Tree()
mounted.mount(Shop(), "/shop")
mounted.graft(lambda environ, start_response: [], "/wsgi")
application = cptoolkit.Application(Shop())
"""


@pytest.fixture(autouse=True)
def shop(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def test_routes_are_a_table(command):
    status, out, error = command("routes", "shop:Shop")
    assert (status, error) == (0, "")
    title, headers, *rows = out.splitlines()
    assert title == "Application at / of shop.Shop object"
    assert headers.split() == ["Path", "Methods", "Handler", "Parameters", "Tools"]
    found = [row.split() for row in rows]
    assert found[0] == ["/", "any", "shop.Shop.index", "shop.py:7", "gzip"]
    assert found[1] == [
        "/article",
        "any",
        "shop.Shop.article",
        "shop.py:11",
        "number,",
        "*rest",
        "gzip",
    ]
    assert found[2][:3] == ["/favicon.ico", "any", "favicon"]


def test_routes_of_a_tree_have_their_applications(command):
    _, out, _ = command("routes", "shop:mounted")
    assert "Application at /shop of shop.Shop object" in out
    assert "WSGI application at /wsgi of shop.<lambda>" in out


def test_routes_are_json_for_programs(command):
    status, out, _ = command("routes", "shop:Shop", "--json")
    [app] = json.loads(out)["applications"]
    assert status == 0
    assert app["routes"][1] == {
        "path": "/article",
        "host": None,
        "kind": "page",
        "methods": None,
        "handler": {"name": "shop.Shop.article", "file": "shop.py", "line": 11},
        "parameters": ["number", "*rest"],
        "tools": ["tools.gzip"],
        "note": "",
    }
    del app["routes"]
    assert app == {
        "mount": "",
        "kind": "Application",
        "root": "shop.Shop object",
        "complete": True,
    }


def test_config_files_count(command, shop):
    (shop / "shop.conf").write_text("[/article]\ntools.expires.on = True\n")
    _, out, _ = command("routes", "shop:Shop", "-c", "shop.conf")
    assert "expires, gzip" in out


def test_explanation_is_text(command, shop):
    (shop / "shop.conf").write_text("[/]\ntools.expires.on = True\n")
    words = ["explain", "shop:Shop", "/article/5?x=1", "-c", "shop.conf", "-e", "test_suite"]
    status, out, error = command(*words)
    assert (status, error) == (0, "")
    first, outcome, _, *lines = out.splitlines()
    assert first == "GET /article/5?x=1 of localhost"
    assert outcome == "-> 404: Unexpected query string parameters: x"
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "Application shop.Shop object, mounted at /" in text
    assert "Dispatcher Dispatcher" in text
    assert "Page handler shop.Shop.article shop.py:11" in text
    assert "article attribute shop.Shop.article yes the page handler, and takes 5" in text
    assert "before_finalize 50 Expires.after tools.expires" in text
    assert "tools.expires.on True shop.conf [/]" in text
    assert "tools.gzip.on True _cp_config of class shop.Shop at /" in text
    assert "log.screen False environment test_suite" in text


def test_explanation_is_json_for_programs(command):
    status, out, _ = command("explain", "shop:Shop", "/nowhere", "--json", "-X", "POST")
    told = json.loads(out)
    assert status == 0
    assert " ".join(told) == (
        "request application pipeline dispatcher steps handler status reason nearest config hooks"
        " notes"
    )
    assert told["request"] == {
        "method": "POST",
        "host": "localhost",
        "path": "/nowhere",
        "query": "",
    }
    assert (told["status"], told["handler"]) == (404, None)


def test_host_may_be_given(command):
    _, out, _ = command("explain", "shop:Shop", "/", "-H", "host: www.example.com", "--json")
    assert json.loads(out)["request"]["host"] == "www.example.com"


def test_url_may_be_given(command):
    _, out, _ = command("explain", "shop:mounted", "http://shop.example/shop/?a=1", "--json")
    told = json.loads(out)
    assert told["request"] == {
        "method": "GET",
        "host": "shop.example:80",
        "path": "/shop/",
        "query": "a=1",
    }
    assert told["application"]["mount"] == "/shop"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", "shop:Shop", "article"], "the path 'article' must begin with a slash"),
        (["explain", "shop:Shop", "/", "-X", "G T"], "'G T' is no method"),
        (["explain", "shop:Shop", "/", "-H", "Host"], "'Host' is no header field"),
        (["explain", "shop:Shop", "/", "-H", "A: b\r\nC: d"], "is no header field"),
        (["explain", "shop:Shop"], "PATH"),
        (["routes", "shop:Shpo"], "did you mean 'Shop'?"),
        (["routes", "shop:Shop", "--jsn"], "did you mean '--json'?"),
        (["check", "shop:Shop", "-c", "missing.conf"], "there is no config file"),
        (["check", "nowhere"], "there is no module 'nowhere'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(command, words, message):
    status, out, error = command(*words)
    assert (status, out) == (2, "")
    assert message in error
    assert len(error.splitlines()) == 1


def test_check_that_finds_nothing_ends_with_0(command):
    assert command("check", "shop:Shop") == (0, "nothing is wrong\n", "")


def test_check_that_finds_something_ends_with_1(command, shop):
    (shop / "shop.conf").write_text("[/article]\ntools.gzip.levle = 3\n")
    status, out, error = command("check", "shop:Shop", "-c", "shop.conf")
    assert (status, error) == (1, "")
    assert "has no option 'levle'" in out


def test_findings_are_json_for_programs(command, shop):
    (shop / "shop.conf").write_text("[/article]\nhooks.before_handlr = shop.Shop\n")
    status, out, _ = command("check", "shop:Shop", "-c", "shop.conf", "--json")
    assert status == 1
    [finding] = json.loads(out)["findings"]
    assert "did you mean 'hooks.before_handler'?" in finding.pop("message")
    assert finding == {
        "entries": [
            {
                "key": "hooks.before_handlr",
                "origin": {"kind": "file", "name": "shop.conf", "section": "/article"},
            }
        ],
        "paths": ["/article"],
    }


def test_config_file_that_cannot_be_read_is_a_finding(command, shop):
    (shop / "shop.conf").write_text("[/article]\ntools.gzip.on = yes!\n")
    status, out, error = command("check", "shop:Shop", "-c", "shop.conf")
    assert (status, error) == (1, "")
    assert "shop.conf, line 2, section [/article], key 'tools.gzip.on'" in out


@pytest.mark.parametrize("name", ["routes", "explain", "check"])
def test_help_has_examples_and_exit_statuses(command, name):
    status, out, _ = command(name, "--help")
    assert status == 0
    assert f"cptoolkit {name} " in out
    assert "examples:" in out
    assert "exit status:" in out


def run(shop, *words, **environment):
    """What the command writes, in a process of its own, to a terminal of 60 columns or a file."""
    environ = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-m", "cptoolkit", *words],
        cwd=shop,
        env=environ,
        capture_output=True,
        timeout=120,
        check=True,
    ).stdout.decode()


def test_lines_are_whole_and_plain_where_there_is_no_terminal(shop):
    out = run(shop, "routes", "shop:Shop", COLUMNS="")
    assert "shop.Shop.article shop.py:11" in out
    assert "\x1b" not in out


def test_lines_fit_where_columns_are_given(shop):
    out = run(shop, "explain", "shop:Shop", "/article/5", COLUMNS="60")
    assert max(map(len, out.splitlines())) <= 60


def test_encoding_that_lacks_characters_is_no_error(shop):
    (shop / "odd.py").write_text(SHOP.replace("def article", "def ärticle"), "utf-8")
    out = run(shop, "routes", "odd:Shop", PYTHONIOENCODING="ascii")
    assert "/\\xe4rticle" in out


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_reader_that_goes_early_is_no_error(shop):
    script = f"{sys.executable} -m cptoolkit explain shop:Shop / | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=shop, capture_output=True, text=True, timeout=120, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
