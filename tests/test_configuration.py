import copy
import io

import pytest
from beside import at_once

from cptoolkit.configuration import (
    AppConfig,
    Config,
    Generation,
    NamespaceSet,
    ObservedDict,
    environments,
    generation,
)

# Changes are seen


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: d.__setitem__("k", 1), id="set"),
        pytest.param(lambda d: d.__delitem__("a"), id="del"),
        pytest.param(lambda d: d.update({"k": 1}), id="update"),
        pytest.param(lambda d: d.__ior__({"k": 1}), id="or"),
        pytest.param(lambda d: d.setdefault("k", 1), id="setdefault"),
        pytest.param(lambda d: d.pop("a"), id="pop"),
        pytest.param(lambda d: d.popitem(), id="popitem"),
        pytest.param(lambda d: d.clear(), id="clear"),
    ],
)
def test_every_change_of_an_observed_dict_bumps_the_generation(change):
    observed = ObservedDict(a=1)
    before = generation.value
    change(observed)
    assert generation.value != before
    assert observed != {"a": 1}


def test_reading_an_observed_dict_bumps_nothing():
    observed = ObservedDict(a=1)
    before = generation.value
    assert observed.setdefault("a", 2) == observed["a"] == observed.get("a") == 1
    assert generation.value == before


def test_observed_dict_gives_what_a_dict_gives():
    observed = ObservedDict(a=1, b=2)
    assert observed.pop("a") == 1
    assert observed.pop("a", None) is None
    assert observed.popitem() == ("b", 2)
    observed |= {"c": 3}
    assert observed == {"c": 3}


def test_reading_is_that_of_a_dict():
    assert ObservedDict.__getitem__ is dict.__getitem__
    assert ObservedDict.get is dict.get


def test_generation_never_has_a_value_twice():
    counter, seen = Generation(), []

    def bump():
        for _ in range(200):
            counter.bump()
            seen.append(counter.value)

    at_once(*[bump] * 4)
    assert max(seen) == 800


# Namespaces


class Collector:
    def __init__(self, swallow=False):
        self.calls = []
        self.swallow = swallow

    def __enter__(self):
        self.calls.append("enter")
        return self.apply

    def __exit__(self, kind, error, trace):
        self.calls.append(("exit", kind))
        return self.swallow

    def apply(self, key, value):
        if value == "bad":
            raise LookupError(key)
        self.calls.append((key, value))


def test_handler_gets_the_entries_of_its_namespace_in_order():
    calls = []
    namespaces = NamespaceSet(db=lambda k, v: calls.append((k, v)))
    namespaces({"db.b": 1, "other.x": 2, "db.a.c": 3, "db": 4})
    assert calls == [("b", 1), ("a.c", 3)]


def test_context_manager_is_exited_after_its_last_key():
    collector = Collector()
    NamespaceSet(db=collector)({"db.a": 1, "x.y": 0, "db.b": 2})
    assert collector.calls == ["enter", ("a", 1), ("b", 2), ("exit", None)]


def test_context_manager_sees_the_exception():
    collector = Collector()
    with pytest.raises(LookupError):
        NamespaceSet(db=collector)({"db.a": "bad"})
    assert collector.calls == ["enter", ("exit", LookupError)]


def test_context_manager_may_swallow_the_exception():
    after = []
    namespaces = NamespaceSet(db=Collector(swallow=True), x=lambda k, v: after.append(v))
    namespaces({"db.a": "bad", "x.y": 1})
    assert after == [1]


def test_copy_of_namespaces_is_one_of_its_own():
    namespaces = NamespaceSet(a=print)
    copies = [namespaces.copy(), copy.copy(namespaces)]
    for other in copies:
        other["b"] = print
        assert repr(other).startswith("NamespaceSet({'a': ")
    assert list(namespaces) == ["a"]


# Global config


@pytest.fixture
def applied():
    return []


@pytest.fixture
def config(applied):
    namespaces = NamespaceSet(server=lambda k, v: applied.append((k, v)))
    return Config(defaults={"tools.log_tracebacks.on": True}, namespaces=namespaces)


