"""Networks: where packets to an address come to in the end, and whether that is the public network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

__all__ = ["Address", "is_internal", "reached"]

Address = IPv4Address | IPv6Address

_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # of protocols, RFC 6890
            "192.88.99.0/24",  # relays of 6to4, RFC 7526
            "3fff::/20",  # documentation, RFC 9637
            "fec0::/10",  # site-local, RFC 3879
        ),
    )
)
"""What ``ipaddress`` takes for public all the same."""
_V4_PREFIXES = frozenset({0, 0xFFFF, 0xFFFF0000, 0x0064FF9B << 64})
"""What stands before the IPv4 address in IPv6 addresses that carry one: compatible and mapped (RFC 4291), translated
(RFC 7915), NAT64 (RFC 6052)."""
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""The same within the lower half of an address, RFC 5214 section 6.1."""
_LEAST_V4 = 0x10000
"""Below, an IPv6 address that begins with zeros is one of its own, such as ``::1``."""
_V4_MASK = 0xFFFFFFFF


def reached(address: Address) -> Address:
    """The address that packets come to in the end: of an IPv6 address that carries one of IPv4, that."""
    if isinstance(address, IPv4Address):
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    number = int(address)
    before = number >> 32
    if (before in _V4_PREFIXES and number >= _LEAST_V4) or before & _V4_MASK in _ISATAP:
        return IPv4Address(number & _V4_MASK)
    return address


def is_internal(address: Address) -> bool:
    """Whether an address is not one of the public network."""
    return (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or any(address in network for network in _NOT_PUBLIC)
    )
