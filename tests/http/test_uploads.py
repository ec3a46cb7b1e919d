"""Forms and uploaded files, from the client to the page handler and away again."""

import os
import sys
import time

import pytest
from webob import Request

import cptoolkit

BOUNDARY = "XXX"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


class Root:
    files: list

    def __init__(self):
        self.files = []

    @cptoolkit.expose
    def upload(self, file, **others):
        parts = file if isinstance(file, list) else [file]
        self.files += [part.file for part in parts]
        return "|".join(
            f"{part.filename} {part.content_type} {part.file.read().decode()}" for part in parts
        )

    @cptoolkit.expose
    def params(self, **params):
        return repr(params)

    @cptoolkit.expose
    def crash(self, file):
        self.files.append(file.file)
        raise ValueError

    @cptoolkit.expose
    def ignored(self, **params):
        self.files += [part.file for part in params["file"]]
        raise cptoolkit.HTTPError(403)

    @cptoolkit.expose
    def moved(self, file):
        self.files.append(file.file)
        raise cptoolkit.InternalRedirect("/params")

    @cptoolkit.expose
    def stream(self, file):
        self.files.append(file.file)
        yield b"read: "
        yield file.file.read()

    stream._cp_config = {"response.stream": True}


def part(name, content, filename=None, *fields):
    """One part of a multipart body, as bytes."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = "\r\n".join([f"--{BOUNDARY}", disposition, *fields])
    return head.encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts):
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def send(client, path, body, content_type=MULTIPART, **environ):
    """The answer to a body that is sent as it is; WebTest would encode it anew."""
    environ["CONTENT_TYPE"] = content_type
    request = Request.blank(path, method="POST", body=body, environ=environ)
    answer = request.get_response(client.app)
    assert answer.body is not None  # drawn to the end, and closed
    return answer


def post(client, path, body, status=200, content_type=MULTIPART):
    answer = send(client, path, body, content_type)
    assert answer.status_int == status
    return answer


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


# -- what the handler gets -------------------------------------------------------------------


def test_file_comes_with_its_name_and_type(app_of):
    body = form(part("file", b"abc", "a.txt", "Content-Type: text/plain"))
    assert post(app_of(Root()), "/upload", body).text == "a.txt text/plain abc"


def test_files_of_one_name_come_as_a_list(app_of):
    body = form(part("file", b"1", "a"), part("file", b"2", "b"))
    assert post(app_of(Root()), "/upload", body).text == "a text/plain 1|b text/plain 2"


def test_repeated_fields_come_as_a_list(app_of):
    body = form(part("a", b"1"), part("a", b"2"), part("b", b"3"))
    assert post(app_of(Root()), "/params", body).text == repr({"a": ["1", "2"], "b": "3"})


def test_fields_join_those_of_the_query_string(app_of):
    body = form(part("a", b"2"))
    assert post(app_of(Root()), "/params?a=1", body).text == repr({"a": ["1", "2"]})


def test_each_part_is_read_in_its_own_charset(app_of):
    body = form(
        part("a", "é".encode("latin-1"), None, "Content-Type: text/plain; charset=ISO-8859-1"),
        part("b", "é".encode()),
    )
    assert post(app_of(Root()), "/params", body).text == repr({"a": "é", "b": "é"})


def test_file_without_a_name_in_it_is_empty_text(app_of):
    body = form(part("a", b"", ""))
    assert "'a'" in post(app_of(Root()), "/params", body).text


def test_path_in_a_filename_is_only_text(app_of):
    body = form(part("file", b"", "../../etc/passwd"))
    assert post(app_of(Root()), "/upload", body).text.startswith("../../etc/passwd ")


# -- files are closed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [("/upload", 200), ("/crash", 500), ("/ignored", 403), ("/moved", 200), ("/stream", 200)],
)
def test_files_are_closed_after_the_request(app_of, path, status):
    root = Root()
    parts = [part("file", b"x" * 5000, "a")] * (2 if path == "/ignored" else 1)
    post(app_of(root), path, form(*parts), status)
    assert root.files
    assert all(file.closed for file in root.files)


def test_file_stays_open_while_a_stream_reads_it(app_of):
    assert post(app_of(Root()), "/stream", form(part("file", b"abc", "a"))).text == "read: abc"


@needs_proc
@pytest.mark.parametrize("body_end", [f"--{BOUNDARY}--\r\n", ""], ids=["whole", "cut"])
def test_descriptors_are_back_to_their_number(app_of, body_end):
    client = app_of(Root())
    before = open_descriptors()
    parts = b"".join(part("file", b"x" * 5000, f"{n}") for n in range(50))
    post(client, "/params", parts + body_end.encode(), status=200 if body_end else 400)
    assert open_descriptors() == before


@needs_proc
def test_descriptors_are_back_after_a_client_left_a_stream(app_of):
    app = app_of(Root()).app
    before = open_descriptors()
    body = form(part("file", b"x" * 5000, "a"))
    environ = Request.blank("/stream", method="POST", body=body, content_type=MULTIPART).environ
    sent = app(environ, lambda *start: None)
    next(iter(sent))
    assert open_descriptors() == before + 1
    sent.close()
    assert open_descriptors() == before


# -- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "body"),
    [
        ("maxbytes", 100, form(part("a", b"x" * 100))),
        ("max_parts", 2, form(*[part("a", b"")] * 3)),
        ("max_files", 2, form(*[part("a", b"", "f")] * 3)),
        ("max_part_header", 100, form(part("a", b"", None, "X-Long: " + "x" * 200))),
        ("max_form_memory", 10, form(part("a", b"x" * 11))),
        ("max_form_size", 10, form(part("a", b"x" * 6), part("b", b"x" * 6))),
    ],
)
def test_what_is_over_a_limit_is_413(app_of, setting, value, body):
    client = app_of(Root(), {"/": {f"request.body.{setting}": value}})
    text = post(client, "/params", body, status=413).text
    assert "Traceback" not in text.split("<pre")[0]


def test_file_is_not_held_to_the_limits_of_fields(app_of):
    config = {"/": {"request.body.max_form_memory": 10, "request.body.max_form_size": 10}}
    body = form(part("file", b"x" * 1000, "a"))
    assert len(post(app_of(Root(), config), "/upload", body).text) > 1000


@pytest.mark.parametrize(
    ("setting", "value", "status"), [("max_fields", 2, 413), ("maxbytes", 3, 413)]
)
def test_urlencoded_form_over_a_limit_is_refused(app_of, setting, value, status):
    client = app_of(Root(), {"/": {f"request.body.{setting}": value}})
    body = b"a=1&b=2&c=3"
    post(client, "/params", body, status, "application/x-www-form-urlencoded")


@needs_proc
def test_many_small_files_use_up_no_descriptors(app_of):
    client = app_of(Root(), {"/": {"request.body.max_files": 1000}})
    body = form(*[part(f"f{n}", b"x" * 900, "f") for n in range(400)])
    before = open_descriptors()
    post(client, "/params", body)
    assert open_descriptors() == before


# -- malformed bodies ------------------------------------------------------------------------

MALFORMED = {
    "empty": b"",
    "no boundary in it": b"abc",
    "no end": part("a", b"1"),
    "cut within a header": f"--{BOUNDARY}\r\nContent-Disp".encode(),
    "no disposition": f"--{BOUNDARY}\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(),
    "bytes in the header": f"--{BOUNDARY}\r\n".encode() + b"\xff\xfe\r\n\r\n1\r\n" + form(),
    "header without a colon": f"--{BOUNDARY}\r\nnonsense\r\n\r\n1\r\n".encode() + form(),
    "unknown charset": form(part("a", b"\xff", None, "Content-Type: text/plain; charset=x-no")),
    "wrong charset": form(part("a", b"\xff", None, "Content-Type: text/plain; charset=utf-8")),
    "strange nested type": form(part("a", b"x", None, "Content-Type: multipart/mixed")),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_multipart_never_breaks_the_server(app_of, body):
    client = app_of(Root(), {"/": {"request.show_tracebacks": True}})
    answer = send(client, "/params", body)
    assert answer.status_int in (200, 400, 413)
    assert client.get("/params").text == "{}"


@pytest.mark.parametrize(
    "name", ["no end", "cut within a header", "no boundary in it", "wrong charset"]
)
def test_malformed_multipart_is_400(app_of, name):
    post(app_of(Root()), "/params", MALFORMED[name], status=400)


@pytest.mark.parametrize(
    "parameter", ["", "; boundary=", "; boundary=" + "x" * 500], ids=["none", "empty", "long"]
)
def test_multipart_without_a_proper_boundary_is_400(app_of, parameter):
    body = form(part("a", b"1"))
    post(app_of(Root()), "/params", body, 400, "multipart/form-data" + parameter)


@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "x", "5, 5", "99999999999999999999"])
def test_length_that_is_no_number_is_400(app_of, length):
    request = Request.blank("/params", method="POST", body=b"a=1")
    request.environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    request.environ["CONTENT_LENGTH"] = length
    assert request.get_response(app_of(Root()).app).status_int == 400


def test_body_shorter_than_its_length_is_400(app_of):
    request = Request.blank("/params", method="POST", body=b"a=1")
    request.environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    request.environ["CONTENT_LENGTH"] = "10"
    assert request.get_response(app_of(Root()).app).status_int == 400


@pytest.mark.parametrize("filler", [b"\r\n", b"\r", b"\n", b"-", b"--XX", b"\r\n--XX"], ids=repr)
def test_hostile_filler_costs_time_in_proportion(app_of, filler):
    client = app_of(Root(), {"/": {"request.body.max_form_memory": 10_000_000}})
    content = filler * (1_000_000 // len(filler))
    began = time.process_time()
    post(client, "/params", form(part("file", content, "f")))
    assert time.process_time() - began < (1.0 if sys.gettrace() is None else 10.0)


def test_client_is_never_shown_a_traceback_of_a_bad_form(app_of):
    answer = send(app_of(Root()), "/params", b"abc", REMOTE_ADDR="192.0.2.1")
    assert answer.status_int == 400
    assert "Traceback" not in answer.text
