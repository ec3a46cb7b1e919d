"""A mapping that knows which of its values have been changed, also in place."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from types import MappingProxyType
from typing import Any

Mark = tuple[type, Any]
"""What a value was like: two marks are equal if it has not been changed in between."""

ATOMS = frozenset({str, int, float, bool, type(None), bytes, complex})
"""Types whose values cannot change. Only they themselves, not their subclasses."""

ABSENT = object()
"""The value of a key that is not there."""


def mark(value: Any) -> Mark:
    """What a value is like now.

    Of what can change in place the mark is its pickle, as that is quickly made and tells 1 from
    True at any depth. What cannot be pickled has a mark unlike any other, and so counts as changed.
    """
    kind = type(value)
    if kind in ATOMS or value is ABSENT:
        return kind, value
    from pickle import dumps  # not above: many a session holds only atoms

    try:
        return kind, dumps(value, 5)
    except Exception:  # pickle runs methods of the value, which may raise anything
        return kind, _Unlike()


class _Unlike:
    """Equal to nothing but itself."""


class LazyMapping(MutableMapping[Any, Any]):
    """A dict that is loaded when it is first touched, and remembers what values were like.

    Only of those that are set, deleted, or handed out and could change, so that the others cost
    nothing.
    """

    loaded: bool = False
    """Whether it has been touched, and what there is has been loaded."""

    _data: dict[Any, Any] = MappingProxyType({})  # type: ignore[assignment]  # until it is loaded
    # What values were like before they were, or may have been, changed.
    _seen: dict[Any, Mark] = MappingProxyType({})  # type: ignore[assignment]
    _cleared = False  # whether clear() has been called

    def _open(self) -> None:
        """Load what there is into ``_data``."""
        raise NotImplementedError

    def _has_changed(self) -> bool:
        """Whether there is anything to be saved."""
        data = self._data
        for key, was in self._seen.items():
            if mark(data.get(key, ABSENT)) != was:
                return True
        return self._cleared

    def _changed_keys(self) -> list[Any]:
        data = self._data
        return [key for key, was in self._seen.items() if mark(data.get(key, ABSENT)) != was]

    def _remember(self, key: Any) -> None:
        """Note what a value is like, before it is changed for the first time."""
        self._seen[key] = mark(self._data.get(key, ABSENT))

    def __getitem__(self, key: Any) -> Any:
        if not self.loaded:
            self._open()
        value = self._data[key]
        if type(value) not in ATOMS and key not in self._seen:
            self._remember(key)  # it can be changed in place
        return value

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or the default if there is no such key."""
        if not self.loaded:
            self._open()
        value = self._data.get(key, ABSENT)
        if type(value) in ATOMS:
            return value
        return default if value is ABSENT else self[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.loaded:
            self._open()
        data, seen = self._data, self._seen
        if key not in seen:
            seen[key] = mark(data.get(key, ABSENT))
        data[key] = value

    def __delitem__(self, key: Any) -> None:
        if not self.loaded:
            self._open()
        if key not in self._seen:
            self._remember(key)
        del self._data[key]

    def __contains__(self, key: object) -> bool:
        if not self.loaded:
            self._open()
        return key in self._data

    def __iter__(self) -> Iterator[Any]:
        if not self.loaded:
            self._open()
        return iter(self._data)

    def __len__(self) -> int:
        """How many keys it has."""
        if not self.loaded:
            self._open()
        return len(self._data)

    def clear(self) -> None:
        """Remove all keys, also those that other requests have added meanwhile."""
        if not self.loaded:
            self._open()
        for key in self._data.keys() - self._seen:
            self._remember(key)
        self._data.clear()
        self._cleared = True

    has_key = __contains__
