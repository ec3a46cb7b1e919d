"""The pages of 3.6, 3.8, 3.9 and 3.10 of the reference, in a browser that clicks through them."""

import re
import shutil
import subprocess
import tarfile

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

# What the pages load from elsewhere, and where it is in which package of npm.
LIBRARIES = {
    "http://code.jquery.com/jquery-2.1.1.min.js": ("jquery@2.1.1", "dist/jquery.min.js"),
    "https://cdnjs.cloudflare.com/ajax/libs/react/0.13.3/react.js": (
        "react@0.13.3",
        "dist/react.js",
    ),
    "https://cdnjs.cloudflare.com/ajax/libs/babel-core/5.8.23/browser.min.js": (
        "babel-core@5.8.23",
        "browser.min.js",
    ),
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """The text of each library, by its address."""
    folder = tmp_path_factory.mktemp("npm")
    packages = [package for package, _ in LIBRARIES.values()]
    packed = subprocess.run(
        [program("npm"), "pack", "--silent", "--prefer-offline", *packages],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    if packed.returncode:
        pytest.skip("needs a registry of npm packages")
    return {
        address: read(folder / file, member)
        for file, (address, (_, member)) in zip(
            packed.stdout.split(), LIBRARIES.items(), strict=True
        )
    }


def program(*names):
    """The path of a program, under the first of its names that is there."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"needs {names[0]}")


def read(archive, member):
    with tarfile.open(archive) as files, files.extractfile(f"package/{member}") as file:
        return file.read().decode()


@pytest.fixture(scope="module")
def chromium():
    binary = program("chromium", "chromium-browser", "google-chrome")
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=binary) as browser,
    ):
        yield browser


@pytest.fixture
def visit(chromium, libraries):
    """``visit(program)``: a new visitor's first page of it, free of errors to its end.

    Nothing is loaded from elsewhere, but for the libraries.
    """
    errors = []

    def serve(route):
        address = route.request.url
        if address in libraries:
            route.fulfill(body=libraries[address], content_type="text/javascript")
        else:
            errors.append(f"asked for {address}")
            route.abort()

    with chromium.new_context() as context:
        context.set_default_timeout(20_000)  # milliseconds; only a failure uses them up
        context.on("weberror", lambda event: errors.append(event.error))

        def visit_program(program):
            context.route(lambda address: not address.startswith(program.url), serve)
            page = context.new_page()
            page.goto(program.url)
            return page

        yield visit_program
    assert not errors


def kept(page):
    """What the service has for the visitor: status and text."""
    answer = page.request.get(f"{page.url}letters")
    return answer.status, answer.text()


def background(page):
    return page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")


def test_stylesheet_paints_the_page_blue(started, visit):
    """3.6: and the form works as 3.4 says."""
    page = visit(started("letters.py"))
    assert background(page) == "rgb(0, 0, 255)"
    page.locator("input").fill("12")
    page.get_by_role("button").click()
    assert page.url.endswith("/draw?length=12")
    assert len(page.locator("body").inner_text()) == 12


@pytest.mark.parametrize(("name", "nothing"), [("ajax.py", 500), ("database.py", 200)])
def test_page_draws_replaces_and_deletes_without_a_reload(started, visit, name, nothing):
    """3.8, and 3.9, which has the same page."""
    page = visit(started(name))
    page.evaluate("window.stillThere = true")
    letters = page.locator("#drawn input")
    assert background(page) == "rgb(0, 0, 255)"
    playwright.expect(letters).to_be_hidden()

    page.locator("#length").fill("5")
    page.locator("#draw").click()
    playwright.expect(letters).to_have_value(re.compile("[a-z]{5}"))
    assert kept(page) == (200, letters.input_value())

    letters.fill("mine")
    page.once("dialog", lambda dialog: dialog.accept())  # at once, as a click may wait for that
    with page.expect_event("dialog") as dialog:
        page.locator("#replace").click()
    assert dialog.value.message == "Replaced!"
    assert kept(page) == (200, "mine")

    page.locator("#delete").click()
    playwright.expect(letters).to_be_hidden()
    assert kept(page)[0] == nothing
    assert page.evaluate("window.stillThere")


def test_single_page_application_draws_replaces_and_deletes(started, visit):
    """3.10."""
    page = visit(started("database.py", "react.html"))
    page.evaluate("window.stillThere = true")
    field = page.locator("#letters input")
    page.locator("#length").fill("6")
    page.locator("#draw").click()
    page.locator("#replace").wait_for()
    assert re.fullmatch("[a-z]{6}", field.input_value())
    assert kept(page) == (200, field.input_value())

    field.fill("mine")
    with page.expect_response("**/letters") as replaced:
        page.locator("#replace").click()
    assert (replaced.value.request.method, replaced.value.status) == ("PUT", 200)
    assert kept(page) == (200, "mine")

    page.locator("#delete").click()
    playwright.expect(page.locator("#length")).to_have_value("8")
    assert kept(page) == (200, "")
    assert page.evaluate("window.stillThere")
