"""Addresses of clients and proxies, and networks that hold some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REMEMBERED = 1024
"""Addresses whose parsed form is kept: reading one costs as much as the rest of a layer. What is
none is not kept, for it may be of any length."""


def parse_address(text: str) -> Address | None:
    """An IP address as the servers and proxies write it; None for anything else.

    IPv4 within IPv6 (``::ffff:192.0.2.1``, RFC 4291, section 2.5.5.2) counts as IPv4, which it
    is. A zone (``fe80::1%eth0``) is refused: it means nothing to others, and may hold anything.
    """
    try:
        return _address(text)
    except ValueError:
        return None


@lru_cache(REMEMBERED)
def _address(text: str) -> Address:
    if "%" in text:
        raise ValueError("a zone")
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


class Peers:
    """The other ends of connections that an option names, by address or network.

    ``"unix"`` stands for whatever comes through a Unix socket: then there is no address.

    :param option: the name of the option, for messages.
    :raises TypeError: if it is not made of text and networks.
    :raises ValueError: if one of them is no address and no network; tells the nearest right one.
    """

    def __init__(self, option: str, named: str | Network | Iterable[str | Network]) -> None:
        self._networks: list[Network] = []
        self._unix = False
        if isinstance(named, str | IPv4Network | IPv6Network):
            named = [named]
        try:
            several = list(named)
        except TypeError:
            raise TypeError(f"{option} takes addresses and networks, got {named!r}") from None
        for one in several:
            if one == "unix":
                self._unix = True
            elif isinstance(one, str | IPv4Network | IPv6Network):
                self._networks.append(_network(option, one))
            else:
                raise TypeError(f"{option} takes addresses and networks as text, got {one!r}")
        self.hold: Callable[[str], bool] = lru_cache(REMEMBERED)(self._find)
        """Whether an address, as it is in ``REMOTE_ADDR``, is one of them."""

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def _find(self, text: str) -> bool:
        if not text:
            return self._unix
        address = parse_address(text)
        return address is not None and any(address in network for network in self._networks)


def _network(option: str, named: str | Network) -> Network:
    try:
        return ip_network(named)
    except ValueError:
        pass
    try:
        hint = f"; did you mean {str(ip_network(named, strict=False))!r}?"
    except ValueError:
        hint = ""
    raise ValueError(
        f"{option} takes addresses, networks such as '10.0.0.0/8' and 'unix', got {named!r}{hint}"
    )
