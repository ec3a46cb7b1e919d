"""Where entries of config are from, as the config itself remembers."""

import pytest

from cptoolkit.config_files import load
from cptoolkit.config_origins import CODE, Origin
from cptoolkit.configuration import AppConfig, Config, environments


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "site.conf"
    path.write_text("[global]\nserver.thread_pool = 7\n[/a]\ntools.gzip.on = True\n")
    return str(path)


def of(config, key):
    return config.origins.of(key, config[key])


def test_entry_of_a_file_is_told_by_the_name_of_the_file(file):
    config = Config(file)
    assert of(config, "server.thread_pool") == Origin("file", file)


def test_file_that_is_open_is_told_too(file):
    config = Config()
    with open(file) as opened:
        config.update(opened)
    assert of(config, "server.thread_pool") == Origin("file", file)


def test_entry_that_the_program_sets_is_its_own(file):
    config = Config(file)
    config["server.thread_pool"] = 7
    assert of(config, "server.thread_pool") == CODE


def test_entry_that_the_program_updates_is_its_own(file):
    config = Config(file)
    config.update({"server.thread_pool": 7})
    assert of(config, "server.thread_pool") == CODE


def test_environment_is_told_by_its_name():
    environments["mine"] = {"a.b": 1, "a.c": 2}
    config = Config({"environment": "mine", "a.c": 3})
    assert of(config, "a.b") == Origin("environment", "mine")
    assert of(config, "a.c") == CODE
    assert of(config, "environment") == CODE


def test_defaults_are_told_until_they_are_changed():
    config = Config(defaults={"a.b": 1, "a.c": 2})
    config["a.c"] = 4
    assert of(config, "a.b") == Origin("default")
    assert of(config, "a.c") == CODE
    config.reset()
    assert of(config, "a.c") == Origin("default")


def test_section_remembers_the_file_of_each_entry(file):
    config = AppConfig(file)
    config.merge({"/a": {"tools.etags.on": True}})
    origins = config.origins["/a"]
    assert origins.of("tools.gzip.on", config["/a"]["tools.gzip.on"]) == Origin("file", file)
    assert origins.of("tools.etags.on", config["/a"]["tools.etags.on"]) == CODE


def test_section_that_is_replaced_is_the_program_s(file):
    config = AppConfig(file)
    config["/a"] = {"tools.gzip.on": True}
    assert "/a" not in config.origins


def test_value_that_is_changed_in_its_section_is_the_program_s(file):
    config = AppConfig(file)
    config["/a"]["tools.gzip.on"] = False
    assert config.origins["/a"].of("tools.gzip.on", False) == CODE


def test_quickstart_s_file_is_told_for_site_and_application(file):
    sections = load(file)
    site, app = Config(sections), AppConfig(sections)
    assert of(site, "server.thread_pool").name == file
    assert app.origins["/a"].of("tools.gzip.on", True).name == file
