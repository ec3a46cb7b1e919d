"""Look through the config of a site for common mistakes, and say so when the engine starts.

Every finding is a warning that names the place and, where there is one, the nearest right name
(reference, chapter 6.3.1, "checker").
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Protocol

from cptoolkit.handler_search import may_answer
from cptoolkit.middleware.nearest import did_you_mean, nearest
from cptoolkit.toolbox import GENERAL_OPTIONS

SITE_NAMESPACES = ("checker", "engine", "server", "tree")
"""Namespaces that have a meaning in the global config only."""

Found = Iterator[tuple[str, str, Any]]


class CheckerWarning(UserWarning):
    """A probable mistake in the config."""


class Mounted(Protocol):
    """What the checker asks of a tree of applications."""

    @property
    def apps(self) -> Mapping[str, Any]: ...


class Checker:
    """Checks the global config and that of each mounted application.

    Calling it runs each of its methods whose name starts with ``check_``. Setting one to False,
    or to a function of no arguments, turns it off or replaces it, as ``checker.check_...`` in the
    global config does.
    """

    on: bool = True
    """Whether to check at all."""

    obsolete: ClassVar[dict[str, str | None]] = {
        "log_access_file": "log.access_file",
        "log_config_options": None,
        "log_file": "log.error_file",
        "log_file_not_found": None,
        "log_request_headers": "tools.log_headers.on",
        "log_to_screen": "log.screen",
        "server.default_content_type": "tools.response_headers.headers",
        "show_tracebacks": "request.show_tracebacks",
        "throw_errors": "request.throw_errors",
    }
    """Keys of long ago, and what took their place."""

    deprecated: ClassVar[dict[str, str | None]] = {}
    """Keys that still work, and what to use in their place."""

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

    def __call__(self) -> None:
        """Run all checks. Findings are shown once each, on stderr, and never raised."""
        if not self.on:
            return
        with _plain_warnings():
            for name in dir(self):
                if name.startswith("check_") and callable(check := getattr(self, name)):
                    check()

    # What is looked at

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
            if not _is_section(key, value):
                yield "the global config", key, value
        for script_name, app in self._apps():
            for section, key, value in self._entries(app):
                yield f"section [{section}] of the application at {script_name!r}", key, value

    # Sections in the wrong place

    def check_skipped_app_config(self) -> None:
        """Tell of applications without any config."""
        for script_name, app in self._apps():
            if not app.config:
                text = f"The Application mounted at {script_name!r} has an empty config."
                if getattr(self.config, "contained_paths", False):
                    text += (
                        " Sections for paths were passed to config.update(), which has no use"
                        " for them: pass them to tree.mount(root, script_name, config)."
                    )
                _warn(text)

    def check_app_has_handlers(self) -> None:
        """Tell of applications in which no path can lead to a page handler."""
        for script_name, app in self._apps():
            root = getattr(app, "root", None)
            dispatched = any("request.dispatch" in entries for entries in app.config.values())
            if root is not None and not dispatched and not may_answer(root):
                _warn(
                    f"The application mounted at {script_name!r} has no page handler, and answers"
                    f" every path with a 404: nothing in {root!r} is exposed. Decorate a method"
                    " with @expose."
                )

    def check_global_config_sections(self) -> None:
        """Tell of sections in the global config that nothing reads.

        One that an application has as well is in the right place there: quickstart passes the
        same config to the site and to the application.
        """
        sections = {section for _, app in self._apps() for section in app.config}
        known = self.known()
        for key, value in self.config.items():
            if not _is_section(key, value):
                continue
            if key.startswith("/") and (key.rstrip("/") or "/") not in sections:
                _warn(
                    f"The section [{key}] in the global config is not read. Pass it to"
                    " tree.mount(root, script_name, config)."
                )
            elif not set(known.get(key, ())).isdisjoint(value):
                names = ", ".join(f"{key}.{name}" for name in value)
                _warn(f"The section [{key}] is not read. Write {names} in [global].")

    def check_app_config_entries_dont_start_with_script_name(self) -> None:
        """Tell of sections that repeat where the application is mounted."""
        for script_name, app in self._apps():
            for section in app.config:
                if script_name and f"{section}/".startswith(f"{script_name}/"):
                    rest = section[len(script_name) :] or "/"
                    _warn(
                        f"Paths in the config of the application mounted at {script_name!r} are"
                        f" relative to it. Its section [{section}] should probably be [{rest}]."
                    )

    def check_app_config_brackets(self) -> None:
        """Tell of section names in brackets, and of paths without their slash."""
        for script_name, app in self._apps():
            for section in app.config:
                if section.startswith("[") or section.endswith("]"):
                    _warn(
                        f"The application mounted at {script_name!r} has a section named"
                        f" {section!r}. Brackets are for files; in a dict it is"
                        f" {section.strip('[]')!r}."
                    )
                elif not section.startswith("/") and self._is_path(section, app):
                    _warn(
                        f"The section [{section}] of the application mounted at {script_name!r}"
                        f" is not read, as paths start with a slash: [/{section}]."
                    )

    def _is_path(self, section: str, app: Any) -> bool:
        if section == "global":
            return False
        entries = app.config[section]
        namespaces = {"tools", "request", "response", "hooks", *app.toolboxes}
        return "/" in section or any(
            str(key).partition(".")[0] in namespaces and "." in str(key) for key in entries
        )

    def check_site_config_entries_in_app_config(self) -> None:
        """Tell of entries in an application's config that only the global config can have."""
        for script_name, app in self._apps():
            misplaced = [
                f"[{section}] {key} = {value}"
                for section, key, value in self._entries(app)
                if key.partition(".")[0] in SITE_NAMESPACES and "." in key
            ]
            if misplaced:
                _warn(
                    f"The config of the application mounted at {script_name!r} has entries that"
                    " are for the whole site. Pass them to config.update(), in [global]:\n"
                    + "\n".join(misplaced)
                )

    # Names

    def check_compatibility(self) -> None:
        """Tell of keys that are obsolete or deprecated."""
        for place, key, _ in self._all_entries():
            for table, word in ((self.obsolete, "obsolete"), (self.deprecated, "deprecated")):
                if key in table:
                    instead = f" Use {table[key]!r} instead." if table[key] else ""
                    _warn(f"{key!r} in {place} is {word}.{instead}")
                    break

    def check_config_namespaces(self) -> None:
        """Tell of namespaces, tools and keys that do not exist but look like ones that do."""
        known = {namespace: set(keys) for namespace, keys in self.known().items()}
        site = {*getattr(self.config, "namespaces", ()), *known, *self.extra_config_namespaces}
        toolboxes: dict[str, Any] = {}
        for _, app in self._apps():
            site.update(self._namespaces(app))
            toolboxes |= app.toolboxes
        for key, value in self.config.items():
            if not _is_section(key, value):
                self._check_name(key, "the global config", site, toolboxes, known)
        for script_name, app in self._apps():
            namespaces = site | self._namespaces(app)
            for section, key, _ in self._entries(app):
                place = f"section [{section}] of the application at {script_name!r}"
                self._check_name(key, place, namespaces, app.toolboxes, known)

    def _namespaces(self, app: Any) -> set[str]:
        return {"wsgi", *app.toolboxes, *app.namespaces, *app.request_class.namespaces}

    def _check_name(
        self,
        key: str,
        place: str,
        namespaces: set[str],
        toolboxes: Mapping[str, Any],
        known: Mapping[str, set[str]],
    ) -> None:
        if key in self.obsolete or key in self.deprecated or key == "environment":
            return
        namespace, dot, name = key.partition(".")
        if not dot:
            meant = [f"{ns}.{key}" for ns in sorted(known) if ns != "tools" and key in known[ns]]
            if meant:
                _warn(f"{key!r} in {place} has no effect. Write {' or '.join(meant)}.")
        elif namespace in ("cherrypy", "cptoolkit") and name.partition(".")[0] in namespaces:
            _warn(f"{key!r} in {place} has no effect. Write {name!r}.")
        elif namespace not in namespaces:
            _warn(
                f"{key!r} in {place} has no effect: there is no config namespace"
                f" {namespace!r}{did_you_mean(namespace, namespaces)}"
            )
        elif namespace in toolboxes:
            self._check_tool(key, place, toolboxes[namespace])
        elif (keys := known.get(namespace)) and name not in keys:
            self._check_key(key, place, keys)

    def _check_tool(self, key: str, place: str, toolbox: Any) -> None:
        namespace, name, *option = key.split(".", 2)
        if not hasattr(toolbox, name):
            tools = [tool for tool in dir(toolbox) if not tool.startswith("_")]
            _warn(
                f"{key!r} in {place} cannot be used: there is no tool {namespace}.{name}"
                f"{did_you_mean(name, tools)}"
            )
        elif option:
            try:
                getattr(toolbox, name).check({option[0]: None})
            except ValueError as error:
                _warn(f"In {place}, {error}")

    def _check_key(self, key: str, place: str, keys: set[str]) -> None:
        namespace, _, name = key.partition(".")
        head, _, attribute = name.rpartition(".")
        if namespace == "server" and head:  # server.<name of another server>.<attribute>
            if attribute not in keys and attribute != "on":
                self._check_key(f"server.{attribute}", place, keys)
            return
        if namespace == "hooks":  # hooks.<hook point>.<anything that tells it from others>
            name = name.partition(".")[0]
        elif attribute in ("on", "priority") and head:
            return
        rivals = {k for k in keys if k.rpartition(".")[0] == head}
        # Most namespaces take attributes of one's own, so that only a likely slip is told.
        if name not in keys and (match := nearest(name, rivals, likeness=0.8)) is not None:
            _warn(f"{key!r} in {place} is not known; did you mean '{namespace}.{match}'?")
        elif namespace == "server":
            _warn(f"{key!r} in {place} has no effect: a server has no {name!r}.")

    # Values

    def check_config_types(self) -> None:
        """Tell of values whose type is not that of the default."""
        types = {**self._learn_types(), **self.known_config_types}
        for place, key, value in self._all_entries():
            expected = types.get(key)
            if expected and value is not None and not _fits(value, expected):
                _warn(
                    f"{key!r} in {place} is {value!r}, of type {type(value).__name__!r}, where"
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
                    _warn(
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
                except (TypeError, ValueError) as error:
                    _warn(f"In {place}, {error}")

    def check_static_paths(self) -> None:
        """Tell of static folders that are not there."""
        for script_name, app in self._apps():
            for section in app.config:
                entries = app.config[section]
                if section.startswith("/") and any("tools.staticdir." in key for key in entries):
                    self._check_static_folder(script_name, section, self._merged(app, section))

    def _merged(self, app: Any, path: str) -> dict[str, Any]:
        """The entries that hold for ``path``, from the site's to its own."""
        merged = {**self.config, **app.config.get("/", {})}
        atoms = path.strip("/").split("/")
        for depth in range(1, len(atoms) + 1):
            merged.update(app.config.get("/" + "/".join(atoms[:depth]), {}))
        return merged

    def _check_static_folder(self, script_name: str, section: str, conf: dict[str, Any]) -> None:
        if not conf.get("tools.staticdir.on"):
            return
        root, folder = conf.get("tools.staticdir.root"), conf.get("tools.staticdir.dir")
        if not folder:
            problem = "tools.staticdir.dir is not set."
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
                below = os.path.join(root or "", folder.lstrip("/"))
                if root and os.path.isabs(folder) and os.path.isdir(below):
                    problem += f" To serve {below!r}, take the leading slash from dir."
        _warn(
            f"{problem}\nsection [{section}] of the application at {script_name!r}\n"
            f"root: {root!r}\ndir: {folder!r}"
        )

    def check_localhost(self) -> None:
        """Tell of a server on 'localhost', which is 127.0.0.1 here and ::1 there."""
        for key, value in self.config.items():
            if key.startswith("server.") and key.endswith("socket_host") and value == "localhost":
                _warn(
                    f"{key!r} is 'localhost', which may mean the IPv4 or the IPv6 address."
                    " Say which: '127.0.0.1' or '::1'."
                )


_PLAIN_TYPES = frozenset(
    {bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple}
)
_ITEMS = (list, tuple, set, frozenset)


def _is_section(key: str, value: object) -> bool:
    """Whether this entry of the global config is a section; others may have a dict as value."""
    return isinstance(value, Mapping) and (key.startswith("/") or "." not in key)


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


def _warn(text: str) -> None:
    try:
        warnings.warn(text, CheckerWarning, stacklevel=1)
    except CheckerWarning:
        # Under -W error. What may be a mistake in the config is no reason not to start.
        if sys.stderr is not None:
            sys.stderr.write(_format(text))


def _format(
    message: Warning | str,
    category: type[Warning] = CheckerWarning,
    filename: str = "",
    lineno: int = 0,
    line: str | None = None,
) -> str:
    return f"CherryPy Checker:\n{message}\n\n"


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as sentences to the person who wrote the config, not as lines of code."""
    before = warnings.formatwarning
    warnings.formatwarning = _format
    try:
        yield
    finally:
        warnings.formatwarning = before
