"""Objects whose methods clients call by XML-RPC."""

import datetime
import xmlrpc.client
from xmlrpc.client import Fault

import pytest
from webob import Request

import cptoolkit
from cptoolkit.xmlrpc import XMLRPCController

ON = {"/": {"tools.xmlrpc.on": True}}


class Branch:
    @cptoolkit.expose
    def name(self):
        return "branch"


class Methods(XMLRPCController):
    branch = Branch()

    @cptoolkit.expose
    def add(self, a, b):
        return a + b

    @cptoolkit.expose
    def echo(self, value):
        return value

    @cptoolkit.expose
    def types(self, *values):
        return [type(value).__name__ for value in values]

    @cptoolkit.expose
    def crash(self):
        cptoolkit.response.status = 202
        raise ValueError("no <way>")

    @cptoolkit.expose
    def fault(self):
        return Fault(7, "own")

    def hidden(self):
        raise AssertionError("never called")


def send(client, method, *params, path="/", **options):
    """What a call gives, or raises."""
    document = xmlrpc.client.dumps(params, method, **options).encode()
    answer = client.post(path, document, content_type="text/xml")
    assert answer.headers["Content-Type"].startswith("text/xml")
    return xmlrpc.client.loads(answer.body, use_builtin_types=True)[0][0]


@pytest.mark.parametrize("path", ["/", "/RPC2", "/RPC2/"])
def test_call_runs_the_method(app_of, path):
    assert send(app_of(Methods(), ON), "add", 2, 3, path=path) == 5


@pytest.mark.parametrize("path", ["/app/", "/app/RPC2"])
def test_controller_may_be_mounted(app_of, path):
    assert send(app_of(Methods(), ON, script_name="/app"), "add", 2, 3, path=path) == 5


def test_dots_lead_to_objects_below(app_of):
    assert send(app_of(Methods(), ON), "branch.name") == "branch"


@pytest.mark.parametrize(
    "value", ["é<&>", b"\x00\xff", 2.5, True, [1, ["a"]], {"a": {"b": 1}},
              datetime.datetime(2026, 11, 22, 8, 11, 50)], ids=repr
)  # fmt: skip
def test_values_go_there_and_back(app_of, value):
    assert send(app_of(Methods(), ON), "echo", value) == value


def test_methods_get_plain_values(app_of):
    when = datetime.datetime(2026, 11, 22)
    assert send(app_of(Methods(), ON), "types", b"x", when) == ["bytes", "datetime"]


@pytest.mark.parametrize(
    "name", ["hidden", "nowhere", "__init__", "branch.__class__", "add.__call__"]
)
def test_method_that_is_not_exposed_is_a_fault(app_of, name):
    with pytest.raises(Fault, match="is not supported"):
        send(app_of(Methods(), ON), name)


def test_unexpected_exception_is_a_fault(app_of):
    with pytest.raises(Fault, match="1: 'no <way>'"):
        send(app_of(Methods(), ON), "crash")


def test_unexpected_exception_with_the_tool_off_is_a_500(app_of):
    document = xmlrpc.client.dumps((), "crash").encode()
    client = app_of(Methods(), {"/": {"tools.xmlrpc.on": False}})
    client.post("/", document, content_type="text/xml", status=500)


def test_fault_that_a_method_returns_is_sent(app_of):
    with pytest.raises(Fault, match="7: 'own'"):
        send(app_of(Methods(), ON), "fault")


def test_none_needs_allow_none(app_of):
    with pytest.raises(Fault, match="cannot marshal None"):
        send(app_of(Methods(), ON), "echo", None, allow_none=True)
    config = {"/": {**ON["/"], "tools.xmlrpc.allow_none": True}}
    assert send(app_of(Methods(), config), "echo", None, allow_none=True) is None


def test_answer_is_in_the_encoding_that_it_names(app_of):
    config = {"/": {**ON["/"], "tools.xmlrpc.encoding": "ISO-8859-1"}}
    document = xmlrpc.client.dumps(("é日",), "echo").encode()
    answer = app_of(Methods(), config).post("/", document, content_type="text/xml")
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
        b"<methodCall><methodName>add</methodName><params><param><value><int>x</int></value>"
        b"</param></params></methodCall>",
        xmlrpc.client.dumps(Fault(1, "x")).encode(),
    ],
    ids=["empty", "text", "cut", "no method", "no int", "a fault"],
)
def test_malformed_call_is_400(app_of, body):
    app_of(Methods(), ON).post("/", body, content_type="text/xml", status=400)


def test_huge_call_is_413(app_of):
    body = b" " * (10 * 2**20 + 1)
    app_of(Methods(), ON).post("/", body, content_type="text/xml", status=413)


def test_get_is_400(app_of):
    assert Request.blank("/").get_response(app_of(Methods(), ON).app).status_int == 400
