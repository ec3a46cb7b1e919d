"""Where the entries of a config are from: noted when they are taken over, for whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Origin(NamedTuple):
    """Where an entry of a config is from."""

    kind: str
    """"file", "environment", "default", or "code" for the program itself."""

    name: str = ""
    """That of the file or the environment."""


CODE = Origin("code")


class Origins:
    """The origins of the entries of one dict of config."""

    def __init__(self) -> None:
        self._noted: dict[str, tuple[Origin, Any]] = {}

    def note(self, entries: Mapping[str, Any], origin: Origin) -> None:
        """Say where entries are from that are being taken over."""
        self._noted.update((key, (origin, value)) for key, value in entries.items())

    def forget(self, keys: Iterable[str]) -> None:
        """Say that entries are the program's own."""
        for key in keys:
            self._noted.pop(key, None)

    def clear(self) -> None:
        """Say so of all entries."""
        self._noted.clear()

    def of(self, key: str, value: Any) -> Origin:
        """Where an entry is from; what has another value than was noted is the program's."""
        origin, noted = self._noted.get(key, (CODE, None))
        return origin if noted is value else CODE
