"""A body that is copied while it is sent."""

from cptoolkit.middleware.caching.tee import Tee


def test_copy_is_told_at_the_end_and_only_then():
    told = []
    tee = Tee([b"a", b"b"], 2, told.append)
    assert next(tee) == b"a"
    assert not told
    assert list(tee) == [b"b"]
    tee.close()
    assert (told, list(tee)) == ([b"ab"], [])


def test_copy_over_the_limit_is_not_told():
    told = []
    assert list(Tee([b"a", b"bc", b"d"], 2, told.append)) == [b"a", b"bc", b"d"]
    assert not told


def test_closed_body_is_not_whole_whoever_goes_on_drawing():
    told = []
    tee = Tee([b"a"], 2, told.append)
    assert next(tee) == b"a"
    tee.close()
    assert list(tee) == []
    assert not told
