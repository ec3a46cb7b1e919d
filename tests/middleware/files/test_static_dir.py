"""StaticDir: the files of a directory, and nothing beside them (reference, 4.7.2)."""

import errno
import logging
import os
import socket
import sys
from contextlib import contextmanager
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request, Response

from cptoolkit.middleware.files import answers, cache
from cptoolkit.middleware.files import scan as scan_module
from cptoolkit.middleware.files.answers import open_regular
from cptoolkit.middleware.files.static import StaticDir

LONG_AGO = 1_000_000_000
MODIFIED = "Sun, 09 Sep 2001 01:46:40 GMT"


def write(path, content, mtime=LONG_AGO):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (mtime, mtime))
    return path


def page(request):
    return Response("from the app", content_type="text/plain")


@pytest.fixture
def root(tmp_path):
    """A directory of files, with another beside it that begins with the same letters."""
    static = tmp_path / "static"
    write(static / "style.css", b"body {}")
    write(static / "js" / "my.js", b"let x")
    write(static / "docs" / "index.html", b"<h1>docs</h1>")
    write(static / "a b%25.txt", b"odd name")
    write(static / "näme.txt", b"umlaut")
    write(static / ".hidden", b"secret")
    write(static / ".git" / "config", b"secret")
    write(static / "empty.txt", b"")
    write(static / "big.bin", bytes(range(256)) * 1000)
    write(tmp_path / "static-private" / "secret.txt", b"secret")
    write(tmp_path / "secret.txt", b"secret")
    return static


@pytest.fixture(params=[False, True], ids=["looked at", "scanned"])
def scan(request):
    """Whether the directory is read once: all is the same then but for what changes later."""
    return request.param


live = pytest.mark.parametrize("scan", [False], ids=["looked at"])
scanned = pytest.mark.parametrize("scan", [True], ids=["scanned"])


@pytest.fixture
def site(host, root, scan):
    return host(page, StaticDir, dir=str(root), index="index.html", scan=scan)


@pytest.fixture
def bare(alone, root, scan):
    def make(**options):
        known = {"dir": str(root), "section": "/static", "scan": scan}
        return alone(page, StaticDir, **{**known, **options})

    return make


@pytest.fixture
def below(bare):
    """The directory below a section, around a bare application."""
    return bare(index="index.html")


# -- what is sent ---------------------------------------------------------------------------


def test_file_is_sent_with_what_describes_it(site):
    answer = site.fetch("/style.css")
    assert (answer.status, answer.body) == ("200 OK", b"body {}")
    assert answer.headers["Content-Type"] == "text/css"  # whatever charset it is in
    assert answer.headers["Content-Length"] == "7"
    assert answer.headers["Last-Modified"] == MODIFIED
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')


def test_file_further_down_is_sent(site):
    assert site.fetch("/js/my.js").body == b"let x"


@pytest.mark.parametrize("path", ["/static/style.css", "/static/big.bin", "/static/empty.txt"])
def test_head_has_the_headers_of_get(below, path):
    get, head = below.fetch(path), below.fetch(path, "HEAD")
    assert head.status == get.status == "200 OK"
    assert sorted(head.headerlist) == sorted(get.headerlist)
    assert head.body == b""


def test_file_that_is_too_big_for_memory_is_sent(site):
    assert site.fetch("/big.bin").body == bytes(range(256)) * 1000


@pytest.mark.parametrize("path", ["/", "/other", "/statics/style.css", "/static/none.css"])
def test_application_answers_where_there_is_no_file(below, path):
    assert below.fetch(path).body == b"from the app"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_application_answers_other_methods(below, method):
    assert below.fetch("/static/style.css", method).body == b"from the app"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/static/a%20b%2525.txt", b"odd name", id="decoded once, and not twice"),
        pytest.param("/static/n%C3%A4me.txt", b"umlaut", id="UTF-8"),
        pytest.param("/static//style.css", b"body {}", id="slashes in a row"),
        pytest.param("//static/style.css", b"body {}", id="slashes in front"),
    ],
)
def test_path_is_decoded(bare, path, body):
    assert bare().fetch(path).body == body


@pytest.mark.parametrize("section", ["", "/", "global"])
def test_section_may_be_the_whole_site(bare, section):
    site = bare(section=section)
    assert site.fetch("/style.css").body == b"body {}"
    assert site.fetch("/page").body == b"from the app"


