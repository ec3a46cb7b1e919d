"""A config file read by hand: the ``Parser`` of CherryPy's ``lib.reprconf``."""

from __future__ import annotations

from configparser import RawConfigParser
from typing import Any

from cptoolkit.config_files import Source, load
from cptoolkit.python_values import unrepr


class Parser(RawConfigParser):
    """Reads INI files whose values are Python, and whose keys keep their case.

    Config itself is read by :func:`cptoolkit.config_files.load`, without this class.
    """

    def optionxform(self, optionstr: str) -> str:
        """The key as it is written."""
        return optionstr

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """What has been read until now: the sections, each a dict of its values.

        :raises ValueError: if a value is not Python; tells section and key.
        """
        sections: dict[str, dict[str, Any]] = {}
        for section in self.sections():
            entries = sections[section] = {}
            for key, text in self.items(section):
                try:
                    entries[key] = unrepr(text)
                except Exception as error:  # a value may call anything, so anything can come
                    raise ValueError(f"section [{section}], key {key!r}: {error}") from error
        return sections

    def dict_from_file(self, file: Source) -> dict[str, dict[str, Any]]:
        """The sections of a config file, as :func:`cptoolkit.config_files.load` gives them."""
        return load(file)
