"""popargs: segments of the path as parameters by name (reference, 5.2.2)."""

import pytest

import cptoolkit


@cptoolkit.popargs("album_title")
class Album:
    @cptoolkit.expose
    def index(self, band_name, album_title):
        return f"About {album_title} by {band_name}..."


@cptoolkit.popargs("band_name")
class Band:
    """The listing of the reference."""

    def __init__(self):
        self.albums = Album()

    @cptoolkit.expose
    def index(self, band_name):
        return f"About {band_name}..."


@pytest.mark.parametrize(
    ("path", "text"),
    [("/nirvana/", "About nirvana..."),
     ("/nirvana/albums/nevermind/", "About nevermind by nirvana...")],
)  # fmt: skip
def test_segments_become_parameters(app_of, path, text):
    client = app_of(Band())
    assert client.get(path).text == text
    assert client.get(path[:-1], status=301).location == f"http://localhost:80{path}"


def test_segment_that_is_missing_is_a_missing_parameter(app_of):
    assert "Missing parameters: band_name" in app_of(Band()).get("/", status=404)


@pytest.mark.parametrize("path", ["/nirvana/x", "/nirvana/albums/nevermind/x", "/a/b/c"])
def test_segment_more_than_there_are_names_is_404(app_of, path):
    app_of(Band()).get(path, status=404)


def test_several_names_take_several_segments(app_of):
    @cptoolkit.popargs("track_num", "track_title")
    class Track:
        @cptoolkit.expose
        def index(self, band_name, album_title, track_num, track_title):
            return " ".join([band_name, album_title, track_num, track_title])

    root = Band()
    root.albums.tracks = Track()
    client = app_of(root)
    path = "/nirvana/albums/nevermind/tracks/06/polly"
    assert client.get(path, status=301).location == f"http://localhost:80{path}/"
    assert client.get(f"{path}/").text == "nirvana nevermind 06 polly"


def test_fewer_segments_than_names_give_the_first_names(app_of):
    @cptoolkit.popargs("year", "month", "day")
    class Blog:
        @cptoolkit.expose
        def index(self, year=None, month=None, day=None):
            return f"{year} {month} {day}"

    client = app_of(Blog())
    assert client.get("/").text == "None None None"
    assert client.get("/2026/11/").text == "2026 11 None"
    assert client.get("/2026/11/22/").text == "2026 11 22"


def test_page_after_the_segments_gets_the_parameters(app_of):
    @cptoolkit.popargs("number")
    class Items:
        @cptoolkit.expose
        def edit(self, number):
            return f"edit {number}"

    assert app_of(Items()).get("/7/edit").text == "edit 7"


def test_page_that_is_there_comes_before_the_segment(app_of):
    @cptoolkit.popargs("number")
    class Items:
        @cptoolkit.expose
        def new(self):
            return "new"

    assert app_of(Items()).get("/new").text == "new"


def test_handler_object_goes_on_with_the_rest(app_of):
    class Item:
        @cptoolkit.expose
        def index(self, kind, number):
            return f"{kind} {number}"

        @cptoolkit.expose
        def edit(self, kind, number):
            return f"edit {kind} {number}"

    @cptoolkit.popargs("kind", "number", handler=Item())
    class Items:
        pass

    client = app_of(Items())
    assert client.get("/book/7/").text == "book 7"
    assert client.get("/book/7/edit").text == "edit book 7"


def test_class_that_is_a_part_of_the_tree_has_nothing_below_the_segment(app_of):
    @cptoolkit.popargs("number")
    class Items:
        @cptoolkit.expose
        def index(self, number):
            raise AssertionError("nobody has made an object that this could be called on")

    class Root:
        items = Items

    client = app_of(Root())
    client.get("/items/7", status=404)
    client.get("/items/7/index", status=404)


@pytest.mark.parametrize("how", ["class", "function"])
def test_handler_may_be_made_from_the_segments(app_of, how):
    class Day:
        def __init__(self, year, month):
            self.date = f"{year}-{month}"

        @cptoolkit.expose
        def index(self):
            return self.date

    handler = Day if how == "class" else lambda year, month: Day(year, month)

    @cptoolkit.popargs("year", "month", handler=handler)
    class Calendar:
        pass

    assert app_of(Calendar()).get("/2026/11/").text == "2026-11"


def test_popargs_may_be_put_on_an_instance_as_its_cp_dispatch(app_of):
    class Items:
        _cp_dispatch = cptoolkit.popargs("number")

        @cptoolkit.expose
        def index(self, number=""):
            return f"item {number}"

    assert app_of(Items()).get("/7/").text == "item 7"


def test_parameters_of_the_client_count_over_those_of_the_path(app_of):
    # As in CherryPy: the query string is read after the dispatch, a body is added to both.
    client = app_of(Band())
    assert client.get("/nirvana/?band_name=other").text == "About other..."
    assert client.post("/a/", {"band_name": "b"}).text == "About ['a', 'b']..."


@pytest.mark.parametrize("names", [(7,), ("number", None), (Band,)])
def test_names_must_be_text(names):
    with pytest.raises(TypeError, match=r"@popargs\(\.\.\.\) takes names of parameters"):
        cptoolkit.popargs(*names)


def test_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match=r"popargs\(\) got an unexpected keyword argument 'hander'"):
        cptoolkit.popargs("number", hander=None)
