"""Look at the config of all applications before they serve: what cannot be used ends the command.

The checker warns of what may be a mistake. This is about what would make pages fail: a tool or an
option that there is not, a value that is refused, a package that is missing.
"""

from __future__ import annotations

from cptoolkit.application import Application
from cptoolkit.introspection.config_table import EntryOrigin, told_origin
from cptoolkit.introspection.findings import Finding, unusable
from cptoolkit.mounts import Tree
from cptoolkit.process.channels import OperatorError
from cptoolkit.site import checker


def check_config(app: object) -> None:
    """See that each resource of the applications in ``app`` can be served.

    :param app: what the server serves.
    :raises OperatorError: with where the first wrong entry is from.
    """
    for mount, one in app.apps.items() if isinstance(app, Tree) else [("", app)]:
        if isinstance(one, Application):
            try:
                found = unusable(mount, one)
            except Exception:  # an object of the program's own does not let itself be looked at
                continue
            if found:
                checker.on = False  # it would meet the same, and say so again
                raise OperatorError(_told(found[0], mount))
    checker.check_objects = False  # type: ignore[method-assign, assignment]  # done


def _told(finding: Finding, mount: str) -> str:
    keys: dict[str, list[str]] = {}
    for entry in finding["entries"]:
        keys.setdefault(_place(entry["origin"], mount), []).append(entry["key"])
    places = [f"{place}, {', '.join(wrong)}" for place, wrong in keys.items()]
    message = " ".join(finding["message"].split())
    return f"{' and '.join(places) or finding['paths'][0]}: {message}"


def _place(origin: EntryOrigin, mount: str) -> str:
    """Which file and section, or which object, an entry is from, as far as that is known."""
    section = f"section [{origin['section']}]"
    if origin["kind"] == "file":
        return f"{origin['name']}, {section}"
    if origin["kind"] == "code" and origin["section"] != "global":
        return f"{section} of the application at {mount or '/'}"
    return "the global config" if origin["kind"] == "code" else told_origin(origin)
