"""5.1, 5.2, 7.3, 8.8 and the glossary: how the reference's URLs find their functions."""

import pytest

import cptoolkit as cherrypy
from cptoolkit._cpdispatch import Dispatcher


class Letters:
    @cherrypy.expose(["generer", "generar"])
    def generate(self, length=8):
        return "abcdefghijklmnopqrst"[: int(length)]


@pytest.mark.parametrize(
    ("url", "length"), [("/generate", 8), ("/generer", 8), ("/generar?length=3", 3)]
)
def test_page_has_aliases(app_of, url, length):
    """5.1."""
    assert len(app_of(Letters()).get(url).text) == length


def test_name_that_is_no_alias_is_not_found(app_of):
    """5.1."""
    app_of(Letters()).get("/xx", status=404)


class Album:
    @cherrypy.expose
    def index(self, artist, title):
        return f"About {title} by {artist}..."


class Band:
    """The first of the two ways to answer /artist/ and /artist/albums/title/."""

    def __init__(self):
        self.albums = Album()

    def _cp_dispatch(self, vpath):
        if len(vpath) == 1:
            cherrypy.request.params["name"] = vpath.pop()
            return self
        if len(vpath) == 3:
            cherrypy.request.params["artist"] = vpath.pop(0)
            vpath.pop(0)
            cherrypy.request.params["title"] = vpath.pop(0)
            return self.albums
        return vpath

    @cherrypy.expose
    def index(self, name):
        return f"About {name}..."


@cherrypy.popargs("title")
class PoppedAlbum(Album):
    pass


@cherrypy.popargs("artist")
class PoppedBand:
    """The second way."""

    def __init__(self):
        self.albums = PoppedAlbum()

    @cherrypy.expose
    def index(self, artist):
        return f"About {artist}..."


@pytest.fixture(params=[Band, PoppedBand], ids=["_cp_dispatch", "popargs"])
def band(app_of, request):
    return app_of(request.param())


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("/nirvana/", "About nirvana..."),
        ("/nirvana/albums/nevermind/", "About nevermind by nirvana..."),
    ],
)
def test_segments_of_the_path_become_parameters(band, url, text):
    """5.2.1 and 5.2.2: with a slash, as an index has one; without it the client is led there."""
    assert band.get(url).text == text
    moved = band.get(url.rstrip("/"), status=301)
    assert moved.follow().text == text


def test_segment_that_is_not_there_is_a_missing_parameter(band):
    """5.2.1 and 5.2.2."""
    assert "Missing parameters: " in band.get("/", status=404).text


@pytest.mark.parametrize("url", ["/", "/?artist=nirvana"])
def test_name_that_no_segment_gives_is_told_as_missing(app_of, url):
    """5.2.1."""
    page = app_of(Band()).get(url, status=404).text
    assert "Missing parameters: name" in page


def test_listing_that_nobody_takes_further_is_not_found(band):
    """5.2.1: ``_cp_dispatch`` gives back the segments that it does not know."""
    page = band.get("/a/b", status=404).text
    assert "The path '/a/b' was not found." in page or "Nothing matches the given URI" in page


def test_url_can_be_had_with_a_query_too(app_of):
    """5.2.1: what the segments stand for."""
    url = "/albums/?artist=nirvana&title=nevermind"
    assert app_of(Band()).get(url).text == "About nevermind by nirvana..."


@cherrypy.popargs("number", "song")
class Track:
    @cherrypy.expose
    def index(self, artist, title, number, song):
        return " ".join([artist, title, number, song])


@cherrypy.popargs("title")
class AlbumOfTracks:
    def __init__(self):
        self.tracks = Track()


@cherrypy.popargs("artist")
class BandWithTracks:
    def __init__(self):
        self.albums = AlbumOfTracks()


def test_popargs_takes_several_names(app_of):
    """5.2.2: the handler gets the whole stack of segments."""
    client = app_of(BandWithTracks())
    moved = client.get("/nirvana/albums/nevermind/tracks/06/polly", status=301)
    assert moved.follow().text == "nirvana nevermind 06 polly"


class LowerCase(Dispatcher):
    def __call__(self, path_info):
        return Dispatcher.__call__(self, path_info.lower())


def test_dispatcher_of_ones_own_leads_to_lower_case_handlers(app_of):
    """7.3."""
    client = app_of(Letters(), {"/": {"request.dispatch": LowerCase()}})
    for url in ("/generate?length=8", "/GENerAte?length=8"):
        assert client.get(url).text == "abcdefgh"


def test_default_dispatcher_tells_cases_apart(app_of):
    """7.3."""
    app_of(Letters()).get("/GENerAte?length=8", status=404)


class App:
    def __init__(self, name):
        self.name = name

    @cherrypy.expose
    def index(self):
        return "Hello world from " + self.name


class Hosts:
    def __init__(self):
        self.app1, self.app2 = App("app1"), App("app2")


@pytest.fixture
def hosts(app_of):
    hostmap = {"company.com:8080": "/app1", "home.net:8080": "/app2"}
    return app_of(Hosts(), {"/": {"request.dispatch": cherrypy.dispatch.VirtualHost(**hostmap)}})


@pytest.mark.parametrize(("host", "app"), [("company.com:8080", "app1"), ("home.net:8080", "app2")])
def test_domain_leads_to_its_application(hosts, host, app):
    """8.8."""
    assert hosts.get("/", headers={"Host": host}).text == f"Hello world from {app}"


def test_domain_that_a_proxy_names_counts(hosts):
    """8.8: as 8.9 has nginx name it."""
    fields = {"Host": "127.0.0.1:8081", "X-Forwarded-Host": "company.com:8080"}
    assert hosts.get("/", headers=fields).text == "Hello world from app1"


@pytest.mark.parametrize("host", ["company.com", "example.org:8080"])
def test_other_domain_or_port_has_no_application(hosts, host):
    """8.8: the map names the port, so it counts."""
    hosts.get("/", headers={"Host": host}, status=404)


def test_attribute_does_what_the_decorator_does(app_of):
    """12: a function is exposed that has the attribute, however it came by it."""

    class Root:
        @cherrypy.expose
        def decorated(self):
            return "found"

        def marked(self):
            return "found"

        marked.exposed = True

        def hidden(self):
            return "never"

    client = app_of(Root())
    assert client.get("/decorated").text == client.get("/marked").text == "found"
    client.get("/hidden", status=404)
