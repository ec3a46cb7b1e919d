"""Checks of what a config says: types, options of layers and middleware, folders, addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from cptoolkit.config_inspection import Inspection, warn
from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.secret_keys import HIDDEN, is_secret
from cptoolkit.toolbox import GENERAL_OPTIONS

_PLAIN_TYPES = frozenset(
    {bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple}
)
_ITEMS = (list, tuple, set, frozenset)


class ValueChecks(Inspection):
    """The checks that look at values. Each method whose name starts with ``check_`` is one."""

    def check_config_types(self) -> None:
        """Tell of values whose type is not that of the default."""
        types = {**self._learn_types(), **self.known_config_types}
        for place, key, value in self._all_entries():
            expected = types.get(key)
            if expected and value is not None and not _fits(value, expected):
                shown = HIDDEN if is_secret(key) else repr(value)
                warn(
                    f"{key!r} in {place} is {shown}, of type {type(value).__name__!r}, where"
                    f" {expected.__name__!r} is expected."
                )

    def _learn_types(self) -> dict[str, type]:
        types: dict[str, type] = {}
        for namespace, sample in self.samples().items():
            for name in dir(sample):
                with suppress(Exception):  # properties may need a request that is not there
                    default = type(getattr(sample, name))
                    if default in _PLAIN_TYPES and not name.startswith("_"):
                        types[f"{namespace}.{name}"] = default
        return types

    def check_middleware(self) -> None:
        """Tell of options for middleware that is not in ``wsgi.pipeline``."""
        for script_name, app in self._apps():
            pipeline = getattr(app, "wsgiapp", None)
            known = [name for name, _ in getattr(pipeline, "pipeline", ())]
            for name in getattr(pipeline, "config", {}):
                if name not in known:
                    warn(
                        f"'wsgi.{name}.*' in the config of the application at {script_name!r} has"
                        f" no effect: wsgi.pipeline has no {name!r}{did_you_mean(name, known)}"
                    )

    def check_layers(self) -> None:
        """Tell of tools that refuse the options they are given, all of them together."""
        for script_name, app in self._apps():
            for section, entries in app.config.items():
                if section.startswith("/") and isinstance(entries, Mapping):
                    place = f"section [{section}] of the application at {script_name!r}"
                    self._check_layers(app, self._merged(app, section), place)

    def _check_layers(self, app: Any, conf: dict[str, Any], place: str) -> None:
        for switch in [key for key, value in conf.items() if key.endswith(".on") and value]:
            namespace, name = (*switch.split("."), "")[:2]
            tool: Any = getattr(app.toolboxes.get(namespace), name, None)
            # Of a static folder check_static_paths knows more to say.
            if not hasattr(tool, "made") or name == "staticdir":
                continue
            prefix = f"{namespace}.{name}."
            options = {key[len(prefix) :]: conf[key] for key in conf if key.startswith(prefix)}
            for general in GENERAL_OPTIONS - set(tool.layer.option_names()):
                options.pop(general, None)
            with suppress(ValueError):  # names that do not exist are told by another check
                tool.check(options)
                try:
                    tool.made(app, options)
                except (ImportError, TypeError, ValueError) as error:
                    warn(f"In {place}, {error}")

    def check_static_paths(self) -> None:
        """Tell of static folders that are not there."""
        for script_name, app in self._apps():
            for section in app.config:
                entries = app.config[section]
                if section.startswith("/") and any("tools.staticdir." in key for key in entries):
                    self._check_static_folder(script_name, section, self._merged(app, section))

    def _check_static_folder(self, script_name: str, section: str, conf: dict[str, Any]) -> None:
        if not conf.get("tools.staticdir.on"):
            return
        root, folder = conf.get("tools.staticdir.root"), conf.get("tools.staticdir.dir")
        if not folder:
            problem = "tools.staticdir.dir is not set."
        elif not all(isinstance(path, str | os.PathLike) for path in (root or "", folder)):
            problem = "a path must be a text."
        elif not (root or os.path.isabs(folder)):
            problem = "dir is relative, and there is no root that it is relative to."
        else:
            full = os.path.join(root or "", folder)
            if not os.path.isabs(full):
                problem = f"{full!r} (root and dir) is not an absolute path."
            elif os.path.isdir(full):
                return
            else:
                problem = f"{full!r} is not a folder."
                below = os.path.join(root or "", os.fspath(folder).lstrip("/"))
                if root and os.path.isabs(folder) and os.path.isdir(below):
                    problem += f" To serve {below!r}, take the leading slash from dir."
        warn(
            f"In section [{section}] of the application at {script_name!r}, with"
            f" tools.staticdir.root {root!r} and dir {folder!r}: {problem}"
        )

    def check_localhost(self) -> None:
        """Tell of a server on 'localhost', which is 127.0.0.1 here and ::1 there."""
        for key, value in self.config.items():
            if key.startswith("server.") and key.endswith("socket_host") and value == "localhost":
                warn(
                    f"{key!r} is 'localhost', which may mean the IPv4 or the IPv6 address."
                    " Say which: '127.0.0.1' or '::1'."
                )


def _fits(value: object, expected: type) -> bool:
    if isinstance(value, bool):
        return expected is bool
    if expected is float:
        return isinstance(value, int | float)
    if expected in _ITEMS:
        return isinstance(value, _ITEMS)
    if expected is str:
        return isinstance(value, str | os.PathLike)
    return isinstance(value, expected)
