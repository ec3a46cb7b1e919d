"""What the reference says of static content, tried with programs like its own."""

import mimetypes
import os

import pytest

import cptoolkit as cherrypy
from cptoolkit.lib import static

CSS = b"p { margin: 0 }\n"
ICON = b"\0\0\1\0 an icon"


@pytest.fixture
def site(tmp_path):
    """A folder such as the reference has in /home/site, and a secret beside it."""
    folder = tmp_path / "site"
    for name, content in {
        "style.css": CSS,
        "static/js/my.js": b"go();",
        "static/index.html": b"<p>Welcome</p>",
        "static/list.csv": b"a,b",
        "own.ico": ICON,
        "secret.txt": b"secret",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1_500_000_000, 1_500_000_000))
    return folder


class Root:
    @cherrypy.expose
    def index(self):
        return "a page"


def below_static(site, **options):
    entries = {f"tools.staticdir.{name}": value for name, value in options.items()}
    return {"/static": {"tools.staticdir.on": True, **entries}}


def test_stylesheet_of_a_folder_below_a_root(app_of, site):
    """3.6: the root stands in the section of the whole application."""
    (site / "public" / "css").mkdir(parents=True)
    (site / "public" / "css" / "style.css").write_bytes(CSS)
    config = {"/": {"tools.staticdir.root": str(site)}, **below_static(site, dir="./public")}
    client = app_of(Root(), config)
    answer = client.get("/static/css/style.css")
    assert answer.body == CSS
    assert answer.headers["Content-Type"] == "text/css"
    assert "Last-Modified" in answer.headers
    assert client.get("/").text == "a page"
    for path in ("/static/css/none.css", "/static/", "/static/css"):
        client.get(path, status=404)


def test_page_handler_may_return_an_open_file(app_of, site):
    """3.8: the page of the tutorial comes from a file."""

    class Page:
        @cherrypy.expose
        def index(self):
            return (site / "static" / "index.html").open("rb")

    answer = app_of(Page()).get("/")
    assert answer.body == b"<p>Welcome</p>"
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"


def test_media_type_can_be_added_to_the_modules_map(app_of, site, monkeypatch):
    """4.7, its note."""
    monkeypatch.setitem(mimetypes.types_map, ".csv", "text/x-list")
    client = app_of(Root(), below_static(site, dir=str(site / "static")))
    assert client.get("/static/list.csv").headers["Content-Type"] == "text/x-list"


def test_single_file(app_of, site):
    """4.7.1."""
    entries = {"tools.staticfile.on": True, "tools.staticfile.filename": str(site / "style.css")}
    answer = app_of(Root(), {"/style.css": entries}).get("/style.css")
    assert (answer.body, answer.headers["Content-Type"]) == (CSS, "text/css")


def test_whole_directory(app_of, site):
    """4.7.2."""
    client = app_of(Root(), below_static(site, dir=str(site / "static")))
    answer = client.get("/static/js/my.js")
    assert answer.body == b"go();"
    assert answer.headers["Content-Type"] == "text/javascript"


def test_directory_by_a_config_file(app_of, site, tmp_path):
    """4.7.2: a root, and a folder below it."""
    file = tmp_path / "app.conf"
    file.write_text(
        f'[/]\ntools.staticdir.root = "{site}"\n\n'
        '[/static]\ntools.staticdir.on = True\ntools.staticdir.dir = "static"\n'
    )
    assert app_of(Root(), str(file)).get("/static/js/my.js").body == b"go();"


@pytest.mark.parametrize("path", ["/static/../secret.txt", "/static/%2e%2e/secret.txt"])
def test_path_does_not_lead_out_of_the_directory(app_of, site, path):
    """4.7.2."""
    client = app_of(Root(), below_static(site, dir=str(site / "static")))
    assert b"secret" not in client.get(path, status=403).body.replace(b"secret.txt", b"")


def test_root_may_be_the_directory_itself(app_of, site):
    """4.7.2: ``dir`` is joined to the root."""
    config = {"/": {"tools.staticdir.root": str(site)}, **below_static(site, dir="")}
    assert app_of(Root(), config).get("/static/style.css").body == CSS


def test_relative_directory_without_a_root_is_refused(app_of, site):
    """4.7.2, its note: paths are absolute."""
    client = app_of(Root(), below_static(site, dir="static"))
    assert "absolute" in client.get("/static/js/my.js", status=500)


def test_directory_without_an_index_is_not_found(app_of, site):
    """4.7.3."""
    client = app_of(Root(), below_static(site, dir=str(site / "static")))
    assert client.get("/static/", status=404)


def test_index_file_stands_for_the_directory(app_of, site):
    """4.7.3."""
    client = app_of(Root(), below_static(site, dir=str(site / "static"), index="index.html"))
    assert client.get("/static/").body == b"<p>Welcome</p>"
    assert client.get("/static", status=301).headers["Location"].endswith("/static/")


class Downloads:
    def __init__(self, folder):
        self.folder = folder

    @cherrypy.expose
    def fetch(self, name):
        return static.serve_file(str(self.folder / name), "application/x-download", "attachment")

    @cherrypy.expose
    def relative(self):
        return static.serve_file("style.css", "application/x-download", "attachment")


def test_file_to_be_saved(app_of, site):
    """4.7.4."""
    client = app_of(Downloads(site))
    answer = client.get("/fetch?name=style.css")
    assert answer.body == CSS
    assert answer.headers["Content-Type"] == "application/x-download"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="style.css"'
    client.get("/fetch?name=none.css", status=404)
    client.get("/relative", status=500)


class Sending:
    def __init__(self, file):
        self.file = file

    @cherrypy.expose
    def blocks(self):
        return cherrypy.lib.file_generator(self.file.open("rb"), 4)

    @cherrypy.expose
    def css(self):
        cherrypy.tools.staticfile.callable(filename=str(self.file))
        return cherrypy.response.body


def test_page_may_return_a_file_in_blocks(app_of, site):
    """4.7.4: with functions of the library."""
    assert app_of(Sending(site / "style.css")).get("/blocks").body == CSS


def test_page_may_call_the_tool(app_of, site):
    """7.2.2: a tool's ``callable`` is its function."""
    answer = app_of(Sending(site / "style.css")).get("/css")
    assert answer.body == CSS
    assert answer.headers["Content-Type"].startswith("text/css")


def test_favicon_of_ones_own(app_of, site):
    """4.10: the section of config for it."""
    entries = {"tools.staticfile.on": True, "tools.staticfile.filename": str(site / "own.ico")}
    answer = app_of(Root(), {"/favicon.ico": entries}).get("/favicon.ico")
    assert answer.body == ICON
    assert "icon" in answer.headers["Content-Type"]


def test_favicon_by_a_config_file(app_of, site, tmp_path):
    """4.10: the same as file."""
    file = tmp_path / "app.conf"
    file.write_text(
        "[/favicon.ico]\n"
        "tools.staticfile.on: True\n"
        f'tools.staticfile.filename: "{site / "own.ico"}"\n'
    )
    assert app_of(Root(), str(file)).get("/favicon.ico").body == ICON


def test_tool_is_a_page_handler(app_of, site):
    """7.2.2: tools that answer have a ``handler``."""

    class Tree(Root):
        files = cherrypy.tools.staticdir.handler(section="/files", dir=str(site / "static"))
        css = cherrypy.tools.staticfile.handler(str(site / "style.css"))

    client = app_of(Tree())
    assert client.get("/files/js/my.js").body == b"go();"
    client.get("/files/js/none.js", status=404)
    assert client.get("/css").body == CSS
