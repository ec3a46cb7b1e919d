"""``python -m cptoolkit.tutorial.…``: each is started, and used as its reader would use it."""

import html
import http.client
import re
import uuid
from hashlib import sha256
from pathlib import Path
from urllib.parse import urljoin

import pytest

from cptoolkit import tutorial
from cptoolkit.target import find

NAMES = [
    "tut01_helloworld", "tut02_expose_methods", "tut03_get_and_post", "tut04_complex_site",
    "tut05_derived_objects", "tut06_default_method", "tut07_sessions",
    "tut08_generators_and_yield", "tut09_files", "tut10_http_errors", "tut11_organize_my_code",
]  # fmt: skip


@pytest.fixture
def visitor(request, running):
    """A visitor of the tutorial whose number is in the name of the test."""
    number = re.match("test_([0-9]+)_", request.function.__name__)[1]
    [name] = [name for name in NAMES if name.startswith(f"tut{number}_")]
    return running(name).visitor()


def is_number(text, length):
    return re.fullmatch(f"[0-9a-f]{{{length}}}", text) and len(set(text)) == length


@pytest.mark.parametrize("name", NAMES)
def test_each_greets_with_a_page_of_html(running, name):
    answer = running(name).visitor().get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("name", NAMES)
def test_each_has_its_root_where_the_command_run_finds_it(name):
    assert find(f"cptoolkit.tutorial.{name}").thing


def test_all_of_them_are_tried_here():
    files = Path(tutorial.__file__).parent.glob("tut*.py")
    assert sorted(file.stem for file in files) == NAMES


def test_01_greets(visitor):
    assert visitor.get("/").text == "Hello world!"


def test_01_has_no_other_page(visitor):
    answer = visitor.get("/nope")
    assert answer.status == 404
    assert "The path '/nope' was not found." in html.unescape(answer.text)


def test_01_has_an_icon(visitor):
    answer = visitor.get("/favicon.ico")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/x-icon")
    assert answer.body.startswith(b"\0\0\1\0")


def test_02_gives_a_number_at_the_address_of_its_method(visitor):
    assert is_number(visitor.get("/generate").text, 8)


def test_02_does_not_let_anybody_reach_what_is_not_exposed(visitor):
    assert visitor.get("/draw?length=3").status == 404


def test_03_takes_a_link_and_the_form_by_get_and_by_post(visitor):
    page = visitor.get("/").text
    assert re.search('<form method="get" action="generate">.*name="length"', page, re.DOTALL)
    [link] = re.findall('href="(generate.*?)"', page)
    assert is_number(visitor.get(f"/{link}").text, 12)
    assert is_number(visitor.post("/generate", {"length": "5"}).text, 5)
    assert is_number(visitor.get("/generate").text, 8)


@pytest.mark.parametrize(
    ("query", "status"),
    [("length=x", 400), ("length=", 400), ("length=0", 400), ("length=17", 400), ("foo=1", 404)],
)
def test_03_refuses_what_is_no_length(visitor, query, status):
    assert visitor.get(f"/generate?{query}").status == status


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "The museum"),
        ("/rooms/", "The rooms"),
        ("/rooms/egypt", "Egypt"),
        ("/rooms/rome", "Rome"),
        ("/rooms/garden/", "The garden"),
        ("/rooms/garden/pond", "The pond"),
    ],
)
def test_04_has_its_pages_where_its_objects_are(visitor, path, title):
    assert f"<h1>{title}</h1>" in visitor.get(path).text


def test_04_leads_to_all_pages_by_links(visitor):
    found, new = set(), {"/"}
    while new:
        found |= new
        links = {urljoin(path, link) for path in new for link in links_of(visitor.get(path))}
        new = links - found
    assert len(found) == 6


def links_of(answer):
    assert answer.status == 200
    return re.findall('href="(.*?)"', answer.text)


def test_04_adds_the_slash_of_a_place_with_pages_below(visitor):
    answer = visitor.get("/rooms")
    assert (answer.status, answer.headers["Location"]) == (
        301, f"http://127.0.0.1:{visitor.port}/rooms/"
    )  # fmt: skip


def test_05_frames_each_page_in_the_same_way(visitor):
    home, hours = visitor.get("/").text, visitor.get("/hours/").text
    assert ("<h1>The museum</h1>" in home, "<p>Welcome.</p>" in home) == (True, True)
    assert ("<h1>Opening hours</h1>" in hours, "<p>Ten to six.</p>" in hours) == (True, True)
    for page in (home, hours):
        assert '<nav><a href="/">' in page
        assert "closed on Mondays" in page


def test_06_takes_addresses_from_its_data(visitor):
    assert '<a href="/egypt">egypt</a>' in visitor.get("/").text
    assert '<a href="/egypt/cat">cat</a>' in visitor.get("/egypt").text
    assert "Sat at the feet of a queen." in visitor.get("/egypt/cat").text


@pytest.mark.parametrize("path", ["/greece", "/egypt/dog", "/greece/dog", "/egypt/cat/tail"])
def test_06_has_no_page_for_what_is_not_in_its_data(visitor, path):
    assert visitor.get(path).status == 404


def test_07_remembers_the_wishes_of_each_visitor(running, visitor):
    assert not visitor.cookies
    for wish in ("a boat", "<b>wind</b>"):
        answer = visitor.post("/add", {"wish": wish})
        assert (answer.status, answer.headers["Location"]) == (
            303, f"http://127.0.0.1:{visitor.port}/"
        )  # fmt: skip
    assert "<ul><li>a boat<li>&lt;b&gt;wind&lt;/b&gt;</ul>" in visitor.get("/").text
    assert "<ul></ul>" in running("tut07_sessions").visitor().get("/").text
    visitor.post("/forget")
    assert "<ul></ul>" in visitor.get("/").text