def test_only_paths_that_match_are_files(bare):
    site = bare(match=r"\.js$")
    assert site.fetch("/static/js/my.js").body == b"let x"
    assert site.fetch("/static/style.css").body == b"from the app"


def test_path_that_no_host_can_mean_is_for_the_application(root, scan):
    layer = StaticDir(Response("app"), dir=str(root), section="", scan=scan)
    environ = Request.blank("/").environ | {"PATH_INFO": "/\u20ac"}
    assert layer(environ, lambda *args: None) == [b"app"]


def test_media_types_of_ones_own_count_most(bare):
    site = bare(content_types={"css": "text/x-mine"})
    assert site.fetch("/static/style.css").headers["Content-Type"] == "text/x-mine"


@live
def test_file_that_changes_is_sent_as_it_is_now(bare, root):
    site = bare()
    before = site.fetch("/static/style.css")
    write(root / "style.css", b"p {} /* now */", LONG_AGO + 1)
    after = site.fetch("/static/style.css")
    assert after.body == b"p {} /* now */"
    assert after.headers["ETag"] != before.headers["ETag"]
    (root / "style.css").unlink()
    assert site.fetch("/static/style.css").body == b"from the app"


@live
def test_file_that_has_just_been_written_is_read_each_time(bare, root):
    # With the same size, in the same tick of the clock, only a new look tells it apart.
    site = bare()
    for content in (b"one", b"two"):
        write(root / "new.txt", content, mtime=os.stat(root).st_mtime + 3)
        assert site.fetch("/static/new.txt").body == content


def test_directory_may_come_to_be_after_the_layer(alone, tmp_path, caplog):
    site = alone(page, StaticDir, dir=str(tmp_path / "late"), section="")
    assert f"there is no directory {str(tmp_path / 'late')!r}" in caplog.text
    assert site.fetch("/a.txt").body == b"from the app"
    write(tmp_path / "late" / "a.txt", b"here")
    assert site.fetch("/a.txt").body == b"here"


def test_root_may_be_a_link_that_is_set_anew(alone, tmp_path):
    for release in ("1", "2"):
        write(tmp_path / release / "a.txt", release.encode())
    (tmp_path / "current").symlink_to("1")
    site = alone(page, StaticDir, dir="current", root=str(tmp_path), section="")
    assert site.fetch("/a.txt").body == b"1"
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("2")
    assert site.fetch("/a.txt").body == b"2"


@live
@pytest.mark.parametrize("content", [b"x", b"x" * 100_000], ids=["small", "big"])
def test_file_that_is_replaced_between_look_and_opening_is_sent_all_the_same(
    bare, root, content, monkeypatch
):
    site, opened = bare(), []

    def replace_and_open(path):
        if len(opened) < 4:  # under it, as a deployment may
            write(root / "new", content, LONG_AGO + len(opened))
            os.replace(root / "new", path)
        opened.append(path)
        return open_regular(path)

    monkeypatch.setattr(answers, "open_regular", replace_and_open)
    answer = site.fetch("/static/style.css")
    assert (answer.status_int, answer.body) == (200, content)


# -- directories ----------------------------------------------------------------------------


def test_directory_is_answered_with_its_index(site):
    answer = site.fetch("/docs/")
    assert (answer.body, answer.headers["Content-Type"]) == (b"<h1>docs</h1>", "text/html")


def test_directory_without_its_slash_is_redirected(site):
    answer = site.fetch("/docs?a=1&b=%C3%A4")
    assert answer.status_int == 301
    assert urljoin("http://localhost", answer.headers["Location"]) == (
        "http://localhost/docs/?a=1&b=%C3%A4"
    )


def test_directory_without_an_index_is_for_the_application(below):
    assert below.fetch("/static/js/").body == b"from the app"
    assert below.fetch("/static/js").body == b"from the app"
    assert below.fetch("/static/").body == b"from the app"


def test_directory_is_for_the_application_if_no_index_is_named(bare):
    assert bare().fetch("/static/docs/").body == b"from the app"


def test_file_is_no_directory(below):
    assert below.fetch("/static/style.css/").body == b"from the app"
    assert below.fetch("/static/style.css/x").body == b"from the app"


