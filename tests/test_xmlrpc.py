"""XML-RPC: the dispatcher, the controller and the tool, called by the standard library's client."""

import datetime
import xmlrpc.client
from xmlrpc.client import Fault

import pytest
from webob import Request

import cptoolkit
from cptoolkit.dispatch import Dispatcher, XMLRPCDispatcher
from cptoolkit.xmlrpc import XMLRPCController

DISPATCHER = {"/": {"request.dispatch": XMLRPCDispatcher()}}


class Math(XMLRPCController):
    @cptoolkit.expose
    def add(self, a, b):
        return a + b


class Branch:
    @cptoolkit.expose
    def name(self):
        return "branch"


class Root(XMLRPCController):
    math = Math()
    branch = Branch()

    @cptoolkit.expose
    def echo(self, value):
        return value

    @cptoolkit.expose
    def types(self, *values):
        return [type(value).__name__ for value in values]

    @cptoolkit.expose
    def fails(self):
        cptoolkit.response.status = 202
        raise ValueError("no <way>")

    @cptoolkit.expose
    def raises(self):
        raise Fault(42, "not today")

    @cptoolkit.expose
    def returns(self):
        return Fault(42, "not today")

    def hidden(self):
        raise AssertionError("never called")


def call(client, method, *args, path="/RPC2"):
    """What a method returns, or raises."""
    document = xmlrpc.client.dumps(args, method, allow_none=True).encode()
    answer = client.post(path, document, content_type="text/xml", status=200)
    assert answer.headers["Content-Type"] == "text/xml;charset=utf-8"
    return xmlrpc.client.loads(answer.body, use_builtin_types=True)[0][0]


@pytest.fixture(params=["without", "with dispatcher"])
def client(app_of, request):
    return app_of(Root(), {} if request.param == "without" else DISPATCHER)


@pytest.mark.parametrize("path", ["/RPC2", "/RPC2/", "/"])
def test_method_is_called_by_name(client, path):
    assert call(client, "echo", "é", path=path) == "é"


@pytest.mark.parametrize("path", ["/app/", "/app/RPC2"])
def test_controller_may_be_mounted(app_of, path):
    assert call(app_of(Root(), script_name="/app"), "echo", 1, path=path) == 1


def test_method_of_an_object_below_is_called_by_its_dotted_name(client):
    assert call(client, "math.add", 1, 2) == 3
    assert call(client, "branch.name") == "branch"


def test_controller_below_can_be_called_itself(client):
    assert call(client, "add", 1, 2, path="/math") == 3


def test_dispatcher_finds_objects_below_the_customary_path(app_of):
    assert call(app_of(Root(), DISPATCHER), "add", 1, 2, path="/RPC2/math") == 3


def test_next_dispatcher_may_be_another(app_of):
    class Lower(Dispatcher):
        def __call__(self, path_info):
            return super().__call__(path_info.lower())

    client = app_of(Root(), {"/": {"request.dispatch": XMLRPCDispatcher(Lower())}})
    assert call(client, "add", 1, 2, path="/RPC2/MATH") == 3


def test_page_beside_the_methods_is_a_page(app_of):
    class Mixed(Root):
        @cptoolkit.expose
        def page(self):
            return "a page"

    assert app_of(Mixed(), DISPATCHER).get("/page").text == "a page"


@pytest.mark.parametrize(
    "value", ["é<&>", b"\x00\xff", 2.5, True, [1, ["a"]], {"a": {"b": 1}},
              datetime.datetime(2026, 11, 22, 8, 11, 50)], ids=repr
)  # fmt: skip
def test_values_go_there_and_back(app_of, value):
    assert call(app_of(Root()), "echo", value) == value


def test_methods_get_plain_values(app_of):
    when = datetime.datetime(2026, 11, 22)
    assert call(app_of(Root()), "types", b"x", when) == ["bytes", "datetime"]


@pytest.mark.parametrize(
    "name",
    ["hidden", "nope", "math.nope", "__class__", "__init__", "branch.__class__", "echo.__call__"],
)
def test_method_that_is_not_exposed_is_a_fault(client, name):
    with pytest.raises(Fault, match="is not supported"):
        call(client, name)


def test_unexpected_exception_is_a_fault_that_tells_it(client):
    with pytest.raises(Fault, match="1: 'no <way>'"):
        call(client, "fails")


def test_unexpected_exception_with_the_tool_off_is_a_500(app_of):
    document = xmlrpc.client.dumps((), "fails").encode()
    client = app_of(Root(), {"/": {"tools.xmlrpc.on": False}})
    client.post("/", document, content_type="text/xml", status=500)


@pytest.mark.parametrize("method", ["raises", "returns"])
def test_fault_of_a_method_is_sent_as_it_is(client, method):
    with pytest.raises(Fault, match="42: 'not today'"):
        call(client, method)


def test_none_needs_an_option(app_of):
    with pytest.raises(Fault, match="cannot marshal None"):
        call(app_of(Root()), "echo", None)
    assert call(app_of(Root(), {"/": {"tools.xmlrpc.allow_none": True}}), "echo", None) is None


def test_answer_is_in_the_encoding_that_it_names(app_of):
    config = {"/": {"tools.xmlrpc.encoding": "ISO-8859-1"}}
    document = xmlrpc.client.dumps(("é日",), "echo").encode()
    answer = app_of(Root(), config).post("/", document, content_type="text/xml")
    assert answer.headers["Content-Type"] == "text/xml;charset=ISO-8859-1"
    assert b"ISO-8859-1" in answer.body
    assert b"\xe9" in answer.body
    assert xmlrpc.client.loads(answer.body)[0][0] == "é日"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no XML",
        b"<methodCall>",
        b"<methodCall><params></params></methodCall>",
        b"<methodCall><methodName>echo</methodName><params><param><value><int>x</int></value>"
        b"</param></params></methodCall>",
        xmlrpc.client.dumps(Fault(1, "x")).encode(),
    ],
    ids=["empty", "text", "cut", "no method", "no int", "a fault"],
)
def test_malformed_call_is_400(app_of, body):
    app_of(Root()).post("/", body, content_type="text/xml", status=400)


def test_huge_call_is_413(app_of):
    body = b" " * (10 * 2**20 + 1)
    app_of(Root()).post("/", body, content_type="text/xml", status=413)


def test_get_is_400(app_of):
    assert Request.blank("/").get_response(app_of(Root()).app).status_int == 400
