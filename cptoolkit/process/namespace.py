"""The config namespaces ``engine`` and ``server`` (reference, chapter 6.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cptoolkit.middleware.nearest import did_you_mean

if TYPE_CHECKING:
    from cptoolkit.process.httpserver import Server
    from cptoolkit.process.wspbus import Bus

Setter = Callable[[str, Any], None]
"""What is called with each key, less the namespace, and its value."""

_SUCCESSORS = {"engine.deadlock_poll_frequency": "engine.timeout_monitor.frequency"}
"""Of the keys that CherryPy 7 has dropped (reference, 13.16), those unlike what came after them."""


def engine_namespace(bus: Bus) -> Setter:
    """Make the handler of ``engine.*``.

    ``engine.NAME`` sets an attribute of the bus; ``engine.PLUGIN.NAME`` one of an object attached
    to it, and ``engine.PLUGIN.on`` subscribes or unsubscribes it. ``engine.SIGTERM``, and likewise
    for any other signal, adds a listener, or each of a list; None adds nothing.

    The handler raises ValueError, with the nearest right key, for a key that there is not, and
    TypeError for a listener that cannot be called.
    """

    def set_engine(key: str, value: Any) -> None:
        if key.startswith("SIG") and "." not in key:
            for listener in value if isinstance(value, (list, tuple)) else (value,):
                if listener is not None:
                    bus.subscribe(key, listener)
            return
        name, _, attribute = key.partition(".")
        target: Any = getattr(bus, name, None) if attribute else bus
        if attribute == "on" and _is_plugin(target):
            _switch(target, value)
        elif target is None or not _is_setting(target, attribute or name):
            raise _unknown("engine", key, _engine_keys(bus))
        else:
            setattr(target, attribute or name, value)

    return set_engine


def server_namespace(
    server: Server, servers: dict[str, Server], make: Callable[[], Server]
) -> Setter:
    """Make the handler of ``server.*``.

    ``server.NAME`` sets an attribute of ``server``; ``server.OTHER.NAME`` one of
    ``servers[OTHER]``, made and subscribed when first named. ``on`` subscribes or unsubscribes.

    The handler raises ValueError, with the nearest right key, for an attribute that a server has
    not.
    """

    def set_server(key: str, value: Any) -> None:
        name, _, attribute = key.rpartition(".")
        target = servers.get(name, server)
        if attribute != "on" and not _is_setting(target, attribute):
            raise _unknown("server", key, ["on", *_settings(target)])
        if name and name not in servers:
            target = servers[name] = make()
            target.subscribe()
        if attribute == "on":
            _switch(target, value)
        else:
            setattr(target, attribute, value)

    return set_server


def _switch(plugin: Any, on: object) -> None:
    if on:
        plugin.subscribe()
    else:
        plugin.unsubscribe()


def _is_plugin(value: object) -> bool:
    return hasattr(value, "subscribe") and hasattr(value, "unsubscribe")


def _is_setting(owner: object, name: str) -> bool:
    # A method in its place would only break things; a callback is a setting, and no method of its
    # owner.
    ours = getattr(type(owner), name, None)
    fixed = callable(ours) or (isinstance(ours, property) and ours.fset is None)
    return hasattr(owner, name) and not name.startswith("_") and not fixed


def _settings(owner: object) -> list[str]:
    return [name for name in dir(owner) if _is_setting(owner, name)]


def _engine_keys(bus: Bus) -> list[str]:
    keys = _settings(bus)
    for name in list(vars(bus)):
        plugin = getattr(bus, name)
        if _is_plugin(plugin):
            keys += [f"{name}.on", *(f"{name}.{setting}" for setting in _settings(plugin))]
    return keys


def _unknown(namespace: str, key: str, known: Iterable[str]) -> ValueError:
    names = [f"{namespace}.{name}" for name in known]
    asked = f"{namespace}.{key}"
    hint = did_you_mean(_SUCCESSORS.get(asked, asked), names)
    return ValueError(f"there is no setting {asked}{hint}")