def test_redirect_never_leads_to_another_host(bare):
    answer = bare(section="", index="index.html").fetch("//docs")
    assert urljoin("http://localhost", answer.headers["Location"]) == "http://localhost/docs/"


def test_redirect_knows_where_the_application_is_mounted(bare):
    site = bare(section="", index="index.html")
    answer = site.fetch("/docs", SCRIPT_NAME="/app")
    assert urljoin("http://localhost", answer.headers["Location"]) == "http://localhost/app/docs/"


def test_fallback_is_sent_where_there_is_no_file(host, root, scan):
    write(root / "app.html", b"single page")
    site = host(page, StaticDir, dir=str(root), fallback="app.html", scan=scan)
    assert site.fetch("/some/where").body == b"single page"
    assert site.fetch("/").body == b"single page"
    assert site.fetch("/style.css").body == b"body {}"
    assert site.fetch("/some/where", "POST").body == b"from the app"


@live
def test_file_takes_the_place_of_the_fallback_when_it_is_there(bare, root):
    write(root / "app.html", b"single page")
    site = bare(fallback="app.html", immutable="hash")
    answer = site.fetch("/static/js/hash.js")
    assert answer.body == b"single page"
    assert "Cache-Control" not in answer.headers
    write(root / "js" / "hash.js", b"script")
    assert site.fetch("/static/js/hash.js").body == b"script"


# -- what is never sent ---------------------------------------------------------------------


def test_nothing_above_the_directory_is_sent(site):
    answer = site.fetch("/../secret.txt")
    assert answer.status_int == 403
    assert answer.body.count(b"secret") <= answer.body.count(b"secret.txt")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/../static-private/secret.txt",
        "/static/js/../../secret.txt",
        "/static/js/../style.css",
        "/static/..",
    ],
)
def test_way_up_is_forbidden(below, path):
    answer = below.fetch(path)
    assert answer.status_int == 403
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/static-private/secret.txt",
        "/static/-private/secret.txt",
        "/static/%252e%252e/secret.txt",
        "/static/..%5csecret.txt",
        "/static/..%5c..%5csecret.txt",
        "/static/%5c..%5csecret.txt",
        "/static/.../secret.txt",
        "/static/style.css%00",
        "/static/style.css%00.txt",
        "/static/.hidden",
        "/static/.git/config",
        "/static/./style.css",
        "/static/" + "a" * 300,
        "/static/" + "a/" * 3000,
        "/static/%ff%fe",
    ],
    ids=lambda path: path[:40],
)
def test_other_ways_out_are_for_the_application(bare, path):
    answer = bare().fetch(path)
    assert (answer.status_int, answer.body) == (200, b"from the app")


def test_absolute_path_in_the_url_is_below_the_directory(bare, tmp_path):
    assert bare().fetch(f"/static/{tmp_path}/secret.txt").body == b"from the app"


def test_link_that_leads_out_is_for_the_application(bare, root):
    (root / "out.txt").symlink_to("../secret.txt")
    (root / "out").symlink_to("../static-private")
    (root / "broken").symlink_to("nowhere")
    (root / "round").symlink_to("round")
    site = bare(index="index.html")
    for path in ("/out.txt", "/out/secret.txt", "/out/", "/broken", "/round"):
        assert site.fetch(f"/static{path}").body == b"from the app"


def test_link_that_stays_inside_is_followed(bare, root):
    (root / "in.css").symlink_to("style.css")
    # So are the files of a volume that Kubernetes mounts: through a hidden directory.
    write(root / "..data" / "x.txt", b"mounted")
    (root / "x.txt").symlink_to("..data/x.txt")
    assert bare().fetch("/static/in.css").body == b"body {}"
    assert bare().fetch("/static/x.txt").body == b"mounted"


def test_link_may_lead_out_if_asked_for(bare, root):
    (root / "out.txt").symlink_to("../secret.txt")
    assert bare(follow_symlinks=True).fetch("/static/out.txt").body == b"secret"


@live
def test_file_that_becomes_a_link_out_is_no_longer_sent(bare, root):
    site = bare()
    assert site.fetch("/static/style.css").body == b"body {}"
    (root / "style.css").unlink()
    (root / "style.css").symlink_to("../secret.txt")
    assert site.fetch("/static/style.css").body == b"from the app"


