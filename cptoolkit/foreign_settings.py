"""Settings that neither CherryPy's server nor its engine has, and that programs set all the same.

CherryPy keeps any name; programs have come to rely on that, for settings of theirs or of versions
long gone. Here a name that is unknown is an error, which a CherryPy program would not survive.
"""

from __future__ import annotations

from typing import Any

from cptoolkit.middleware.nearest import did_you_mean
from cptoolkit.process.channels import WARNING
from cptoolkit.process.namespace import Setter
from cptoolkit.site import config, engine, server


def keep_unknown_settings() -> None:
    """Have unknown settings of server and engine kept and told in the log, from now on."""
    for name, target in (("server", server), ("engine", engine)):
        config.namespaces[name] = _keeping(name, target, config.namespaces[name])


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
