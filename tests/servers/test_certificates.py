"""Files of certificates: which is whose, and what happens when they change."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.servers import Options, TLSError
from cptoolkit.servers.certificates import LOOK_EVERY, Reloaded, for_host, key_pairs


class Files:
    """One file, a context that is what it says, a clock to set, and the log."""

    def __init__(self, folder):
        self.path = folder / "file"
        self.path.write_text("first")
        self.now = 0.0
        self.logged = []
        self.made = 0
        self.reason = ""  # why they cannot be used, though they are there
        log = self.logged.append
        self.reloaded = Reloaded(
            self.make, [str(self.path)], lambda *entry: log(entry), clock=lambda: self.now
        )

    def make(self):
        self.made += 1
        text = self.path.read_text() if self.path.exists() else ""
        if not text:
            raise TLSError("nothing there")
        if self.reason:
            raise TLSError(self.reason)
        return text

    def write(self, text):
        new = self.path.with_suffix(".new")
        new.write_text(text)
        os.replace(new, self.path)

    def current_later(self):
        self.now += LOOK_EVERY
        return self.reloaded.current()

    def told(self):
        return [message for message, *_ in self.logged]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_files_are_looked_at_once_a_second_at_most(files):
    files.write("second")
    files.now = LOOK_EVERY * 0.9
    assert files.reloaded.current() == "first"
    files.now = LOOK_EVERY
    assert files.reloaded.current() == "second"


def test_files_that_stay_are_not_read_again(files):
    for _ in range(5):
        assert files.current_later() == "first"
    assert files.made == 1
    assert files.logged == []


def test_change_of_the_same_length_is_seen(files):
    files.path.write_text("FIRST")
    assert files.current_later() == "FIRST"


@pytest.mark.parametrize("change", ["emptied", "removed"])
def test_unusable_files_leave_the_last_context_and_are_told_once(files, change):
    if change == "emptied":
        files.write("")
    else:
        files.path.unlink()
    for _ in range(3):
        assert files.current_later() == "first"
    assert [message for message, *_ in files.logged] == [
        "new certificates are not used: nothing there"
    ]
    files.write("second")
    assert files.current_later() == "second"
    assert len(files.logged) == 2


def test_files_that_could_not_be_used_are_tried_again_though_they_stay_as_they_are(files):
    files.write("second")
    files.reason = "no room"
    assert files.current_later() == "first"
    files.reason = ""
    assert files.current_later() == "second"
    assert files.told() == [
        "new certificates are not used: no room",
        "new certificates are used from now on",
    ]


def test_each_reason_is_told_once_and_again_after_a_success(files):
    def fail(*reasons):
        for files.reason in reasons:
            files.current_later()
        files.reason = ""

    files.write("second")
    fail("no room", "no room", "no right", "no right")
    assert files.current_later() == "second"
    files.write("third")
    fail("no right", "no right")
    assert files.told() == [
        "new certificates are not used: no room",
        "new certificates are not used: no right",
        "new certificates are used from now on",
        "new certificates are not used: no right",
    ]


def test_reason_is_told_again_after_the_files_were_back_as_they_had_been(files):
    away = files.path.with_suffix(".away")
    for _ in range(2):
        files.path.rename(away)
        assert files.current_later() == "first"
        away.rename(files.path)
        assert files.current_later() == "first"
    assert files.told() == ["new certificates are not used: nothing there"] * 2
    assert files.made == 3  # what is there as before needs no new context


def test_first_context_has_to_be_usable():
    def make():
        raise TLSError("nothing there")

    with pytest.raises(TLSError, match="nothing there"):
        Reloaded(make, [], print)


def test_unexpected_error_does_not_end_reloading(files):
    def fail():
        raise RuntimeError("on purpose")

    files.reloaded._make, make = fail, files.reloaded._make
    files.write("second")
    with pytest.raises(RuntimeError):
        files.current_later()
    files.reloaded._make = make
    files.write("third")
    assert files.current_later() == "third"


@pytest.mark.parametrize(
    ("asked_for", "found"),
    [
        ("a.example", 1),
        ("A.EXAMPLE", 1),
        ("www.a.example", 2),
        ("a.b.a.example", None),
        ("example", None),
        ("", None),
        (None, None),
        (".a.example", 2),
        ("*.a.example", 2),
    ],
)
def test_context_is_found_by_name_then_by_wildcard(asked_for, found):
    assert for_host({"": 0, "a.example": 1, "*.a.example": 2}, asked_for) == found


@given(st.text())
def test_any_name_may_be_asked_for(name):
    for_host({"": 0, "a": 1}, name)


def test_pairs_are_told_by_host():
    options = Options(
        ssl_certificate="c",
        ssl_certificate_chain="chain",
        ssl_hosts={"A.example": ("a", "k"), "b.example": ("b", "")},
    )
    pairs = key_pairs(options)
    assert list(pairs) == ["", "a.example", "b.example"]
    assert [(pair.certificate, pair.key, pair.chain) for pair in pairs.values()] == [
        ("c", "c", "chain"),
        ("a", "k", ""),
        ("b", "b", ""),
    ]