def test_index_that_leads_out_is_for_the_application(bare, root):
    (root / "index.html").symlink_to("../secret.txt")
    assert bare(index="index.html").fetch("/static/").body == b"from the app"
    assert bare(index="index.html").fetch("/static").body == b"from the app"


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_file_whose_name_is_no_text_is_sent(bare, root):
    with open(os.fsencode(root) + b"/\xff\xfe.txt", "wb") as file:
        file.write(b"odd bytes")
    assert bare().fetch("/static/%ff%fe.txt").body == b"odd bytes"


def test_hidden_files_are_sent_if_asked_for(bare):
    assert bare(dotfiles=True).fetch("/static/.git/config").body == b"secret"
    assert bare(dotfiles=True).fetch("/static/../secret.txt").status_int == 403


def fifo(path):
    os.mkfifo(path)


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))


def device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [fifo, unix_socket, device])
def test_what_is_no_file_is_never_opened(bare, root, make, monkeypatch):
    monkeypatch.chdir(root)
    make(root / "special")
    site = bare(follow_symlinks=True, fallback="special", index="special")
    for path in ("/static/special", "/static/none", "/static/"):
        assert site.fetch(path).body == b"from the app"


@pytest.mark.skipif(os.name == "nt" or not os.getuid(), reason="the superuser may read anything")
def test_file_that_may_not_be_read_is_for_the_application(bare, root):
    (root / "style.css").chmod(0)
    assert bare().fetch("/static/style.css").body == b"from the app"


def test_answers_do_not_tell_where_the_files_are(below, root):
    (root / "docs" / "index.html").chmod(0o644)
    for path in ("/static/style.css", "/static/../x", "/static/docs"):
        answer = below.fetch(path)
        assert str(root).encode() not in b"".join(answer.app_iter)
        assert str(root) not in repr(answer.headerlist)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "..",
                ".",
                "",
                "static",
                "static-private",
                "secret.txt",
                "\\",
                "/",
                "%2e%2e",
                "\0",
                "js",
            ]
        )
        | st.text(max_size=4),
        max_size=6,
    )
)
def test_no_path_leads_to_a_secret(secrets, parts):
    layer, environ = secrets
    path = "/" + "/".join(parts)
    environ = environ | {"PATH_INFO": path.encode("utf-8", "replace").decode("latin-1")}
    started = []
    body = layer(environ, lambda *args: started.append(args))
    assert b"secret!" not in b"".join(body)
    assert started[0][0][:3] in ("200", "403")
    getattr(body, "close", bool)()


