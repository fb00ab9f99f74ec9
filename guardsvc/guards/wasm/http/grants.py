"""Grants of ``http``: which hosts a guard may call, and to which addresses their names may lead."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from guardsvc.guards.native.sandbox_escape.hosts import METADATA_ADDRESSES
from guardsvc.guards.networks import Address, is_internal, reached

__all__ = ["Grants", "Origin", "origin_of"]

Network = IPv4Network | IPv6Network

PORTS = {"http": 80, "https": 443}
MAX_URL = 8192
_HOST = re.compile(r"[a-z0-9_.-]{1,253}|[0-9a-f:.]{2,45}")
_VISIBLE = re.compile(r"[!-~]+")


class Origin(NamedTuple):
    """Scheme, host in lower case and port."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    """The origin of a URL.

    Raises:
        ValueError: it is no absolute URL of http or https, has user information, or characters that no URL has.
    """
    if len(url) > MAX_URL or not _VISIBLE.fullmatch(url) or "\\" in url:
        raise ValueError("no URL")
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.scheme not in PORTS or "@" in parts.netloc or not _HOST.fullmatch(host):
        raise ValueError("no URL of http or https with a host and without user information")
    return Origin(parts.scheme, host, PORTS[parts.scheme] if parts.port is None else parts.port)


class Grants:
    """What a guard may call.

    Args:
        entries: ``https://host[:port]``, ``http://host[:port]``, ``host[:port]`` for https, and networks or addresses
            as ``10.1.0.0/16`` to which names may lead although they are not public.

    Raises:
        ValueError: an entry is none of these; the text names it.
    """

    def __init__(self, entries: tuple[str, ...]) -> None:
        origins: set[Origin] = set()
        networks: list[Network] = []
        for entry in entries:
            network = None if "://" in entry else _network(entry)
            if network is not None:
                networks.append(network)
                continue
            origin = _origin_alone(entry)
            origins.add(origin)
            if (address := literal(origin.host)) is not None:
                networks.append(ip_network(address))
        self.origins = frozenset(origins)
        self._networks = tuple(networks)

    @property
    def any_tls(self) -> bool:
        """Whether any host is called over TLS."""
        return any(origin.scheme == "https" for origin in self.origins)

    def allows(self, address: Address) -> bool:
        """Whether a connection may go to an address: a public one, or one that is listed.

        A range that holds an address at which a cloud hands out credentials does not grant it; the address alone does.
        """
        end = reached(address)
        if end in METADATA_ADDRESSES or end.is_multicast or end.is_unspecified:
            return any(network.num_addresses == 1 and end in network for network in self._networks)
        return not is_internal(end) or any(end in network for network in self._networks)


def literal(host: str) -> Address | None:
    """The address that a host is, None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _origin_alone(entry: str) -> Origin:
    url = entry if "://" in entry else f"https://{entry}"
    try:
        origin, parts = origin_of(url), urlsplit(url)
    except ValueError:
        origin = None
    if origin is None or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"{entry!r} is neither a host as https://host[:port] or host[:port], nor a network as 10.1.0.0/16"
        )
    return origin


def _network(entry: str) -> Network | None:
    if "/" not in entry:
        return None
    try:
        return ip_network(entry)
    except ValueError:
        return None
