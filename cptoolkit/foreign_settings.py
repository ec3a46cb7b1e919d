"""Settings that neither CherryPy's server nor its engine has, and that programs set all the same.

CherryPy keeps any name; programs have come to rely on that, for settings of theirs or of versions
long gone. Here a name that is unknown is an error, which a CherryPy program would not survive. So
do sessions with their options: a ``storage_path`` is set even where they are kept in memory.
"""

from __future__ import annotations

from typing import Any

from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.process.channels import WARNING
from cptoolkit.process.namespace import Setter
from cptoolkit.site import config, engine, server, tools


def keep_unknown_settings() -> None:
    """Have unknown settings of server and engine kept and told in the log, from now on, and
    unknown options of sessions left out and told."""
    for name, target in (("server", server), ("engine", engine)):
        config.namespaces[name] = _keeping(name, target, config.namespaces[name])
    tools.sessions.leave_out = _known_to_storage


def _keeping(namespace: str, target: Any, setter: Setter) -> Setter:
    def keep(key: str, value: Any) -> None:
        if key.isidentifier() and not key.startswith("SIG") and not _has(target, key):
            near = did_you_mean(key, (name for name in dir(target) if not name.startswith("_")))
            engine.log(f"{namespace}.{key} has no effect: there is no such setting{near}", WARNING)
            setattr(target, key, value)
        else:
            setter(key, value)

    return keep


def _has(target: Any, key: str) -> bool:
    # "on" is no attribute, but known to both.
    return key == "on" or hasattr(type(target), key) or key in vars(target)


def _known_to_storage(options: dict[str, Any]) -> dict[str, Any]:
    """The options of sessions less those that their storage class does not have."""
    from cptoolkit.middleware.sessions.layer import Sessions
    from cptoolkit.middleware.sessions.options import check_options, class_of_type
    from cptoolkit.middleware.sessions.stored import parameters

    own = Sessions.option_names()
    kind = options.get("storage_class") or class_of_type(options.get("storage_type") or "ram")
    opener = getattr(kind, "opener", None)
    opening = parameters(opener()) if opener is not None and "storage" not in options else set()
    known = dict(options)
    for name in options.keys() - own - opening:
        try:
            check_options(kind, False, {name: None}, own)
        except TypeError as error:
            engine.log(f"tools.sessions.{name} has no effect: {error}", WARNING)
            del known[name]
    return known