@pytest.fixture(scope="module", params=[False, True], ids=["looked at", "scanned"])
def secrets(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("site")
    write(folder / "static" / "js" / "a.js", b"script")
    write(folder / "static-private" / "secret.txt", b"secret!")
    write(folder / "secret.txt", b"secret!")
    options = {"dir": str(folder / "static"), "section": "", "scan": request.param}
    layer = StaticDir(Response("app"), **options)
    return layer, Request.blank("/").environ


# -- conditions, ranges, codings ------------------------------------------------------------


def test_client_that_has_the_file_gets_304(site):
    whole = site.fetch("/style.css")
    for condition in (
        {"If-None-Match": whole.headers["ETag"]},
        {"If-None-Match": f'W/{whole.headers["ETag"]}, "other"'},
        {"If-Modified-Since": MODIFIED},
        {"If-Modified-Since": "Sun, 09 Sep 2001 01:46:41 GMT"},
    ):
        answer = site.fetch("/style.css", headers=condition)
        assert (answer.status, answer.body) == ("304 Not Modified", b"")
        assert answer.headers["ETag"] == whole.headers["ETag"]
        assert answer.headers["Last-Modified"] == MODIFIED
        assert not {"Content-Type", "Content-Length"} & set(answer.headers)


def test_failed_precondition_gets_412(site):
    for condition in (
        {"If-Match": '"other"'},
        {"If-Unmodified-Since": "Sun, 09 Sep 2001 01:46:39 GMT"},
    ):
        assert site.fetch("/style.css", headers=condition).status_int == 412


def test_precondition_that_fails_counts_before_the_tag_that_the_client_has(below):
    tag = below.fetch("/static/style.css").headers["ETag"]
    for condition in (
        {"If-Match": '"other"'},
        {"If-Unmodified-Since": "Sun, 09 Sep 2001 01:46:39 GMT"},
    ):
        fields = condition | {"If-None-Match": tag}
        assert below.fetch("/static/style.css", headers=fields).status_int == 412


def test_part_of_a_file_is_sent(site):
    for path, content in (
        ("/style.css", b"body {}"),
        ("/big.bin", bytes(range(256)) * 1000),
    ):
        answer = site.fetch(path, headers={"Range": "bytes=1-3"})
        assert answer.status == "206 Partial Content"
        assert answer.body == content[1:4]
        assert answer.headers["Content-Range"] == f"bytes 1-3/{len(content)}"
        assert answer.headers["Content-Length"] == "3"


def test_first_byte_alone_is_sent(below):
    assert below.fetch("/static/style.css", headers={"Range": "bytes=0-0"}).body == b"b"


def test_several_parts_are_sent_as_one_multipart_body(below):
    answer = below.fetch("/static/style.css", headers={"Range": "bytes=0-1,-2"})
    assert answer.status_int == 206
    kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    parts = answer.body.split(b"--" + boundary.encode())
    assert b"Content-Type: text/css\r\n" in parts[1]
    assert parts[1].endswith(b"Content-Range: bytes 0-1/7\r\nContent-Type: text/css\r\n\r\nbo\r\n")
    assert parts[2].endswith(b"\r\n\r\n{}\r\n")
    assert parts[3] == b"--\r\n"


def test_range_beyond_the_end_gets_416_with_the_size(site):
    answer = site.fetch("/style.css", headers={"Range": "bytes=7-"})
    assert answer.status_int == 416
    assert answer.headers["Content-Range"] == "bytes */7"


@pytest.mark.parametrize("field", ["bytes=", "bytes=x", "bytes=5-2", "items=0-1", "nonsense", ""])
def test_range_that_is_malformed_gets_the_whole(below, field):
    answer = below.fetch("/static/style.css", headers={"Range": field})
    assert (answer.status_int, answer.body) == (200, b"body {}")


def test_range_is_none_of_head(below):
    answer = below.fetch("/static/style.css", "HEAD", headers={"Range": "bytes=1-3"})
    assert (answer.status_int, answer.headers["Content-Length"]) == (200, "7")


def test_range_of_another_copy_gets_the_whole(below):
    tag = below.fetch("/static/style.css").headers["ETag"]
    fields = {"Range": "bytes=1-3", "If-Range": tag}
    assert below.fetch("/static/style.css", headers=fields).status_int == 206
    assert (
        below.fetch("/static/style.css", headers=fields | {"If-Range": MODIFIED}).status_int == 206
    )
    answer = below.fetch("/static/style.css", headers=fields | {"If-Range": '"other"'})
    assert (answer.status_int, answer.body) == (200, b"body {}")


def test_many_ranges_never_cost_more_than_the_whole(below):
    overlapping = "bytes=" + ",".join(["0-"] * 2000)
    answer = below.fetch("/static/big.bin", headers={"Range": overlapping})
    assert (answer.status_int, len(answer.body)) == (206, 256_000)
    scattered = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 4000, 2))
    assert below.fetch("/static/big.bin", headers={"Range": scattered}).status_int == 200


@pytest.fixture
def compressed(root):
    for extension in ("br", "gz", "zst"):
        write(root / f"style.css.{extension}", extension.encode())
    return root


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        pytest.param("gzip, deflate, br, zstd", "br", b"br", id="of equals the smallest"),
        pytest.param("gzip", "gzip", b"gz", id="gzip"),
        pytest.param("zstd", "zstd", b"zst", id="zstd"),
        pytest.param(
            "br;q=0.1, gzip;q=0.9, identity;q=0.5", "gzip", b"gz", id="what is liked best"
        ),
        pytest.param("gzip;q=0.5, identity", None, b"body {}", id="identity if that is liked best"),
        pytest.param("gzip;q=0.5", "gzip", b"gz", id="what is named before what is not"),
        pytest.param("x-gzip", "gzip", b"gz", id="gzip by its old name"),
        pytest.param("gzip," * 1000, None, b"body {}", id="none for a huge field"),
        pytest.param("gzip;q=0", None, b"body {}", id="none that is refused"),
        pytest.param("identity;q=1, *;q=0", None, b"body {}", id="none of them"),
        pytest.param("*;q=0", None, b"body {}", id="something, if nothing is accepted"),
        pytest.param("deflate", None, b"body {}", id="none that is not there"),
        pytest.param("", None, b"body {}", id="none for an empty field"),
    ],
)
def test_form_is_chosen_by_accept_encoding(compressed, below, accepted, coding, body):
    answer = below.fetch("/static/style.css", headers={"Accept-Encoding": accepted})
    assert answer.body == body
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Content-Type"] == "text/css"
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_each_form_has_a_tag_of_its_own(bare, compressed):
    site = bare()
    tags = {
        site.fetch("/static/style.css", headers={"Accept-Encoding": coding}).headers["ETag"]
        for coding in ("identity", "br", "gzip", "zstd")
    }
    assert len(tags) == 4


