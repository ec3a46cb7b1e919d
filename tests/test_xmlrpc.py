"""XML-RPC: the dispatcher, the controller and the tool, called by the standard library's client."""

import xmlrpc.client

import pytest

import cptoolkit
from cptoolkit.dispatch import Dispatcher, XMLRPCDispatcher
from cptoolkit.xmlrpc import XMLRPCController

DISPATCHER = {"/": {"request.dispatch": XMLRPCDispatcher()}}


class Math(XMLRPCController):
    @cptoolkit.expose
    def add(self, a, b):
        return a + b


class Root(XMLRPCController):
    math = Math()

    @cptoolkit.expose
    def echo(self, *args):
        return list(args)

    @cptoolkit.expose
    def nothing(self):
        return None

    @cptoolkit.expose
    def fails(self):
        raise KeyError("the database")

    @cptoolkit.expose
    def refuses(self):
        raise xmlrpc.client.Fault(42, "not today")

    def hidden(self):
        return "never"


def call(client, method, *args, path="/RPC2"):
    """What a method returns, or the Fault that it was answered with."""
    document = xmlrpc.client.dumps(args, method)
    response = client.post(path, document, content_type="text/xml")
    assert response.content_type == "text/xml"
    try:
        return xmlrpc.client.loads(response.body)[0][0]
    except xmlrpc.client.Fault as fault:
        return fault


@pytest.fixture(params=["without", "with dispatcher"])
def client(app_of, request):
    return app_of(Root(), {} if request.param == "without" else DISPATCHER)


@pytest.mark.parametrize("path", ["/RPC2", "/RPC2/", "/"])
def test_method_is_called_by_name(client, path):
    assert call(client, "echo", 1, "é", [True], path=path) == [1, "é", [True]]


def test_method_of_an_object_below_is_called_by_its_dotted_name(client):
    assert call(client, "math.add", 1, 2) == 3


def test_object_below_can_be_called_itself(client):
    assert call(client, "add", 1, 2, path="/math") == 3


def test_dispatcher_finds_objects_below_the_customary_path(app_of):
    assert call(app_of(Root(), DISPATCHER), "add", 1, 2, path="/RPC2/math") == 3


def test_next_dispatcher_may_be_another(app_of):
    class Lower(Dispatcher):
        def __call__(self, path_info):
            return super().__call__(path_info.lower())

    client = app_of(Root(), {"/": {"request.dispatch": XMLRPCDispatcher(Lower())}})
    assert call(client, "add", 1, 2, path="/RPC2/MATH") == 3


@pytest.mark.parametrize("method", ["hidden", "nope", "math.nope", "__class__", "echo.__call__"])
def test_method_that_is_not_exposed_is_a_fault(client, method):
    assert isinstance(call(client, method), xmlrpc.client.Fault)


def test_exception_of_a_method_is_a_fault_that_tells_it(client):
    fault = call(client, "fails")
    assert (fault.faultCode, fault.faultString) == (1, "'the database'")


def test_none_needs_an_option(app_of):
    assert isinstance(call(app_of(Root()), "nothing"), xmlrpc.client.Fault)
    assert call(app_of(Root(), {"/": {"tools.xmlrpc.allow_none": True}}), "nothing") is None


def test_page_beside_the_methods_is_a_page(app_of):
    class Mixed(Root):
        @cptoolkit.expose
        def page(self):
            return "a page"

    assert app_of(Mixed(), DISPATCHER).get("/page").text == "a page"


def test_fault_that_a_method_raises_is_sent_as_it_is(client):
    fault = call(client, "refuses")
    assert (fault.faultCode, fault.faultString) == (42, "not today")
