"""The Session object: a dict to its page, with an id, a store, and a life of its own."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptoolkit.middleware.sessions import Session
from cptoolkit.middleware.sessions.changes import mark
from cptoolkit.middleware.sessions.ram import RamStore
from cptoolkit.middleware.sessions.store import BrokenRecord, StoreUnavailable
from cptoolkit.middleware.sessions.stored import FileSession, RamSession, StoredSession

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3),
    st.lists(st.one_of(st.integers(0, 1), st.booleans()), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip

OPERATIONS = st.one_of(
    st.tuples(st.just("set"), KEYS, VALUES),
    st.tuples(st.just("del"), KEYS),
    st.tuples(st.just("pop"), KEYS, VALUES),
    st.tuples(st.just("setdefault"), KEYS, VALUES),
    st.tuples(st.just("update"), st.dictionaries(KEYS, VALUES, max_size=2)),
    st.tuples(st.just("get"), KEYS, VALUES),
    st.tuples(st.just("grow"), KEYS, VALUES),
    st.tuples(st.just("clear")),
    st.tuples(st.just("look")),
)


def do(mapping, operation):
    """Do it, and say what came of it."""
    name, *arguments = operation
    try:
        match name:
            case "set":
                mapping[arguments[0]] = arguments[1]
            case "del":
                del mapping[arguments[0]]
            case "grow":  # changes a list in place
                mapping[arguments[0]].append(arguments[1])
            case "look":
                return (dict(mapping.items()), len(mapping), set(mapping), "a" in mapping)
            case _:
                return getattr(mapping, name)(*arguments)
    except (KeyError, AttributeError) as error:
        return type(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sessions")


@pytest.mark.parametrize("locking", ["implicit", "optimistic"])
@pytest.mark.parametrize("kind", ["ram", "file"])
@settings(max_examples=60, deadline=None)
@given(requests=st.lists(st.lists(OPERATIONS, max_size=5), max_size=4))
def test_any_sequence_of_operations_gives_what_a_dict_gives(folder, kind, locking, requests):
    from cptoolkit.middleware.sessions.files import FileStore

    store = RamStore() if kind == "ram" else FileStore(folder)
    id, expected = None, {}
    for operations in requests:
        session = StoredSession(id, storage=store, locking=locking)
        for operation in operations:
            # The values are the same objects in both, so that growing one must not reach the other.
            assert do(session, pickled(operation)) == do(expected, pickled(operation))
        session.save()
        if session.stored:
            id = session.id
    kept = {} if id is None else store.load(id)[0]
    # By their text, as 1 is not True.
    assert repr(sorted(kept.items())) == repr(sorted(expected.items()))


def pickled(value):
    import pickle

    return pickle.loads(pickle.dumps(value))


@settings(max_examples=100, deadline=None)
@given(
    base=st.dictionaries(KEYS, VALUES, min_size=1),
    ours=st.lists(OPERATIONS, max_size=4),
    theirs=st.lists(OPERATIONS, max_size=4),
)
def test_merged_changes_of_different_keys_are_all_there(base, ours, theirs):
    store = RamStore()
    first = begun(store, pickled(base))
    mine = StoredSession(first.id, storage=store, locking="optimistic")
    other = StoredSession(first.id, storage=store, locking="optimistic")
    plain = [pickled(base), pickled(base)]
    for session, expected, operations in ((mine, plain[0], ours), (other, plain[1], theirs)):
        for operation in operations:
            if operation[0] != "clear":
                do(session, pickled(operation))
                do(expected, pickled(operation))
    other.save()
    mine.save()
    merged = store.load(first.id)[0]
    for key in "abc":
        before, my, their = (d.get(key, "absent") for d in (base, *plain))
        assert repr(merged.get(key, "absent")) == repr(my if repr(my) != repr(before) else their)


def begun(store, data, **options):
    session = StoredSession(storage=store, **options)
    session.update(data)
    session.save()
    return session


# -- the id ------------------------------------------------------------------------------------


def test_constant_generator_of_ids_is_an_error_and_no_endless_loop():
    class Constant(StoredSession):
        def generate_id(self):
            return "always-the-same"

    store = RamStore()
    store.save("always-the-same", {}, datetime.now().timestamp() + 60)
    with pytest.raises(RuntimeError, match=r"generate_id\(\) of Constant has given 10 ids"):
        Constant(storage=store)["n"] = 1


def test_new_session_asks_its_store_for_nothing():
    class Untouchable(RamStore):
        def load(self, id):
            raise AssertionError("loaded")

        exists = lock = load

    session = StoredSession(storage=Untouchable())
    assert session.get("n") is None
    session["n"] = 1
    session.save()
    assert session.stored


def test_generator_of_ones_own_says_what_ids_look_like():
    class Numbered(StoredSession):
        def generate_id(self):
            return "user-1"

    store = RamStore()
    begun(store, {})
    session = Numbered(storage=store)
    session["n"] = 1
    session.save()
    assert Numbered("user-1", storage=store)["n"] == 1
    assert "n" not in StoredSession("user-1", storage=store)


@pytest.mark.parametrize("id", ["", "../x", "a" * 129, "a b", "a\n"])
def test_id_that_could_be_anything_else_cannot_be_set(id):
    with pytest.raises(ValueError, match="id must be letters"):
        RamSession().id = id


def test_original_id_stays_that_of_the_client():
    first = begun(RamStore(), {"n": 1})
    session = StoredSession(first.id, storage=first.storage)
    session.regenerate()
    assert session.originalid == first.id != session.id
    assert (session.missing, session.regenerated) == (False, True)


def test_regenerate_before_anything_was_touched_keeps_the_data():
    first = begun(RamStore(), {"n": 1})
    session = StoredSession(first.id, storage=first.storage)
    session.regenerate()
    session.save()
    assert first.storage.load(session.id)[0] == {"n": 1}
    assert not first.storage.exists(first.id)


def test_regenerate_under_optimistic_takes_along_what_others_have_changed():
    first = begun(RamStore(), {"n": 1})
    session = StoredSession(first.id, storage=first.storage, locking="optimistic")
    session["mine"] = 1
    other = StoredSession(first.id, storage=first.storage)
    other["theirs"] = 1
    other.save()
    session.regenerate()
    session.save()
    assert first.storage.load(session.id)[0] == {"n": 1, "mine": 1, "theirs": 1}


def test_session_that_expired_while_its_lock_was_held_is_released_without_error():
    first = begun(RamStore(), {"n": 1})
    session = StoredSession(first.id, storage=first.storage)
    session["n"] = 2
    first.storage.touch(first.id, 1.0)
    first.storage.clean_up(datetime.now().timestamp())
    session.save()
    assert first.storage.locks == {}


# -- loading and saving ------------------------------------------------------------------------


def test_load_discards_what_was_changed():
    first = begun(RamStore(), {"n": 1})
    session = StoredSession(first.id, storage=first.storage)
    session["n"] = 2
    session.load()
    assert session["n"] == 1
    session.save()
    assert first.storage.load(first.id)[0] == {"n": 1}


def test_save_in_mid_request_stores_at_once_and_later_changes_too():
    store = RamStore()
    session = StoredSession(storage=store)
    session["a"] = 1
    session.save()
    assert store.load(session.id)[0] == {"a": 1}
    session["b"] = 2
    session.save()
    assert store.load(session.id)[0] == {"a": 1, "b": 2}
    assert store.locks == {}


def test_reading_alone_writes_nothing():
    first = begun(RamStore(), {"n": [1]})
    record = first.storage.records[first.id]
    session = StoredSession(first.id, storage=first.storage)
    assert session["n"] == [1]
    session.save()
    assert first.storage.records[first.id][0] is record[0]
    assert first.storage.records[first.id][1] > record[1]


def test_clear_also_removes_what_others_have_added_meanwhile():
    first = begun(RamStore(), {"n": 1})
    session = StoredSession(first.id, storage=first.storage, locking="optimistic")
    session.clear()
    session["after"] = 1
    other = StoredSession(first.id, storage=first.storage)
    other["secret"] = 1
    other.save()
    session.save()
    assert first.storage.load(first.id)[0] == {"after": 1}


def test_broken_record_is_a_new_session_and_one_line_in_the_log(caplog):
    class Broken(RamStore):
        def load(self, id):
            if id in self.records:
                raise BrokenRecord("cut short")
            return None

    store = Broken()
    first = begun(store, {"n": 1})
    session = StoredSession(first.id, storage=store)
    assert dict(session) == {}
    assert session.missing
    assert session.id != first.id
    assert store.records == {}
    assert [record.message for record in caplog.records] == [
        "a session could not be read and has been dropped: cut short"
    ]


def test_store_that_failed_once_is_not_asked_again_by_the_same_request(caplog):
    asked = []

    class Down(RamStore):
        def lock(self, id, timeout):
            asked.append(id)
            raise StoreUnavailable("down")

    session = StoredSession("a" * 40, storage=Down())
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            session.get("n")
    assert len(asked) == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize("change", [1, True, 1.0, "1", b"1", None, [1], [True], {"a": 1}, (1,)])
def test_mark_tells_values_apart_that_are_equal(change):
    values = [1, True, 1.0, "1", b"1", None, [1], [True], {"a": 1}, (1,)]
    assert [mark(value) == mark(change) for value in values].count(True) == 1


def test_value_that_cannot_be_pickled_counts_as_changed():
    first = begun(RamStore(), {"call": lambda: 1})
    session = StoredSession(first.id, storage=first.storage)
    assert session["call"]() == 1
    assert session._changed_keys() == ["call"]


# -- classes -----------------------------------------------------------------------------------


class Shelf(Session):
    """A storage class of a user's own, as the reference, 4.6.3, has it; its lock is not ours."""

    shelf = {}
    opened_with = None
    calls = []

    @classmethod
    def setup(cls, **options):
        cls.opened_with = options

    def _exists(self):
        return self.id in self.shelf

    def _load(self):
        self.calls.append("load")
        return self.shelf.get(self.id)

    def _save(self, expiration_time):
        self.calls.append("save")
        self.shelf[self.id] = (dict(self._data), expiration_time)

    def _delete(self):
        self.shelf.pop(self.id, None)

    def acquire_lock(self):
        self.calls.append("lock")
        self.locked = True

    def release_lock(self):
        self.calls.append("release")
        self.locked = False