def test_304_of_a_form_says_that_there_are_others(bare, compressed):
    fields = {"Accept-Encoding": "br"}
    tag = bare().fetch("/static/style.css", headers=fields).headers["ETag"]
    answer = bare().fetch("/static/style.css", headers=fields | {"If-None-Match": tag})
    assert (answer.status_int, answer.headers["Vary"]) == (304, "Accept-Encoding")
    assert "Content-Encoding" not in answer.headers


def test_range_is_of_the_form_that_is_chosen(bare, compressed):
    fields = {"Accept-Encoding": "gzip", "Range": "bytes=0-0"}
    answer = bare().fetch("/static/style.css", headers=fields)
    assert (answer.body, answer.headers["Content-Range"]) == (b"g", "bytes 0-0/2")
    assert answer.headers["Content-Encoding"] == "gzip"


def test_form_that_is_older_than_the_file_is_not_sent(bare, compressed, root):
    write(root / "style.css", b"newer", LONG_AGO + 10)
    answer = bare().fetch("/static/style.css", headers={"Accept-Encoding": "br"})
    assert answer.body == b"newer"
    assert "Vary" not in answer.headers


@live
def test_forms_come_and_go(bare, root, monkeypatch):
    site = bare()
    fields = {"Accept-Encoding": "br"}
    monkeypatch.setattr(cache, "KEPT_SECONDS", 0)  # new ones are looked for once in a while
    assert site.fetch("/static/style.css", headers=fields).body == b"body {}"
    monkeypatch.undo()
    write(root / "style.css.br", b"one")
    assert site.fetch("/static/style.css", headers=fields).body == b"one"
    with open(root / "style.css.br", "r+b") as file:
        file.write(b"2")
    assert site.fetch("/static/style.css", headers=fields).body == b"2ne"
    (root / "style.css.br").unlink()
    assert site.fetch("/static/style.css", headers=fields).body == b"body {}"


def test_form_that_leads_out_is_not_sent(bare, root, tmp_path):
    (root / "style.css.gz").symlink_to("../secret.txt")
    answer = bare().fetch("/static/style.css", headers={"Accept-Encoding": "gzip"})
    assert answer.body == b"body {}"


def test_forms_can_be_turned_off(bare, compressed):
    site = bare(precompressed=False)
    answer = site.fetch("/static/style.css", headers={"Accept-Encoding": "br"})
    assert (answer.body, "Vary" in answer.headers) == (b"body {}", False)


def test_how_long_files_may_be_kept(bare):
    site = bare(max_age=60, immutable=r"\.js$")
    assert site.fetch("/static/style.css").headers["Cache-Control"] == "max-age=60"
    script = site.fetch("/static/js/my.js").headers["Cache-Control"]
    assert script == "max-age=31536000, immutable"


# -- open files -----------------------------------------------------------------------------


@contextmanager
def counted_descriptors():
    """See that all files that are opened inside have been closed at the end."""
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("method", "fields"),
    [
        pytest.param("GET", {}, id="whole"),
        pytest.param("HEAD", {}, id="HEAD"),
        pytest.param("GET", {"Range": "bytes=1-2"}, id="a range"),
        pytest.param("GET", {"Range": "bytes=1-2,9-10"}, id="ranges"),
        pytest.param("GET", {"Range": "bytes=999999-"}, id="an impossible range"),
        pytest.param("GET", {"If-Modified-Since": MODIFIED}, id="304"),
        pytest.param("GET", {"If-Match": '"x"'}, id="412"),
    ],
)
@pytest.mark.parametrize("drawn", ["to the end", "once", "never"])
def test_file_is_closed_whatever_becomes_of_the_answer(below, method, fields, drawn):
    with counted_descriptors():
        request = Request.blank("/static/big.bin", method=method, headers=fields)
        _, _, body = request.call_application(below.app)
        if drawn == "to the end":
            list(body)
        elif drawn == "once":
            next(iter(body), None)
        body.close()


