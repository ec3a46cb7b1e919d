"""Functions that make the current response a file, or a 304 (reference, 4.7.4)."""

import io
import mimetypes
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

import cptoolkit
from cptoolkit import static_functions
from cptoolkit.middleware.etags import tag_of
from cptoolkit.static_functions import (
    content_disposition,
    serve_download,
    serve_file,
    serve_fileobj,
    staticdir,
    staticfile,
    validate_etags,
    validate_since,
)

LONG_AGO = 1_000_000_000
MODIFIED = "Sun, 09 Sep 2001 01:46:40 GMT"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "style.css"
    path.write_bytes(b"body {}")
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def client_of(app_of):
    """A client of a page handler."""

    def make(handler):
        class Root:
            @cptoolkit.expose
            def index(self, **params):
                return handler(**params)

        return app_of(Root())

    return make


# -- serve_file -----------------------------------------------------------------------------


def test_file_is_served(client_of, file):
    response = client_of(lambda: serve_file(str(file))).get("/")
    assert response.body == b"body {}"
    assert response.headers["Content-Type"] == "text/css;charset=utf-8"
    assert response.headers["Content-Length"] == "7"
    assert response.headers["Last-Modified"] == MODIFIED
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["ETag"].startswith('"')
    assert "Content-Disposition" not in response.headers


def test_file_is_served_as_an_attachment(client_of, file):
    response = client_of(lambda: serve_file(str(file), "application/x-download", "attachment")).get(
        "/"
    )
    assert response.headers["Content-Type"] == "application/x-download"
    assert response.headers["Content-Disposition"] == 'attachment; filename="style.css"'
    assert response.body == b"body {}"


def test_response_has_the_body_already(client_of, file):
    def handler():
        serve_file(file)
        return cptoolkit.response.body

    assert client_of(handler).get("/").body == b"body {}"


def test_what_the_handler_has_set_is_kept(client_of, file):
    def handler():
        cptoolkit.response.headers["ETag"] = '"mine"'
        cptoolkit.response.headers["Last-Modified"] = "Sun, 06 Nov 1994 08:49:37 GMT"
        return serve_file(file)

    client = client_of(handler)
    assert client.get("/").headers["ETag"] == '"mine"'
    client.get("/", headers={"If-None-Match": '"mine"'}, status=304)


def test_head_is_answered_without_the_body(client_of, file):
    response = client_of(lambda: serve_file(str(file))).head("/")
    assert (response.content_length, response.body) == (7, b"")


@pytest.mark.parametrize("name", ["none.css", "a\0b", "style.css/x", "", "fifo"])
def test_file_that_is_not_there_is_not_found(client_of, file, name):
    os.mkfifo(file.with_name("fifo"))
    client_of(lambda: serve_file(f"{file.parent}/{name}")).get("/", status=404)


def test_relative_path_is_an_error_of_the_program(client_of, caplog):
    client_of(lambda: serve_file("style.css")).get("/", status=500)
    assert "must be absolute, got 'style.css'" in caplog.text


def test_client_that_has_the_file_gets_304(client_of, file):
    client = client_of(lambda: serve_file(str(file)))
    whole = client.get("/")
    for fields in ({"If-None-Match": whole.headers["ETag"]}, {"If-Modified-Since": MODIFIED}):
        response = client.get("/", headers=fields, status=304)
        assert response.headers["ETag"] == whole.headers["ETag"]
        assert "Content-Type" not in response.headers


def test_failed_precondition_gets_412(client_of, file):
    client = client_of(lambda: serve_file(str(file), disposition="attachment"))
    response = client.get("/", headers={"If-Match": '"x"'}, status=412)
    assert "Content-Disposition" not in response.headers


def test_part_of_a_file_is_served(client_of, file):
    client = client_of(lambda: serve_file(str(file)))
    response = client.get("/", headers={"Range": "bytes=1-2"}, status=206)
    assert (response.body, response.headers["Content-Range"]) == (b"od", "bytes 1-2/7")
    response = client.get("/", headers={"Range": "bytes=0-0,-1"}, status=206)
    assert response.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert response.content_length == len(response.body)
    response = client.get("/", headers={"Range": "bytes=7-"}, status=416)
    assert response.headers["Content-Range"] == "bytes */7"


def test_file_that_may_not_be_read_is_an_error_of_the_program(client_of, file, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(static_functions, "open_regular", refuse)
    client_of(lambda: serve_file(str(file))).get("/", status=500)


def test_debug_tells_in_the_log(client_of, file, caplog):
    client_of(lambda: serve_file(str(file), debug=True)).get("/")
    client_of(lambda: serve_file("/none", debug=True)).get("/", status=404)
    assert f"TOOLS.STATIC {str(file)!r} is sent" in caplog.text
    assert "TOOLS.STATIC '/none' is not there" in caplog.text


def test_mimetypes_are_at_hand_as_in_cherrypy():
    assert static_functions.mimetypes is mimetypes


# -- serve_download, Content-Disposition ----------------------------------------------------


def test_download_is_named_as_asked_for(client_of, file):
    response = client_of(lambda: serve_download(str(file), "Ä 1.css")).get("/")
    assert response.headers["Content-Type"] == "application/x-download"
    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\"A 1.css\"; filename*=UTF-8''%C3%84%201.css"
    )


