"""The RoutesDispatcher: page handlers by the patterns of the Routes library."""

import sys

import pytest

import cptoolkit
from cptoolkit.dispatch import RoutesDispatcher

routes = pytest.importorskip("routes", reason="needs the Routes library (extra 'routes')")


class Cities:
    _cp_config = {"response.headers.X-Class": "yes"}

    def index(self):
        return "all cities"

    @cptoolkit.config(**{"response.headers.X-Method": "yes"})
    def show(self, name, **params):
        return f"{name} {sorted(params.items())}"

    def create(self, **params):
        return "created"


def dispatcher(**options):
    found = RoutesDispatcher(**options)
    for name, method, action in [("all", "GET", "index"), ("new", "POST", "create")]:
        only = {"method": [method]}
        found.connect(name, "/cities", controller=Cities(), action=action, conditions=only)
    found.connect("city", "/cities/{name}", controller=Cities, action="show")
    return found


@pytest.fixture
def client(app_of):
    return app_of(None, {"/": {"request.dispatch": dispatcher()}})


def test_pattern_names_controller_and_action(client):
    assert client.get("/cities").text == "all cities"


def test_names_in_the_pattern_are_parameters(client):
    assert client.get("/cities/brno").text == "brno []"
    assert client.get("/cities/brno?size=5").text == "brno [('size', '5')]"


def test_method_of_the_request_can_choose(client):
    assert client.post("/cities").text == "created"
    client.put("/cities", status=404)


def test_controller_may_be_a_class(client):
    assert client.get("/cities/brno", status=200)


@pytest.mark.parametrize("path", ["/", "/nope", "/cities/brno/x"])
def test_path_without_a_pattern_is_404(client, path):
    client.get(path, status=404)


def test_action_that_the_controller_lacks_is_404(app_of):
    found = RoutesDispatcher()
    found.connect("city", "/{action}", controller=Cities())
    client = app_of(None, {"/": {"request.dispatch": found}})
    client.get("/nope", status=404)
    client.get("/__init__", status=404)
    client.get("/_cp_config", status=404)


def test_full_result_gives_controller_and_action_too(app_of):
    client = app_of(None, {"/": {"request.dispatch": dispatcher(full_result=True)}})
    assert client.get("/cities/x").text == "x [('action', 'show'), ('controller', 'city')]"


def test_config_of_controller_action_and_path_counts(app_of):
    config = {
        "/": {"request.dispatch": dispatcher()},
        "/cities/brno": {"response.headers.X-Path": "yes"},
    }
    headers = app_of(None, config).get("/cities/brno").headers
    assert (headers["X-Class"], headers["X-Method"], headers["X-Path"]) == ("yes",) * 3


def test_application_below_a_mount_point_is_matched_below_it(app_of):
    client = app_of(None, {"/": {"request.dispatch": dispatcher()}}, "/app")
    assert client.get("/app/cities").text == "all cities"


def test_redirects_of_the_library_work(app_of):
    class Old:
        def index(self):
            routes.util.redirect_to("/cities")

    found = RoutesDispatcher()
    found.connect("old", "/old", controller=Old(), action="index")
    client = app_of(None, {"/": {"request.dispatch": found}})
    assert client.get("/old", status=302).location == "http://localhost:80/cities"


def test_wrong_option_is_told_when_it_is_made():
    with pytest.raises(TypeError, match="explicitt"):
        RoutesDispatcher(explicitt=True)


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "routes", None)
    with pytest.raises(ImportError, match=r"pip install 'cptoolkit\[routes\]'"):
        RoutesDispatcher()