class Wrapped:
    """A host's file wrapper that tells what became of its file."""

    def __init__(self, file, block_size=8192):
        self.file, self.block_size = file, block_size

    def __iter__(self):
        return iter(lambda: self.file.read(self.block_size), b"")

    def close(self):
        self.file.close()


def test_file_wrapper_of_the_host_gets_a_whole_file(root, scan):
    layer = StaticDir(Response("app"), dir=str(root), section="", scan=scan)
    request = Request.blank("/big.bin", {"wsgi.file_wrapper": Wrapped})
    body = layer(request.environ, lambda *args: None)
    assert isinstance(body, Wrapped)
    assert b"".join(body) == bytes(range(256)) * 1000
    body.close()
    assert body.file.closed


def test_file_wrapper_of_the_host_is_not_used_for_a_part(root, scan):
    layer = StaticDir(Response("app"), dir=str(root), section="", scan=scan)
    fields = {"Range": "bytes=5-6"}
    request = Request.blank("/big.bin", {"wsgi.file_wrapper": Wrapped}, headers=fields)
    body = layer(request.environ, lambda *args: None)
    assert b"".join(body) == b"\5\6"
    body.close()


def test_file_wrapper_of_the_host_works_with_layers_around(site):
    answer = site.fetch("/big.bin", **{"wsgi.file_wrapper": Wrapped})
    assert answer.body == bytes(range(256)) * 1000


# -- a directory that is read once -----------------------------------------------------------


@scanned
def test_scanned_directory_is_not_looked_at_again(bare, compressed, monkeypatch):
    site = bare(index="index.html")
    tag = site.fetch("/static/style.css").headers["ETag"]

    def look(*args, **options):
        raise AssertionError(f"the disk is asked for {args}")

    for name in ("access", "lstat", "open", "scandir", "stat"):
        monkeypatch.setattr(os, name, look)
    statuses = [
        site.fetch("/static/style.css").status_int,
        site.fetch("/static//style.css").status_int,
        site.fetch("/static/style.css", headers={"Accept-Encoding": "br"}).status_int,
        site.fetch("/static/style.css", headers={"Range": "bytes=1-2"}).status_int,
        site.fetch("/static/style.css", headers={"If-None-Match": tag}).status_int,
        site.fetch("/static/docs").status_int,
        site.fetch("/static/docs/").status_int,
        site.fetch("/static/../secret.txt").status_int,
    ]
    assert statuses == [200, 200, 200, 206, 304, 301, 200, 403]
    for path in ("none.css", "./style.css", "style.css/", ".hidden", "a\\..\\x", "%00", "js/"):
        assert site.fetch(f"/static/{path}").body == b"from the app"


@scanned
def test_scanned_directory_stays_what_it_was_until_a_restart(bare, root):
    site = bare()
    write(root / "new.css", b"new")
    write(root / "style.css", b"changed", LONG_AGO + 1)
    (root / "js" / "my.js").unlink()
    paths = ["/static/new.css", "/static/style.css", "/static/js/my.js"]
    assert [site.fetch(path).body for path in paths] == [b"from the app", b"body {}", b"let x"]
    site = bare()
    assert [site.fetch(path).body for path in paths] == [b"new", b"changed", b"from the app"]


@scanned
@pytest.mark.parametrize("happens", ["changed", "removed", "a link that leads out"])
def test_large_file_that_is_not_what_was_scanned_is_not_sent(bare, root, happens, caplog):
    site = bare()
    assert len(site.fetch("/static/big.bin").body) == 256_000
    (root / "big.bin").unlink()
    if happens == "changed":
        write(root / "big.bin", bytes(256_000))
    elif happens != "removed":
        (root / "big.bin").symlink_to("../secret.txt")
    for _ in range(2):
        assert site.fetch("/static/big.bin").body == b"from the app"
    assert caplog.text.count("has changed since the directory was read") == 1


