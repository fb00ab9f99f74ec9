"""Keys: whose counter an operation is counted on."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

import msgspec

from guardsvc.mcp.revisions import KNOWN_METHODS
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.guards.native.rate_limit.settings import KeyPart

__all__ = ["CLIENT_RESULT", "Key", "key_of", "method_of"]

CLIENT_RESULT = "client/result"
"""Stands for a client's answer to a server request, which carries no method."""
OTHER = "_other"
"""Every method that no revision has: a client could make up any number of them."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that tell callers apart; the rest is the caller's to choose (RFC 4291 section 2.5.4)."""

_METHODS = frozenset(KNOWN_METHODS | set(TransportKind) | {CLIENT_RESULT})


class Key(msgspec.Struct, frozen=True):
    """Whose counter it is.

    Attributes:
        digest: of what the key is made of; its length is bounded and shows no name.
        by_address: whether the address is part of it.
    """

    digest: str
    by_address: bool


def method_of(operation: Operation) -> str:
    """The method as limits name it."""
    return operation.method or CLIENT_RESULT


def key_of(operation: Operation, parts: Sequence[KeyPart]) -> Key:
    """The key of an operation; ``tool`` is for operations that have one."""
    caller = operation.caller
    found: list[tuple[str, object]] = []
    by_address = False
    for part in parts:
        if part in ("tenant", "principal") and caller.verified and (name := getattr(caller, part)):
            found.append((part, name))
        elif part in ("tenant", "principal", "address"):
            by_address = True
        elif part == "server":
            found.append((part, operation.servers))
        elif part == "tool":
            found.append((part, operation.subject))
        else:
            method = method_of(operation)
            found.append((part, method if method in _METHODS else OTHER))
    if by_address:
        found.append(("address", _network(caller.address or "")))
    return Key(hashlib.blake2b(msgspec.json.encode(found), digest_size=16).hexdigest(), by_address)


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    """What stands for a caller; all whose address is not known are one."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), IPV6_PREFIX), strict=False))
