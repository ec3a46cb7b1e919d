"""Which media type a file has, by the extension of its name (reference, 4.7)."""

import mimetypes

import pytest

from cptoolkit.middleware.files.media_types import checked_types, media_type


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("style.css", "text/css"),
        ("my.js", "text/javascript"),
        ("module.mjs", "text/javascript"),
        ("PAGE.HTML", "text/html"),
        ("favicon.ico", "image/x-icon"),
        ("font.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("noext", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        (".css", "application/octet-stream"),
        ("dir.css/noext", "application/octet-stream"),
    ],
)
def test_media_type_is_that_of_the_extension(path, expected):
    assert media_type(path) == expected


def test_type_that_the_program_sets_counts_from_then_on(monkeypatch):
    monkeypatch.setitem(mimetypes.types_map, ".csv", "text/x-mine")
    monkeypatch.setitem(mimetypes.types_map, ".ico", "image/x-mine")
    assert media_type("a.csv") == "text/x-mine"
    assert media_type("a.ico") == "image/x-mine"


def test_types_of_the_machine_only_add_to_what_is_known(monkeypatch, tmp_path):
    types = tmp_path / "mime.types"
    types.write_text("text/plain js css mine\n")
    monkeypatch.setattr(mimetypes, "knownfiles", [str(types)])
    monkeypatch.setattr(mimetypes, "inited", False)
    for name in ("types_map", "suffix_map", "encodings_map", "common_types", "_db"):
        monkeypatch.setattr(mimetypes, name, getattr(mimetypes, name))
    monkeypatch.setattr(mimetypes, "types_map", dict(mimetypes.types_map, **{".css": "text/own"}))
    assert media_type("a.mine") == "text/plain"
    assert media_type("a.js") == "text/javascript"
    assert media_type("a.css") == "text/own"


def test_own_types_count_most():
    own = checked_types({".CSS": "text/x-one", "js": "text/x-two"})
    assert own == {"css": "text/x-one", "js": "text/x-two"}
    assert media_type("a.css", own) == "text/x-one"
    assert media_type("a.html", own) == "text/html"


@pytest.mark.parametrize("value", ["text", "a\nb/c", "t\u00e4xt/x", ""])
def test_own_type_that_would_break_the_field_is_refused(value):
    with pytest.raises(ValueError, match=r"content_types\['x'\] must be a media type"):
        checked_types({"x": value})
