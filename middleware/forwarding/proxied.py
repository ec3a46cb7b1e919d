"""What the environ of a request says once a proxy's word is taken for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cptoolkit.middleware.forwarding.forwarded import (
    DEFAULT_PORTS,
    parse_node,
    parse_origin,
    parse_port,
    parse_prefix,
    parse_scheme,
    split_port,
)
from cptoolkit.middleware.forwarding.local import PROXY_READ

Environ = dict[str, Any]
Changes = dict[str, "str | None"]
"""New values of the environ by key; None for what goes."""


class Unreadable(ValueError):
    """A proxy has told what cannot be read.

    :param fact: what it was to tell.
    """

    def __init__(self, fact: str) -> None:
        super().__init__(fact)
        self.fact = fact


def set_told(
    environ: Environ, changes: Changes, told: Mapping[str, str], *, host_too: bool
) -> None:
    """Take over what a proxy tells: client, scheme, host, port and prefix.

    :param told: by the names that RFC 7239, section 5 has, or "port" or "prefix".
    :param host_too: whether host and port are wanted.
    :raises Unreadable: if something is not what it should be.
    """
    fact = "for"
    try:
        if "for" in told:
            address, port = parse_node(told["for"])
            changes["REMOTE_ADDR"] = address
            if port or "REMOTE_PORT" in environ:
                changes["REMOTE_PORT"] = port or None
            if "REMOTE_HOST" in environ:  # the proxy's
                changes["REMOTE_HOST"] = None
        fact = "proto"
        scheme = None
        if "proto" in told:
            changes["wsgi.url_scheme"] = scheme = parse_scheme(told["proto"])
        if host_too:
            fact = "host"
            host = None
            if "host" in told:
                own_scheme, host = parse_origin(told["host"])
                scheme = own_scheme or scheme
            fact = "port"
            if "port" in told:
                name = host or environ.get("HTTP_HOST") or environ["SERVER_NAME"]
                host = f"{split_port(name)[0]}:{parse_port(told['port'])}"
            if host is not None:
                set_site(environ, changes, scheme, host)
        fact = "prefix"
        if "prefix" in told:
            add_prefix(environ, changes, parse_prefix(told["prefix"]))
    except ValueError:
        raise Unreadable(fact) from None


def set_site(environ: Environ, changes: Changes, scheme: str | None, host: str) -> None:
    """Take over scheme and host; without a scheme the one that is known stays."""
    if scheme is not None:
        changes["wsgi.url_scheme"] = scheme
    name, port = split_port(host)
    usual = DEFAULT_PORTS.get(changes.get("wsgi.url_scheme") or environ["wsgi.url_scheme"], "")
    changes["HTTP_HOST"] = name if port == usual else host
    changes["SERVER_NAME"] = name
    changes["SERVER_PORT"] = port or usual


def add_prefix(environ: Environ, changes: Changes, prefix: str) -> None:
    """Take over a path that stands before the mount point."""
    below = changes.get("SCRIPT_NAME") or environ.get("SCRIPT_NAME", "")
    changes["SCRIPT_NAME"] = prefix + below


def apply(changes: Changes, environ: Environ) -> None:
    """Change the environ, and keep what it said before in it."""
    environ[PROXY_READ] = {key: environ.get(key) for key in changes}
    for key, value in changes.items():
        if value is None:
            environ.pop(key, None)
        else:
            environ[key] = value
