"""What is wrong with a site, as far as that can be known before the first request."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict

from cptoolkit.application import Application
from cptoolkit.introspection.config_table import ConfigTable, EntryOrigin
from cptoolkit.introspection.survey import merged
from cptoolkit.introspection.url_map import url_map
from cptoolkit.mounts import Tree
from cptoolkit.plan import Plan

if TYPE_CHECKING:
    from cptoolkit.checks import Checker

MOST_PATHS = 3
"""Paths that a finding names; it may hold for all."""

Refusal = tuple[Exception, list[str]]
"""An error, and the keys of the entries that it comes from."""


class Blamed(TypedDict):
    """An entry of config that a finding is about."""

    key: str
    origin: EntryOrigin


class Finding(TypedDict):
    """Something that is wrong."""

    message: str
    entries: list[Blamed]
    """The entries that it comes from, where that is known."""
    paths: list[str]
    """Some of the paths that it is met at."""


def findings(tree: Tree, checker: Checker) -> list[Finding]:
    """What the checker of the config says, and which resources cannot be served, and why."""
    checked = list(_checked(tree, checker))
    found = list(checked)
    for mount, app in sorted(tree.apps.items()):
        if isinstance(app, Application):
            for finding in unusable(mount, app):
                known = next((each for each in checked if _is_same(each, finding)), None)
                if known is None:
                    found.append(finding)
                elif not known["entries"]:
                    known["entries"], known["paths"] = finding["entries"], finding["paths"]
    return found


def _is_same(checked: Finding, finding: Finding) -> bool:
    """Whether the checker, which looks at sections only, has told of what a resource refuses."""
    message, entries = checked["message"], finding["entries"]
    if finding["message"] in message or any(repr(entry["key"]) in message for entry in entries):
        return True
    tools = {".".join(entry["key"].split(".")[:2]) for entry in entries}
    in_sections = all(entry["origin"]["kind"] != "_cp_config" for entry in entries)
    return in_sections and any(f"{tool}." in message for tool in tools)


def _checked(tree: Tree, checker: Checker) -> Iterator[Finding]:
    """What the checker finds in a tree, also where config has it off at the start."""
    checker = copy.copy(checker)
    checker.tree = tree
    checker.check_objects = False  # type: ignore[method-assign, assignment]  # comes after this
    if not checker.config.contained_paths:  # type: ignore[attr-defined]
        # That an application has no config is worth a word at the start, but it is no mistake.
        checker.check_skipped_app_config = False  # type: ignore[method-assign, assignment]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in dir(checker):
            if name.startswith("check_") and callable(check := getattr(checker, name)):
                with suppress(ImportError):  # of which the resources tell
                    check()
    for warning in caught:
        yield Finding(message=str(warning.message), entries=[], paths=[])


def unusable(mount: str, app: Application) -> list[Finding]:
    """The resources whose config cannot be used, one finding for each cause.

    :param mount: what paths begin with.
    """
    found: dict[tuple[str, str], Finding] = {}
    survey = url_map(app, described=False)  # it is made at each start
    table = ConfigTable(app, survey.owners)
    met: dict[tuple[object, ...], list[Refusal]] = {}
    resources = [(each.route["path"], each.sources, True) for each in survey.found]
    sections = [(path, sources, False) for path, sources in survey.sections]
    for path, sources, is_page in [*resources, *sections]:
        config = merged(app, sources)
        if "tools.staticdir.dir" in config:
            config["tools.staticdir.section"] = path.partition("/{")[0]
        # Most resources have their config from the same dicts as others.
        same = (config.get("tools.staticdir.section"), *map(id, sources))
        if same not in met:
            met[same] = list(_refusals(app, config))
        for error, keys in met[same]:
            blamed = [
                Blamed(key=key, origin=table.origin(key, config[key], sources)) for key in keys
            ]
            cause = (str(error), repr(blamed))
            if cause in found and not is_page:  # the pages below it say more
                continue
            new = Finding(message=str(error), entries=blamed, paths=[])
            paths = found.setdefault(cause, new)["paths"]
            if mount + path not in paths and len(paths) < MOST_PATHS:
                paths.append(mount + path)
    return list(found.values())


def _refusals(app: Application, config: Mapping[str, Any]) -> Iterator[Refusal]:
    """What each tool or entry says that refuses the config of a resource."""
    try:
        Plan(app, config)
        return
    except (ImportError, TypeError, ValueError) as error:
        whole = error
    except Exception:  # a tool of the program's own may need a request
        return
    told = False
    for keys in _groups(app, config):
        try:
            Plan(app, {key: config[key] for key in keys})
        except (ImportError, TypeError, ValueError) as error:
            told = True
            named = [key for key in keys if _is_named(key, str(error))]
            yield error, named or keys
        except Exception:  # see above
            continue
    if not told:
        yield whole, []


def _is_named(key: str, message: str) -> bool:
    """Whether an error tells of an entry, or of the option of a tool that it sets."""
    option = key.split(".", 2)[-1]
    if option == "on":  # a word that is in many messages
        return repr(key) in message
    return repr(key) in message or re.search(rf"\b{re.escape(option)}\b", message) is not None


def _groups(app: Application, config: Mapping[str, Any]) -> list[list[str]]:
    """The keys that are used together: those of one tool; others one by one."""
    groups: dict[str, list[str]] = {}
    for key in config:
        namespace, _, name = key.partition(".")
        tool = f"{namespace}.{name.partition('.')[0]}"
        groups.setdefault(tool if namespace in app.toolboxes else key, []).append(key)
    return list(groups.values())