@scanned
def test_scanned_file_that_cannot_be_opened_for_once_is_sent_later(bare, monkeypatch):
    site = bare()

    def fail(path):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(answers, "open_regular", fail)
    assert site.fetch("/static/big.bin").body == b"from the app"
    monkeypatch.undo()
    assert len(site.fetch("/static/big.bin").body) == 256_000


def test_scanned_files_take_no_more_memory_than_others(root, monkeypatch):
    monkeypatch.setattr(scan_module, "MOST_BYTES", 8)
    layer = StaticDir(Response("app"), dir=str(root), section="", scan=True)
    assert sum(file.weight for file in layer._scanned.values() if file is not None) == 8
    for path, content in (("/style.css", b"body {}"), ("/js/my.js", b"let x")):
        assert Request.blank(path).get_response(layer).body == content


@scanned
def test_scan_ends_where_a_link_leads_back_up(bare, root):
    (root / "js" / "up").symlink_to("..")
    (root / "js" / "docs").symlink_to("../docs")
    site = bare()
    assert site.fetch("/static/js/docs/index.html").body == b"<h1>docs</h1>"
    assert site.fetch("/static/js/up/style.css").body == b"from the app"


@scanned
def test_scan_does_not_go_where_nothing_may_be_sent_from(bare, root, monkeypatch):
    (root / "out").symlink_to("../static-private")
    read = []
    monkeypatch.setattr(
        os, "scandir", lambda path, scandir=os.scandir: read.append(path) or scandir(path)
    )
    bare()
    assert sorted(read) == [str(path) for path in (root, root / "docs", root / "js")]


@scanned
@pytest.mark.skipif(os.name == "nt" or not os.getuid(), reason="the superuser may read anything")
def test_scan_tells_what_it_cannot_read(bare, root, caplog):
    (root / "style.css").chmod(0)
    (root / "js").chmod(0)
    assert bare().fetch("/static/empty.txt").status_int == 200
    (root / "js").chmod(0o700)
    assert "style.css" in caplog.text
    assert "js" in caplog.text


# -- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"dir": "static"}, "dir must be an absolute path", id="relative"),
        pytest.param({"dir": "a", "root": "b"}, "got dir='a', root='b'", id="relative root"),
        pytest.param({}, "dir must be a path, got ''", id="nothing"),
        pytest.param({"dir": "/", "match": "("}, "match must be a regular expression", id="match"),
        pytest.param({"dir": "/", "immutable": "("}, "immutable must be a regular", id="immutable"),
        pytest.param({"dir": "/", "index": "../x"}, "index must be the name of a file", id="index"),
        pytest.param({"dir": "/", "fallback": "/x"}, "fallback must be the name", id="fallback"),
        pytest.param({"dir": "/", "max_age": -1}, "max_age must be 0 or more", id="max_age"),
        pytest.param(
            {"dir": "/", "content_types": {"x": "a\r\nb"}}, "must be a media type", id="media type"
        ),
    ],
)  # fmt: skip
def test_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StaticDir(Response(), **options)


def test_media_types_must_be_a_mapping():
    for types in (["x"], {"x": None}):
        with pytest.raises(TypeError, match="content_types must be media types by extension"):
            StaticDir(Response(), dir="/", content_types=types)


def test_home_directory_may_be_meant(monkeypatch, root):
    monkeypatch.setenv("HOME", str(root.parent))
    layer = StaticDir(Response("app"), dir="~/static", section="")
    assert Request.blank("/style.css").get_response(layer).body == b"body {}"


def test_debug_tells_what_becomes_of_a_request(bare, caplog):
    caplog.set_level(logging.INFO)
    site = bare(debug=True, match="^/static")
    for path in ("/static/style.css", "/static/none", "/static/../x"):
        site.fetch(path)
    assert "/static/style.css: answered with" in caplog.text
    assert "/static/none: not there" in caplog.text
    assert "/static/../x: refused" in caplog.text


def test_subclass_that_looks_at_requests_first_sees_all_of_them(root, scan):
    seen = []

    class Watching(StaticDir):
        def before(self, request):
            seen.append(request.path_info)
            return super().before(request)

    layer = Watching(Response("app"), dir=str(root), section="/static", scan=scan)
    for path in ("/page", "/static/style.css"):
        Request.blank(path).get_response(layer)
    assert seen == ["/page", "/static/style.css"]
