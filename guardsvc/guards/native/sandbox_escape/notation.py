"""Notation: the address that a host spells, in whatever way."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from guardsvc.guards.networks import Address, reached

__all__ = ["address_of"]

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{0,16}|0[oO][0-7]{1,22}|[0-9]{1,39}")
_OCTAL = re.compile(r"0[0-7]+")
_BASES = {"0x": 16, "0o": 8}
_V4_PARTS = 4
_V4_MASK = 0xFFFFFFFF


@lru_cache(maxsize=1024)
def address_of(host: str) -> Address | None:
    """The address that a host spells, None for a name.

    IPv6, or IPv4 as ``inet_aton`` reads it: one to four numbers, decimal, octal or hexadecimal, which may run over. Of
    an IPv6 address that carries one of IPv4, that.
    """
    if ":" in host:
        try:
            return reached(ipaddress.IPv6Address(host))
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


def _number(text: str) -> int:
    base = _BASES.get(text[:2].lower())
    if base is not None:
        return int(text[2:] or "0", base)
    return int(text, 8 if _OCTAL.fullmatch(text) else 10)