def test_config_starts_from_its_defaults_and_applies_nothing(config, applied):
    assert config == {"tools.log_tracebacks.on": True}
    assert not config.contained_paths
    assert applied == []


def test_update_from_a_dict_applies_and_keeps(config, applied):
    config.update({"server.socket_port": 9090})
    assert config["server.socket_port"] == 9090
    assert applied == [("socket_port", 9090)]


def test_setting_a_key_keeps_and_applies_it(config, applied):
    config["server.socket_port"] = 80
    assert config["server.socket_port"] == 80
    assert applied == [("socket_port", 80)]


def test_key_that_is_no_name_is_refused(config):
    with pytest.raises(TypeError, match="config takes names as keys, not int: 8080"):
        config[8080] = 1
    assert 8080 not in config


def test_global_section_of_a_file_is_taken(config, tmp_path):
    path = tmp_path / "server.conf"
    path.write_text("[global]\nserver.socket_port: 9090\n[/]\ntools.gzip.on: True")
    config.update(path)
    assert config["server.socket_port"] == 9090
    assert "/" not in config
    assert config.contained_paths


def test_open_file_is_taken(config):
    config.update(io.StringIO("[global]\nserver.socket_port: 9090"))
    assert config["server.socket_port"] == 9090


def test_global_key_of_a_dict_is_taken_and_the_dict_left_alone(config):
    given = {"global": {"environment": "staging"}, "/": {"a.b": 1}, "own": 5}
    config.update(given)
    assert config["checker.on"] is False
    assert config["own"] == 5
    assert given["global"] == {"environment": "staging"}


def test_section_for_a_path_is_kept_for_the_checker(config):
    config.update({"/": {"tools.gzip.on": True}})
    assert config["/"] == {"tools.gzip.on": True}
    assert config.contained_paths


def test_dict_as_a_value_is_no_section_for_a_path(config):
    config.update({"own": {"a": 1}, "/readme": "text"})
    assert config["own"] == {"a": 1}
    assert not config.contained_paths


def test_environment_brings_its_entries(config):
    config.update({"environment": "production"})
    assert config["environment"] == "production"
    assert config["log.screen"] is False


def test_explicit_entries_win_over_the_environment(config):
    config.update({"log.screen": True, "environment": "production"})
    assert config["log.screen"] is True


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("staging", {"request.show_tracebacks": False}),
        ("production", {"log.screen": False, "engine.autoreload.on": False}),
        ("embedded", {"engine.SIGHUP": None, "engine.SIGTERM": None, "log.screen": False}),
        ("test_suite", {"request.show_tracebacks": True, "request.show_mismatched_params": True}),
    ],
)
def test_built_in_environments(name, some):
    assert some.items() <= environments[name].items()
    assert environments[name]["checker.on"] is False


def test_staging_keeps_the_screen():
    assert "log.screen" not in environments["staging"]


def test_environment_of_ones_own(config, monkeypatch):
    monkeypatch.setitem(environments, "Greek", {"tools.encode.encoding": "ISO-8859-7"})
    config.update({"environment": "Greek"})
    assert config["tools.encode.encoding"] == "ISO-8859-7"


def test_unknown_environment_names_the_nearest(config):
    with pytest.raises(ValueError, match=r"'prodution' is none of .*did you mean 'production'"):
        config.update({"environment": "prodution"})
    assert "environment" not in config


def test_folder_for_the_whole_site_knows_its_section(config):
    config.update({"tools.staticdir.dir": "/srv"})
    assert config["tools.staticdir.section"] == "global"


def test_update_takes_keywords_like_a_dict(config):
    config.update({"a.b": 1}, own=2)
    assert (config["a.b"], config["own"]) == (1, 2)


def test_context_manager_is_entered_once_an_update(config):
    config.namespaces["db"] = collector = Collector()
    config.update({"db.a": 1})
    assert collector.calls == ["enter", ("a", 1), ("exit", None)]


