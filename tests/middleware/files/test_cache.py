"""Files kept in memory: few, small, and never longer than they are right."""

import os

import pytest
from beside import at_once

from cptoolkit.middleware.files import cache as module
from cptoolkit.middleware.files.answers import SMALL, etag_of, last_modified_of, open_regular
from cptoolkit.middleware.files.cache import FileCache, StoredFile

LONG_AGO = 1_000_000_000


@pytest.fixture
def stored(tmp_path):
    def make(name, content=b"x", **options):
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))
        return StoredFile(str(path), [], **options)

    return make


def test_small_file_is_held_in_memory_and_a_big_one_is_not(stored):
    assert stored("small", b"x" * SMALL).weight == SMALL
    assert stored("big", b"x" * (SMALL + 1)).weight == 0


def test_most_files_are_kept_by_when_they_were_asked_for(stored):
    cache = FileCache(most=2)
    for name in ("a", "b"):
        cache.put(name, stored(name))
    assert cache.get("a") is not None
    cache.put("c", stored("c"))
    assert [cache.get(name) is None for name in "abc"] == [False, True, False]


def test_most_bytes_are_kept(stored):
    cache = FileCache(most_bytes=10)
    for name in "abc":
        cache.put(name, stored(name, b"12345"))
    assert (len(cache), cache.weight) == (2, 10)
    cache.put("c", stored("c", b"1"))
    assert cache.weight == 6
    cache.drop("c")
    cache.drop("c")
    assert (len(cache), cache.weight) == (1, 5)


def test_file_that_changed_just_now_is_not_kept(stored, tmp_path):
    cache = FileCache()
    cache.put("a", stored("a"))
    (tmp_path / "a").write_bytes(b"y")
    assert cache.get("a") is None
    cache.put("a", StoredFile(str(tmp_path / "a"), []))
    assert len(cache) == 0


def test_file_with_the_same_size_and_time_is_another_all_the_same(stored, tmp_path):
    cache = FileCache()
    cache.put("a", stored("a", b"one"))
    (tmp_path / "b").write_bytes(b"two")
    os.utime(tmp_path / "b", (LONG_AGO, LONG_AGO))
    os.replace(tmp_path / "b", tmp_path / "a")
    assert cache.get("a") is None


def test_file_is_looked_up_anew_after_a_while(stored, monkeypatch):
    cache = FileCache()
    cache.put("a", stored("a"))
    assert cache.get("a") is not None
    now = module.monotonic()
    monkeypatch.setattr(module, "monotonic", lambda: now + module.KEPT_SECONDS)
    assert cache.get("a") is None


def test_threads_share_it(stored):
    cache = FileCache(most=3)
    files = [stored(str(n), b"x" * n) for n in range(6)]

    def work():
        for n in range(600):
            cache.put(n % 6, files[n % 6])
            cache.get((n + 3) % 6)

    at_once(*[work] * 4)
    assert len(cache) == 3
    assert cache.weight == sum(cache._files[key].weight for key in cache._files)


def test_last_modified_is_never_in_the_future(tmp_path):
    path = tmp_path / "a"
    path.touch()
    os.utime(path, (2**33, 2**33))
    assert last_modified_of(path.stat()) is None
    os.utime(path, (0, 0))
    assert last_modified_of(path.stat()) == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_tag_tells_times_apart_that_the_date_does_not(tmp_path):
    path = tmp_path / "a"
    path.touch()
    tags = set()
    for nanosecond in (1, 1001):
        os.utime(path, ns=(nanosecond, nanosecond))
        tags.add(etag_of(path.stat()))
    assert len(tags) == 2


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_opened(tmp_path, make):
    path = tmp_path / "x"
    make(path)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(path)