@pytest.fixture
def shelf():
    Shelf.shelf, Shelf.calls = {}, []
    return Shelf


def test_class_of_ones_own_is_locked_loaded_saved_and_released_in_turn(shelf):
    first = shelf()
    first["n"] = 1
    first.save()
    shelf.calls.clear()
    session = shelf(first.id)
    session["n"] += 1
    session.save()
    assert shelf.calls == ["lock", "load", "save", "release"]
    assert shelf.shelf[first.id][0] == {"n": 2}


def test_class_of_ones_own_merges_under_its_own_lock(shelf):
    first = shelf()
    first["n"] = 1
    first.save()
    session = shelf(first.id, locking="optimistic")
    session["mine"] = 1
    shelf.shelf[first.id][0]["theirs"] = 1
    session.save()
    assert shelf.shelf[first.id][0] == {"n": 1, "mine": 1, "theirs": 1}
    assert shelf.calls[-4:] == ["lock", "load", "save", "release"]


def test_expiry_of_a_class_of_ones_own_is_reckoned_by_its_own_clock(shelf):
    class Zoned(shelf):
        def now(self):
            return datetime.now(timezone.utc)

    first = Zoned(timeout=7)
    first["n"] = 1
    first.save()
    end = shelf.shelf[first.id][1]
    assert end.tzinfo is timezone.utc
    assert timedelta(minutes=6.9) < end - datetime.now(timezone.utc) <= timedelta(minutes=7)
    shelf.locking = "explicit"
    assert Zoned(first.id)["n"] == 1
    shelf.shelf[first.id] = ({"n": 1}, datetime.now(timezone.utc))
    assert "n" not in Zoned(first.id)


