"""From the path of a URL to the name of a file, on every system."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.files.paths import is_inside, is_plain, path_of, segments_of


@pytest.mark.parametrize("name", ["a", "style.css", "a b", "näme", "a..b", "-", "con", "a:b", "x."])
def test_name_of_a_file_is_plain(name):
    assert is_plain(name, windows=False)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/", "a\\b", "..\\..", "a\0", "\0", ".git", "..."]
)
def test_name_that_may_lead_elsewhere_is_not(name):
    assert not is_plain(name, windows=False)
    assert not is_plain(name, windows=True)


def test_hidden_name_is_plain_if_asked_for():
    assert is_plain(".git", dotfiles=True)
    assert not is_plain("..", dotfiles=True)


@pytest.mark.parametrize(
    "name",
    ["C:", "C:x", "a.txt:stream", "a.txt::$DATA", "x.", "x ", "CON", "con", "nul.txt", "AUX.tar.gz",
     "prn ", "COM1", "lpt9.css", "COM\u00b9", "CONIN$", "conout$.x", "NUL .txt", "com0"],
)  # fmt: skip
def test_name_that_windows_takes_for_something_else_is_not_plain_there(name):
    assert not is_plain(name, windows=True)


@pytest.mark.parametrize("name", ["console", "nul1", "com10.txt", "lpt", "conin", "auxiliary.js"])
def test_name_that_only_looks_like_a_device_is_plain(name):
    assert is_plain(name, windows=True)


def test_segments_are_decoded_as_file_names_are():
    path = "/a//n\u00c3\u00a4me/\u00ff/"
    assert segments_of(path) == ["a", "n\u00e4me", os.fsdecode(b"\xff")]
    assert segments_of("/\u20ac") is None


@given(st.binary(max_size=30))
def test_segments_hold_the_bytes_of_the_path(raw):
    segments = segments_of(raw.decode("latin-1"))
    assert [os.fsencode(name) for name in segments] == [part for part in raw.split(b"/") if part]


def test_directory_beside_is_not_inside(tmp_path):
    for name in ("static", "static-private"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").touch()
    assert is_inside(str(tmp_path / "static" / "a"), str(tmp_path / "static"))
    assert not is_inside(str(tmp_path / "static-private" / "a"), str(tmp_path / "static"))
    assert is_inside(str(tmp_path / "static" / "a"), "/")


def test_links_are_followed_on_both_sides(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").touch()
    (tmp_path / "link").symlink_to("real")
    assert is_inside(str(tmp_path / "link" / "a"), str(tmp_path / "real"))
    assert is_inside(str(tmp_path / "real" / "a"), str(tmp_path / "link"))


@given(st.lists(st.binary(min_size=1, max_size=5).map(os.fsdecode).filter(lambda s: "/" not in s)))
def test_segments_make_the_path_that_they_come_from(segments):
    assert segments_of(path_of(segments)) == segments
