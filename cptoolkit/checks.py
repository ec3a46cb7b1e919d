"""Look through the config of a site for common mistakes, and say so when the engine starts.

Every finding is a warning that names the place and, where there is one, the nearest right name
(reference, chapter 6.3.1, "checker").
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from cptoolkit.application import Application
from cptoolkit.config_inspection import CheckerWarning, is_section, plain_warnings, warn
from cptoolkit.default_tools import tools
from cptoolkit.handler_search import may_answer
from cptoolkit.middleware.nearest import did_you_mean, nearest
from cptoolkit.secret_keys import HIDDEN, is_secret
from cptoolkit.value_checks import ValueChecks

__all__ = ["Checker", "CheckerWarning"]

SITE_NAMESPACES = ("checker", "engine", "server", "tree")
"""Namespaces that have a meaning in the global config only."""


class Checker(ValueChecks):
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

    def __call__(self) -> None:
        """Run all checks. Findings are shown once each, on stderr, and never raised."""
        if not self.on:
            return
        with plain_warnings():
            for name in dir(self):
                if name.startswith("check_") and callable(check := getattr(self, name)):
                    check()

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
                warn(text)

    def check_app_has_handlers(self) -> None:
        """Tell of applications in which no path can lead to a page handler."""
        for script_name, app in self._apps():
            root = getattr(app, "root", None)
            dispatched = any("request.dispatch" in entries for entries in app.config.values())
            if root is None or dispatched:
                continue
            answers = True
            with suppress(Exception):  # an object may not let itself be looked at
                answers = may_answer(root)
            if not answers:
                warn(
                    f"The application mounted at {script_name!r} has no page handler, and answers"
                    f" every path with a 404: nothing in its root, of the class"
                    f" {type(root).__name__}, is exposed. Decorate a method with @expose."
                )

    def check_objects(self) -> None:
        """Tell of what a ``_cp_config``, decorators included, asks for and cannot be given."""
        from cptoolkit.introspection.config_table import told_origin  # not above: for the start
        from cptoolkit.introspection.findings import unusable

        for script_name, app in self._apps():
            if not isinstance(app, Application):
                continue
            found = []
            with suppress(Exception):  # as above
                found = unusable(script_name, app)
            for finding in found:
                origins = [entry["origin"] for entry in finding["entries"]]
                objects = [told_origin(each) for each in origins if each["kind"] == "_cp_config"]
                if objects:  # other checks tell of sections
                    place = f"{objects[0]} of the application at {script_name!r}"
                    warn(f"In {place}, {finding['message']}")

    def check_global_config_sections(self) -> None:
        """Tell of sections in the global config that nothing reads.

        One that an application has as well is in the right place there: quickstart passes the
        same config to the site and to the application.
        """
        sections = {section for _, app in self._apps() for section in app.config}
        known = self.known()
        for key, value in self.config.items():
            if not is_section(key, value):
                continue
            if key.startswith("/") and (key.rstrip("/") or "/") not in sections:
                warn(
                    f"The section [{key}] in the global config is not read. Pass it to"
                    " tree.mount(root, script_name, config)."
                )
            elif not set(known.get(key, ())).isdisjoint(value):
                names = ", ".join(f"{key}.{name}" for name in value)
                warn(f"The section [{key}] is not read. Write {names} in [global].")

    def check_app_config_entries_dont_start_with_script_name(self) -> None:
        """Tell of sections that repeat where the application is mounted."""
        for script_name, app in self._apps():
            for section in app.config:
                if script_name and f"{section}/".startswith(f"{script_name}/"):
                    rest = section[len(script_name) :] or "/"
                    warn(
                        f"Paths in the config of the application mounted at {script_name!r} are"
                        f" relative to it. Its section [{section}] should probably be [{rest}]."
                    )

    def check_app_config_brackets(self) -> None:
        """Tell of section names in brackets, and of paths without their slash."""
        for script_name, app in self._apps():
            for section in app.config:
                if section.startswith("[") or section.endswith("]"):
                    warn(
                        f"The application mounted at {script_name!r} has a section named"
                        f" {section!r}. Brackets are for files; in a dict it is"
                        f" {section.strip('[]')!r}."
                    )
                elif not section.startswith("/") and self._is_path(section, app):
                    warn(
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
                f"[{section}] {key} = {HIDDEN if is_secret(key) else value}"
                for section, key, value in self._entries(app)
                if key.partition(".")[0] in SITE_NAMESPACES and "." in key
            ]
            if misplaced:
                warn(
                    f"The config of the application mounted at {script_name!r} has entries that"
                    " are for the whole site. Pass them to config.update(), in [global]: "
                    + ", ".join(misplaced)
                )

    # Names

    def check_compatibility(self) -> None:
        """Tell of keys that are obsolete or deprecated."""
        for place, key, _ in self._all_entries():
            for table, word in ((self.obsolete, "obsolete"), (self.deprecated, "deprecated")):
                if key in table:
                    instead = f" Use {table[key]!r} instead." if table[key] else ""
                    warn(f"{key!r} in {place} is {word}.{instead}")
                    break

    def check_config_values(self) -> None:
        """Tell of values that mean nothing, and are easily mistaken for others."""
        for place, key, value in self._all_entries():
            if key == "request.show_tracebacks" and value not in (True, False, "local"):
                warn(
                    f"{key!r} in {place} must be True, False or 'local', got {value!r}: tracebacks"
                    " are not shown."
                )
            elif key.startswith("tools.") and key.endswith(".on") and isinstance(value, str):
                warn(f"{key!r} in {place} must be True or False, got {value!r}.")

    def check_config_namespaces(self) -> None:
        """Tell of namespaces, tools and keys that do not exist but look like ones that do."""
        known = {namespace: set(keys) for namespace, keys in self.known().items()}
        site = {*getattr(self.config, "namespaces", ()), *known, *self.extra_config_namespaces}
        toolboxes: dict[str, Any] = {"tools": tools}  # also where all is grafted, and no app
        for _, app in self._apps():
            site.update(self._namespaces(app))
            toolboxes |= app.toolboxes
        site |= toolboxes.keys()
        for key, value in self.config.items():
            if not is_section(key, value):
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
                warn(f"{key!r} in {place} has no effect. Write {' or '.join(meant)}.")
        elif namespace in ("cherrypy", "cptoolkit") and name.partition(".")[0] in namespaces:
            warn(f"{key!r} in {place} has no effect. Write {name!r}.")
        elif namespace not in namespaces:
            warn(
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
            warn(
                f"{key!r} in {place} cannot be used: there is no tool {namespace}.{name}"
                f"{did_you_mean(name, tools)}"
            )
        elif option:
            try:
                getattr(toolbox, name).check({option[0]: None})
            except ValueError as error:
                warn(f"In {place}, {error}")
        else:
            warn(f"{key!r} in {place} has no effect. Write '{key}.on'.")

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
            warn(f"{key!r} in {place} is not known; did you mean '{namespace}.{match}'?")
        elif namespace == "server":
            warn(f"{key!r} in {place} has no effect: a server has no {name!r}.")
