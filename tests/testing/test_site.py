"""The site of the process, lent to a test and put back."""

import pytest

import cptoolkit
from cptoolkit import site
from cptoolkit.process.plugins import SimplePlugin
from cptoolkit.process.wspbus import StartFailure, State
from cptoolkit.target import TargetError
from cptoolkit.testing import fresh_site, served_site
from cptoolkit.testing.servable import application_of
from cptoolkit.testing.site import place, site_url


def state_of_the_site():
    engine, server = site.engine, site.server
    plugins = {name: value for name, value in vars(engine).items() if not name.startswith("_")}
    return {
        "config": dict(site.config),
        "tree": dict(site.tree.apps),
        "listeners": {name: set(found) for name, found in engine.listeners.items()},
        "plugins": {name: value for name, value in plugins.items() if name != "listeners"},
        "server": dict(vars(server)),
        "servers": dict(site.servers),
        "autoreload": dict(vars(engine.autoreload)),
        "log": (site.log.screen, site.log.error_file, site.log.access_log_format),
        "checker": dict(vars(site.checker)),
    }


def test_everything_is_put_back(tmp_path):
    before = state_of_the_site()
    with fresh_site():
        place(cptoolkit.Application(None, "/a"))
        site.config.update(
            {
                "server.socket_port": 9,
                "server.second.socket_port": 10,
                "engine.autoreload.on": True,
                "engine.autoreload.frequency": 7,
                "log.screen": True,
                "log.error_file": str(tmp_path / "error.log"),
                "log.access_log_format": "{h}",
                "checker.on": True,
                "tools.gzip.on": True,
            }
        )
        site.engine.subscribe("made-up", print)
        site.engine.database = SimplePlugin(site.engine)
        now = state_of_the_site()
        assert [name for name, was in before.items() if now[name] == was] == []
        site.engine.autoreload = None
    assert state_of_the_site() == before


def test_test_begins_with_an_empty_tree_and_a_free_port():
    cptoolkit.tree.mount(None)
    with fresh_site():
        assert cptoolkit.tree.apps == {}
        assert cptoolkit.config["environment"] == "test_suite"
        assert cptoolkit.server.bind_addr == ("127.0.0.1", 0)


def test_listener_that_a_test_takes_away_comes_back():
    listener = site.engine.subscribe("start", lambda: None, priority=3)
    with fresh_site():
        site.engine.unsubscribe("start", listener)
    assert listener in site.engine.listeners["start"]


def test_tools_that_a_test_has_defined_stay():
    with fresh_site():
        cptoolkit.tools.mine = cptoolkit.Tool("before_handler", lambda: None)
    assert "mine" in cptoolkit.tools.tools()


def test_site_is_served_until_the_block_ends(pages):
    with fresh_site():
        place(pages)
        with served_site() as url:
            assert site.engine.state is State.STARTED
            assert url == site_url() == f"http://127.0.0.1:{site.server.socket_port}"
        assert site.engine.state is State.EXITING


def test_url_names_an_address_that_a_client_can_use(pages):
    with fresh_site():
        place(pages, {"global": {"server.socket_host": "0.0.0.0"}})
        with served_site() as url:
            assert url == f"http://127.0.0.1:{site.server.socket_port}"


def test_site_can_be_served_on_a_unix_socket(pages, tmp_path):
    with fresh_site():
        place(pages, {"global": {"server.socket_file": str(tmp_path / "s")}})
        with served_site() as url:
            assert url == str(tmp_path / "s")


def test_service_that_cannot_start_is_told(pages):
    def fail():
        raise LookupError("no database")

    with fresh_site():
        site.engine.subscribe("start", fail)
        with pytest.raises(StartFailure, match="no database"), served_site():
            pytest.fail("the block was run")  # pragma: no cover


# -- what can be served ------------------------------------------------------------------------


def wsgi(environ, start_response):
    start_response("204 No Content", [])
    return []


@pytest.mark.parametrize("make", [lambda root: root, lambda root: root()], ids=["class", "object"])
def test_object_tree_becomes_an_application(pages, make):
    app = application_of(make(pages), {"/": {"tools.gzip.on": True}})
    assert isinstance(app, cptoolkit.Application)
    assert app.config["/"] == {"tools.gzip.on": True}


def test_applications_and_trees_are_taken_as_they_are():
    for app in (cptoolkit.Application(None), cptoolkit.Tree(), wsgi):
        assert application_of(app) is app


def test_function_is_called_for_what_it_makes(pages):
    tree = cptoolkit.Tree()

    def make():
        return tree

    assert application_of(make) is tree


def test_name_is_looked_up_as_on_the_command_line():
    app = application_of("cptoolkit.tutorial.tut01_helloworld:HelloWorld")
    assert isinstance(app, cptoolkit.Application)


def test_what_cannot_be_served_is_told():
    class Nothing:
        pass

    with pytest.raises(TargetError, match="Nothing cannot be served: it is a Nothing object with"):
        application_of(Nothing())


def test_config_is_merged_into_an_application():
    app = cptoolkit.Application(None, "", {"/": {"tools.gzip.on": True}})
    application_of(app, {"/": {"tools.gzip.on": False}})
    assert app.config["/"] == {"tools.gzip.on": False}


@pytest.mark.parametrize("app", [cptoolkit.Tree(), wsgi], ids=["tree", "wsgi"])
def test_sections_for_paths_need_an_application(app):
    with pytest.raises(TypeError, match="config for /, /a is for an Application, and "):
        application_of(app, {"/": {}, "/a": {}, "global": {}})


def test_config_may_be_a_file(pages, tmp_path):
    path = tmp_path / "site.conf"
    path.write_text("[global]\nserver.thread_pool = 3\n[/]\ntools.gzip.on = True\n")
    with fresh_site():
        place(pages, str(path))
        assert site.server.thread_pool == 3
        assert cptoolkit.tree.apps[""].config["/"] == {"tools.gzip.on": True}


def test_tree_of_ones_own_is_served_in_place_of_the_sites(pages):
    tree = cptoolkit.Tree()
    tree.mount(pages(), "/below")
    with fresh_site():
        assert place(tree) is tree
        assert site.server.app is tree
    assert site.server.app is cptoolkit.tree


def test_application_is_mounted_where_it_belongs(pages):
    with fresh_site():
        place(cptoolkit.Application(pages(), "/shop"))
        assert list(cptoolkit.tree.apps) == ["/shop"]
        place(wsgi)
        assert cptoolkit.tree.apps[""] is wsgi


def test_hooks_of_all_requests_are_put_back():
    def noted():
        pass

    with fresh_site():
        cptoolkit.request.hooks.attach("on_start_resource", noted)
        app = cptoolkit.Application(object())
        assert noted in [hook.callback for hook in app.plans.merged([]).on_start_resource]
    app = cptoolkit.Application(object())
    assert noted not in [hook.callback for hook in app.plans.merged([]).on_start_resource]
