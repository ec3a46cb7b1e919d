"""The stores that need no server: RAM and files. What all stores have in common is tested with
the shared ones."""

import gc
import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from beside import PATIENCE, at_once, in_threads

from cptoolkit.middleware.sessions import files as files_module
from cptoolkit.middleware.sessions.file_lock import PortableLock
from cptoolkit.middleware.sessions.files import FileStore
from cptoolkit.middleware.sessions.ram import RamStore
from cptoolkit.middleware.sessions.store import BrokenRecord, LockTimeout, StoreUnavailable

LATER = time.time() + 3600


LOCKS = [PortableLock]
with suppress(ImportError):
    from cptoolkit.middleware.sessions.flock import Flock

    LOCKS.append(Flock)


@pytest.fixture(params=LOCKS, ids=lambda kind: kind.__name__)
def files(request, tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "HeldLock", request.param)
    return FileStore(tmp_path)


@pytest.fixture(params=["ram", "files"])
def store(request, tmp_path):
    return RamStore() if request.param == "ram" else FileStore(tmp_path)


def names(store):
    return sorted(os.listdir(store.path))


def test_data_are_the_callers_own(store):
    data = {"n": 1, "list": [1, {"deep": {2}}], "pair": ([3],)}
    store.save("a", data, LATER)
    data["list"].append("not stored")
    loaded = store.load("a")
    assert loaded[0] == {"n": 1, "list": [1, {"deep": {2}}], "pair": ([3],)}
    loaded[0]["list"][1]["deep"].add(5)
    loaded[0]["pair"][0].append(5)
    loaded[0]["n"] = 2
    assert store.load("a")[0] == {"n": 1, "list": [1, {"deep": {2}}], "pair": ([3],)}


def test_containers_that_contain_themselves_can_be_stored(store):
    loop = [1]
    loop.append(loop)
    store.save("a", {"loop": loop, "again": loop}, LATER)
    data = store.load("a")[0]
    assert data["loop"][1] is data["loop"] is data["again"]
    assert data["loop"] is not loop


def test_expired_record_is_none_and_swept(store):
    store.save("old", {"n": 1}, 1.0)
    store.save("new", {"n": 1}, LATER)
    assert store.load("old") is None
    assert not store.exists("old")
    store.clean_up(time.time())
    assert len(store) == 1
    assert store.exists("new")


def test_touch_moves_the_end_and_makes_nothing(store):
    store.save("a", {"n": 1}, LATER)
    store.touch("a", LATER + 100)
    store.touch("b", LATER)
    assert store.load("a")[1] == pytest.approx(LATER + 100, abs=0.01)
    assert len(store) == 1


def test_lock_keeps_others_out_until_it_is_released(store):
    lock = store.lock("a", 1)
    with pytest.raises(LockTimeout, match="locked for more than 0 s"):
        store.lock("a", 0)
    assert lock.held()
    store.lock("b", 0).release()
    lock.release()
    lock.release()
    assert not lock.held()
    store.lock("a", 0).release()


def test_threads_take_turns_and_lose_no_update(store):
    store.save("a", {"n": 0}, LATER)

    def work():
        for _ in range(25):
            lock = store.lock("a", 30)
            data = store.load("a")[0]
            data["n"] += 1
            store.save("a", data, LATER)
            lock.release()

    at_once(*[work] * 4)
    assert store.load("a")[0] == {"n": 100}


# -- RAM ---------------------------------------------------------------------------------------


def test_lock_table_in_ram_does_not_grow():
    store = RamStore()
    for number in range(100):
        lock = store.lock(str(number), 0)
        with pytest.raises(LockTimeout):
            store.lock(str(number), 0)
        lock.release()
    assert store.locks == {}


def test_objects_in_ram_are_the_same_in_all_requests():
    store, thing = RamStore(), object()
    store.save("a", {"thing": thing, "things": [thing]}, LATER)
    data = store.load("a")[0]
    assert data["thing"] is data["things"][0] is thing


# -- files -------------------------------------------------------------------------------------


def test_file_is_only_for_its_owner(files):
    files.save("a", {"n": 1}, LATER)
    files.lock("a", 0).release()
    for name in ("session-a", "session-a.lock"):
        assert stat.S_IMODE(os.stat(os.path.join(files.path, name)).st_mode) == 0o600


def test_folder_is_made_for_its_owner_and_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = FileStore("deep/er")
    assert store.path == str(tmp_path / "deep" / "er")
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o700
    monkeypatch.chdir("/")
    store.save("a", {"n": 1}, LATER)
    assert store.load("a")[0] == {"n": 1}


def test_folder_that_cannot_be_made_is_told_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"storage_path .*/file/x' cannot be made: Not a dir"):
        FileStore(tmp_path / "file" / "x")
    with pytest.raises(ValueError, match=r"storage_path .* cannot be made: File exists"):
        FileStore(tmp_path / "file")


def test_folder_that_cannot_be_written_to_is_told_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *arguments: False)  # root may write anywhere
    with pytest.raises(ValueError, match="must be a folder that can be written to"):
        FileStore(tmp_path)