def test_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"Session does not say how to _load\(\)"):
        Session("a" * 40).get("n")


def test_store_classes_open_their_own_store(tmp_path):
    session = FileSession(storage_path=str(tmp_path), timeout=5)
    session["n"] = 1
    session.save()
    assert session.storage_path == str(tmp_path)
    again = FileSession(session.id, storage_path=str(tmp_path))
    assert again["n"] == 1
    again.close()
    assert session.timeout == 5


def test_ram_sessions_of_a_process_are_all_in_one_table():
    session = RamSession()
    session["n"] = 1
    session.save()
    data, expires = RamSession.cache[session.id]
    assert data == {"n": 1}
    assert expires > datetime.now().timestamp()
    assert session.cache is RamSession.cache
    session.delete()
    assert session.id not in RamSession.cache
    assert RamSession.locks == {}


def test_stored_session_needs_a_store():
    with pytest.raises(TypeError, match="StoredSession needs a storage"):
        StoredSession()


def test_sessions_are_mappings_that_show_no_data():
    session = RamSession()
    session["password"] = "hush"
    assert "hush" not in repr(session)
    assert session == {"password": "hush"}
    assert session.has_key("password")


def test_lock_of_a_subclass_is_asked_at_the_first_touch():
    class Unlocked(RamSession):
        def acquire_lock(self):
            """Requests of one session are not to wait for each other here."""

    first = begun(RamSession.storage, {"n": 1})
    session = Unlocked(first.id)
    assert session["n"] == 1
    assert RamSession.locks == {}
    session.delete()


@pytest.mark.parametrize("locking", ["implicit", "optimistic"])
def test_record_is_only_deleted_under_its_lock(locking):
    """Else one who is saving right now would bring it back."""
    locked = []

    class Watched(RamStore):
        def delete(self, id):
            locked.append(id in self.locks)
            super().delete(id)

    first = begun(Watched(), {"n": 1})
    session = StoredSession(first.id, storage=first.storage, locking=locking)
    session.delete()
    assert locked == [True]
    assert first.storage.locks == {}
