"""Accept: only clients that take a media type on offer are answered (RFC 9110, 12.5.1)."""

import pytest
from webob import Request, Response
from webtest import TestApp

import cptoolkit
from cptoolkit.middleware.accept import Accept

OFFERS = ["text/plain", "application/json"]

CHOICES = [
    pytest.param(None, "text/plain", id="no field takes anything"),
    pytest.param("", "text/plain", id="an empty field takes anything"),
    pytest.param("*/*", "text/plain", id="anything"),
    pytest.param("application/json", "application/json", id="one of them"),
    pytest.param("application/*", "application/json", id="a range"),
    pytest.param("text/plain;q=0.5, application/json", "application/json", id="the liked best"),
    pytest.param("text/html, */*;q=0.1", "text/plain", id="anything at last"),
    pytest.param("text/plain;q=0, */*", "application/json", id="not that one"),
    pytest.param("nonsense", "text/plain", id="a malformed field counts as none"),
    pytest.param("image/png," * 300, "text/plain", id="a field too long to read counts as none"),
]


class Root:
    @cptoolkit.expose
    @cptoolkit.tools.accept(media=OFFERS)
    def index(self):
        return cptoolkit.request.environ["cptoolkit.accept"]


def application(environ, start_response):
    return Response(environ["cptoolkit.accept"])(environ, start_response)


@pytest.fixture(params=["middleware", "tool"])
def client(request, app_of):
    if request.param == "tool":
        return app_of(Root())
    return TestApp(Accept(application, media=OFFERS))


@pytest.mark.parametrize(("field", "chosen"), CHOICES)
def test_media_type_is_chosen(client, field, chosen):
    headers = {} if field is None else {"Accept": field}
    assert client.get("/", headers=headers).text == chosen


@pytest.mark.parametrize("field", ["text/html", "image/*", "text/plain;q=0", "*/*;q=0"])
def test_client_that_takes_none_gets_406_that_names_them(client, field):
    page = client.get("/", headers={"Accept": field}, status=406)
    assert "text/plain, application/json" in page
    assert field in page


@pytest.mark.parametrize("field", ["text/plain", "image/*"])
def test_caches_are_told_that_others_get_other_answers(client, field):
    answer = client.get("/", headers={"Accept": field}, status="*")
    assert "Accept" in answer.headers["Vary"].split(", ")


def test_offer_may_be_a_single_media_type():
    accept = Accept(application, media="text/css")
    assert Request.blank("/").get_response(accept).text == "text/css"


@pytest.mark.parametrize("media", ["html", "text/", "/html", "text/*", ["a/b", "x"], "", [5]])
def test_offer_that_is_no_media_type_is_refused(media):
    with pytest.raises(ValueError, match="media must be types such as 'text/html', got"):
        Accept(media=media)


@pytest.mark.parametrize("media", [[], None, 5])
def test_offer_must_be_there(media):
    with pytest.raises((TypeError, ValueError), match="media must be"):
        Accept(media=media)


def test_huge_field_is_read_in_no_time(client):
    assert client.get("/", headers={"Accept": "," * 100_000}, status="*").status_int in (200, 406)


def test_choice_and_refusal_are_the_same_in_every_place(host):
    def view(request):
        return Response(request.environ["cptoolkit.accept"], content_type="text/plain")

    site = host(view, Accept, media=OFFERS)
    chosen = site.fetch("/", headers={"Accept": "application/*"})
    assert chosen.body == b"application/json"
    assert chosen.headers["Vary"] == "Accept"
    refused = site.fetch("/", headers={"Accept": "image/png"})
    assert refused.status_int == 406
    assert b"text/plain, application/json" in refused.body


def test_tool_without_media_lets_everybody_pass(app_of):
    class Site:
        _cp_config = {"tools.accept.on": True}

        @cptoolkit.expose
        def page(self):
            return "page"

        @cptoolkit.expose
        @cptoolkit.tools.accept(media="application/json")
        def data(self):
            return "{}"

    client = app_of(Site())
    assert client.get("/page", headers={"Accept": "image/png"}).text == "page"
    client.get("/data", headers={"Accept": "image/png"}, status=406)