def test_reset_goes_back_to_the_defaults_and_applies_nothing(config, applied):
    config.update({"server.socket_port": 1, "/": {}})
    config.reset()
    assert config == {"tools.log_tracebacks.on": True}
    assert not config.contained_paths
    assert applied == [("socket_port", 1)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (42, "config.update.. takes a dict, a path or an open file, not int: 42"),
        (None, "takes a dict, a path or an open file, not NoneType"),
        ({8080: 1}, "takes names as keys, not int: 8080"),
        ({"global": {8080: 1}}, "takes names as keys, not int: 8080"),
    ],
)
def test_wrong_source_is_a_type_error_that_says_what_came(config, source, message):
    with pytest.raises(TypeError, match=message):
        config.update(source)


def test_missing_file_is_told(config):
    with pytest.raises(FileNotFoundError, match=r"no such config file.*none\.conf"):
        config.update("none.conf")


def test_config_may_start_from_a_source():
    assert Config({"a.b": 1})["a.b"] == 1


# As decorator


def test_decorator_gives_a_function_config_of_its_own(config):
    @config(**{"tools.gzip.on": True})
    @config(**{"tools.gzip.on": False, "response.stream": True})
    def page():
        pass

    assert page._cp_config == {"tools.gzip.on": True, "response.stream": True}


def test_decorated_subclass_leaves_its_base_alone(config):
    @config(**{"a.b": 1})
    class Base:
        pass

    @config(**{"a.c": 2})
    class Derived(Base):
        pass

    assert Base._cp_config == {"a.b": 1}
    assert Derived._cp_config == {"a.b": 1, "a.c": 2}


def test_decorating_bumps_the_generation(config):
    before = generation.value
    config(**{"a.b": 1})(type("Page", (), {}))
    assert generation.value != before


# Application config


def test_sections_are_merged_into_those_that_are_there():
    conf = AppConfig({"/": {"a.b": 1, "a.c": 2}})
    conf.merge({"/": {"a.b": 3}, "Databases": {"host": "localhost"}, "global": {"x.y": 1}})
    assert conf == {
        "/": {"a.b": 3, "a.c": 2},
        "Databases": {"host": "localhost"},
        "global": {"x.y": 1},
    }


def test_merge_of_a_file(tmp_path):
    path = tmp_path / "app.conf"
    path.write_text("[/]\ntools.gzip.on: True\n\n[googleapi]\nappid = '...'")
    conf = AppConfig(path)
    assert conf["googleapi"]["appid"] == "..."


def test_trailing_slash_of_a_path_does_not_count():
    conf = AppConfig({"/": {}, "/static/": {"a.b": 1}, "own/": {}})
    conf.merge({"/static": {"a.c": 2}})
    assert conf == {"/": {}, "/static": {"a.b": 1, "a.c": 2}, "own/": {}}


def test_change_inside_of_a_section_is_seen():
    conf = AppConfig()
    conf["/"] = {"a.b": 1}
    before = generation.value
    conf["/"]["a.b"] = 2
    assert generation.value != before


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda conf: conf.update({"/": {"a.b": 1}}), id="update"),
        pytest.param(lambda conf: conf.setdefault("/", {"a.b": 1}), id="setdefault"),
        pytest.param(lambda conf: conf.merge({"/": {"a.b": 1}}), id="merge"),
    ],
)
def test_section_is_observed_however_it_comes_in(put):
    conf = AppConfig()
    put(conf)
    assert isinstance(conf["/"], ObservedDict)


def test_given_dict_is_not_the_one_kept():
    given = {"/": {"a.b": 1}}
    AppConfig(given).merge({"/": {"a.b": 2}})
    assert given == {"/": {"a.b": 1}}


def test_entry_outside_of_sections_is_refused_with_a_hint():
    conf = AppConfig()
    with pytest.raises(ValueError, match=r"put it into a section, as in \{'/': \{'tools.gzip.on'"):
        conf.merge({"/": {"a.b": 1}, "tools.gzip.on": True})
    assert conf == {}


def test_section_has_a_name():
    with pytest.raises(TypeError, match="application config takes names as keys, not int: 1"):
        AppConfig({1: {}})


def test_key_of_a_section_is_a_name():
    with pytest.raises(TypeError, match=r"section \[/a\] takes names as keys, not int: 1"):
        AppConfig({"/a": {1: 2}})
