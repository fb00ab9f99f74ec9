"""Allowed: the roots and hosts that an operator lets pass."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from guardsvc.guards.native.sandbox_escape.paths import absolute_path, resolved
from guardsvc.model import Globs, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.guards.native.sandbox_escape.addresses import Place

__all__ = ["AllowedHosts", "AllowedRoots"]


class AllowedRoots:
    """Directories below which absolute paths may lead.

    Raises:
        SettingsError: a root is no absolute path.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        for index, root in enumerate(roots):
            if absolute_path(root) is None:
                raise SettingsError(("allowed_roots", index), f'"{root}" is no absolute directory')
        self._roots = tuple(resolved(root) for root in roots)

    def __bool__(self) -> bool:
        return bool(self._roots)

    def has(self, path: str) -> bool:
        """Whether a resolved path is one of the roots or below."""
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in self._roots)


class AllowedHosts:
    """Hosts by name, address or network."""

    def __init__(self, hosts: Sequence[str]) -> None:
        networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        names: list[str] = []
        for host in hosts:
            try:
                networks.append(ipaddress.ip_network(host.strip("[]"), strict=False))
            except ValueError:
                names.append(host.lower())
        self._networks = tuple(networks)
        self._names = Globs(names) if names else None

    def has(self, place: Place) -> bool:
        """Whether the host is allowed; one that readers do not agree on is not."""
        if place.disguised:
            return False
        address = place.address
        if address is not None and any(address.version == net.version and address in net for net in self._networks):
            return True
        return self._names is not None and self._names.match(place.host)
