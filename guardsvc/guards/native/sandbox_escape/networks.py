"""Networks: the address that a host spells, in whatever notation, and whether it is one of the public network."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

__all__ = ["Address", "address_of", "is_internal"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_GLOBAL = tuple(map(ipaddress.ip_network, ("100.64.0.0/10", "64:ff9b::/96", "64:ff9b:1::/48", "fec0::/10")))
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{0,16}|0[oO][0-7]{1,22}|[0-9]{1,39}")
_OCTAL = re.compile(r"0[0-7]+")
_BASES = {"0x": 16, "0o": 8}
_V4_PARTS = 4
_V4_MASK = 0xFFFFFFFF
_V4_PREFIXES = (0, 0xFFFF, 0xFFFF0000, 0x0064FF9B << 64)
"""What stands before the IPv4 address in IPv6 addresses that carry one."""
_LEAST_V4 = 0x10000
"""Below, an IPv6 address that begins with zeros is one of its own, such as ``::1``."""


@lru_cache(maxsize=1024)
def address_of(host: str) -> Address | None:
    """The address that a host spells, None for a name.

    IPv6, or IPv4 as ``inet_aton`` reads it: one to four numbers, decimal, octal or hexadecimal, which may run over. Of
    an IPv6 address that carries one of IPv4, that.
    """
    if ":" in host:
        try:
            return _carried(ipaddress.IPv6Address(host))
        except ValueError:
            return None
    parts = host.rstrip(".").split(".")
    if not 1 <= len(parts) <= _V4_PARTS or not all(map(_NUMBER.fullmatch, parts)):
        return None
    *leading, last = map(_number, parts)
    value = 0
    for number in leading:
        value = value << 8 | number & 0xFF
    bits = 8 * (_V4_PARTS - len(leading))
    return ipaddress.IPv4Address((value << bits | last & ((1 << bits) - 1)) & _V4_MASK)


def is_internal(address: Address) -> bool:
    """Whether an address is not one of the public network."""
    return (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or any(address.version == network.version and address in network for network in _NOT_GLOBAL)
    )


def _number(text: str) -> int:
    base = _BASES.get(text[:2].lower())
    if base is not None:
        return int(text[2:] or "0", base)
    return int(text, 8 if _OCTAL.fullmatch(text) else 10)


def _carried(address: ipaddress.IPv6Address) -> Address:
    if address.sixtofour is not None:
        return address.sixtofour
    value = int(address)
    if value >> 32 in _V4_PREFIXES and value >= _LEAST_V4:
        return ipaddress.IPv4Address(value & _V4_MASK)
    return address
