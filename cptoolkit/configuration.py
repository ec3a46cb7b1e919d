"""Settings by name: the global config, applications' config, and namespaces that act on them.

Keys are dotted names such as ``"tools.gzip.on"``; what stands before the first dot is the
*namespace*, whose handler makes the setting happen (reference, chapter 6).

All of it is kept in dicts that count their changes in :data:`generation`, so that what was
worked out from them can be kept for as long as that number stays the same. Reading costs
what reading a dict costs.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, TypeVar

from cptoolkit import config_files
from cptoolkit.config_origins import CODE, Origin, Origins
from cptoolkit.middleware.nearest import did_you_mean

T = TypeVar("T")

Source: TypeAlias = "config_files.Source | Mapping[str, Any]"
"""Where config comes from: a dict, a path, or a file opened for reading."""

Handler: TypeAlias = (
    "Callable[[str, Any], object] | AbstractContextManager[Callable[[str, Any], object]]"
)
"""What a namespace calls with each key, less the namespace, and value."""


class Generation:
    """A number that is another one after each :meth:`bump`, whichever threads bump it."""

    __slots__ = ("_numbers", "value")

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.value = 0

    def bump(self) -> None:
        """Give :attr:`value` a number that it never had."""
        # Not `+= 1`: of two threads, the slower could put back an earlier number.
        self.value = next(self._numbers)


generation = Generation()
"""Counts the changes of every :class:`ObservedDict` in the process."""


class ObservedDict(dict[str, Any]):
    """A dict whose every change bumps :data:`generation`, after it was made."""

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        generation.bump()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        generation.bump()

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        generation.bump()

    def pop(self, *args: Any) -> Any:
        value = super().pop(*args)
        generation.bump()
        return value

    def popitem(self) -> tuple[str, Any]:
        item = super().popitem()
        generation.bump()
        return item

    def clear(self) -> None:
        super().clear()
        generation.bump()


class NamespaceSet(ObservedDict):
    """Handlers by namespace; called with a config, it hands out the entries.

    A handler is called with ``(key, value)`` for each entry of its namespace. One that is a
    context manager (PEP 343) is entered first, gives the callable to use, and is exited after
    its last key, also when there was none; it may swallow an exception (reference, 6.3.2).
    """

    __slots__ = ()

    def __call__(self, config: Mapping[str, Any]) -> None:
        """Pass the entries to their handlers: by handler, in the order of the registration.

        Keys without a dot, and those of a namespace without a handler, are left alone.
        """
        entries: dict[str, list[tuple[str, Any]]] = {}
        for key, value in config.items():
            namespace, dot, name = key.partition(".")
            if dot:
                entries.setdefault(namespace, []).append((name, value))
        for namespace, handler in list(self.items()):
            if hasattr(handler, "__exit__"):
                with handler as apply:
                    for name, value in entries.get(namespace, ()):
                        apply(name, value)
            else:
                for name, value in entries.get(namespace, ()):
                    handler(name, value)

    def copy(self) -> NamespaceSet:
        """Return another set with the same handlers."""
        return type(self)(self)

    __copy__ = copy

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"


_STAGING: dict[str, Any] = {
    "engine.autoreload.on": False,
    "checker.on": False,
    "tools.log_headers.on": False,
    "request.show_tracebacks": False,
    "request.show_mismatched_params": False,
}
_PRODUCTION: dict[str, Any] = {**_STAGING, "log.screen": False}

environments: dict[str, dict[str, Any]] = {
    "staging": dict(_STAGING),
    "production": _PRODUCTION,
    # Inside of another server, which owns the signals.
    "embedded": {**_PRODUCTION, "engine.SIGHUP": None, "engine.SIGTERM": None},
    "test_suite": {
        **_PRODUCTION,
        "request.show_tracebacks": True,
        "request.show_mismatched_params": True,
    },
}
"""Entries that the key ``environment`` stands for, by its value (reference, chapter 6.3.3).

