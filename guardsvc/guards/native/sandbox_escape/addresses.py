"""Addresses: the hosts that a value names, as each reader may see them, and the rules they break."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice
from string import punctuation
from urllib.parse import unquote, unquote_to_bytes

import msgspec
import re2

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.sandbox_escape.hosts import (
    CONNECTING_SCHEMES,
    INTERNAL_SUFFIXES,
    LOOPBACK_NAMES,
    METADATA_ADDRESSES,
    METADATA_NAMES,
    REBINDING_NAMES,
)
from guardsvc.guards.native.sandbox_escape.notation import address_of
from guardsvc.guards.native.sandbox_escape.roles import Role
from guardsvc.guards.networks import Address, is_internal

__all__ = ["MAX_TEXT", "MAX_URLS", "NAMES", "Place", "host_rule", "hosts_of"]

MAX_TEXT = 65_536
"""Characters of a value that are searched for URLs."""
MAX_URLS = 16
"""URLs inside of one value that are looked at."""

NAMES = ("localhost", "localh", "metadata", "instance-data", "kubernetes", *REBINDING_NAMES, *INTERNAL_SUFFIXES)
"""What a host may have that is worth being looked at, besides digits."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}):([/\\]{1,8})([^\s\"'<>]{0,2048})")
_URL_BEGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}):[/\\]{1,8}")
_MAX_REST = 2048
_WITHOUT_SLASHES = re.compile(r"\s*(?:https?|wss?|ftp):(?![/\\])([^\s\"'<>]{1,2048})", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(r"\s*[/\\]{2,}([^\s\"'<>]{0,2048})")
_AUTHORITY_END = re.compile(r"[/?#\\]")
_LIKE_HOST = re2.compile(rb"[\w-]\.[\w.-]+$|localhost$|^[\d.]+$")
_EDGE = "".join(char for char in punctuation if char not in "[]:_")
"""What may stand around a host and is none of it."""
_EMBEDDED = re.compile(r"(?:^|[.-])(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})(?:[.-]|$)")
_BELOW_REBINDING = tuple(f".{name}" for name in REBINDING_NAMES)
_MAX_HOST = 255
_SHORTEST_NUMBER = 8
"""Digits from which on a host that is one number may be meant as an address."""


class Place(msgspec.Struct, frozen=True):
    """A host that a value names.

    Attributes:
        host: as it stands there, without port, userinfo and brackets, in lower case.
        address: the address that it spells, None for a name.
        apart: whether it stands in a field of hosts, not of URLs.
        bare: whether it stands there without a URL.
        disguised: whether readers of the URL do not agree on it.
    """

    host: str
    address: Address | None
    apart: bool = False
    bare: bool = False
    disguised: bool = False


def hosts_of(text: str, role: Role) -> list[Place]:
    """The hosts of a value: of its URLs, those in their queries too, or the value itself where it may be a host."""
    found: list[Place] = []
    for pattern in (_WITHOUT_SLASHES, _WITHOUT_SCHEME):
        if role in (Role.URL, Role.HOST) and (rest := pattern.match(text)) is not None:
            found += _of_authority(rest[1])
    for url in islice(_URL.finditer(text[:MAX_TEXT]), MAX_URLS):
        if url[1].lower() in CONNECTING_SCHEMES:
            found += _of_authority(url[3])
            found += _nested(url[3])
    host = text.strip()
    if not found and role in (Role.URL, Role.HOST) and len(host) <= _MAX_HOST and len(host.split()) == 1:
        place = _place(_AUTHORITY_END.split(host, maxsplit=1)[0].rpartition("@")[2], disguised=False)
        if place is not None:
            found.append(msgspec.structs.replace(place, apart=role is Role.HOST, bare=True))
    return found


def _nested(rest: str) -> list[Place]:
    """The hosts of URLs inside of what follows the slashes of a URL."""
    found: list[Place] = []
    for _ in range(MAX_URLS):
        url = _URL_BEGIN.search(rest)
        if url is None:
            break
        rest = rest[url.end() :][:_MAX_REST]
        if url[1].lower().rpartition("-")[2] in CONNECTING_SCHEMES:
            found += _of_authority(rest)
    return found


def _of_authority(rest: str) -> list[Place]:
    """The hosts that readers may see in what follows the slashes."""
    end = _AUTHORITY_END.search(rest)
    user, _, host = (rest[: end.start()] if end else rest).rpartition("@")
    readings = [host]
    disguised = bool(user) and _LIKE_HOST.search(unquote_to_bytes(encode(user.split(":")[0]))) is not None
    if end is not None and end[0] != "/" and "@" in rest:
        # A reader for whom the authority goes on to the next slash takes what follows the @.
        other = rest.split("/", 1)[0].rpartition("@")[2]
        if other and other != rest:
            readings.append(other)
            disguised = True
    if disguised and user:
        readings.append(user)
    return [place for reading in readings if (place := _place(reading, disguised=disguised)) is not None]


def _place(reading: str, *, disguised: bool) -> Place | None:
    host = reading[: 4 * _MAX_HOST]
    if "%" in host and not host.startswith("["):
        host = unquote(host)
    if not host.isascii():
        host = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    host = host.lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0].partition("%")[0]
    elif ":" in host and address_of(host.partition("%")[0]) is None:
        host = host.partition(":")[0]
    host = (host.partition("%")[0] if ":" in host else host).strip(_EDGE)[:_MAX_HOST]
    return Place(host, address_of(host), disguised=disguised) if host else None


def host_rule(place: Place) -> str | None:
    """The rule that a host breaks, None for one of the public network."""
    if place.address is not None:
        return _address_rule(place, place.address)
    host = place.host.rstrip(".")
    if host in METADATA_NAMES:
        return "cloud_metadata"
    if f".{host}".endswith(_BELOW_REBINDING) or _embeds_internal(host):
        return "rebinding_name"
    if host in LOOPBACK_NAMES or host.endswith(INTERNAL_SUFFIXES):
        return "internal_name" if place.apart else "internal_address"
    return "internal_name" if "." not in host and not place.bare else None


def _embeds_internal(host: str) -> bool:
    found = _EMBEDDED.search(host)
    address = None if found is None else address_of(".".join(found.groups()))
    return address is not None and (is_internal(address) or address in METADATA_ADDRESSES)


def _address_rule(place: Place, address: Address) -> str | None:
    if address in METADATA_ADDRESSES:
        return "cloud_metadata"
    if not is_internal(address) or (place.bare and place.host.isdigit() and len(place.host) < _SHORTEST_NUMBER):
        return None
    # In a field of hosts an internal one is common, but not one that is spelt in a way nobody writes.
    usual = place.host == str(address) or ":" in place.host
    return "internal_name" if place.apart and usual else "internal_address"