@pytest.mark.parametrize(
    ("name", "field"),
    [
        pytest.param(None, "inline", id="no name"),
        pytest.param("a.txt", 'inline; filename="a.txt"', id="a plain name"),
        pytest.param('a"b\\c', r'inline; filename="a\"b\\c"', id="quotes"),
        pytest.param("a\r\nb: c", 'inline; filename="a__b: c"', id="line ends"),
        pytest.param("€", "inline; filename=\"\"; filename*=UTF-8''%E2%82%AC", id="nothing plain"),
        pytest.param("a\u202etxt.exe", 'inline; filename="a_txt.exe"', id="reversed by a control"),
        pytest.param("\udcff", 'inline; filename="_"', id="bytes that are no text"),
    ],
)
def test_name_is_written_for_all_clients(name, field):
    assert content_disposition("inline", name) == field


@given(st.text(max_size=20).filter(str.isprintable))
def test_name_is_read_as_it_was_written(name):
    disposition, options = parse_options_header(content_disposition("attachment", name))
    assert disposition == "attachment"
    if name.strip() == name or not name.isascii():  # blanks around a plain name may get lost
        assert options["filename"] == name


@given(st.text(max_size=20))
def test_any_name_makes_one_field(name):
    assert content_disposition("attachment", name).isprintable()


# -- serve_fileobj --------------------------------------------------------------------------


