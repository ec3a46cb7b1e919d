"""The tools staticdir and staticfile in an object tree (reference, 4.7 and 4.10)."""

import gzip
import mimetypes
import os

import pytest
from webob import Request

import cptoolkit
from cptoolkit.middleware import Sessions

LONG_AGO = 1_000_000_000


@pytest.fixture
def home(tmp_path):
    files = {
        "static/js/my.js": "let x",
        "static/css/style.css": "body {}",
        "static/docs/index.html": "docs",
        "style.css": "p {}",
        "secret.txt": "secret",
        "data.csv": "1,2",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path


class Root:
    @cptoolkit.expose
    def index(self):
        return "index"

    @cptoolkit.expose
    def style_css(self):
        return "handler"


@pytest.fixture
def client(app_of, home):
    config = {
        "/": {"tools.staticdir.root": str(home)},
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": "static"},
        "/docs": {
            "tools.staticdir.on": True,
            "tools.staticdir.dir": "static/docs",
            "tools.staticdir.index": "index.html",
        },
        "/all": {
            "tools.staticdir.on": True,
            "tools.staticdir.dir": "static",
            "tools.staticdir.index": "index.html",
        },
        "/style.css": {
            "tools.staticfile.on": True,
            "tools.staticfile.filename": str(home / "style.css"),
        },
        "/none.css": {
            "tools.staticfile.on": True,
            "tools.staticfile.filename": str(home / "none.css"),
        },
        "/data.csv": {
            "tools.staticfile.on": True,
            "tools.staticfile.filename": str(home / "data.csv"),
        },
    }
    return app_of(Root(), config)


def test_single_file(client):
    response = client.get("/style.css")
    assert (response.text, response.headers["Content-Type"]) == ("p {}", "text/css")


def test_page_handler_answers_for_a_file_that_is_not_there(client):
    client.get("/none.css", status=404)


def test_page_handler_answers_other_methods(client):
    assert client.post("/style.css").text == "handler"


def test_whole_directory(client):
    response = client.get("/static/js/my.js")
    assert (response.text, response.headers["Content-Type"]) == ("let x", "text/javascript")
    assert response.headers["Last-Modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    css = client.get("/static/css/style.css")
    assert (css.text, css.headers["Content-Type"]) == ("body {}", "text/css")


@pytest.mark.parametrize("path", ["/static/css/none.css", "/static/", "/static/css", "/static"])
def test_what_is_not_there_is_not_found(client, path):
    client.get(path, status=404)


@pytest.mark.parametrize("path", ["/static/../secret.txt", "/static/%2e%2e/secret.txt"])
def test_way_up_is_forbidden(client, path):
    assert "lead out of the directory" in client.get(path, status=403)


def test_index_of_a_directory(client):
    assert client.get("/docs/").text == "docs"
    response = client.get("/docs", status=301)
    assert response.headers["Location"] == "http://localhost/docs/"
    assert client.get("/all/docs", status=301).headers["Location"] == ("http://localhost/all/docs/")


def test_redirect_knows_the_mount_point(app_of, home):
    config = {
        "/docs": {
            "tools.staticdir.on": True,
            "tools.staticdir.dir": str(home / "static" / "docs"),
            "tools.staticdir.index": "index.html",
        }
    }
    response = app_of(Root(), config, "/app").get("/app/docs?a=1", status=301)
    assert response.headers["Location"] == "http://localhost/app/docs/?a=1"


def test_media_type_that_the_program_sets(client, monkeypatch):
    monkeypatch.setitem(mimetypes.types_map, ".csv", "text/x-csv")
    assert client.get("/data.csv").headers["Content-Type"] == "text/x-csv"


def test_user_hook_that_comes_earlier_comes_before_the_file(app_of, home):
    def refuse():
        raise cptoolkit.HTTPError(401)

    entries = {"tools.staticdir.on": True, "tools.staticdir.dir": str(home / "static")}
    client = app_of(Root(), {"/static": entries})
    client.get("/static/js/my.js")
    client.app.merge({"/static": {"hooks.before_handler": cptoolkit_hook(refuse, 10)}})
    client.get("/static/js/my.js", status=401)


def cptoolkit_hook(function, priority):
    function.priority = priority
    return function


def test_directory_that_is_missing_in_config_is_told_in_the_log(app_of, caplog):
    client = app_of(Root(), {"/static": {"tools.staticdir.on": True, "tools.staticdir.dir": "x"}})
    client.get("/static/a", status=500)
    assert "dir must be an absolute path, or relative to a root" in caplog.text


def test_decorated_class_serves_a_directory(app_of, home):
    @cptoolkit.tools.staticdir(dir=str(home / "static"))
    class Assets:
        pass

    root = Root()
    root.assets = Assets()
    assert app_of(root).get("/assets/js/my.js").text == "let x"


def test_page_handler_that_is_a_directory(app_of, home):
    root = Root()
    root.files = cptoolkit.tools.staticdir.handler("/files", str(home / "static"))
    client = app_of(root)
    assert client.get("/files/js/my.js").text == "let x"
    client.get("/files/none", status=404)
    assert client.get("/files/js/my.js", headers={"Range": "bytes=0-2"}, status=206).text == "let"
    tag = client.get("/files/js/my.js").headers["ETag"]
    client.get("/files/js/my.js", headers={"If-None-Match": tag}, status=304)


def test_page_handler_that_is_a_file(app_of, home):
    root = Root()
    root.style = cptoolkit.tools.staticfile.handler(str(home / "style.css"))
    root.named = cptoolkit.tools.staticfile.handler(filename="style.css", root=str(home))
    root.gone = cptoolkit.tools.staticfile.handler(filename=str(home / "none"))
    client = app_of(root)
    assert client.get("/style").text == "p {}"
    assert client.head("/style").headers["Content-Length"] == "4"
    assert client.get("/named").text == "p {}"
    client.get("/gone", status=404)


def test_wrong_option_of_a_page_handler_is_told_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'filename'"):
        cptoolkit.tools.staticfile.handler(filenam="x")


def test_big_file_is_a_stream_with_its_length(app_of, home):
    (home / "static" / "big").write_bytes(b"x" * 100_000)
    entries = {"tools.staticdir.on": True, "tools.staticdir.dir": str(home / "static")}
    client = app_of(Root(), {"/static": entries})
    response = client.get("/static/big")
    assert (response.content_length, len(response.body)) == (100_000, 100_000)
    assert client.head("/static/big").content_length == 100_000


def test_big_file_that_is_compressed_is_never_whole_in_memory(app_of, home):
    (home / "static" / "big.txt").write_bytes(b"line\n" * 100_000)
    entries = {
        "tools.staticdir.on": True,
        "tools.staticdir.dir": str(home / "static"),
        "tools.gzip.on": True,
    }
    client = app_of(Root(), {"/static": entries})
    fields = {"Accept-Encoding": "gzip"}
    request = Request.blank("/static/big.txt", headers=fields)
    _, headers, body = request.call_application(client.app)
    try:
        blocks = list(body)
    finally:
        body.close()
    assert len(blocks) > 5
    assert gzip.decompress(b"".join(blocks)) == b"line\n" * 100_000
    assert "Content-Length" not in dict(headers)


def test_options_that_the_tool_lacks_are_told():
    with pytest.raises(TypeError, match="did you mean 'index'"):
        cptoolkit.tools.staticdir(indx="x")


class HostsOwn:
    """What a host that sends files by itself gives and recognises."""

    def __init__(self, file, block_size=8192):
        self.file, self.close = file, file.close

    def __iter__(self):
        return iter(lambda: self.file.read(8192), b"")


def test_host_can_send_a_file_by_itself_and_ends_the_request_by_closing_it(home):
    ended = []
    (home / "static" / "big.bin").write_bytes(bytes(100_000))
    config = {
        "/": {"hooks.on_end_request": lambda: ended.append(cptoolkit.request.path_info)},
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": str(home / "static")},
    }
    app = Sessions(cptoolkit.Application(None, "", config))
    request = Request.blank("/static/big.bin", {"wsgi.file_wrapper": HostsOwn})
    body = app(request.environ, lambda *args: None)
    assert type(body) is HostsOwn
    assert os.fstat(body.file.fileno()).st_size == 100_000
    assert ended == []
    body.close()
    assert body.file.closed
    assert ended == ["/static/big.bin"]
    body.close()
    assert len(ended) == 1
