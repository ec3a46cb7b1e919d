"""What the checks of a config look at, and how they tell what they find."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

Found = Iterator[tuple[str, str, Any]]


class CheckerWarning(UserWarning):
    """A probable mistake in the config."""


class Mounted(Protocol):
    """What the checker asks of a tree of applications."""

    @property
    def apps(self) -> Mapping[str, Any]: ...


class Inspection:
    """The global config and the applications of a site, as the checks look at them."""

    def __init__(
        self,
        tree: Mounted,
        config: Mapping[str, Any],
        known: Callable[[], Mapping[str, Iterable[str]]] = dict,
        samples: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """
        :param tree: has in ``apps`` what is mounted, by script name.
        :param config: the global config; its ``namespaces`` are the namespaces it knows.
        :param known: gives the keys that exist in each namespace, less the namespace.
        :param samples: gives for a namespace the object whose attributes its keys set, from
            which the types of values are learnt.
        """
        self.tree = tree
        self.config = config
        self.known = known
        self.samples = samples
        self.extra_config_namespaces: list[str] = []
        """Namespaces that are none of the checker's business."""
        self.known_config_types: dict[str, type] = {}
        """Types that the values of some keys should have, besides those learnt."""

    def _apps(self) -> Iterator[tuple[str, Any]]:
        """Applications with their script name; grafted WSGI applications have no config."""
        for script_name, app in self.tree.apps.items():
            # Flask's applications have a config, too, but not ours.
            if isinstance(getattr(app, "config", None), Mapping) and hasattr(app, "toolboxes"):
                yield script_name, app

    def _entries(self, app: Any) -> Found:
        """(section, key, value) of the sections that are read: those for paths."""
        for section, entries in app.config.items():
            if section.startswith("/") and isinstance(entries, Mapping):
                for key, value in entries.items():
                    yield section, key, value

    def _all_entries(self) -> Found:
        """(place, key, value) of every entry that is read."""
        for key, value in self.config.items():
            if not is_section(key, value):
                yield "the global config", key, value
        for script_name, app in self._apps():
            for section, key, value in self._entries(app):
                yield f"section [{section}] of the application at {script_name!r}", key, value

    def _merged(self, app: Any, path: str) -> dict[str, Any]:
        """The entries that hold for ``path``, from the site's to its own."""
        merged = {**self.config, **app.config.get("/", {})}
        atoms = path.strip("/").split("/")
        for depth in range(1, len(atoms) + 1):
            merged.update(app.config.get("/" + "/".join(atoms[:depth]), {}))
        return merged


def is_section(key: str, value: object) -> bool:
    """Whether this entry of the global config is a section; others may have a dict as value."""
    return isinstance(value, Mapping) and (key.startswith("/") or "." not in key)


def warn(text: str) -> None:
    try:
        warnings.warn(text, CheckerWarning, stacklevel=1)
    except CheckerWarning:
        # Under -W error. What may be a mistake in the config is no reason not to start.
        if sys.stderr is not None:
            sys.stderr.write(format_finding(text))


def format_finding(
    message: Warning | str,
    category: type[Warning] = CheckerWarning,
    filename: str = "",
    lineno: int = 0,
    line: str | None = None,
) -> str:
    return f"CherryPy Checker:\n{message}\n\n"


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show warnings as sentences to the person who wrote the config, not as lines of code."""
    before = warnings.formatwarning
    warnings.formatwarning = format_finding
    try:
        yield
    finally:
        warnings.formatwarning = before