def test_file_object_is_served_and_closed(client_of):
    served = []

    def handler():
        served.append(io.BytesIO(b"abcdef"))
        return serve_fileobj(served[-1], "text/plain", "attachment", "a.txt")

    client = client_of(handler)
    response = client.get("/")
    assert (response.body, response.content_length) == (b"abcdef", 6)
    assert response.headers["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert "ETag" not in response.headers
    assert client.get("/", headers={"Range": "bytes=1-2"}, status=206).body == b"bc"
    client.get("/", headers={"Range": "bytes=9-"}, status=416)
    client.head("/")
    assert all(file.closed for file in served)
    assert len(served) == 4


def test_file_object_need_not_be_closable(client_of):
    class Source:
        def __init__(self):
            file = io.BytesIO(b"abcdef")
            self.read, self.seek, self.tell = file.read, file.seek, file.tell

    client = client_of(lambda: serve_fileobj(Source(), "text/plain"))
    assert client.get("/").body == b"abcdef"
    assert client.get("/", headers={"Range": "bytes=1-2"}, status=206).body == b"bc"
    client.get("/", headers={"Range": "bytes=9-"}, status=416)


def test_what_is_left_of_a_file_object_is_served(client_of):
    def handler():
        file = io.BytesIO(b"abcdef")
        file.seek(2)
        return serve_fileobj(file)

    client = client_of(handler)
    assert client.get("/").body == b"cdef"
    assert client.get("/", headers={"Range": "bytes=1-1"}, status=206).body == b"d"
    parts = client.get("/", headers={"Range": "bytes=0-0,-1"}, status=206).body
    assert b"\r\n\r\nc\r\n" in parts
    assert b"\r\n\r\nf\r\n" in parts


def test_open_file_is_served_with_its_validators(client_of, file):
    client = client_of(lambda: serve_fileobj(file.open("rb"), "text/css"))
    response = client.get("/")
    assert response.headers["Last-Modified"] == MODIFIED
    client.get("/", headers={"If-None-Match": response.headers["ETag"]}, status=304)


def test_temporary_file_is_served_with_what_has_not_been_written_yet(client_of):
    def handler():
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
        file.write(b"text")
        file.seek(0)
        return serve_fileobj(file)

    assert client_of(handler).get("/").body == b"text"


def test_pipe_is_a_stream(client_of):
    def handler():
        reading, writing = os.pipe()
        os.write(writing, b"through a pipe")
        os.close(writing)
        return serve_fileobj(os.fdopen(reading, "rb"), "text/plain")

    response = client_of(handler).get("/", headers={"Range": "bytes=0-0"})
    assert response.body == b"through a pipe"
    assert "Accept-Ranges" not in response.headers


def test_text_file_is_sent_as_utf8(client_of, file):
    file.write_text("näme", encoding="utf-16")
    client = client_of(lambda: serve_fileobj(file.open(encoding="utf-16"), "text/plain"))
    assert client.get("/", headers={"Range": "bytes=0-0"}).body == "näme".encode()


def test_object_that_can_only_be_read_is_a_stream(client_of):
    class Source:
        left = [b"a", b"b"]
        closed = 0

        def read(self, size):
            return self.left.pop(0) if self.left else b""

        def close(self):
            Source.closed += 1

    assert client_of(lambda: serve_fileobj(Source())).get("/").body == b"ab"
    assert Source.closed == 1


def test_file_object_is_closed_if_it_cannot_be_sent(client_of):
    file = io.BytesIO(b"x")
    client_of(lambda: serve_fileobj(file, "text/\r\nplain")).get("/", status=500)
    assert file.closed


# -- the tools as functions -----------------------------------------------------------------


def test_directory_can_be_served_from_a_page_handler(app_of, file):
    class Root:
        @cptoolkit.expose
        def default(self, *path):
            found = staticdir("/", str(file.parent), content_types={"css": "text/x-mine"})
            return cptoolkit.response.body if found else "no file"

    client = app_of(Root())
    response = client.get("/style.css")
    assert response.body == b"body {}"
    assert response.headers["Content-Type"] == "text/x-mine;charset=utf-8"
    assert client.get("/none.css").text == "no file"
    client.get("/../x", status=403)


def test_file_can_be_served_from_a_page_handler(client_of, file):
    def handler(name):
        return cptoolkit.response.body if staticfile(name, root=str(file.parent)) else "no file"

    client = client_of(handler)
    assert client.get("/?name=style.css").body == b"body {}"
    assert client.get("/?name=none.css").text == "no file"


def test_user_tool_can_call_it(app_of, file):
    def assets():
        if staticfile(str(file)):
            cptoolkit.serving.request.handler = None

    cptoolkit.tools.assets = cptoolkit.Tool("before_handler", assets)

    class Root:
        @cptoolkit.expose
        def index(self):
            return "handler"

    assert app_of(Root(), {"/": {"tools.assets.on": True}}).get("/").body == b"body {}"


# -- conditional requests -------------------------------------------------------------------


def test_handler_refuses_a_change_of_another_version(client_of):
    changes = []

    def handler():
        cptoolkit.response.headers["ETag"] = '"a"'
        validate_etags()
        changes.append(1)
        return "changed"

    client = client_of(handler)
    client.put("/", headers={"If-Match": '"b"'}, status=412)
    client.put("/", headers={"If-None-Match": "*"}, status=412)
    assert changes == []
    client.put("/", headers={"If-Match": '"a"'})
    client.get("/", headers={"If-None-Match": 'W/"a"'}, status=304)
    assert changes == [1]


def test_tool_leaves_alone_what_the_handler_has_compared(app_of):
    class Root:
        @cptoolkit.expose
        def index(self):
            headers = cptoolkit.response.headers
            headers["ETag"] = '"a"'
            validate_etags()
            headers["ETag"] = '"b"'
            return "changed"

    client = app_of(Root(), {"/": {"tools.etags.on": True}})
    assert client.put("/", headers={"If-Match": '"a"'}).text == "changed"


def test_tag_is_made_of_the_body_that_is_there(client_of):
    def handler():
        cptoolkit.response.body = [b"te", b"xt"]
        validate_etags(autotags=True)
        return cptoolkit.response.body

    client = client_of(handler)
    assert client.get("/").headers["ETag"] == tag_of(b"text")
    client.get("/", headers={"If-None-Match": tag_of(b"text")}, status=304)


def test_conditions_do_not_count_for_an_error(client_of):
    def handler():
        cptoolkit.response.status = 404
        cptoolkit.response.headers["ETag"] = '"a"'
        cptoolkit.response.headers["Last-Modified"] = MODIFIED
        validate_etags()
        validate_since()
        return "no"

    fields = {"If-None-Match": '"a"', "If-Modified-Since": MODIFIED}
    client_of(handler).get("/", headers=fields, status=404)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({"If-Modified-Since": MODIFIED}, 304, id="not modified"),
        pytest.param({"If-Modified-Since": "Sun, 09 Sep 2001 01:46:39 GMT"}, 200, id="modified"),
        pytest.param({"If-Unmodified-Since": "Sun, 09 Sep 2001 01:46:39 GMT"}, 412, id="412"),
        pytest.param({"If-Modified-Since": MODIFIED, "If-None-Match": '"x"'}, 200, id="tags win"),
        pytest.param(
            {"If-Unmodified-Since": "Sun, 09 Sep 2001 01:46:39 GMT", "If-Match": '"x"'},
            200,
            id="and leave the tags to others",
        ),
    ],
)
def test_dates_are_compared(client_of, fields, status):
    def handler():
        cptoolkit.response.headers["Last-Modified"] = MODIFIED
        validate_since()
        return "text"

    client_of(handler).get("/", headers=fields, status=status)


def test_debug_tells_what_was_compared(client_of, caplog):
    client_of(lambda: validate_etags(debug=True)).get("/")
    assert "TOOLS.ETAGS ETag None: go on" in caplog.text
