"""Look at the config of all applications before they serve: what cannot be used ends the command.

The checker warns of what may be a mistake. This is about what would make pages fail: a tool or an
option that there is not, a value that is refused, a package that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cptoolkit.application import Application, Tree
from cptoolkit.commands.loading import one_line
from cptoolkit.config_origins import Origins
from cptoolkit.global_config import config
from cptoolkit.introspection.findings import unusable
from cptoolkit.plan import Plan
from cptoolkit.process.channels import OperatorError
from cptoolkit.site import checker

Entries = dict[str, Any]


def check_config(app: object) -> None:
    """Make the plan of each section, and of each resource, of the applications in ``app``.

    :param app: what the server serves.
    :raises OperatorError: with where the first wrong entry is from.
    """
    for mount, one in app.apps.items() if isinstance(app, Tree) else [("", app)]:
        if isinstance(one, Application):
            for section in sorted({"/", *one.config}):
                if section.startswith("/"):
                    _check_section(one, section)
            _check_resources(mount, one)


def _check_resources(mount: str, app: Application) -> None:
    """Look at what decorators say, which no section has."""
    try:
        found = unusable(mount, app)
    except Exception:  # an object of the program's own does not let itself be looked at
        return
    if not found:
        return
    checker.on = False
    finding = found[0]
    message = " ".join(finding["message"].split())
    tools = {".".join(each["key"].split(".")[:2]) for each in finding["entries"]}
    place = ", ".join([finding["paths"][0], *sorted(t for t in tools if t not in message)])
    raise OperatorError(f"{place}: {message}")


def _check_section(app: Application, section: str) -> None:
    own = app.config.get(section, {})
    if not isinstance(own, Mapping):
        return
    entries = {**config, **app.config.get("/", {}), **own}
    error = _problem(app, entries)
    if error is None:
        return
    checker.on = False  # it would meet the same, and say so again
    key = _culprit(app, entries)
    place = "" if key is None else f"{_place(app, section, key)}, {key}: "
    raise OperatorError(f"{place}{one_line(error)}") from error


def _problem(app: Application, entries: Entries) -> Exception | None:
    try:
        Plan(app, entries)
    except (ImportError, TypeError, ValueError) as error:
        return error
    except Exception:  # a tool of the program's own may need a request
        return None
    return None


def _culprit(app: Application, entries: Entries) -> str | None:
    """The entry without which there would be no problem, if that is one."""
    tools: dict[str, Entries] = {}
    for key, value in entries.items():
        tools.setdefault(".".join(key.split(".")[:2]), {})[key] = value
    for name, group in tools.items():
        if _problem(app, group) is not None:
            others = [key for key in group if key != f"{name}.on"]
            for key in [*others, f"{name}.on"]:
                if _problem(app, {k: v for k, v in group.items() if k != key}) is None:
                    return key
    return None


def _place(app: Application, section: str, key: str) -> str:
    """Which file and section an entry is from, as far as that has been noted."""
    for name in dict.fromkeys((section, "/")):
        entries = app.config.get(name, {})
        if key in entries:
            origin = app.config.origins.get(name, Origins()).of(key, entries[key])
            file = f"{origin.name}, " if origin.kind == "file" else ""
            at = f" of the application at {app.script_name or '/'}" if not file else ""
            return f"{file}section [{name}]{at}"
    origin = config.origins.of(key, config.get(key))
    return f"{origin.name}, section [global]" if origin.kind == "file" else "the global config"
