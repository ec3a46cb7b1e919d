"""The VirtualHost dispatcher: a part of the tree for each host name (reference, 8.8)."""

import pytest

import cptoolkit
from cptoolkit.dispatch import Dispatcher, VirtualHost


class App:
    def __init__(self, name):
        self.name = name

    @cptoolkit.expose
    def index(self):
        return f"Hello world from {self.name}"

    @cptoolkit.expose
    def page(self, *args):
        return " ".join([self.name, *args])

    @cptoolkit.expose
    def here(self):
        return cptoolkit.url("/x", base="")


class Root:
    def __init__(self):
        self.app1 = App("app1")
        self.app2 = App("app2")


HOSTS = {"company.com:8080": "/app1", "home.net:8080": "/app2/"}


def client_for(app_of, **options):
    return app_of(Root(), {"/": {"request.dispatch": VirtualHost(**options)}})


@pytest.fixture
def client(app_of):
    return client_for(app_of, **HOSTS)


@pytest.mark.parametrize(
    ("host", "text"), [("company.com:8080", "app1"), ("home.net:8080", "app2")]
)
def test_host_has_a_tree_of_its_own(client, host, text):
    assert client.get("/", headers={"Host": host}).text == f"Hello world from {text}"
    assert client.get("/page/x", headers={"Host": host}).text == f"{text} x"


@pytest.mark.parametrize("host", ["other.org:8080", "company.com", "home.net:80"])
def test_other_host_has_the_whole_tree(client, host):
    client.get("/", headers={"Host": host}, status=404)
    assert client.get("/app1/", headers={"Host": host}).text == "Hello world from app1"


def test_host_cannot_reach_the_tree_of_another(client):
    client.get("/app2/", headers={"Host": "company.com:8080"}, status=404)


def test_host_named_by_a_proxy_counts_over_the_own_one(client):
    headers = {"Host": "inner:1", "X-Forwarded-Host": "company.com:8080"}
    assert client.get("/", headers=headers).text == "Hello world from app1"


def test_host_named_by_a_proxy_can_be_ignored(app_of):
    client = client_for(app_of, use_x_forwarded_host=False, **HOSTS)
    headers = {"Host": "home.net:8080", "X-Forwarded-Host": "company.com:8080"}
    assert client.get("/", headers=headers).text == "Hello world from app2"


def test_urls_are_those_that_the_client_sees(client):
    assert client.get("/here", headers={"Host": "company.com:8080"}).text == "/x"


def test_index_is_redirected_within_its_host(app_of):
    root = Root()
    root.app1.deeper = App("deeper")
    client = app_of(root, {"/": {"request.dispatch": VirtualHost(**{"a:80": "/app1"})}})
    response = client.get("/deeper", headers={"Host": "a:80"}, status=301)
    assert response.location == "http://a:80/deeper/"


def test_next_dispatcher_may_be_another(app_of):
    class Lower(Dispatcher):
        def __call__(self, path_info):
            return super().__call__(path_info.lower())

    client = client_for(app_of, next_dispatcher=Lower(), **HOSTS)
    assert client.get("/PAGE", headers={"Host": "home.net:8080"}).text == "app2"


def test_config_is_that_of_the_path_in_the_tree(app_of):
    config = {
        "/": {"request.dispatch": VirtualHost(**HOSTS)},
        "/app1": {"response.headers.X-App": "1"},
    }
    client = app_of(Root(), config)
    assert client.get("/", headers={"Host": "company.com:8080"}).headers["X-App"] == "1"
    assert "X-App" not in client.get("/", headers={"Host": "home.net:8080"}).headers


def test_path_of_a_static_folder_is_the_one_that_the_client_sees(app_of):
    class Sees(App):
        @cptoolkit.expose
        def section(self):
            return cptoolkit.request.config["tools.staticdir.section"]

    root = Root()
    root.app1 = Sees("app1")
    config = {
        "/": {"request.dispatch": VirtualHost(**HOSTS)},
        "/app1/section": {"tools.staticdir.dir": "static"},
    }
    client = app_of(root, config)
    assert client.get("/section", headers={"Host": "company.com:8080"}).text == "/section"


def test_case_of_a_host_does_not_count(client):
    assert client.get("/", headers={"Host": "Company.COM:8080"}).text == "Hello world from app1"
