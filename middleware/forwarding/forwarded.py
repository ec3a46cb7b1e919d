"""What proxies tell about a request: the grammar of ``Forwarded`` (RFC 7239) and its like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from cptoolkit.middleware.forwarding.addresses import REMEMBERED, parse_address

# token, quoted-string: RFC 9110, sections 5.6.2 and 5.6.4
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'

# forwarded-pair = token "=" value ; value = token / quoted-string
# What ends it is the next pair (";"), the next element (","), or the end.
_PAIR = re.compile(rf"(?:({_TOKEN})=({_TOKEN}|{_QUOTED})[\t ]*)?([;,]|\Z)")
_SPACE = re.compile(r"[\t ]*")
_ESCAPED = re.compile(r"\\(.)")

# obfnode, obfport = "_" 1*( ALPHA / DIGIT / "." / "_" / "-" )
# With an end, as for hosts: what has been read is kept for the next request.
_OBFUSCATED = r"_[A-Za-z0-9._-]{1,255}"
# node = nodename [ ":" node-port ]
_NODE = re.compile(
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)|(?P<hidden>unknown|{_OBFUSCATED}))"
    rf"(?::(?:(?P<port>[0-9]{{1,5}})|{_OBFUSCATED}))?",
    re.IGNORECASE,
)

# Host = uri-host [ ":" port ] (RFC 9110, section 7.2), of which we take what DNS names and IP
# addresses are made of, and the underscore that some inner names have. Names in DNS have 255
# characters at most (RFC 1123, section 2.1).
_HOST = r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_ORIGIN = re.compile(rf"(?:(?P<scheme>https?)://)?(?P<host>{_HOST})")

# path-absolute of RFC 3986, section 3.3, without the comma that separates what proxies add.
_PREFIX = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+;=:@-]|%[0-9A-Fa-f]{2})+)*/?")

DEFAULT_PORTS = {"http": "80", "https": "443"}
"""The ports that URLs leave out (RFC 9110, sections 4.2.1 and 4.2.2)."""

_SCHEMES = {
    "http": "http",
    "https": "https",
    "on": "https",  # X-Forwarded-Ssl
    "off": "http",
    "ws": "http",  # a WebSocket begins as a request, and Traefik says so
    "wss": "https",
}


class Node(NamedTuple):
    """One end of a connection, as the proxy at the other end has seen it."""

    address: str
    """In its shortest form; "" if the proxy does not know or will not tell."""
    port: str
    """"" if the proxy does not tell."""


@lru_cache(REMEMBERED)
def parse_node(text: str) -> Node:
    """Read a node (RFC 7239, section 6), or an element of ``X-Forwarded-For``.

    In the latter an IPv6 address may stand without brackets.

    :raises ValueError: if it is neither.
    """
    address = parse_address(text)
    if address is not None:
        return Node(str(address), "")
    node = _NODE.fullmatch(text)
    if node is not None:
        port = node["port"] or ""
        if node["hidden"]:
            return Node("", port)
        address = parse_address(node["v6"] or node["v4"])
        if address is not None:
            return Node(str(address), str(parse_port(port)) if port else "")
    raise ValueError("no address")


def parse_forwarded(field: str) -> list[dict[str, str]]:
    """Read the field ``Forwarded``: parameters by name in lower case, for each proxy on the way.

    ::

        Forwarded         = 1#forwarded-element
        forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )

    :returns: the elements in their order, the nearest proxy's last; empty ones are left out.
    :raises ValueError: if it does not follow the grammar, or a parameter is there twice.
    """
    elements: list[dict[str, str]] = []
    element: dict[str, str] = {}
    at = 0
    while True:
        at = _space_end(field, at)
        pair = _PAIR.match(field, at)
        if pair is None:
            raise ValueError("no such element in RFC 7239")
        name, value, end = pair.groups()
        if name is not None:
            name = name.lower()
            if name in element:
                raise ValueError(f"the parameter {name} twice")
            quoted = value.startswith('"')
            element[name] = _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value
        if end != ";":
            if element:
                elements.append(element)
            element = {}
        if not end:
            return elements
        at = pair.end()


def _space_end(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    assert space is not None
    return space.end()


def dump_forwarded(elements: Iterable[Mapping[str, str]]) -> str:
    """Write the field ``Forwarded``, as :func:`parse_forwarded` reads it."""
    return ", ".join(
        ";".join(f"{name}={_dump_value(value)}" for name, value in element.items())
        for element in elements
    )


def _dump_value(value: str) -> str:
    if re.fullmatch(_TOKEN, value):
        return value
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'


class Origin(NamedTuple):
    """How clients reach a site."""

    scheme: str | None
    """``"http"`` or ``"https"``; None if it is not told."""
    host: str
    """Name or address, and a port if it is told."""


@lru_cache(REMEMBERED)
def parse_origin(text: str) -> Origin:
    """Read a host, or scheme and host: ``"example.org:8080"``, ``"https://example.org"``.

    :raises ValueError: if it is neither, or its port is none.
    """
    origin = _ORIGIN.fullmatch(text)
    if origin is None:
        raise ValueError("no host")
    port = split_port(origin["host"])[1]
    if port:
        parse_port(port)
    return Origin(origin["scheme"], origin["host"])


def parse_scheme(text: str) -> str:
    """``"http"`` or ``"https"``, as a proxy says it in one way or another.

    :raises ValueError: if it says another.
    """
    scheme = _SCHEMES.get(text.lower())
    if scheme is None:
        raise ValueError("no scheme of HTTP")
    return scheme


def parse_port(text: str) -> int:
    """A TCP port.

    :raises ValueError: if it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < 65536):
        raise ValueError("no port")
    return int(text)


def parse_prefix(text: str) -> str:
    """A path as it stands in a URL, decoded as ``SCRIPT_NAME`` is, without a slash at its end.

    :raises ValueError: if it is none, or begins with two slashes, as the name of a host would.
    """
    if not _PREFIX.fullmatch(text):
        raise ValueError("no path")
    return unquote_to_bytes(text.rstrip("/")).decode("latin-1")


def split_port(host: str) -> tuple[str, str]:
    """Name and port of a host; "" for no port. An IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and port.isdecimal() else (host, "")
