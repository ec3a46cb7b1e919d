"""Addresses and networks of clients and proxies."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptoolkit.middleware.forwarding.addresses import Peers, parse_address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="IPv4"),
        pytest.param("2001:DB8:0::1", "2001:db8::1", id="IPv6 in its shortest form"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="IPv4 within IPv6"),
        pytest.param("fe80::1%eth0", None, id="a zone"),
        pytest.param("fe80::1%<script>", None, id="a zone that is none"),
        pytest.param("010.0.0.1", None, id="a leading zero"),
        pytest.param("1", None, id="a number"),
        pytest.param("", None, id="nothing"),
        pytest.param("192.0.2.1:80", None, id="a port"),
        pytest.param("\u0661.\u0662.\u0663.\u0664", None, id="digits of other scripts"),
    ],
)
def test_address_is_read_or_refused(text, shown):
    address = parse_address(text)
    assert (None if address is None else str(address)) == shown


@given(st.ip_addresses())
def test_address_reads_as_it_was_written(address):
    assert parse_address(str(address)) == (getattr(address, "ipv4_mapped", None) or address)


@pytest.mark.parametrize(
    ("named", "inside", "outside"),
    [
        pytest.param("10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1"], ["10.0.0.2", ""], id="address"),
        pytest.param("10.0.0.0/8", ["10.9.9.9"], ["11.0.0.1", "::a00:1"], id="network"),
        pytest.param(["::1", "127.0.0.0/8"], ["::1", "127.1.1.1"], ["10.0.0.1"], id="several"),
        pytest.param(ip_network("fd00::/8"), ["fd00::1"], ["fe80::1"], id="a network object"),
        pytest.param("unix", [""], ["127.0.0.1", "unix"], id="a Unix socket"),
        pytest.param([], [], ["127.0.0.1", "", "nonsense"], id="none"),
    ],
)
def test_peers_hold_what_they_name(named, inside, outside):
    peers = Peers("trusted", named)
    assert bool(peers) == bool(inside)
    assert all(peers.hold(address) for address in inside)
    assert not any(peers.hold(address) for address in outside)


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ("10.0.0.1/8", ValueError, "did you mean '10.0.0.0/8'?"),
        ("proxy.example", ValueError, "trusted takes addresses, networks such as '10.0.0.0/8'"),
        (5, TypeError, "trusted takes addresses and networks, got 5"),
        ([5], TypeError, "trusted takes addresses and networks as text, got 5"),
    ],
)
def test_what_is_no_address_is_refused(named, error, message):
    with pytest.raises(error) as caught:
        Peers("trusted", named)
    assert message in str(caught.value)
