"""MethodDispatcher: a resource's methods are named after HTTP's (reference, 3.7 and 6.1.2)."""

import pytest

import cptoolkit
from cptoolkit.dispatch import MethodDispatcher

pytestmark = pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")  # WebTest knows few
CONFIG = {"/": {"request.dispatch": MethodDispatcher(), "tools.trailing_slash.on": False}}


@cptoolkit.expose
class Text:
    """The web service of tutorial 7."""

    text = ""

    def GET(self):
        return self.text

    def POST(self, text="posted"):
        self.text = text
        return text

    def PUT(self, text):
        self.text = text

    def DELETE(self):
        self.text = ""


class Root:
    def __init__(self):
        self.text = Text()
        self.closed = Text()
        self.closed.exposed = False


@pytest.fixture
def client(app_of):
    return app_of(Root(), CONFIG)


def test_each_method_of_http_is_one_of_the_object(client):
    assert client.post("/text", {"text": "first"}).text == "first"
    assert client.get("/text").text == "first"
    client.put("/text?text=second")
    assert client.get("/text").text == "second"
    client.delete("/text")
    assert client.get("/text").text == ""


def test_head_is_answered_by_get(client):
    client.post("/text", {"text": "12345"})
    response = client.head("/text")
    assert response.headers["Content-Length"] == "5"
    assert response.body == b""


def test_head_of_its_own_comes_before_get(app_of):
    @cptoolkit.expose
    class Resource(Text):
        def HEAD(self):
            cptoolkit.response.headers["X-From"] = "HEAD"

    client = app_of(Resource(), CONFIG)
    assert client.head("/").headers["X-From"] == "HEAD"
    assert client.get("/").headers["Allow"] == "DELETE, GET, HEAD, POST, PUT"


def test_every_answer_says_what_is_allowed(client):
    allowed = "DELETE, GET, HEAD, POST, PUT"
    assert client.get("/text").headers["Allow"] == allowed
    assert client.get("/text?nope=1", status=404).headers["Allow"] == allowed


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "PROPFIND", "BREW"])
def test_method_that_the_object_lacks_is_405_with_what_is_allowed(client, method):
    response = client.request("/text", method=method, status=405)
    assert response.headers["Allow"] == "DELETE, GET, HEAD, POST, PUT"


def test_options_is_answered_by_the_object_if_it_can(app_of):
    @cptoolkit.expose
    class Resource:
        def OPTIONS(self):
            return "options"

    response = app_of(Resource(), CONFIG).options("/")
    assert (response.text, response.headers["Allow"]) == ("options", "OPTIONS")


def test_resource_without_methods_allows_none(app_of):
    @cptoolkit.expose
    class Resource:
        pass

    assert app_of(Resource(), CONFIG).get("/", status=405).headers["Allow"] == ""


def test_method_set_to_none_is_not_allowed(app_of):
    @cptoolkit.expose
    class Resource(Text):
        DELETE = None

    response = app_of(Resource(), CONFIG).delete("/", status=405)
    assert response.headers["Allow"] == "GET, HEAD, POST, PUT"


@pytest.mark.parametrize("path", ["/", "/nope", "/closed", "/text.GET"])
def test_path_without_an_exposed_object_is_404(client, path):
    client.get(path, status=404)


@pytest.mark.parametrize("method", ["__init__", "__class__", "text", "LIMIT", "A-B", "É"])
def test_attribute_that_is_no_method_cannot_be_called(app_of, method):
    @cptoolkit.expose
    class Resource(Text):
        LIMIT = 5

    app_of(Resource(), CONFIG).request("/", method=method, status=405)


def test_rest_of_the_path_are_arguments(app_of):
    @cptoolkit.expose
    class Resource:
        def GET(self, kind, number="none"):
            return f"{kind} {number}"

    client = app_of(Resource(), CONFIG)
    assert client.get("/a/1").text == "a 1"
    assert client.get("/a?number=2").text == "a 2"
    assert "Missing parameters: kind" in client.get("/", status=404)


def test_mixed_tree_serves_pages_and_resources(app_of):
    class Pages:
        service = Text()

        @cptoolkit.expose
        def index(self):
            return "a page"

    client = app_of(Pages(), {"/service": {"request.dispatch": MethodDispatcher()}})
    assert client.get("/").text == "a page"
    assert client.post("/service/", {"text": "x"}).text == "x"


def test_config_of_a_method_is_its_own(app_of):
    @cptoolkit.expose
    class Resource:
        def GET(self):
            return "got"

        @cptoolkit.config(**{"response.headers.X-Posted": "yes"})
        def POST(self):
            return "posted"

    client = app_of(Resource(), CONFIG)
    assert client.post("/").headers["X-Posted"] == "yes"
    assert "X-Posted" not in client.get("/").headers


def test_subclass_may_put_the_config_together_itself(app_of):
    class Own(MethodDispatcher):
        def find_handler(self, path):
            found = super().find_handler(path)
            cptoolkit.request.config["response.headers.X-Own"] = "yes"
            return found

    @cptoolkit.expose
    class Resource:
        @cptoolkit.config(**{"response.headers.X-Method": "GET"})
        def GET(self):
            return ""

    headers = app_of(Resource(), {"/": {"request.dispatch": Own()}}).get("/").headers
    assert (headers["X-Own"], headers["X-Method"]) == ("yes", "GET")


def test_lower_case_method_of_a_client_is_the_same_method(client):
    client.request("/text", method="get", status=200)
