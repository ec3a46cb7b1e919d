"""What a check finds, and whom it blames."""

import pytest

import cptoolkit
from cptoolkit.introspection.findings import findings


class Page:
    @cptoolkit.expose
    def index(self):
        raise AssertionError("called")


def found(root=None, config=None, mount=""):
    tree = cptoolkit.Tree()
    tree.mount(root or Page(), mount, config)
    return findings(tree, cptoolkit.checker)


def only(*args):
    [finding] = found(*args)
    return finding


def test_good_site_has_no_findings():
    assert found(Page(), {"/": {"tools.gzip.on": True}}) == []


def test_application_without_config_is_no_finding():
    assert found() == []


def test_sections_that_went_to_the_wrong_place_are_a_finding():
    cptoolkit.config.update({"/": {"tools.gzip.on": True}})
    assert any("were passed to config.update()" in each["message"] for each in found())


def test_checks_run_also_where_they_are_off_at_the_start():
    cptoolkit.config.update({"environment": "production"})
    finding = only(Page(), {"/": {"tools.gzpi.on": True}})
    assert "did you mean 'gzip'?" in finding["message"]
    assert cptoolkit.checker.on is False


def test_check_that_config_turns_off_is_off():
    cptoolkit.checker.check_static_paths = False
    config = {"/": {"tools.staticdir.on": False, "tools.staticdir.dir": "nowhere"}}
    assert found(Page(), config) == []


def test_option_that_is_refused_is_blamed_on_its_object():
    class Wrong(Page):
        _cp_config = {"tools.gzip.on": True, "tools.gzip.compress_level": 99}

    root = Page()
    root.below = Wrong()
    finding = only(root, {"/": {"tools.expires.on": True}})
    assert "compress_level" in finding["message"]
    assert finding["paths"] == ["/below/"]
    assert all(entry["origin"]["name"].endswith(".Wrong") for entry in finding["entries"])
    assert "tools.gzip.compress_level" in [entry["key"] for entry in finding["entries"]]


def test_unknown_tool_of_a_function_is_blamed_on_it():
    class Root(Page):
        @cptoolkit.expose
        @cptoolkit.config(**{"tools.nothing.on": True})
        def page(self):
            pass

    finding = only(Root(), {"/": {"tools.gzip.on": True}}, "/shop")
    assert "there is no tool 'nothing'" in finding["message"]
    assert finding["paths"] == ["/shop/page"]
    [entry] = finding["entries"]
    assert entry["key"] == "tools.nothing.on"
    assert entry["origin"]["name"].endswith("Root.page")


def test_one_cause_is_one_finding_with_some_of_its_paths():
    root = Page()
    for name in "abcdef":
        setattr(root, name, Page())
    root._cp_config = {"hooks.before_handlr": len}
    finding = only(root, {"/": {"tools.gzip.on": True}})
    assert len(finding["paths"]) == 3


def test_several_causes_are_several_findings():
    root = Page()
    root._cp_config = {"hooks.before_handlr": len, "tools.nothing.on": True}
    messages = [each["message"] for each in found(root, {"/": {"tools.gzip.on": True}})]
    assert len(messages) == 2


def test_what_the_checker_tells_is_not_told_twice():
    [finding] = found(Page(), {"/": {"tools.gzip.on": True, "tools.gzip.levle": 3}})
    assert "has no option 'levle'" in finding["message"]


def test_package_that_is_missing_is_a_finding(monkeypatch):
    import sys

    # Others may have imported what looks for it.
    monkeypatch.delitem(sys.modules, "cptoolkit.middleware.sessions.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    config = {"/": {"tools.sessions.on": True, "tools.sessions.storage_type": "redis"}}
    messages = "\n".join(each["message"] for each in found(Page(), config))
    assert "cptoolkit[redis]" in messages


@pytest.mark.parametrize("folder", ["missing", "relative"])
def test_static_folder_that_is_not_there_is_told_once(folder, tmp_path):
    folder = str(tmp_path / folder) if folder == "missing" else folder
    config = {"/static": {"tools.staticdir.on": True, "tools.staticdir.dir": folder}}
    assert len(found(Page(), config)) == 1
