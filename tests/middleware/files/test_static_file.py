"""StaticFile: one file in front of an application (reference, 4.7.1)."""

import logging
import os

import pytest
from webob import Request, Response

from cptoolkit.middleware.files.static import StaticFile

LONG_AGO = 1_000_000_000


def page(request):
    return Response("from the app", content_type="text/plain")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "style.css"
    path.write_bytes(b"body {}")
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def site(host, file):
    return host(page, StaticFile, filename=str(file), match=r"^/style\.css$")


def test_file_is_sent_with_what_describes_it(site):
    answer = site.fetch("/style.css")
    assert (answer.status, answer.body) == ("200 OK", b"body {}")
    assert answer.headers["Content-Type"] == "text/css"
    assert answer.headers["Content-Length"] == "7"
    assert answer.headers["Last-Modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert answer.headers["ETag"].startswith('"')


def test_application_answers_what_does_not_match(site):
    assert site.fetch("/other").body == b"from the app"


def test_application_answers_other_methods(site):
    assert site.fetch("/style.css", "POST").body == b"from the app"


def test_client_that_has_the_file_gets_304(site):
    tag = site.fetch("/style.css").headers["ETag"]
    answer = site.fetch("/style.css", headers={"If-None-Match": tag})
    assert (answer.status_int, answer.body, answer.headers["ETag"]) == (304, b"", tag)


def test_part_of_the_file_is_sent(site):
    answer = site.fetch("/style.css", headers={"Range": "bytes=-2"})
    assert (answer.status_int, answer.body) == (206, b"{}")
    assert answer.headers["Content-Range"] == "bytes 5-6/7"


def test_application_answers_where_the_file_is_not_there(alone, tmp_path, caplog):
    site = alone(page, StaticFile, filename="none.css", root=str(tmp_path))
    assert f"there is no file {str(tmp_path / 'none.css')!r}" in caplog.text
    assert site.fetch("/style.css").body == b"from the app"
    (tmp_path / "none.css").write_bytes(b"late")
    assert site.fetch("/style.css").body == b"late"


def test_directory_is_no_file(alone, tmp_path):
    assert alone(page, StaticFile, filename=str(tmp_path)).fetch("/").body == b"from the app"


def test_file_that_changes_is_sent_as_it_is_now(alone, file):
    site = alone(page, StaticFile, filename=str(file), max_age=10)
    assert site.fetch("/").headers["Cache-Control"] == "max-age=10"
    file.write_bytes(b"p {}")
    assert site.fetch("/").body == b"p {}"


def test_file_compressed_beforehand_is_sent_to_who_accepts_it(alone, file):
    compressed = file.with_name("style.css.gz")
    compressed.write_bytes(b"gz")
    site = alone(page, StaticFile, filename=str(file))
    fields = {"Accept-Encoding": "gzip"}
    assert site.fetch("/", headers=fields).body == b"gz"
    compressed.write_bytes(b"gz again")
    assert site.fetch("/", headers=fields).body == b"gz again"


def test_file_may_be_a_link(alone, file, tmp_path):
    (tmp_path / "link.css").symlink_to(file)
    assert alone(page, StaticFile, filename="link.css", root=str(tmp_path)).fetch("/").body == (
        b"body {}"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"filename": "a.css"}, "filename must be an absolute path", id="relative"),
        pytest.param({"filename": "a", "root": None}, "got filename='a', root=''", id="no root"),
        pytest.param({}, "filename must be a path, got ''", id="nothing"),
    ],
)
def test_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StaticFile(Response(), **options)


def test_file_with_a_nul_in_its_name_is_not_there():
    layer = StaticFile(Response("app"), filename="/a\0b")
    assert Request.blank("/").get_response(layer).body == b"app"


def test_debug_tells_what_becomes_of_a_request(alone, file, caplog):
    caplog.set_level(logging.INFO)
    site = alone(page, StaticFile, filename=str(file), match="css", debug=True)
    site.fetch("/a.css")
    site.fetch("/other")
    assert f"/a.css: answered with {str(file)!r}" in caplog.text
    assert "/other: does not match 'css'" in caplog.text
