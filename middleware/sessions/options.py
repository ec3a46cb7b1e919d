"""Which class keeps the sessions, and which options it knows."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from cptoolkit.middleware.sessions import stored
from cptoolkit.middleware.sessions.session import Session
from cptoolkit.middleware.sessions.stored import parameters

TYPES = ("ram", "file", "memcached", "redis", "sql", "cookie")
"""The storage classes by the names that ``storage_type`` knows them by."""


def class_of_type(name: str) -> type[Session]:
    """The class for a ``storage_type``.

    :raises ValueError: if there is none.
    """
    if name == "cookie":
        from cptoolkit.middleware.sessions.cookie import CookieSession

        return CookieSession
    classes: dict[str, type[Session]] = {
        "ram": stored.RamSession,
        "file": stored.FileSession,
        "memcached": stored.MemcachedSession,
        "redis": stored.RedisSession,
        "sql": stored.SQLSession,
    }
    found = classes.get(str(name).lower())
    if found is None:
        raise ValueError(f"storage_type must be one of {', '.join(TYPES)}, got {name!r}")
    return found


def check_options(
    kind: type[Session], opens: bool, options: Mapping[str, Any], others: Iterable[str]
) -> None:
    """See that a storage class has options of these names, and gets those that it must have.

    Known are its attributes and the parameters of its constructor, of ``setup``, and of what opens
    its store. A class of a user's own that takes ``**options`` there may look for any name in
    them: for it only what looks like another option misspelt is wrong.

    :param opens: whether the class is to open a store.
    :param others: the options that sessions have whatever their class.
    :raises TypeError: if there is no such option, or one is missing; names the nearest one.
    """
    attributes = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    known = {
        name
        for name, value in attributes.items()
        if not (callable(value) or isinstance(value, property))
    }
    takes_any = False
    for method in (kind.__init__, kind.setup):
        if not method.__module__.startswith("cptoolkit."):
            known |= parameters(method)
            takes_any = takes_any or inspect.getfullargspec(method).varkw is not None
    opener = getattr(kind, "opener", None)
    if opens and opener is not None:
        for name, parameter in inspect.signature(opener()).parameters.items():
            known.add(name)
            if parameter.default is parameter.empty and name not in options:
                raise TypeError(f"Sessions with {kind.__name__} must have the option {name!r}")
    for name in options:
        if name in known:
            continue
        from difflib import get_close_matches  # not above: only a mistake needs it

        near = get_close_matches(name, {*known, *others}, n=1, cutoff=0.8 if takes_any else 0.6)
        if near or not takes_any:
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"Sessions with {kind.__name__} has no option {name!r}{hint}")