def test_write_that_fails_half_way_leaves_the_old_record_and_no_stray_file(files, monkeypatch):
    files.save("a", {"n": 1}, LATER)

    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        files.save("a", {"n": 2}, LATER)
    assert names(files) == ["session-a"]
    assert files.load("a")[0] == {"n": 1}


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_record_that_was_cut_short_is_broken(files, cut):
    files.save("a", {"n": 1}, LATER)
    path = os.path.join(files.path, "session-a")
    with open(path, "rb") as file:
        start = file.read(cut)
    with open(path, "wb") as file:
        file.write(start)
    os.utime(path, (LATER, LATER))
    with pytest.raises(BrokenRecord):
        files.load("a")


def test_record_that_another_secret_signed_is_broken(tmp_path):
    FileStore(tmp_path, secret="theirs").save("a", {"n": 1}, LATER)
    with pytest.raises(BrokenRecord):
        FileStore(tmp_path, secret="ours").load("a")
    assert FileStore(tmp_path, secret=["new", "theirs"]).load("a")[0] == {"n": 1}


def test_file_that_may_not_be_locked_is_an_error_at_once(files, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    if files_module.HeldLock is PortableLock:
        monkeypatch.setattr("filelock.FileLock._acquire", refuse)
    else:
        monkeypatch.setattr("cptoolkit.middleware.sessions.flock.flock", refuse)
    before = time.monotonic()
    with pytest.raises(StoreUnavailable, match="Permission denied"):
        files.lock("a", 30)
    assert time.monotonic() - before < 20


def test_failure_of_the_disk_is_told_without_the_id(files):
    os.mkdir(os.path.join(files.path, "session-a"))
    os.utime(os.path.join(files.path, "session-a"), (LATER, LATER))
    with pytest.raises(StoreUnavailable, match=r"^Is a directory$"):
        files.load("a")


def test_sweep_leaves_no_stray_files(files):
    for name in ("a", "b"):
        files.save(name, {}, 1.0)
    kept = files.lock("b", 0)  # it is being served
    files.lock("a", 0).release()
    files.save("c", {}, LATER)
    files.lock("c", 0).release()
    orphan = os.path.join(files.path, "session-d.lock")
    half = os.path.join(files.path, "session-e.x1y2.new")
    for path in (orphan, half, os.path.join(files.path, "README")):
        with open(path, "w"):
            pass
    os.utime(half, (1, 1))
    files.clean_up(time.time())
    assert names(files) == ["README", "session-b", "session-b.lock", "session-c", "session-c.lock"]
    kept.release()
    files.clean_up(time.time())
    assert names(files) == ["README", "session-c", "session-c.lock"]


def test_sweep_takes_no_file_away_that_is_being_written(files, monkeypatch):
    def sweep_and_set_time(path, times, utime=os.utime):
        files.clean_up(time.time() + 1)
        utime(path, times)

    monkeypatch.setattr(os, "utime", sweep_and_set_time)
    files.save("a", {"n": 1}, LATER)
    assert files.load("a")[0] == {"n": 1}


def test_locking_an_id_that_nobody_has_leaves_no_file(files):
    files.lock("unknown", 0).release()
    assert names(files) == []


def test_waiter_on_a_removed_lock_file_does_not_share_the_lock(files, monkeypatch):
    """The file goes with its holder; who waited on it must not hold what has no name."""
    has_the_file_open = threading.Event()

    def pause(seconds, sleep=time.sleep):
        has_the_file_open.set()
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    first = files.lock("a", 0)
    got = []
    with in_threads(lambda: got.append(files.lock("a", 20))):
        assert has_the_file_open.wait(PATIENCE)
        first.release()  # removes the file, for there is no session
    with pytest.raises(LockTimeout):
        files.lock("a", 0)
    got[0].release()
    files.lock("a", 0).release()


def test_lock_that_is_held_keeps_others_waiting_until_their_time_is_over(files):
    held = files.lock("a", 0)
    for timeout in (0, 0.02):
        with pytest.raises(LockTimeout, match=f"locked for more than {timeout} s"):
            files.lock("a", timeout)
    assert held.held()
    held.release()
    held.release()
    assert not held.held()
    files.lock("a", 0).release()


def test_lock_that_nobody_has_in_hand_any_more_is_given_back(files):
    files.save("a", {}, LATER)
    files.lock("a", 0)
    gc.collect()
    files.lock("a", 0).release()


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
def test_child_does_not_keep_the_lock_of_a_parent_that_has_died(files):
    forking = """
import os, sys, time
from cptoolkit.middleware.sessions.files import FileStore

lock = FileStore(sys.argv[1]).lock("a", 0)
if os.fork():
    os._exit(0)
print(lock.held(), flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", forking, files.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout.readline() == b"False\n"
        assert child.wait(20) == 0
        files.lock("a", 0).release()


@pytest.mark.skipif(sys.platform == "win32", reason="has no flock")
def test_lock_is_given_back_also_while_a_child_has_the_file_open(tmp_path):
    files = FileStore(tmp_path)
    files.save("a", {}, LATER)
    lock = files.lock("a", 0)
    reading = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(reading, stdin=subprocess.PIPE, pass_fds=[lock._descriptor]):
        lock.release()
        files.lock("a", 0).release()
