"""The PROXY protocol, versions 1 and 2: a proxy tells where a connection really comes from.

The specification is haproxy's ``doc/proxy-protocol.txt``; sections are those of its 2020 edition.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import struct
from dataclasses import dataclass

from cptoolkit.servers.connection import Connection
from cptoolkit.servers.errors import Disconnected
from cptoolkit.servers.protocol import ConnectionProtocol, Log, ProtocolFactory

Address = tuple[str, int]

LONGEST_LINE = 107
"""Bytes of the longest header of version 1, line end included (section 2.1)."""

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""What version 2 begins with (section 2.2)."""

_FIXED = len(SIGNATURE) + 4  # version and command, family, length of the rest

# Ports are 0 to 65535, without leading zeros.
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: .*)?|(TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9]\d{0,4})"
    rb" (0|[1-9]\d{0,4}))\r\n",
    re.DOTALL,
)

_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_WITHOUT_ADDRESS = {(family << 4) | protocol for family in range(4) for protocol in range(3)} - {
    _TCP4,
    _TCP6,
}
"""Families and protocols that are valid, and of which a receiver need not know more."""


@dataclass(frozen=True)
class Header:
    """What a proxy tells. Without addresses, those of its own connection count."""

    source: Address | None = None
    """The client."""
    destination: Address | None = None
    """What the client has connected to."""


def header_size(data: bytes) -> int | None:
    """Return the size of the header that ``data`` begins with, None while that cannot be known.

    :raises ValueError: if it cannot become one.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        if len(data) < _FIXED:
            return None
        return _FIXED + int.from_bytes(data[_FIXED - 2 : _FIXED], "big")
    if not data.startswith(b"PROXY "[: len(data)]):
        raise ValueError("there is none")
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0 and len(data) >= LONGEST_LINE:
        raise ValueError("its line has no end")
    return None if end < 0 else end + 2


def parse_header(data: bytes) -> Header:
    """Read a whole header, and nothing more.

    :raises ValueError: if it is malformed.
    """
    return _parse_binary(data) if data.startswith(SIGNATURE) else _parse_line(data)


def _parse_line(data: bytes) -> Header:
    match = _LINE.fullmatch(data)
    if match is None:
        raise ValueError("its line is malformed")
    family, source, destination, source_port, destination_port = match.groups()
    if family is None:
        return Header()
    version = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
    ports = int(source_port), int(destination_port)
    if max(ports) > 65535:
        raise ValueError("a port is above 65535")
    return Header(
        (str(version(source.decode())), ports[0]), (str(version(destination.decode())), ports[1])
    )


def _parse_binary(data: bytes) -> Header:
    command, family = data[len(SIGNATURE)], data[len(SIGNATURE) + 1]
    if command == _LOCAL:
        return Header()  # the proxy's own, to see whether we live; the family means nothing
    if command != _PROXY:
        raise ValueError(f"version and command are 0x{command:02x}")
    if family in _WITHOUT_ADDRESS:
        return Header()
    if family == _TCP4:
        version, layout = socket.AF_INET, struct.Struct("!4s4sHH")
    elif family == _TCP6:
        version, layout = socket.AF_INET6, struct.Struct("!16s16sHH")
    else:
        raise ValueError(f"family and protocol are 0x{family:02x}")
    if len(data) < _FIXED + layout.size:
        raise ValueError("its addresses are cut short")
    # What comes behind them are extensions, which nobody needs to understand.
    source, destination, source_port, destination_port = layout.unpack_from(data, _FIXED)
    return Header(
        (socket.inet_ntop(version, source), source_port),
        (socket.inet_ntop(version, destination), destination_port),
    )


class Proxies:
    """Those who are trusted to begin connections with a header.

    :param trusted: addresses and networks with commas between them, "unix", "*", as in the option
        ``proxy_protocol``.
    :raises ValueError: if one of them is none of these.
    """

    def __init__(self, trusted: str, log: Log) -> None:
        names = [name.strip() for name in trusted.split(",") if name.strip()]
        self._all = "*" in names
        self._unix = self._all or "unix" in names
        self._networks = [_network(name) for name in names if name not in ("*", "unix")]
        self._log = log
        self._told = False

    def trusts(self, peer: object) -> bool:
        """Whether a header is expected from ``peer``, as the kernel tells it."""
        if not isinstance(peer, tuple):
            return self._unix
        if self._all:
            return True
        address = ipaddress.ip_address(peer[0].partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped  # it has come to a socket of both families
        return any(address in network for network in self._networks)

    def before(self, factory: ProtocolFactory) -> ProtocolFactory:
        """Have the header read before anything else on connections that should have one."""
        if not (self._unix or self._networks):
            return factory

        def begin(conn: Connection) -> ConnectionProtocol:
            protocol = factory(conn)
            if self.trusts(conn.peer):
                conn.preludes.append(_Reading(self).read)
            return protocol

        return begin

    def complain(self, peer: object, data: bytes, reason: str) -> None:
        """Tell the operator that a header is wrong; once, there may be thousands."""
        if not self._told:
            self._told = True
            text = f"no usable PROXY header from {peer!r}, {reason}: it sent {data[:40]!r}"
            text += "; such connections are dropped, and this is told once"
            self._log(text, logging.WARNING, False)


class _Reading:
    """The header of one connection, as far as it has come."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._data = b""
        self._seen = b""  # with what was looked at, and is still the socket's

    def read(self, conn: Connection) -> None:
        """A prelude: take the header from the socket, and not a byte more."""
        try:
            header = self._header(conn.sock)
        except ValueError as exc:
            # The client could be told, but the specification wants an end that the proxy notices.
            self._proxies.complain(conn.peer, self._seen, str(exc))
            raise Disconnected(f"PROXY header: {exc}") from exc
        if header.source is not None:
            conn.peer, conn.local = header.source, header.destination

    def _header(self, sock: socket.socket) -> Header:
        size: int | None = None
        while len(self._data) != size:
            if size is None:
                came = sock.recv(LONGEST_LINE, socket.MSG_PEEK)
                self._seen = self._data + came
                size = header_size(self._seen)
                # Without a size all of it is header; a look alone would be repeated without end.
                wanted = len(came) if size is None else size - len(self._data)
            else:
                wanted = size - len(self._data)
            came = sock.recv(wanted)
            if not came:
                raise Disconnected("hung up before the PROXY header was complete")
            self._data += came
        return parse_header(self._data)


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(name)
    except ValueError as exc:
        raise ValueError(
            f"proxy_protocol must name addresses, networks, 'unix' or '*', got {name!r}: {exc}"
        ) from exc