def test_07_keeps_the_list_short(visitor):
    for number in range(25):
        visitor.post("/add", {"wish": f"{number} {'x' * 100}"})
    wishes = re.findall("<li>([^<]*)", visitor.get("/").text)
    assert [wish[:2] for wish in wishes] == [str(number).ljust(2) for number in range(5, 25)]
    assert {len(wish) for wish in wishes} == {80}


@pytest.mark.parametrize("path", ["/add?wish=boat", "/forget"])
def test_07_changes_nothing_for_a_link(visitor, path):
    answer = visitor.get(path)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_08_sends_all_primes(visitor):
    answer = visitor.get("/primes?below=30")
    assert answer.headers["Content-Type"] == "text/plain;charset=utf-8"
    assert answer.headers["Content-Length"] is None
    assert answer.text.split() == ["2", "3", "5", "7", "11", "13", "17", "19", "23", "29"]


def test_08_sends_the_first_primes_before_the_last_and_stops_when_nobody_reads(started):
    program = started("tut08_generators_and_yield")
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=10)
    connection.request("GET", "/primes?below=10000000")  # minutes of work
    with connection.getresponse() as response:
        assert [response.readline() for _ in range(3)] == [b"2\n", b"3\n", b"5\n"]
    connection.close()
    sent = int(program.wait_for(" primes sent").split()[-3])
    assert 3 <= sent < 664_579


@pytest.mark.parametrize("below", ["10000001", "many"])
def test_08_refuses_before_anything_is_sent(visitor, below):
    assert visitor.get(f"/primes?below={below}").status == 400


def upload(visitor, content, filename):
    boundary = uuid.uuid4().hex
    lines = [
        f"--{boundary}",
        f'Content-Disposition: form-data; name="upload"{filename}',
        "Content-Type: image/x-none",
        "",
        "",
    ]
    body = "\r\n".join(lines).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return visitor.post("/measure", body=body, headers=kind)


def test_09_measures_a_file(visitor):
    content = bytes(range(256)) * 1000
    answer = upload(visitor, content, '; filename="<a>.none"')
    assert answer.status == 200
    assert f"&lt;a&gt;.none, said to be image/x-none, has {len(content)} bytes" in answer.text
    assert sha256(content).hexdigest() in answer.text


@pytest.mark.parametrize("form", [{"upload": "text"}, {"upload": ["a", "b"]}], ids=["one", "two"])
def test_09_refuses_what_is_no_file(visitor, form):
    assert visitor.post("/measure", form).status == 400


def test_09_wants_a_file(visitor):
    assert visitor.post("/measure").status == 404
    assert visitor.get("/measure").status == 405


def test_09_gives_its_source_to_be_saved(visitor):
    answer = visitor.get("/source")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="files.py"'
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body.startswith(b'"""Tutorial 9')
    part = visitor.get("/source", headers={"Range": "bytes=3-10"})
    assert (part.status, part.body) == (206, b"Tutorial")


def test_10_says_what_it_refuses(visitor):
    answer = visitor.get("/staff")
    assert answer.status == 403
    assert "This page is for the staff of the museum." in answer.text


def test_10_has_a_page_of_its_own_for_what_is_not_there(visitor):
    answer = visitor.get("/no<b>where")
    assert answer.status == 404
    assert "<h1>There is nothing here</h1>" in answer.text
    assert "<b>" not in answer.text


def test_10_sends_on_to_the_new_address(visitor):
    answer = visitor.get("/old")
    assert (answer.status, answer.headers["Location"]) == (
        301, f"http://127.0.0.1:{visitor.port}/"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "shown"),
    [({}, True), ({"Host": "museum.example"}, False), ({"X-Forwarded-For": "192.0.2.1"}, False)],
    ids=["on this machine", "under another name", "through a proxy"],
)
def test_10_shows_the_traceback_to_a_browser_on_this_machine_only(visitor, headers, shown):
    answer = visitor.get("/broken", headers=headers)
    assert answer.status == 500
    assert ("ZeroDivisionError" in answer.text) is shown


def test_11_sells_what_is_on_the_shelf(started):
    visitor = started("tut11_organize_my_code").visitor()
    assert 'name="item" value="bread"' in visitor.get("/").text
    four = visitor.post("/checkout", {"item": ["bread"] * 4 + ["coffee"]}).text
    assert four == "bread, bread, bread, coffee: 1610 cents"
    assert visitor.post("/checkout", {"item": "bread"}).text == "Sold out: 0 cents"


def test_11_gives_the_discount_at_the_till_of_those_with_the_card(visitor):
    bought = {"item": "apple"}
    assert visitor.post("/friends", bought).text == "apple: 40 cents"
    visitor.post("/card")
    assert visitor.post("/checkout", bought).text == "apple: 36 cents"


def test_11_does_not_sell_what_it_does_not_have(visitor):
    assert visitor.post("/checkout", {"item": "<i>"}).status == 400
    assert visitor.post("/checkout").status == 404


def test_11_closes_the_storeroom_with_the_engine(started):
    program = started("tut11_organize_my_code")
    program.visitor().post("/checkout", {"item": ["apple", "coffee"]})
    assert program.stop() == 0
    assert program.wait_for("Left on the shelf: ").endswith(" 7")