Add your own, or change these."""


class Config(ObservedDict):
    """The config of the whole site: one flat dict of settings.

    Setting a key also calls the handler of its namespace. Used as a decorator,
    ``@config(**{"tools.gzip.on": True})`` gives a page handler, or a class of them, config of
    its own (``_cp_config``).
    """

    environments = environments

    def __init__(
        self,
        source: Source | None = None,
        *,
        defaults: Mapping[str, Any] | None = None,
        namespaces: NamespaceSet | None = None,
    ) -> None:
        """Start from ``defaults``, which no handler hears of, and read ``source``."""
        super().__init__()
        self.defaults: dict[str, Any] = dict(defaults or {})
        self.namespaces = NamespaceSet() if namespaces is None else namespaces
        self.contained_paths = False
        """Whether sections for paths were given, which belong into an application's config."""
        self.origins = Origins()
        """Where each entry is from."""
        self.reset()
        if source is not None:
            self.update(source)

    def reset(self) -> None:
        """Go back to the defaults. What handlers did with earlier values stays done."""
        dict.clear(self)
        self.contained_paths = False
        super().update(self.defaults)
        self.origins.clear()
        self.origins.note(self.defaults, Origin("default"))

    def __setitem__(self, key: str, value: Any) -> None:
        _check_keys((key,), "config")
        super().__setitem__(key, value)
        self.origins.forget((key,))
        self.namespaces({key: value})

    def update(self, *args: Source, **kwargs: Any) -> None:  # type: ignore[override]
        """Take over the entries of a dict, path or open file, and act on them.

        Of a source with sections, ``[global]`` is taken. The entry ``environment`` brings the
        entries of :data:`environments` along; those that ``source`` itself has win.

        :raises FileNotFoundError: if there is no such file.
        :raises ValueError: if a file's contents are wrong, or the environment is unknown.
        :raises TypeError: if the source or one of its keys is of the wrong type.
        """
        for source in (*args, kwargs) if kwargs else args:
            self._take(*_read(source, "config.update()"))

    def _take(self, given: dict[str, Any], origin: Origin) -> None:
        _check_keys(given, "config.update()")
        if any(key.startswith("/") and isinstance(given[key], Mapping) for key in given):
            self.contained_paths = True
        entries = given
        if isinstance(given.get("global"), Mapping):
            sections = {key for key, value in given.items() if isinstance(value, Mapping)}
            entries = {key: value for key, value in given.items() if key not in sections}
            entries.update(given["global"])
            _check_keys(entries, "config.update()")
        if environment := entries.get("environment"):
            if environment not in self.environments:
                raise ValueError(
                    f"environment {environment!r} is none of {', '.join(self.environments)}"
                    f"{did_you_mean(str(environment), self.environments)}"
                )
            brought = self.environments[environment]
            self.origins.note(brought, Origin("environment", environment))
            self.origins.note(entries, origin)
            entries = {**brought, **entries}
        else:
            self.origins.note(entries, origin)
        if "tools.staticdir.dir" in entries:
            # The URL that the folder is taken to stand for; applications set their own path.
            entries = {**entries, "tools.staticdir.section": "global"}
        super().update(entries)
        self.namespaces(entries)

    def __call__(self, **entries: Any) -> Callable[[T], T]:
        """Return a decorator that adds ``entries`` to the ``_cp_config`` of what it decorates.

        A class starts from what it inherits and leaves its bases alone.
        """

        def decorate(target: T) -> T:
            inherited = getattr(target, "_cp_config", {})
            target._cp_config = ObservedDict({**inherited, **entries})  # type: ignore[attr-defined]
            generation.bump()
            return target

        return decorate


class AppConfig(ObservedDict):
    """The config of one application: sections, each a dict of entries.

    Sections whose name starts with ``/`` are for that path and what lies below; ``/static/``
    is the same as ``/static``. Others are the application's own and kept as they are
    (reference, chapter 6.1.2).
    """

    def __init__(self, source: Source | None = None) -> None:
        super().__init__()
        self.origins: dict[str, Origins] = {}
        """Where the entries of each section are from; those of others are the program's."""
        if source is not None:
            self.merge(source)

    def __setitem__(self, section: str, entries: Any) -> None:
        name, entries = _section(section, entries)
        super().__setitem__(name, entries)
        self.origins.pop(name, None)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Put in sections, in place of those of the same name."""
        for section, entries in dict(*args, **kwargs).items():
            self[section] = entries

    def merge(self, source: Source) -> None:
        """Add the sections of a dict, path or open file to those that are there.

        :raises FileNotFoundError: if there is no such file.
        :raises ValueError: if a file's contents are wrong, or entries stand outside of sections;
            nothing was added then.
        :raises TypeError: if the source or one of its keys is of the wrong type.
        """
        given, origin = _read(source, "application config")
        for section, entries in [_section(*item) for item in given.items()]:
            self.origins.setdefault(section, Origins()).note(entries, origin)
            if section in self:
                self[section].update(entries)
            else:
                super().__setitem__(section, entries)


def _section(name: str, entries: Any) -> tuple[str, ObservedDict]:
    _check_keys((name,), "application config")
    if not isinstance(entries, Mapping):
        raise ValueError(
            f"application config has sections of entries, but {name!r} is given as"
            f" {entries!r}: put it into a section, as in {{'/': {{{name!r}: ...}}}}"
        )
    if name.startswith("/"):
        name = name.rstrip("/") or "/"
        _check_keys(entries, f"section [{name}]")
    return name, ObservedDict(entries)


def _read(source: Any, taker: str) -> tuple[dict[str, Any], Origin]:
    """The entries of a source, and where they are from."""
    if isinstance(source, str | bytes | os.PathLike) or (
        hasattr(source, "read") and not isinstance(source, Mapping)
    ):
        source = config_files.load(source)
    if isinstance(source, config_files.Loaded):
        return dict(source), Origin("file", source.name)
    if isinstance(source, Mapping):
        return dict(source), CODE
    raise TypeError(
        f"{taker} takes a dict, a path or an open file, not {type(source).__name__}: {source!r}"
    )


def _check_keys(keys: Any, taker: str) -> None:
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"{taker} takes names as keys, not {type(key).__name__}: {key!r}")
